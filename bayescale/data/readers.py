"""Read a dataset id, a folder, a file or a table in memory as a raw table with numbered rows."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import pyarrow as pa

from bayescale.data.card import DatasetCard
from bayescale.data.catalog import CARD_NAME, dataset_folders, find_dataset
from bayescale.data.delimited import LineError, TextTable, read_delimited
from bayescale.data.logs.folders import is_log_folder
from bayescale.data.logs.read import TRACKERS, read_logs
from bayescale.data.logs.run_log import RunLogs
from bayescale.data.notes import Note
from bayescale.data.numbers import as_floats
from bayescale.data.tables import table_of
from bayescale.data.text_files import first_line, text_of, unreadable
from bayescale.data.workbooks import read_workbook
from bayescale.errors import RunsError, listed, quoted


@runtime_checkable
class ArrowTable(Protocol):
    """A table of another library (polars, pyarrow, DuckDB, ...) with an Arrow interface.

    See the `Arrow PyCapsule interface
    <https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html>`_.
    """

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return a capsule with a stream of the table's batches."""


type Table = pd.DataFrame | ArrowTable
"""A table in memory: a pandas DataFrame, or an object with the Arrow interface."""


@dataclass(frozen=True)
class RawTable:
    """A table as read, with unparsed texts and row numbers of the source as index.

    Attributes
    ----------
    frame
        The table, with its original column names.
    name
        Name in messages.
    card
        The dataset's card, if there is one.
    row_word
        The noun for a row: line of a text file, or row.
    notes
        Notes on reading.
    """

    frame: pd.DataFrame
    name: str
    card: DatasetCard | None
    row_word: str
    notes: tuple[Note, ...] = ()

    def finite(self, name: str) -> "pd.Series[float]":
        """Return a column of plain numbers, or raise RunsError if one is not finite."""
        numbers = as_floats(self.frame[name])
        self.refuse(numbers.isna() | numbers.abs().eq(np.inf), name, "a finite number")
        return numbers

    def refuse(self, wrong: "pd.Series[bool]", name: str, expected: str) -> None:
        """Raise RunsError with the first wrong value of a column, if there is one."""
        if wrong.any():
            position = int(np.argmax(wrong.to_numpy()))
            (value,) = self.frame[name].iloc[[position]].tolist()
            raise RunsError(
                f"{self.name}: {self.row_word} {wrong.index[position]}, column {name}: found "
                f"{quoted(value)}, expected {expected}."
            )


def read_source(source: str | Path | Table | RunLogs) -> RawTable:
    """Read a dataset id, a folder, a file, logs or a table; any other raises RunsError."""
    if logs := logs_of(source):
        return RawTable(_counted_from_one(logs.table), logs.source, None, "row", logs.notes)
    if isinstance(source, pd.DataFrame):
        return _checked(RawTable(_in_memory(source), "DataFrame", None, "row"))
    if isinstance(source, str | os.PathLike):
        return _read_path(source)
    kind = type(source).__name__
    # A Series has the Arrow interface too, but no columns.
    if isinstance(source, ArrowTable) and kind != "Series":
        return _checked(RawTable(_in_memory(_from_arrow(source, kind)), kind, None, "row"))
    hint = " Make one of it: pd.DataFrame(...)." if kind in ("dict", "list", "Series") else ""
    raise RunsError(
        f"load_runs: found {'None' if source is None else f'a value of type {kind}'}, expected a "
        "dataset id, the path of a file or a folder, or a table (pandas, polars, pyarrow)."
        f"{hint}"
    )


def logs_of(source: object) -> RunLogs | None:
    """Return the logs of runs if a source has them: given, in a folder, or of a tracker."""
    if isinstance(source, RunLogs):
        return source
    if isinstance(source, str) and source.startswith(tuple(TRACKERS)):
        return read_logs(source)
    if not isinstance(source, str | os.PathLike):
        return None
    path = Path(source)
    if not os.path.isdir(path) or _runs_in(path) is not None or not is_log_folder(path):
        return None
    return read_logs(path)


