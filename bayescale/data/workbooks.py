"""Read a sheet of a workbook as a table of text, as `bayescale.data.delimited` reads text."""

from pathlib import Path
from typing import Any

from bayescale.data.delimited import Grid, TextTable, start_of, tabulate
from bayescale.errors import RunsError, listed, quoted


def read_workbook(path: Path) -> TextTable:
    """Read the first sheet with a table; the notes name it if there are others.

    Raises
    ------
    RunsError
        If openpyxl is not installed, or the file is not a workbook.
    """
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise RunsError(
            f"{path}: reading {path.suffix} needs openpyxl. Install it (pip install "
            "'bayescale[excel]'), or save the sheet of runs as CSV (UTF-8)."
        ) from None
    try:
        with path.open("rb") as file:
            book = load_workbook(file, read_only=True, data_only=True)
            sheets = {sheet.title: _grid(sheet) for sheet in book.worksheets}
    except Exception as error:  # openpyxl raises whatever its parsers of zip and XML raise
        raise RunsError(
            f"{path}: could not be read as {path.suffix} ({type(error).__name__}: {error})."
        ) from None
    tables = {name: grid for name, grid in sheets.items() if start_of(grid) is not None}
    if not tables:
        raise RunsError(
            f"{path}: found no table in {listed(map(quoted, sheets))}, expected a header and one "
            "row for each run."
        )
    (name, grid), *others = tables.items()
    notes = [f"read the sheet {quoted(name)}, not {listed(quoted(n) for n, _ in others)}"]
    return tabulate(grid, start_of(grid) or 0, notes=notes if others else ())


def _grid(sheet: Any) -> Grid:
    """Return the cells of each row that is not empty as text, with its number."""
    rows = (
        (number, [_text(cell) for cell in row])
        for number, row in enumerate(sheet.iter_rows(), start=1)
    )
    return [(number, row) for number, row in rows if any(row)]


def _text(cell: Any) -> str:
    """Return the value of a cell as text, in per cent if it is shown so."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, float):
        if "%" in (cell.number_format or ""):
            return f"{100.0 * value:.12g}%"
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value).strip()
