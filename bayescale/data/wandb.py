"""Flatten exports of experiment trackers to one plain table."""

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isnan
from typing import Any

import pandas as pd

from bayescale.data.notes import Note
from bayescale.data.readers import RawTable
from bayescale.data.tables import table_of
from bayescale.errors import RunsError, quoted

NESTED = ("config", "summary", "summary_metrics", "hyperparameters")
"""Columns with one dictionary per run, as an object or as text."""

_STATES = frozenset(
    ("finished", "running", "crashed", "failed", "killed", "preempted", "preempting", "pending")
)
"""States of runs in Weights & Biases."""

# Python writes non-finite numbers unquoted, which `ast.literal_eval` does not accept.
_NOT_A_LITERAL = re.compile(r"(?<=[:,\[\s])-?(?:nan|NaN|inf|Infinity)(?=\s*[,}\]])")


def key_of(column: str) -> str:
    """Return a column's name normalised for comparison: case, separators, tracker prefix.

    Examples
    --------
    >>> [key_of(name) for name in ("Model Size", "config.n_params", "eval/loss")]
    ['model_size', 'n_params', 'eval_loss']
    """
    name = column.strip().lower()
    for prefix in NESTED:
        if name.startswith((f"{prefix}.", f"{prefix}/")):
            name = name[len(prefix) + 1 :]
    return re.sub(r"[\s/.-]+", "_", name)


def flatten(raw: RawTable) -> RawTable:
    """Return a table with nested columns expanded.

    Raises
    ------
    RunsError
        If a nested column has anything but dictionaries, or if the table is the export of a
        chart, which has no sizes and tokens.
    """
    if any(str(name).endswith("__MIN") for name in raw.frame.columns):
        raise RunsError(
            f"{raw.name}: found the history of a chart (columns ending in __MIN and __MAX), "
            "expected one row for each run with its size, tokens and final loss. Export the table "
            "of runs instead, with those columns shown."
        )
    parts = []
    for name in raw.frame.columns:
        column = raw.frame[name]
        if _is_nested(str(name), column):
            parts.append(_expanded(raw, str(name), column))
        else:
            parts.append(column.to_frame())
    frame = pd.concat(parts, axis="columns")
    if not frame.columns.is_unique:
        repeated = frame.columns[frame.columns.duplicated()][0]
        raise RunsError(
            f"{raw.name}: found {quoted(repeated)} both as a column and inside a nested one. Keep "
            "one."
        )
    return replace(raw, frame=frame)


def drop_unfinished(raw: RawTable) -> RawTable:
    """Return the finished runs, if a column marks them, with a note on the others."""
    for name in raw.frame.columns:
        if key_of(str(name)) not in ("state", "run_state"):
            continue
        states = raw.frame[name].map(plain_text).str.strip().str.lower()
        if not set(states) <= _STATES:
            continue
        finished = states == "finished"
        if not finished.any():
            raise RunsError(
                f"{raw.name}: no run has the state finished in the column {str(name)!r}; found "
                f"{', '.join(sorted(set(states)))}. Remove the column to read all runs."
            )
        if finished.all():
            return raw
        others = ", ".join(sorted(set(states[~finished])))
        count = f"{int((~finished).sum())} of {len(finished)} runs"
        note = Note(
            f"left out unfinished runs: {count} ({others})",
            "left out",
            columns=[str(name)],
            rows=raw.frame.index[~finished],
        )
        return replace(raw, frame=raw.frame[finished], notes=(*raw.notes, note))
    return raw


def plain_text(value: object) -> str:
    """Return any cell as text that can be encoded in UTF-8."""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # an integer with thousands of digits, or deep nesting
        text = quoted(value)
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _is_nested(name: str, column: "pd.Series[Any]") -> bool:
    values = column.dropna()
    if name.strip().lower() in NESTED:
        return any(isinstance(x, Mapping) or plain_text(x).lstrip()[:1] == "{" for x in values)
    return bool(len(values)) and all(isinstance(value, Mapping) for value in values)


def _expanded(raw: RawTable, name: str, column: "pd.Series[Any]") -> pd.DataFrame:
    rows = []
    for row, value in column.items():
        place = f"{raw.name}, {raw.row_word} {row}, column {quoted(name)}"
        try:
            rows.append(_flat(_dictionary(value, place), name))
        except RecursionError:
            raise RunsError(f"{place}: the dictionary is nested too deep to be read.") from None
    return table_of(rows, column.index)


def _dictionary(value: object, place: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    if is_empty_cell(value):
        return {}
    readers: tuple[Callable[[str], Any], ...] = (json.loads, ast.literal_eval)
    for read in readers:
        try:
            found = read(
                _NOT_A_LITERAL.sub("null" if read is json.loads else "None", plain_text(value))
            )
        except (ValueError, SyntaxError, TypeError, MemoryError):  # as `literal_eval` raises
            continue
        if isinstance(found, Mapping):
            return found
    raise RunsError(
        f"{place}: found {quoted(value)}, expected a dictionary. Correct or remove the row."
    )


def is_empty_cell(value: object) -> bool:
    """Return whether a cell is empty: None, NaN, NaT, NA or empty text."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return value == "" if isinstance(value, str) else isinstance(value, float) and isnan(value)


def _flat(content: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        where = f"{prefix}.{name}"
        # The configuration file of a run wraps every value together with its description.
        if isinstance(value, Mapping) and "value" in value and set(value) <= {"value", "desc"}:
            value = value["value"]
        flat |= _flat(value, where) if isinstance(value, Mapping) else {where: value}
    return flat
