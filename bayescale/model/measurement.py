"""How responses were recorded: standard errors, rounding, censoring and order of checkpoints."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale import _portable as portable
from bayescale.data.levels import Levels, column_of
from bayescale.data.numbers import as_floats
from bayescale.data.runs import Runs
from bayescale.errors import RunsError, did_you_mean
from bayescale.units import per_cent_of

type Facts = Mapping[str, NDArray[np.float64]]
"""Facts about each run by name, as arrays with one number per run."""

_EXACT = 1e-7
"""Relative half-width of the interval of a response that is not rounded."""

_FIRST = 1e9
"""Gap, in ln units, before the first checkpoint of a run, which makes it independent of all others;
finite, so that its derivatives are zero."""

_FLAGS = {"1": 1.0, "1.0": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "false": 0.0}


def errors_of(runs: Runs, column: str) -> NDArray[np.float64]:
    """Return relative standard errors of the responses, which are those of their logarithms."""
    values = _numbers(runs, column, "a standard error: a finite number of at least 0")
    relative: NDArray[np.float64] = values / runs.column(runs.response)
    return relative


def widths_of(runs: Runs | None, rounding: str | float, count: int = 0) -> NDArray[np.float64]:
    """Return the half-widths, in logs, of the intervals that responses were rounded from."""
    if runs is None:
        return np.full(count, _EXACT)
    response = runs.column(runs.response)
    what = f"a step: a finite number of at least 0 and less than the {runs.response}"
    if isinstance(rounding, str) and (share := share_of(rounding)):
        steps = share * response
    elif isinstance(rounding, str):
        steps = _numbers(runs, rounding, what, below=response)
    else:
        steps = np.full(len(runs), float(rounding))
        if np.any(steps >= response):
            row = int(np.argmin(response))
            raise RunsError(
                f"{runs.name}, row {row}, column {runs.response!r}: found {response[row]:g}, which "
                f"is no more than the {rounding:g} that the card says it is rounded to."
            )
    half = [max(math.atanh(x), _EXACT) for x in (0.5 * steps / response).tolist()]
    return np.array(half)


def share_of(rounding: str) -> float:
    """Return the fraction that a text such as ``"0.4 %"`` states, 0 if it is not a percentage."""
    return (per_cent_of(rounding) or 0.0) / 100.0


def flags_of(runs: Runs, column: str) -> NDArray[np.float64]:
    """Return 1 for runs that diverged, 0 for others."""
    texts = _column(runs, column).astype(str).str.strip().str.lower()
    flags = texts.map(_FLAGS)
    if flags.isna().any():
        row = int(np.flatnonzero(flags.isna())[0])
        raise RunsError(
            f"{_place(runs, row, column)}: found {_column(runs, column).iloc[row]!r}, expected 1 "
            "for a run that diverged, 0 for one that did not."
        )
    marks: NDArray[np.float64] = flags.to_numpy(dtype=np.float64)
    return marks


def links_of(
    runs: Runs,
    run: str,
    along: str,
    censored: str = "",
    known: NDArray[np.bool_] | None = None,
    *,
    apart: bool = True,
) -> dict[str, NDArray[np.float64]]:
    """Return the preceding checkpoint of each row, and the gap between the two.

    Parameters
    ----------
    runs
        The table.
    run, along
        The column that identifies runs, and the one that orders checkpoints.
    censored
        The column that marks divergence, if any; no checkpoint may follow a diverged one.
    known
        Mask of rows that others may follow; all unless given.
    apart
        Whether two checkpoints of a run at one position are an error.

    Returns
    -------
    dict
        ``previous``, the row's own index for a first checkpoint, and ``gap``, in ln units.
    """
    _column(runs, run)
    levels = Levels.of(runs, run)
    labels = levels.text(column_of(runs, run))
    what = "a positive finite number, along which checkpoints follow one another"
    log = portable.log(_numbers(runs, along, what, positive=True))
    diverged = flags_of(runs, censored) > 0.5 if censored else np.zeros(len(runs), dtype=bool)
    found = unlinked(len(runs))
    last: dict[str, int] = {}
    before: dict[str, int] = {}
    for row in map(int, np.lexsort((np.arange(len(runs)), log))):
        label = labels[row]
        if apart and label in before and log[row] - log[before[label]] < 1e-9:
            raise RunsError(
                f"{_place(runs, row, along)}: found {np.exp(log[row]):g}, as in row "
                f"{before[label]}, for two checkpoints of the {run} {label!r}. Keep one of them."
            )
        if label in before and diverged[before[label]]:
            raise RunsError(
                f"{_place(runs, before[label], str(censored))}: found a divergence, but row {row} "
                f"is a later checkpoint of the {run} {label!r}. Mark the last one alone."
            )
        before[label] = row
        if label in last:
            found["previous"][row] = last[label]
            found["gap"][row] = log[row] - log[last[label]]
        if known is None or known[row]:
            last[label] = row
    return found


def unlinked(count: int) -> dict[str, NDArray[np.float64]]:
    """Return the links of rows that all belong to different runs."""
    return {"previous": np.arange(float(count)), "gap": np.full(count, _FIRST)}


def depths(previous: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of predecessors of each row."""
    before = np.asarray(previous).astype(np.int64)
    depth = np.zeros(len(before), dtype=np.int64)
    at = np.arange(len(before))
    while np.any(moving := before[at] != at):
        depth += moving
        at = before[at]
    return depth


def order_of(previous: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an order of the rows in which each directly follows its predecessor."""
    before = np.asarray(previous).astype(np.int64)
    first = np.arange(len(before))
    while np.any(before[first] != first):
        first = before[first]
    return np.lexsort((depths(previous), first)).astype(np.float64)


def _numbers(
    runs: Runs,
    column: str,
    what: str,
    *,
    positive: bool = False,
    below: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    import pandas as pd

    values = _column(runs, column)
    numbers = np.asarray(as_floats(values), dtype=np.float64)
    wrong = ~np.isfinite(numbers) | (numbers < 0.0) | (positive & (numbers == 0.0))
    if below is not None:
        wrong |= numbers >= below
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        found = values.iloc[row]
        text = repr(found) if isinstance(found, str) else f"{found}"
        shown = "nothing" if pd.isna(found) or found == "" else text
        more = f" And {int(wrong.sum()) - 1} more like it." if wrong.sum() > 1 else ""
        raise RunsError(f"{_place(runs, row, column)}: found {shown}, expected {what}.{more}")
    return numbers


def _column(runs: Runs, column: str) -> Any:
    table = runs.table
    if column not in table:
        raise RunsError(
            f"{runs.name}: found no column {column!r}, which the noise of the model needs; the "
            f"columns are {', '.join(table.columns)}.{did_you_mean(column, table.columns)} Add it, "
            "or use a card that does not need it."
        )
    return table[column]


def _place(runs: Runs, row: int, column: str) -> str:
    return f"{runs.name}, row {row}, column {column!r}"
