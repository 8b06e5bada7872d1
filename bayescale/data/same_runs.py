"""Check that fits use the same runs, and report the differences."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.data.runs import Runs
from bayescale.errors import RunsError

_SHOWN = 3
"""Largest number of rows quoted in a message."""


def check_same_runs(tables: Mapping[str, Runs]) -> None:
    """Raise RunsError unless all tables have the same runs, in any order.

    Parameters
    ----------
    tables
        Runs by the name of the fitted law. All columns used by any of the laws are compared.

    Raises
    ------
    RunsError
        With the numbers of runs, missing columns, or rows that only one table has.
    """
    names = list(tables)
    first = names[0]
    for name in names[1:]:
        if difference := _difference(tables, first, name):
            raise RunsError(
                f"{first} and {name} were not fitted to the same runs: {difference} Laws can be "
                "compared or averaged on the same runs only; fit all of them to one table."
            )


def _difference(tables: Mapping[str, Runs], first: str, second: str) -> str:
    one, other = tables[first], tables[second]
    if one.response != other.response:
        return f"{first} is a law of {one.response}, {second} one of {other.response}."
    if one.response_unit != other.response_unit:
        return (
            f"the {one.response} of {first} is in {one.response_unit or 'no stated unit'}, that of "
            f"{second} in {other.response_unit or 'no stated unit'}."
        )
    columns = _columns(list(tables.values()))
    for name, runs in ((first, one), (second, other)):
        missing = [column for column in columns if column not in runs.table]
        if missing:
            return f"the runs of {name} have no column {', '.join(missing)}."
    compared = {name: replace(tables[name], observed=tuple(columns)) for name in (first, second)}
    if compared[first].fingerprint == compared[second].fingerprint:
        return ""
    rows = {name: pd.DataFrame(_rows(tables[name], [*columns])) for name in (first, second)}
    counts = {name: table.value_counts() for name, table in rows.items()}
    sentences = [f"{first} has {len(one)} runs, {second} has {len(other)}."]
    for name, against in ((first, second), (second, first)):
        only = counts[name].sub(counts[against], fill_value=0)
        extra = only[only > 0].index
        if len(extra):
            at = [int(np.flatnonzero((rows[name] == list(row)).all(axis=1))[0]) for row in extra]
            shown = ", ".join(_text(tables[name], columns, row) for row in sorted(at)[:_SHOWN])
            more = f" and {len(at) - _SHOWN} more" if len(at) > _SHOWN else ""
            sentences.append(f"Only {name} has {shown}{more}.")
    if len(sentences) == 1:
        sentences.append("They differ in the family of runs.")
    else:
        changed = _changed(rows[first], rows[second])
        if changed is not None:
            named = [*columns, one.response]
            sentences.append(f"Row by row, they differ in {', '.join(named[i] for i in changed)}.")
    return " ".join(sentences)


def _changed(one: pd.DataFrame, other: pd.DataFrame) -> list[int] | None:
    """Return the columns that differ between tables of equal length, None if all differ."""
    if len(one) != len(other):
        return None
    found = [i for i in range(one.shape[1]) if not np.array_equal(one[i], other[i])]
    return found if 0 < len(found) < one.shape[1] else None


def _columns(tables: Sequence[Runs]) -> list[str]:
    return list(dict.fromkeys(name for runs in tables for name in runs.observed))


def _rows(runs: Runs, columns: Sequence[str]) -> NDArray[np.float64]:
    return runs.table[[*columns, runs.response]].to_numpy(dtype=np.float64)


def _text(runs: Runs, columns: Sequence[str], row: int) -> str:
    values = runs.table.iloc[row]
    parts = [f"{name} {values[name]:.4g}" for name in (*columns, runs.response)]
    return f"row {row} ({', '.join(parts)})"
