"""Read the logs of many runs: a folder of them, a file of one, or a tracker."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bayescale.data.logs import mlflow, trainer_state, wandb_api
from bayescale.data.logs.event_files import MARK, read_events
from bayescale.data.logs.folders import logs_below
from bayescale.data.logs.run_log import RunLog, RunLogs
from bayescale.data.notes import Note
from bayescale.errors import RunsError, quoted

TRACKERS = {"wandb:": wandb_api.runs_of, "mlflow:": mlflow.runs_of}
"""Readers of trackers, by the prefix of a source."""


def read_logs(source: str | Path | Iterable[Any], *, last: int = 1) -> RunLogs:
    r"""Read the logs of runs, as the programs that track experiments write them.

    Parameters
    ----------
    source
        A folder with logs of runs below it: MLflow's ``mlruns``, event files of TensorBoard, the
        outputs of Hugging Face's Trainer (``trainer_state.json``), or folders with a table
        (``metrics.csv``, ``history.csv``, ``progress.csv``, ``log.jsonl``, ...) and settings
        (``config.json``, ``hparams.yaml``, ...). Or ``"wandb:ENTITY/PROJECT"``,
        ``"mlflow:URI"``, or runs of ``wandb.Api().runs(...)``.
    last
        Number of values at the end of each curve whose mean is the run's value; more than one
        smooths a noisy loss.

    Returns
    -------
    RunLogs
        ``table`` has a row for each run, for `load_runs`; ``curves("val_loss")`` the points, for
        `forecast`. Both take the logs as they are, too.

    Raises
    ------
    RunsError
        If there is no log, or one that cannot be read; if the package that reads it is missing.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> import bayescale as bs
    >>> root = tempfile.TemporaryDirectory()
    >>> for name, n_params in (("small", 7e7), ("large", 1.6e8)):
    ...     folder = pathlib.Path(root.name, name)
    ...     folder.mkdir()
    ...     _ = (folder / "config.json").write_text(json.dumps({"n_params": n_params}))
    ...     curve = ["step,tokens,val_loss", "100,1e9,4.0", "200,2e9,3.6"]
    ...     _ = (folder / "metrics.csv").write_text("\n".join(curve))
    >>> logs = bs.read_logs(root.name)
    >>> logs.table.columns.to_list(), logs.curves("val_loss").shape
    (['run', 'n_params', 'tokens', 'val_loss'], (4, 3))
    >>> bs.load_runs(logs).n_params
    array([1.6e+08, 7.0e+07])
    >>> root.cleanup()
    """
    if last < 1:
        raise RunsError(f"last: found {last}, expected at least 1.")
    name, logs, deleted = _logs(source)
    if not logs:
        raise RunsError(
            f"{name}: found no log of a run, expected MLflow's mlruns, event files, "
            f"{trainer_state.FILE}, or folders with metrics.csv and config.json."
        )
    text = f"read the logs of {len(logs)} run{'s' if len(logs) > 1 else ''}"
    if last > 1:
        text += f"; each metric is the mean of its last {last} values"
    notes = [Note(text, "format")]
    if deleted:
        notes.append(Note(f"left out deleted runs: {deleted}", "other"))
    return RunLogs(name, tuple(_with_distinct_names(logs)), last, tuple(notes))


def _logs(source: str | Path | Iterable[Any]) -> tuple[str, list[RunLog], int]:
    """Return the name of a source, its logs, and how many were deleted."""
    if not isinstance(source, str | os.PathLike):
        return "wandb", list(wandb_api.as_logs(source)), 0
    text = os.fspath(source)
    for prefix, read in TRACKERS.items():
        if text.startswith(prefix):
            return text, list(read(text.removeprefix(prefix))), 0
    path = Path(source)
    if path.is_dir():
        logs, deleted = logs_below(path)
        return str(path), sorted(logs, key=lambda log: log.name), deleted
    if not path.is_file():
        raise RunsError(f"{quoted(text)}: there is no such file or folder.")
    if path.name.startswith(MARK):
        config, metrics = read_events([("", path)])
    else:
        config, metrics = trainer_state.read_states([path])
    return str(path), [RunLog(path.parent.name or path.stem, config, lambda: metrics)], 0


def _with_distinct_names(logs: Iterable[RunLog]) -> list[RunLog]:
    """Return logs with distinct names: a number is appended to repeated ones."""
    counts: dict[str, int] = {}
    renamed = []
    for log in logs:
        counts[log.name] = counts.get(log.name, 0) + 1
        count = counts[log.name]
        name = log.name if count == 1 else f"{log.name} ({count})"
        renamed.append(RunLog(name, log.config, log.history, log.summary, log.state))
    return renamed
