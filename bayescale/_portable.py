"""Numerics that are reproducible to the last digit on every processor.

NumPy and linear algebra libraries select code by processor, whose results differ in the last
digits. A sampler given data that differ in the last digit soon produces different, though equally
valid, draws. The inputs of samplers are therefore computed here.
"""

import math

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]

_NOWHERE_NEAR = 1.37
"""Of sizes that occur exactly, none is a power of two times this."""


def log(values: Array) -> Array:
    """Return natural logarithms of positive numbers, computed one by one by the C library."""
    return np.array([math.log(x) for x in values.tolist()])


def mean(values: Array) -> float:
    """Return the mean, from an exactly rounded sum."""
    return math.fsum(values.tolist()) / len(values)


def rounded(values: Array, step: float) -> Array:
    """Return the nearest multiples of a step, which must be a power of two.

    Values that differ only in their last digits almost surely round to the same multiple of a much
    larger step.
    """
    return np.rint(values / step) * step


def step_of(size: float, bits: int) -> float:
    """Return the power of two that is about `bits` binary digits below a positive size.

    It changes at no power of two, which a size often is but for its last digit.
    """
    return 2.0 ** (math.frexp(size / _NOWHERE_NEAR)[1] - bits)
