"""The log of a run, configuration and curves, and many of them as one table."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from bayescale.data.notes import Note
from bayescale.data.tables import table_of
from bayescale.errors import RunsError, did_you_mean, listed, quoted

type Series = pd.Series[float]
type Metrics = Mapping[str, Series]
"""Values of each metric, indexed by step in increasing order."""

STEP = "step"


@dataclass(frozen=True, eq=False)
class RunLog:
    """The log of one run.

    Attributes
    ----------
    name
        Name of the run.
    config
        Its configuration, flat.
    history
        Function that reads the metrics.
    summary
        The last value of each metric, if the tracker stores it, so that no curve is read.
    state
        ``"finished"``, another state of Weights & Biases, or an empty text if it is not known.
    """

    name: str
    config: Mapping[str, Any]
    history: Callable[[], Metrics]
    summary: Mapping[str, Any] | None = None
    state: str = ""

    @cached_property
    def metrics(self) -> Metrics:
        """Values of each metric by step."""
        return self.history()

    def final(self, last: int) -> Mapping[str, Any]:
        """Return the mean of the last values of each metric."""
        if last == 1 and self.summary is not None:
            return self.summary
        # NaN is not a missing loss: the run diverged.
        return {
            name: float(values.iloc[-last:].mean(skipna=False))
            for name, values in self.metrics.items()
        }


@dataclass(frozen=True, eq=False)
class RunLogs:
    """The logs of runs: a table with a row for each, and their curves.

    `bayescale.load_runs` and `bayescale.forecast` take it as it is.

    Attributes
    ----------
    source
        The folder, file or tracker.
    logs
        The log of each run.
    last
        Number of values at the end of each curve whose mean is the run's value in `table`.
    notes
        Notes on what was read and left out.
    """

    source: str
    logs: tuple[RunLog, ...]
    last: int = 1
    notes: tuple[Note, ...] = field(default=())

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each run: its configuration, and the last values of its metrics.

        A configured value with the name of a metric becomes the column ``config.NAME``.
        """
        rows = []
        for log in self.logs:
            final = log.final(self.last)
            config = {f"config.{k}" if k in final else k: v for k, v in log.config.items()}
            state = {"state": log.state} if log.state else {}
            rows.append({**config, **final, **state, "run": log.name})
        frame = table_of([{name: _cell(x) for name, x in row.items()} for row in rows])
        return frame[["run", *(name for name in frame.columns if name != "run")]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics."""
        return tuple(dict.fromkeys(name for log in self.logs for name in log.metrics))

    def curves(self, y: str, x: str = STEP) -> pd.DataFrame:
        """Return the points of the curves, with the columns ``run``, `x` and `y`.

        Parameters
        ----------
        y
            The metric, such as ``"val_loss"``.
        x
            ``"step"``, or a metric logged at the same steps, such as ``"tokens"``. Points with a
            value that is not positive are left out.

        Raises
        ------
        RunsError
            If no run has such points.
        """
        parts = []
        for log in self.logs:
            if y in log.metrics and (x == STEP or x in log.metrics):
                points = log.metrics[y].rename(y).to_frame()
                at = points.index.to_series() if x == STEP else log.metrics[x]
                points.insert(0, x, at.reindex(points.index).astype(float))
                points.insert(0, "run", log.name)
                parts.append(points[points[x] > 0])
        if not any(map(len, parts)):
            known = self.metrics
            wrong = next((name for name in (y, x) if name not in (STEP, *known)), None)
            found = f"no metric {quoted(wrong)}" if wrong else f"no step with both {x} and {y}"
            raise RunsError(
                f"{self.source}: found {found}; the metrics are {listed(map(quoted, known))}."
                f"{did_you_mean(wrong, known) if wrong else ''}"
            )
        return pd.concat(parts, ignore_index=True)


def metrics_of(points: Iterable[tuple[str, Any, Any]], where: object) -> Metrics:
    """Return metrics from points (name, step, value); of several at one step the last is used.

    `where` is the file, folder or run of the points, for messages.
    """
    found: dict[str, dict[int, float]] = {}
    for name, step, value in points:
        try:
            found.setdefault(name, {})[int(float(step))] = float(value)
        except (ValueError, TypeError, OverflowError):
            raise RunsError(
                f"{where}: found {quoted(value)} at step {quoted(step)} of the metric "
                f"{quoted(name)}, expected numbers."
            ) from None
    return {name: pd.Series(values, dtype=float).sort_index() for name, values in found.items()}


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings with dotted names."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        where = f"{prefix}.{name}" if prefix else str(name)
        found |= flat(value, where) if isinstance(value, Mapping) else {where: value}
    return found


def _cell(value: Any) -> Any:
    """Return a value for a cell: lists become JSON, and NaN a text, which `load_runs` refuses."""
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if value is None or isinstance(value, str | int | float | bool):
        return value
    try:
        return json.dumps(value, default=str)
    except (ValueError, RecursionError):  # YAML allows lists that contain themselves
        return repr(value)
