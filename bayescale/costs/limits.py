"""Limits of a plan beside its budget: memory, data, steps and the calendar."""

from dataclasses import dataclass, fields

from bayescale.costs import Cluster
from bayescale.errors import AmountError
from bayescale.units import (
    Amount,
    format_compute,
    format_count,
    format_days,
    parse_amount,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a plan may not exceed, whatever its budget.

    Attributes
    ----------
    min_params, max_params
        Sizes allowed; the largest is often a matter of the memory that serves it.
    min_tokens, max_tokens
        Tokens allowed; the most of a single epoch are the unique ones there are.
    max_steps, batch_tokens
        Steps allowed, at so many tokens each.
    max_days, cluster
        Days allowed, on a cluster.

    Examples
    --------
    >>> import bayescale as bs
    >>> plan = bs.allocate(
    ...     bs.published("besiroglu2024"), compute=1e24, limits=bs.Limits(max_tokens="1T")
    ... )
    >>> plan.text_table()["D_opt (tokens)"].iloc[0]
    '1.00T'
    """

    min_params: Amount | None = None
    max_params: Amount | None = None
    min_tokens: Amount | None = None
    max_tokens: Amount | None = None
    max_steps: Amount | None = None
    batch_tokens: Amount | None = None
    max_days: Amount | None = None
    cluster: Cluster | None = None

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name != "cluster" and value is not None:
                read = parse_amount(value, "count", entry.name)
                object.__setattr__(self, entry.name, read)
        for needed, given in (("batch_tokens", "max_steps"), ("cluster", "max_days")):
            if getattr(self, given) is not None and getattr(self, needed) is None:
                raise AmountError(
                    f"{given}: found no {needed}, without which it is no limit; give both."
                )
        for what, low, high in (
            ("params", self.min_params, self.max_params),
            ("tokens", self.min_tokens, self.most_tokens),
        ):
            if low is not None and high is not None and float(low) > float(high):
                raise AmountError(
                    f"limits: found at least {format_count(float(low))} and at most "
                    f"{format_count(float(high))} {what}; expected a range."
                )

    @property
    def most_tokens(self) -> float | None:
        """The least of the limits on tokens, if there is one."""
        found = [] if self.max_tokens is None else [float(self.max_tokens)]
        if self.max_steps is not None and self.batch_tokens is not None:
            found.append(float(self.max_steps) * float(self.batch_tokens))
        return min(found, default=None)

    @property
    def most_compute(self) -> float | None:
        """The training compute that the days allow, in FLOP."""
        if self.max_days is None or self.cluster is None:
            return None
        return self.cluster.compute(days=float(self.max_days))

    def __bool__(self) -> bool:
        # A cluster and a batch bound nothing by themselves.
        alone = {"cluster", "batch_tokens"}
        given = {entry.name for entry in fields(self) if getattr(self, entry.name) is not None}
        return bool(given - alone)

    def __str__(self) -> str:
        parts = [
            f"{word} {format_count(float(value))} {what}"
            for word, value, what in (
                ("at least", self.min_params, "parameters"),
                ("at most", self.max_params, "parameters"),
                ("at least", self.min_tokens, "tokens"),
                ("at most", self.most_tokens, "tokens"),
            )
            if value is not None
        ]
        if self.max_days is not None and self.most_compute is not None:
            parts.append(
                f"at most {format_days(float(self.max_days))} on {self.cluster} "
                f"({format_compute(self.most_compute)})"
            )
        return ", ".join(parts) or "none"


NO_LIMITS = Limits()
