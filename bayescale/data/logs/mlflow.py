"""Runs of MLflow: its folder ``mlruns``, and its databases and servers through its client.

The folder is MLflow's file store, whose layout no longer changes: MLflow opens it only on request,
and stores new runs in a database.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bayescale.data.logs.run_log import Metrics, RunLog, metrics_of
from bayescale.errors import MissingExtraError, RunsError

_STATES = {"1": "running", "2": "pending", "3": "finished", "4": "failed", "5": "killed"}
"""States of runs by the number in ``meta.yaml``."""

_META = "meta.yaml"


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run in a file store."""
    return (folder / _META).is_file() and any((folder / x).is_dir() for x in ("metrics", "params"))


def run_in(folder: Path) -> RunLog | None:
    """Read a run of a file store; None if it was deleted."""
    meta = _meta(folder / _META)
    if meta.get("lifecycle_stage") == "deleted":
        return None
    metrics = metrics_of(_points(folder / "metrics"), folder)
    number = meta.get("status", "")
    return RunLog(
        name=meta.get("run_name") or meta.get("run_id") or folder.name,
        config=dict(_files(folder / "params")),
        history=lambda: metrics,
        state=_STATES.get(number, ""),
    )


def runs_of(uri: str) -> tuple[RunLog, ...]:
    """Read the runs of a tracking database or server, such as ``sqlite:///mlflow.db``."""
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise MissingExtraError(
            f"mlflow:{uri}: reading it needs mlflow. Install it (pip install mlflow); a folder "
            "mlruns is read without it."
        ) from None
    try:
        client = MlflowClient(tracking_uri=uri)
        experiments = [x.experiment_id for x in client.search_experiments()]
        found = _all(client, experiments) if experiments else []
    except MlflowException as error:
        raise RunsError(f"mlflow:{uri}: could not be read ({error}).") from None
    return tuple(_of_client(client, run) for run in found)


def _all(client: Any, experiments: list[str]) -> list[Any]:
    """Return every run, page by page."""
    runs, token = [], None
    while True:
        page = client.search_runs(experiments, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _of_client(client: Any, run: Any) -> RunLog:
    def history() -> Metrics:
        points = (
            (name, point.step, point.value)
            for name in run.data.metrics
            for point in client.get_metric_history(run.info.run_id, name)
        )
        return metrics_of(points, f"run {run.info.run_id}")

    status = str(run.info.status).lower()
    return RunLog(
        name=run.info.run_name or run.info.run_id,
        config=dict(run.data.params),
        history=history,
        summary=dict(run.data.metrics),
        state="pending" if status == "scheduled" else status,
    )


def _meta(path: Path) -> dict[str, str]:
    """Read the description of a run, a YAML mapping of plain values."""
    lines = _text(path).splitlines()
    pairs = (line.partition(": ") for line in lines if not line.startswith((" ", "-")))
    return {name: value.strip().strip("'\"") for name, _, value in pairs}


def _text(path: Path) -> str:
    """Return the text of a file; a parameter may be any text."""
    return path.read_text(encoding="utf-8", errors="replace")


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the path below a folder, which is the name, and the text of each file."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), _text(path)


def _points(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the points of metrics; a line has the time, the value and the step of a point."""
    for name, text in _files(folder):
        for number, line in enumerate(text.splitlines(), start=1):
            match line.split():
                case [_, value, step, *_]:
                    yield name, step, value
                case [_, value]:
                    yield name, "0", value
                case _:
                    raise RunsError(
                        f"{folder / name}, line {number}: found {line!r}, expected a time, a value "
                        "and a step."
                    )
