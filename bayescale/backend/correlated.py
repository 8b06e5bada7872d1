"""Residuals correlated along training: a stationary process, filtered row by row.

The process is the sum of an Ornstein-Uhlenbeck process in the log of training tokens, shared by
the checkpoints of a run, and independent errors of each row. The correlation of two rows depends
on these two rows only, so that a subset of a table follows the same process.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale.backend.distributions import is_graph
from bayescale.laws import Value, Values
from bayescale.model.measurement import depths


@dataclass(frozen=True)
class Correlated:
    """A Gaussian process of unit variance, as a state-space model.

    Two rows of one run have the correlation ``alike * exp(-distance / length)``. The filtering
    distribution of the shared state is Normal and is updated row by row (Kalman 1960,
    doi:10.1115/1.3662552).

    Attributes
    ----------
    facts
        `measurement.links_of` the rows: the preceding row of each, and the distance to it.
    length
        Correlation length, in ln units.
    alike
        Share of the variance of the shared state; one unless given.
    """

    facts: Values
    length: Value
    alike: Value | None

    def given_earlier(self, standard: Value) -> tuple[Value, Value]:
        """Return the conditional mean and variance of each row, given the earlier ones.

        Parameters
        ----------
        standard
            Residuals over their scale, along the last axis.
        """
        if self.alike is None:
            # The process is Markov in the observed rows.
            return self._autocorrelation * standard[..., self._previous], self._innovation_variance
        if is_graph(standard) or is_graph(self.alike):
            from bayescale.backend.filtering import Filter

            order = self.facts["order"].astype("int64")
            along = (self._autocorrelation, self._innovation_variance, self.alike)
            found: Any = Filter()(standard, *along, order, self._previous)
            return found[0], found[1]
        means, variances = self._zeros(standard)
        states = self._zeros(standard)
        for rows in self._generations():
            means[..., rows], variances[..., rows] = self._step(rows, states)
            self._update(rows, states, standard[..., rows], means[..., rows], variances[..., rows])
        return means, variances

    def simulate(self, innovations: Value, free: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return rows simulated forwards, each given the earlier ones.

        Parameters
        ----------
        innovations
            Deviation of each row from its conditional mean, with the variance of
            `given_earlier`; for a row that is not free, its value.
        free
            Mask of the rows to simulate.
        """
        found = np.array(innovations, dtype=np.float64)
        states = self._zeros(found)
        for rows in self._generations():
            mean, variance = self._step(rows, states)
            found[..., rows] += np.where(free[rows], mean, 0.0)
            self._update(rows, states, found[..., rows], mean, variance)
        return found

    @property
    def _autocorrelation(self) -> Value:
        """Autocorrelation of the shared state with that at the preceding row."""
        return np.exp(-self.facts["gap"] / self.length)

    @property
    def _innovation_variance(self) -> Value:
        """Innovation variance of the shared state since the preceding row."""
        return -np.expm1(-2.0 * self.facts["gap"] / self.length)

    @property
    def _previous(self) -> Value:
        return self.facts["previous"].astype("int64")

    def _shares(self) -> tuple[Value, Value]:
        alike = 1.0 if self.alike is None else self.alike
        return alike, 1.0 - alike

    def _zeros(self, standard: Value) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shape = np.broadcast_shapes(np.shape(standard), np.shape(self._autocorrelation))
        return np.zeros(shape), np.zeros(shape)

    def _step(
        self, rows: NDArray[np.int64], states: tuple[NDArray[np.float64], NDArray[np.float64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the predictive mean and variance of rows, from the previous filtered state."""
        shared, own = self._shares()
        before = self._previous[rows]
        kept, fresh = (
            np.broadcast_to(x, states[0].shape)[..., rows]
            for x in (self._autocorrelation, self._innovation_variance)
        )
        mean, variance = (state[..., before] for state in states)
        return kept * mean, kept**2 * variance + shared * fresh + own

    def _update(
        self,
        rows: NDArray[np.int64],
        states: tuple[NDArray[np.float64], NDArray[np.float64]],
        found: NDArray[np.float64],
        mean: NDArray[np.float64],
        variance: NDArray[np.float64],
    ) -> None:
        """Update the filtered state with the observed rows."""
        _, own = self._shares()
        gain = 1.0 - own / variance
        states[0][..., rows] = mean + gain * (found - mean)
        states[1][..., rows] = gain * own

    def _generations(self) -> Iterator[NDArray[np.int64]]:
        """Yield the rows in topological order: first rows, then their successors, and so on."""
        depth = depths(self.facts["previous"])
        for d in range(int(depth.max(initial=0)) + 1):
            yield np.flatnonzero(depth == d)
