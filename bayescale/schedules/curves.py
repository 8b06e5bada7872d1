"""Curves of runs under schedules, read from a table and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.data.numbers import as_floats
from bayescale.data.readers import RawTable, Table, read_source
from bayescale.errors import RunsError, did_you_mean, listed, quoted
from bayescale.schedules.parse import ScheduleLike, as_schedule
from bayescale.schedules.schedule import LONGEST, Schedule

type Array = NDArray[np.float64]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "step": ("step", "steps", "n_steps", "iteration"),
    "loss": ("loss", "val_loss", "eval_loss"),
    "rate": ("lr", "learning_rate"),
    "run": ("run", "run_name", "name"),
}
"""Recognised names of columns, unless they are given."""

_SAME = 0.05
"""Relative difference up to which a recorded rate agrees with a schedule."""

_ALMOST_ALL = 0.9
"""Share of recorded rates that must agree: one next to a jump may belong to either side."""


@dataclass(frozen=True, eq=False)
class RunCurve:
    """The loss along one run.

    Attributes
    ----------
    run
        Name of the run; empty if the table has one.
    schedule
        Its schedule.
    step, loss
        Steps in increasing order, and the loss there.
    """

    run: str
    schedule: Schedule
    step: Array
    loss: Array


def read_run_curves(
    source: str | Path | Table,
    schedules: Mapping[str, ScheduleLike],
    columns: Mapping[str, str | None],
) -> tuple[RunCurve, ...]:
    """Return the curves of a table of points.

    Parameters
    ----------
    source
        The table.
    schedules
        Schedules by run; those of other runs are read from the column of the rate.
    columns
        Names of columns, by the keys of `COLUMNS`; found by their usual names unless given.
    """
    raw = read_source(source)
    _refuse_twice(raw, columns)
    frame = pd.DataFrame(
        {what: raw.finite(_found(raw, what, columns.get(what))) for what in ("step", "loss")}
    )
    whole = frame["step"].eq(frame["step"].round()) & frame["step"].between(1, LONGEST)
    raw.refuse(~whole, _found(raw, "step", columns.get("step")), "a whole step of at least 1")
    raw.refuse(frame["loss"] <= 0, _found(raw, "loss", columns.get("loss")), "a positive loss")
    rate = _column(raw, "rate", columns.get("rate"))
    by = _column(raw, "run", columns.get("run"))
    frame["rate"] = np.nan if rate is None else as_floats(raw.frame[rate])
    names = pd.Series("", index=frame.index) if by is None else raw.frame[by].astype(str)
    parts = {str(name): part for name, part in frame.groupby(names, sort=False)}
    if by is None and len(schedules) == 1:
        schedules = {"": next(iter(schedules.values()))}
    return tuple(
        _curve(raw.name, name, part.sort_values("step", kind="stable"), schedules.get(name))
        for name, part in parts.items()
    )


def _curve(table: str, name: str, part: pd.DataFrame, given: ScheduleLike | None) -> RunCurve:
    of = f"the run {quoted(name)}" if name else "the run"
    step, rate = part["step"].to_numpy(), part["rate"].to_numpy(dtype=np.float64)
    if np.any(twice := np.diff(step) == 0):
        raise RunsError(
            f"{table}: found step {step[:-1][twice][0]:g} twice in {of}, expected each once. If "
            "the table holds several runs, name the column that tells them apart."
        )
    known = np.isfinite(rate)
    if given is None and not known.all():
        raise RunsError(
            f"{table}: found no learning rate at step {step[~known][0]:g} of {of}, expected a "
            "column lr with one in each row, or the schedule of the run."
        )
    schedule = Schedule.table(step, rate) if given is None else as_schedule(given)
    if schedule.steps < step[-1]:
        raise RunsError(
            f"{table}: found step {step[-1]:g} of {of}, expected at most the {schedule.steps:,} "
            f"steps of its schedule ({schedule.text})."
        )
    if given is not None and known.any():
        planned = schedule.rates[step[known].astype(int) - 1]
        same = np.abs(rate[known] - planned) <= _SAME * np.maximum(planned, rate[known])
        if same.mean() < _ALMOST_ALL:
            at = int(np.argmin(same))
            raise RunsError(
                f"{table}: found the rate {rate[known][at]:g} at step {step[known][at]:g} of {of}, "
                f"expected {planned[at]:g}, that of its schedule ({schedule.text})."
            )
    return RunCurve(name, schedule, step, part["loss"].to_numpy(dtype=np.float64))


def _refuse_twice(raw: RawTable, columns: Mapping[str, str | None]) -> None:
    """Raise RunsError if one column is named for two quantities."""
    taken: dict[str, str] = {}
    for what in COLUMNS:
        name = _column(raw, what, columns.get(what))
        if name is None:
            continue
        if name in taken:
            raise RunsError(
                f"{raw.name}: found the column {quoted(name)} for both the {taken[name]} and the "
                f"{what}, expected another for each."
            )
        taken[name] = what


def _found(raw: RawTable, what: str, given: str | None) -> str:
    """Return the column of a quantity, or raise RunsError."""
    name = _column(raw, what, given)
    if name is None:
        raise RunsError(
            f"{raw.name}: found the columns {listed(raw.frame.columns)}, expected one of the "
            f"{what}, named {listed(COLUMNS[what])}. Rename the column, or name it ({what}=, "
            f"--{what} NAME)."
        )
    return name


def _column(raw: RawTable, what: str, given: str | None) -> str | None:
    present: Sequence[str] = [str(name) for name in raw.frame.columns]
    if given is not None:
        if given not in present:
            raise RunsError(
                f"{raw.name}: found no column {quoted(given)} for the {what}, expected one of "
                f"{listed(present)}.{did_you_mean(given, present)}"
            )
        return given
    return next((name for name in COLUMNS[what] if name in present), None)
