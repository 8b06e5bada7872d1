"""Compute in GPU-hours, days and money: a cluster, its utilisation and its price."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from bayescale.errors import AmountError, quoted
from bayescale.units import (
    SECONDS_PER_DAY,
    Amount,
    format_days,
    format_share,
    parse_amount,
    per_cent_of,
    read_share,
)

PEAKS: Mapping[str, float] = MappingProxyType(
    {"A100": 312e12, "H100-SXM": 989e12, "H200-SXM": 989e12}
)
"""Peak dense BF16 FLOP/s of one GPU, from the manufacturer's data sheet."""

_SECONDS_PER_HOUR = 3600.0

type Share = float | str

_MAX_OVERHEAD = 10.0
"""Largest overhead given in per cent; a plain number above one is probably in per cent."""

_INTERVAL = re.compile(r"(?P<low>[\d.]+)\s*%?\s*(?:-|to|\u2013)\s*(?P<high>[\d.]+)\s*(?P<unit>%?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A GPU cluster for training or serving.

    Attributes
    ----------
    n_gpus
        Number of GPUs.
    peak
        Peak rate of one GPU, in FLOP/s: a number, text such as ``"989 TFLOP/s"``, or a key of
        `bayescale.costs.PEAKS`.
    utilisation
        Model FLOP utilisation: the achieved share of the peak.
    price
        Price of a GPU-hour, if known.
    currency
        Its unit.
    overhead
        Time lost to failures, restarts and evaluations, as a share of the time of training: a
        number, text such as ``"8 %"``, or an interval such as ``("5 %", "12 %")``. Days, GPU-hours
        and money are at its middle; limits on days hold at its upper end.
    speed
        Throughput of the precision of training (FP8, say), relative to that of the peak and the
        utilisation.

    Examples
    --------
    >>> from bayescale.costs import Cluster
    >>> cluster = Cluster(n_gpus=2048, peak="H100-SXM", utilisation=0.4, price=2.0)
    >>> print(f"{cluster.days(2.9e24):.1f} days on {cluster}")
    41.4 days on 2,048 GPUs at 40 %
    >>> f"{cluster.money(2.9e24):.3g}"
    '4.07e+06'
    """

    n_gpus: Amount
    peak: Amount
    utilisation: float
    price: Amount | None = None
    currency: str = "$"
    overhead: Share | tuple[Share, Share] = 0.0
    speed: float = 1.0

    def __post_init__(self) -> None:
        peak = PEAKS.get(self.peak) if isinstance(self.peak, str) else None
        parsed: dict[str, Any] = {
            "n_gpus": parse_amount(self.n_gpus, "count", "n_gpus"),
            "peak": peak or parse_amount(self.peak, "rate", "peak"),
        }
        if self.price is not None:
            parsed["price"] = parse_amount(self.price, "money", "price")
        if not 0.0 < self.utilisation <= 1.0:
            raise AmountError(
                f"utilisation: found {self.utilisation!r}, expected a share of the peak above 0 "
                "and at most 1."
            )
        parsed["overhead"] = read_overhead(self.overhead)
        if not (isinstance(self.speed, int | float) and 0.0 < self.speed < np.inf):
            raise AmountError(
                f"speed: found {self.speed!r}, expected a positive multiple of the throughput, "
                "such as 1.4."
            )
        for name, value in parsed.items():
            object.__setattr__(self, name, value)

    def gpu_hours(self, flop: Any) -> Any:
        """Return GPU-hours of an amount of compute."""
        return flop / (self._rate / float(self.n_gpus) * _SECONDS_PER_HOUR)

    def days(self, flop: Any) -> Any:
        """Return the days that the cluster needs for an amount of compute."""
        return flop / (self._rate * SECONDS_PER_DAY)

    @property
    def overheads(self) -> tuple[float, float]:
        """The lower and upper end of the overhead."""
        found = self.overhead
        return found if isinstance(found, tuple) else (found, found)  # type: ignore[return-value]

    def days_between(self, flop: Any) -> tuple[Any, Any]:
        """Return the days at the lower and at the upper end of the overhead."""
        low, high = (self.days(flop) * (1.0 + x) / self._stretch for x in self.overheads)
        return low, high

    def duration(self, flop: float) -> str:
        """Return the days of an amount of compute as text, with those at the overhead's ends."""
        low, high = (format_days(float(x)) for x in self.days_between(flop))
        found = format_days(float(self.days(flop)))
        return found if low == high else f"{found} (from {low} to {high})"

    def money(self, flop: Any) -> Any:
        """Return the price of an amount of compute.

        Raises
        ------
        AmountError
            If the cluster has no price.
        """
        return self.gpu_hours(flop) * self._price

    def compute(
        self,
        *,
        days: float | None = None,
        gpu_hours: Amount | None = None,
        money: Amount | None = None,
    ) -> float:
        """Return the compute in FLOP of a number of days or GPU-hours, or an amount of money.

        Raises
        ------
        AmountError
            Unless exactly one is given and can be read.
        """
        given = {"days": days, "gpu_hours": gpu_hours, "money": money}
        present = [name for name, value in given.items() if value is not None]
        if len(present) != 1:
            raise AmountError(
                f"compute: found {' and '.join(present) or 'nothing'}, expected one of days, "
                "gpu_hours and money."
            )
        if days is not None:
            return float(parse_amount(days, "count", "days") * SECONDS_PER_DAY * self._rate)
        if gpu_hours is not None:
            hours = parse_amount(gpu_hours, "count", "gpu_hours")
        else:
            hours = parse_amount(money, "money", "money") / self._price
        return float(hours / self.gpu_hours(1.0))

    @property
    def _rate(self) -> float:
        per_gpu = float(self.peak) * self.utilisation * self.speed / self._stretch
        return float(self.n_gpus) * per_gpu

    @property
    def _stretch(self) -> float:
        """The factor by which failures and restarts lengthen training."""
        return 1.0 + sum(self.overheads) / 2.0

    @property
    def most_stretch(self) -> float:
        """The factor by which the time at the overhead's upper end exceeds `days`."""
        return (1.0 + self.overheads[1]) / self._stretch

    @property
    def _price(self) -> float:
        if self.price is None:
            raise AmountError(
                "price: found none, expected the price of a GPU-hour. Give the cluster one."
            )
        return float(self.price)

    def __str__(self) -> str:
        low, high = self.overheads
        ends = format_share(low) if low == high else f"{100 * low:g} to {format_share(high)}"
        overhead = f" and {ends} overhead" if high > 0.0 else ""
        speed = f" times {self.speed:g}" if self.speed != 1.0 else ""
        return f"{self.n_gpus:,.0f} GPUs at {format_share(self.utilisation)}{speed}{overhead}"


def read_overhead(value: object) -> float | tuple[float, float]:
    """Return an overhead as a share, or as an interval of shares.

    >>> read_overhead("8 %"), read_overhead("5-12 %"), read_overhead((0.05, 0.1))
    (0.08, (0.05, 0.12), (0.05, 0.1))
    """
    parts: list[object] = list(value) if isinstance(value, tuple | list) else [value]
    if isinstance(value, str) and (match := _INTERVAL.fullmatch(value.strip())):
        parts = [f"{end}{match['unit']}" for end in match.group("low", "high")]
    shares = [_share(part) for part in parts]
    valid = [share for share in shares if share is not None]
    if len(valid) < len(parts) or len(parts) not in (1, 2) or valid != sorted(valid):
        raise AmountError(
            f"overhead: found {quoted(value)}, expected a share of the time of training such as "
            "0.08 or '8 %', or an interval such as '5-12 %'."
        )
    return valid[0] if len(valid) == 1 else (valid[0], valid[1])


def _share(value: object) -> float | None:
    found, in_per_cent = read_share(str(value)), per_cent_of(str(value)) is not None
    limit = _MAX_OVERHEAD if in_per_cent else 1.0
    return found if found is not None and 0.0 <= found <= limit else None
