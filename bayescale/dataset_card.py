"""The card beside a dataset: what the runs are, where they come from, what to beware of."""

import dataclasses
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayescale.errors import CardError, RunsError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """Provenance of a table of runs, as its card.toml states it.

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
        """Build a card from parsed TOML or JSON; unknown and missing keys raise CardError."""
        fields = {f.name: f for f in dataclasses.fields(cls)}
        for key in content:
            if key not in fields:
                hint = did_you_mean(key, fields)
                raise CardError(f"{where}: found the unknown key {key!r}.{hint}")
        missing = [
            name
            for name, f in fields.items()
            if name not in content
            and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise CardError(f"{where}: {', '.join(missing)} missing; a dataset card needs them.")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in content.items()
        }
        return cls(**values)

    @classmethod
    def read(cls, path: Path) -> "DatasetCard":
        """Read a card.toml file."""
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CardError(f"{path}: not valid TOML ({error}). Correct the card.") from None
        return cls.from_dict(content, str(path))

    def check_file(self, path: Path) -> None:
        """Raise RunsError unless the runs file is the one the card was written for."""
        if not self.checksum:
            return
        found = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.checksum:
            raise RunsError(
                f"{path}: found checksum {found}, expected {self.checksum} from its card. The "
                "table was changed or damaged; restore it, or update the card if the change is "
                "meant."
            )
