"""R-hat and effective sample sizes, vectorised over quantities, on NumPy arrays.

The measures are those of Vehtari et al. 2021, doi:10.1214/20-BA1221, and agree with ArviZ, which
computes them one quantity at a time: a fit with families has hundreds of quantities. ArviZ also
takes longer to import than commands on a saved fit take to run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]

_AT_ONCE = 2_000_000
"""Number of draws processed at a time, which bounds memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Convergence:
    """Convergence measures, with one value per quantity.

    Attributes
    ----------
    r_hat
        Maximum of the rank-normalised split R-hat of the draws and of the folded draws.
    ess_bulk, ess_tail
        Effective sample sizes of the rank-normalised draws, and of the tail indicators.
    ess_within
        Minimum of the two without the between-chain variance. Disagreement of chains lowers
        their effective sample size, which must not raise the R-hat that is tolerated.
    """

    r_hat: Array
    ess_bulk: Array
    ess_tail: Array
    ess_within: Array


def measure(draws: Array, tails: Sequence[float]) -> Convergence:
    """Return the measures of each quantity: NaN if a draw is NaN; R-hat also if it is constant.

    Parameters
    ----------
    draws
        Array of shape (quantity, chain, draw).
    tails
        Probabilities of the quantiles whose effective sample size is the tail one.
    """
    size = draws.shape[1] * draws.shape[2]
    parts = np.array_split(np.arange(len(draws)), 1 + len(draws) * size // _AT_ONCE)
    found = [_measure(draws[part], tails) for part in parts]
    return Convergence(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _measure(draws: Array, tails: Sequence[float]) -> tuple[Array, ...]:
    halves = _halves(draws)
    ranked = _normal_scores(halves)
    folded = np.abs(halves - np.median(halves, axis=(1, 2), keepdims=True))
    r_hat = np.maximum(_r_hat(ranked), _r_hat(_normal_scores(folded)))
    ends = np.quantile(draws, tails, axis=(1, 2))
    below = [_halves((draws <= end[:, None, None]).astype(np.float64)) for end in ends]
    (bulk, inside), *tailed = (_ess(x) for x in (ranked, *below))
    tail, within = np.min(tailed, axis=0)
    missing = np.isnan(draws).any(axis=(1, 2))
    found = r_hat, bulk, tail, np.minimum(inside, within)
    return tuple(np.where(missing, np.nan, x) for x in found)


def _halves(draws: Array) -> Array:
    """Split each chain in halves, to detect nonstationarity within chains."""
    half = draws.shape[-1] // 2
    return np.concatenate([draws[..., :half], draws[..., -half:]], axis=1)


def _normal_scores(draws: Array) -> Array:
    """Return rank-normalised draws of each quantity (Blom 1958)."""
    from scipy.special import ndtri

    flat = draws.reshape(len(draws), -1)
    scores: Array = ndtri((_ranks(flat) - 0.375) / (flat.shape[-1] + 0.25)).reshape(draws.shape)
    return scores


def _ranks(draws: Array) -> Array:
    """Return the ranks within each row, from one; ties share their mean rank."""
    # As `scipy.stats.rankdata`, which takes long to import, and a third of the time.
    order = np.argsort(draws, axis=1)
    ordered = np.take_along_axis(draws, order, axis=1)
    count = draws.shape[1]
    places = np.tile(np.arange(1.0, count + 1.0), (len(draws), 1))
    tied = ordered[:, 1:] == ordered[:, :-1]
    for row in np.flatnonzero(tied.any(axis=1)):
        starts = np.flatnonzero(np.append(True, ~tied[row]))
        sizes = np.diff(np.append(starts, count))
        places[row] = np.repeat(starts + 0.5 * (sizes + 1.0), sizes)
    ranks = np.empty(draws.shape)
    np.put_along_axis(ranks, order, places, axis=1)
    return ranks


def ess_of_mean(draws: Array) -> Array:
    """Return the effective sample size of the mean of each quantity.

    Parameters
    ----------
    draws
        Array of shape (quantity, chain, draw).
    """
    return _ess(_halves(draws))[0]


def bfmi(energy: Array) -> Array:
    """Return the Bayesian fraction of missing information of each chain (Betancourt 2016).

    Parameters
    ----------
    energy
        Array of shape (chain, draw).
    """
    steps: Array = np.square(np.diff(energy)).mean(axis=-1)
    return steps / energy.var(axis=-1, ddof=1)


def _r_hat(draws: Array) -> Array:
    count = draws.shape[-1]
    between = count * draws.mean(axis=-1).var(axis=-1, ddof=1)
    within = draws.var(axis=-1, ddof=1).mean(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Array = np.sqrt((between / within + count - 1.0) / count)
    return ratio


def _ess(draws: Array) -> tuple[Array, Array]:
    """Return the effective sample size of the mean, with and without between-chain variance."""
    chains, count = draws.shape[1:]
    covariance = _autocovariance(draws).mean(axis=1)
    means = draws.mean(axis=-1).var(axis=-1, ddof=1)[:, None] if chains > 1 else 0.0
    still = np.ptp(draws.reshape(len(draws), -1), axis=1) < np.finfo(float).resolution
    total = float(chains * count)
    times = (_autocorrelation_time(covariance, apart) for apart in (means, 0.0))
    least = 1.0 / np.log10(total)
    all_, within = (np.where(still, total, total / np.maximum(time, least)) for time in times)
    return all_, within


def _autocorrelation_time(covariance: Array, means: Array | float) -> Array:
    """Return the integrated autocorrelation time, by Geyer's initial monotone sequence.

    Parameters
    ----------
    covariance
        Autocovariances by lag, averaged over chains.
    means
        Variance of the chain means.
    """
    count = covariance.shape[-1]
    within = covariance[:, :1] * count / (count - 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = 1.0 - (within - covariance) / (covariance[:, :1] + means)
    rho[:, 0] = 1.0
    # Pairs of lags up to the first with a non-positive sum, or up to the last pair.
    last = max((count - 3 + count % 2) // 2, 0)
    even, odd = rho[:, : 2 * last + 2 : 2], rho[:, 1 : 2 * last + 2 : 2]
    sums = even + odd
    ended = sums <= 0.0
    stopped = ended.any(axis=1)
    stop = np.where(stopped, ended.argmax(axis=1), last)[:, None]
    kept = np.arange(last + 1) < stop
    monotone = np.minimum.accumulate(sums, axis=1)
    beyond = np.take_along_axis(even, stop, axis=1)[:, 0]
    beyond = np.where(stopped, np.maximum(beyond, 0.0), beyond)
    time: Array = -1.0 + 2.0 * np.where(kept, monotone, 0.0).sum(axis=1) + beyond
    return time


def _autocovariance(draws: Array) -> Array:
    from scipy import fft

    count = draws.shape[-1]
    room = fft.next_fast_len(2 * count, real=True)
    spectrum = fft.rfft(draws - draws.mean(axis=-1, keepdims=True), n=room, axis=-1)
    power = spectrum.real**2 + spectrum.imag**2
    covariance: Array = fft.irfft(power, n=room, axis=-1)[..., :count] / count
    return covariance
