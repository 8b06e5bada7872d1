"""Preposterior analysis: the expected information of runs, from simulated outcomes.

The draws of a posterior give the joint distribution of a quantity of interest and the outcomes of
runs. The residual variance of its best linear predictor from the outcomes is an upper bound on the
expected posterior variance after the runs. Redundant runs do not reduce it further, so the chosen
batches are diverse.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale._seeds import Stream, seed_of
from bayescale.costs.budget import Array
from bayescale.posterior.convergence import ess_of_mean
from bayescale.posterior.predict import simulate_runs
from bayescale.posterior.protocol import Posterior

_REPEATS = 16
"""Simulated outcomes per run and draw for estimating covariances."""

_CLIP = 2.5
"""Number of robust scales at which simulated noise is clipped, since outliers have bounded
influence under a heavy-tailed likelihood."""

_PASSES = 4

_TAIL = 0.01
"""Tail probability at which the quantity is winsorised: least squares would otherwise be dominated
by a few extreme draws, while regret is bounded."""

JUDGED = 8
"""Simulated outcomes per evaluation draw."""

APART = 10_000
"""Offset of the random streams for evaluation from those for the choice of the rule."""

SHRINKAGES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
"""Candidate shrinkage factors of a rule, chosen on the same draws as the runs."""


class Simulated(Protocol):
    """Outcomes of runs that can be simulated, one for each draw and run."""

    @property
    def mean(self) -> xr.DataArray:
        """Draws of the mean response, with dims chain, draw, run."""

    def simulate(self, repeat: int) -> Array:
        """Return one simulated ln response of each draw and run."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Simulated outcomes of runs, for each draw.

    Attributes
    ----------
    source
        The posterior.
    columns
        Columns of the runs, as arrays of equal length.
    mean
        Draws of the mean response, with dims chain, draw, run.
    seed
        Seed of the simulated noise.
    """

    source: Posterior
    columns: Mapping[str, Array]
    mean: xr.DataArray
    seed: int

    @classmethod
    def of(cls, source: Posterior, pool: pd.DataFrame, seed: int) -> "Outcomes":
        """Return outcomes of candidate runs (`candidates.pool_of`)."""
        columns = {
            str(name): np.asarray(pool[name], dtype=float) for name in pool if name != "compute"
        }
        inputs = {
            name: xr.DataArray(np.log(columns[column]), dims="run")
            for name, column in source.columns.items()
        }
        mean = source.curve.response(inputs).transpose("chain", "draw", "run")
        return cls(source, columns, mean, seed)

    def simulate(self, repeat: int) -> Array:
        """Return one simulated ln response of each draw and run, with outliers clipped."""
        drawn = simulate_runs(
            self.source, self.mean, self.columns, seed=seed_of(self.seed, Stream.OUTCOMES, repeat)
        )
        log_mean = np.log(self.mean.to_numpy())
        with np.errstate(divide="ignore"):  # the tails of the noise, clipped below
            scatter = np.log(drawn.transpose(*self.mean.dims).to_numpy()) - log_mean
        scatter = scatter.reshape(-1, scatter.shape[-1])
        scale = 1.4826 * np.median(np.abs(scatter), axis=0)
        drawn_in = np.clip(scatter, -_CLIP * scale, _CLIP * scale)
        return np.asarray(log_mean.reshape(scatter.shape) + drawn_in)


@dataclass(frozen=True, eq=False)
class Learning:
    """Covariances of outcomes and a quantity of interest, over a subset of the draws.

    Attributes
    ----------
    target
        The quantity, with one value per draw.
    covariance, with_target
        Covariance matrix of the outcomes, including noise, and their covariances with the
        quantity.
    means
        Means of the outcomes.
    """

    target: Array
    covariance: Array
    with_target: Array
    means: Array

    @classmethod
    def of(cls, outcomes: Simulated, target: Array, draws: NDArray[np.intp]) -> "Learning":
        """Estimate covariances from simulated outcomes of the given draws."""
        values = np.clip(target[draws], *np.quantile(target[draws], [_TAIL, 1.0 - _TAIL]))
        centred = values - values.mean()
        count = outcomes.mean.sizes["run"]
        covariance, with_target = np.zeros((count, count)), np.zeros(count)
        means = np.zeros(count)
        for repeat in range(_REPEATS):
            shown = outcomes.simulate(repeat)[draws]
            middle = shown.mean(axis=0)
            deviation = shown - middle
            covariance += deviation.T @ deviation / (len(draws) - 1) / _REPEATS
            with_target += deviation.T @ centred / (len(draws) - 1) / _REPEATS
            means += middle / _REPEATS
        return cls(values, covariance, with_target, means)

    @property
    def variance(self) -> float:
        """Current variance of the quantity."""
        return float(np.var(self.target, ddof=1))

    def explained(self, batch: list[int]) -> float:
        """Return the expected reduction of the variance by a batch of runs."""
        if not batch:
            return 0.0
        return float(self.with_target[batch] @ self.weights(batch))

    def ranked(self, pool: pd.DataFrame, batch: list[int]) -> pd.DataFrame:
        """Return the runs of a batch, with the share of the variance ``after`` each of them."""
        left = [1.0 - self.explained(batch[: i + 1]) / self.variance for i in range(len(batch))]
        return pool.iloc[batch].reset_index(drop=True).assign(after=left)

    def weights(self, batch: list[int]) -> Array:
        """Return the coefficients of the best linear predictor."""
        inner = self.covariance[np.ix_(batch, batch)]
        return np.asarray(np.linalg.solve(inner, self.with_target[batch]))

    def shift(self, batch: list[int], shown: Array) -> Array:
        """Return the shift of the best linear predictor by outcomes, one row per draw."""
        if not batch:
            return np.zeros(len(shown))
        return np.asarray((shown[:, batch] - self.means[batch]) @ self.weights(batch))


def decisions(
    learning: Learning,
    outcomes: Simulated,
    batch: list[int],
    start: float,
    shrinkage: float,
    draws: NDArray[np.intp],
    repeats: int,
) -> Iterator[Array]:
    """Yield the decisions of a rule on the simulated outcomes of each draw, for every repetition.

    The rule moves from `start` by the shrunk shift of the best linear predictor. The outcomes are
    independent of those from which it was made.
    """
    for repeat in range(repeats):
        shown = outcomes.simulate(APART + repeat)[draws]
        yield start + shrinkage * learning.shift(batch, shown)


def choose_batch(learning: Learning, costs: Array, budget: float, most: int) -> list[int]:
    """Return the runs that reduce the variance most within a budget, in order of usefulness.

    Greedy selection, by reduction per cost and by reduction; the better of the two batches is
    improved by exchanging single runs.
    """
    found = [
        _improve(learning, costs, budget, _greedy(learning, costs, budget, most, per_cost))
        for per_cost in (True, False)
    ]
    # Ties are broken by cost.
    best = max(found, key=lambda batch: (round(learning.explained(batch), 12), -sum(costs[batch])))
    return _in_order(learning, costs, best)


def _greedy(
    learning: Learning, costs: Array, budget: float, most: int, per_cost: bool
) -> list[int]:
    batch: list[int] = []
    left = budget
    for _ in range(most):
        gains = _gains(learning, batch)
        scores = np.where(costs <= left * (1 + 1e-9), gains / (costs if per_cost else 1.0), -1.0)
        scores[batch] = -1.0
        at = int(scores.argmax())
        if scores[at] <= 0.0:
            break
        batch.append(at)
        left -= costs[at]
    return batch


def _gains(learning: Learning, batch: list[int]) -> Array:
    """Return the additional reduction by each run, given a batch."""
    variances, shared = np.diag(learning.covariance), learning.with_target
    if batch:
        inner = learning.covariance[np.ix_(batch, batch)]
        across = learning.covariance[batch]
        variances = variances - np.sum(across * np.linalg.solve(inner, across), axis=0)
        shared = shared - across.T @ learning.weights(batch)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variances > 0, shared**2 / variances, 0.0)


def _improve(learning: Learning, costs: Array, budget: float, batch: list[int]) -> list[int]:
    for _ in range(_PASSES):
        before = learning.explained(batch)
        for place in range(len(batch)):
            others = batch[:place] + batch[place + 1 :]
            left = budget - float(costs[others].sum())
            gains = np.where(costs <= left * (1 + 1e-9), _gains(learning, others), -1.0)
            gains[others] = -1.0
            if gains.max() > gains[batch[place]] * (1 + 1e-9):
                batch = [*others[:place], int(gains.argmax()), *others[place:]]
        # The rest of the budget may allow another run.
        if learning.explained(batch) <= before * (1 + 1e-9):
            break
    return batch


def _in_order(learning: Learning, costs: Array, batch: list[int]) -> list[int]:
    """Return a batch ordered by additional reduction per cost, given the preceding runs."""
    ordered: list[int] = []
    while len(ordered) < len(batch):
        scores = _gains(learning, ordered) / costs
        ordered.append(max((run for run in batch if run not in ordered), key=lambda i: scores[i]))
    return ordered


def effective_draws(values: Array, of_chain: NDArray[np.intp], chains: int) -> float:
    """Return the effective sample size of the mean of draws, given the chain of each."""
    shortest = int(np.bincount(of_chain, minlength=chains).min())
    if shortest < 4:
        return float(len(values))
    rows = np.array([values[of_chain == chain][:shortest] for chain in range(chains)])
    found = float(ess_of_mean(rows[None])[0])
    return min(found, float(len(values))) if found > 0 else float(len(values))
