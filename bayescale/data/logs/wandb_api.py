"""Runs of Weights & Biases, through its public API client."""

from collections.abc import Iterable
from typing import Any

from bayescale.data.logs.run_log import Metrics, RunLog, flat, metrics_of
from bayescale.errors import MissingExtraError, RunsError

_STEP = "_step"


def runs_of(path: str) -> tuple[RunLog, ...]:
    """Read the runs of a project, ``entity/project``."""
    try:
        import wandb
    except ImportError:
        raise MissingExtraError(
            f"wandb:{path}: reading it needs wandb. Install it (pip install wandb), or export the "
            "table of runs as csv."
        ) from None
    try:
        return as_logs(wandb.Api().runs(path))
    except RunsError:
        raise
    except Exception as error:  # of the network, the account or the project
        raise RunsError(
            f"wandb:{path}: could not be read ({type(error).__name__}: {error}). Expected "
            "ENTITY/PROJECT, and to be logged in (wandb login)."
        ) from None


def as_logs(runs: Iterable[Any]) -> tuple[RunLog, ...]:
    """Return the logs of runs of the client; their curves are fetched on first use."""
    return tuple(_log(run) for run in runs)


def _log(run: Any) -> RunLog:
    def history() -> Metrics:
        points = (
            (name, row[_STEP], value)
            for row in run.scan_history()
            for name, value in row.items()
            if _is_metric(name, value)
        )
        return metrics_of(points, f"run {run.id}")

    return RunLog(
        name=run.name or run.id,
        config={k: v for k, v in flat(run.config).items() if not k.startswith("_")},
        history=history,
        summary={k: v for k, v in flat(dict(run.summary.items())).items() if _is_metric(k, v)},
        state=str(run.state).lower(),
    )


def _is_metric(name: str, value: object) -> bool:
    """Return whether a value is a number, and not added by the client (``_runtime``, ...)."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Non-finite numbers are texts, since JSON has none.
    return not name.startswith("_") and (is_number or value in ("NaN", "Infinity", "-Infinity"))
