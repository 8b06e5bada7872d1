"""Read runs with the columns that given models need."""

from collections.abc import Sequence
from typing import Any

from bayescale.data.load import RunsSource, as_runs
from bayescale.data.runs import Runs
from bayescale.model.card import Model


def runs_for(source: RunsSource, models: Sequence[Model], **options: Any) -> Runs:
    """Return runs unchanged, or read them with the columns that the models need.

    Parameters
    ----------
    source
        Runs, or a source for `load_runs`.
    models
        The models to fit, all with the same response.
    **options
        Options of `load_runs`.
    """
    columns = dict.fromkeys(name for model in models for name in model.columns.values())
    response = models[0].law.response
    return as_runs(source, needs=tuple(columns), response=response, **options)
