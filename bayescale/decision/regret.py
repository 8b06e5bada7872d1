"""Regret: what a plan that is not a draw's optimum wastes, in the unit of the cost."""

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
"""How far below the budget, in its logarithm, frontiers are tabulated: a plan that is worse than
the best of so little is a total loss."""

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Regrets:
    """The best that every draw could do with any budget, to measure plans against.

    The equivalent of a plan under a draw is the least that the draw's own frontier needs for the
    plan's loss. What the plan costs beyond that is wasted; what it falls short of the best of
    the budget is its regret.

    Attributes
    ----------
    curve, cost, fixed, limits
        Draws of the loss, what plans cost, the law's other inputs, and the limits.
    budget
        The budget in question.
    """

    curve: AnyCurve
    cost: Cost
    budget: float
    fixed: Mapping[str, float]
    limits: Limits = NO_LIMITS

    @cached_property
    def spending(self) -> Spending:
        """What the budget buys."""
        return Spending(self.cost, np.array([self.budget]), self.limits)

    @cached_property
    def split(self) -> Split:
        """How the law's inputs follow from size and tokens."""
        return Split.of(self.curve.law, self.fixed)

    @cached_property
    def log_n_opt(self) -> Array:
        """Logarithm of N_opt of the budget, of every draw (chain, draw); NaN without one."""
        found = self.curve.optimum(self.spending, self.fixed)
        return found.isel(compute=0).transpose("chain", "draw").to_numpy()

    @cached_property
    def log_best(self) -> Array:
        """Logarithm of what the best of the budget needs, (chain, draw): less at some limits."""
        log_n = self.log_n_opt
        log_d = self.spending.log_tokens(log_n[..., None])[..., 0]
        return self.log_equivalent(self.log_loss(log_n[..., None], log_d[..., None]))[..., 0]

    def log_loss(self, log_n: Array, log_d: Array) -> Array:
        """Return ln L of plans, (chain, draw, plan); each draw may have plans of its own."""
        dims = ("plan",) if log_n.ndim == 1 else ("chain", "draw", "plan")
        found = self.curve.loss(
            self.split, xr.DataArray(log_n, dims=dims), xr.DataArray(log_d, dims=dims)
        )
        return np.log(found.transpose("chain", "draw", "plan").to_numpy())

    def log_equivalent(self, log_loss: Array) -> Array:
        """Return ln of the least cost at which each draw reaches losses, (chain, draw, plan)."""
        logs, frontier = self._frontier
        # The last node, from the dearest to the cheapest, that is as good.
        at = np.zeros(log_loss.shape, dtype=np.intp)
        for node in range(1, len(logs)):
            at += frontier[..., node, None] <= log_loss + 1e-14
        # Those after it, not before: where limits hold, dearer budgets do no better.
        first = np.clip(at, 0, len(logs) - 3)
        x = [logs[first + i] for i in range(3)]
        y = [np.take_along_axis(frontier, first + i, axis=-1) for i in range(3)]
        found = _inverse_quadratic(x, y, log_loss)
        # Where the frontier is flat, and for what is worse than all of it, the node itself.
        bounded = np.clip(found, logs[np.clip(at + 1, 0, len(logs) - 1)], logs[at])
        found = np.where(np.isfinite(found), bounded, logs[at])
        return np.where(np.isnan(log_loss) | np.isnan(frontier[..., :1]), np.nan, found)

    def regret(self, log_loss: Array) -> Array:
        """Return the share of the budget's best that plans fall short of."""
        short = self.log_equivalent(log_loss) - self.log_best[..., None]
        return np.asarray(-np.expm1(np.minimum(short, 0.0)))

    def log_used(self, log_loss: Array, spent: Array) -> Array:
        """Return ln of the share of their own cost that plans need for their loss."""
        log_spent = np.log(spent)
        found = self.log_equivalent(log_loss) - log_spent
        # The frontier ends at the budget. A plan that costs more has one of its own, so that what
        # is said of a plan does not depend on the plans beside it.
        for plan in np.flatnonzero(spent > self.budget * (1.0 + _ROUNDING)):
            own = replace(self, budget=float(spent[plan]))
            found[..., plan] = own.log_equivalent(log_loss[..., [plan]])[..., 0] - log_spent[plan]
        return found

    def wasted(self, log_loss: Array, spent: Array) -> Array:
        """Return the share of their own cost that plans waste."""
        return np.asarray(-np.expm1(np.minimum(self.log_used(log_loss, spent), 0.0)))

    @property
    def _corners(self) -> list[float]:
        """Logs of costs beyond which limits leave nothing to buy: the frontier has a kink there."""
        limits, found = self.limits, []
        if limits.max_params is not None and limits.most_tokens is not None:
            found.append(float(self.cost(float(limits.max_params), limits.most_tokens)))
        if limits.most_compute is not None and self.cost.training is self.cost:
            found.append(limits.most_compute)
        return list(np.log(found))

    @cached_property
    def _frontier(self) -> tuple[Array, Array]:
        """Logs of budgets, the dearest first, and ln L of the best of each, by draw."""
        top = np.log(self.budget)
        # Denser near the top, where most plans are.
        logs = top - _REACH * np.linspace(0.0, 1.0, _NODES) ** 2
        logs = np.unique(np.append(logs, [x for x in self._corners if x < top]))[::-1]
        logs = logs[Spending.reach(self.cost, np.exp(logs), self.limits)]
        spending = Spending(self.cost, np.exp(logs), self.limits)
        log_n = self.curve.optimum(spending, self.fixed).transpose("chain", "draw", "compute")
        log_d = log_n.copy(data=spending.log_tokens(log_n.to_numpy()))
        loss = self.curve.loss(self.split, log_n, log_d).transpose("chain", "draw", "compute")
        best = np.log(loss.to_numpy())
        # A cheaper budget without an optimum is no better than none.
        best[..., 1:] = np.where(np.isnan(best[..., 1:]), np.inf, best[..., 1:])
        return logs, np.maximum.accumulate(best, axis=-1)


def _inverse_quadratic(x: list[Array], y: list[Array], at: Array) -> Array:
    """Return where a function with three known points has a value."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(
            sum(
                x[i] * np.prod([(at - y[j]) / (y[i] - y[j]) for j in range(3) if j != i], axis=0)
                for i in range(3)
            )
        )
