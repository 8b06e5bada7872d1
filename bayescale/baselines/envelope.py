"""Approach 1 of Hoffmann et al. 2022: the frontier as the envelope of training curves.

It is for comparison and for reproducing published results. A law fitted to all runs uses every
run, predicts the loss off the frontier, and has no selection bias towards runs with low noise.
"""

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.baselines.frontier import Frontier, table_of
from bayescale.costs import ProductCost, six_nd
from bayescale.data.load import RunsSource, as_runs
from bayescale.errors import RunsError, listed, quoted


def envelope(
    runs: RunsSource,
    *,
    curve: str = "run",
    budgets: int = 30,
    prob: float = 0.9,
    resamples: int = 500,
    seed: int = 0,
    cost: ProductCost = six_nd,
) -> Frontier:
    """Find the run of least loss at each compute on training curves, and fit a power law.

    Hoffmann's approach 1. Losses are interpolated along each curve in ln C.

    Parameters
    ----------
    runs
        Training curves: several rows of increasing compute for each of several sizes.
    curve
        The column that identifies curves.
    budgets
        Number of budgets, evenly spaced in ln C where at least two curves overlap.
    prob
        Probability inside the intervals.
    resamples, seed
        Number of bootstrap resamples of curves, and their seed.
    cost
        The rule of compute.

    Returns
    -------
    Frontier

    Raises
    ------
    RunsError
        If there are fewer than two sizes with overlapping curves.

    Notes
    -----
    The minimum over noisy curves is biased below the frontier, and curves with a decaying learning
    rate are above it until their end; the bootstrap intervals reflect neither bias.

    Source: Hoffmann et al. 2022, arXiv:2203.15556, section 3.1.
    """
    runs = as_runs(runs)
    if curve not in runs.table:
        raise RunsError(
            f"{runs.name}: found no column {quoted(curve)}, expected one that identifies the curve "
            f"of each checkpoint; the columns are {listed(runs.table.columns)}. Name it (curve=)."
        )
    labels = runs.table[curve].astype(str).to_numpy()
    log_c, log_n, loss = np.log(runs.compute), np.log(runs.n_params), runs.loss
    curves = [
        np.flatnonzero(labels == label)[np.argsort(log_c[labels == label], kind="stable")]
        for label in dict.fromkeys(labels)
    ]
    curves = [rows for rows in curves if len(rows) > 1 and np.ptp(log_c[rows]) > 0]
    starts, ends = (sorted(log_c[rows[i]] for rows in curves) for i in (0, -1))
    if len(curves) < 2 or starts[1] >= ends[-2]:
        raise RunsError(
            f"{runs.name}: found {len(curves)} curves of more than one checkpoint that overlap "
            "in compute, expected at least 2. For a table with one row per run use "
            "isoflop_parabolas, or fit a law."
        )
    grid = np.linspace(starts[1], ends[-2], budgets)
    losses = np.stack(
        [np.interp(grid, log_c[rows], loss[rows], left=np.inf, right=np.inf) for rows in curves]
    )
    sizes = np.array([log_n[rows[0]] for rows in curves])
    rng = generator(seed, Stream.CURVES)
    samples = [np.arange(len(curves))]
    samples += [rng.integers(len(curves), size=len(curves)) for _ in range(resamples)]
    optima = np.full((len(samples), budgets), np.nan)
    for i, sample in enumerate(samples):
        optima[i] = _inner_best(losses[sample], sizes[sample])
    lines = pd.DataFrame(
        [_least_squares(grid, row) for row in optima], columns=["ln_k", "a"]
    ).dropna()
    best = losses.min(axis=0)
    with warnings.catch_warnings():
        # A budget outside all resamples has no interval, and is dropped below.
        warnings.simplefilter("ignore", RuntimeWarning)
        table = table_of(np.exp(optima), np.exp(grid), cost, prob)
    # The point estimate is from all curves, not the median of the resamples.
    table["n_opt"] = np.exp(optima[0])
    table["d_opt"] = np.exp(grid - optima[0]) / cost.flop_per_param_token
    table["loss_opt"] = best
    table["n_runs"] = np.isfinite(losses).sum(axis=0)
    table = table[np.isfinite(optima[0])]
    at_edge = budgets - len(table)
    selection_bias = (
        "The minimum over noisy curves is biased below the frontier; a law fitted to all runs has "
        "no such selection bias."
    )
    left_out: tuple[str, ...] = ()
    if at_edge:
        left_out = (
            f"{at_edge} of {budgets} budgets left out: the best size there is the smallest or the "
            "largest that was run, so the optimum may lie beyond.",
        )
    if len(table) < 2:
        raise RunsError(
            f"{runs.name}: found {len(table)} budgets at which the best size lies between others, "
            "expected at least 2. Add curves of smaller and larger sizes."
        )
    return Frontier(
        "Hoffmann's approach 1 (envelope of training curves)",
        table,
        lines.reset_index(drop=True),
        (selection_bias, *left_out),
        prob,
        cost,
        left_out,
    )


def _inner_best(losses: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ln N of the lowest curve at each budget; NaN for the smallest and the largest size."""
    finite = np.isfinite(losses)
    low = np.where(finite, sizes[:, None], np.inf).min(axis=0)
    high = np.where(finite, sizes[:, None], -np.inf).max(axis=0)
    best = sizes[np.argmin(losses, axis=0)]
    return np.where((low < best) & (best < high), best, np.nan)


def _least_squares(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    finite = np.isfinite(y)
    if finite.sum() < 2:
        return np.nan, np.nan
    intercept, slope = np.polynomial.polynomial.polyfit(x[finite], y[finite], 1)
    return float(intercept), float(slope)
