"""The compute-optimal size against the budget, with what papers say."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from bayescale.allocation import optimal_sizes
from bayescale.constants import EmpiricalFrontier, published
from bayescale.costs import Cost, six_nd
from bayescale.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    compute_axis,
    count_axis,
    log_grid,
    new_axes,
    tidy,
)
from bayescale.posterior import Fit
from bayescale.units import format_share

OVERLAYS = ("hoffmann2022-tex", "besiroglu2024-log", "kaplan2020-frontier")

FAN = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles that a fan is drawn through: 50 and 90 % bands about the median."""


def optimal_size(
    fit: Fit,
    compute: np.ndarray | None = None,
    ax: Axes | None = None,
    overlays: Sequence[str] = OVERLAYS,
    cost: Cost = six_nd,
) -> Axes:
    """Draw the fan of N_opt(C): 50 % and 90 % bands, the data range, and published laws.

    Parameters
    ----------
    fit
        A posterior.
    compute
        Budgets to reach and to mark, in FLOP.
    ax
        Where to draw; new Axes unless given.
    overlays
        Names of published constants (`bayescale.published`). Kaplan's frontier is in the
        batch-adjusted C_min, and its label says so.
    cost
        The rule of compute.

    Returns
    -------
    Axes
    """
    ax = new_axes(ax)
    runs = fit.runs
    marked = np.asarray([] if compute is None else compute, dtype=float)
    reach = np.append(marked, runs.compute)
    grid = log_grid(reach.min(), reach.max() * 2)
    ax.axvspan(
        runs.compute.min(),
        runs.compute.max(),
        color=GREY,
        alpha=0.10,
        linewidth=0,
        label="range of the runs",
    )
    low, quarter, middle, three_quarters, high = optimal_sizes(fit, grid, FAN, cost).to_numpy()
    bands = ((0.9, 0.22, low, high), (0.5, 0.4, quarter, three_quarters))
    for prob, alpha, lower, upper in bands:
        ax.fill_between(
            grid,
            lower,
            upper,
            color=BLUE,
            alpha=alpha,
            linewidth=0,
            label=f"{format_share(prob)} of N_opt",
        )
    ax.plot(grid, middle, color=BLUE, linewidth=1.5)
    styles = zip(overlays, (ORANGE, GREEN, PURPLE, "black"), ("--", "-.", ":", "--"), strict=False)
    for name, colour, line in styles:
        constants = published(name)
        if isinstance(constants, EmpiricalFrontier):
            sizes = np.array([constants.at(compute_min=float(c))["n_params"] for c in grid])
            label = f"{name} (in C_min)"
        else:
            sizes = optimal_sizes(constants, grid, [0.5], cost).to_numpy()[0]
            label = name
        ax.plot(grid, sizes, line, color=colour, linewidth=1.3, label=label)
    if len(marked):
        at = optimal_sizes(fit, marked, FAN, cost).to_numpy()
        ax.vlines(marked, at[0], at[-1], color="black", linewidth=2.2)
        ax.plot(marked, at[2], "D", color="black", markersize=5, label="asked budgets, 90 %")
    ax.set_xscale("log")
    ax.set_yscale("log")
    compute_axis(ax.xaxis)
    count_axis(ax.yaxis)
    ax.set_xlabel("training compute C (FLOP)")
    ax.set_ylabel("compute-optimal parameters N_opt")
    ax.legend(fontsize=8)
    tidy(ax)
    return ax
