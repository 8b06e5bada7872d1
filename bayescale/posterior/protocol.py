"""Posterior: the common interface of fits, averages of laws and published constants."""

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
    """Draws of a law's curve, with runs, diagnostics and a description.

    Implemented by `bayescale.Fit` and `bayescale.ModelAverage`, and by published constants, with
    a single draw (`as_posterior`).
    """

    @property
    def is_point(self) -> bool:
        """Whether this is a point estimate, such as published constants."""
        ...

    @property
    def has_chains(self) -> bool:
        """Whether the draws form chains, from which R-hat and ESS are computed."""
        ...

    @property
    def fits(self) -> Mapping[str, FittedModel]:
        """The fits, by name: one, those that are averaged, or none of published constants."""
        ...

    @property
    def law(self) -> Law:
        """The law; the first of an average, whose laws have the same inputs."""
        ...

    @property
    def response(self) -> str:
        """The response, as a column of runs."""
        ...

    @property
    def columns(self) -> dict[str, str]:
        """The column of runs for each input of the law."""
        ...

    @property
    def groupings(self) -> tuple[str, ...]:
        """The grouping factors."""
        ...

    @property
    def has_discrepancy(self) -> bool:
        """Whether there is a discrepancy term."""
        ...

    @property
    def curve(self) -> AnyCurve:
        """Draws of the response as a function of the inputs."""
        ...

    def curve_of(self, groups: Groups | None, dim: str = "plan") -> AnyCurve:
        """Return the response as a function of the inputs, at levels of the grouping factors."""
        ...

    @property
    def seed(self) -> int:
        """The seed from which the random numbers of answers are derived by default."""
        ...

    @property
    def n_draws(self) -> int:
        """Number of draws, over all chains."""
        ...

    def sel(self, **levels: object) -> Self:
        """Select one level of each named grouping factor."""
        ...

    def thin(self, most: int) -> Self:
        """Return the posterior thinned to about `most` draws."""
        ...

    def pieces(self, seed: int | None = None) -> Iterator[tuple[FittedModel, slice, int]]:
        """Yield the constituent fits, the slices of their draws, and the seeds of their noise."""
        ...

    @property
    def runs(self) -> Runs | None:
        """The fitted runs; None for published constants."""
        ...

    @property
    def inputs(self) -> Mapping[str, NDArray[float64]]:
        """The inputs of the law at the fitted runs."""
        ...

    @property
    def diagnostics(self) -> Diagnostics | None:
        """The diagnostics; None for published constants."""
        ...

    @property
    def headline(self) -> str:
        """The description, with the checks and their failure first."""
        ...

    @property
    def description(self) -> str:
        """One line: the law with its runs, or the source of the constants."""
        ...

    @property
    def answering(self) -> str:
        """The description, preceded by the levels assumed for unspecified grouping factors."""
        ...

    def coefficients(self) -> dict[str, float]:
        """Return a point estimate of the natural parameters; averages of laws have none."""
        ...

    def refuse_unknown_groups(self, groups: Groups) -> None:
        """Raise for a column that is no grouping factor, or for an unknown level."""
        ...
