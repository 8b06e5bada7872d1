"""Measured throughput: the time of training from tokens per second by size."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, override

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.costs.base import Cost
from bayescale.costs.hardware import Cluster
from bayescale.errors import AmountError
from bayescale.units import format_count, format_share, parse_amounts

_COLUMNS = ("n_params", "tokens_per_second")

_SAME = 0.2
"""Relative difference up to which rates of one size are repeated measurements of one."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MeasuredThroughput(Cost):
    """The cost of training from measured tokens per second, instead of 6ND.

    Attributes
    ----------
    n_params, tokens_per_second
        Sizes, and the training throughput in tokens per second at each.
    n_gpus
        Number of GPUs of the measurements: one number, or one for each size.
    cluster
        The cluster of the plans, at the same throughput per GPU. Its utilisation only converts
        time to compute: days, GPU-hours and money do not depend on it, nor on its `speed`, since
        the throughput is that of the measured precision.

    Raises
    ------
    AmountError
        If an amount cannot be read, the lists differ in length, a larger model is not slower, or
        rates of one size differ by more than repeated measurements do.

    Notes
    -----
    The cost in FLOP is the time of training times the rate of the cluster, so that
    `Cluster.days`, `Cluster.money`, `Money` and limits on days are those of the measured time.
    Between sizes, the log of throughput is linear in the log of size; outside their
    range FLOP/s are those of the nearest size. Repeated measurements within 20 % of one another
    are averaged in logs.

    Examples
    --------
    >>> from bayescale.costs import Cluster, MeasuredThroughput
    >>> cluster = Cluster(n_gpus=512, peak="H100-SXM", utilisation=0.4, price="$2")
    >>> measured = MeasuredThroughput(
    ...     n_params=["1B", "7B"], tokens_per_second=["400K", "72K"], n_gpus=8, cluster=cluster
    ... )
    >>> f"{cluster.days(measured(7e9, 1e12)):.2f} days"
    '2.51 days'
    """

    n_params: Any
    tokens_per_second: Any
    n_gpus: Any = 1
    cluster: Cluster
    name: str = "measured throughput"
    _log_n: NDArray[np.float64] = field(init=False, repr=False)
    _log_rate: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        size, rate, gpus = (
            parse_amounts(getattr(self, name), "count", f"throughput, {name}")
            for name in ("n_params", "tokens_per_second", "n_gpus")
        )
        if len(size) != len(rate) or len(gpus) not in (1, len(size)):
            raise AmountError(
                f"throughput: found {len(size)} sizes, {len(rate)} rates and {len(gpus)} numbers "
                "of GPUs, expected equal numbers, or one number of GPUs."
            )
        log_n, group = np.unique(np.log(size), return_inverse=True)
        log_rate = np.log(rate / gpus)
        _refuse_different(size, log_rate, group)
        log_rate = np.bincount(group, log_rate) / np.bincount(group)
        faster = np.flatnonzero(np.diff(log_rate) >= 0)
        if len(faster):
            small, large = (format_count(float(np.exp(log_n[faster[0] + i]))) for i in (0, 1))
            raise AmountError(
                f"throughput: found {large} parameters at {np.exp(log_rate[faster[0] + 1]):.4g} "
                f"tokens per second and GPU, not slower than {small} at "
                f"{np.exp(log_rate[faster[0]]):.4g}. Larger models take longer; check the rows, or "
                "leave the smaller size out, which something else limits."
            )
        object.__setattr__(self, "_log_n", log_n)
        object.__setattr__(self, "_log_rate", log_rate)

    @classmethod
    def of_table(
        cls, table: pd.DataFrame | Mapping[str, Any], cluster: Cluster
    ) -> "MeasuredThroughput":
        """Return the cost of a table with the columns of the attributes; ``n_gpus`` is optional."""
        missing = [name for name in _COLUMNS if name not in table]
        if missing:
            raise AmountError(
                f"throughput: found columns {', '.join(map(str, table))}; expected "
                f"{', '.join(_COLUMNS)}, and n_gpus if they are not of one GPU."
            )
        size, rate = (list(table[name]) for name in _COLUMNS)
        gpus = list(table["n_gpus"]) if "n_gpus" in table else 1
        return cls(n_params=size, tokens_per_second=rate, n_gpus=gpus, cluster=cluster)

    def tokens_per_second_at(self, n_params: Any) -> Any:
        """Return the tokens per second of one GPU at sizes."""
        log_n = np.log(n_params)
        inside = np.clip(log_n, self._log_n[0], self._log_n[-1])
        found = np.interp(inside, self._log_n, self._log_rate)
        return np.exp(found - (log_n - inside))

    @override
    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        return n_tokens / self.tokens_per_second_at(n_params) * self._flop_per_second

    @override
    def tokens_for(self, budget: Any, n_params: Any) -> Any:
        return budget / self._flop_per_second * self.tokens_per_second_at(n_params)

    @property
    def _flop_per_second(self) -> float:
        """FLOP of a GPU-second of the cluster, without its overhead."""
        return float(self.cluster.peak) * self.cluster.utilisation * self.cluster.speed


def _refuse_different(
    size: NDArray[np.float64], log_rate: NDArray[np.float64], group: NDArray[np.intp]
) -> None:
    """Raise AmountError if rates of one size differ by more than repeated measurements do."""
    for at in np.flatnonzero(np.bincount(group) > 1):
        rates = log_rate[group == at]
        if np.ptp(rates) > np.log1p(_SAME):
            slow, fast = np.exp([rates.min(), rates.max()])
            raise AmountError(
                f"throughput: found {slow:.4g} and {fast:.4g} tokens per second and GPU for "
                f"{format_count(float(size[group == at][0]))} parameters, expected one rate of a "
                f"size (measurements within {format_share(_SAME)} are averaged). Keep the rows of "
                "the configuration that is planned."
            )
