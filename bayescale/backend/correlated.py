"""Residuals that are correlated along training: a stationary process, filtered row by row.

The process is what checkpoints of a run share, an Ornstein-Uhlenbeck process in the log of what is
trained on, and what each row has of its own. Its correlation of two rows depends on these two
alone, so that a table without some of its rows is of the same process.
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

    Two rows of one run have the correlation ``alike * exp(-distance / length)``. What is known of
    the shared part, given the rows before, is Normal, and goes on from one row to the next
    (Kalman 1960, doi:10.1115/1.3662552).

    Attributes
    ----------
    facts
        `recorded.links_of` the rows: which row each follows, and how far behind that is.
    length
        Of the correlation, in ln units.
    alike
        The share of the variance that rows at one place share; all of it unless given.
    """

    facts: Values
    length: Value
    alike: Value | None

    def given_earlier(self, standard: Value) -> tuple[Value, Value]:
        """Return mean and variance of each row, given those before it.

        Parameters
        ----------
        standard
            Residuals over their scale, along the last axis.
        """
        if self.alike is None:
            # One row says all there is to know of those before it.
            return self._kept * standard[..., self._previous], self._fresh
        if is_graph(standard) or is_graph(self.alike):
            from bayescale.backend.filtering import Filter

            order = self.facts["order"].astype("int64")
            along = (self._kept, self._fresh, self.alike)
            found: Any = Filter()(standard, *along, order, self._previous)
            return found[0], found[1]
        means, variances = self._blank(standard)
        states = self._blank(standard)
        for rows in self._generations():
            means[..., rows], variances[..., rows] = self._step(rows, states)
            self._learn(rows, states, standard[..., rows], means[..., rows], variances[..., rows])
        return means, variances

    def going_on(self, innovations: Value, free: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return rows that go on from those before them.

        Parameters
        ----------
        innovations
            By how much each row differs from its mean given those before it, as `given_earlier`
            has its variance; of a row that is not free, the row itself.
        free
            Rows that are to be drawn.
        """
        found = np.array(innovations, dtype=np.float64)
        states = self._blank(found)
        for rows in self._generations():
            mean, variance = self._step(rows, states)
            found[..., rows] += np.where(free[rows], mean, 0.0)
            self._learn(rows, states, found[..., rows], mean, variance)
        return found

    @property
    def _kept(self) -> Value:
        """How much of the shared part of the row before is left."""
        return np.exp(-self.facts["gap"] / self.length)

    @property
    def _fresh(self) -> Value:
        """Variance that has come to the shared part since."""
        return -np.expm1(-2.0 * self.facts["gap"] / self.length)

    @property
    def _previous(self) -> Value:
        return self.facts["previous"].astype("int64")

    def _shares(self) -> tuple[Value, Value]:
        alike = 1.0 if self.alike is None else self.alike
        return alike, 1.0 - alike

    def _blank(self, standard: Value) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shape = np.broadcast_shapes(np.shape(standard), np.shape(self._kept))
        return np.zeros(shape), np.zeros(shape)

    def _step(
        self, rows: NDArray[np.int64], states: tuple[NDArray[np.float64], NDArray[np.float64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and variance of rows, from what is known of the shared part before."""
        shared, own = self._shares()
        before = self._previous[rows]
        kept, fresh = (
            np.broadcast_to(x, states[0].shape)[..., rows] for x in (self._kept, self._fresh)
        )
        mean, variance = (state[..., before] for state in states)
        return kept * mean, kept**2 * variance + shared * fresh + own

    def _learn(
        self,
        rows: NDArray[np.int64],
        states: tuple[NDArray[np.float64], NDArray[np.float64]],
        found: NDArray[np.float64],
        mean: NDArray[np.float64],
        variance: NDArray[np.float64],
    ) -> None:
        """Note what is known of the shared part once rows are."""
        _, own = self._shares()
        gain = 1.0 - own / variance
        states[0][..., rows] = mean + gain * (found - mean)
        states[1][..., rows] = gain * own

    def _generations(self) -> Iterator[NDArray[np.int64]]:
        """Yield rows of which the one before is known: first rows, and so on."""
        depth = depths(self.facts["previous"])
        for d in range(int(depth.max(initial=0)) + 1):
            yield np.flatnonzero(depth == d)
