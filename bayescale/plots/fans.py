"""Tokens per parameter at the optimum, against the budget, with what papers say."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from bayescale.allocation import allocate
from bayescale.constants import EmpiricalFrontier, published
from bayescale.costs import Cost, six_nd
from bayescale.plots.budgets import FAN, OVERLAYS, budget_axes, draw_fan, finish
from bayescale.plots.style import ratio_axis
from bayescale.posterior import Fit


def tokens_per_param(
    fit: Fit,
    compute: np.ndarray | None = None,
    ax: Axes | None = None,
    overlays: Sequence[str] = OVERLAYS,
    cost: Cost = six_nd,
) -> Axes:
    """Draw the fan of D_opt/N_opt against the budget: 50 % and 90 % bands, and published laws.

    Parameters
    ----------
    fit
        A posterior.
    compute
        Budgets to reach and to mark, in FLOP.
    ax
        Where to draw; new Axes unless given.
    overlays
        Names of published constants (`bayescale.published`); frontiers of which the paper gives
        no tokens are left out.
    cost
        The rule of compute.

    Returns
    -------
    Axes
    """
    ax, marked, grid = budget_axes(fit, compute, ax)

    def published_ratios(name: str) -> tuple[str, np.ndarray] | None:
        constants = published(name)
        if not isinstance(constants, EmpiricalFrontier):
            return name, _ratios(constants, grid, cost)[2]
        if "n_tokens" not in constants.coefficients:
            return None
        at = [constants.at(**{constants.variable: float(c)}) for c in grid]
        label = f"{name} (in C_min)" if constants.variable == "compute_min" else name
        return label, np.array([row["n_tokens"] / row["n_params"] for row in at])

    draw_fan(
        ax,
        lambda budgets: _ratios(fit, budgets, cost),
        grid,
        marked,
        "D_opt/N_opt",
        [published_ratios(name) for name in overlays],
    )
    finish(ax, ratio_axis, "compute-optimal tokens per parameter")
    return ax


def _ratios(source: object, compute: np.ndarray, cost: Cost) -> np.ndarray:
    draws = allocate(source, compute=compute, cost=cost).draws["tokens_per_param"]  # type: ignore[arg-type]
    found: np.ndarray = draws.quantile(FAN, ("chain", "draw")).to_numpy()
    return found
