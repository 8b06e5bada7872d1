"""Figures, one function each, drawn on Axes that are given or made."""

from bayescale.plots.frontier import frontier
from bayescale.plots.isoflop import isoflop
from bayescale.plots.optimum import optimal_size
from bayescale.plots.parameters import parameters
from bayescale.plots.regret import regret

__all__ = ["frontier", "isoflop", "optimal_size", "parameters", "regret"]
