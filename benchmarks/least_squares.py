"""The usual baseline: a least-squares fit of Chinchilla's law, and its parametric bootstrap."""

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

import bayescale as bs
from bayescale.validation.scored import Score, pointwise_scores

REPLICATES = 400

type Array = NDArray[np.float64]


def bootstrap_score(seen: bs.Runs, unseen: bs.Runs, seed: int) -> Score:
    """Score bootstrap predictions of held-out runs."""
    rng = np.random.default_rng(seed)
    centre = (np.log(seen.n_params).mean(), np.log(seen.n_tokens).mean())
    x, y = inputs(seen, centre), np.log(seen.column("loss"))
    fitted = best_fit(x, y, rng)
    mean = log_loss(fitted, x)
    sd = float(np.sqrt(np.sum((y - mean) ** 2) / max(len(y) - 5, 1)))
    there, observed = inputs(unseen, centre), np.log(unseen.column("loss"))
    curves = []
    for _ in range(REPLICATES):
        again = refit(fitted, x, mean + sd * rng.standard_normal(len(y)))
        curves.append(log_loss(again, there))
    means = np.array(curves)
    drawn = means + sd * rng.standard_normal(means.shape)
    standard = (observed - means) / sd
    density = -0.5 * standard**2 - np.log(sd * np.sqrt(2 * np.pi))
    elpd = np.logaddexp.reduce(density, axis=0) - np.log(len(means))
    joint = np.logaddexp.reduce(density.sum(axis=1)) - np.log(len(means))
    below = (drawn < observed).mean(axis=0)
    scores = pointwise_scores(drawn, observed, elpd, below)
    return Score(scores, float(joint), drawn, observed)


def inputs(runs: bs.Runs, centre: tuple[float, float]) -> tuple[Array, Array]:
    return np.log(runs.n_params) - centre[0], np.log(runs.n_tokens) - centre[1]


def log_loss(theta: Array, x: tuple[Array, Array]) -> Array:
    """Return ln L, given ln E, ln of both terms at the centre, and ln of both exponents."""
    floor, size, data = theta[0], theta[1], theta[2]
    alpha, beta = np.exp(theta[3]), np.exp(theta[4])
    terms = [np.full_like(x[0], floor), size - alpha * x[0], data - beta * x[1]]
    return np.logaddexp.reduce(terms, axis=0)


def refit(start: Array, x: tuple[Array, Array], y: Array) -> Array:
    bounds = ([-8, -8, -8, np.log(0.02), np.log(0.02)], [3, 3, 3, np.log(3.0), np.log(3.0)])
    inside = np.clip(start, np.array(bounds[0]) + 1e-6, np.array(bounds[1]) - 1e-6)
    found = optimize.least_squares(lambda t: log_loss(t, x) - y, inside, bounds=bounds)
    return np.asarray(found.x)


def best_fit(x: tuple[Array, Array], y: Array, rng: np.random.Generator) -> Array:
    """Return the best fit from several starts."""
    level = float(np.mean(y))
    starts = [
        np.array([level - 0.4, level - 2.0, level - 2.0, np.log(a), np.log(b)])
        for a in (0.2, 0.4, 0.8)
        for b in (0.2, 0.4, 0.8)
    ]
    fits = [refit(start, x, y) for start in starts]
    return min(fits, key=lambda t: float(np.sum((log_loss(t, x) - y) ** 2)))
