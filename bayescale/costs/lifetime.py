"""Training and what follows: compute over a lifetime, and money."""

from dataclasses import dataclass
from typing import Any, override

from bayescale.costs.base import Cost, ProductCost, six_nd
from bayescale.costs.hardware import Cluster
from bayescale.units import Amount, format_count, parse_amount

two_nd = ProductCost(2.0, "2ND")
"""The forward pass alone: two operations per parameter and token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Tokens that a model is to process once it is trained.

    Attributes
    ----------
    n_tokens
        How many over its lifetime, read and written: a number, or text such as ``"2T"``.
    forward
        Compute of so many tokens at a size.
    cluster
        What serves, if its utilisation or price is not that of training.
    """

    n_tokens: Amount
    forward: Cost = two_nd
    cluster: Cluster | None = None

    def __post_init__(self) -> None:
        read = parse_amount(self.n_tokens, "count", "serving n_tokens")
        object.__setattr__(self, "n_tokens", read)

    def compute(self, n_params: Any) -> Any:
        """Return the compute in FLOP of serving a model of this size over its lifetime."""
        return self.forward(n_params, self.n_tokens)


@dataclass(frozen=True, slots=True)
class Lifetime(Cost):
    """Compute of training and of serving: 6 N D + 2 N D_served (Sardana et al. 2024, equation 2).

    Attributes
    ----------
    serving
        What is served.
    train
        The compute of training.
    weight
        What one FLOP of serving counts, in FLOP of training: the ratio of their prices, or of
        their utilisations.

    Examples
    --------
    >>> from bayescale.costs import Lifetime, Serving
    >>> f"{Lifetime(Serving(n_tokens='2T'))(7e9, 1e12):.3g}"
    '7e+22'
    """

    serving: Serving
    train: Cost = six_nd
    weight: float = 1.0

    @property
    def name(self) -> str:  # type: ignore[override]
        """How tables and reports call it."""
        served = format_count(float(self.serving.n_tokens))
        return f"{self.train.name} and serving {served} tokens"

    @override
    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        return self.train(n_params, n_tokens) + self.weight * self.serving.compute(n_params)

    @override
    def tokens_for(self, budget: Any, n_params: Any) -> Any:
        left = budget - self.weight * self.serving.compute(n_params)
        return self.train.tokens_for(left, n_params)

    @property
    @override
    def training(self) -> Cost:
        return self.train.training


@dataclass(frozen=True, slots=True, kw_only=True)
class Money(Cost):
    """The price of training, and of serving if it is given; budgets are in money.

    Attributes
    ----------
    cluster
        What trains, with its utilisation and the price of a GPU-hour.
    serving
        What is served; on a cluster of its own, or else on this one.
    train
        The compute of training.

    Examples
    --------
    >>> from bayescale.costs import Cluster, Money
    >>> cluster = Cluster(n_gpus=1024, peak="H100-SXM", utilisation=0.4, price=2.0)
    >>> f"{Money(cluster=cluster)(7e9, 2e12):.3g}"
    '1.18e+05'
    """

    cluster: Cluster
    serving: Serving | None = None
    train: Cost = six_nd

    @property
    def name(self) -> str:  # type: ignore[override]
        """How tables and reports call it."""
        if self.serving is None:
            return "training"
        served = format_count(float(self.serving.n_tokens))
        return f"training and serving {served} tokens"

    @property
    def unit(self) -> str:  # type: ignore[override]
        """The currency."""
        return self.cluster.currency

    @override
    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        return self.cluster.money(self.train(n_params, n_tokens)) + self._served(n_params)

    @override
    def tokens_for(self, budget: Any, n_params: Any) -> Any:
        compute = (budget - self._served(n_params)) / self.cluster.money(1.0)
        return self.train.tokens_for(compute, n_params)

    @property
    @override
    def training(self) -> Cost:
        return self.train.training

    def _served(self, n_params: Any) -> Any:
        if self.serving is None:
            return 0.0
        serving = self.serving
        return (serving.cluster or self.cluster).money(serving.compute(n_params))
