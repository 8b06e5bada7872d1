"""The optimum of each budget by the classical estimators, with the power law through them."""

import numpy as np
from matplotlib.axes import Axes

from bayescale.baselines.frontier import Frontier
from bayescale.plots.style import (
    BLUE,
    GREY,
    compute_axis,
    count_axis,
    legend_above,
    log_grid,
    new_axes,
    tidy,
)
from bayescale.units import format_share

_MARGIN = 3.0
"""Factor by which the line exceeds the range of budgets."""


def baseline(found: Frontier, ax: Axes | None = None) -> Axes:
    """Draw the optimal size of each budget with its interval, and the power law through them.

    Parameters
    ----------
    found
        Result of `bayescale.isoflop_parabolas` or `bayescale.envelope`.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> budgets = ["6e18", "1e19", "3e19", "6e19"]
    >>> found = bs.isoflop_parabolas(runs, budgets=budgets, width=4, drop_edges=True)
    >>> bs.plots.baseline(found).get_ylabel()
    'compute-optimal parameters N_opt'
    """
    ax = new_axes(ax)
    table, share = found.budgets, format_share(found.prob)
    at = table.index.to_numpy(dtype=float)
    grid = log_grid(at.min() / _MARGIN, at.max() * _MARGIN)
    line = found.at(grid.tolist())
    lower, middle, upper = (line[name].to_numpy() for name in _columns("n_opt"))
    ax.fill_between(
        grid, lower, upper, color=BLUE, alpha=0.22, linewidth=0, label=f"power law, {share}"
    )
    ax.plot(grid, middle, color=BLUE, linewidth=1.5)
    low, _, high = (table[name].to_numpy(dtype=float) for name in _columns("n_opt"))
    if np.isfinite(low).all():
        ax.vlines(at, low, high, color=GREY, linewidth=1.6)
    ax.plot(at, table["n_opt"], "o", color="black", markersize=5, label="optimum of one budget")
    ax.set_xscale("log")
    ax.set_yscale("log")
    compute_axis(ax.xaxis)
    count_axis(ax.yaxis)
    ax.set_xlabel(f"training compute C ({found.cost.unit})")
    ax.set_ylabel("compute-optimal parameters N_opt")
    legend_above(ax)
    tidy(ax)
    return ax


def _columns(name: str) -> tuple[str, str, str]:
    return f"{name}_lower", name, f"{name}_upper"
