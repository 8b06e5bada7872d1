"""The state that Hugging Face's Trainer saves: the curve of a run, and its totals."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bayescale.data.logs.run_log import Metrics, flat, metrics_of
from bayescale.data.text_files import text_of, unreadable
from bayescale.errors import RunsError

FILE = "trainer_state.json"

_TOTALS = ("total_flos", "num_input_tokens_seen")
"""Metrics that are summed over the run; zero if the trainer did not count them."""

_NAMES = {"loss": "train/loss"}
"""Names of metrics in the table: the ``loss`` of a Trainer is the training loss."""

_SUMMARY_PREFIX = "train_"
"""Prefix of metrics logged once, at the end: means and times over all of training."""


def read_states(paths: Sequence[Path]) -> tuple[dict[str, Any], Metrics]:
    """Return the settings and the metrics of a run from the last of its states."""
    states = [(path, _state(path)) for path in paths]
    path, state = max(states, key=lambda entry: _step_of(entry[1]))
    entries = state.get("log_history")
    if not isinstance(entries, list) or not all(isinstance(x, dict) for x in entries):
        raise RunsError(f"{path}: found no log_history, expected the state of a Trainer.")
    points = (
        (_NAMES.get(name, name), entry.get("step", 0), value)
        for entry in entries
        for name, value in entry.items()
        if isinstance(value, int | float)
        and name != "step"
        and not name.startswith(_SUMMARY_PREFIX)
    )
    metrics = metrics_of(points, path)
    totals = {k: state[k] for k in _TOTALS if state.get(k) and k not in metrics}
    settings = state.get("trial_params")
    return {**(flat(settings) if isinstance(settings, dict) else {}), **totals}, metrics


def _step_of(state: dict[str, Any]) -> float:
    step = state.get("global_step")
    return step if isinstance(step, int | float) else 0.0


def _state(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(text_of(path)[0])
    except RunsError:
        raise
    except (ValueError, RecursionError) as error:
        raise unreadable(path, error) from None
    if not isinstance(content, dict):
        raise RunsError(f"{path}: found no object, expected the state of a Trainer.")
    return content
