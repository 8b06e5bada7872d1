"""Notes: sentences on how a table was read, with what they are about as fields."""

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
    """A sentence on what reading did to a table; a text, with what it is about beside it.

    Attributes
    ----------
    kind
        ``"format"`` (how the file is laid out), ``"column"`` (which column was read as what),
        ``"unit"`` (what was converted), ``"derived"`` (what was computed from what), ``"left out"``
        and ``"kept"`` (rows), ``"counting"``, ``"implausible"`` (amounts that were taken as given
        though no model is likely to have them), ``"not used"`` (columns) or ``"other"``.
    columns
        The columns of the vocabulary, or of the table, that it is about.
    rows
        The rows that it is about, as the source counts them; empty for all of them.
    units
        Of ``"unit"`` the unit a column was given in, of ``"implausible"`` the unit that would
        make sense of it, by column.

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
        """Make a note of a text and of what it is about."""
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
        """Return a note from a text, which may be one already, or from what `to_dict` returns."""
        if isinstance(note, cls):
            return note
        if isinstance(note, str):
            return cls(note)
        return cls(note["text"], note["kind"], note["columns"], note["rows"], note["units"])
