"""Figures, one function each, drawn on Axes that are given or made."""

from bayescale.plots.backtest import backtest
from bayescale.plots.baselines import baseline
from bayescale.plots.coupling import coupling
from bayescale.plots.coverage import coverage
from bayescale.plots.cross_regret import cross_regret
from bayescale.plots.curves import curve
from bayescale.plots.decision_prior import decision_prior
from bayescale.plots.elasticities import elasticities
from bayescale.plots.expanding_window import expanding_window
from bayescale.plots.fans import tokens_per_param
from bayescale.plots.floors import forecast_by_floor
from bayescale.plots.forecasts import forecast, forecast_run
from bayescale.plots.forest import forest
from bayescale.plots.frontier import frontier
from bayescale.plots.held_out import fitted_runs, held_out
from bayescale.plots.intervals import (
    forecast_scores,
    preregistration,
    requirements,
    two_step,
)
from bayescale.plots.isoflop import isoflop
from bayescale.plots.multiverse import multiverse
from bayescale.plots.optimum import optimal_size
from bayescale.plots.pairs import pairs
from bayescale.plots.parameters import parameters
from bayescale.plots.proposed_runs import first_sweep, next_runs
from bayescale.plots.ranks import ranks
from bayescale.plots.reconcile import reconcile_exponents
from bayescale.plots.regret import regret
from bayescale.plots.residuals import residuals
from bayescale.plots.scores import scores
from bayescale.plots.speedup import speedup

__all__ = [
    "backtest",
    "baseline",
    "coupling",
    "coverage",
    "cross_regret",
    "curve",
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
    "tokens_per_param",
    "two_step",
]
