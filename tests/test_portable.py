"""Rounding that is stable against differences in the last digits."""

import numpy as np
import pytest

from bayescale._portable import rounded, step_of


@pytest.mark.parametrize("size", [1e-5, 0.25, 1.0, 3.0, 1024.0])
def test_a_step_is_that_many_digits_below_a_size(size):
    step = step_of(size, 16)
    assert np.log2(step) == round(np.log2(step))
    assert 2.0**-17 < step / size < 2.0**-15
    # Sizes are often powers of two up to the last digit.
    assert step_of(size * (1 - 1e-12), 16) == step_of(size * (1 + 1e-12), 16) == step


def test_values_that_differ_in_last_digits_are_rounded_alike():
    values = np.random.default_rng(1).standard_normal(10_000)
    other = values * (1 + 1e-13 * np.sign(values))
    assert not np.array_equal(values, other)
    np.testing.assert_array_equal(rounded(values, 2.0**-16), rounded(other, 2.0**-16))
