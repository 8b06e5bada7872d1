"""Pooling: group effects on the parts of a law, between families, sizes or curves."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.data.levels import Levels, column_of
from bayescale.data.runs import Runs
from bayescale.errors import CardError, as_list, did_you_mean, quoted
from bayescale.laws import Law
from bayescale.model.priors import HalfNormal, Prior, check_prior, prior_from_dict

KINDS = ("partial", "none", "complete")

_RUNS = 3
"""Smallest number of runs of a level that is counted for `Pooling.min_levels`."""

_BETWEEN_LEVELS = HalfNormal(
    scale=0.35,
    why="between six public sweeps the logarithms of exponents differ with a standard deviation of "
    "about 0.4; between corpora of one group they and floors differ by less",
)


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """A group effect: how one part of a law differs between levels of a grouping factor.

    Attributes
    ----------
    of
        A natural parameter of the law (on the log scale if it is positive), an input (the
        elasticity along it), or the response itself (its level, everywhere).
    over
        The column of the grouping factor; columns joined by ``+`` form one factor.
    kind
        ``"partial"``: levels are draws from a common distribution with estimated standard
        deviation; ``"none"``: levels are independent, with a fixed large standard deviation;
        ``"complete"``: no difference between levels.
    sd
        Prior of the standard deviation between levels for ``"partial"``, its value for
        ``"none"``, and empty for ``"complete"``.
    why
        Reason for a pooling without a prior (which carries its own).
    with_
        Another natural parameter, partially pooled by the same factor, whose effects are
        correlated with these (``with`` in a card); useful from about five levels.
    correlation
        Prior of (1 + correlation) / 2, on the unit interval; Beta(2, 2) is LKJ(2) in two
        dimensions.
    min_levels
        The number of levels with at least three runs below which a table is fitted without the
        effect, which is then not identified.

    Examples
    --------
    >>> import bayescale as bs
    >>> spread = bs.HalfNormal(scale=0.35, why="between public sweeps it is about 0.3")
    >>> bs.Pooling(of="alpha", over="family", sd=spread).effect
    'alpha_by_family'

    Notes
    -----
    Source: Gelman and Hill 2006, chapter 12, for the three kinds; Lewandowski, Kurowicka and Joe
    2009, doi:10.1016/j.jmva.2009.04.008, for the prior of a correlation.
    """

    of: str
    over: str
    kind: str = "partial"
    sd: Prior | float | None = None
    why: str = ""
    with_: str = ""
    correlation: Prior | None = None
    min_levels: int = 0

    def __post_init__(self) -> None:
        where = f"pooling.{self.of}.{self.over}"
        if not all(self.over.split("+")):
            raise CardError(
                f"{where}: found the column {quoted(self.over)}, expected the name of a column, or "
                "several joined by +."
            )
        if self.kind not in KINDS:
            raise CardError(
                f"{where}: found kind {quoted(self.kind)}, expected one of {', '.join(KINDS)}."
                + did_you_mean(self.kind, KINDS)
            )
        if self.kind == "partial":
            expected = "a prior on a standard deviation"
            check_prior(where, self.sd, positive=True, expected=expected)
        if self.kind == "none" and not (isinstance(self.sd, int | float) and self.sd > 0):
            raise CardError(f"{where}: found sd = {quoted(self.sd)}, expected a positive number.")
        if self.kind == "complete" and self.sd is not None:
            raise CardError(
                f"{where}: found sd = {quoted(self.sd)}, expected none: under complete pooling "
                "levels do not differ."
            )
        if bool(self.with_) != (self.correlation is not None):
            raise CardError(
                f"{where}: found with = {quoted(self.with_)} "
                f"and correlation = {quoted(self.correlation)}, "
                "expected both or neither."
            )
        if self.correlation is not None and (
            self.kind != "partial" or self.correlation.support != "unit"
        ):
            raise CardError(
                f"{where}.correlation: found a {self.correlation.kind} prior of {self.kind} "
                "pooling, expected one on a share between 0 and 1, of partial pooling."
            )
        if not isinstance(self.min_levels, int) or self.min_levels < 0:
            raise CardError(
                f"{where}.min_levels: found {quoted(self.min_levels)}, expected an integer."
            )
        if self.kind != "partial" and not self.why.strip():
            raise CardError(f"{where}: {self.kind} pooling without a reason; state it in `why`.")

    @property
    def effect(self) -> str:
        """Name of the group effect, with one value per level."""
        return f"{self.of}_by_{self.over}"

    @property
    def spread(self) -> str:
        """Name of the standard deviation between levels."""
        return f"sd_{self.effect}"

    @property
    def _prior(self) -> Prior | None:
        """The prior of the standard deviation, which is one of partial pooling, else stated."""
        return self.sd if isinstance(self.sd, Prior) else None

    @property
    def typical_sd(self) -> float:
        """A central value of the standard deviation between levels."""
        return self._prior.typical if self._prior else float(self.sd or 0.0)  # type: ignore[arg-type]

    @property
    def meaning(self) -> str:
        """Description of the standard deviation between levels."""
        return f"standard deviation of {self.of} between levels of {self.over}"

    @property
    def concordance(self) -> str:
        """Name of (1 + correlation) / 2 with the effect on another parameter."""
        return f"concordance_{self.of}_{self.with_}_by_{self.over}"

    def is_identified(self, runs: Runs) -> bool:
        """Whether a table has as many levels as the effect needs (`min_levels`)."""
        if self.min_levels == 0:
            return True
        values = column_of(runs, self.over)
        counts = np.bincount(Levels.of(runs, self.over).codes(values))
        return int((counts >= _RUNS).sum()) >= self.min_levels

    @property
    def priors(self) -> dict[str, Prior]:
        """The priors of the hyperparameters."""
        spread = {self.spread: self._prior} if self._prior else {}
        return spread | ({self.concordance: self.correlation} if self.correlation else {})

    @property
    def meanings(self) -> dict[str, str]:
        """Descriptions of the hyperparameters."""
        return {
            self.spread: self.meaning,
            self.concordance: f"half of (1 + correlation of {self.of} with {self.with_}) between "
            f"levels of {self.over}",
        }

    def scale(self, values: Mapping[str, Any]) -> Any:
        """Return the standard deviation between levels.

        For correlated effects it is the conditional standard deviation given the other effect.
        """
        scale: Any = values[self.spread] if self._prior else self.sd
        if self.correlation is None:
            return scale
        share = values[self.concordance]
        return scale * 2.0 * np.sqrt(share * (1.0 - share))

    def expected(self, values: Mapping[str, Any], others: Mapping[str, Any]) -> Any:
        """Return the conditional mean of the effect, given the other effects by name."""
        if self.correlation is None:
            return 0.0
        other = f"{self.with_}_by_{self.over}"
        return _broadcast(self._regression(values), others[other]) * others[other]

    def loading(self, other: "Pooling", values: Mapping[str, Any]) -> Any:
        """Return the loading of this effect on a standardised effect, None if it has none.

        Standardised effects are independent standard normals.
        """
        if other.effect == self.effect:
            return self.scale(values)
        if self.correlation is not None and other.of == self.with_:
            return self._regression(values) * other.scale(values)
        return None

    def _regression(self, values: Mapping[str, Any]) -> Any:
        """Return the regression coefficient of this effect on that of `with_`."""
        rho = 2.0 * values[self.concordance] - 1.0
        return rho * values[self.spread] / values[f"sd_{self.with_}_by_{self.over}"]

    def check(self, law: Law, others: Sequence["Pooling"]) -> None:
        """Raise CardError unless the law has this part, and the part it is correlated with."""
        parts = (law.response, *law.inputs, *law.parameters)
        if self.of not in parts:
            raise CardError(
                f"pooling: found {quoted(self.of)}, expected a part of the law {law.name}: "
                f"{', '.join(parts)}.{did_you_mean(self.of, parts)}"
            )
        if self.of in law.parameters and law.parameters[self.of].support == "unit":
            raise CardError(
                f"pooling.{self.of}: a share between 0 and 1 cannot be pooled; pool a positive "
                "or a real parameter."
            )

        if self.with_ and not (
            self.of in law.parameters
            and any(
                other.of == self.with_ != self.of
                and other.over == self.over
                and other.kind == "partial"
                and not other.with_
                for other in others
                if other.of in law.parameters
            )
        ):
            raise CardError(
                f"pooling.{self.of}.{self.over}: found with = {quoted(self.with_)}, expected two "
                "parameters of the law, the other partially pooled by the same column and "
                "correlated with none itself."
            )

    @classmethod
    def from_dict(cls, content: object, of: str, over: str, where: str) -> "Pooling":
        """Build a pooling from a card's table."""
        if not isinstance(content, Mapping):
            raise CardError(f"{where}: found {quoted(content)}, expected a table.")
        kind = str(content.get("kind", "partial"))
        if kind == "partial":
            options = ("kind", "with", "correlation", "min_levels")
            prior = {key: value for key, value in content.items() if key not in options}
            correlation = (
                prior_from_dict(content["correlation"], f"{where}.correlation")
                if "correlation" in content
                else None
            )
            return cls(
                of=of,
                over=over,
                sd=prior_from_dict(prior, where),
                with_=str(content.get("with", "")),
                correlation=correlation,
                min_levels=content.get("min_levels", 0),
            )
        unknown = sorted(set(content) - {"kind", "sd", "why"})
        if unknown:
            raise CardError(
                f"{where}: found the unknown key {quoted(unknown[0])}; the keys of {kind} "
                "pooling are kind, sd, why."
            )
        return cls(
            of=of, over=over, kind=kind, sd=content.get("sd"), why=str(content.get("why", ""))
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the pooling as a card states it."""
        if self._prior:
            correlated = (
                {"with": self.with_, "correlation": self.correlation.to_dict()}
                if self.correlation
                else {}
            )
            least = {"min_levels": self.min_levels} if self.min_levels else {}
            return {**self._prior.to_dict(), **correlated, **least}
        sd = {} if self.sd is None else {"sd": self.sd}
        return {"kind": self.kind, **sd, "why": self.why}


def pooling_of(
    law: Law, over: str, of: Collection[str] | None = None, sd: Prior | None = None
) -> tuple[Pooling, ...]:
    """Return partial pooling of parts of a law by one grouping factor; see `Model.pool`."""
    parts = as_list(of or [name for name, p in law.parameters.items() if p.support != "unit"])
    return tuple(Pooling(of=part, over=over, sd=sd or _BETWEEN_LEVELS) for part in parts)


def _broadcast(factor: Any, levels: Any) -> Any:
    """Return a per-draw factor with a last axis that broadcasts over levels."""
    return factor[..., None] if np.ndim(levels) and np.ndim(factor) else factor
