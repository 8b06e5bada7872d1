"""A fit as a workbook, for spreadsheet programs."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bayescale._outputs import WORKBOOK_CREATOR
from bayescale.errors import MissingExtraError
from bayescale.posterior.convert import draws_of
from bayescale.posterior.fit import Fit

_ROWS = 1_048_576
"""Largest number of rows of a sheet."""


def write_workbook(fit: Fit, facts: Mapping[str, Any], path: Path) -> None:
    """Write summary, coefficients, draws, runs and provenance of a fit, a sheet each.

    Parameters
    ----------
    fit
        The fit.
    facts
        The content of its JSON export (`bayescale.posterior.export.facts_of`).
    path
        Where to write.

    Raises
    ------
    MissingExtraError
        If openpyxl is not installed.
    ValueError
        If there are more draws than a sheet has rows.
    """
    try:
        from openpyxl import Workbook
    except ImportError:
        raise MissingExtraError(
            "Writing .xlsx needs openpyxl. Install it (pip install 'bayescale[excel]'), or export "
            "to .csv, .parquet or .json."
        ) from None
    draws = draws_of(fit)
    if len(draws) >= _ROWS:
        raise ValueError(
            f"Found {len(draws):,} draws, expected fewer than the {_ROWS:,} rows of a sheet. "
            "Export to .parquet or .csv."
        )
    book = Workbook(write_only=True)
    book.properties.creator = WORKBOOK_CREATOR
    about = {name: facts[name] for name in ("model", "law", "formula", "status", "prob")}
    about |= {f"runs {name}": value for name, value in facts["runs"].items()}
    sheets = {
        "summary": pd.DataFrame(facts["summary"]),
        "coefficients": _pairs(facts["coefficients"]),
        "about": _pairs(about | dict(facts["provenance"])),
        "runs": fit.runs.table,
        "draws": draws,
    }
    for name, table in sheets.items():
        sheet = book.create_sheet(name)
        sheet.freeze_panes = "A2"
        for row in ([str(column) for column in table.columns], *table.to_numpy(dtype=object)):
            sheet.append(_cells(sheet, row))
    book.save(path)


def _pairs(values: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({"name": list(values), "value": list(values.values())})


def _cells(sheet: Any, row: Iterable[Any]) -> list[Any]:
    """Return cells that hold numbers as numbers, and anything else as a text, never a formula."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    cells = []
    for value in row:
        if isinstance(value, float) and not math.isfinite(value):
            value = None
        elif not isinstance(value, int | float):
            value = ILLEGAL_CHARACTERS_RE.sub("", str(value))
        cell = WriteOnlyCell(sheet, value=value)
        if isinstance(value, str):
            cell.data_type = "s"
        cells.append(cell)
    return cells