def _in_memory(frame: pd.DataFrame) -> pd.DataFrame:
    if frame.columns.map(str).duplicated().any():
        raise RunsError(_duplicate_header("the DataFrame", list(map(str, frame.columns))))
    frame = frame.reset_index(drop=True)
    frame.columns = frame.columns.map(str)
    for name, kind in frame.dtypes.items():
        if isinstance(kind, pd.SparseDtype):
            frame[name] = frame[name].astype(kind.subtype)  # reset_index made a copy
    return frame


def _from_arrow(source: ArrowTable, kind: str) -> pd.DataFrame:
    try:
        table = pa.table(source)
        names = table.column_names
        if len(set(names)) < len(names):
            raise RunsError(_duplicate_header(f"the {kind}", names))
        frame: pd.DataFrame = table.to_pandas()
    except RunsError:
        raise
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise RunsError(
            f"load_runs: the {kind} returned no table through its Arrow interface "
            f"({first_line(error)}). Give a table with named columns."
        ) from None
    return frame


def _read_path(source: str | os.PathLike[str]) -> RawTable:
    path = Path(source)
    if isinstance(source, str) and not path.suffix and path.name == source:
        # A folder hides the dataset of its name only if it has runs itself.
        empty = os.path.isdir(path) and _runs_in(path) is None
        if not os.path.exists(source) or (empty and source in dataset_folders()):
            path = find_dataset(source)
    if os.path.isdir(path):
        return _read_folder(path)
    return _checked(_read_file(path, path.name, None))


def _checked(raw: RawTable) -> RawTable:
    if raw.frame.empty:
        raise RunsError(f"{raw.name}: found no runs, expected a header and one row for each run.")
    return raw


def _read_folder(folder: Path) -> RawTable:
    card_path = folder / CARD_NAME
    card = DatasetCard.read(card_path) if card_path.is_file() else None
    if path := _runs_in(folder):
        if card:
            card.check_file(path)
        return _checked(_read_file(path, card.id if card else folder.name, card))
    *names, last = (f"runs{suffix}" for suffix in _READERS)
    raise RunsError(
        f"{folder}: found no runs in it, expected a file {', '.join(names)} or {last}, or logs of "
        "runs."
    )


def _runs_in(folder: Path) -> Path | None:
    """Return the table of runs in a folder, if it has one."""
    paths = (folder / f"runs{suffix}" for suffix in _READERS)
    return next((path for path in paths if path.is_file()), None)


