"""The compute-optimal size against the budget, with what papers say."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from bayescale.allocation import optimal_sizes
from bayescale.constants import EmpiricalFrontier, published
from bayescale.costs import Cost, six_nd
from bayescale.plots.budgets import FAN, OVERLAYS, budget_axes, draw_fan, finish
from bayescale.plots.style import count_axis
from bayescale.posterior import Fit


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
    ax, marked, grid = budget_axes(fit, compute, ax)

    def quantiles(budgets: np.ndarray) -> np.ndarray:
        return optimal_sizes(fit, budgets, FAN, cost).to_numpy()

    def published_sizes(name: str) -> tuple[str, np.ndarray]:
        constants = published(name)
        if isinstance(constants, EmpiricalFrontier):
            sizes = [constants.at(compute_min=float(c))["n_params"] for c in grid]
            return f"{name} (in C_min)", np.array(sizes)
        return name, optimal_sizes(constants, grid, [0.5], cost).to_numpy()[0]

    draw_fan(ax, quantiles, grid, marked, "N_opt", [published_sizes(name) for name in overlays])
    finish(ax, count_axis, "compute-optimal parameters N_opt")
    return ax
