"""The figure of each kind of result: what its `plot` draws."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from matplotlib.axes import Axes

from bayescale import plots
from bayescale.allocation.data_mixture import DataMixture
from bayescale.allocation.required_input import RequiredInput
from bayescale.allocation.requirements import Requirements
from bayescale.allocation.result import Allocation
from bayescale.allocation.speedup_result import Speedup
from bayescale.allocation.token_quality import TokenQuality
from bayescale.baselines.frontier import Frontier
from bayescale.decision.cross_regret import CrossRegret
from bayescale.decision.result import Decision
from bayescale.experiment_design.comparison_runs import ComparisonRuns
from bayescale.experiment_design.result import NextRuns
from bayescale.experiment_design.sweep_result import FirstSweep
from bayescale.forecasting.result import Forecast
from bayescale.forecasting.two_step import TwoStep
from bayescale.posterior.average import ModelAverage
from bayescale.posterior.fit import Fit
from bayescale.records.history import ForecastScores
from bayescale.records.preregistration import Preregistration
from bayescale.schedules.result import RunForecast
from bayescale.sensitivity.expanding_window import ExpandingWindow
from bayescale.sensitivity.floors import ForecastByFloor
from bayescale.sensitivity.multiverse import Multiverse
from bayescale.sensitivity.reconcile import ExponentReconciliation
from bayescale.validation.backtest import Backtest
from bayescale.validation.result import Comparison
from bayescale.validation.sbc import Sbc
from bayescale.validation.scales import ScalesLeftOut
from bayescale.validation.scored import Score

DRAWS = 500
"""Number of draws behind a band: the Monte Carlo error of its ends is a line width or two."""


def posterior(found: Fit | ModelAverage, ax: Axes | None = None, **options: Any) -> Axes:
    """Draw the law with its runs: as a curve, over budgets, or as runs against predictions.

    A law of one input is drawn by `bayescale.plots.curve`; one that splits a budget by
    `bayescale.plots.frontier`, if its other inputs are given (``fixed``); any other by
    `bayescale.plots.fitted_runs`. Options are those of that function.
    """
    thinned = found.thin(DRAWS)
    if len(found.columns) == 1:
        return plots.curve(thinned, ax=ax, **options)
    split = set(found.law.inputs) <= {"n_params", "n_tokens"} | set(options.get("fixed") or {})
    if found.law.splits_compute and (split or "fixed" in options):
        return plots.frontier(thinned, ax=ax, **options)
    return plots.fitted_runs(thinned, ax=ax, **options)


def allocation(plan: Allocation, ax: Axes | None = None, **options: Any) -> Axes:
    """Draw the compute-optimal size against the budget, as `bayescale.plots.optimal_size`."""
    thinned = plan.source.thin(DRAWS)
    return plots.optimal_size(thinned, plan.budgets, ax, **{**plan.terms, **options})


FIGURES: Mapping[type, Callable[..., Axes]] = MappingProxyType(
    {
        Fit: posterior,
        ModelAverage: posterior,
        Allocation: allocation,
        Decision: plots.regret,
        CrossRegret: plots.cross_regret,
        Requirements: plots.requirements,
        RequiredInput: plots.requirements,
        Speedup: plots.speedup,
        TokenQuality: plots.token_quality,
        DataMixture: plots.data_mixture,
        NextRuns: plots.next_runs,
        ComparisonRuns: plots.comparison_runs,
        FirstSweep: plots.first_sweep,
        TwoStep: plots.two_step,
        Forecast: plots.forecast,
        RunForecast: plots.forecast_run,
        Preregistration: plots.preregistration,
        ForecastScores: plots.forecast_scores,
        Score: plots.held_out,
        ScalesLeftOut: plots.coverage,
        Sbc: plots.ranks,
        Backtest: plots.backtest,
        Comparison: plots.scores,
        ExponentReconciliation: plots.reconcile_exponents,
        ExpandingWindow: plots.expanding_window,
        Multiverse: plots.multiverse,
        ForecastByFloor: plots.forecast_by_floor,
        Frontier: plots.baseline,
    }
)
"""The function that draws each kind of result."""


def draw(result: object, ax: Axes | None = None, **options: Any) -> Axes:
    """Draw the figure of a result, by its class.

    Raises
    ------
    TypeError
        If no figure is listed for its class.
    """
    for kind in type(result).__mro__:
        if kind in FIGURES:
            return FIGURES[kind](result, ax=ax, **options)
    known = ", ".join(sorted(each.__name__ for each in FIGURES))
    raise TypeError(f"plot: found {type(result).__name__}, expected one of {known}.")
