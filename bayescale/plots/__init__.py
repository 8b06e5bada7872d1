"""Figures, one function each, drawn on Axes that are given or made."""

from bayescale.plots.choices import multiverse
from bayescale.plots.cuts import rising_cuts
from bayescale.plots.frontier import frontier
from bayescale.plots.isoflop import isoflop
from bayescale.plots.ladder import ladder
from bayescale.plots.optimum import optimal_size
from bayescale.plots.parameters import parameters
from bayescale.plots.regret import regret

__all__ = [
    "frontier",
    "isoflop",
    "ladder",
    "multiverse",
    "optimal_size",
    "parameters",
    "regret",
    "rising_cuts",
]
