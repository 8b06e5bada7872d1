"""Counting conventions: the parameters included in N, and the operations in C."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bayescale.costs.shapes import Attention, Shape, ShapedCost, ShapeFamily, pearce2024
from bayescale.errors import unknown_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """A counting convention for parameters (N) and compute (C).

    Attributes
    ----------
    name
        Name in tables.
    embeddings
        Whether N counts embeddings.
    head
        Whether C counts the output head.
    attention
        How C counts attention scores: see `bayescale.costs.Shape.flop_per_token`.
    embedding
        Whether C counts the input embedding, as a matrix product.

    Examples
    --------
    >>> from bayescale.costs.counting import COUNTINGS, chinchilla_shapes
    >>> kaplan, total = COUNTINGS["non-embedding"], COUNTINGS["total"]
    >>> f"{kaplan.size(total.shape(1e8, chinchilla_shapes)):.3g}"
    '7.96e+07'
    """

    name: str
    embeddings: bool
    head: bool
    attention: Attention = "none"
    embedding: bool = False

    def size(self, shape: Shape) -> Any:
        """Return N of a shape under this convention."""
        return shape.params_total if self.embeddings else shape.params_non_embedding

    def shape(self, n_params: Any, family: ShapeFamily) -> Shape:
        """Return the shape of a family that has a size under this convention."""
        return family.of_size(n_params, total=self.embeddings)

    def flop_per_token(self, shape: Shape) -> Any:
        """Return the training FLOP per token under this convention."""
        return shape.flop_per_token(
            attention=self.attention, head=self.head, embedding=self.embedding
        )

    def cost(self, family: ShapeFamily, sizes: "Counting | None" = None) -> ShapedCost:
        """Return C under this convention, as a cost of sizes under the convention `sizes`."""
        return ShapedCost(
            family=family,
            total=(sizes or self).embeddings,
            attention=self.attention,
            head=self.head,
            embedding=self.embedding,
        )


COUNTINGS: Mapping[str, Counting] = {
    counting.name: counting
    for counting in (
        # Kaplan et al. 2020: N without embeddings, C = 6ND of that.
        Counting(name="non-embedding", embeddings=False, head=False),
        Counting(name="non-embedding, attention", embeddings=False, head=False, attention="causal"),
        # All linear layers and the head, as in Porian et al. 2024: 6ND of all parameters if the
        # embedding is tied.
        Counting(name="total", embeddings=True, head=True),
        Counting(name="total, attention", embeddings=True, head=True, attention="causal"),
        # Hoffmann et al. 2022, appendix F.
        Counting(name="everything", embeddings=True, head=True, attention="full", embedding=True),
    )
}
"""Conventions by name; define others as a `Counting`."""

_VOCABULARY = 32_000

chinchilla_shapes = ShapeFamily(
    # The aspect ratio at which N_T = N + w N^(1/3), with N = 12 d^3 / aspect and embeddings V d.
    aspect=12.0 * (pearce2024.w / _VOCABULARY) ** 3,
    vocab_size=_VOCABULARY,
    n_ctx=2048,
)
"""Shapes by the rule that Pearce and Song 2024 (arXiv:2406.12907) fitted to Chinchilla's models,
with their vocabulary of 32,000 and context of 2048."""


def counting_of(counting: str | Counting) -> Counting:
    """Return a convention by name; a `Counting` is returned unchanged."""
    if isinstance(counting, Counting):
        return counting
    if counting not in COUNTINGS:
        raise unknown_name("counting", counting, COUNTINGS)
    return COUNTINGS[counting]
