"""Every kind of model with every verb: a plausible result, or a refusal with a reason.

New cards are included automatically, a new verb by a line of `VERBS`.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from contract.fits import DRAWS, NOISE, few_draws, fit_of_card, laplace_posterior, models
from matplotlib.figure import Figure

import bayescale as bs
from bayescale.model.noise import NOISES
from bayescale.posterior.export import export_fit

BUDGET = 1e22
NAMES = list(models())

# Fits of few draws, which are quick, fail the gate on effective sample size.
pytestmark = pytest.mark.filterwarnings("ignore:THIS FIT FAILED ITS GATES")
each = pytest.mark.parametrize("name", NAMES)


def fixed_inputs(fit: bs.Fit) -> dict[str, float]:
    """Return values of inputs other than size and tokens, from the middle of the runs."""
    own = {"n_params", "n_tokens", "n_steps"}
    if not fit.law.splits_compute:
        return {}
    return {n: float(np.median(values)) for n, values in fit.inputs.items() if n not in own}


def centre_of(fit: bs.Fit) -> dict[str, float]:
    """Return the geometric centre of the runs, by column."""
    return {fit.columns[n]: float(np.exp(np.log(x).mean())) for n, x in fit.inputs.items()}


@cache
def of_first_levels(fit: bs.Fit) -> bs.Fit:
    """Return the fit at the level of the first run, for every grouping column that is no input."""
    inputs = set(fit.columns.values())
    named = [c for c in fit.groupings if not inputs & set(c.split("+"))]
    first = {c: str(fit.levels(c).labels[0]) for c in named}
    return fit.sel(**first) if first else fit


def check_predict(fit: bs.Fit) -> None:
    # At no run's size, which may have an effect that is more certain than the mean of the law.
    at = {column: 1.05 * amount for column, amount in centre_of(fit).items()}
    draws = bs.predict(fit, inputs=at)
    loss = draws[fit.response]
    typical = float(np.median(fit.runs.column(fit.response)))
    assert 0.05 * typical < float(loss.median()) < 20 * typical
    # A run has noise about the law.
    assert float(draws[f"{fit.response}_run"].std()) > 0.9 * float(loss.std())


def check_allocate(fit: bs.Fit) -> None:
    plan = bs.allocate(fit, budget=BUDGET, fixed=fixed_inputs(fit))
    best = plan.recommended.iloc[0]
    spent = plan.cost(best["n_params"], best["n_tokens"])
    assert float(spent) == pytest.approx(BUDGET, rel=1e-6)
    # At the median optimum no other size of the same budget has a lower median loss.
    draws = plan.draws
    assert float((draws["loss_plan"] - draws["loss_opt"]).min()) > -1e-9 * float(
        draws["loss_opt"].max()
    )
    assert plan.table().shape[0] == 1 and str(plan) and plan._repr_html_()


def check_needed(fit: bs.Fit) -> None:
    if not fit.law.splits_compute:
        check_required_input(fit)
        return
    fixed = fixed_inputs(fit)
    size = float(np.median(fit.inputs["n_params"])) if "n_params" in fit.inputs else 1e9
    found = bs.requirements(fit, n_params=size, fixed=fixed)
    assert found.draws["n_params"].to_numpy() == pytest.approx(size)
    loss = float(found.draws["loss"].median())
    back = bs.requirements(fit, loss=loss, fixed=fixed)
    log_n = float(np.log(back.draws["n_params"].median()))
    assert log_n == pytest.approx(np.log(size), abs=0.3)
    assert str(found) and not found.table().empty


def check_required_input(fit: bs.Fit) -> None:
    """Use the response at the centre, which has the centre as its solution."""
    centre = centre_of(fit)
    target = float(bs.predict(fit, inputs=centre)[fit.response].median())
    column, *others = centre
    found = bs.requirements(fit, loss=target, fixed={name: centre[name] for name in others})
    amount = float(found.draws[column].median())
    assert np.log(amount) == pytest.approx(np.log(centre[column]), abs=0.3)
    assert str(found) and found._repr_html_() and not found.table().empty


def check_decide(fit: bs.Fit) -> None:
    made = bs.decide(fit, budget=BUDGET, plans={"small": ("1B", "20B")}, fixed=fixed_inputs(fit))
    table = made.table()
    assert 0.0 <= table["regret"].iloc[0] < 0.5
    assert set(made.sentences_on_sizes) <= set(made.sentences)
    assert str(made) and made._repr_html_()
    bs.plots.regret(made, Figure().subplots())


def check_speedup(fit: bs.Fit) -> None:
    """Compare the fit with itself, with independent draws, and its levels if it has several."""
    asked = {"budget": BUDGET, "fixed": fixed_inputs(fit)}
    found = bs.speedup({"one": fit, "two": fit}, baseline="one", **asked)
    assert 0.1 < float(found.draws.median()) < 10.0
    assert 0.2 < float(found.p_better.squeeze()) < 0.8
    assert str(found) and found._repr_html_() and not found.to_frame().empty
    bs.plots.speedup(found, ax=Figure().subplots())
    inputs = set(fit.columns.values())
    for column in (c for c in fit.groupings if not inputs & set(c.split("+"))):
        first, second = map(str, fit.levels(column).labels[:2])
        whole = replace(fit, groups={c: x for c, x in fit.groups.items() if c != column})
        levels = bs.speedup(whole, by=column, baseline=first, recipes=[second], **asked)
        assert levels.is_paired and np.isfinite(levels.draws.to_numpy()).any()


def check_next_runs(fit: bs.Fit) -> None:
    found = bs.next_runs(fit, target=BUDGET, budget=1e20, n_runs=2, fixed=fixed_inputs(fit))
    assert 1 <= len(found.runs) <= 2
    assert found.compute <= 1e20 * (1 + 1e-6)
    assert str(found)


def check_score(fit: bs.Fit) -> None:
    linked = fit.model.noise.checkpoints
    if linked and linked.alike is None:
        # Fitted checkpoints cannot be predicted from themselves.
        with pytest.raises(bs.RunsError, match="for two checkpoints of the run"):
            bs.score(fit, fit.runs)
        return
    found = bs.score(fit, fit.runs)
    # In-sample, on runs simulated from the model.
    assert found.rmsle < 1.5 * NOISE
    assert np.isfinite(found.elpd)


def check_elasticities(fit: bs.Fit) -> None:
    table = bs.elasticities(fit)
    ends = [c for c in table.columns if c.endswith(("_lower", "_upper"))]
    assert len(ends) == 2 * len(fit.columns)
    assert np.isfinite(table[ends].to_numpy()).all()


def check_summary(fit: bs.Fit) -> None:
    table = fit.summary()
    assert set(fit.law.parameters) <= set(table.index)
    assert (table["lower"] <= table["median"]).all() and (table["median"] <= table["upper"]).all()
    assert table["meaning"].str.len().min() > 3
    assert fit.model.id in repr(fit) and fit._repr_html_()


def check_coefficients(fit: bs.Fit) -> None:
    if fit.model.grouping and not fit.groups:
        return
    found = fit.coefficients()
    at = {name: np.exp(np.log(values).mean()) for name, values in fit.inputs.items()}
    of_law = fit.law.evaluate(**at, **found)
    predicted = bs.predict(fit, inputs=centre_of(fit))[fit.response].median()
    assert float(of_law) == pytest.approx(float(predicted), rel=0.02)


def check_tables(fit: bs.Fit) -> None:
    table = fit.to_dataframe()
    assert len(table) == fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    tree = fit.to_datatree()
    assert {"posterior", "sample_stats", "log_likelihood"} <= set(tree.children)
    likelihood = tree["log_likelihood"][f"log_{fit.response}"]
    assert likelihood.sizes["run"] == len(fit.runs)
    assert np.isfinite(likelihood.to_numpy()).all()


def check_forecasts(fit: bs.Fit) -> None:
    """Forecast the first fitted run, which must be inside its interval."""
    first = fit.runs.where(np.arange(len(fit.runs)) == 0)
    name = str(first.table["run"].iloc[0])
    at = {column: float(first.column(column)[0]) for column in fit.columns.values()}
    (row,) = bs.score_forecasts(bs.preregister(fit, {name: at}), first).table().itertuples()
    assert abs(row.error) < 0.5
    assert 0.0 < row.crps < 0.5


VERBS: dict[str, Callable[[bs.Fit], None]] = {
    "predict": check_predict,
    "allocate": check_allocate,
    "needed": check_needed,
    "decide": check_decide,
    "speedup": check_speedup,
    "next_runs": check_next_runs,
    "score": check_score,
    "elasticities": check_elasticities,
    "summary": check_summary,
    "coefficients": check_coefficients,
    "tables": check_tables,
    "forecasts": check_forecasts,
}
OF_PLANS = {"allocate", "decide", "speedup", "next_runs"}
"""Verbs that split a budget, which are refused for laws that do not."""


@pytest.fixture
def drawn_but_not_written(monkeypatch):
    """Draw the figures of notebooks without rendering them, which `test_results` does."""

    def empty(figure, file, **options):
        file.write("<svg></svg>")

    monkeypatch.setattr(Figure, "savefig", empty)


@pytest.mark.parametrize("verb", VERBS)
@each
def test_a_verb_answers_or_is_refused(name, verb, drawn_but_not_written):
    fit = few_draws(fit_of_card(name), 100)
    if verb in OF_PLANS and not fit.law.splits_compute:
        with pytest.raises(bs.UnsuitableLawError, match=f"The law {fit.law.name} is one of"):
            VERBS[verb](fit)
        return
    VERBS[verb](of_first_levels(fit))
    if fit.groupings:
        VERBS[verb](fit)


@pytest.mark.parametrize("verb", ["allocate", "needed", "decide"])
@pytest.mark.parametrize("name", ["data-constrained", "mixture-of-experts", "kaplan-ns"])
def test_an_input_that_is_not_fixed_is_asked_for(name, verb):
    ask = {
        "allocate": lambda fit: bs.allocate(fit, budget=BUDGET),
        "needed": lambda fit: bs.requirements(fit, loss=2.5),
        "decide": lambda fit: bs.decide(fit, budget=BUDGET),
    }[verb]
    with pytest.raises(bs.AmountError, match=r"also takes .* expected its value. Give fixed="):
        ask(fit_of_card(name))


@each
def test_a_fit_is_saved_and_loaded_as_it_is(name, tmp_path):
    fit = of_first_levels(fit_of_card(name))
    fit.save(tmp_path / "fit.nc")
    loaded = bs.load_fit(tmp_path / "fit.nc", law=fit.law.name)
    assert loaded.posterior.identical(fit.posterior)
    assert loaded.model == fit.model and loaded.scale == fit.scale
    assert dict(loaded.groups) == dict(fit.groups)
    pd.testing.assert_frame_equal(loaded.runs.table, fit.runs.table)
    pd.testing.assert_frame_equal(loaded.summary(), fit.summary())


@each
def test_a_fit_is_exported(name, tmp_path):
    fit = few_draws(fit_of_card(name))
    for suffix in (".csv", ".parquet", ".nc", ".json"):
        path = tmp_path / f"draws{suffix}"
        export_fit(fit, path)
        assert path.stat().st_size > 100
    facts = json.loads((tmp_path / "draws.json").read_text(), parse_constant=pytest.fail)
    assert facts["law"] == fit.law.name
    assert pd.read_csv(tmp_path / "draws.csv").shape[0] == 160


def plots_of(fit: bs.Fit) -> dict[str, tuple[Callable[[], object], bool]]:
    """Return the figures of one fit by name, and whether each applies to its law."""
    fixed = fixed_inputs(fit)
    splits = fit.law.splits_compute

    def axes() -> object:
        return Figure().subplots()

    return {
        "parameters": (lambda: bs.plots.parameters(fit), True),
        "ridge": (lambda: bs.plots.pairs(fit), len(fit.law.parameters) > 1),
        "residuals": (lambda: bs.plots.residuals(fit, axes()), len(fit.columns) <= 2),
        "curve": (lambda: bs.plots.curve(fit, ax=axes()), len(fit.columns) == 1),
        "isoflop": (lambda: bs.plots.isoflop(fit, ax=axes(), fixed=fixed), splits),
        "frontier": (lambda: bs.plots.frontier(fit, [BUDGET], ax=axes(), fixed=fixed), splits),
        "optimal_size": (
            lambda: bs.plots.optimal_size(fit, [BUDGET], ax=axes(), fixed=fixed),
            splits,
        ),
        "tokens_per_param": (
            lambda: bs.plots.tokens_per_param(fit, [BUDGET], ax=axes(), fixed=fixed),
            splits,
        ),
        "decision_prior": (
            lambda: bs.plots.decision_prior(fit, BUDGET, ax=axes(), fixed=fixed),
            splits,
        ),
        "elasticities": (
            lambda: bs.plots.elasticities(bs.elasticities({"it": fit}), axes()),
            {"n_params", "n_tokens"} <= set(fit.law.inputs),
        ),
        "coupling": (lambda: bs.plots.coupling(fit, ax=axes()), fit.law.name == "coupled"),
        "forest": (
            lambda: bs.plots.forest(fit, BUDGET if splits else None, fixed=fixed),
            bool(fit.model.grouping),
        ),
    }


@each
def test_a_figure_is_drawn_or_is_refused(name):
    import matplotlib.pyplot as plt

    fit = few_draws(fit_of_card(name))
    with mpl.rc_context({"backend": "agg"}):
        for what, (draw, fits) in plots_of(fit).items():
            if fits:
                assert draw() is not None, what
            else:
                refused = bs.CardError if what == "forest" else bs.UnsuitableLawError
                with pytest.raises(refused):
                    draw()
            plt.close("all")


@pytest.fixture
def without_sampler(monkeypatch):
    """Replace refits by the Laplace approximation."""

    def refit(model, runs, *, seed=None, **options):
        return laplace_posterior(model, runs, seed=seed or 0)

    for module in ("leave_one_out", "score"):
        monkeypatch.setattr(f"bayescale.validation.{module}.fit_quietly", refit)


@each
def test_a_law_is_compared(name, without_sampler):
    fit = fit_of_card(name)
    found = bs.compare({name: fit}, folds=2, progress=False)
    assert str(found) and found.headline
    assert list(found.table().index) == [name]
    assert np.isfinite(found.table().select_dtypes("number").to_numpy()).any()


def test_every_kind_of_noise_is_among_the_models():
    kinds = {model.noise.kind for model in models().values()}
    assert kinds == set(NOISES)
    for part in ("growth", "checkpoints", "inefficiency", "standard_error", "rounding", "censored"):
        assert any(getattr(model.noise, part) for model in models().values()), part
    assert {len(model.groupings) for model in models().values()} == {0, 1, 2}
    assert NOISE < 0.01 < DRAWS
