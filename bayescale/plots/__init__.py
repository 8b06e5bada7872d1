"""Figures, one function each, drawn on Axes that are given or made."""

from bayescale.plots.choices import multiverse
from bayescale.plots.coupling import coupling
from bayescale.plots.cross_regret import cross_regret
from bayescale.plots.curves import curve
from bayescale.plots.cuts import rising_cuts
from bayescale.plots.elasticities import elasticities
from bayescale.plots.families import forest
from bayescale.plots.fans import tokens_per_param
from bayescale.plots.frontier import frontier
from bayescale.plots.held_out import coverage
from bayescale.plots.isoflop import isoflop
from bayescale.plots.ladder import ladder
from bayescale.plots.optimum import optimal_size
from bayescale.plots.parameters import parameters
from bayescale.plots.prior_posterior import decision_prior
from bayescale.plots.regret import regret
from bayescale.plots.residuals import residuals
from bayescale.plots.ridges import ridge
from bayescale.plots.scores import scores

__all__ = [
    "coupling",
    "coverage",
    "cross_regret",
    "curve",
    "decision_prior",
    "elasticities",
    "forest",
    "frontier",
    "isoflop",
    "ladder",
    "multiverse",
    "optimal_size",
    "parameters",
    "regret",
    "residuals",
    "ridge",
    "rising_cuts",
    "scores",
    "tokens_per_param",
]
