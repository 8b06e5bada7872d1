"""Shares that minimise a convex sum of exponentials, on the simplex and below upper limits."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]

_HALVINGS = 32
_SWEEPS = 300
_CLOSE = 1e-6
"""Change of a share in one sweep below which shares have converged."""


def mixture_loss(weights: Array, logs: Array, shares: Array) -> Array:
    """Return sum_i w_i exp(sum_j r_j x_ij), for every row.

    Parameters
    ----------
    weights, logs
        w, with shape (rows, terms), and x, with shape (rows, terms, domains).
    shares
        r, with shape (rows, domains) or (domains,).
    """
    return np.asarray((weights * np.exp((logs * shares[..., None, :]).sum(axis=-1))).sum(axis=-1))


def least_mixture(weights: Array, logs: Array, most: Array) -> Array:
    """Return the shares that minimise `mixture_loss`, with shape (rows, domains).

    The loss is minimised along one pair of domains after another; for a smooth convex function on
    the simplex below upper limits, this converges to the global minimum (as sequential minimal
    optimisation, Platt 1999).

    Parameters
    ----------
    weights, logs
        As in `mixture_loss`.
    most
        The largest share of each domain, of sum one or more.
    """
    shares = np.tile(evened(most), (len(weights), 1))
    pairs = list(combinations(range(len(most)), 2))
    for _ in range(_SWEEPS):
        before = shares.copy()
        for a, b in pairs:
            step = _step(weights, logs, shares, most, a, b)
            shares[:, a] -= step
            shares[:, b] += step
        if len(pairs) == 1 or np.abs(shares - before).max() < _CLOSE:
            break
    return np.asarray(np.clip(shares, 0.0, most))


def _step(weights: Array, logs: Array, shares: Array, most: Array, a: int, b: int) -> Array:
    """Return the share to move from domain `a` to `b`, by bisection of the slope."""
    sizes = weights * np.exp((logs * shares[:, None, :]).sum(axis=-1))
    rates = logs[..., b] - logs[..., a]
    low = -np.minimum(shares[:, b], most[a] - shares[:, a])
    high = np.minimum(shares[:, a], most[b] - shares[:, b])
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        rises = (sizes * rates * np.exp(rates * middle[:, None])).sum(axis=-1) > 0.0
        low, high = np.where(rises, low, middle), np.where(rises, middle, high)
    return np.asarray(0.5 * (low + high))


def evened(most: Array) -> Array:
    """Return shares as equal as limits allow: the minimum of a common level and each limit."""
    levels = [0.0, 1.0]
    for _ in range(60):
        level = float(np.mean(levels))
        levels[int(np.minimum(level, most).sum() >= 1.0)] = level
    shares = np.minimum(levels[1], most)
    return np.asarray(shares / shares.sum())
