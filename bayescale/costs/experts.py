"""Parameter and FLOP counts of Transformers with mixtures of experts."""

from dataclasses import dataclass, fields
from typing import Any, Literal, override

import numpy as np

from bayescale.costs.shapes import Shape, ShapeFamily
from bayescale.errors import AmountError

type Counted = Literal["total", "active"]

_PER_ROUTER_PARAM = 6.0
"""Training FLOP per parameter of a matrix product and token: two forward, four backward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertShape(Shape):
    """A decoder Transformer's shape in which experts replace the feed-forward block.

    A router, a matrix of d_model x n_experts, sends each token to some of the experts. Parameters
    are counted as for `Shape`; without further experts (``n_experts=1``) it is that shape, which
    needs no router.

    Attributes
    ----------
    n_experts, n_active_experts
        Routed experts of a layer, and those that each token is sent to.
    d_expert
        Width of an expert; d_ff unless given. The granularity is d_ff / d_expert.
    n_shared_experts
        Experts of the same width that are active for every token, in addition.
    layer_share
        Share of the layers that have experts; the others have the feed-forward block.
    router_flop
        Training FLOP per parameter of the router and token: 6, those of its matrix product;
        Krajewski et al. 2024 count 14, with gathering and scattering of tokens.

    Examples
    --------
    >>> from bayescale.costs import ExpertShape
    >>> switch = ExpertShape(
    ...     n_layer=12, d_model=768, vocab_size=32000, n_ctx=512, n_experts=128, layer_share=0.5
    ... )
    >>> f"{switch.params_total:.4g}, of which active {switch.params_active:.4g}"
    '3.706e+09, of which active 1.101e+08'
    """

    n_experts: Any = 1
    n_active_experts: Any = 1
    d_expert: Any = None
    n_shared_experts: Any = 0
    layer_share: float = 1.0
    router_flop: float = _PER_ROUTER_PARAM

    @property
    @override
    def params_non_embedding(self) -> Any:
        """All parameters of attention, experts, routers and feed-forward blocks."""
        return self._with_experts(self.n_experts)

    @property
    def params_active_non_embedding(self) -> Any:
        """Those that are active for a token, routers included."""
        return self._with_experts(self.n_active_experts)

    @property
    def params_active(self) -> Any:
        """Parameters that are active for a token, with embeddings."""
        return self.params_active_non_embedding + self.params_embedding

    @property
    def params_router(self) -> Any:
        """Parameters of the routers of all layers."""
        per_layer = np.where(np.greater(self.n_experts, 1), self.n_experts, 0) * self.d_model
        return self.n_layer * self.layer_share * per_layer

    @override
    def _forward_products(self) -> Any:
        of_router = self.router_flop / 3.0 - 2.0
        return 2.0 * self.params_active_non_embedding + of_router * self.params_router

    def _with_experts(self, routed: Any) -> Any:
        """Return the parameters without embeddings, with a number of routed experts per layer."""
        d_ff, share = self._width_of_block, self.layer_share
        d_expert = self.d_expert if self.d_expert is not None else d_ff
        width = (routed + self.n_shared_experts) * d_expert
        block = self._block_params(share * width + (1.0 - share) * d_ff)
        return self.n_layer * (self._attention_params() + block) + self.params_router


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertFamily(ShapeFamily):
    """Shapes with experts at a fixed ratio of width to depth, one for each size.

    With `bayescale.costs.ShapedCost` it gives the exact FLOP of experts, routers, attention and
    head, for laws of all parameters or of the active ones.

    Attributes
    ----------
    n_experts, n_active_experts, n_shared_experts, layer_share, router_flop
        As of `ExpertShape`.
    granularity
        Width of the feed-forward block over that of an expert.
    counts
        Which parameters the size of a model counts: ``"total"`` or ``"active"``.

    Examples
    --------
    >>> from bayescale.costs import ExpertFamily, ShapedCost
    >>> family = ExpertFamily(
    ...     aspect=64, vocab_size=50257, n_ctx=2048, n_experts=64, n_active_experts=8, granularity=8
    ... )
    >>> shape = family.of_size(8e9)
    >>> f"{shape.params_total:.3g}, of which active {shape.params_active:.3g}"
    '8e+09, of which active 1.5e+09'
    """

    n_experts: float = 1
    n_active_experts: float = 1
    granularity: float = 1.0
    n_shared_experts: float = 0
    layer_share: float = 1.0
    router_flop: float = _PER_ROUTER_PARAM
    counts: Counted = "total"

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("n_experts", self.n_experts, 1.0, np.inf),
            ("n_active_experts", self.n_active_experts, 1.0, self.n_experts),
            ("granularity", self.granularity, 1.0, np.inf),
            ("n_shared_experts", self.n_shared_experts, 0.0, np.inf),
            ("layer_share", self.layer_share, 0.0, 1.0),
        ):
            if not low <= value <= high:
                expected = f"from {low:g} to {high:g}" if np.isfinite(high) else f"at least {low:g}"
                raise AmountError(f"{name}: found {value:g}, expected {expected}.")
        if self.counts not in ("total", "active"):
            raise AmountError(f"counts: found {self.counts!r}, expected 'total' or 'active'.")

    @property
    def activation_ratio(self) -> float:
        """Active experts over all routed experts: one less the sparsity."""
        return self.n_active_experts / self.n_experts

    @override
    def of_width(self, d_model: Any) -> ExpertShape:
        dense = ShapeFamily.of_width(self, d_model)
        return ExpertShape(
            **{each.name: getattr(dense, each.name) for each in fields(dense)},
            n_experts=self.n_experts,
            n_active_experts=self.n_active_experts,
            d_expert=dense.d_ff / self.granularity,
            n_shared_experts=self.n_shared_experts,
            layer_share=self.layer_share,
            router_flop=self.router_flop,
        )

    @override
    def of_size(self, n_params: Any, *, total: bool = True) -> ExpertShape:
        """Return the shape of a number of parameters, with embeddings (`total`) or without."""
        unit = self.of_width(1.0)
        is_all = self.counts == "total"
        inner = unit.params_non_embedding if is_all else unit.params_active_non_embedding
        # Blocks grow with the cube of the width, routers with its square, embeddings with itself.
        square = float(unit.params_router)
        cubic, linear = inner - square, unit.params_embedding if total else 0.0
        return self.of_width(
            _root_of_cubic(np.asarray(n_params, dtype=float), cubic, square, linear)
        )


def _root_of_cubic(value: Any, cubic: float, square: float, linear: float) -> Any:
    """Return the positive x with cubic x^3 + square x^2 + linear x = value, by Newton's method.

    The function is convex, so that from a point beyond the root every step falls towards it.
    """
    x = np.cbrt(value / cubic)
    for _ in range(200):
        step = (((cubic * x + square) * x + linear) * x - value) / (
            (3.0 * cubic * x + 2.0 * square) * x + linear
        )
        x = x - step
        if np.all(np.abs(step) <= 1e-15 * x):
            break
    return x
