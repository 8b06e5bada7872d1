"""Posterior: what fits, averages of laws and published constants have in common."""

from collections.abc import Iterator, Mapping
from typing import Protocol, Self

from numpy import float64
from numpy.typing import NDArray

from bayescale.data.runs import Runs
from bayescale.laws import Law
from bayescale.posterior.curve import AnyCurve, Groups
from bayescale.posterior.diagnostics import Diagnostics
from bayescale.posterior.fitted import FittedModel


class Posterior(Protocol):
    """Draws of a law's curve, and what they rest on.

    `bayescale.Fit` and `bayescale.ModelAverage` are posteriors; published constants are one of a
    single draw (`as_posterior`).
    """

    @property
    def is_point(self) -> bool:
        """Whether there is a single draw without uncertainty, as of published constants."""
        ...

    @property
    def law(self) -> Law:
        """The law; of several, the first, whose inputs are those of all."""
        ...

    @property
    def response(self) -> str:
        """What the law is a law of, as a column of runs."""
        ...

    @property
    def columns(self) -> dict[str, str]:
        """The column of runs that each input of the law is."""
        ...

    @property
    def groupings(self) -> tuple[str, ...]:
        """The columns between whose levels parts of the law differ."""
        ...

    @property
    def has_discrepancy(self) -> bool:
        """Whether the law may be wrong beyond the runs."""
        ...

    @property
    def curve(self) -> AnyCurve:
        """The response at any inputs, draw by draw."""
        ...

    def curve_of(self, groups: Groups | None, dim: str = "plan") -> AnyCurve:
        """Return the response at any inputs, of given levels of columns."""
        ...

    @property
    def n_draws(self) -> int:
        """How many draws there are, over all chains."""
        ...

    def thin(self, most: int) -> Self:
        """Return the same posterior with about `most` of its draws."""
        ...

    def pieces(self, seed: int | None = None) -> Iterator[tuple[FittedModel, slice, int]]:
        """Yield the fits that it is of, where their draws lie, and seeds of their scatter."""
        ...

    @property
    def runs(self) -> Runs | None:
        """The runs that were fitted; None of published constants."""
        ...

    @property
    def inputs(self) -> Mapping[str, NDArray[float64]]:
        """The inputs of the law at the runs that were fitted."""
        ...

    @property
    def diagnostics(self) -> Diagnostics | None:
        """What the checks found; None of published constants."""
        ...

    @property
    def description(self) -> str:
        """One line: what was fitted to what, or whose constants they are."""
        ...

    @property
    def answering(self) -> str:
        """What answers rest on, led by the levels of columns that none were named of."""
        ...

    def refuse_unknown_groups(self, groups: Groups) -> None:
        """Raise for a column by which the law is not grouped, or a level that was not fitted."""
        ...
