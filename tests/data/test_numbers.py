"""Plain numbers of cells, of any type and length."""

import math

import pandas as pd
import pytest

import bayescale as bs
from bayescale.data.numbers import as_floats
from bayescale.errors import RunsError

HUGE = 10**400
"""An integer that is too large for a float."""


def test_numbers_are_read_and_all_else_is_missing():
    column = pd.Series([1, "2.5", " 3 ", HUGE, str(HUGE), "1_5", None, "x", [1]], dtype=object)
    found = as_floats(column)
    assert found[:3].tolist() == [1.0, 2.5, 3.0]
    assert found[4] == math.inf
    assert found[[3, 5, 6, 7, 8]].isna().all()
    assert as_floats(pd.Series([], dtype=object)).dtype == float


@pytest.mark.parametrize("column", ["step", "loss"])
def test_a_curve_with_a_huge_integer_is_refused(column):
    points = {"step": [1, 2, 3], "loss": [3.0, 2.5, 2.2]}
    points[column] = [*points[column][:2], HUGE]
    with pytest.raises(
        RunsError, match=f"row 2, column {column}: found an integer .* expected a finite number"
    ):
        bs.forecast_run(pd.DataFrame(points), "cosine:peak=3e-4,steps=10,final=3e-5")
