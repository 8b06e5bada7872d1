"""Bands of the compute-optimal plan against the budget, with published laws."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis

from bayescale.costs import Cost, six_nd
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.errors import as_list
from bayescale.laws.constants import Constants, EmpiricalFrontier
from bayescale.laws.published import published
from bayescale.plots.budgets import OVERLAYS, budget_axes, draw_fan, fan_of, finish, is_training
from bayescale.plots.style import count_axis, ratio_axis
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.protocol import Posterior


@dataclass(frozen=True)
class _Quantity:
    """A quantity of the compute-optimal plan.

    Attributes
    ----------
    variable, name, label
        Its variable in the draws of an allocation, its name, and the label of its axis.
    needs
        The coefficients of an empirical frontier that determine it.
    of
        Returns the quantity at a point of an empirical frontier.
    style
        Formats the axis.
    """

    variable: str
    name: str
    label: str
    needs: frozenset[str]
    of: Callable[[Mapping[str, float]], float]
    style: Callable[[Axis], None]


_SIZE = _Quantity(
    "n_opt",
    "N_opt",
    "compute-optimal parameters N_opt",
    frozenset({"n_params"}),
    lambda at: at["n_params"],
    count_axis,
)
_RATIO = _Quantity(
    "tokens_per_param",
    "D_opt/N_opt",
    "compute-optimal tokens per parameter",
    frozenset({"n_params", "n_tokens"}),
    lambda at: at["n_tokens"] / at["n_params"],
    ratio_axis,
)


def optimal_size(
    fit: Source,
    budget: np.ndarray | None = None,
    ax: Axes | None = None,
    overlays: Sequence[str] = OVERLAYS,
    cost: Cost = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
) -> Axes:
    """Draw the fan of N_opt(C): 50 % and 90 % bands, the data range, and published laws.

    Parameters
    ----------
    fit
        A fit, an average of laws, or published constants, which have a line and no band.
    budget
        Budgets to reach and to mark, in the unit of the cost.
    ax
        Where to draw; new Axes unless given.
    overlays
        Names of published constants (`bayescale.published`). Kaplan's frontier is in the
        batch-adjusted C_min, and its label says so. Frontiers without a published size are
        left out, and all frontiers if the cost includes more than training.
    cost, fixed, limits
        The cost, values of the law's other inputs, and limits, as in `allocate`.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> ax = bs.plots.optimal_size(fit, budget=[5.76e23])
    >>> ax.get_ylabel()
    'compute-optimal parameters N_opt'
    """
    terms = {"cost": cost, "fixed": fixed, "limits": limits}
    return _draw(_SIZE, as_posterior(fit), budget, ax, overlays, **terms)


def tokens_per_param(
    fit: Source,
    budget: np.ndarray | None = None,
    ax: Axes | None = None,
    overlays: Sequence[str] = OVERLAYS,
    cost: Cost = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
) -> Axes:
    """Draw the fan of D_opt/N_opt against the budget: 50 % and 90 % bands, and published laws.

    Parameters
    ----------
    fit
        A fit, an average of laws, or published constants, which have a line and no band.
    budget
        Budgets to reach and to mark, in the unit of the cost.
    ax
        Where to draw; new Axes unless given.
    overlays
        Names of published constants (`bayescale.published`); frontiers without both a
        published size and tokens are left out, and all frontiers if the cost includes more than
        training.
    cost, fixed, limits
        The cost, values of the law's other inputs, and limits, as in `allocate`.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> ax = bs.plots.tokens_per_param(fit, budget=[5.76e23])
    >>> ax.get_ylabel()
    'compute-optimal tokens per parameter'
    """
    terms = {"cost": cost, "fixed": fixed, "limits": limits}
    return _draw(_RATIO, as_posterior(fit), budget, ax, overlays, **terms)


def _draw(
    quantity: _Quantity,
    source: Posterior,
    budget: np.ndarray | None,
    ax: Axes | None,
    overlays: Sequence[str],
    **terms: Any,
) -> Axes:
    """Draw the bands of a quantity of the optimum, and the lines of published laws."""
    cost: Cost = terms["cost"]
    ax, marked, grid = budget_axes(source, budget, ax, cost, terms["fixed"])

    def quantiles(budgets: np.ndarray) -> np.ndarray:
        return fan_of(quantity.variable, source, budgets, **terms)

    others = [_line(published(name), quantity, grid, cost) for name in as_list(overlays)]
    draw_fan(ax, quantiles, grid, marked, quantity.name, others, is_point=source.is_point)
    finish(ax, quantity.style, quantity.label, cost)
    return ax


@singledispatch
def _line(
    constants: Constants | EmpiricalFrontier, quantity: _Quantity, grid: np.ndarray, cost: Cost
) -> tuple[str, np.ndarray] | None:
    """Return the name and the line of a published law; None if it does not give the quantity."""
    return constants.citation, fan_of(quantity.variable, constants, grid, cost=cost)[2]


@_line.register
def _line_of_frontier(
    frontier: EmpiricalFrontier, quantity: _Quantity, grid: np.ndarray, cost: Cost
) -> tuple[str, np.ndarray] | None:
    if not quantity.needs <= set(frontier.coefficients) or not is_training(cost):
        return None
    values = [quantity.of(frontier.at(**{frontier.variable: float(c)})) for c in grid]
    in_c_min = " (in C_min)" if frontier.variable == "compute_min" else ""
    return frontier.citation + in_c_min, np.array(values)
