"""Speed of fits, by counts of operations rather than by a clock.

Each bound is about a third above the measured value, so that
only a regression exceeds it, not another seed, machine or version.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import bayescale as bs
from bayescale.inference import kernel, samplers

FIT_SOMETHING = """
import sys
import bayescale as bs
bs.fit("chinchilla", "chinchilla", draws=50, tune=100, chains=2, seed=1, progress=False)
print(*sys.modules)
"""


def test_gradient_evaluations_for_each_effective_sample(fit):
    """For the worst quantity of the reference problem, including ln N_opt at 5.76e23 FLOP."""
    import arviz_stats as azs

    n_opt = bs.allocate(fit, budget="5.76e23").draws["n_opt"].isel(budget=0, drop=True)
    effective = azs.ess(fit.posterior.assign(ln_n_opt=np.log(n_opt)), method="bulk")
    worst = min(float(effective[name]) for name in effective.data_vars)
    settings = fit.provenance["sampler"]
    assert "kept_one_draw_in" not in settings
    # nutpie counts the steps of kept draws; a warm-up draw takes about as many.
    all_draws = (settings["draws"] + settings["tune"]) / settings["draws"]
    assert float(fit.sample_stats["n_steps"].sum()) * all_draws / worst < 11.0


@pytest.mark.slow
def test_a_card_is_compiled_once_to_a_short_function(chinchilla_runs, tmp_path, monkeypatch):
    """Once over repeated fits, and cached for later sessions."""
    statements: list[int] = []

    def counted(graph):
        source, constants = source_of(graph)
        statements.append(source.count("\n"))
        return source, constants

    source_of = kernel.source_of
    monkeypatch.setattr(kernel, "source_of", counted)
    monkeypatch.setenv("BAYESCALE_CACHE_DIR", str(tmp_path))
    samplers._compiled_card.cache_clear()
    cuts = ["1e20", "3e20"]
    options = {"seed": 1, "draws": 50, "progress": False}
    found = bs.leave_scale_out(
        chinchilla_runs, ["chinchilla", "coupled-discrepancy"], cuts, **options
    )
    assert found.table["elpd"].notna().sum() == 4
    # The log density and its gradient, of each card.
    of_card, of_default_card = statements
    assert of_card < 235
    assert of_default_card < 690
    found = subprocess.run(
        [sys.executable, "-c", FIT_SOMETHING],
        env={**os.environ, "BAYESCALE_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"pymc", "pytensor"}.isdisjoint(found.stdout.split())


def test_the_package_alone_imports_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import bayescale; print(*set(sys.modules) - before)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = {name.split(".")[0] for name in found.stdout.split()} - set(sys.stdlib_module_names)
    assert others == {"bayescale", "lazy_loader"}
