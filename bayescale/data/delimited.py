"""Read delimited text of any common layout, without parsing values."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

_SPACES = (re.compile(r"[ \t]{2,}|\t"), re.compile(r"[ \t]+"))
_SEP_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
_RULE = re.compile(r"\s*:?-+:?\s*")

_TAIL = r"(?:e[+-]?\d+)?\s*[a-z%][a-z%/ -]*|(?:e[+-]?\d+)?"
_COMMA = re.compile(rf"[+-]?(?P<whole>\d+),(?P<rest>\d+)(?:{_TAIL})", re.IGNORECASE)
_POINT = re.compile(rf"[+-]?(?P<whole>\d*)\.(?P<rest>\d+)(?:{_TAIL})", re.IGNORECASE)
_POINTS = re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:\.\d{{3}})+(?:,\d+)?(?:{_TAIL})", re.IGNORECASE)
_COMMAS = re.compile(rf"[+-]?\d{{1,3}}(?:,\d{{3}}){{2,}}(?:{_TAIL})", re.IGNORECASE)


type Grid = list[tuple[int, list[str]]]
"""The fields of each line that is not empty, with its number."""


class LineError(ValueError):
    """A line that does not belong to a table."""


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Attributes
    ----------
    names
        The headings.
    rows
        The fields of each row, as many as there are headings.
    lines
        The line of each row.
    notes
        Sentences on the layout.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Split:
    """Lines split in fields, with the number of lines before the header if it is a table."""

    lines: Grid
    between: str
    start: int | None

    @property
    def width(self) -> int:
        """Number of fields of the first line; zero without lines."""
        return len(self.lines[0][1]) if self.lines else 0


def read_delimited(text: str, usual: str) -> TextTable:
    """Read a table, with the separator that gives rows of equal length.

    Parameters
    ----------
    text
        The text.
    usual
        The separator to try first, which needs no note.

    Raises
    ------
    LineError
        If a line has more or fewer fields than the header, or quotes that do not close.
    """
    skipped = 0
    if stated := _SEP_LINE.match(text):
        text, skipped = text[stated.end() :], 1
        usual = stated[1]
    split = _best_split(text, usual, skipped)
    is_usual = split.between == SEPARATORS.get(usual) and not skipped
    notes = () if is_usual else (f"read with {split.between} between the columns",)
    return tabulate(split.lines, split.start or 0, between=split.between, notes=notes)


def tabulate(
    lines: Grid, start: int, *, between: str = "cells", notes: Sequence[str] = ()
) -> TextTable:
    """Return the table in lines of fields whose header is at `start`.

    Columns without heading and content are left out, and decimal commas are written as points.

    Raises
    ------
    LineError
        If a line has more or fewer fields than the header.
    """
    before, (_, header), *body = lines[:start], *(lines[start:] or [(1, [])])
    names = [name.strip() for name in header]
    rows = []
    for line, row in body:
        if len(row) != len(names) and not _has_only_padding(row, len(names)):
            raise LineError(
                f"line {line}: found {len(row)} field{'s' if len(row) > 1 else ''}, expected "
                f"{len(names)} as in the header; a field with one of the {between} needs quotes"
            )
        rows.append(row[: len(names)])
    kept = [
        i for i, name in enumerate(names) if name or any(row[i].strip() for row in rows) or not rows
    ]
    all_notes = list(notes)
    if before:
        skipped = f"line {before[0][0]}" if len(before) == 1 else f"{len(before)} lines"
        all_notes.append(f"skipped {skipped} before the header")
    table = [[row[i] for i in kept] for row in rows]
    if _has_decimal_commas(table):
        table = [[_with_decimal_point(cell) for cell in row] for row in table]
        all_notes.append("read with decimal commas")
    return TextTable(
        tuple(names[i] for i in kept),
        tuple(map(tuple, table)),
        tuple(line for line, _ in body),
        tuple(all_notes),
    )


def _best_split(text: str, usual: str, skipped: int) -> _Split:
    """Return the lines as the first separator splits them that gives rows of equal length.

    One that skips lines before the header is used only if no other fits.
    """
    splits: list[_Split] = []
    wrong: dict[str, LineError] = {}
    for separator in dict.fromkeys((usual, *SEPARATORS)):
        try:
            splits.append(_split(text, separator, skipped))
        except LineError as error:
            wrong[separator] = error
            continue
        if splits[-1].start == 0:
            return splits[-1]
    tabular = [split for split in splits if split.start is not None]
    if tabular:
        return min(tabular, key=lambda split: split.start or 0)
    if usual in wrong:
        raise wrong[usual]
    if max(split.width for split in splits) < 2:
        for spaces in _SPACES:
            lines = [
                (number, spaces.split(line.strip()))
                for number, line in enumerate(text.splitlines(), skipped + 1)
                if line.strip()
            ]
            if start_of(lines) == 0:
                return _Split(lines, "spaces", 0)
    # No separator gives rows of equal length, so a line is malformed: use that of the header.
    first = splits[0]
    if not first.lines or first.width > 1:
        return first
    return max(splits, key=lambda split: split.width)


def _split(text: str, separator: str, skipped: int) -> _Split:
    """Return the fields of each line that is not empty, with its number."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    try:
        lines = [(reader.line_num + skipped, row) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise LineError(f"line {reader.line_num + skipped}: {error}") from None
    if separator == "|" and all(not row[0].strip() and not row[-1].strip() for _, row in lines):
        # As in Markdown: bars around the row, and a rule below the header.
        lines = [(number, [cell.strip() for cell in row[1:-1]]) for number, row in lines]
        lines = [
            line for i, line in enumerate(lines) if i != 1 or not all(map(_RULE.fullmatch, line[1]))
        ]
    others = [other for other in SEPARATORS if other != separator]
    return _Split(lines, SEPARATORS.get(separator, f"{separator!r}"), start_of(lines, others))


def start_of(lines: Grid, others: Sequence[str] = ()) -> int | None:
    """Return the number of lines before the header, or None if there is no table.

    Lines of one field before it are titles or comments, unless they could be a header with one of
    the other separators.
    """
    if not lines:
        return None
    for i, (_, row) in enumerate(lines):
        if row[0].startswith("#") and len(row) != len(lines[-1][1]):
            continue
        if len(row) > 1 and sum(map(bool, row)) > 1:
            rest = (row for _, row in lines[i:])
            width = len(row)
            is_rectangular = all(len(row) == width or _has_only_padding(row, width) for row in rest)
            return i if is_rectangular and (i == 0 or len(lines) > i + 1) else None
        if any(other in row[0] for other in others):
            return None
    return None


def _has_only_padding(row: Sequence[str], width: int) -> bool:
    """Return whether all cells beyond a width are empty, as spreadsheets write them."""
    return len(row) > width and not any(map(str.strip, row[width:]))


def _has_decimal_commas(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the comma is the decimal sign: certain in one cell, and possible in all."""
    is_certain = False
    for row in rows:
        for cell in map(str.strip, row):
            if "." not in cell and "," not in cell:
                continue
            # One point before three digits may separate thousands or decimals.
            if _COMMAS.fullmatch(cell) or _POINT.fullmatch(cell):
                return False
            if comma := _COMMA.fullmatch(cell):
                is_certain |= len(comma["rest"]) != 3 or comma["whole"].startswith("0")
    return is_certain


def _with_decimal_point(cell: str) -> str:
    text = cell.strip()
    if _POINTS.fullmatch(text) or _COMMA.fullmatch(text):
        return text.replace(".", "").replace(",", ".")
    return cell
