"""Plain numbers of cells; other values are NaN."""

import math
from typing import Any

import pandas as pd


def as_float(value: Any) -> float:
    """Return a plain number, or NaN for any other value."""
    if isinstance(value, str) and "_" in value:
        return math.nan  # float would read 1_5 as 15; amounts are read by `parse_amount`
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def as_floats(column: "pd.Series[Any]") -> "pd.Series[float]":
    """Return the plain numbers of a column; unlike pandas, also of integers of any length."""
    return column.map(as_float).astype(float)
