"""Tokens per parameter at the optimum, against the budget, with what papers say."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from bayescale.allocation import allocate
from bayescale.constants import EmpiricalFrontier, published
from bayescale.costs import Cost, six_nd
from bayescale.plots.optimum import FAN, OVERLAYS
from bayescale.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    compute_axis,
    log_grid,
    new_axes,
    ratio_axis,
    tidy,
)
from bayescale.posterior import Fit
from bayescale.units import format_share


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
    low, quarter, middle, three_quarters, high = _ratios(fit, grid, cost)
    bands = ((0.9, 0.22, low, high), (0.5, 0.4, quarter, three_quarters))
    for prob, alpha, lower, upper in bands:
        ax.fill_between(
            grid,
            lower,
            upper,
            color=BLUE,
            alpha=alpha,
            linewidth=0,
            label=f"{format_share(prob)} of D_opt/N_opt",
        )
    ax.plot(grid, middle, color=BLUE, linewidth=1.5)
    styles = zip(overlays, (ORANGE, GREEN, PURPLE, "black"), ("--", "-.", ":", "--"), strict=False)
    for name, colour, line in styles:
        constants = published(name)
        if not isinstance(constants, EmpiricalFrontier):
            found, label = _ratios(constants, grid, cost)[2], name
        elif "n_tokens" in constants.coefficients:
            at = [constants.at(**{constants.variable: float(c)}) for c in grid]
            found = np.array([row["n_tokens"] / row["n_params"] for row in at])
            label = f"{name} (in C_min)" if constants.variable == "compute_min" else name
        else:
            continue
        ax.plot(grid, found, line, color=colour, linewidth=1.3, label=label)
    if len(marked):
        low, _, middle, _, high = _ratios(fit, marked, cost)
        ax.vlines(marked, low, high, color="black", linewidth=2.2)
        ax.plot(marked, middle, "D", color="black", markersize=5, label="asked budgets, 90 %")
    ax.set_xscale("log")
    ax.set_yscale("log")
    compute_axis(ax.xaxis)
    ratio_axis(ax.yaxis)
    ax.set_xlabel("training compute C (FLOP)")
    ax.set_ylabel("compute-optimal tokens per parameter")
    ax.legend(fontsize=8)
    tidy(ax)
    return ax


def _ratios(source: object, compute: np.ndarray, cost: Cost) -> np.ndarray:
    draws = allocate(source, compute=compute, cost=cost).draws["tokens_per_param"]  # type: ignore[arg-type]
    found: np.ndarray = draws.quantile(FAN, ("chain", "draw")).to_numpy()
    return found
