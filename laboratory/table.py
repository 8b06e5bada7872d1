"""The table of finished runs, a dataset of bayescale that is extended run by run."""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from bayescale._io import whole_file
from laboratory.texts import Origin

FOLDER = Path(__file__).parents[1] / "datasets" / "laboratory"


class Table:
    """Finished runs and their curves in a folder, with the corpora that they were trained on.

    A run is finished when it is in `runs.csv`, which is replaced atomically after `curves.csv`: a
    process that is killed in between leaves points of a curve without a run, which are replaced
    when the run is trained again.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.read()

    def read(self) -> None:
        """Read the files of the folder."""
        self.runs = _read(self.folder / "runs.csv")
        self.curves = _read(self.folder / "curves.csv")
        found = self.folder / "corpora.json"
        self.corpora = json.loads(found.read_text(encoding="utf-8")) if found.exists() else {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the table, since concurrent writers would overwrite each other's runs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.read()
            yield
        except BlockingIOError:
            raise RuntimeError(
                f"{self.folder}: found another process that extends it, expected none. Wait for it "
                "or stop it, or write another table with --folder."
            ) from None
        finally:
            os.close(lock)

    @property
    def finished(self) -> frozenset[str]:
        """The labels of finished runs."""
        return frozenset(self.runs["run"]) if len(self.runs) else frozenset()

    def accept(self, name: str, origin: Origin) -> None:
        """Record the origin of a corpus; refuse one that differs from that of earlier runs."""
        there = self.corpora.setdefault(name, origin.to_dict())
        if there["digest"] != origin.digest:
            raise ValueError(
                f"{self.folder}: its runs on {name} were trained on {there['digest']}, from "
                f"{_versions(there['packages'])}; found {origin.digest}, from "
                f"{_versions(origin.packages)}. Install the same versions, or write another table "
                "with --folder."
            )

    def add(self, row: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        """Write a finished run and its curve."""
        run = row["run"]
        if run in self.finished:
            raise ValueError(f"{self.folder}: {run} is there already.")
        if len(self.curves):
            self.curves = self.curves[self.curves["run"] != run]
        self.curves = pd.concat([self.curves, pd.DataFrame(curve)], ignore_index=True)
        self.runs = pd.concat([self.runs, pd.DataFrame([row])], ignore_index=True)
        _write(self.folder / "corpora.json", json.dumps(self.corpora, indent=2) + "\n")
        _write(self.folder / "curves.csv", self.curves.to_csv(index=False))
        _write(self.folder / "runs.csv", self.runs.to_csv(index=False))
        self.seal()

    def seal(self) -> None:
        """Put the checksum of the runs into the card, where there is one."""
        card = self.folder / "card.toml"
        if card.exists():
            digest = hashlib.sha256((self.folder / "runs.csv").read_bytes()).hexdigest()
            text = card.read_text(encoding="utf-8")
            _write(card, re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{digest}", text, count=1))


def _read(path: Path) -> pd.DataFrame:
    """Read a table as text, so that rewriting it does not change existing rows."""
    return pd.read_csv(path, dtype=str, na_filter=False) if path.exists() else pd.DataFrame()


def _write(path: Path, text: str) -> None:
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def _versions(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in packages.items())
