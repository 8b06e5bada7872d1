"""Pooling: which parts of a law differ between families, sizes or curves, and by how much."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bayescale.errors import CardError, did_you_mean
from bayescale.laws import Law
from bayescale.priors import Prior, prior_from_dict

KINDS = ("partial", "none", "complete")


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """How one part of a law differs between the levels of a column of the runs.

    Attributes
    ----------
    of
        A natural parameter of the law (on the log scale if it is positive), an input (the
        elasticity along it), or the response itself (its level, everywhere).
    by
        The column; several joined by ``+`` are one grouping by all of them.
    kind
        ``"partial"``: levels are draws from a common distribution, whose spread is learnt;
        ``"none"``: each level goes its own way, with a fixed wide spread; ``"complete"``: there
        is no difference.
    sd
        Partial: the prior of the standard deviation between levels. None: that standard
        deviation. Complete: nothing.
    why
        Reason of a pooling that has no prior to carry it.

    Examples
    --------
    >>> import bayescale as bs
    >>> spread = bs.HalfNormal(scale=0.35, why="between public sweeps it is about 0.3")
    >>> bs.Pooling(of="alpha", by="family", sd=spread).effect
    'alpha_by_family'

    Notes
    -----
    Source: Gelman and Hill 2006, chapter 12, for the three kinds.
    """

    of: str
    by: str
    kind: str = "partial"
    sd: Prior | float | None = None
    why: str = ""

    def __post_init__(self) -> None:
        where = f"pooling.{self.of}.{self.by}"
        if self.kind not in KINDS:
            raise CardError(
                f"{where}: found kind {self.kind!r}, expected one of {', '.join(KINDS)}."
                + did_you_mean(self.kind, KINDS)
            )
        if self.kind == "partial" and not (
            isinstance(self.sd, Prior) and self.sd.support == "positive"
        ):
            raise CardError(
                f"{where}: found {self.sd!r}, expected a prior on a standard deviation."
            )
        if self.kind == "none" and not (isinstance(self.sd, int | float) and self.sd > 0):
            raise CardError(f"{where}: found sd = {self.sd!r}, expected a positive number.")
        if self.kind == "complete" and self.sd is not None:
            raise CardError(f"{where}: found sd = {self.sd!r}, but levels that do not differ.")
        if self.kind != "partial" and not self.why.strip():
            raise CardError(f"{where}: {self.kind} pooling without a reason; state it in `why`.")

    @property
    def effect(self) -> str:
        """Name of the differences, one a level."""
        return f"{self.of}_by_{self.by}"

    @property
    def spread(self) -> str:
        """Name of their standard deviation."""
        return f"sd_{self.effect}"

    @property
    def meaning(self) -> str:
        """What the standard deviation means."""
        return f"standard deviation of {self.of} between levels of {self.by}"

    def scale(self, values: Mapping[str, Any]) -> Any:
        """Return the standard deviation: among `values` if it is learnt."""
        return values[self.spread] if isinstance(self.sd, Prior) else self.sd

    def check(self, law: Law) -> None:
        """Raise CardError unless there is such a part of a law."""
        parts = (law.response, *law.inputs, *law.parameters)
        if self.of not in parts:
            raise CardError(
                f"pooling: found {self.of!r}, expected a part of the law {law.name}: "
                f"{', '.join(parts)}.{did_you_mean(self.of, parts)}"
            )
        if self.of in law.parameters and law.parameters[self.of].support == "unit":
            raise CardError(
                f"pooling.{self.of}: a share between 0 and 1 cannot be pooled; pool a positive "
                "or a real parameter."
            )

    @classmethod
    def from_dict(cls, content: object, of: str, by: str, where: str) -> "Pooling":
        """Build a pooling from a card's table."""
        if not isinstance(content, Mapping):
            raise CardError(f"{where}: found {content!r}, expected a table.")
        kind = str(content.get("kind", "partial"))
        if kind == "partial":
            prior = {key: value for key, value in content.items() if key != "kind"}
            return cls(of=of, by=by, sd=prior_from_dict(prior, where))
        unknown = sorted(set(content) - {"kind", "sd", "why"})
        if unknown:
            raise CardError(
                f"{where}: found the unknown key {unknown[0]!r}; the keys of {kind} pooling are "
                "kind, sd, why."
            )
        return cls(of=of, by=by, kind=kind, sd=content.get("sd"), why=str(content.get("why", "")))

    def to_dict(self) -> dict[str, Any]:
        """Return the pooling as a card states it."""
        if isinstance(self.sd, Prior):
            return self.sd.to_dict()
        sd = {} if self.sd is None else {"sd": self.sd}
        return {"kind": self.kind, **sd, "why": self.why}
