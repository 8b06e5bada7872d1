"""Regret: the excess cost of a plan over the optimal plan under each draw."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import xarray as xr

from bayescale.costs import Cost
from bayescale.costs.budget import Array, Spending
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.laws.optimum import Split
from bayescale.posterior.curve import AnyCurve

_NODES = 65
_REACH = 25.0
"""Range of the tabulated frontier below the budget, in ln cost; worse plans have a regret of one
to rounding."""

_ROUNDING = 1e-9
"""Relative differences of costs that are rounding."""


def share_lost(log_ratio: Array) -> Array:
    """Return by what share a cost falls short of another, from the log of their ratio."""
    return np.asarray(-np.expm1(np.where(log_ratio > -_ROUNDING, 0.0, log_ratio)))


@dataclass(frozen=True, eq=False)
class Regrets:
    """The regret of plans relative to the compute-optimal frontier of each draw.

    The equivalent cost of a plan under a draw is the minimum cost at which the draw's frontier
    reaches the plan's loss. The plan's cost beyond it is wasted; its shortfall relative to the
    optimal plan of the budget is the regret.

    Attributes
    ----------
    curve, cost, fixed, limits
        Draws of the loss, the cost function, the law's other inputs, and constraints on plans.
    budget
        The budget, in the unit of the cost.
    """

    curve: AnyCurve
    cost: Cost
    budget: float
    fixed: Mapping[str, float]
    limits: Limits = NO_LIMITS

    @cached_property
    def spending(self) -> Spending:
        """The budget constraint."""
        return Spending(self.cost, np.array([self.budget]), self.limits)

    @cached_property
    def split(self) -> Split:
        """The map from size and tokens to the law's inputs."""
        return Split.of(self.curve.law, self.fixed)

    @cached_property
    def log_n_opt(self) -> Array:
        """Draws of ln N_opt at the budget, (chain, draw); NaN for draws without an optimum."""
        found = self.curve.optimum(self.spending, self.fixed)
        return found.isel(budget=0).transpose("chain", "draw").to_numpy()

    @cached_property
    def log_best(self) -> Array:
        """Log equivalent cost of the optimum, (chain, draw): below the budget at some limits."""
        log_n = self.log_n_opt
        log_d = self.spending.log_tokens(log_n[..., None])[..., 0]
        return self.log_equivalent(self.log_loss(log_n[..., None], log_d[..., None]))[..., 0]

    def log_loss(self, log_n: Array, log_d: Array) -> Array:
        """Return ln L of plans, of shape (chain, draw, plan); plans may differ between draws."""
        dims = ("plan",) if log_n.ndim == 1 else ("chain", "draw", "plan")
        found = self.curve.loss(
            self.split, xr.DataArray(log_n, dims=dims), xr.DataArray(log_d, dims=dims)
        )
        return np.log(found.transpose("chain", "draw", "plan").to_numpy())

    def log_equivalent(self, log_loss: Array) -> Array:
        """Return the log minimum cost at which each draw reaches losses, (chain, draw, plan)."""
        logs, frontier = self._frontier
        # The cheapest node that reaches the loss; nodes are in order of decreasing cost.
        # Counted in small integers, which is faster than a search in each row.
        reached, count = log_loss + 1e-14, np.zeros(log_loss.shape, dtype=np.int16)
        for node in range(1, len(logs)):
            count += frontier[..., node, None] <= reached
        at = count.astype(np.intp)
        # Interpolate with cheaper nodes, since limits may make the frontier flat at higher costs.
        first = np.clip(at, 0, len(logs) - 3)
        x = [logs[first + i] for i in range(3)]
        y = [np.take_along_axis(frontier, first + i, axis=-1) for i in range(3)]
        found = _inverse_quadratic(x, y, log_loss)
        # The node itself where the frontier is flat, and for losses beyond its end.
        bounded = np.clip(found, logs[np.clip(at + 1, 0, len(logs) - 1)], logs[at])
        found = np.where(np.isfinite(found), bounded, logs[at])
        return np.where(np.isnan(log_loss) | np.isnan(frontier[..., :1]), np.nan, found)

    def regret(self, log_loss: Array) -> Array:
        """Return one minus the ratio of the equivalent costs of plans and of the optimum."""
        short = self.log_equivalent(log_loss) - self.log_best[..., None]
        return share_lost(short)

    def log_used(self, log_loss: Array, spent: Array) -> Array:
        """Return the log ratio of the equivalent cost of plans to their actual cost."""
        log_spent = np.log(spent)
        found = self.log_equivalent(log_loss) - log_spent
        # The frontier ends at the budget. Each plan that costs more has a separate one, so that
        # its result does not depend on the other plans.
        for plan in np.flatnonzero(spent > self.budget * (1.0 + _ROUNDING)):
            own = replace(self, budget=float(spent[plan]))
            found[..., plan] = own.log_equivalent(log_loss[..., [plan]])[..., 0] - log_spent[plan]
        return found

    def wasted(self, log_loss: Array, spent: Array) -> Array:
        """Return the wasted share of the cost of plans."""
        return share_lost(self.log_used(log_loss, spent))

    @property
    def _corners(self) -> list[float]:
        """Log costs above which limits bind for all plans, where the frontier has a kink."""
        limits, found = self.limits, []
        if limits.max_params is not None and limits.most_tokens is not None:
            found.append(float(self.cost(float(limits.max_params), limits.most_tokens)))
        if limits.most_compute is not None and self.cost.training is self.cost:
            found.append(limits.most_compute)
        return list(np.log(found))

    @cached_property
    def _frontier(self) -> tuple[Array, Array]:
        """Log budgets in decreasing order, and the minimum ln L at each, for every draw."""
        top = np.log(self.budget)
        # Denser near the top, where most plans are.
        logs = top - _REACH * np.linspace(0.0, 1.0, _NODES) ** 2
        logs = np.unique(np.append(logs, [x for x in self._corners if x < top]))[::-1]
        logs = logs[Spending.reach(self.cost, np.exp(logs), self.limits)]
        spending = Spending(self.cost, np.exp(logs), self.limits)
        log_n = self.curve.optimum(spending, self.fixed).transpose("chain", "draw", "budget")
        log_d = log_n.copy(data=spending.log_tokens(log_n.to_numpy()))
        loss = self.curve.loss(self.split, log_n, log_d).transpose("chain", "draw", "budget")
        best = np.log(loss.to_numpy())
        # A smaller budget without an optimum counts as infinite loss.
        best[..., 1:] = np.where(np.isnan(best[..., 1:]), np.inf, best[..., 1:])
        return logs, np.maximum.accumulate(best, axis=-1)


def _inverse_quadratic(x: list[Array], y: list[Array], at: Array) -> Array:
    """Return the argument at which a function attains a value, from three of its points."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        away = [at - value for value in y]
        terms = (
            x[i] * ((away[j] / (y[i] - y[j])) * (away[k] / (y[i] - y[k])))
            for i, j, k in ((0, 1, 2), (1, 0, 2), (2, 0, 1))
        )
        return np.asarray(sum(terms))
