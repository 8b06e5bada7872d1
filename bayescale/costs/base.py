"""Base class of costs, the rule C = k N D, and user-defined cost functions."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, override

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bayescale.costs.hardware import Cluster

type Array = NDArray[np.float64]

_LOG_LOWER, _LOG_UPPER = -20.0, 80.0
"""Limits, in ln parameters or ln tokens, of the search for an inverse."""


class Cost(ABC):
    """A cost as a function of size and tokens, in which budgets are stated.

    Budgets are in the unit of the returned value: training compute, lifetime compute, or money.

    Attributes
    ----------
    name
        Name in tables and reports.
    unit
        Unit of the cost: ``"FLOP"``, or a currency.
    cluster
        The cluster whose use is paid for, if any.
    direct
        Whether `tokens_for` is fast; otherwise searches interpolate a table of it.
    """

    name: str
    unit: str = "FLOP"
    cluster: "Cluster | None" = None
    direct: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        """Return the cost of a model of `n_params` trained on `n_tokens`; arrays broadcast."""

    @abstractmethod
    def tokens_for(self, budget: Any, n_params: Any) -> Any:
        """Return the training tokens that exhaust a budget at a size.

        Zero or less, or NaN, where the budget is too small.
        """

    def log_sizes_for(self, budgets: Array, n_tokens: float) -> Array:
        """Return ln of the sizes at which tokens exhaust each budget; -inf if there are none."""
        from scipy.optimize import elementwise

        def excess(log_n: Array, budget: Array) -> Array:
            return np.asarray(np.log(self(np.exp(log_n), n_tokens)) - np.log(budget))

        low, high = np.full_like(budgets, _LOG_LOWER), np.full_like(budgets, _LOG_UPPER)
        found = elementwise.find_root(excess, (low, high), args=(budgets,))
        return np.where(found.success, found.x, -np.inf)

    def log_product_of(self, budgets: Array) -> Array | None:
        """Return ln of N D at each budget, if the cost depends on that product only; else None."""
        return None

    @property
    def training(self) -> "Cost":
        """The compute of training alone, in FLOP, which determines training time."""
        return self

    def of_training(self, n_params: Any, n_tokens: Any) -> Any:
        """Return the price of training alone, if budgets are in money; else None."""
        return None


@dataclass(frozen=True, slots=True)
class ProductCost(Cost):
    """Compute proportional to size times tokens: C = k N D.

    Attributes
    ----------
    flop_per_param_token
        k: floating-point operations per parameter and token.
    name
        Name in tables and reports.
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

    @override
    def log_sizes_for(self, budgets: Array, n_tokens: float) -> Array:
        return np.asarray(np.log(budgets / (self.flop_per_param_token * n_tokens)))

    @override
    def log_product_of(self, budgets: Array) -> Array:
        return np.asarray(np.log(budgets / self.flop_per_param_token))


six_nd = ProductCost(6.0, "6ND")
"""Two operations per parameter and token forward, four backward (Kaplan et al. 2020, section 2.1);
attention and embeddings are not counted."""


@dataclass(frozen=True, slots=True)
class RecountedCost(Cost):
    """A cost whose parameters are counted differently from those of the law.

    Attributes
    ----------
    counted
        The cost, in terms of its own parameter count.
    count
        Maps the law's parameter count to that of the cost.
    name
        Name in tables and reports.

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
    """A user-defined cost function.

    Attributes
    ----------
    function
        Takes size and tokens as arrays that broadcast, and returns the cost, increasing in both.
    name, unit
        Name in tables, and unit of the cost.
    train
        The compute of training alone, if the function returns another quantity.
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
            # Nearly linear in logarithms, so that the root search takes few steps.
            return np.log(self.function(size, np.exp(log_d))) - np.log(budget)

        low = np.zeros_like(budget)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = elementwise.find_root(
                excess, (low, np.full_like(budget, _LOG_UPPER)), args=(budget, size)
            )
        return np.where(found.success, np.exp(found.x), np.nan)

    @property
    @override
    def training(self) -> Cost:
        return self.train if self.train is not None else self


def as_cost(cost: "Cost | Callable[[Any, Any], Any]") -> Cost:
    """Return a cost unchanged, or wrap a function as a cost in FLOP.

    Raises
    ------
    TypeError
        If the argument is neither.

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
