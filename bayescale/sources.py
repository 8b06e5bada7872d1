"""From a dataset id, a folder, a file or a DataFrame to a raw table, with its rows countable."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bayescale.catalogue import CARD_NAME, find_dataset
from bayescale.dataset_card import DatasetCard
from bayescale.errors import RunsError


@dataclass(frozen=True)
class RawTable:
    """A table as read, its texts untouched; the index is how people count its rows.

    Attributes
    ----------
    frame
        The table, under its own column names.
    name
        How messages call it.
    card
        The dataset's card, if there is one.
    row_word
        What the index counts: lines of a text file, or rows.
    """

    frame: pd.DataFrame
    name: str
    card: DatasetCard | None
    row_word: str


def read_source(source: str | Path | pd.DataFrame) -> RawTable:
    """Read a dataset id, a folder, a file or a DataFrame; anything else raises RunsError."""
    if isinstance(source, pd.DataFrame):
        if source.columns.duplicated().any():
            raise RunsError(_duplicate_header("the DataFrame", list(map(str, source.columns))))
        frame = source.reset_index(drop=True)
        frame.columns = frame.columns.map(str)
        return _checked(RawTable(frame, "DataFrame", None, "row"))
    path = Path(source)
    if isinstance(source, str) and not path.exists() and not path.suffix and path.name == source:
        path = find_dataset(source)
    if path.is_dir():
        return _read_folder(path)
    return _checked(_read_file(path, path.name, None))


def _checked(raw: RawTable) -> RawTable:
    if raw.frame.empty:
        raise RunsError(f"{raw.name}: found no runs, expected a header and one row for each run.")
    return raw


def _read_folder(folder: Path) -> RawTable:
    card_path = folder / CARD_NAME
    card = DatasetCard.read(card_path) if card_path.is_file() else None
    for suffix in _READERS:
        path = folder / f"runs{suffix}"
        if path.is_file():
            if card:
                card.check_file(path)
            return _checked(_read_file(path, card.id if card else folder.name, card))
    raise RunsError(
        f"{folder}: found no runs in it, expected a file runs.csv, runs.parquet or runs.jsonl."
    )


def _read_file(path: Path, name: str, card: DatasetCard | None) -> RawTable:
    if not path.is_file():
        raise RunsError(
            f"{path}: there is no such file. Give a path to a table of runs, or a dataset id "
            "(`bayescale datasets` lists them)."
        )
    if path.stat().st_size == 0:
        raise RunsError(f"{path}: the file is empty, expected a header and one row for each run.")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise RunsError(
            f"{path}: found a {path.suffix or 'nameless'} file, expected one of "
            f"{', '.join(_READERS)}."
        )
    try:
        frame = reader(path)
    except RunsError:
        raise
    except (ValueError, OSError) as error:  # pandas, pyarrow and Unicode errors are ValueErrors
        raise RunsError(f"{path}: could not be read as {path.suffix} ({error}).") from None
    frame.columns = frame.columns.map(str)
    return RawTable(frame, name, card, "line" if reader is _read_delimited else "row")


def _read_delimited(path: Path) -> pd.DataFrame:
    """Read text as text, so that a message can show what the file says, and in which line."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            lines = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
        except csv.Error as error:
            raise RunsError(f"{path}, line {reader.line_num}: {error}. Correct the line.") from None
    header, *rows = [row for _, row in lines] or [[]]
    names = [name.strip() for name in header]
    if len(set(names)) < len(names):
        raise RunsError(_duplicate_header(str(path), names))
    for (line, _), row in zip(lines[1:], rows, strict=True):
        if len(row) != len(names):
            raise RunsError(
                f"{path}, line {line}: found {len(row)} fields, expected {len(names)} as in the "
                "header. Correct the line; a field with a comma needs quotes."
            )
    return pd.DataFrame(rows, columns=names, index=[line for line, _ in lines[1:]], dtype=str)


def _duplicate_header(where: str, names: Sequence[str]) -> str:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    return f"{where}: found the column {', '.join(map(repr, twice))} twice. Name each column once."


def _read_parquet(path: Path) -> pd.DataFrame:
    return _counted_from_one(pd.read_parquet(path))


def _counted_from_one(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis(range(1, len(frame) + 1))


def _read_json_lines(path: Path) -> pd.DataFrame:
    return _counted_from_one(pd.read_json(path, lines=True, dtype=False))


def _read_json(path: Path) -> pd.DataFrame:
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    is_table = isinstance(content, list) and all(isinstance(row, dict) for row in content)
    if isinstance(content, dict) and all(isinstance(x, list) for x in content.values()):
        is_table = len({len(x) for x in content.values()}) == 1
    if not is_table:
        raise RunsError(
            f"{path}: expected a list with one object for each run, or one object with a list of "
            "equal length for each column."
        )
    return _counted_from_one(pd.DataFrame(content))


_READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".parquet": _read_parquet,
    ".jsonl": _read_json_lines,
    ".json": _read_json,
}
