"""The protocol of costs, the rule C = k N D, and costs that are a user's own function."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, override

import numpy as np

_LOG_MOST = 80.0
"""ln of more tokens than anyone will have; where the search for an inverse ends."""


class Cost(ABC):
    """What a budget is spent on, as a function of size and tokens.

    Budgets are compared with what the call returns, so they are in its unit: compute of training,
    compute over a lifetime, or money.

    Attributes
    ----------
    name
        How tables and reports call it.
    unit
        Unit of what the call returns: ``"FLOP"``, or a currency.
    direct
        Whether `tokens_for` is quick; otherwise searches tabulate it.
    """

    name: str
    unit: str = "FLOP"
    direct: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        """Return the cost of a model of `n_params` trained on `n_tokens`; arrays broadcast."""

    @abstractmethod
    def tokens_for(self, budget: Any, n_params: Any) -> Any:
        """Return the training tokens that spend a budget at a size.

        Zero or less, or NaN, where the budget does not reach to any.
        """

    @property
    def training(self) -> "Cost":
        """The compute of training alone, in FLOP, which takes the time of a cluster."""
        return self


@dataclass(frozen=True, slots=True)
class ProductCost(Cost):
    """Compute proportional to size times tokens: C = k N D.

    Attributes
    ----------
    flop_per_param_token
        k: floating-point operations for each parameter and token.
    name
        How tables and reports call it.
    """

    flop_per_param_token: float
    name: str

    @override
    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        """Return the compute in FLOP of training `n_params` on `n_tokens`."""
        return self.flop_per_param_token * n_params * n_tokens

    @override
    def tokens_for(self, budget: Any, n_params: Any) -> Any:
        return budget / (self.flop_per_param_token * n_params)


six_nd = ProductCost(6.0, "6ND")
"""Two operations per parameter and token forward, four backward (Kaplan et al. 2020, section 2.1);
attention and embeddings are neglected."""


@dataclass(frozen=True, slots=True)
class RecountedCost(Cost):
    """A cost of parameters that are counted otherwise than the law counts them.

    Attributes
    ----------
    counted
        The cost, of its own count of parameters.
    count
        Its count from the law's.
    name
        How tables and reports call it.

    Examples
    --------
    Kaplan's compute, in parameters without embeddings, for a law of total parameters:

    >>> from bayescale.costs import RecountedCost, pearce2024, six_nd
    >>> kaplans = RecountedCost(six_nd, pearce2024.non_embedding, "6ND without embeddings")
    >>> round(float(kaplans(1e8, 1e9) / six_nd(1e8, 1e9)), 3)
    0.796
    """

    counted: Cost
    count: Callable[[Any], Any]
    name: str

    @override
    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        return self.counted(self.count(n_params), n_tokens)

    @override
    def tokens_for(self, budget: Any, n_params: Any) -> Any:
        return self.counted.tokens_for(budget, self.count(n_params))


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCost(Cost):
    """A cost that is a function of the user's own.

    Attributes
    ----------
    function
        Takes size and tokens as arrays that broadcast, and returns the cost, which rises in both.
    name, unit
        How tables call it, and the unit of what it returns.
    train
        The compute of training alone, if the function is of anything else.
    """

    direct: ClassVar[bool] = False

    function: Callable[[Any, Any], Any]
    name: str = "own cost"
    unit: str = "FLOP"
    train: Cost | None = None

    @override
    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        return self.function(n_params, n_tokens)

    @override
    def tokens_for(self, budget: Any, n_params: Any) -> Any:
        from scipy.optimize import elementwise

        budget, size = np.broadcast_arrays(
            np.asarray(budget, dtype=float), np.asarray(n_params, dtype=float)
        )

        def excess(log_d: Any, budget: Any, size: Any) -> Any:
            # Of the logarithms, which is nearly linear, so that few steps are enough.
            return np.log(self.function(size, np.exp(log_d))) - np.log(budget)

        low = np.zeros_like(budget)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = elementwise.find_root(
                excess, (low, np.full_like(budget, _LOG_MOST)), args=(budget, size)
            )
        return np.where(found.success, np.exp(found.x), np.nan)

    @property
    @override
    def training(self) -> Cost:
        return self.train if self.train is not None else self


def as_cost(cost: "Cost | Callable[[Any, Any], Any]") -> Cost:
    """Return a cost as it is, and a plain function as a cost in FLOP.

    Raises
    ------
    TypeError
        If it is neither.

    Examples
    --------
    >>> from bayescale.costs import as_cost
    >>> def with_head(n_params, n_tokens):
    ...     return 6 * (n_params + 3e7) * n_tokens
    >>> as_cost(with_head).name
    'with_head'
    """
    if isinstance(cost, Cost):
        return cost
    if not callable(cost):
        raise TypeError(
            f"cost: found {cost!r}, expected a cost (bayescale.costs) or a function of size and "
            "tokens."
        )
    inner = cost.func if isinstance(cost, partial) else cost
    return FunctionCost(function=cost, name=getattr(inner, "__name__", "own cost"))
