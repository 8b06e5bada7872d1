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
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def log_add(first: Value, second: Value) -> Value:
    """Return ln(exp first + exp second), without overflow."""
    return second + softplus(first - second)


def smaller(first: Value, second: Value) -> Value:
    """Return the smaller of two values."""
    return 0.5 * (first + second - np.abs(first - second))


def larger(first: Value, second: Value) -> Value:
    """Return the larger of two values."""
    return 0.5 * (first + second + np.abs(first - second))
