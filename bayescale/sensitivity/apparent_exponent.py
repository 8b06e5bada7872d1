"""How a study counts parameters and compute, translated, and the exponent it measures so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.allocation.requirements import requirements
from bayescale.costs import Shape, ShapedCost, ShapeFamily, pearce2024
from bayescale.costs.shapes import Attention
from bayescale.data.runs import Runs
from bayescale.errors import RunsError, unknown_name
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_share

BODY = "params_non_embedding"
"""Column of the parameters without embeddings that a recount adds to runs."""

_SIZES = 41


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """A convention: what is counted in N, and what in C.

    Attributes
    ----------
    name
        How tables call it.
    embeddings
        Whether N counts embeddings.
    head
        Whether C counts the output head.
    attention
        How C counts attention scores: see `bayescale.costs.Shape.flop_per_token`.
    embedding
        Whether C counts the input embedding, as a product of matrices.

    Examples
    --------
    >>> from bayescale.sensitivity.apparent_exponent import COUNTINGS, chinchilla_shapes
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
        """Return N of a shape, as it is counted here."""
        return shape.params_total if self.embeddings else shape.params_non_embedding

    def shape(self, n_params: Any, family: ShapeFamily) -> Shape:
        """Return the shape of a family that has a size, as it is counted here."""
        return family.of_size(n_params, total=self.embeddings)

    def flop_per_token(self, shape: Shape) -> Any:
        """Return the FLOP of training on one token, as they are counted here."""
        return shape.flop_per_token(
            attention=self.attention, head=self.head, embedding=self.embedding
        )

    def cost(self, family: ShapeFamily, sizes: "Counting | None" = None) -> ShapedCost:
        """Return C, as it is counted here, as a cost of sizes that may be counted otherwise."""
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
        # C = 6ND of all parameters where the embedding is tied; every linear layer and the head,
        # as in Porian et al. 2024, in any case.
        Counting(name="total", embeddings=True, head=True),
        Counting(name="total, attention", embeddings=True, head=True, attention="causal"),
        # Hoffmann et al. 2022, appendix F.
        Counting(name="everything", embeddings=True, head=True, attention="full", embedding=True),
    )
}
"""Conventions by name. Another is a `Counting` of one's own."""

_VOCABULARY = 32_000

chinchilla_shapes = ShapeFamily(
    # The ratio at which N_T = N + w N^(1/3), with N = 12 d^3 / aspect and embeddings V d.
    aspect=12.0 * (pearce2024.w / _VOCABULARY) ** 3,
    vocab_size=_VOCABULARY,
    n_ctx=2048,
)
"""Shapes of the rule that Pearce and Song 2024 (arXiv:2406.12907) fitted to Chinchilla's, with
its vocabulary of 32,000 and context of 2048."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Which sizes a study looked at, and how it counted.

    Attributes
    ----------
    sizes
        The smallest and the largest N, in the study's own counting.
    counting
        Name of the convention.
    source
        Where that is said.
    """

    sizes: tuple[float, float]
    counting: str
    source: str


STUDIES: Mapping[str, Study] = {
    "kaplan2020": Study(
        sizes=(768.0, 1.5e9),
        counting="non-embedding",
        source="Kaplan et al. 2020, arXiv:2001.08361, section 3",
    ),
    "hoffmann2022": Study(
        sizes=(70e6, 16e9), counting="total", source="Hoffmann et al. 2022, arXiv:2203.15556"
    ),
}


def recount(
    runs: Runs,
    to: str | Counting,
    *,
    given: str | Counting = "total",
    shapes: ShapeFamily | Shape = chinchilla_shapes,
) -> Runs:
    """Count the parameters and the compute of runs by another convention.

    Parameters
    ----------
    runs
        Runs with sizes and tokens.
    to, given
        The convention wanted and the one that the runs are in: a name in
        `bayescale.sensitivity.apparent_exponent.COUNTINGS`, or a `Counting`.
    shapes
        What the models look like: a family of shapes, of which each size has one (Chinchilla's
        unless given); or the shapes themselves, a `bayescale.costs.Shape` of arrays with a value
        a run, which need not guess.

    Returns
    -------
    Runs
        The same runs: ``n_params`` and ``compute`` (FLOP) as counted by `to`, and
        ``params_non_embedding``.

    Raises
    ------
    RunsError
        If shapes are not as many as runs, or are of other sizes than the runs say.
    UnknownNameError
        If there is no convention of that name.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> body = bs.recount(runs, "non-embedding")
    >>> bool((body.n_params < runs.n_params).all())
    True
    """
    wanted, known = counting_of(to), counting_of(given)
    if isinstance(shapes, Shape):
        _refuse_other_shapes(runs, shapes, known)
        shape = shapes
    else:
        shape = known.shape(runs.n_params, shapes)
    size, body = (
        np.asarray(x, dtype=float) for x in (wanted.size(shape), shape.params_non_embedding)
    )
    if wanted == known:
        # What is counted so already stays to the digit, and compute as it was measured.
        return replace(runs, _table=runs.table.assign(**{BODY: body}))
    compute = np.asarray(wanted.flop_per_token(shape) * runs.n_tokens)
    table = runs.table.assign(**{"n_params": size, "compute": compute, BODY: body})
    return replace(
        runs,
        _table=table,
        notes=(*runs.notes, f"N and C counted as {wanted.name}, from {known.name}"),
        derived={**runs.derived, "n_params": wanted.name, "compute": wanted.name},
    )


