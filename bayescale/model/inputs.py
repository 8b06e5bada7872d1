"""Read runs with the columns that given models need."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bayescale.data.load import RunsSource, as_runs
from bayescale.data.runs import Runs
from bayescale.errors import MissingColumnError
from bayescale.laws import Law


class Predictor(Protocol):
    """A model or posterior, which predicts a response from columns of runs."""

    @property
    def law(self) -> Law:
        """The law."""
        ...

    @property
    def columns(self) -> Mapping[str, str]:
        """The column of runs for each input of the law."""
        ...


def runs_for(source: RunsSource, models: Sequence[Predictor], **options: Any) -> Runs:
    """Return runs unchanged, or read them with the columns that the models need.

    Parameters
    ----------
    source
        Runs, or a source for `load_runs`.
    models
        Models, or posteriors of them, all with the same response.
    **options
        Options of `load_runs`.
    """
    columns = dict.fromkeys(name for model in models for name in model.columns.values())
    response = models[0].law.response
    try:
        return as_runs(source, needs=tuple(columns), response=response, **options)
    except MissingColumnError as error:
        variable = models[0].columns.get("x")
        if variable is None:
            raise
        raise MissingColumnError(
            f"{error} The law {models[0].law.name} is of one variable, here {variable}, which may "
            "be any column: inputs={'x': NAME} in the model (--column x=NAME)."
        ) from None
