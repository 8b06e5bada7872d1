"""The minimal loss at each budget."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bayescale.allocation.allocate import optima
from bayescale.costs import Cost, six_nd
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.plots.budgets import budget_axes, finish, spent_on_runs
from bayescale.plots.style import BLUE, GREY, loss_axis
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.summary import quantiles
from bayescale.units import format_share


def frontier(
    fit: Source,
    budget: np.ndarray | None = None,
    prob: float = 0.9,
    ax: Axes | None = None,
    cost: Cost = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
) -> Axes:
    """Draw the frontier L(C): the law's band, the band of new runs, the data and their range.

    Parameters
    ----------
    fit
        A fit, an average of laws, or published constants, which have a line and no band.
    budget
        Budgets to reach and to mark, in the unit of the cost.
    prob
        Probability inside the bands.
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
    >>> ax = bs.plots.frontier(fit, budget=[5.76e23])
    >>> ax.get_ylabel()
    'loss (nats/token)'
    """
    source = as_posterior(fit)
    ax, marked, grid = budget_axes(source, budget, ax, cost, fixed)
    terms: Any = {"cost": cost, "fixed": fixed, "limits": limits}
    found = quantiles(optima(source, budget=grid, **terms).draws, prob)
    runs = source.runs
    if runs is not None:
        costs = spent_on_runs(source, cost)
        ax.plot(costs, runs.loss, ".", color=GREY, markersize=3, alpha=0.5, label="runs")
    if not source.is_point:
        for name, alpha, label in (
            ("loss_run", 0.18, f"a new optimal run, {format_share(prob)}"),
            ("loss_opt", 0.35, f"optimum of the law, {format_share(prob)}"),
        ):
            lower, _, upper = found[name].to_numpy()
            ax.fill_between(grid, lower, upper, color=BLUE, alpha=alpha, linewidth=0, label=label)
    line = "optimum of the law" if source.is_point else None
    ax.plot(grid, found["loss_opt"][1], color=BLUE, linewidth=1.4, label=line)
    if len(marked):
        at = optima(source, budget=marked, **terms).draws["loss_opt"].median(("chain", "draw"))
        ax.plot(marked, at, "D", color="black", markersize=5, label="requested budgets")
    unit = source.law.response_unit if runs is None else runs.loss_unit
    finish(ax, loss_axis, f"loss ({unit})", cost)
    return ax
