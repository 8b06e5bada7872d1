"""A raw table with standard names for its columns, to locate values in messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bayescale.data.card import DatasetCard
from bayescale.data.readers import RawTable
from bayescale.errors import quoted


@dataclass(frozen=True)
class NamedTable:
    """A raw table, and its columns by standard name."""

    raw: RawTable
    column_of: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name of the table."""
        return self.raw.name

    @property
    def card(self) -> DatasetCard | None:
        """The dataset card, if there is one."""
        return self.raw.card

    @property
    def row_word(self) -> str:
        """The noun for a row: line of a file, or row of a table."""
        return self.raw.row_word

    def place(self, row: object, name: str) -> str:
        """Return the location of a value: table, row and column."""
        column = self.column_of.get(name, name)
        read_as = f" (read as {name})" if column != name else ""
        return f"{self.name}, {self.row_word} {row}, column {quoted(column)}{read_as}"


def first_few(messages: Sequence[str], limit: int = 3) -> str:
    """Return the first messages, and how many more there are."""
    shown = " ".join(messages[:limit])
    rest = len(messages) - limit
    return shown + (f" And {rest} more like these." if rest > 0 else "")
