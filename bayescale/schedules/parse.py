"""Schedules as text: a kind and its numbers."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescale.data.readers import read_source
from bayescale.errors import AmountError, RunsError, listed, quoted, unknown_name
from bayescale.schedules.schedule import Schedule
from bayescale.units import parse_amount

type ScheduleLike = str | Path | Schedule
"""A schedule; a text such as ``"cosine:peak=3e-4,steps=24k"``; or a table of step and lr."""

KINDS: Mapping[str, Callable[..., Schedule]] = {
    "constant": Schedule.constant,
    "cosine": Schedule.cosine,
    "linear": Schedule.linear,
    "wsd": Schedule.wsd,
    "two-stage": Schedule.two_stage,
}
"""Schedules that text may name, with the arguments of these functions."""

_EXAMPLE = "'cosine:peak=3e-4,steps=24000,final=3e-5,warmup=2160'"
_RATES = ("peak", "final", "second")


def as_schedule(given: ScheduleLike) -> Schedule:
    """Return a schedule from text, or from a file with columns ``step`` and ``lr``.

    Examples
    --------
    >>> as_schedule("wsd:peak=3e-4,steps=24k,decay_from=20k,final=3e-5,warmup=2k")
    <schedule wsd, linear, peak 0.0003, 24,000 steps>
    """
    if isinstance(given, Schedule):
        return given
    kind, _, rest = str(given).partition(":")
    if isinstance(given, Path) or (Path(given).suffix and kind not in KINDS):
        return _from_file(given)
    if kind not in KINDS:
        raise unknown_name("schedule", kind, KINDS)
    make, arguments = KINDS[kind], dict(_pairs(rest, given))
    known = inspect.signature(make).parameters
    for name in arguments:
        if name not in known:
            raise AmountError(
                f"schedule {quoted(given)}: found {quoted(name)}, expected {listed(known)}."
            )
    missing = [n for n, p in known.items() if p.default is p.empty and n not in arguments]
    if missing:
        raise AmountError(
            f"schedule {quoted(given)}: found no {listed(missing)}, expected it, as in {_EXAMPLE}."
        )
    return make(**{name: _value(name, value) for name, value in arguments.items()})


def _value(name: str, text: str) -> Any:
    if name == "decay":
        return text
    if name not in _RATES:
        return round(parse_amount(text, "count", f"{name} of the schedule"))
    try:
        return float(text)
    except ValueError:
        raise AmountError(
            f"schedule: found {name} = {quoted(text)}, expected a rate such as 3e-4."
        ) from None


def _pairs(rest: str, given: object) -> list[tuple[str, str]]:
    found = []
    for entry in filter(None, rest.split(",")):
        name, _, value = entry.partition("=")
        if not name or not value:
            raise AmountError(
                f"schedule {quoted(given)}: found {quoted(entry)}, expected NAME=VALUE, as in "
                f"{_EXAMPLE}."
            )
        found.append((name.strip(), value.strip()))
    return found


def _from_file(path: str | Path) -> Schedule:
    raw = read_source(path)
    for name in ("step", "lr"):
        if name not in raw.frame:
            raise RunsError(
                f"{raw.name}: found the columns {listed(raw.frame.columns)}, expected step and lr: "
                "the rates of a schedule."
            )
    columns = raw.frame[["step", "lr"]].apply(pd.to_numeric, errors="coerce")
    for name in columns:
        if wrong := [*np.flatnonzero(columns[name].isna())]:
            (value,) = raw.frame[name].iloc[wrong[:1]].tolist()
            raise RunsError(
                f"{raw.name}: {raw.row_word} {columns.index[wrong[0]]}, column {name}: found "
                f"{quoted(value)}, expected a number."
            )
    return Schedule.table(columns["step"], columns["lr"])
