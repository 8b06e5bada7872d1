"""Parameter and FLOP counts from the shape of a Transformer."""

from dataclasses import dataclass
from typing import Any, Literal, override

import numpy as np

from bayescale.costs.base import Cost

type Attention = Literal["causal", "full", "none"]

_SCORES: dict[str, float] = {"causal": 2.0, "full": 4.0, "none": 0.0}
"""Forward FLOP per token, layer, context position and unit of width: two each for scores and
weighted sum, and half of that with causal masking (Kaplan et al. 2020)."""

_WITH_BACKWARD = 3.0
"""Cost of forward and backward pass relative to the forward pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A decoder Transformer's shape. Dimensions may be arrays.

    Attributes
    ----------
    n_layer, d_model
        Depth and width.
    vocab_size, n_ctx
        Vocabulary size and context length.
    d_ff
        Width of the feed-forward block; 4 d_model unless given.
    d_attn, d_kv
        Number of heads times their width, for queries and for keys; d_model unless given.
    gated
        Whether the feed-forward block has three matrices rather than two.
    tied
        Whether the output head shares the input embedding.
    learned_positions
        Whether there are learned position embeddings.

    Examples
    --------
    >>> from bayescale.costs import Shape
    >>> gpt3 = Shape(n_layer=96, d_model=12288, vocab_size=50257, n_ctx=2048)
    >>> f"{gpt3.params_non_embedding:.4g} {gpt3.params_total:.4g}"
    '1.739e+11 1.746e+11'
    """

    n_layer: Any
    d_model: Any
    vocab_size: int
    n_ctx: int
    d_ff: Any = None
    d_attn: Any = None
    d_kv: Any = None
    gated: bool = False
    tied: bool = True
    learned_positions: bool = False

    @property
    def params_non_embedding(self) -> Any:
        """Parameters of attention and feed-forward blocks: Kaplan's N, 12 n_layer d_model^2."""
        return self.n_layer * (self._attention_params() + self._block_params(self._width_of_block))

    @property
    def _width_of_block(self) -> Any:
        return self.d_ff if self.d_ff is not None else 4 * self.d_model

    def _block_params(self, width: Any) -> Any:
        """Return the parameters of a feed-forward block of a width."""
        return (3 if self.gated else 2) * self.d_model * width

    def _attention_params(self) -> Any:
        """Return the parameters of the attention of one layer."""
        q = self.d_attn if self.d_attn is not None else self.d_model
        kv = self.d_kv if self.d_kv is not None else q
        return self.d_model * (2 * q + 2 * kv)

    def _forward_products(self) -> Any:
        """Return the forward FLOP per token of products with parameters, without embeddings."""
        return 2 * self.params_non_embedding

    @property
    def params_embedding(self) -> Any:
        """Parameters of the embeddings, and of the output head if untied."""
        rows = self.vocab_size * (1 if self.tied else 2)
        return (rows + (self.n_ctx if self.learned_positions else 0)) * self.d_model

    @property
    def params_total(self) -> Any:
        """All parameters except biases and norms."""
        return self.params_non_embedding + self.params_embedding

    def flop_per_token(
        self,
        *,
        attention: Attention = "causal",
        head: bool = True,
        embedding: bool = False,
        backward: bool = True,
    ) -> Any:
        """Return the FLOP per token.

        Parameters
        ----------
        attention
            How attention scores are counted: ``"causal"``, 6 n_layer n_ctx d for training, as in
            Kaplan et al. 2020; ``"full"``, twice that, as in PaLM and DeepSeek; or ``"none"``.
        head
            Whether the output head is counted.
        embedding
            Whether the input embedding is counted, as a matrix product (Hoffmann et al. 2022).
        backward
            Whether the backward pass, twice the forward one, is counted.
        """
        d_attn = self.d_attn if self.d_attn is not None else self.d_model
        forward = self._forward_products()
        forward = forward + _SCORES[attention] * self.n_layer * self.n_ctx * d_attn
        forward = forward + 2 * self.vocab_size * self.d_model * (int(head) + int(embedding))
        return (_WITH_BACKWARD if backward else 1.0) * forward


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Parameter counts with and without embeddings: N_T = N + w N^(1/3).

    Attributes
    ----------
    w
        Coefficient of the embeddings, which are proportional to width, while N is proportional
        to its cube at a fixed ratio of width to depth.

    Examples
    --------
    >>> from bayescale.costs import pearce2024
    >>> f"{pearce2024.total(1e8):.4g}, {pearce2024.non_embedding(1.220434e8):.4g}"
    '1.22e+08, 1e+08'
    """

    w: float

    def total(self, non_embedding: Any) -> Any:
        """Return the count with embeddings from the count without."""
        return non_embedding + self.w * np.cbrt(non_embedding)

    def non_embedding(self, total: Any) -> Any:
        """Return the count without embeddings from the count with them, the root of a cubic."""
        total = np.asarray(total, dtype=float)
        slope = np.sqrt(self.w / 3.0)
        # In a form without cancellation, accurate also for sizes dominated by embeddings.
        root = 2.0 * slope * np.sinh(np.arcsinh(total / (2.0 * slope**3)) / 3.0)
        return root**3

    def local_exponent(self, non_embedding: Any, *, alpha: Any, beta: Any) -> Any:
        """Return d ln N / d ln C as measured with counts without embeddings.

        Assumes Chinchilla's law with these exponents in total counts. The limits are
        beta / (beta + alpha / 3) for small models and beta / (alpha + beta) for large ones, which
        explains most of the difference between Kaplan's and Hoffmann's exponents (Pearce and Song
        2024, arXiv:2406.12907).
        """
        n, e = non_embedding, self.w * np.cbrt(non_embedding)
        rise = (1.0 + alpha) * (n + e / 3.0) / (n + e) - (n + e / 9.0) / (n + e / 3.0)
        return 1.0 / (1.0 + rise / beta)


pearce2024 = Embeddings(47491.0)
"""Fit to the shapes of Chinchilla's models (Pearce and Song 2024, arXiv:2406.12907)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeFamily:
    """Shapes with a fixed ratio of width to depth, one for each size.

    Attributes
    ----------
    aspect
        d_model / n_layer.
    vocab_size, n_ctx, gated, tied, learned_positions
        As of `Shape`.
    ff_ratio, kv_ratio
        d_ff / d_model and d_kv / d_model.
    """

    aspect: float
    vocab_size: int
    n_ctx: int
    ff_ratio: float = 4.0
    kv_ratio: float = 1.0
    gated: bool = False
    tied: bool = True
    learned_positions: bool = False

    def of_width(self, d_model: Any) -> Shape:
        """Return the shape of a width; its depth need not be an integer."""
        return Shape(
            n_layer=d_model / self.aspect,
            d_model=d_model,
            vocab_size=self.vocab_size,
            n_ctx=self.n_ctx,
            d_ff=self.ff_ratio * d_model,
            d_kv=self.kv_ratio * d_model,
            gated=self.gated,
            tied=self.tied,
            learned_positions=self.learned_positions,
        )

    def of_size(self, n_params: Any, *, total: bool = True) -> Shape:
        """Return the shape of a number of parameters, with embeddings or without."""
        inner = self.embeddings.non_embedding(n_params) if total else n_params
        return self.of_width(np.cbrt(inner / self.of_width(1.0).params_non_embedding))

    @property
    def embeddings(self) -> Embeddings:
        """The conversion between counts with and without embeddings."""
        unit = self.of_width(1.0)
        return Embeddings(float(unit.params_embedding / np.cbrt(unit.params_non_embedding)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapedCost(Cost):
    """Training compute counted from shapes, including attention, embeddings and head.

    Attributes
    ----------
    family
        The shape of each size.
    total
        Whether the law's N counts embeddings.
    attention, head, embedding
        What is counted: see `Shape.flop_per_token`.
    backward
        Whether the backward pass is counted; without it, the cost is that of serving.

    Examples
    --------
    >>> from bayescale.costs import ShapedCost, ShapeFamily, six_nd
    >>> cost = ShapedCost(family=ShapeFamily(aspect=128, vocab_size=50257, n_ctx=2048))
    >>> [f"{cost(n, 1e9) / six_nd(n, 1e9):.2f}" for n in (1e8, 1e10)]
    ['1.12', '1.04']
    """

    family: ShapeFamily
    total: bool = True
    attention: Attention = "causal"
    head: bool = True
    embedding: bool = False
    backward: bool = True

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name in tables and reports."""
        what = "FLOP of shapes" if self.backward else "forward FLOP of shapes"
        return f"{what}, {self.attention} attention{', head' if self.head else ''}"

    def flop_per_token(self, n_params: Any) -> Any:
        """Return the FLOP per token at a size."""
        return self.family.of_size(n_params, total=self.total).flop_per_token(
            attention=self.attention,
            head=self.head,
            embedding=self.embedding,
            backward=self.backward,
        )

    @override
    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        return self.flop_per_token(n_params) * n_tokens

    @override
    def tokens_for(self, budget: Any, n_params: Any) -> Any:
        return budget / self.flop_per_token(n_params)
