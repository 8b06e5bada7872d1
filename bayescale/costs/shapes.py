"""Exact counts from the shape of a Transformer: parameters with and without embeddings, FLOP."""

from dataclasses import dataclass
from typing import Any, Literal, override

import numpy as np

from bayescale.costs.base import Cost

type Attention = Literal["causal", "full", "none"]

_SCORES: dict[str, float] = {"causal": 2.0, "full": 4.0, "none": 0.0}
"""Forward FLOP per token, layer, position of the context and unit of width: scores and weighted
sum, two each; half of them where a token sees only those before it (Kaplan et al. 2020)."""

_BACKWARD_TOO = 3.0
"""The backward pass costs twice the forward one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A decoder Transformer's shape. Dimensions may be arrays.

    Attributes
    ----------
    n_layer, d_model
        Depth and width.
    vocab_size, n_ctx
        Tokens in the vocabulary and positions in the context.
    d_ff
        Width inside the feed-forward block; 4 d_model unless given.
    d_attn, d_kv
        Heads times their width, of queries and of keys; d_model unless given.
    gated
        Whether the feed-forward block has three matrices rather than two.
    tied
        Whether the output head is the input embedding again.
    learned_positions
        Whether positions have embeddings.

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
        d, ff = self.d_model, self.d_ff if self.d_ff is not None else 4 * self.d_model
        q = self.d_attn if self.d_attn is not None else d
        kv = self.d_kv if self.d_kv is not None else q
        return self.n_layer * d * (2 * q + 2 * kv + (3 if self.gated else 2) * ff)

    @property
    def params_embedding(self) -> Any:
        """Parameters of the embeddings, and of the output head where it is not tied."""
        rows = self.vocab_size * (1 if self.tied else 2)
        return (rows + (self.n_ctx if self.learned_positions else 0)) * self.d_model

    @property
    def params_total(self) -> Any:
        """All parameters but those of biases and norms."""
        return self.params_non_embedding + self.params_embedding

    def flop_per_token(
        self,
        *,
        attention: Attention = "causal",
        head: bool = True,
        embedding: bool = False,
        backward: bool = True,
    ) -> Any:
        """Return the FLOP of one token.

        Parameters
        ----------
        attention
            How attention scores are counted: ``"causal"``, 6 n_layer n_ctx d for training, as in
            Kaplan et al. 2020; ``"full"``, twice that, as in PaLM and DeepSeek; or ``"none"``.
        head
            Whether the output head is counted.
        embedding
            Whether the input embedding is, as a product of matrices, as in Hoffmann et al. 2022.
        backward
            Whether the backward pass, twice the forward one, is.
        """
        d_attn = self.d_attn if self.d_attn is not None else self.d_model
        forward = 2 * self.params_non_embedding
        forward = forward + _SCORES[attention] * self.n_layer * self.n_ctx * d_attn
        forward = forward + 2 * self.vocab_size * self.d_model * (int(head) + int(embedding))
        return (_BACKWARD_TOO if backward else 1.0) * forward


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Counts of parameters with and without embeddings: N_T = N + w N^(1/3).

    Attributes
    ----------
    w
        Embeddings are proportional to width, and N to its cube where width and depth keep their
        ratio; w is what ties them.

    Examples
    --------
    >>> from bayescale.costs import pearce2024
    >>> f"{pearce2024.total(1e8):.4g}, {pearce2024.non_embedding(1.220434e8):.4g}"
    '1.22e+08, 1e+08'
    """

    w: float

    def total(self, non_embedding: Any) -> Any:
        """Return the count with embeddings from that without."""
        return non_embedding + self.w * np.cbrt(non_embedding)

    def non_embedding(self, total: Any) -> Any:
        """Return the count without embeddings from that with: the real root of a cubic."""
        total = np.asarray(total, dtype=float)
        slope = np.sqrt(self.w / 3.0)
        # In the form that does not cancel, for sizes that are mostly embeddings too.
        root = 2.0 * slope * np.sinh(np.arcsinh(total / (2.0 * slope**3)) / 3.0)
        return root**3

    def local_exponent(self, non_embedding: Any, *, alpha: Any, beta: Any) -> Any:
        """Return d ln N / d ln C that a study in counts without embeddings would find.

        Where Chinchilla's law with these exponents holds in total counts. For small models it is
        beta / (beta + alpha / 3), for large ones beta / (alpha + beta): most of the distance
        between Kaplan's exponent and Hoffmann's (Pearce and Song 2024, arXiv:2406.12907).
        """
        n, cube = non_embedding, self.w * np.cbrt(non_embedding)
        rise = (1.0 + alpha) * (n + cube / 3.0) / (n + cube) - (n + cube / 9.0) / (n + cube / 3.0)
        return 1.0 / (1.0 + rise / beta)


pearce2024 = Embeddings(47491.0)
"""As fitted to Chinchilla's shapes (Pearce and Song 2024, arXiv:2406.12907)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeFamily:
    """Shapes of one ratio of width to depth, which makes a shape of a size.

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
        """Return the shape of a width; its depth need not be whole."""
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
        """The translation between counts with embeddings and without."""
        unit = self.of_width(1.0)
        return Embeddings(float(unit.params_embedding / np.cbrt(unit.params_non_embedding)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapedCost(Cost):
    """Training compute counted from shapes, attention, embeddings and head included.

    Attributes
    ----------
    family
        Gives each size a shape.
    total
        Whether the law's N counts embeddings.
    attention, head, embedding
        What is counted, and how: see `Shape.flop_per_token`.
    backward
        Whether the backward pass is; without it, it is the compute of serving.

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
        """How tables and reports call it."""
        what = "FLOP of shapes" if self.backward else "forward FLOP of shapes"
        return f"{what}, {self.attention} attention{', head' if self.head else ''}"

    def flop_per_token(self, n_params: Any) -> Any:
        """Return the FLOP of one token at a size."""
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
