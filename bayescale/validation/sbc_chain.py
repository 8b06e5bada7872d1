"""A chain that is the same in both directions of time, to be run through a state that is known."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bayescale.inference.preconditioner import LogDensity, Vector

_TRIALS = 100
"""Trajectories from which the step is learnt."""

_ACCEPTANCE = 0.8
_LONG = 3.0
"""How far the longest trajectory goes, in standard deviations."""

_MOST_STEPS = 500
_SHRUNK = 0.1
"""Share of the diagonal in the covariance, which dependent draws estimate badly."""

_SHORTEST = 0.001
"""Steps are drawn down to this share of the one that is learnt. The state may lie where no draw
was, as near another mode, and there the density may be much narrower."""

_BETWEEN = 10
"""Trajectories from one state of a path to the next."""


@dataclass(frozen=True, slots=True, eq=False)
class ReversibleChain:
    """Hamiltonian Monte Carlo with a metric and a step that are settled beforehand.

    Attributes
    ----------
    log_density
        What is sampled, with its gradient.
    spread
        The lower factor of about its covariance.
    step
        Of the leapfrog, in standard deviations.

    Notes
    -----
    Trajectories of NUTS end where they turn, and its metric and step are learnt on the way. Here
    each has a number of steps that does not depend on where it is, so that the chain satisfies
    detailed balance with respect to its density.
    """

    log_density: LogDensity
    spread: NDArray[np.float64]
    step: float

    @classmethod
    def learnt(cls, log_density: LogDensity, draws: Vector, rng: np.random.Generator) -> Self:
        """Return a chain whose metric and step fit draws of its density, a row each."""
        covariance = np.cov(draws, rowvar=False)
        covariance += _SHRUNK * (np.diag(np.diag(covariance)) - covariance)
        spread = np.linalg.cholesky(covariance)
        log_step, kept, position = np.log(0.1), [], draws[-1]
        for trial in range(_TRIALS):
            chain = cls(log_density, spread, float(np.exp(log_step)))
            position, accepted = chain._trajectory(position, rng)
            log_step += (accepted - _ACCEPTANCE) / np.sqrt(1.0 + trial)
            kept.append(log_step)
        return cls(log_density, spread, float(np.exp(np.mean(kept[_TRIALS // 2 :]))))

    def path(self, state: Vector, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return `count` other states of a chain that passes a state at a random time.

        If the state is a draw from the density, it and these are exchangeable: its rank among
        them is uniform, however slowly the chain moves.

        Source: Besag and Clifford 1989, doi:10.1093/biomet/76.4.633; Gandy and Scott 2020,
        arXiv:2001.06465, for chains that are tested so.
        """
        before = int(rng.integers(0, count + 1))
        return np.array([*self._from(state, before, rng), *self._from(state, count - before, rng)])

    def _from(self, state: Vector, count: int, rng: np.random.Generator) -> list[Vector]:
        found = []
        for _ in range(count):
            for _ in range(_BETWEEN):
                state, _ = self._trajectory(state, rng)
            found.append(state)
        return found

    def _trajectory(self, start: Vector, rng: np.random.Generator) -> tuple[Vector, float]:
        """Return where a trajectory leaves the chain, and the probability that it moves."""
        most = min(int(np.ceil(_LONG / self.step)), _MOST_STEPS)
        steps = int(rng.integers(1, most + 1))
        step = self.step * _SHORTEST ** rng.uniform()
        momentum = rng.standard_normal(len(start))
        value, slope = self.log_density(start)
        before = value - 0.5 * momentum @ momentum
        position = start
        # A trajectory that flies off has no density where it ends.
        with np.errstate(over="ignore", invalid="ignore"):
            momentum = momentum + 0.5 * step * (slope @ self.spread)
            for i in range(steps):
                position = position + step * (self.spread @ momentum)
                value, slope = self.log_density(position)
                if not np.isfinite(value):
                    return start, 0.0
                share = 1.0 if i < steps - 1 else 0.5
                momentum = momentum + share * step * (slope @ self.spread)
            gain = value - 0.5 * momentum @ momentum - before
        accepted = float(np.exp(min(gain, 0.0))) if np.isfinite(gain) else 0.0
        return (position, accepted) if rng.uniform() < accepted else (start, accepted)
