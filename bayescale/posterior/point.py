"""PointPosterior: published constants as a posterior with a single draw."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from numpy import float64
from numpy.typing import NDArray

from bayescale.errors import UnsuitableLawError
from bayescale.laws import Law
from bayescale.laws import law as find_law
from bayescale.laws.constants import Constants, EmpiricalFrontier
from bayescale.posterior.curve import Curve, Groups
from bayescale.posterior.fitted import FittedModel
from bayescale.posterior.protocol import Posterior

type Source = Posterior | Constants | EmpiricalFrontier
"""Accepted wherever a law is needed. Empirical frontiers are refused, since they are no laws."""


@dataclass(frozen=True, eq=False)
class PointPosterior:
    """Published constants as a posterior with a single draw, without noise or runs.

    Attributes
    ----------
    constants
        The published constants.
    """

    constants: Constants
    is_point: bool = True
    has_chains: bool = False
    fits: Mapping[str, FittedModel] = MappingProxyType({})
    n_draws: int = 1
    seed: int = 0
    has_discrepancy: bool = False
    groupings: tuple[str, ...] = ()
    runs: None = None
    diagnostics: None = None

    @property
    def law(self) -> Law:
        """The law of the constants."""
        return find_law(self.constants.law)

    @property
    def response(self) -> str:
        """The response, as a column of runs."""
        return self.constants.response

    @property
    def columns(self) -> dict[str, str]:
        """The column of runs for each input of the law."""
        return self.constants.columns

    @cached_property
    def curve(self) -> Curve:
        """The response as a function of the inputs, with a single draw."""
        return Curve.of_constants(self.constants)

    def curve_of(self, groups: Groups | None, dim: str = "plan") -> Curve:
        """Return the response as a function of the inputs; levels are refused."""
        self.refuse_unknown_groups(groups or {})
        return self.curve

    def sel(self, **levels: object) -> "PointPosterior":
        """Return the object itself; levels are refused."""
        self.refuse_unknown_groups(levels)
        return self

    def thin(self, most: int) -> "PointPosterior":
        """Return the object itself."""
        return self

    def pieces(self, seed: int | None = None) -> Iterator[tuple[FittedModel, slice, int]]:
        """Yield nothing, since there is no fitted model."""
        yield from ()

    @property
    def inputs(self) -> Mapping[str, NDArray[float64]]:
        """Empty, since there are no runs."""
        return {}

    def coefficients(self) -> dict[str, float]:
        """Return the natural parameters of the law, as published."""
        return dict(self.constants.parameters)

    @property
    def headline(self) -> str:
        """The description: no gate judges published constants."""
        return self.description

    @property
    def description(self) -> str:
        """One line: the source of the constants, and remarks on them."""
        return self.constants.description

    @property
    def answering(self) -> str:
        """The description."""
        return self.description

    def refuse_unknown_groups(self, groups: Groups) -> None:
        """Raise ValueError if levels are given."""
        if groups:
            raise ValueError(
                f"groups: found {groups!r} with {self.constants.name}, published constants, which "
                "have neither levels nor draws. Leave it out, or give a fit."
            )


def as_posterior(source: Source) -> Posterior:
    """Return a posterior unchanged, and published constants as a `PointPosterior`.

    Raises
    ------
    UnsuitableLawError
        If `source` is an empirical frontier, or no source.
    """
    if isinstance(source, Constants):
        return PointPosterior(source)
    if isinstance(source, EmpiricalFrontier):
        spent = source.variable == "compute"
        raise UnsuitableLawError(
            f"{source.name} is a frontier that a paper gives, not a law, and is in "
            + ("compute as spent" if spent else "batch-adjusted compute C_min")
            + f"; ask it with bayescale.frontier(..., {source.variable}=...)."
        )
    if not hasattr(source, "law"):
        raise UnsuitableLawError(
            f"source: found {source!r}, expected a fit, an average of laws or published constants, "
            "such as bayescale.published('hoffmann2022')."
        )
    return source
