"""Layouts in which other tools leave their runs, brought to one plain table."""

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from bayescale.errors import RunsError
from bayescale.sources import RawTable

NESTED = ("config", "summary", "summary_metrics", "hyperparameters")
"""Columns in which exports keep one dictionary a run, as an object or as its text."""

_STATES = frozenset(
    ("finished", "running", "crashed", "failed", "killed", "preempted", "preempting", "pending")
)
"""States that Weights & Biases gives to runs."""

# Python writes what JSON cannot hold without quotes, and literals know nothing of it.
_NOT_A_LITERAL = re.compile(r"(?<=[:,\[\s])-?(?:nan|NaN|inf|Infinity)(?=\s*[,}\]])")


def key_of(column: str) -> str:
    """Return a column's name for comparison: no case, no separators, no word of where it was kept.

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
    """Return a table whose nested columns, if it has any, are columns of their own.

    Raises
    ------
    RunsError
        If a nested column holds anything but dictionaries, or if the table is the export of a
        chart, which says nothing of sizes and tokens.
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
    return replace(raw, frame=pd.concat(parts, axis="columns"))


def drop_unfinished(raw: RawTable) -> tuple[RawTable, str]:
    """Return the runs that finished, where a column says which did, and a note on the others."""
    for name in raw.frame.columns:
        states = raw.frame[name].astype(str).str.strip().str.lower()
        if key_of(str(name)) != "state" or not set(states) <= _STATES:
            continue
        finished = states == "finished"
        if not finished.any():
            raise RunsError(
                f"{raw.name}: no run has the state finished in the column {str(name)!r}; found "
                f"{', '.join(sorted(set(states)))}. Leave the column out to read them all the same."
            )
        if finished.all():
            return raw, ""
        others = ", ".join(sorted(set(states[~finished])))
        count = f"{int((~finished).sum())} of {len(finished)} runs"
        note = f"left out what did not finish: {count} ({others})"
        return replace(raw, frame=raw.frame[finished]), note
    return raw, ""


def _is_nested(name: str, column: "pd.Series[Any]") -> bool:
    values = column.dropna()
    if name.strip().lower() in NESTED:
        return any(isinstance(x, Mapping) or str(x).lstrip()[:1] == "{" for x in values)
    return bool(len(values)) and all(isinstance(value, Mapping) for value in values)


def _expanded(raw: RawTable, name: str, column: "pd.Series[Any]") -> pd.DataFrame:
    rows = [
        _flat(_dictionary(value, f"{raw.name}, {raw.row_word} {row}, column {name!r}"), name)
        for row, value in column.items()
    ]
    return pd.DataFrame(rows, index=column.index)


def _dictionary(value: object, place: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    if value is None or value is pd.NA or value != value or value == "":
        return {}
    readers: tuple[Callable[[str], Any], ...] = (json.loads, ast.literal_eval)
    for read in readers:
        try:
            found = read(_NOT_A_LITERAL.sub("null" if read is json.loads else "None", str(value)))
        except (ValueError, SyntaxError):
            continue
        if isinstance(found, Mapping):
            return found
    shown = str(value)[:40] + ("..." if len(str(value)) > 40 else "")
    raise RunsError(f"{place}: found {shown!r}, expected a dictionary. Correct or remove the row.")


def _flat(content: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        where = f"{prefix}.{name}"
        # A run's own configuration file wraps every value together with its description.
        if isinstance(value, Mapping) and "value" in value and set(value) <= {"value", "desc"}:
            value = value["value"]
        flat |= _flat(value, where) if isinstance(value, Mapping) else {where: value}
    return flat
