"""Loss against size at fixed compute, with the runs at that compute."""

import itertools
from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from bayescale.allocation.allocate import optima
from bayescale.costs import Cost, six_nd
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.laws.optimum import Split
from bayescale.plots.budgets import spent_on_runs
from bayescale.plots.style import (
    COLOURS,
    MARKERS,
    count_axis,
    legend_above,
    new_axes,
    tidy,
)
from bayescale.posterior.fit import Fit
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_budget, format_share

NEAR = 1.3
"""Runs whose compute is within this factor of a budget are drawn with its curve."""

_DENSITY_HEIGHT = 0.06
"""Height of the density of an optimum, as a share of the range of losses."""


def isoflop(
    fit: Fit,
    budget: np.ndarray | None = None,
    prob: float = 0.9,
    ax: Axes | None = None,
    cost: Cost = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
) -> Axes:
    """Draw loss against size at fixed budgets: bands of the law, runs, and the optimum's density.

    Parameters
    ----------
    fit
        A posterior.
    budget
        Budgets in FLOP, five at most; four across the data unless given.
    prob
        Probability inside the bands, and inside the bar across each optimum.
    ax
        Where to draw; new Axes unless given.
    cost, fixed, limits
        The cost, values of the law's other inputs, and limits, as in `allocate`.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> ax = bs.plots.isoflop(fit, budget=[1e20, 1e21])
    >>> ax.get_xlabel()
    'parameters N'
    """
    split = Split.of(fit.law, fixed)
    ax = new_axes(ax)
    runs, run_sizes, costs = fit.runs, fit.inputs["n_params"], spent_on_runs(fit, cost)
    budgets = _budgets_in_data(costs) if budget is None else np.asarray(budget)[:5]
    plan = optima(fit, budget=budgets, cost=cost, fixed=fixed, limits=limits)
    ends = tail_quantiles(prob)
    for i, amount in enumerate(map(float, budgets)):
        near = np.abs(np.log(costs / amount)) < np.log(NEAR)
        centre = float(plan.recommended["n_params"].iloc[i])
        sizes = np.append(run_sizes[near], centre)
        size = xr.DataArray(np.geomspace(sizes.min() / 1.5, sizes.max() * 1.5, 60), dims="size")
        log_d = size.copy(data=np.log(cost.tokens_for(amount, size.to_numpy())))
        loss = fit.curve.loss(split, np.log(size), log_d).quantile(ends, dim=("chain", "draw"))
        colour = COLOURS[i]
        ax.fill_between(size, loss[0], loss[2], color=colour, alpha=0.25, linewidth=0)
        ax.plot(
            size, loss[1], color=colour, linewidth=1.4, label=format_budget(amount, cost.unit, 2)
        )
        ax.plot(
            run_sizes[near],
            runs.loss[near],
            MARKERS[i],
            color=colour,
            markersize=3.5,
            alpha=0.8,
        )
    ax.set_xscale("log")
    height = _DENSITY_HEIGHT * float(np.ptp(ax.get_ylim()))
    for i, colour in zip(range(len(budgets)), COLOURS, strict=False):
        best = plan.draws["n_opt"].isel(budget=i)
        level = float(plan.draws["loss_opt"].isel(budget=i).median())
        _draw_density(ax, best.to_numpy().ravel(), level, height, colour)
        low, middle, high = best.quantile(ends).to_numpy()
        ax.plot([low, high], [level, level], color="black", linewidth=2.2, solid_capstyle="butt")
        ax.plot(middle, level, "|", color="black", markersize=9, markeredgewidth=1.6)
    count_axis(ax.xaxis)
    ax.set_xlabel("parameters N")
    ax.set_ylabel(f"loss ({runs.loss_unit})")
    share = format_share(prob)
    title = f"budget; {share} bands; bar: {share} and density of N_opt"
    legend_above(ax, 4, title=title, title_fontsize=8, handlelength=1.2, columnspacing=1.2)
    tidy(ax)
    return ax


def _draw_density(ax: Axes, sizes: np.ndarray, level: float, height: float, colour: str) -> None:
    """Draw the density of ln N_opt below the loss of the optimum, where there are no curves."""
    from scipy.stats import gaussian_kde

    logs = np.log(sizes[np.isfinite(sizes)])
    if np.ptp(logs) == 0.0:
        return
    low, high = np.quantile(logs, [0.001, 0.999])
    grid = np.linspace(low, high, 120)
    density = gaussian_kde(logs)(grid)
    below = level - height * density / density.max()
    ax.fill_between(np.exp(grid), below, level, color=colour, alpha=0.45, linewidth=0)


def _budgets_in_data(compute: np.ndarray, limit: int = 4) -> np.ndarray:
    """Return about evenly spaced budgets with the most runs."""
    chosen: list[float] = []
    low, high = np.log(compute.min()), np.log(compute.max())
    edges = np.linspace(low, high, limit + 1)
    for start, end in itertools.pairwise(edges):
        inside = compute[(np.log(compute) >= start) & (np.log(compute) <= end)]
        if not len(inside):
            continue
        neighbours = np.array(
            [(np.abs(np.log(compute / c)) < np.log(NEAR)).sum() for c in inside], dtype=float
        )
        best = float(inside[int(np.argmax(neighbours))])
        if all(abs(np.log(best / other)) > 2 * np.log(NEAR) for other in chosen):
            chosen.append(best)
    return np.array(chosen)
