"""Solvers of inverse problems: the minimum cost of a loss, and compute-optimal plans of a size.

They are vectorised over draws and targets: all arrays are flat and of equal length, and hold logs
of amounts and indices of draws. Results are NaN if there is no solution.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale.costs import Cost
from bayescale.costs.budget import Array, Spending
from bayescale.costs.limits import Limits
from bayescale.laws.optimum import Split
from bayescale.posterior.curve import Curve

type Draws = NDArray[np.intp]
type Loss = Callable[[Array, Array, Draws], Array]

_LOG_ENDS = (0.0, 80.0)
"""Search range of ln size and ln tokens."""

_NEAR = 3.0
"""Search radius, in logs, around the solution of the law alone for a curve with discrepancy: the
discrepancy is extrapolated linearly, which is unreliable far away."""

_START = 0.1
"""Half-width of the initial bracket of that search."""

_FRONTIER = np.linspace(-14.0, 14.0, 57)
"""Log budgets, relative to that of the law alone, at which the frontier is tabulated."""

_GRID = 65
_INFEASIBLE = 1e4
"""Log cost of infeasible plans; finite, since the minimiser stops at infinite values."""

_STEP = 1e-4
"""Step in ln N of finite differences."""

_ROUNDING = 1e-12
"""Difference of log losses that is rounding."""


@dataclass(frozen=True)
class Inverse:
    """Inverse problems for a curve and a cost.

    Attributes
    ----------
    curve, split
        Draws of the loss, and the map from size and tokens to the law's inputs.
    loss
        The curve as a function of log size, log tokens and the index of the draw.
    cost, limits
        The cost to minimise, and constraints on plans.
    draw
        Index of the draw of each element.
    law
        The inverse problems without the discrepancy, if there is one.
    """

    curve: Curve
    split: Split
    loss: Loss
    cost: Cost
    limits: Limits
    draw: Draws
    law: "Inverse | None" = None

    @classmethod
    def of(cls, curve: Curve, split: Split, cost: Cost, limits: Limits, draw: Draws) -> "Inverse":
        """Return the inverse problems of a curve."""
        alone = (
            None
            if curve.discrepancy is None
            else cls.of(replace(curve, discrepancy=None, slopes=None), split, cost, limits, draw)
        )
        return cls(curve, split, curve.pointwise(split), cost, limits, draw, alone)

    def _short(self, log_d: Array, log_n: Array, log_l: Array, i: Array) -> Array:
        """Return ln of a target loss over that of a plan, which rises with the tokens."""
        return np.asarray(log_l - np.log(self.loss(log_n, log_d, i.astype(np.intp))))

    def tokens(self, log_n: Array, log_loss: Array, draw: Draws) -> Array:
        """Return the tokens with which models of given sizes reach losses."""
        near = None if self.law is None else self.law.tokens(log_n, log_loss, draw)
        return _root(self._short, near, log_n, log_loss, draw)

    def size(self, log_d: Array, log_loss: Array) -> Array:
        """Return the sizes of models that reach losses with given tokens."""
        near = None if self.law is None else self.law.size(log_d, log_loss)
        return _root(
            lambda log_n, log_d, log_l, i: self._short(log_d, log_n, log_l, i),
            near,
            log_d,
            log_loss,
            self.draw,
        )

    def balanced(
        self, *, n_params: Array | None = None, n_tokens: Array | None = None
    ) -> tuple[Array, Array]:
        """Return compute-optimal plans of given sizes or tokens, at which `_slope` is zero."""
        near = self.law.balanced(n_params=n_params, n_tokens=n_tokens) if self.law else None
        if n_params is not None:
            found = _root(
                lambda log_d, log_n, i: -self._slope(log_n, log_d, i.astype(np.intp)),
                near[1] if near else None,
                n_params,
                self.draw,
            )
            return n_params, found
        assert n_tokens is not None
        found = _root(
            lambda log_n, log_d, i: self._slope(log_n, log_d, i.astype(np.intp)),
            near[0] if near else None,
            n_tokens,
            self.draw,
        )
        return found, n_tokens

    def _slope(self, log_n: Array, log_d: Array, draw: Draws) -> Array:
        """Return d ln L / d ln N at constant cost."""

        def log_cost(log_n: Array, log_d: Array) -> Array:
            return np.asarray(np.log(self.cost(np.exp(log_n), np.exp(log_d))))

        in_size = log_cost(log_n + _STEP, log_d) - log_cost(log_n - _STEP, log_d)
        in_tokens = log_cost(log_n, log_d + _STEP) - log_cost(log_n, log_d - _STEP)
        turn = _STEP * in_size / in_tokens
        ahead, behind = (
            np.log(self.loss(log_n + sign * _STEP, log_d - sign * turn, draw)) for sign in (1, -1)
        )
        return np.asarray((ahead - behind) / (2.0 * _STEP))

    def least(self, log_loss: Array) -> tuple[Array, Array]:
        """Return size and tokens of minimum cost at losses: grid search, then bracketing."""
        from scipy.optimize import elementwise

        if self.law is not None:
            log_n, log_d = self.law.least(log_loss)
            of_law = np.log(self.cost(np.exp(log_n), np.exp(log_d)))
            centre = np.nanmedian(of_law) if np.isfinite(of_law).any() else np.nan
            return self.on_frontier(log_loss, np.exp(centre + _FRONTIER))
        limits = self.limits
        most_tokens = np.log(limits.most_tokens or np.inf)
        least_tokens = np.log(float(limits.min_tokens or 1.0))
        low = np.log(float(limits.min_params or 1.0))
        high = min(np.log(float(limits.max_params or np.inf)), _LOG_ENDS[1] / 2)

        def log_cost(log_n: Any, log_l: Any, i: Any) -> Any:
            log_d = np.maximum(self.tokens(log_n, log_l, i.astype(np.intp)), least_tokens)
            found = np.log(self.cost(np.exp(log_n), np.exp(log_d)))
            late = limits.most_compute is not None and self.cost.training(
                np.exp(log_n), np.exp(log_d)
            ) > limits.most_compute * (1.0 + 1e-9)
            allowed = np.isfinite(found) & (log_d <= most_tokens) & ~np.asarray(late)
            return np.where(allowed, found, _INFEASIBLE)

        grid = np.linspace(low, high, _GRID)
        costs = np.array([log_cost(np.full_like(log_loss, x), log_loss, self.draw) for x in grid])
        at = costs.argmin(axis=0)
        reached = costs.min(axis=0) < _INFEASIBLE
        middle = grid[at]
        middle = np.where(at == 0, low + _STEP, middle)
        middle = np.where(at == _GRID - 1, high - _STEP, middle)
        left, right = (grid[np.clip(at + i, 0, _GRID - 1)] for i in (-1, 1))
        found = elementwise.find_minimum(
            log_cost,
            (left, middle, right),
            args=(log_loss, self.draw),
            tolerances={"xatol": 1e-8, "xrtol": 0.0, "fatol": 0.0, "frtol": 0.0},
        )
        # The end of the range is an optimum only if it is a limit on size.
        ended = ~found.success & ((at == 0) | (at == _GRID - 1))
        kept = np.where(at == 0, limits.min_params is not None, limits.max_params is not None)
        log_n = np.where(ended, np.where(kept, grid[at], np.nan), found.x)
        log_n = np.where(reached, log_n, np.nan)
        return log_n, np.maximum(self.tokens(log_n, log_loss, self.draw), least_tokens)

    def on_frontier(self, log_loss: Array, budgets: Array) -> tuple[Array, Array]:
        """Return the result of `least`, by tabulating the frontier.

        Parameters
        ----------
        log_loss
            Target of each element.
        budgets
            Increasing budgets at which the frontier is tabulated.

        Returns
        -------
        log_n, log_d
            Size and tokens of minimum cost. Where the largest budget does not reach the loss the
            size is infinite; where the least one reaches it already, minus infinity. Tokens are
            NaN there, and both are where the frontier of the draw is not defined.
        """
        budgets = budgets[Spending.reach(self.cost, budgets, self.limits)]
        if not len(budgets):
            return np.full_like(log_loss, np.inf), np.full_like(log_loss, np.nan)
        spending = Spending(self.cost, budgets, self.limits)
        best = self.curve.optimum(spending, self.split.fixed).transpose("chain", "draw", "budget")
        sizes = best.to_numpy().reshape(-1, len(budgets))
        tokens = spending.log_tokens(sizes)
        number = np.arange(len(sizes))[:, None]
        losses = np.log(
            self.loss(
                sizes.ravel(), tokens.ravel(), np.broadcast_to(number, sizes.shape).ravel()
            ).reshape(sizes.shape)
        )
        # The first budget that reaches the loss, and the previous one.
        enough = losses[self.draw] <= log_loss[:, None] + _ROUNDING
        after = np.argmax(enough, axis=1)
        before = np.maximum(after - 1, 0)
        rows = self.draw
        high, low = losses[rows, before], losses[rows, after]
        share = np.where(high > low, (high - log_loss) / (high - low), 1.0)
        near_n = sizes[rows, before] + share * (sizes[rows, after] - sizes[rows, before])
        near_d = tokens[rows, before] + share * (tokens[rows, after] - tokens[rows, before])
        beyond = np.where(enough.any(axis=1), np.where(after > 0, np.nan, -np.inf), np.inf)
        near_n = np.where(np.isnan(beyond), near_n, np.nan)

        # The cost is flat in size near the frontier, so only the tokens are solved for exactly.
        log_d = _root(self._short, near_d, near_n, log_loss, self.draw)
        defined = ~np.isnan(losses[rows]).all(axis=1) & ~np.isnan(log_loss)
        return np.where(defined & ~np.isnan(beyond), beyond, near_n), log_d


def _root(function: Callable[..., Array], near: Array | None, *args: NDArray[Any]) -> Array:
    """Return the root of an increasing function, or NaN if it does not change sign.

    The search is over the whole range, or starts from the initial guess `near`.
    """
    from scipy.optimize import elementwise

    shape = args[0].shape
    low, high = (np.full(shape, end) for end in _LOG_ENDS)
    if near is not None:
        known = np.where(np.isfinite(near), near, 0.5 * sum(_LOG_ENDS))
        # A discrepancy may make the loss non-monotone farther out, so brackets expand outwards.
        bracket = elementwise.bracket_root(
            function,
            known - _START,
            known + _START,
            xmin=known - _NEAR,
            xmax=known + _NEAR,
            args=args,
        )
        low = np.where(bracket.success, bracket.bracket[0], known)
        high = np.where(bracket.success, bracket.bracket[1], known)
    found = elementwise.find_root(function, (low, high), args=args)
    there = found.success if near is None else found.success & bracket.success & np.isfinite(near)
    return np.where(there, found.x, np.nan)