def apparent_exponents(
    source: Source,
    *,
    given: str | Counting = "total",
    countings: Sequence[str | Counting] = ("non-embedding", "total"),
    ranges: Mapping[str, Study] = STUDIES,
    shapes: ShapeFamily = chinchilla_shapes,
    fixed: Mapping[str, object] | None = None,
    prob: float = 0.9,
    draws: int = 400,
) -> pd.DataFrame:
    """Find the exponent of N_opt that studies would measure if a law is true.

    A study that counts otherwise than the law, over a range where what it leaves out matters,
    does not measure the law's exponent: most of the way from Chinchilla's 0.5 to Kaplan's 0.73
    is that.

    Parameters
    ----------
    source
        A fit, an average of laws, or published constants.
    given
        How the law counts N.
    countings
        How studies count N and C.
    ranges
        The sizes that studies look at, by name.
    shapes
        What a model of a size looks like.
    fixed
        Values of the law's inputs beside size and tokens, as in `allocate`.
    prob
        Probability inside the intervals.
    draws
        The most posterior draws to use, evenly spaced.

    Returns
    -------
    DataFrame
        Indexed by ``counting`` and ``sizes_of``: ``median``, ``lower`` and ``upper`` of the slope
        of ln N_opt on ln C, by least squares over budgets evenly spaced in ln C, from that for
        which the smallest size is optimal to that for which the largest is.

    Raises
    ------
    UnknownNameError
        If there is no convention of that name.
    UnsuitableLawError
        If the law is not one of size and tokens.

    Notes
    -----
    Pearce and Song 2024 (arXiv:2406.12907) simulate Kaplan's study under Chinchilla's law and
    find 0.78 (constants of Besiroglu et al. 2024) and 0.74 (of Hoffmann et al. 2022).

    Examples
    --------
    >>> import bayescale as bs
    >>> table = bs.apparent_exponents(bs.published("besiroglu2024"))
    >>> float(table.loc[("non-embedding", "kaplan2020"), "median"].round(2))
    0.79
    >>> float(table.loc[("total", "kaplan2020"), "median"].round(2))
    0.51
    """
    law, tails = counting_of(given), tail_quantiles(prob)
    thinned = as_posterior(source).thin(draws)
    rows = {}
    for convention in map(counting_of, countings):
        for name, study in ranges.items():
            ends = counting_of(study.counting).shape(np.array(study.sizes), shapes)
            low, high = map(float, law.size(ends))
            sizes = np.geomspace(low, high, _SIZES)
            cost = convention.cost(shapes, law)
            found = requirements(thinned, n_params=sizes, cost=cost, fixed=fixed).draws
            log_c = np.log(found["compute"].to_numpy()).reshape(-1, _SIZES)
            log_n = np.log(np.asarray(convention.size(law.shape(sizes, shapes)), dtype=float))
            slope = np.nanquantile(_slopes(log_c, log_n), tails)
            rows[convention.name, name] = dict(
                zip(("lower", "median", "upper"), slope, strict=True)
            )
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(rows, names=["counting", "sizes_of"])
    table.columns.name = f"{format_share(prob)} interval"
    return table[["median", "lower", "upper"]]


def counting_of(counting: str | Counting) -> Counting:
    """Return a convention by name, or as it is."""
    if isinstance(counting, Counting):
        return counting
    if counting not in COUNTINGS:
        raise unknown_name("counting", counting, COUNTINGS)
    return COUNTINGS[counting]


def _slopes(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return slopes of y on x by least squares, where each point stands for its stretch of x."""
    weight = np.gradient(x, axis=1)
    weight = weight / weight.sum(axis=1, keepdims=True)
    x = x - (weight * x).sum(axis=1, keepdims=True)
    slopes: NDArray[np.float64] = (weight * x * y).sum(axis=1) / (weight * x * x).sum(axis=1)
    return slopes


def _refuse_other_shapes(runs: Runs, shape: Shape, known: Counting) -> None:
    sizes = np.asarray(known.size(shape), dtype=float)
    if sizes.shape not in ((), (len(runs),)):
        raise RunsError(
            f"{runs.name}: found shapes of {sizes.size} models for {len(runs)} runs, expected one "
            "a run."
        )
    off = np.abs(np.log(sizes / runs.n_params))
    row = int(np.argmax(off))
    if off[row] > np.log(1.1):
        raise RunsError(
            f"{runs.name}, row {row}: found {runs.n_params[row]:.4g} parameters, but its shape has "
            f"{np.broadcast_to(sizes, len(runs))[row]:.4g}, counted as {known.name}. Say how the "
            "runs are counted (given=), or correct the shapes."
        )
