"""Curves of one variable, read from a table and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.data.logs.run_log import STEP, RunLogs
from bayescale.data.readers import RawTable, Table, logs_of, read_source
from bayescale.data.runs import Runs
from bayescale.errors import RunsError, did_you_mean, listed, quoted

type Array = NDArray[np.float64]

FEWEST = 5
"""Fewest distinct amounts of a curve that is forecast."""

LEAST_FALL = 0.02
"""Lower bound on the expected fall of the log loss, so that flat curves have a scale."""

_END = 0.1
"""Fraction of the points at either end from which the fall is computed."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve of one variable: positive amounts in order, and responses.

    Attributes
    ----------
    name
        Name of the curve; empty if there is only one.
    x, y
        Amounts in increasing order, and the loss or another error there.
    """

    name: str
    x: Array
    y: Array

    def relative(self, x: Array) -> Array:
        """Return logarithms of amounts, relative to the last x."""
        return np.asarray(np.log(x / self.x[-1]))

    @cached_property
    def log_x(self) -> Array:
        """The logarithm of x, relative to the last x."""
        return self.relative(self.x)

    @cached_property
    def log_y(self) -> Array:
        """The logarithm of y."""
        return np.asarray(np.log(self.y))

    @property
    def span(self) -> float:
        """The range of ln x."""
        return -float(self.log_x[0])

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Means of ln y over the first and over the last tenth of the points."""
        count = max(1, int(_END * len(self.y)))
        return float(self.log_y[:count].mean()), float(self.log_y[-count:].mean())

    @property
    def fall(self) -> float:
        """The observed fall of ln y between the two ends."""
        return self.ends[0] - self.ends[1]

    @cached_property
    def expected_fall(self) -> float:
        """The expected fall of ln y, from the higher end to the lowest points; bounded below."""
        count = max(1, int(_END * len(self.y)))
        lowest = np.convolve(self.log_y, np.full(count, 1.0 / count), "valid").min()
        return max(max(self.ends) - float(lowest), LEAST_FALL)


def read_curves(
    source: str | Path | Table | Runs | RunLogs,
    *,
    x: str | None,
    y: str | None,
    by: str | None,
    ceiling: float | None,
) -> tuple[Sequence[Curve], str, str]:
    """Return the curves of a table, and the names of the columns of x and of y.

    Parameters are those of `bayescale.forecast`.
    """
    if isinstance(source, Runs):
        raw = RawTable(source.table, source.name, None, "row")
    elif logs := logs_of(source):
        raw, x, by = _of_logs(logs, x or STEP, y), x or STEP, by or "run"
    else:
        raw = read_source(source)
    columns = [str(name) for name in raw.frame.columns]
    for what, name in (("x", x), ("y", y), ("by", by)):
        if name is not None and name not in columns:
            raise RunsError(
                f"{raw.name}: found no column {quoted(name)} for {what}, expected one of "
                f"{listed(columns)}.{did_you_mean(name, columns)}"
            )
    given = [name for name in (x, y, by) if name is not None]
    if len(set(given)) < len(given):
        raise RunsError(
            f"{raw.name}: found {_roles(x, y, by)}, expected a column of its own for each."
        )
    others = [name for name in columns if name not in given]
    if y is None:
        y = "loss" if "loss" in others else others[-1] if len(others) == 1 + (x is None) else None
    if x is None:
        left = [name for name in others if name != y]
        x = left[0] if y is not None and len(left) == 1 else None
    for what, chosen in (("y", y), ("x", x)):
        if chosen is None:
            raise RunsError(
                f"{raw.name}: found the columns {listed(columns)}, expected to know which is {what}"
                f" of the curve. Name it: {what}=... (--{what})."
            )
    assert x is not None
    assert y is not None
    frame = pd.DataFrame({"x": raw.finite(x), "y": raw.finite(y)})
    if ceiling is not None:
        frame["y"] = ceiling - frame["y"]
    raw.refuse(frame["x"] <= 0, x, "a positive amount")
    within = "a positive number" if ceiling is None else f"a number below the ceiling, {ceiling:g}"
    raw.refuse(frame["y"] <= 0, y, within)
    if by is None:
        return (_curve("", frame, raw.name, x),), x, y
    names = raw.frame[by]
    if names.isna().any():
        row = names.index[names.isna()][0]
        raise RunsError(
            f"{raw.name}: {raw.row_word} {row}, column {by}: found no name, expected the curve's."
        )
    parts = frame.groupby(names.astype(str), sort=False)
    return tuple(_curve(str(name), part, raw.name, x) for name, part in parts), x, y


def _roles(x: str | None, y: str | None, by: str | None) -> str:
    """Return the roles of the given columns, for messages."""
    roles = {"x": x, "y": y, "by": by}
    return listed([f"{name} for {role}" for role, name in roles.items() if name is not None])


def _of_logs(logs: RunLogs, x: str, y: str | None) -> RawTable:
    """Return the points of the curves of logs."""
    metrics = logs.metrics
    if y is None:
        y = "loss" if "loss" in metrics else metrics[0] if len(metrics) == 1 else None
    if y is None:
        raise RunsError(
            f"{logs.source}: found the metrics {listed(map(quoted, metrics))}, expected to know "
            "which is y of the curves. Name it: y=... (--y)."
        )
    return RawTable(logs.curves(y, x), logs.source, None, "row", logs.notes)


def _curve(name: str, part: pd.DataFrame, table: str, x: str) -> Curve:
    distinct = part["x"].nunique()
    if distinct < FEWEST:
        of = f"curve {quoted(name)}" if name else "the curve"
        raise RunsError(
            f"{table}: found {distinct} distinct {x} in {of}, expected at least {FEWEST}: fewer "
            "points determine neither a law nor their scatter."
        )
    part = part.sort_values("x", kind="stable")
    return Curve(name, part["x"].to_numpy(dtype=float), part["y"].to_numpy(dtype=float))
