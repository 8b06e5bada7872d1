"""Shared parts of figures against the budget: grid, range of the runs, fans and marks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis

from bayescale.allocation.allocate import optima
from bayescale.allocation.plans import cost_of_runs, parse_budgets
from bayescale.costs import Cost
from bayescale.laws.optimum import Split
from bayescale.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    compute_axis,
    legend_above,
    log_grid,
    new_axes,
    tidy,
)
from bayescale.posterior.point import Source
from bayescale.posterior.protocol import Posterior
from bayescale.units import format_share

OVERLAYS = ("hoffmann2022-tex", "besiroglu2024-log", "kaplan2020-frontier")

FAN = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles that bound the bands of a fan: 50 and 90 % bands about the median."""

_MARGIN = 10.0
"""Factor by which a grid exceeds the given budgets if there are no runs."""

_TYPICAL = (1e19, 1e25)
"""Range of training compute, in FLOP, in which constants are drawn if no budget is given."""

_STYLES = ((ORANGE, "--"), (GREEN, "-."), (PURPLE, ":"), ("black", "--"))


def budget_axes(
    source: Posterior,
    budget: np.ndarray | None,
    ax: Axes | None,
    cost: Cost,
    fixed: Mapping[str, object] | None,
) -> tuple[Axes, np.ndarray, np.ndarray]:
    """Return Axes on which the range of the runs is drawn, budgets to mark, and a grid of budgets.

    The grid reaches from the minimum to twice the maximum of the runs and the budgets; for
    published constants, which have no runs, it surrounds the budgets. A law under which budgets
    cannot be split is refused before anything is drawn.
    """
    Split.of(source.law, fixed)
    ax = new_axes(ax)
    some = budget is not None and np.size(budget)
    marked = parse_budgets(budget, cost) if some else np.array([])
    if source.runs is None:
        covered = marked if len(marked) else np.array(_TYPICAL)
        return ax, marked, log_grid(covered.min() / _MARGIN, covered.max() * _MARGIN)
    costs = spent_on_runs(source, cost)
    covered = np.append(marked, costs)
    ax.axvspan(
        costs.min(), costs.max(), color=GREY, alpha=0.10, linewidth=0, label="range of the runs"
    )
    return ax, marked, log_grid(covered.min(), covered.max() * 2)


def spent_on_runs(source: Posterior, cost: Cost) -> np.ndarray:
    """Return the cost of each run: its compute, or another cost."""
    runs = source.runs
    if is_training(cost) and runs is not None and "compute" in runs.table:
        return runs.compute
    return cost_of_runs(source, cost)


def is_training(cost: Cost) -> bool:
    """Return whether a cost is training compute alone, as in published frontiers."""
    return cost.training is cost


def fan_of(quantity: str, source: Source, budget: np.ndarray, **terms: Any) -> np.ndarray:
    """Return the quantiles `FAN` of a quantity of the optimum at budgets, one row per quantile."""
    draws = optima(source, budget=budget, **terms).draws[quantity]
    found: np.ndarray = draws.quantile(FAN, ("chain", "draw")).to_numpy()
    return found


def draw_fan(
    ax: Axes,
    quantiles: Callable[[np.ndarray], np.ndarray],
    grid: np.ndarray,
    marked: np.ndarray,
    name: str,
    others: Sequence[tuple[str, np.ndarray] | None],
    *,
    is_point: bool = False,
) -> None:
    """Draw a fan over a grid of budgets, lines of other laws, and bars at the marked budgets.

    Parameters
    ----------
    quantiles
        Returns the quantiles `FAN` at budgets, one row per quantile.
    name
        Name of the quantity.
    others
        Labels and values over the grid; None skips a colour, so that the others keep theirs.
    is_point
        Whether there is a single draw, and so a line without bands.
    """
    low, quarter, middle, three_quarters, high = quantiles(grid)
    bands = ((0.9, 0.22, low, high), (0.5, 0.4, quarter, three_quarters))
    if not is_point:
        for prob, alpha, lower, upper in bands:
            label = f"{format_share(prob)} of {name}"
            ax.fill_between(grid, lower, upper, color=BLUE, alpha=alpha, linewidth=0, label=label)
    ax.plot(grid, middle, color=BLUE, linewidth=1.5, label=name if is_point else None)
    for other, (colour, line) in zip(others, _STYLES, strict=False):
        if other is not None:
            label, values = other
            ax.plot(grid, values, line, color=colour, linewidth=1.3, label=label)
    if len(marked):
        at = quantiles(marked)
        if not is_point:
            ax.vlines(marked, at[0], at[-1], color="black", linewidth=2.2)
        label = "given budgets" if is_point else "given budgets, 90 %"
        ax.plot(marked, at[2], "D", color="black", markersize=5, label=label)


def finish(ax: Axes, style: Callable[[Axis], None], what: str, cost: Cost) -> None:
    """Make both axes logarithmic, label them, and tidy up."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    compute_axis(ax.xaxis)
    style(ax.yaxis)
    ax.set_xlabel(f"{'training compute C' if is_training(cost) else cost.name} ({cost.unit})")
    ax.set_ylabel(what)
    legend_above(ax)
    tidy(ax)
