"""Functions shared by formulas, in operations that dispatch on every kind of value.

`np.logaddexp` and `np.minimum` do not dispatch on PyTensor variables, hence the versions here.
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
    """Return a value detached from the gradient.

    One Newton step from a detached solution has the exact derivative of the solution (implicit
    differentiation), at a fraction of the cost of differentiating every step.
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
