"""Event files of TensorBoard, through its own reader."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bayescale.data.logs.run_log import Metrics, metrics_of
from bayescale.errors import MissingExtraError

MARK = "events.out.tfevents."

_SETTINGS = "_hparams_/session_start_info"


def read_events(folders: Sequence[tuple[str, Path]]) -> tuple[dict[str, Any], Metrics]:
    """Return the hyperparameters and the scalars in folders of event files.

    Parameters
    ----------
    folders
        Each with a prefix for the names of its scalars; of equal names the first is used.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        raise MissingExtraError(
            f"{folders[0][1]}: reading event files needs tensorboard. Install it (pip install "
            "'bayescale[logs]')."
        ) from None
    config: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    for prefix, folder in folders:
        # Size 0 keeps all points; by default long curves are thinned.
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        config |= _hyperparameters(events)
        found = metrics_of(_scalars(events), folder)
        metrics |= {f"{prefix}{k}": v for k, v in found.items() if f"{prefix}{k}" not in metrics}
    return config, metrics


def _scalars(events: Any) -> Iterator[tuple[str, int, float]]:
    """Yield the points of scalars, which TensorFlow 2 writes as tensors of one number."""
    from tensorboard.util.tensor_util import make_ndarray

    tags = events.Tags()
    for name in tags["scalars"]:
        for event in events.Scalars(name):
            yield name, event.step, event.value
    for name in tags["tensors"]:
        if events.SummaryMetadata(name).plugin_data.plugin_name == "scalars":
            for event in events.Tensors(name):
                yield name, event.step, make_ndarray(event.tensor_proto).item()


def _hyperparameters(events: Any) -> dict[str, Any]:
    """Return the hyperparameters that the HParams plugin logged."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    try:
        content = events.PluginTagToContent("hparams").get(_SETTINGS)
    except KeyError:  # the plugin has logged nothing
        return {}
    if content is None:
        return {}
    logged = HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in logged.items()}
