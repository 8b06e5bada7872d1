"""Figures, one function each, drawn on Axes that are given or made."""

from bayescale.plots.coupling import coupling
from bayescale.plots.cross_regret import cross_regret
from bayescale.plots.elasticities import elasticities
from bayescale.plots.frontier import frontier
from bayescale.plots.isoflop import isoflop
from bayescale.plots.optimum import optimal_size
from bayescale.plots.parameters import parameters
from bayescale.plots.regret import regret
from bayescale.plots.residuals import residuals
from bayescale.plots.scores import scores

__all__ = [
    "coupling",
    "cross_regret",
    "elasticities",
    "frontier",
    "isoflop",
    "optimal_size",
    "parameters",
    "regret",
    "residuals",
    "scores",
]
