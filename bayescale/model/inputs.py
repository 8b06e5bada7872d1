"""Read the runs that models are to be fitted to, with the columns that their laws need."""

from collections.abc import Sequence
from typing import Any

from bayescale.data.load import RunsSource, as_runs
from bayescale.data.runs import Runs
from bayescale.model.card import Model


def runs_for(source: RunsSource, models: Sequence[Model], **options: Any) -> Runs:
    """Return runs as they are, or read those that models can be fitted to.

    Parameters
    ----------
    source
        Runs, or what `load_runs` reads.
    models
        All that are to be fitted, of one response.
    **options
        As of `load_runs`.
    """
    columns = dict.fromkeys(name for model in models for name in model.columns.values())
    response = models[0].law.response
    return as_runs(source, needs=tuple(columns), response=response, **options)
