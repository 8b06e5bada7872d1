"""Find the runs in a folder of logs, whichever program wrote them.

A folder is a run if it has a curve: MLflow's ``metrics``, a ``trainer_state.json``, a table such as
``metrics.csv``, or event files of TensorBoard. Its settings are in a file such as ``config.json``
or ``hparams.yaml``, in its folder or one above it. Files below a run belong to it.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bayescale.data.logs import mlflow, trainer_state
from bayescale.data.logs.event_files import MARK, read_events
from bayescale.data.logs.run_log import STEP, Metrics, RunLog, flat, metrics_of
from bayescale.data.numbers import as_floats
from bayescale.data.text_files import text_of, unreadable
from bayescale.errors import MissingExtraError, RunsError, listed, quoted

TABLES = tuple(
    f"{name}{suffix}"
    for name in ("metrics", "history", "progress", "log", "train_log")
    for suffix in (".csv", ".jsonl")
)
"""Names of tables with a curve, as of Lightning, Keras, Ray Tune and custom training loops."""

_SETTINGS = tuple(
    f"{name}{suffix}"
    for name in ("config", "hparams", "params", "args", "hyperparameters")
    for suffix in (".json", ".yaml", ".yml")
)
_CHECKPOINT = re.compile(r"checkpoint-\d+")
_SPLITS = ("train", "training", "validation", "val", "valid", "eval", "test")
_STEPS = (STEP, "steps", "_step", "global_step", "iteration", "iter", "training_iteration", "epoch")


@dataclass
class _RunFiles:
    """The files of a run, by their kind."""

    states: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    events: list[tuple[str, Path]] = field(default_factory=list)

    def add(self, other: "_RunFiles") -> None:
        self.states += other.states
        self.tables += other.tables
        self.events += other.events


def logs_below(root: Path) -> tuple[list[RunLog], int]:
    """Return the logs of runs at and below a folder, and how many were deleted."""
    found: dict[Path, _RunFiles] = {}
    logs: list[RunLog] = []
    deleted = 0
    for folder, files in _folders(root):
        if mlflow.is_run(folder):
            log = mlflow.run_in(folder)
            logs += [log] if log else []
            deleted += log is None
            continue
        owner, part = _files_of(folder, files, root)
        if part:
            found.setdefault(owner, _RunFiles()).add(part)
    return [
        *logs,
        *(_log(run, files, root) for run, files in _outermost(found, root).items()),
    ], deleted


def is_log_folder(root: Path) -> bool:
    """Return whether there is the log of a run at or below a folder."""
    return any(
        mlflow.is_run(folder) or _files_of(folder, files, root)[1]
        for folder, files in _folders(root)
    )


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder at and below another with its files; runs of MLflow are not entered."""
    for name, below, files in os.walk(root):
        folder = Path(name)
        below[:] = [] if mlflow.is_run(folder) else sorted(x for x in below if x[:1] != ".")
        yield folder, sorted(files)


def _files_of(folder: Path, files: list[str], root: Path) -> tuple[Path, _RunFiles | None]:
    """Return the folder of the run that files belong to, and those with curves, if any."""
    owner, prefix = folder, ""
    if folder != root:
        if _CHECKPOINT.fullmatch(folder.name):
            owner = folder.parent
        elif folder.name in _SPLITS:
            owner, prefix = folder.parent, f"{folder.name}/"
    if trainer_state.FILE in files:
        return owner, _RunFiles(states=[folder / trainer_state.FILE])
    if tables := [name for name in TABLES if name in files]:
        return folder, _RunFiles(tables=[folder / tables[0]])
    if any(name.startswith(MARK) for name in files):
        return owner, _RunFiles(events=[(prefix, folder)])
    return folder, None


def _outermost(found: dict[Path, _RunFiles], root: Path) -> dict[Path, _RunFiles]:
    """Return the runs, each with the files below its folder.

    A folder that contains several runs is not a run, even if it has event files.
    """
    runs: dict[Path, _RunFiles] = {}
    for folder in sorted(found, key=lambda path: len(path.parts)):
        above = [run for run in folder.parents if run in runs]
        if root in above and not (runs[root].states or runs[root].tables):
            above.remove(root)
        if above:
            runs[above[-1]].add(found[folder])
        else:
            runs[folder] = found[folder]
    return runs


def _log(folder: Path, files: _RunFiles, root: Path) -> RunLog:
    """Read one run; its curve is in the first kind of file that there is."""
    if files.states:
        config, metrics = trainer_state.read_states(files.states)
    elif files.tables:
        config, metrics = {}, _table(files.tables[0])
    else:
        config, metrics = read_events(files.events)
    name = folder.relative_to(root).as_posix() if folder != root else root.resolve().name
    return RunLog(name, {**_settings(folder, root), **config}, lambda: metrics)


def _table(path: Path) -> Metrics:
    """Read a curve from a table with a row for each step; cells may be empty."""
    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_json(path, lines=True)
    except ValueError as error:
        raise unreadable(path, error) from None
    step = next((name for name in _STEPS if name in frame), None)
    if step is None:
        raise RunsError(
            f"{path}: found the columns {listed(map(quoted, frame.columns))}, expected one of "
            f"{', '.join(_STEPS)}."
        )
    numbers = frame.select_dtypes("number").drop(columns=step, errors="ignore")
    steps = as_floats(frame[step])
    points = (
        (str(name), at, value)
        for name in numbers
        for at, value in zip(steps, numbers[name], strict=True)
        if pd.notna(value) and pd.notna(at)
    )
    return metrics_of(points, path)


def _settings(folder: Path, root: Path) -> dict[str, Any]:
    """Return the settings of a run, from the nearest folder with such files.

    Settings in the root apply to all runs below it.
    """
    while True:
        if paths := [folder / name for name in _SETTINGS if (folder / name).is_file()]:
            return {k: v for path in reversed(paths) for k, v in _mapping(path).items()}
        if folder == root:
            return {}
        folder = folder.parent


def _mapping(path: Path) -> dict[str, Any]:
    """Read a file of settings, with dotted names for nested ones."""
    text, _ = text_of(path)
    try:
        content = json.loads(text) if path.suffix == ".json" else _yaml(text, path)
        return flat(content) if isinstance(content, dict) else {}
    except (ValueError, RecursionError) as error:
        raise unreadable(path, error) from None


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise MissingExtraError(
            f"{path}: reading {path.suffix} needs PyYAML. Install it (pip install "
            "'bayescale[logs]')."
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise unreadable(path, error) from None
