"""Tables of amounts other than runs: throughput, recorded costs, planned runs."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from bayescale.data.columns import ALIASES
from bayescale.data.headings import read_heading
from bayescale.data.plausibility import implausible
from bayescale.data.readers import RawTable, read_source
from bayescale.data.runs import AMOUNTS
from bayescale.errors import RunsError, listed, quoted
from bayescale.units import Quantity, parse_amount, quantity_of


def read_amounts(path: str | Path) -> pd.DataFrame:
    """Return a file of amounts: size, tokens and compute under their names, and other columns.

    It reads the formats, encodings and headings of `load_runs`. Amounts keep the texts that they
    were written as, such as ``"70B"``.

    Parameters
    ----------
    path
        Path of the file.

    Returns
    -------
    DataFrame
        The table, indexed as its source counts rows.

    Raises
    ------
    RunsError
        If the file cannot be read, two columns are one amount, the heading of an amount has a
        unit, or amounts are implausible for a model.
    """
    raw = read_source(path)
    frame = raw.frame.rename(columns=_names(raw))
    _refuse_implausible(frame, raw)
    return frame


def _names(raw: RawTable) -> Mapping[str, str]:
    """Return the name of each column that is an amount under another heading."""
    headings = {column: read_heading(column, ALIASES) for column in raw.frame.columns}
    found = {}
    for name in AMOUNTS:
        if name in headings:
            continue
        columns = [column for column, heading in headings.items() if heading.quantity == name]
        if len(columns) > 1:
            raise RunsError(
                f"{raw.name}: the columns {listed(map(quoted, columns))} could each be {name}. "
                f"Rename the right one to {name}."
            )
        for column in columns:
            if unit := headings[column].unit:
                raise RunsError(
                    f"{raw.name}, column {quoted(column)}: found {unit} in the heading of {name}. "
                    f"Name the column {name}, and write units in its cells, such as 70B."
                )
            found[column] = name
    return found


def _refuse_implausible(frame: pd.DataFrame, raw: RawTable) -> None:
    """Refuse amounts that are probably in another unit; cells that are not amounts are ignored."""
    amounts = {
        name: frame[name].map(partial(_number, quantity=quantity_of(name)))
        for name in AMOUNTS
        if name in frame
    }
    parsed = pd.DataFrame(amounts, index=frame.index).dropna()
    if parsed.empty:
        return
    given = tuple(amounts)
    for doubt in implausible(parsed, given=given, row_word=raw.row_word):
        raise RunsError(
            f"{raw.name}: {doubt.found} Write amounts with their units, such as 70M, 1.4T or 1e21."
        )


def _number(cell: object, quantity: Quantity) -> float:
    try:
        return parse_amount(cell, quantity)
    except ValueError:
        return np.nan
