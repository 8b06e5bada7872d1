"""Numerics that are reproducible to the last digit on every processor.

NumPy and linear algebra libraries select code by processor, whose results differ in the last
digits. A sampler given data that differ in the last digit soon produces different, though equally
valid, draws. The inputs of samplers are therefore computed here.
"""

import math

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]


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
