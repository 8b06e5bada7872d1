"""NumPyro: the same density in JAX, and the same posterior."""

import _thread
import builtins
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.backend.observed import Design
from bayescale.cli.main import main
from bayescale.errors import MissingExtraError, SamplingError, UnknownNameError
from bayescale.inference import samplers
from bayescale.inference.base import STATISTICS, Settings
from bayescale.inference.samplers import compiled_logp

jax = pytest.importorskip("jax", reason="the extra `jax` is not installed")
pytest.importorskip("numpyro", reason="the extra `jax` is not installed")

SHORT = Settings(draws=30, tune=40, chains=2, cores=2, seed=1)


@pytest.fixture(scope="module")
def engine(chinchilla_runs):
    """The lowered log density of the reference problem, and its data."""
    model = bs.load_model("chinchilla")
    return compiled_logp(model, sampler="numpyro"), Design.of(model, chinchilla_runs).matrix


def same_posterior(one: bs.Fit, other: bs.Fit) -> None:
    for name in one.quantities.data_vars:
        a, b = one.quantities[name], other.quantities[name]
        if a.ndim > 2:
            continue
        if min(a.min(), b.min()) > 0:  # the sd of a coefficient is dominated by few draws
            a, b = np.log(a), np.log(b)
        sd = float(a.std())
        effective = min(f.diagnostics.table["ess_bulk"].min() for f in (one, other))
        error = sd * np.sqrt(2 / effective)
        assert float(b.mean()) == pytest.approx(float(a.mean()), abs=4 * error), name
        # Of the bulk, since the sd of the log of a floor near zero is dominated by few draws.
        bulk, other_bulk = (float(np.ptp(np.quantile(x, [0.1, 0.9]))) for x in (a, b))
        assert other_bulk == pytest.approx(bulk, rel=0.15), name


@pytest.mark.slow
def test_the_posterior_is_that_of_nutpie(fit, chinchilla_runs):
    found = bs.fit(chinchilla_runs, "chinchilla", seed=2, sampler="numpyro", progress=False)
    assert found.diagnostics.ok, found.diagnostics.messages
    same_posterior(fit, found)
    assert found.provenance["sampler"]["name"].startswith("NumPyro NUTS, dense metric, on ")
    assert {"jax", "numpyro", "pymc"} <= set(found.provenance["versions"])
    assert fit.provenance["sampler"]["name"].startswith("nutpie")
    assert found.sample_stats.sizes == fit.sample_stats.sizes
    # Equal tree depths: the mass matrix fits the posterior.
    assert float(found.sample_stats["n_steps"].mean()) < 15
    again = bs.fit(chinchilla_runs, "chinchilla", seed=2, sampler="numpyro", progress=False)
    assert again.posterior.identical(found.posterior)


@pytest.mark.slow
def test_the_posterior_with_a_discrepancy_is_that_of_nutpie(chinchilla_runs):
    # Half of the runs and no effects of sizes, for speed.
    some = chinchilla_runs.where(np.arange(len(chinchilla_runs)) % 2 == 0, "every other run")
    model = replace(bs.load_model("coupled-discrepancy"), pooling=(), id="no effects")
    one, other = (
        bs.fit(some, model, seed=1, sampler=sampler, progress=False)
        for sampler in ("nutpie", "numpyro")
    )
    same_posterior(one, other)


@pytest.mark.slow
def test_other_data_of_one_shape_compile_nothing(engine):
    lowered, data = engine
    traced = []

    def counted(position, matrix):
        traced.append(matrix.shape)
        return lowered._logp(position, matrix)

    watched = replace(lowered, _logp=counted)
    draws, stats = watched.sample(data, SHORT)
    assert set(stats.data_vars) == set(STATISTICS)
    assert stats["n_steps"].min() >= 1
    assert draws["loss_ref"].shape == (2, 30)
    before = len(traced)
    assert before > 0
    moved = data.copy()
    moved[2] += 0.1
    others, _ = watched.sample(moved, replace(SHORT, seed=2))
    assert len(traced) == before
    assert others["loss_ref"].mean() - draws["loss_ref"].mean() > 0.02


@pytest.mark.slow
def test_the_draws_do_not_depend_on_the_cores(engine):
    lowered, data = engine
    one, _ = lowered.sample(data, replace(SHORT, cores=1))
    two, _ = lowered.sample(data, SHORT)
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name])
    assert not np.array_equal(one["loss_ref"][0], one["loss_ref"][1])


@pytest.mark.slow
def test_chains_in_step_draw_the_same_posterior(engine, monkeypatch):
    """The vectorised chains of an accelerator, run on the CPU."""
    lowered, data = engine
    settings = replace(SHORT, tune=300, draws=500, chains=4)
    apart, _ = lowered.sample(data, settings)
    with monkeypatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "gpu")
        together, stats = lowered.sample(data, settings)
    assert not stats["diverging"].any()
    for name, values in apart.items():
        assert together[name].mean() == pytest.approx(values.mean(), abs=0.3 * values.std()), name


