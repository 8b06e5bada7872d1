"""Notes: sentences on how a table was read, with structured fields."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self, get_args

type NoteKind = Literal[
    "format",
    "column",
    "unit",
    "derived",
    "left out",
    "kept",
    "counting",
    "implausible",
    "not used",
    "other",
]

KINDS: tuple[NoteKind, ...] = get_args(NoteKind.__value__)


class Note(str):
    """A sentence on how a table was read: a text with structured fields.

    Attributes
    ----------
    kind
        ``"format"`` (layout of the file), ``"column"`` (renamed columns), ``"unit"``
        (conversions), ``"derived"`` (computed columns), ``"left out"`` and ``"kept"`` (rows),
        ``"counting"``, ``"implausible"`` (unlikely amounts taken as given), ``"not used"``
        (columns) or ``"other"``.
    columns
        The standard or original names of the columns concerned.
    rows
        The rows concerned, as counted in the source; empty for all rows.
    units
        By column, the original unit for ``"unit"``, and a unit that would explain the amounts for
        ``"implausible"``.

    Examples
    --------
    >>> import bayescale as bs
    >>> note = bs.load_runs("chinchilla").notes[0]
    >>> note.kind, note.rows
    ('left out', (38, 48, 51, 52, 54))
    """

    __slots__ = ("columns", "kind", "rows", "units")

    kind: NoteKind
    columns: tuple[str, ...]
    rows: tuple[int, ...]
    units: Mapping[str, str]

    def __new__(
        cls,
        text: str,
        kind: NoteKind = "other",
        columns: Sequence[str] = (),
        rows: Iterable[object] = (),
        units: Mapping[str, str] | None = None,
    ) -> Self:
        """Create a note from a text and its fields."""
        note = super().__new__(cls, text)
        note.kind, note.columns, note.rows = kind, tuple(columns), tuple(int(row) for row in rows)  # type: ignore[call-overload]
        note.units = dict(units or {})
        return note

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (str(self), self.kind, self.columns, self.rows, self.units)

    def to_dict(self) -> dict[str, Any]:
        """Return the text and the fields, for JSON."""
        return {
            "text": str(self),
            "kind": self.kind,
            "columns": list(self.columns),
            "rows": list(self.rows),
            "units": dict(self.units),
        }

    @classmethod
    def of(cls, note: "str | Mapping[str, Any]") -> Self:
        """Return a note from a text, another note, or the result of `to_dict`."""
        if isinstance(note, cls):
            return note
        if isinstance(note, str):
            return cls(note)
        return cls(note["text"], note["kind"], note["columns"], note["rows"], note["units"])
