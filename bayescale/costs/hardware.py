"""Compute in GPU-hours, days and money: a cluster, its utilisation and its price."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bayescale.errors import AmountError
from bayescale.units import SECONDS_PER_DAY, Amount, format_share, parse_amount

PEAKS: Mapping[str, float] = MappingProxyType(
    {"A100": 312e12, "H100-SXM": 989e12, "H200-SXM": 989e12}
)
"""Peak dense BF16 FLOP/s of one GPU, from the manufacturer's data sheet."""

_SECONDS_PER_HOUR = 3600.0


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

    def __post_init__(self) -> None:
        peak = PEAKS.get(self.peak) if isinstance(self.peak, str) else None
        read: dict[str, Any] = {
            "n_gpus": parse_amount(self.n_gpus, "count", "n_gpus"),
            "peak": peak or parse_amount(self.peak, "rate", "peak"),
        }
        if self.price is not None:
            read["price"] = parse_amount(self.price, "money", "price")
        if not 0.0 < self.utilisation <= 1.0:
            raise AmountError(
                f"utilisation: found {self.utilisation!r}, expected a share of the peak above 0 "
                "and at most 1."
            )
        for name, value in read.items():
            object.__setattr__(self, name, value)

    def gpu_hours(self, flop: Any) -> Any:
        """Return GPU-hours of an amount of compute."""
        return flop / (float(self.peak) * self.utilisation * _SECONDS_PER_HOUR)

    def days(self, flop: Any) -> Any:
        """Return the days that the whole cluster needs for an amount of compute."""
        return flop / (self._rate * SECONDS_PER_DAY)

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
        chosen = [name for name, value in given.items() if value is not None]
        if len(chosen) != 1:
            raise AmountError(
                f"compute: found {' and '.join(chosen) or 'nothing'}, expected one of days, "
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
        return float(self.n_gpus) * float(self.peak) * self.utilisation

    @property
    def _price(self) -> float:
        if self.price is None:
            raise AmountError(
                "price: found none, expected the price of a GPU-hour. Give the cluster one."
            )
        return float(self.price)

    def __str__(self) -> str:
        return f"{self.n_gpus:,.0f} GPUs at {format_share(self.utilisation)}"