@pytest.mark.slow
def test_progress_counts_up_and_an_interrupt_leaves_the_engine_usable(engine):
    lowered, data = engine
    seen = []
    lowered.sample(data, SHORT, lambda *done: seen.append(done))
    assert seen == [(50, 140), (100, 140), (140, 140)]
    timer = threading.Timer(1.0, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        lowered.sample(data, replace(SHORT, draws=10_000_000))
    timer.join()
    assert lowered.sample(data, SHORT)[0]["loss_ref"].shape == (2, 30)


@pytest.mark.slow
def test_a_sampler_that_cannot_start_says_why(engine):
    lowered, data = engine[0], engine[1].copy()
    with pytest.raises(ValueError, match="found 2 rows, expected 3"):
        lowered.sample(data[:2], SHORT)
    data[2, 0] = np.nan
    with pytest.raises(SamplingError, match=r"The sampler stopped: none of .*log density is nan"):
        lowered.sample(data, SHORT)


@pytest.mark.slow
def test_a_law_with_several_modes():
    size, steps = (
        a.ravel() for a in np.meshgrid(np.geomspace(1e7, 2e9, 6), np.geomspace(2e3, 1e5, 12))
    )
    truth = {"N_c": 1e16, "S_c": 600.0, "alpha_N": 0.06, "alpha_S": 0.76}
    loss = bs.law("kaplan-ns-min").evaluate(n_params=size, n_steps_min=steps, **truth)
    noise = 0.003 * np.random.default_rng(1).standard_normal(len(size))
    runs = pd.DataFrame({"n_params": size, "n_steps": steps, "loss": loss * np.exp(noise)})
    found = bs.fit(runs, "kaplan-ns-min", seed=1, sampler="numpyro", progress=False)
    assert found.diagnostics.ok, found.diagnostics.messages
    assert any("alpha_S above alpha_N" in remark for remark in found.diagnostics.remarks)


@pytest.mark.slow
def test_the_precision_of_others_is_left_as_it_is():
    code = """
import jax, numpy as np, bayescale as bs
from bayescale.inference.samplers import compiled_logp
compiled = compiled_logp(bs.load_model("power-law"), sampler="numpyro")
assert compiled.log_density(compiled.start, np.ones((2, 3)))[1].dtype == "float64"
print(jax.config.jax_enable_x64, jax.numpy.ones(1).dtype)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "float32"]


def test_without_numpyro_the_extra_is_named(monkeypatch, capsys):
    samplers._compiled_card.cache_clear()
    real = builtins.__import__

    def without(name, *rest, **named):
        if name == "numpyro":
            raise ModuleNotFoundError("No module named 'numpyro'", name=name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r'pip install "bayescale\[jax\]"') as refused:
        bs.fit("chinchilla", "chinchilla", sampler="numpyro", progress=False)
    assert isinstance(refused.value, ImportError)
    command = ["fit", "chinchilla", "--model", "chinchilla", "--sampler", "numpyro", "--quiet"]
    assert main(command) == 2
    assert 'pip install "bayescale[jax]"' in capsys.readouterr().err


def test_an_unknown_sampler_is_refused():
    with pytest.raises(UnknownNameError, match=r"no sampler called 'numpyr'.*mean 'numpyro'"):
        bs.fit("chinchilla", "chinchilla", sampler="numpyr", progress=False)


@pytest.mark.slow
def test_the_command(capsys):
    command = ["fit", "chinchilla", "--model", "chinchilla", "--sampler", "numpyro", "--seed", "1"]
    assert main([*command, "--draws", "200", "--json"]) == 0
    assert "NumPyro NUTS" in capsys.readouterr().out


@pytest.mark.slow
def test_its_draws_can_be_kept_too(engine, chinchilla_runs, tmp_path):
    compiled, matrix = engine
    kept: list[tuple[int, int, int]] = []

    def keep(chain, first, draws, statistics):
        rows = len(statistics["energy"])
        assert all(len(values) == rows for values in draws.values())
        assert set(statistics) == set(STATISTICS)
        kept.append((chain, first, rows))

    compiled.sample(matrix, SHORT, keep=keep)
    for chain in range(SHORT.chains):
        # Each draw once, independent of chunks; no warm-up draws.
        parts = [(first, rows) for c, first, rows in kept if c == chain]
        ends = [first + rows for first, rows in parts]
        assert [first for first, _ in parts] == [0, *ends[:-1]] and ends[-1] == SHORT.draws
    path = tmp_path / "draws"
    options = {"draws": 100, "seed": 3, "sampler": "numpyro", "progress": False}
    found = bs.fit(chinchilla_runs, "chinchilla", store=path, **options)
    assert found.posterior.equals(bs.fit(chinchilla_runs, "chinchilla", **options).posterior)
    assert bs.load_fit(path).posterior.equals(found.posterior)
    with pytest.raises(bs.FitFileError, match="name: found 'NumPyro"):
        bs.fit(chinchilla_runs, "chinchilla", store=path, **options | {"sampler": "nutpie"})
