"""One result of every class, without a sampler, for tests of the interface of results."""

from collections.abc import Callable, Mapping
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from contract.fits import few_draws, fit_of_card, laplace_posterior
from scipy import stats

import bayescale as bs
from bayescale.schedules.curves import RunCurve

BUDGET = "1e22"
AT = {"n_params": "10B", "n_tokens": "200B"}


@cache
def fit() -> bs.Fit:
    """Return a fit of few draws, which fails its gates."""
    return few_draws(fit_of_card("chinchilla"), 100)


def _of(name: str) -> Callable[[], object]:
    return lambda: few_draws(fit_of_card(name), 100)


def _without_sampler(make: Callable[[], object]) -> object:
    """Return a result of refits, each by the Laplace approximation."""

    def refit(runs, model, *, seed=None, **options):
        return laplace_posterior(model, runs, seed=seed or 0)

    with pytest.MonkeyPatch.context() as patch:
        for module in ("leave_one_out", "score"):
            patch.setattr(f"bayescale.validation.{module}.fit_quietly", refit)
        return make()


def _forecast() -> bs.Forecast:
    examples = np.geomspace(1e3, 1e6, 16)
    curve = pd.DataFrame({"examples": examples, "loss": 0.2 + 3 * examples**-0.3})
    return bs.forecast(curve, to=["2M", "5M"], laws=["power-law"])


def _run_forecast() -> bs.RunForecast:
    short, longer = (bs.Schedule.cosine(3e-4, steps) for steps in (8_000, 16_000))
    step = np.arange(1_000.0, 8_001.0, 1_000.0)
    curve = RunCurve(run="short", schedule=short, step=step, loss=2.5 + 20.0 / step)
    draws = np.random.default_rng(1).normal(2.5, 0.01, (100, 2))
    passed = SimpleNamespace(ok=True, status="All gates passed.")
    law = SimpleNamespace(law=SimpleNamespace(name="annealing"), diagnostics=passed)
    return bs.RunForecast(
        run="long",
        schedule=longer,
        draws=pd.DataFrame(draws, columns=[8_000.0, 16_000.0]),
        fits=(law,),
        curves=(curve,),
        alone=draws[:, -1],
    )


def _forecast_scores() -> bs.ForecastScores:
    run = pd.DataFrame({"run": ["big"], "n_params": 1e10, "n_tokens": 2e11, "loss": 2.2})
    return bs.score_forecasts(bs.preregister(fit(), {"big": AT}), bs.load_runs(run))


def _multiverse() -> bs.Multiverse:
    index = pd.MultiIndex.from_product([["all", "larger"], ["one", "two"]], names=["runs", "law"])
    values = {"log_n": [23.0, 23.2, 23.1, 23.4], "log_n_sd": 0.1, "a": 0.5, "n_runs": 40}
    ends = {f"{name}_{end}": 0.5 for name in ("a", "n_opt") for end in ("lower", "upper")}
    known = {"no_optimum": 0.0, "ok": True, "r_hat": 1.0, "ess": 1e3, "status": "passed"}
    table = pd.DataFrame({**values, **ends, **known}, index=index)
    table["n_opt"] = np.exp(table["log_n"])
    table["shift"] = (table["log_n"] - 23.0) / 0.1
    return bs.Multiverse(table, "mine", 1e24, 0.9)


def _window() -> bs.ExpandingWindow:
    middles = pd.DataFrame({"a": [0.45, 0.5], "n_opt": [5e9, 7e9]}, index=[1e20, np.inf])
    ends = {
        f"{name}_{end}": middles[name] * factor
        for name in middles
        for end, factor in (("lower", 0.9), ("upper", 1.1))
    }
    known = {"log_n": 23.0, "log_n_sd": 0.1, "no_optimum": 0.0, "n_runs": [20, 40]}
    gates = {"ok": True, "r_hat": 1.0, "ess": 1e3, "status": "passed"}
    table = middles.assign(**ends, **known, **gates).rename_axis("cut")
    facts = {"model": "coupled", "runs": "mine", "fingerprint": "0"}
    return bs.ExpandingWindow(table=table, budget=1e24, scale="compute", prob=0.9, **facts)


def _floors() -> bs.ForecastByFloor:
    middles = pd.DataFrame(
        {"floor": [1.7, 1.5, 1.9], "loss": [2.0, 1.95, 2.05]},
        index=pd.Index(["as in the card", "1.50", "1.90"], name="assumed"),
    )
    ends = {
        f"{name}_{end}": middles[name] * factor
        for name in middles
        for end, factor in (("lower", 0.99), ("upper", 1.01))
    }
    known = {"stated": [np.nan, 1.5, 1.9], "distance": [np.nan, -2.0, 2.0], "n_runs": 40}
    gates = {"ok": True, "r_hat": 1.0, "ess": 1e3, "status": "passed"}
    plan = {"n_params": 7e10, "n_tokens": 1.4e12}
    table = middles.assign(**ends, **known, **gates)
    return bs.ForecastByFloor(table, "mine", "loss", plan, None, 0.9)