def _read_file(path: Path, name: str, card: DatasetCard | None) -> RawTable:
    if not os.path.isfile(path):
        raise RunsError(
            f"{_shown(path)}: there is no such file. Give a path to a table of runs, or a "
            "dataset id (`bayescale datasets` lists them)."
        )
    if path.stat().st_size == 0:
        raise RunsError(f"{path}: the file is empty, expected a header and one row for each run.")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise RunsError(
            f"{path}: found a {path.suffix or 'nameless'} file, expected one of "
            f"{', '.join(_READERS)}.{_SAVED_AS.get(path.suffix.lower(), '')}"
        )
    try:
        frame, notes = reader(path)
    except RunsError:
        raise
    except RecursionError:
        raise RunsError(f"{path}: could not be read as {path.suffix}: nested too deep.") from None
    # pandas, pyarrow and JSON raise ValueErrors, except for some pyarrow types.
    except (ValueError, OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from None
    if frame.columns.map(str).duplicated().any():
        raise RunsError(_duplicate_header(str(path), list(map(str, frame.columns))))
    frame.columns = frame.columns.map(str)
    return RawTable(frame, name, card, "line" if reader is _read_delimited else "row", notes)


_SPREADSHEET = " Save the sheet of runs as CSV (UTF-8)."
_SAVED_AS = dict.fromkeys((".xls", ".xlsm", ".ods", ".numbers"), _SPREADSHEET)


def _shown(path: Path) -> str:
    """Return a path as text for a message, shortened if it cannot be a path."""
    text = str(path)
    return text if len(text) < 1000 and text.isprintable() else quoted(text)


type _Read = tuple[pd.DataFrame, tuple[Note, ...]]


def _read_delimited(path: Path) -> _Read:
    """Read delimited text without parsing values, so that messages can quote them by line."""
    text, notes = text_of(path)
    try:
        table = read_delimited(text, "\t" if path.suffix.lower() == ".tsv" else ",")
    except LineError as error:
        raise RunsError(f"{path}, {error}. Correct the line.") from None
    frame, layout = _as_frame(path, table)
    return frame, (*notes, *layout)


def _read_workbook(path: Path) -> _Read:
    return _as_frame(path, read_workbook(path))


def _as_frame(path: Path, table: TextTable) -> _Read:
    if len(set(table.names)) < len(table.names):
        raise RunsError(_duplicate_header(str(path), table.names))
    frame = pd.DataFrame(table.rows, columns=table.names, index=table.lines, dtype=str)
    return frame, tuple(Note(text, "format") for text in table.notes)


def _duplicate_header(where: str, names: Sequence[str]) -> str:
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated == [""]:
        count = list(names).count("")
        return f"{where}: found {count} columns without a name. Name each column once."
    return (
        f"{where}: found the column {listed(map(quoted, repeated))} twice. Name each column once."
    )


def _read_parquet(path: Path) -> _Read:
    return _counted_from_one(pd.read_parquet(path)), ()


def _counted_from_one(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis(range(1, len(frame) + 1))


def _read_json_lines(path: Path) -> _Read:
    rows = []
    text, notes = text_of(path)
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = _json(line)
        except ValueError as error:
            raise RunsError(
                f"{path}, line {number}: could not be read as .jsonl ({first_line(error)}). "
                "Correct the line."
            ) from None
        if not isinstance(row, dict):
            raise RunsError(
                f"{path}, line {number}: found {quoted(row)}, expected an object for each run."
            )
        rows.append(row)
    return _counted_from_one(table_of(rows)), notes


def _read_json(path: Path) -> _Read:
    text, notes = text_of(path)
    content = _json(text)
    if isinstance(content, dict) and _is_records(content.get("log_history")):
        frame, log_notes = _read_log(content["log_history"])
        return frame, (*notes, *log_notes)
    if _is_records(content):
        return _counted_from_one(table_of(content)), notes
    if isinstance(content, dict) and all(isinstance(x, list) for x in content.values()):
        lengths = {len(x) for x in content.values()}
        if len(lengths) == 1:
            columns = {name: pd.Series(x, dtype=object) for name, x in content.items()}
            return _counted_from_one(pd.DataFrame(columns).infer_objects()), notes
    raise RunsError(
        f"{path}: expected a list with one object for each run, or one object with a list of "
        "equal length for each column."
    )


def _read_log(entries: list[dict[str, Any]]) -> _Read:
    """Read the trainer state of Hugging Face's Trainer: the learning curve of one run."""
    logged = [entry for entry in entries if "loss" in entry]
    rest = f"; {len(entries) - len(logged)} without loss left out"
    text = (
        f"read as the log of one run (log_history), its learning curve: {len(logged)} entries with "
        f"a training loss{rest if len(entries) > len(logged) else ''}"
    )
    return _counted_from_one(table_of(logged)), (Note(text, "format"),)


def _is_records(content: object) -> bool:
    return isinstance(content, list) and all(isinstance(row, dict) for row in content)


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_without_duplicates)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"found {quoted(repeated)} twice in one object")
    return content


_READERS: Mapping[str, Callable[[Path], _Read]] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".parquet": _read_parquet,
    ".xlsx": _read_workbook,
    ".txt": _read_delimited,
    ".jsonl": _read_json_lines,
    ".json": _read_json,
}
