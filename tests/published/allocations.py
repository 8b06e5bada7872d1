"""Compute-optimal allocations of published constants."""

import pytest

import bayescale as bs

close = pytest.approx


def optimum(constants: str | bs.Constants, compute: float) -> dict[str, float]:
    source = bs.published(constants) if isinstance(constants, str) else constants
    table = bs.allocate(source, budget=compute).table()
    return {name: float(value) for name, value in table.iloc[0].items()}