def _reconciliation() -> bs.ExponentReconciliation:
    index = pd.MultiIndex.from_product(
        [["mine"], ["as run", "recounted"]], names=["ladder", "step"]
    )
    middles = {"a": [0.7, 0.5], "a_lower": [0.65, 0.45], "a_upper": [0.75, 0.55]}
    changes = {"change": [np.nan, -0.2], "change_lower": [np.nan, -0.3]}
    said = {"change_upper": [np.nan, -0.1], "n_runs": 40, "how": "line", "why": "why"}
    table = pd.DataFrame({**middles, **changes, **said}, index=index)
    return bs.ExponentReconciliation(table, {}, (), "mine", 0.9)


def _backtest() -> bs.Backtest:
    middles = {"predicted": [3.0, 2.5], "observed": [3.01, 2.6]}
    ends = {"lower": [2.9, 2.4], "upper": [3.1, 2.55], "inside": [True, False]}
    counts = {"n_train": [10, 20], "n_test": [5, 4], "distance": [0.5, 0.7], "coverage": [1.0, 0.0]}
    known = {"error": [0.003, 0.04], "pit": [0.6, 0.99], "ok": True, "r_hat": 1.0, "ess": 1e3}
    index = pd.Index([1e20, 1e21], name="scale")
    table = pd.DataFrame({**middles, **ends, **counts, **known, "status": "passed"}, index=index)
    return bs.Backtest(table, "coupled", "mine", "0", "compute", 0.9)


def _sbc() -> bs.Sbc:
    places = (np.arange(100) + 0.5) / 100
    ranks = {"E": places, "alpha": stats.beta(0.4, 0.4).ppf(places)}
    sampler = {"effective": 200.0, "divergences": 0, "along_chain": np.arange(100) == 7}
    return bs.Sbc(pd.DataFrame(ranks).round(2), pd.DataFrame(sampler), 100)


def _parabolas() -> bs.Frontier:
    budgets = ["6e18", "1e19", "3e19", "6e19"]
    return bs.isoflop_parabolas("chinchilla", budgets=budgets, width=4, drop_edges=True)


def _comparison_runs() -> bs.ComparisonRuns:
    found = bs.speedup(_of("chinchilla-recipes")(), baseline="c4", budget=BUDGET)
    return bs.comparison_runs(found, budget="1e20", n_runs=2)


def _first_sweep() -> bs.FirstSweep:
    """Search designs on few simulated projects, which is quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayescale.experiment_design.first_sweep._SEARCHED", 60)
        return bs.first_sweep("chinchilla", budget="1e20", target="1e22", simulations=60)


RESULTS: Mapping[type, Callable[[], object]] = {
    bs.Fit: fit,
    bs.ModelAverage: lambda: bs.model_average({"a": fit(), "b": fit()}, {"a": 1.0, "b": 1.0}),
    bs.Allocation: lambda: bs.allocate(fit(), budget=["1e20", BUDGET]),
    bs.Decision: lambda: bs.decide(fit(), budget=BUDGET, plans={"small": ("1B", "20B")}),
    bs.CrossRegret: lambda: bs.cross_regret({"a": fit(), "b": fit()}, budget=BUDGET),
    bs.Requirements: lambda: bs.requirements(fit(), loss=[2.5, 2.3]),
    bs.RequiredInput: lambda: bs.requirements(_of("power-law")(), loss=[30.0, 20.0]),
    bs.Speedup: lambda: bs.speedup({"a": fit(), "b": fit()}, baseline="a", budget=["1e20", BUDGET]),
    bs.TokenQuality: lambda: bs.token_quality(_of("chinchilla-quality")(), baseline="c4"),
    bs.DataMixture: lambda: bs.data_mixture(
        {name: _of("data-mixing-3")() for name in ("web", "code")}, weights={"web": 2, "code": 1}
    ),
    bs.ComparisonRuns: lambda: _comparison_runs(),
    bs.NextRuns: lambda: bs.next_runs(fit(), target=BUDGET, budget="1e20", n_runs=2),
    bs.FirstSweep: lambda: _first_sweep(),
    bs.TwoStep: lambda: bs.two_step(
        fit(), bs.published("gadre2024-refinedweb-error"), n_params="10B", n_tokens="200B"
    ),
    bs.Forecast: _forecast,
    bs.RunForecast: _run_forecast,
    bs.Preregistration: lambda: bs.preregister(fit(), {"big": AT}),
    bs.ForecastScores: _forecast_scores,
    bs.Score: lambda: bs.score(fit(), fit().runs),
    bs.ScalesLeftOut: lambda: _without_sampler(
        lambda: bs.leave_scale_out(fit().runs, ["chinchilla"], ["1e20"], progress=False)
    ),
    bs.Sbc: _sbc,
    bs.Backtest: _backtest,
    bs.Comparison: lambda: _without_sampler(
        lambda: bs.compare({"a": fit_of_card("chinchilla")}, folds=2, progress=False)
    ),
    bs.ExponentReconciliation: _reconciliation,
    bs.ExpandingWindow: _window,
    bs.Multiverse: _multiverse,
    bs.ForecastByFloor: _floors,
    bs.Frontier: _parabolas,
}
"""Functions that return a result of each class."""


@cache
def result_of(kind: type) -> object:
    """Return a result of a class."""
    return RESULTS[kind]()
