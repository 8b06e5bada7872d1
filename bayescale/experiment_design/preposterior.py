"""What runs would teach before they are run: outcomes simulated from the draws, and a choice.

A posterior says how a quantity of interest and the outcomes of runs go together. The best linear
rule from outcomes to the quantity, over the draws, is what an analyst could do once the runs are
in; what it leaves is what they are expected to leave. Two runs that say the same cut no more
together than one, so that batches chosen by it are diverse by themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale._seeds import Stream, seed_of
from bayescale.costs.budget import Array
from bayescale.posterior.fit import Fit
from bayescale.posterior.predict import simulate_runs

_REPEATS = 16
"""Simulated outcomes of each run and draw from which covariances are taken."""

_CLIP = 2.5
"""Robust scales to which scatter is drawn in: a heavy-tailed likelihood gives what lies farther
out no more weight than that."""

_PASSES = 4

_TAIL = 0.01
"""Beyond these quantiles of it the quantity counts as if it were at them: a rule that squares
distances would otherwise serve a few wild draws, of which regret, which is at most one, knows."""

SHRINKAGES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
"""How far a rule may be followed; the draws that choose the runs choose this too."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What runs might show, draw by draw.

    Attributes
    ----------
    fit
        The posterior.
    columns
        The runs, by column of the table: amounts of one length.
    mean
        Draws of the response at each, dims chain, draw, run.
    seed
        Of the simulated scatter.
    """

    fit: Fit
    columns: Mapping[str, Array]
    mean: xr.DataArray
    seed: int

    @classmethod
    def of(cls, fit: Fit, columns: Mapping[str, Array], seed: int) -> "Outcomes":
        """Return outcomes of runs given by the columns that the model takes."""
        inputs = {
            name: xr.DataArray(np.log(columns[column]), dims="run")
            for name, column in fit.model.columns.items()
        }
        mean = fit.curve.response(inputs).transpose("chain", "draw", "run")
        return cls(fit, columns, mean, seed)

    def simulate(self, repeat: int) -> Array:
        """Return one simulated ln response of each draw and run, outliers drawn in."""
        drawn = simulate_runs(
            self.fit, self.mean, self.columns, seed=seed_of(self.seed, Stream.OUTCOMES, repeat)
        )
        log_mean = np.log(self.mean.to_numpy())
        scatter = np.log(drawn.transpose(*self.mean.dims).to_numpy()) - log_mean
        scatter = scatter.reshape(-1, scatter.shape[-1])
        scale = 1.4826 * np.median(np.abs(scatter), axis=0)
        drawn_in = np.clip(scatter, -_CLIP * scale, _CLIP * scale)
        return np.asarray(log_mean.reshape(scatter.shape) + drawn_in)


@dataclass(frozen=True, eq=False)
class Learning:
    """How outcomes of runs go together with a quantity of interest, over a part of the draws.

    Attributes
    ----------
    target
        The quantity, one value a draw.
    covariance, with_target
        Of the outcomes of the runs with one another, scatter included, and with the quantity.
    means
        Of the outcomes.
    """

    target: Array
    covariance: Array
    with_target: Array
    means: Array

    @classmethod
    def of(cls, outcomes: Outcomes, target: Array, draws: NDArray[np.intp]) -> "Learning":
        """Average covariances over simulated outcomes of the draws given by number."""
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
        """Variance of the quantity now."""
        return float(np.var(self.target, ddof=1))

    def explained(self, batch: list[int]) -> float:
        """Return how much of the variance a batch of runs is expected to take away."""
        if not batch:
            return 0.0
        return float(self.with_target[batch] @ self.weights(batch))

    def weights(self, batch: list[int]) -> Array:
        """Return the weight of each outcome in the best linear rule."""
        inner = self.covariance[np.ix_(batch, batch)]
        return np.asarray(np.linalg.solve(inner, self.with_target[batch]))

    def shift(self, batch: list[int], shown: Array) -> Array:
        """Return by how much the best linear rule moves on outcomes, one row a draw."""
        if not batch:
            return np.zeros(len(shown))
        return np.asarray((shown[:, batch] - self.means[batch]) @ self.weights(batch))


def choose_batch(learning: Learning, costs: Array, budget: float, most: int) -> list[int]:
    """Return the runs that cut the variance most for a budget, in the order of their use.

    Greedily, once by reduction per cost and once by reduction; the better of the two is improved
    by exchanging runs one for one while that helps.
    """
    found = [
        _improve(learning, costs, budget, _greedy(learning, costs, budget, most, per_cost))
        for per_cost in (True, False)
    ]
    # Between equals the cheaper.
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
    """Return by how much each run would add to what a batch takes away."""
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
        # What is left of the budget may pay for another.
        if learning.explained(batch) <= before * (1 + 1e-9):
            break
    return batch


def _in_order(learning: Learning, costs: Array, batch: list[int]) -> list[int]:
    """Return a batch with the run that cuts most for its cost first, given those before it."""
    ordered: list[int] = []
    while len(ordered) < len(batch):
        scores = _gains(learning, ordered) / costs
        ordered.append(max((run for run in batch if run not in ordered), key=lambda i: scores[i]))
    return ordered
