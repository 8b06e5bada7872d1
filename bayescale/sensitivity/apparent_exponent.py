"""The exponent of N_opt that a study measures, given its counting convention and range of sizes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.allocation.requirements import requirements
from bayescale.costs import ShapeFamily
from bayescale.costs.counting import Counting, chinchilla_shapes, counting_of
from bayescale.errors import as_list, expect_mapping
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_share

_SIZES = 41


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The range of sizes of a study, and its counting convention.

    Attributes
    ----------
    sizes
        The smallest and the largest N, under the convention of the study.
    counting
        Name of the convention.
    source
        Source of the range.
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
    """Return the exponent of N_opt that studies would measure if a law is true.

    Under another counting convention than that of the law, a study measures a biased exponent at
    sizes where the difference matters; this explains most of the difference between Chinchilla's
    0.5 and Kaplan's 0.73.

    Parameters
    ----------
    source
        A fit, an average of laws, or published constants.
    given
        Counting convention of N in the law.
    countings
        Counting conventions of the studies.
    ranges
        Ranges of sizes of the studies, by name.
    shapes
        The shape of a model of each size.
    fixed
        Values of the law's inputs other than size and tokens, as in `allocate`.
    prob
        Probability inside the intervals.
    draws
        Largest number of posterior draws, evenly spaced.

    Returns
    -------
    DataFrame
        Indexed by ``counting`` and ``sizes_of``: ``median``, ``lower`` and ``upper`` of the slope
        of ln N_opt on ln C, by least squares over budgets evenly spaced in ln C between those for
        which the smallest and the largest size are optimal.

    Raises
    ------
    UnknownNameError
        If there is no convention of that name.
    UnsuitableLawError
        If the law is not a function of size and tokens.

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
    example = "{'ours': Study(sizes=(1e8, 1e10), counting='total', source='our sweep')}"
    studies = expect_mapping(ranges, "ranges", example)
    thinned = as_posterior(source).thin(draws)
    rows = {}
    for convention in map(counting_of, as_list(countings)):
        for name, study in studies.items():
            ends = counting_of(study.counting).shape(np.array(study.sizes), shapes)
            low, high = map(float, law.size(ends))
            sizes = np.geomspace(low, high, _SIZES)
            cost = convention.cost(shapes, law)
            found = requirements(thinned, n_params=sizes, cost=cost, fixed=fixed).draws
            log_c = np.log(found["budget"].to_numpy()).reshape(-1, _SIZES)
            log_n = np.log(np.asarray(convention.size(law.shape(sizes, shapes)), dtype=float))
            slope = np.nanquantile(_slopes(log_c, log_n), tails)
            rows[convention.name, name] = dict(
                zip(("lower", "median", "upper"), slope, strict=True)
            )
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(rows, names=["counting", "sizes_of"])
    table.columns.name = f"{format_share(prob)} interval"
    return table[["median", "lower", "upper"]]


def _slopes(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return slopes of y on x by least squares, with points weighted by their spacing in x."""
    weight = np.gradient(x, axis=1)
    weight = weight / weight.sum(axis=1, keepdims=True)
    x = x - (weight * x).sum(axis=1, keepdims=True)
    slopes: NDArray[np.float64] = (weight * x * y).sum(axis=1) / (weight * x * x).sum(axis=1)
    return slopes
