"""Limits on plans in addition to the budget: memory, data, steps and time."""

from dataclasses import dataclass, fields
from datetime import date

from bayescale.costs import Cluster
from bayescale.errors import AmountError, quoted
from bayescale.units import (
    Amount,
    format_compute,
    format_count,
    format_days,
    parse_amount,
    quantity_of,
)

_NO_AMOUNTS = ("cluster", "deadline", "start")


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
        Limit on training days, on a cluster; with its overhead at the upper end.
    deadline, start
        The date by which training has to be finished, and that on which it starts, as
        ``"2027-03-01"``: a limit on days, to the start of the day of the deadline.

    Examples
    --------
    >>> import bayescale as bs
    >>> plan = bs.allocate(
    ...     bs.published("besiroglu2024"), budget=1e24, limits=bs.Limits(max_tokens="1T")
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
    deadline: str | date | None = None
    start: str | date | None = None

    def __post_init__(self) -> None:
        self._read_dates()
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name not in _NO_AMOUNTS and value is not None:
                amount = parse_amount(value, quantity_of(entry.name), entry.name)
                object.__setattr__(self, entry.name, amount)
        for needed, given in (("batch_tokens", "max_steps"), ("cluster", "max_days")):
            if getattr(self, given) is not None and getattr(self, needed) is None:
                raise AmountError(
                    f"{given}: found no {needed}, which this limit requires; give both."
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

    def _read_dates(self) -> None:
        """Convert a deadline to a limit on days."""
        if self.deadline is None and self.start is None:
            return
        if self.deadline is None or self.start is None:
            given, missing = ("start", "deadline") if self.start else ("deadline", "start")
            raise AmountError(f"{given}: found no {missing}; give both dates.")
        last, first = (read_date(getattr(self, name), name) for name in ("deadline", "start"))
        days = float((last - first).days)
        if days < 1:
            raise AmountError(
                f"deadline: found {last}, expected a date after the start of training, {first}."
            )
        if self.max_days is not None:
            days = min(days, parse_amount(self.max_days, "count", "max_days"))
        for name, value in (("deadline", last), ("start", first), ("max_days", days)):
            object.__setattr__(self, name, value)

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
        # The deadline holds at the upper end of the overhead.
        return self.cluster.compute(days=float(self.max_days)) / self.cluster.most_stretch

    def __bool__(self) -> bool:
        # A cluster or a batch size alone is not a limit.
        no_limits = {"cluster", "batch_tokens", "deadline", "start"}
        given = {entry.name for entry in fields(self) if getattr(self, entry.name) is not None}
        return bool(given - no_limits)

    def __str__(self) -> str:
        parts = [
            f"{bound} {format_count(float(value))} {what}"
            for bound, value, what in (
                ("at least", self.min_params, "parameters"),
                ("at most", self.max_params, "parameters"),
                ("at least", self.min_tokens, "tokens"),
                ("at most", self.most_tokens, "tokens"),
            )
            if value is not None
        ]
        if self.max_days is not None and self.most_compute is not None:
            by = f"by {self.deadline}, " if self.deadline else ""
            parts.append(
                f"{by}at most {format_days(float(self.max_days))} on {self.cluster} "
                f"({format_compute(self.most_compute)})"
            )
        return ", ".join(parts) or "none"


def read_date(value: object, what: str) -> date:
    """Return a date, given as one or as ``2027-03-01``."""
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError:
        raise AmountError(
            f"{what}: found {quoted(value)}, expected a date such as 2027-03-01."
        ) from None


def expect_limits(found: Limits, name: str = "limits") -> None:
    """Raise AmountError unless an argument is `Limits`, such as for their amounts by name."""
    if not isinstance(found, Limits):
        raise AmountError(
            f"{name}=: found {quoted(found)}, expected bayescale.Limits, such as "
            "bayescale.Limits(max_tokens='1T')."
        )


NO_LIMITS = Limits()
