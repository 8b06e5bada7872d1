"""Spending: the sizes and tokens that exhaust budgets within limits."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayescale.costs import Cost
from bayescale.costs.limits import NO_LIMITS, Limits, expect_limits
from bayescale.errors import AmountError
from bayescale.units import format_budget

type Array = NDArray[np.float64]

_NODES = 513
"""Nodes of the interpolation table of tokens, for costs without a fast inverse."""

_ON_LIMIT = 2e-5
"""Distance, in logs, within which an optimum is at a limit."""


@dataclass(frozen=True, eq=False)
class Spending:
    """Budgets of one cost, and the plans that exhaust them.

    Tokens follow from size: as many as the budget allows, or fewer where a limit binds. All arrays
    have the budgets along their last axis.

    Attributes
    ----------
    cost, budgets, limits
        The cost, the budgets in its unit, and further limits on plans.
    """

    cost: Cost
    budgets: Array
    limits: Limits = NO_LIMITS

    def __post_init__(self) -> None:
        expect_limits(self.limits)
        short = np.flatnonzero(~self.reach(self.cost, self.budgets, self.limits))
        if len(short):
            budget = format_budget(float(self.budgets[short[0]]), self.cost.unit)
            raise AmountError(
                f"budget: {budget} of {self.cost.name} does not pay for any plan within the "
                f"limits ({self.limits}). Give a larger budget or other limits."
            )

    @staticmethod
    def reach(cost: Cost, budgets: Array, limits: Limits = NO_LIMITS) -> NDArray[np.bool_]:
        """Return which budgets allow any plan within the limits."""
        low, high = _ends(cost, budgets, limits)
        found: NDArray[np.bool_] = low < high
        return found

    @property
    def log_product(self) -> Array | None:
        """Logarithm of N D of each budget, if the cost depends on that product only; else None."""
        return self.cost.log_product_of(
            np.minimum(self.budgets, self.limits.most_compute or np.inf)
        )

    def log_tokens(
        self, log_n: ArrayLike, which: NDArray[np.intp] | None = None, *, exact: bool = True
    ) -> Array:
        """Return ln D at ln N.

        Parameters
        ----------
        log_n
            Sizes, with the budgets along the last axis; or, with `which`, of any shape.
        which
            The index of the budget of each size.
        exact
            Whether to invert the cost exactly, rather than interpolate where that is slow.
        """
        log_n = np.asarray(log_n, dtype=float)
        size, budgets = np.exp(log_n), self.budgets if which is None else self.budgets[which]
        with np.errstate(divide="ignore", invalid="ignore"):
            if exact or self.cost.direct:
                log_d = np.log(np.maximum(self.cost.tokens_for(budgets, size), 0.0))
            else:
                log_d = self._interpolated(log_n, which)
            if (compute := self.limits.most_compute) is not None:
                affordable = self.cost.training.tokens_for(compute, size)
                log_d = np.minimum(log_d, np.log(affordable))
        return np.asarray(np.minimum(log_d, self._log_most_tokens))

    @cached_property
    def ends(self) -> tuple[Array, Array]:
        """The smallest and the largest ln N that each budget and the limits allow."""
        return _ends(self.cost, self.budgets, self.limits)

    @property
    def limited(self) -> tuple[bool, NDArray[np.bool_]]:
        """Whether the smallest, and whether the largest, ln N are set by a limit."""
        limits = self.limits
        log_max = np.log(float(limits.max_params or np.inf))
        at_max: NDArray[np.bool_] = self.ends[1] >= log_max - _ON_LIMIT
        return limits.min_params is not None, at_max | (limits.min_tokens is not None)

    @property
    def log_least_sizes(self) -> Array:
        """Logarithms of the sizes below which a limit on tokens binds."""
        if not np.isfinite(self._log_most_tokens):
            return np.full(len(self.budgets), -np.inf)
        return self.cost.log_sizes_for(self.budgets, float(np.exp(self._log_most_tokens)))

    def at_limit(self, log_n: Array) -> NDArray[np.bool_]:
        """Return which plans are at a binding limit."""
        low, high = self.ends
        low_set, high_set = self.limited
        finite = np.where(np.isnan(log_n), low, log_n)
        log_d = self.log_tokens(finite)
        compute = self.cost.training(np.exp(finite), np.exp(log_d))
        at_deadline = compute >= (self.limits.most_compute or np.inf) * (1.0 - _ON_LIMIT)
        found: NDArray[np.bool_] = ~np.isnan(log_n) & (
            (low_set & (log_n <= low + _ON_LIMIT))
            | (high_set & (log_n >= high - _ON_LIMIT))
            | (log_d >= self._log_most_tokens - _ON_LIMIT)
            | at_deadline
        )
        return found

    def spent(self, log_n: Array) -> Array:
        """Return the cost of plans of these sizes: the budget, or less at a limit."""
        return np.asarray(self.cost(np.exp(log_n), np.exp(self.log_tokens(log_n))))

    @property
    def _log_most_tokens(self) -> float:
        limit = self.limits.most_tokens
        return np.inf if limit is None else float(np.log(limit))

    def _interpolated(self, log_n: Array, which: NDArray[np.intp] | None) -> Array:
        """Return ln D from the table, by monotone cubic interpolation."""
        low, high = self.ends
        step = (high - low) / (_NODES - 1)
        index = np.arange(len(self.budgets)) if which is None else which
        position = (log_n - low[index]) / step[index]
        cell = np.clip(np.nan_to_num(position), 0, _NODES - 2).astype(np.intp)
        c3, c2, c1, c0 = self._table[:, cell, np.broadcast_to(index, cell.shape)]
        u = (position - cell) * step[index]
        return np.asarray(((c3 * u + c2) * u + c1) * u + c0)

    @cached_property
    def _table(self) -> Array:
        from scipy.interpolate import PchipInterpolator

        low, high = self.ends
        share = np.linspace(0.0, 1.0, _NODES)
        log_n = low + (high - low) * share[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            log_d = np.log(np.maximum(self.cost.tokens_for(self.budgets, np.exp(log_n)), 1e-300))
        # The last node may be below one token by rounding.
        log_d = np.where(np.isfinite(log_d), log_d, 0.0)
        coefficients = PchipInterpolator(share, log_d, axis=0).c  # in powers of the share
        return np.asarray(coefficients / (high - low) ** np.arange(3, -1, -1)[:, None, None])


def _ends(cost: Cost, budgets: Array, limits: Limits) -> tuple[Array, Array]:
    n_tokens = float(limits.min_tokens or 1.0)
    low = np.full(len(budgets), np.log(float(limits.min_params or 1.0)))
    high = np.minimum(
        cost.log_sizes_for(budgets, n_tokens), np.log(float(limits.max_params or np.inf))
    )
    if (compute := limits.most_compute) is not None:
        high = np.minimum(high, cost.training.log_sizes_for(np.array([compute]), n_tokens))
    return low, high
