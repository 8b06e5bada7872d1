"""Numbers that are the same to the last digit on every processor.

NumPy and linear algebra libraries choose code by the processor, and its last digits differ. A
sampler that starts from data which differ in the last digit makes other draws after a while, as
right as before but not the same. What a sampler is given is therefore made here.
"""

import math

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]


def log(values: Array) -> Array:
    """Return natural logarithms of positive numbers, by the C library, one after another."""
    return np.array([math.log(x) for x in values.tolist()])


def mean(values: Array) -> float:
    """Return the mean, from a sum that is exact."""
    return math.fsum(values.tolist()) / len(values)


def rounded(values: Array, step: float) -> Array:
    """Return the nearest multiples of a step, which must be a power of two.

    Of values whose last digits differ: multiples of a step that is far greater than by how much
    are all but certainly the same.
    """
    return np.rint(values / step) * step
