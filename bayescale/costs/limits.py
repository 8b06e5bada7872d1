"""Limits on plans in addition to the budget: memory, data, steps and time."""

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
    """Constraints on plans in addition to the budget.

    Attributes
    ----------
    min_params, max_params
        Limits on size; the upper one is often set by the memory for serving.
    min_tokens, max_tokens
        Limits on tokens; for a single epoch the upper one is the number of unique tokens.
    max_steps, batch_tokens
        Limit on steps, and tokens per step.
    max_days, cluster
        Limit on training days, on a cluster.

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
                raise AmountError(f"{given}: found no {needed}, which this limit needs; give both.")
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
        """The smallest upper limit on tokens, if any."""
        found = [] if self.max_tokens is None else [float(self.max_tokens)]
        if self.max_steps is not None and self.batch_tokens is not None:
            found.append(float(self.max_steps) * float(self.batch_tokens))
        return min(found, default=None)

    @property
    def most_compute(self) -> float | None:
        """The training compute of `max_days`, in FLOP, if set."""
        if self.max_days is None or self.cluster is None:
            return None
        return self.cluster.compute(days=float(self.max_days))

    def __bool__(self) -> bool:
        # A cluster or a batch size alone is no limit.
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
