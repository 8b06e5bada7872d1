"""Waste-free sequential Monte Carlo: posterior draws and evidence of small models.

Dau and Chopin 2022, "Waste-free sequential Monte Carlo" (arXiv:2011.02328).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

type Array = NDArray[np.float64]

STARTS, MOVES = 200, 20
"""Chains at each temperature, and their length; all of their states are kept."""

_SHARE = 0.5
"""Effective share of the draws at the next temperature."""

_AUTOREGRESSIVE = (0.15, 0.35, 0.7, 1.0)
"""Sizes of steps towards the Gaussian of the draws; at one the step is an independent draw."""

_JITTER = 1e-4


@dataclass(frozen=True)
class Tempered:
    """Posterior draws, and the evidence.

    Attributes
    ----------
    draws
        Equally weighted draws of the unknowns, draws x unknowns.
    log_evidence
        ln of the prior mean of the likelihood.
    temperatures
        Number of temperatures from prior to posterior.
    """

    draws: Array
    log_evidence: float
    temperatures: int


def temper(
    log_likelihood: Callable[[Array], Array],
    unknowns: int,
    rng: np.random.Generator,
    *,
    starts: int = STARTS,
    moves: int = MOVES,
) -> Tempered:
    """Draw from the posterior of unknowns with independent standard normal priors.

    Parameters
    ----------
    log_likelihood
        Log likelihood of each row of an array of unknowns; not finite where impossible.
    unknowns
        Number of unknowns.
    rng
        Generator of random numbers.
    starts, moves
        Number of chains at each temperature, and their length.
    """

    def likelihood(z: Array) -> Array:
        found = log_likelihood(z)
        return np.where(np.isfinite(found), found, -np.inf)

    z = rng.standard_normal((starts * moves, unknowns))
    likely = likelihood(z)
    temperature, evidence, temperatures = 0.0, 0.0, 0
    while temperature < 1.0:
        reached = _next_temperature(temperature, likely)
        log_weights = (reached - temperature) * likely
        most = float(log_weights.max())
        weights = np.exp(log_weights - most)
        evidence += most + float(np.log(weights.mean()))
        temperature, temperatures = reached, temperatures + 1
        z, likely = _moved(likelihood, z, likely, weights / weights.sum(), reached, starts, rng)
    return Tempered(z, evidence, temperatures)


def _next_temperature(now: float, likely: Array) -> float:
    """Return the next temperature, at which half of the draws are effective."""
    relative = likely - likely.max()

    def effective(at: float) -> float:
        weights = np.exp((at - now) * relative)
        return float(weights.sum() ** 2 / (weights @ weights) / len(weights))

    if effective(1.0) >= _SHARE:
        return 1.0
    low, high = now, 1.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if effective(middle) >= _SHARE else (low, middle)
    return high


def _moved(
    likelihood: Callable[[Array], Array],
    z: Array,
    likely: Array,
    weights: Array,
    temperature: float,
    starts: int,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Return the states of chains from resampled draws, with their log likelihoods."""
    size = z.shape[1]
    centre = weights @ z
    away = z - centre
    factor = np.linalg.cholesky(away.T @ (away * weights[:, None]) + 1e-10 * np.eye(size))
    cumulative = np.cumsum(weights)

    def pick(probabilities: Array) -> NDArray[np.intp]:
        return np.searchsorted(cumulative, probabilities).clip(0, len(z) - 1)

    def distance(at: Array) -> Array:
        return np.asarray((solve_triangular(factor, (at - centre).T, lower=True) ** 2).sum(axis=0))

    chosen = pick((np.arange(starts) + rng.random()) / starts)
    state, value = z[chosen], likely[chosen]
    states, values = [state], [value]
    for move in range(len(z) // starts - 1):
        if move % 2 == 0:
            # Autoregressive (pCN): reversible for the Gaussian with the moments of the draws.
            step = rng.choice(_AUTOREGRESSIVE)
            noise = rng.standard_normal(state.shape) @ factor.T
            proposal = centre + np.sqrt(1.0 - step**2) * (state - centre) + step * noise
            correction = 0.5 * (distance(proposal) - distance(state))
        else:
            # Differential evolution: differences of draws follow curved ridges.
            scale = rng.choice((2.38 / np.sqrt(2.0 * size), 1.0, 0.4))
            apart = z[pick(rng.random(starts))] - z[pick(rng.random(starts))]
            proposal = state + scale * apart + _JITTER * rng.standard_normal(state.shape)
            correction = np.zeros(starts)
        proposed = likelihood(proposal)
        prior = 0.5 * ((state**2).sum(axis=1) - (proposal**2).sum(axis=1))
        log_ratio = temperature * (proposed - value) + prior + correction
        accepted = np.log(rng.random(starts)) < log_ratio
        state = np.where(accepted[:, None], proposal, state)
        value = np.where(accepted, proposed, value)
        states.append(state)
        values.append(value)
    return np.concatenate(states), np.concatenate(values)
