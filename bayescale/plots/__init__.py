"""Figures, one function each, drawn on given or new Axes."""

from bayescale.plots._allocation_bands import optimal_size, tokens_per_param
from bayescale.plots._backtest import backtest
from bayescale.plots._baselines import baseline
from bayescale.plots._coupling import coupling
from bayescale.plots._coverage import coverage
from bayescale.plots._cross_regret import cross_regret
from bayescale.plots._curves import curve
from bayescale.plots._decision_prior import decision_prior
from bayescale.plots._elasticities import elasticities
from bayescale.plots._expanding_window import expanding_window
from bayescale.plots._floors import forecast_by_floor
from bayescale.plots._forecasts import forecast, forecast_run
from bayescale.plots._forest import forest
from bayescale.plots._frontier import frontier
from bayescale.plots._held_out import fitted_runs, held_out
from bayescale.plots._intervals import (
    data_mixture,
    forecast_scores,
    preregistration,
    requirements,
    token_quality,
    two_step,
)
from bayescale.plots._isoflop import isoflop
from bayescale.plots._multiverse import multiverse
from bayescale.plots._pairs import pairs
from bayescale.plots._parameters import parameters
from bayescale.plots._proposed_runs import comparison_runs, first_sweep, next_runs
from bayescale.plots._ranks import ranks
from bayescale.plots._reconcile import reconcile_exponents
from bayescale.plots._regret import regret
from bayescale.plots._residuals import residuals
from bayescale.plots._scores import scores
from bayescale.plots._speedup import speedup

__all__ = [
    "backtest",
    "baseline",
    "comparison_runs",
    "coupling",
    "coverage",
    "cross_regret",
    "curve",
    "data_mixture",
    "decision_prior",
    "elasticities",
    "expanding_window",
    "first_sweep",
    "fitted_runs",
    "forecast",
    "forecast_by_floor",
    "forecast_run",
    "forecast_scores",
    "forest",
    "frontier",
    "held_out",
    "isoflop",
    "multiverse",
    "next_runs",
    "optimal_size",
    "pairs",
    "parameters",
    "preregistration",
    "ranks",
    "reconcile_exponents",
    "regret",
    "requirements",
    "residuals",
    "scores",
    "speedup",
    "token_quality",
    "tokens_per_param",
    "two_step",
]
