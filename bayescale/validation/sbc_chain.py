"""A time-reversible Markov chain that can be run in both directions from a given state."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bayescale.inference.preconditioner import LogDensity, Vector

_TRIALS = 100
"""Trajectories for adapting the step size."""

_ACCEPTANCE = 0.8
_LONG = 3.0
"""Length of the longest trajectory, in standard deviations."""

_MOST_STEPS = 500
_SHRUNK = 0.1
"""Shrinkage of the covariance to its diagonal, since autocorrelated draws estimate it poorly."""

_SHORTEST = 0.001
"""Step sizes are drawn between this share of the adapted one and the full one. The state may lie
far from all draws, as near another mode, where the density may be much narrower."""

_BETWEEN = 10
"""Trajectories between two states of a path."""


@dataclass(frozen=True, slots=True, eq=False)
class ReversibleChain:
    """Hamiltonian Monte Carlo with a fixed metric and step size.

    Attributes
    ----------
    log_density
        The target log density, with its gradient.
    spread
        Lower Cholesky factor of its approximate covariance.
    step
        Leapfrog step size, in standard deviations.

    Notes
    -----
    The number of steps of a trajectory does not depend on the state, and metric and step size are
    not adapted while sampling, as they are in NUTS, so that the chain satisfies detailed balance.
    """

    log_density: LogDensity
    spread: NDArray[np.float64]
    step: float

    @classmethod
    def learnt(cls, log_density: LogDensity, draws: Vector, rng: np.random.Generator) -> Self:
        """Return a chain with metric and step size adapted to draws of its density, as rows."""
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
        """Return `count` other states of a chain that passes through a state at a random time.

        If the state is a draw from the density, its rank among them is uniform, however slowly
        the chain mixes.

        Sources: Besag and Clifford 1989, doi:10.1093/biomet/76.4.633; Gandy and Scott 2020,
        arXiv:2001.06465, for tests of samplers by such chains.
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
        """Return the next state of the chain, and the acceptance probability."""
        most = min(int(np.ceil(_LONG / self.step)), _MOST_STEPS)
        steps = int(rng.integers(1, most + 1))
        step = self.step * _SHORTEST ** rng.uniform()
        momentum = rng.standard_normal(len(start))
        value, slope = self.log_density(start)
        before = value - 0.5 * momentum @ momentum
        position = start
        # The density may overflow at the end of a divergent trajectory.
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
