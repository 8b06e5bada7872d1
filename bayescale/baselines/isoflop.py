"""Approach 2 of Hoffmann et al. 2022: the frontier through the minima of isoFLOP parabolas.

It is for comparison and for reproducing published results. A law fitted to all runs uses every
run, and predicts the loss off the frontier.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.baselines.frontier import Frontier, table_of
from bayescale.baselines.lines import line_through
from bayescale.costs import ProductCost, six_nd
from bayescale.data.load import RunsSource, as_runs
from bayescale.data.runs import Runs
from bayescale.errors import NoMinimumError, RunsError, UnsuitableLawError, as_list
from bayescale.laws.constants import Constants
from bayescale.laws.published import published
from bayescale.units import Amount, format_compute, format_count, format_share, parse_amounts

SAME_BUDGET = 0.05
"""Runs whose ln C differ by less belong to one budget."""

_RUNS_PER_PARABOLA = 4
_DRAWS = 4000


def isoflop_parabolas(
    runs: RunsSource,
    *,
    budgets: Sequence[Amount] | None = None,
    width: float = np.inf,
    drop_edges: bool = False,
    surface: Constants | str = "besiroglu2024-log",
    prob: float = 0.9,
    seed: int = 0,
    cost: ProductCost = six_nd,
) -> Frontier:
    """Fit a parabola in ln N to the losses at each budget, and a power law to their minima.

    Hoffmann's approach 2 with posterior uncertainty: exact for each parabola under a flat prior,
    and propagated to the line through the minima.

    Parameters
    ----------
    runs
        Runs at a few budgets, with at least four sizes each.
    budgets
        The budgets; unless given, runs are grouped by compute within 5 %.
    width
        Use only sizes within this factor of the one of least loss, symmetrically about it, and at
        least four: the loss is close to a parabola only near its minimum, and asymmetric sizes
        bias the minimum. All sizes unless given.
    drop_edges
        Exclude budgets whose parabola has no minimum within the sizes run, with a caveat, instead
        of raising an error.
    surface
        Published constants of a two-term law, or their name, from which the ``bias`` of the
        parabolas is computed.
    prob
        Probability inside the intervals.
    seed
        Seed of the draws.
    cost
        The rule of compute.

    Returns
    -------
    Frontier

    Raises
    ------
    NoMinimumError
        If the losses at a budget are not convex, or have their minimum outside the sizes run; it
        names the budgets.
    RunsError
        If there are fewer than two budgets with four sizes each.
    UnsuitableLawError
        If the law of `surface` has no size or no data exponent.

    Notes
    -----
    On a two-term surface the loss along a budget is, up to a factor, beta exp(-alpha t) +
    alpha exp(beta t), with t = ln N / N_opt. Its third derivative biases the minimum of a
    parabola; on a symmetric grid with moments m2 and m4 by about (alpha - beta) m4 / (6 m2) at
    every budget, and more on an asymmetric grid. The bias returned is exact for the given sizes.
    It grows with the square of the width of the grid.

    Source: Hoffmann et al. 2022, arXiv:2203.15556, section 3.2.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> frontier = bs.isoflop_parabolas(runs, budgets=["6e18", "3e19", "1e20", "3e20", "1e21"])
    >>> bool(0.4 < frontier.exponents().loc["a", "median"] < 0.7)
    True
    """
    runs = as_runs(runs)
    constants = _two_term(surface)
    exponents = constants.parameters["alpha"], constants.parameters["beta"]
    rng = generator(seed, Stream.PARABOLAS)
    optima: dict[float, NDArray[np.float64]] = {}
    facts: dict[float, dict[str, float]] = {}
    caveats: list[str] = []
    failures: dict[float, str] = {}
    for budget, at_budget in _by_budget(runs, budgets).items():
        rows = _near_least(runs, at_budget, width)
        log_n, loss = np.log(runs.n_params[rows]), runs.loss[rows]
        vertex, least, share_without = _parabola(log_n, loss, rng)
        if why := _no_minimum(log_n, vertex, share_without):
            failures[budget] = f"{format_compute(budget)}: {why}"
            continue
        if share_without > 0:
            caveats.append(
                f"{format_compute(budget)}: {format_share(share_without, 4)} of the draws have no "
                "minimum; they are left out."
            )
        optima[budget] = vertex
        middle = float(np.nanmedian(vertex))
        facts[budget] = {
            "loss_opt": least,
            "n_runs": len(rows),
            "bias": parabola_bias(log_n, middle, *exponents),
        }
    if failures and not drop_edges:
        raise NoMinimumError(
            f"{runs.name}: found no minimum inside the sizes that were run at "
            f"{len(failures)} of {len(failures) + len(optima)} budgets "
            f"({'; '.join(failures.values())}). Add sizes there, name the other budgets "
            "(budgets=), or leave these out (drop_edges=True).",
            failures,
        )
    left_out = tuple(f"Left out: {why}." for why in failures.values())
    if len(optima) < 2:
        raise RunsError(
            f"{runs.name}: found {len(optima)} budgets with {_RUNS_PER_PARABOLA} or more sizes "
            "and a minimum, expected at least 2. Name the budgets, or add runs."
        )
    compute = np.array(list(optima))
    log_n_opt = np.stack(list(optima.values()), axis=1)
    with np.errstate(over="ignore"):
        # A nearly straight parabola has draws whose minimum overflows.
        table = table_of(np.exp(log_n_opt), compute, cost, prob)
    table = table.join(pd.DataFrame.from_dict(facts, orient="index"))
    return Frontier(
        "Hoffmann's approach 2 (isoFLOP parabolas)",
        table,
        line_through(np.log(compute), log_n_opt, rng),
        (_bias_sentence(table["bias"], constants), *left_out, *caveats),
        prob,
        cost,
        left_out,
    )


def parabola_bias(log_n: NDArray[np.float64], vertex: float, alpha: float, beta: float) -> float:
    """Return the bias of a parabola's minimum on a two-term surface, in ln N.

    Parameters
    ----------
    log_n
        ln N of the runs at one budget.
    vertex
        ln N of the minimum of the fitted parabola.
    alpha, beta
        Exponents of the surface.
    """
    bias = 0.0
    # Solve for the optimum for which a parabola through the exact surface has this vertex.
    for _ in range(100):
        t = log_n - (vertex - bias)
        exact = beta * np.exp(-alpha * t) + alpha * np.exp(beta * t)
        middle = t.mean()
        _, slope, curvature = np.polynomial.polynomial.polyfit(t - middle, exact, 2)
        found = middle - slope / (2.0 * curvature)
        if abs(found - bias) < 1e-12:
            break
        bias = float(found)
    return bias


def _two_term(surface: Constants | str) -> Constants:
    constants = published(surface) if isinstance(surface, str) else surface
    if not isinstance(constants, Constants) or not {"alpha", "beta"} <= set(constants.parameters):
        raise UnsuitableLawError(
            f"surface: found {getattr(constants, 'name', constants)!r}, expected constants of a "
            "law with the exponents alpha and beta, such as 'besiroglu2024-log'."
        )
    return constants


def _by_budget(runs: Runs, budgets: Sequence[Amount] | None) -> Mapping[float, NDArray[np.int_]]:
    """Return the rows of each budget with enough sizes for a parabola."""
    log_c = np.log(runs.compute)
    if budgets is None:
        order = np.argsort(log_c, kind="stable")
        breaks = np.flatnonzero(np.diff(log_c[order]) > SAME_BUDGET) + 1
        groups = np.split(order, breaks)
        found = {float(np.exp(log_c[rows].mean())): rows for rows in groups}
    else:
        amounts = parse_amounts(as_list(budgets), "compute", "budgets")
        found = {float(c): np.flatnonzero(np.abs(log_c - np.log(c)) < SAME_BUDGET) for c in amounts}
    sizes = {c: len(np.unique(runs.n_params[rows])) for c, rows in found.items()}
    return {c: np.sort(rows) for c, rows in found.items() if sizes[c] >= _RUNS_PER_PARABOLA}


def _no_minimum(
    log_n: NDArray[np.float64], vertex: NDArray[np.float64], share_without: float
) -> str:
    """Return the reason why a parabola has no minimum within the sizes run, empty if it has."""
    if share_without > 0.5:
        share = format_share(share_without, 3)
        return f"the losses do not curve upwards in {share} of the draws"
    middle = float(np.nanmedian(vertex))
    if log_n.min() < middle < log_n.max():
        return ""
    side, end = ("below", log_n.min()) if middle <= log_n.min() else ("above", log_n.max())
    return f"the minimum lies {side} the sizes, which end at {format_count(float(np.exp(end)))}"


def _near_least(runs: Runs, rows: NDArray[np.int_], width: float) -> NDArray[np.int_]:
    """Return the rows of sizes in a symmetric window around the one of least loss."""
    if not np.isfinite(width):
        return rows
    log_n = np.log(runs.n_params[rows])
    distance = log_n - log_n[np.argmin(runs.loss[rows])]
    nearest = np.unique(np.abs(distance))[_RUNS_PER_PARABOLA - 1]
    reach = min(float(np.log(width)), float(distance.max()), float(-distance.min()))
    near: NDArray[np.int_] = rows[np.abs(distance) <= max(reach, float(nearest)) + 1e-9]
    return near


def _parabola(
    log_n: NDArray[np.float64], loss: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], float, float]:
    """Return draws of the minimum in ln N, the loss there, and the share of draws without one."""
    middle = log_n.mean()
    design = np.vander(log_n - middle, 3, increasing=True)
    coefficients, _, _, _ = np.linalg.lstsq(design, loss, rcond=None)
    residual = loss - design @ coefficients
    dof = len(loss) - 3
    scale = float(residual @ residual) / dof
    # Under a flat prior the coefficients are exactly multivariate Student-t.
    root = np.linalg.cholesky(np.linalg.inv(design.T @ design))
    inflation = np.sqrt(scale * dof / rng.chisquare(dof, _DRAWS))
    drawn = coefficients + inflation[:, None] * (rng.standard_normal((_DRAWS, 3)) @ root.T)
    curvature = drawn[:, 2]
    curved = curvature > 0
    vertex = np.where(curved, -drawn[:, 1] / (2.0 * np.where(curved, curvature, 1.0)), np.nan)
    least = coefficients[0] - coefficients[1] ** 2 / (4.0 * coefficients[2])
    return vertex + middle, float(least), float(1.0 - curved.mean())


def _bias_sentence(bias: "pd.Series[float]", constants: Constants) -> str:
    parameters = constants.parameters
    low, high = np.expm1(bias.min()), np.expm1(bias.max())
    return (
        "A parabola only approximates the loss: under the exponents "
        f"{parameters['alpha']:.3g} and {parameters['beta']:.3g} of {constants.name}, and with "
        f"these sizes, its minimum differs from N_opt by {low:+.2%} to {high:+.2%}."
    )
