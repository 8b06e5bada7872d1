"""The card of a dataset: description, provenance, units and caveats of its runs."""

import dataclasses
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayescale.data.toml_file import read_card
from bayescale.errors import (
    CardError,
    RunsError,
    did_you_mean,
    is_name,
    listed,
    quoted,
    refuse_unknown,
)

_TEXTS = ("id", "title", "source", "licence", "checksum", "family")
_LISTS = ("citation", "known_issues")
_OUTLIERS = ("column", "why")


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """Provenance of a table of runs, as stated in its card.toml.

    `licence` is what the source states, "none stated" included. `checksum` is of the runs file,
    as ``"sha256:..."``. `outliers` names a 0/1 column whose rows are left out by default.
    """

    id: str
    title: str
    citation: tuple[str, ...]
    source: str
    licence: str
    known_issues: tuple[str, ...]
    columns: Mapping[str, str]
    units: Mapping[str, str]
    counting: Mapping[str, str]
    checksum: str = ""
    family: str = ""
    vocabulary_size: int | None = None
    derived: Mapping[str, str] = field(default_factory=dict)
    outliers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str) -> "DatasetCard":
        """Build a card from parsed TOML or JSON; unknown keys or invalid values raise CardError."""
        fields = {f.name: f for f in dataclasses.fields(cls)}
        refuse_unknown(content, fields, where)
        missing = [
            name
            for name, f in fields.items()
            if name not in content
            and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise CardError(f"{where}: {', '.join(missing)} missing; a dataset card needs them.")
        for key, value in content.items():
            _check(key, value, where)
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in content.items()
        }
        return cls(**values)

    @classmethod
    def read(cls, path: Path) -> "DatasetCard":
        """Read a card.toml file."""
        return cls.from_dict(read_card(path), str(path))

    def check_columns(self, present: Collection[str], known: Collection[str], where: str) -> None:
        """Raise CardError for a column of the card that is missing from the table.

        Parameters
        ----------
        present
            The columns of the table, by their original and their standard names.
        known
            Columns that can be derived, for which units, countings and derivations are allowed.
        where
            Name of the table in messages.
        """
        flag = self.outliers.get("column")
        for part, names, allowed in (
            ("[outliers] column", [flag] if flag else [], present),
            ("[columns]", self.columns, present),
            ("[units]", self.units, {*present, *known}),
            ("[counting]", self.counting, {*present, *known}),
            ("[derived]", self.derived, {*present, *known}),
        ):
            for name in names:
                if name not in allowed:
                    raise CardError(
                        f"{where}: its card names the column {quoted(name)} in {part}; the columns "
                        f"of the table are {listed(present)}.{did_you_mean(name, present)}"
                    )

    def check_file(self, path: Path) -> None:
        """Raise RunsError unless the checksum of the runs file is that of the card."""
        if not self.checksum:
            return
        found = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.checksum:
            raise RunsError(
                f"{path}: found checksum {found}, expected {self.checksum} from its card. The "
                "table was changed or damaged; restore it, or update the card if the change is "
                "intended."
            )


def _check(key: str, value: object, where: str) -> None:
    """Raise CardError unless the value of a key is valid."""
    if key in _TEXTS:
        is_valid, expected = isinstance(value, str), "text"
        if key == "id":
            is_valid, expected = is_name(value), "a name: one line of text"
        if key == "checksum" and value:
            is_valid = is_valid and bool(re.fullmatch(r"sha256:[0-9a-f]{64}", str(value)))
            expected = '"sha256:" and 64 hexadecimal digits'
    elif key in _LISTS:
        is_valid = isinstance(value, list | tuple) and all(isinstance(x, str) for x in value)
        expected = "a list of texts"
    elif key == "vocabulary_size":
        is_size = isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= 10**9
        is_valid, expected = value is None or is_size, "an integer of tokens, at least 2"
    else:
        is_valid = isinstance(value, Mapping) and all(
            isinstance(name, str) and isinstance(text, str) for name, text in value.items()
        )
        expected = "a table with a text for each column"
        if is_valid and key == "outliers" and isinstance(value, Mapping) and value:
            refuse_unknown(value, _OUTLIERS, f"{where}, [outliers]")
            is_valid, expected = "column" in value, 'column = "..." in it'
    if not is_valid:
        raise CardError(f"{where}: {key}: found {quoted(value)}, expected {expected}.")
