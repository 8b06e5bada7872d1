"""Lifetime costs of training and serving: compute and money."""

from dataclasses import dataclass
from typing import Any, override

from bayescale.costs.base import Cost, ProductCost, six_nd
from bayescale.costs.hardware import Cluster
from bayescale.errors import AmountError
from bayescale.units import Amount, format_count, parse_amount

two_nd = ProductCost(2.0, "2ND")
"""Forward pass only: two operations per parameter and token."""


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """A price per token, proportional to the size of the model.

    Attributes
    ----------
    per_million
        Price of a million tokens for a model of `n_params`.
    n_params
        Size at which the price is stated.
    currency
        Currency of the price.

    Examples
    --------
    >>> from bayescale.costs import TokenPrice
    >>> f"{1e6 * TokenPrice('$0.20', n_params='7B')(70e9):.2f}"
    '2.00'
    """

    per_million: Amount
    n_params: Amount
    currency: str = "$"

    def __post_init__(self) -> None:
        price = parse_amount(self.per_million, "money", "per_million")
        object.__setattr__(self, "per_million", price)
        size = parse_amount(self.n_params, "count", "price, n_params")
        object.__setattr__(self, "n_params", size)

    def __call__(self, n_params: Any) -> Any:
        """Return the price per token at a size."""
        return 1e-6 * float(self.per_million) * n_params / float(self.n_params)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Inference load of a trained model.

    Attributes
    ----------
    n_tokens
        Input and output tokens over its lifetime: a number, or text such as ``"2T"``.
    forward
        Compute of the forward pass.
    cluster
        Cluster for serving, if its utilisation or price differs from that of training.
    price
        Price per served token, instead of a cluster.
    """

    n_tokens: Amount
    forward: Cost = two_nd
    cluster: Cluster | None = None
    price: TokenPrice | None = None

    def __post_init__(self) -> None:
        n_tokens = parse_amount(self.n_tokens, "count", "serving n_tokens")
        object.__setattr__(self, "n_tokens", n_tokens)

    def compute(self, n_params: Any) -> Any:
        """Return the compute in FLOP of serving a model of this size over its lifetime."""
        return self.forward(n_params, self.n_tokens)

    def money(self, n_params: Any, cluster: Cluster | None = None) -> Any:
        """Return the price of serving, on its own cluster if it has one, else on the given one.

        None if there is no price.
        """
        if self.price is not None:
            return self.price(n_params) * self.n_tokens
        server = self.cluster or cluster
        if server is None or server.price is None:
            return None
        return server.money(self.compute(n_params))


@dataclass(frozen=True, slots=True)
class Lifetime(Cost):
    """Compute of training and of serving: 6 N D + 2 N D_served (Sardana et al. 2024, equation 2).

    Attributes
    ----------
    serving
        The inference load.
    train
        The compute of training.
    weight
        Weight of one FLOP of serving relative to training, such as the ratio of their prices or
        utilisations.

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
        """Name in tables and reports."""
        served = format_count(float(self.serving.n_tokens))
        return f"{self.train.name} and serving {served} tokens"

    @override
    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        return self.train(n_params, n_tokens) + self.weight * self.serving.compute(n_params)

    @override
    def tokens_for(self, budget: Any, n_params: Any) -> Any:
        remaining = budget - self.weight * self.serving.compute(n_params)
        return self.train.tokens_for(remaining, n_params)

    @property
    @override
    def training(self) -> Cost:
        return self.train.training


@dataclass(frozen=True, slots=True, kw_only=True)
class Money(Cost):
    """The price of training, and optionally of serving; budgets are in money.

    Attributes
    ----------
    cluster
        Training cluster, with its utilisation and price of a GPU-hour.
    price
        Price per training token, instead of a cluster.
    serving
        Inference load: at its own price, on its own cluster, or else on this one.
    train
        The compute of training.

    Examples
    --------
    >>> from bayescale.costs import Cluster, Money, TokenPrice
    >>> cluster = Cluster(n_gpus=1024, peak="H100-SXM", utilisation=0.4, price=2.0)
    >>> f"{Money(cluster=cluster)(7e9, 2e12):.3g}"
    '1.18e+05'
    >>> f"{Money(price=TokenPrice('$0.06', n_params='7B'))(7e9, 2e12):.3g}"
    '1.2e+05'
    """

    cluster: Cluster | None = None
    price: TokenPrice | None = None
    serving: Serving | None = None
    train: Cost = six_nd

    def __post_init__(self) -> None:
        has_hourly_price = self.cluster is not None and self.cluster.price is not None
        if has_hourly_price == (self.price is not None):
            raise AmountError(
                "money: expected a cluster with the price of a GPU-hour, or the price of a token "
                f"of training; found {'both' if has_hourly_price else 'neither'}."
            )
        if self.serving is not None and self.serving.money(1.0, self.cluster) is None:
            raise AmountError(
                "money: found serving without a price; give it a price of tokens, or a cluster "
                "with that of a GPU-hour."
            )

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name in tables and reports."""
        if self.serving is None:
            return "training"
        served = format_count(float(self.serving.n_tokens))
        return f"training and serving {served} tokens"

    @property
    def unit(self) -> str:  # type: ignore[override]
        """The currency."""
        source = self.price or self.cluster
        assert source is not None
        return source.currency

    @override
    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        return self.of_training(n_params, n_tokens) + self._price_of_serving(n_params)

    @override
    def of_training(self, n_params: Any, n_tokens: Any) -> Any:
        """Return the price of training alone."""
        if self.price is not None:
            return self.price(n_params) * n_tokens
        assert self.cluster is not None
        return self.cluster.money(self.train(n_params, n_tokens))

    @override
    def tokens_for(self, budget: Any, n_params: Any) -> Any:
        remaining = budget - self._price_of_serving(n_params)
        if self.price is not None:
            return remaining / self.price(n_params)
        assert self.cluster is not None
        return self.train.tokens_for(remaining / self.cluster.money(1.0), n_params)

    @property
    @override
    def training(self) -> Cost:
        return self.train.training

    def _price_of_serving(self, n_params: Any) -> Any:
        return self.serving.money(n_params, self.cluster) if self.serving else 0.0
