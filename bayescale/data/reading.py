"""What was read from a table: for each quantity its column, its unit and its conversion."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bayescale.data.notes import NoteKind
from bayescale.errors import listed, quoted

IN_SENTENCES: tuple[NoteKind, ...] = ("column", "unit", "derived", "left out")
"""The kinds of notes that the sentences of a `Reading` include."""

_SHOWN = 3


@dataclass(frozen=True)
class ColumnRead:
    """How one quantity was read.

    Attributes
    ----------
    name
        The standard name of the quantity.
    column
        The column that contains it, or an empty text if it was derived.
    unit
        The unit of the column.
    unit_from
        Where the unit is from: ``"you"`` (``units=``, ``--unit``), ``"card"``, ``"heading"``, or
        ``"default"`` if it was not stated anywhere.
    base
        The unit after conversion.
    conversion
        How values were converted or derived, or an empty text.
    counted
        How the quantity was counted or measured, if the heading says so.
    others
        Other columns that could be the quantity.
    """

    name: str
    column: str
    unit: str
    unit_from: str
    base: str
    conversion: str = ""
    counted: str = ""
    others: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The account of the quantity, as a sentence."""
        counted = f", {self.counted}" if self.counted else ""
        if not self.column:
            return f"{self.name} is derived as {self.conversion}{counted}."
        source = {
            "you": "as stated",
            "card": "by the card",
            "heading": "by its heading",
            "default": "assumed",
        }[self.unit_from]
        unit = f" in {self.unit} ({source})" if self.unit else ""
        converted = f", converted to {self.base}: {self.conversion}" if self.conversion else ""
        shown = listed(map(quoted, self.others), most=_SHOWN)
        others = f" Not used: {shown}." if self.others else ""
        return f"{self.name} is the column {quoted(self.column)}{unit}{counted}{converted}.{others}"


@dataclass(frozen=True)
class RowsLeftOut:
    """Rows that were left out, and why."""

    rows: tuple[int, ...]
    why: str


@dataclass(frozen=True)
class Reading:
    """What was read from a table.

    Attributes
    ----------
    columns
        How each quantity was read.
    rows
        The number of rows of the source.
    left_out
        Rows that were left out.
    """

    columns: tuple[ColumnRead, ...]
    rows: int
    left_out: tuple[RowsLeftOut, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """A sentence for each quantity and one for the rows."""
        count = sum(len(part.rows) for part in self.left_out)
        why = "; ".join(part.why for part in self.left_out)
        rows = (
            f"{self.rows - count} of {self.rows} rows are read: {why}."
            if count
            else f"All {self.rows} rows are read."
        )
        return (*(column.sentence for column in self.columns), rows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and dictionaries, for JSON."""
        return {
            "columns": [
                asdict(column) | {"others": list(column.others)} for column in self.columns
            ],
            "rows": self.rows,
            "left_out": [{"rows": list(part.rows), "why": part.why} for part in self.left_out],
        }

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Reading":
        """Return a reading from the result of `to_dict`."""
        columns: Sequence[Mapping[str, Any]] = content["columns"]
        return cls(
            tuple(
                ColumnRead(**{**column, "others": tuple(column["others"])}) for column in columns
            ),
            content["rows"],
            tuple(RowsLeftOut(tuple(part["rows"]), part["why"]) for part in content["left_out"]),
        )
