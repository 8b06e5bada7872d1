"""Functions that formulas share, in operations that every kind of value dispatches.

`np.logaddexp` and `np.minimum` are not among them: PyTensor variables do not take part in them.
"""

import numpy as np

from bayescale.laws.base import Value


def softplus(z: Value) -> Value:
    """Return ln(1 + exp z), without overflow."""
    size = np.abs(z)
    return 0.5 * (z + size) + np.log1p(np.exp(-size))


def sigmoid(z: Value) -> Value:
    """Return 1 / (1 + exp -z), the slope of `softplus`, without overflow."""
    return np.exp(z - softplus(z))


def log_add(first: Value, second: Value) -> Value:
    """Return ln(exp first + exp second), without overflow."""
    return second + softplus(first - second)


def detached(value: Value) -> Value:
    """Return a value through which no gradient is taken.

    One Newton step from a solution, with the solution held fixed, has the exact derivative of
    the solution; differentiating every step before it would give the same at many times the cost.
    """
    if type(value).__module__.startswith("pytensor."):
        from pytensor.gradient import disconnected_grad

        return disconnected_grad(value)  # type: ignore[no-untyped-call]
    return value


def smaller(first: Value, second: Value) -> Value:
    """Return the smaller of two values."""
    return 0.5 * (first + second - np.abs(first - second))


def larger(first: Value, second: Value) -> Value:
    """Return the larger of two values."""
    return 0.5 * (first + second + np.abs(first - second))
