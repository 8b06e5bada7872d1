"""The compute-equivalent speedup of recipes, against the budget."""

import numpy as np
from matplotlib.axes import Axes

from bayescale.allocation.speedup_result import Speedup
from bayescale.plots.budgets import is_training
from bayescale.plots.style import (
    COLOURS,
    GREY,
    compute_axis,
    log_grid,
    new_axes,
    ratio_axis,
    tidy,
)
from bayescale.units import format_share

_POINTS = 25
_SMALLEST, _LARGEST = 0.01, 100.0
"""Smallest and largest speedup that is drawn."""


def speedup(found: Speedup, prob: float = 0.9, ax: Axes | None = None) -> Axes:
    """Draw the median speedup of every recipe with its band, against the budget of the baseline.

    Parameters
    ----------
    found
        Result of `bayescale.speedup`. Its budgets are marked; the band reaches from the
        smallest run, or budget, to the largest.
    prob
        Probability inside the bands.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> papers = {n: bs.published(n) for n in ("hoffmann2022", "besiroglu2024")}
    >>> found = bs.speedup(papers, baseline="hoffmann2022", budget=["1e20", "1e24"])
    >>> bs.plots.speedup(found).get_ylabel()
    'speedup over hoffmann2022'
    """
    ax = new_axes(ax)
    ranges = list(found.costs_of_runs.values())
    low, high = float(found.budgets.min()), float(found.budgets.max())
    if not found.limits:  # The limits may exclude plans at the budgets of the runs.
        low = min([low, *(first for first, _ in ranges)])
        high = max([high, *(last for _, last in ranges)])
    grid = log_grid(low, high, _POINTS) if high > low else found.budgets
    if ranges:
        common = max(first for first, _ in ranges), min(last for _, last in ranges)
        if common[1] > common[0]:
            ax.axvspan(
                *common, color=GREY, alpha=0.10, linewidth=0, label="runs of all these recipes"
            )
    bands, marks = (source.numbers(prob) for source in (found.at(grid), found))
    shown: list[float] = [1.0]
    for i, recipe in enumerate(found.recipes):
        colour, rows = COLOURS[i % len(COLOURS)], bands.loc[recipe]
        lower, middle, upper = (
            rows[name].clip(_SMALLEST, _LARGEST).to_numpy()
            for name in ("speedup_lower", "speedup", "speedup_upper")
        )
        shown += [*lower[np.isfinite(lower)], *upper[np.isfinite(upper)]]
        label = recipe if found.is_point else f"{recipe}, median and {format_share(prob)} interval"
        ax.fill_between(grid, lower, upper, color=colour, alpha=0.2, linewidth=0)
        ax.plot(grid, middle, color=colour, linewidth=1.6, label=label)
        at = marks.loc[recipe]["speedup"].clip(_SMALLEST, _LARGEST)
        ax.plot(at.index, at, "D", color=colour, markersize=4.5)
    ax.axhline(1.0, color="black", linewidth=1.0, linestyle="--")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(min(shown) / 1.15, max(shown) * 1.15)
    compute_axis(ax.xaxis)
    ratio_axis(ax.yaxis, times=True)
    what = "training compute" if is_training(found.cost) else found.cost.name
    ax.set_xlabel(f"{what} of {found.baseline} ({found.cost.unit})")
    ax.set_ylabel(f"speedup over {found.baseline}")
    ax.legend(fontsize=8)
    tidy(ax)
    return ax
