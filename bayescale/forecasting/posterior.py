"""The posterior of each law given a curve, and their average by evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bayescale._seeds import Stream, generator
from bayescale.forecasting.beyond import Beyond
from bayescale.forecasting.curves import Curve
from bayescale.forecasting.ends import FALL_SD, LAWS, EndsLaw
from bayescale.forecasting.tempering import Tempered, temper

type Array = NDArray[np.float64]

LEVEL_SD = 0.3
"""Prior sd of the log loss of the law at the last x, about the observed one."""

NOISE, NOISE_SD = 0.005, 1.2
"""Median of the sd of points about the law, of log loss, and sd of its logarithm."""


@dataclass(frozen=True, eq=False)
class CurvePosterior:
    """The posterior of one law given one curve.

    Attributes
    ----------
    curve, law
        The curve and the law.
    tempered
        Draws of the unknowns, each standard normal in the prior: the law's own, the fall and the
        noise.
    """

    curve: Curve
    law: EndsLaw
    tempered: Tempered

    def predict(self, log_x: Array) -> tuple[Array, Array]:
        """Return mean and variance of the log loss of a new point, draws x points.

        Parameters
        ----------
        log_x
            Logarithms of amounts, relative to the last x of the curve.
        """
        z = self.tempered.draws
        _, level, variance, noise = _given(z, self.law, self.curve)
        relative = _relative(z, self.law, self.curve, log_x)
        spread = np.broadcast_to((variance + noise**2)[:, None], relative.shape)
        return level[:, None] + relative, spread


def sample(curve: Curve, law: EndsLaw, seed: int) -> CurvePosterior:
    """Draw from the posterior of one law given one curve, with its evidence."""
    rng = generator(seed, Stream.FORECAST_LAWS, list(LAWS.values()).index(law))

    def log_likelihood(z: Array) -> Array:
        return _given(z, law, curve)[0]

    return CurvePosterior(curve, law, temper(log_likelihood, law.shares + 2, rng))


def _relative(z: Array, law: EndsLaw, curve: Curve, log_x: Array) -> Array:
    fall = curve.expected_fall * np.exp(FALL_SD * z[:, law.shares])
    return law.log_loss(z[:, : law.shares], fall, curve.span, log_x)


def _given(z: Array, law: EndsLaw, curve: Curve) -> tuple[Array, Array, Array, Array]:
    """Return the log likelihood, mean and variance of the level, and the noise, by draw.

    The level is summed out: with Normal noise the log loss is linear in it.
    """
    noise = NOISE * np.exp(NOISE_SD * z[:, law.shares + 1])
    centre = curve.ends[1]
    count = len(curve.y)
    with np.errstate(all="ignore"):
        residuals = curve.log_y - centre - _relative(z, law, curve, curve.log_x)
        mean = residuals.mean(axis=1)
        scatter = ((residuals - mean[:, None]) ** 2).sum(axis=1)
        of_mean = LEVEL_SD**2 + noise**2 / count
        likelihood = -0.5 * (
            count * np.log(2.0 * np.pi * noise**2)
            + np.log(of_mean * count / noise**2)
            + scatter / noise**2
            + mean**2 / of_mean
        )
        variance = LEVEL_SD**2 * noise**2 / count / of_mean
    return likelihood, centre + mean * LEVEL_SD**2 / of_mean, variance, noise


@dataclass(frozen=True, eq=False)
class Prediction:
    """A forecast of one curve: an equally weighted mixture of Normals of the log loss.

    Attributes
    ----------
    mean, sd
        Of each part, draws x points.
    weights
        Posterior probability of each law.
    """

    mean: Array
    sd: Array
    weights: Mapping[str, float]

    def log_density(self, log_y: Array) -> Array:
        """Return the log density of the log loss at each point."""
        apart = (log_y - self.mean) / self.sd
        parts = -0.5 * apart**2 - np.log(self.sd) - 0.5 * np.log(2.0 * np.pi)
        return np.asarray(special.logsumexp(parts, axis=0) - np.log(len(self.mean)))

    def draws(self, rng: np.random.Generator) -> Array:
        """Return draws of the log loss of a new point."""
        return np.asarray(self.mean + self.sd * rng.standard_normal(self.mean.shape))


def average(
    posteriors: Sequence[CurvePosterior],
    log_x: Array,
    beyond: Beyond,
    rng: np.random.Generator,
    draws: int = 4000,
) -> Prediction:
    """Average laws by their evidence, and add what may happen beyond the data.

    Parameters
    ----------
    posteriors
        Posteriors of laws, given one curve.
    log_x
        Logarithms of the amounts that are asked for, relative to the last x of the curve.
    beyond
        Breaks and departures beyond the data.
    rng
        Generator of random numbers.
    draws
        Number of draws.
    """
    evidence = np.array([found.tempered.log_evidence for found in posteriors])
    weights = special.softmax(evidence)
    means, variances = [], []
    for found, count in zip(posteriors, rng.multinomial(draws, weights), strict=True):
        mean, variance = found.predict(log_x)
        kept = rng.choice(len(mean), size=count, replace=count > len(mean))
        means.append(mean[kept])
        variances.append(variance[kept])
    curve = posteriors[0].curve
    moved, further = beyond.depart(log_x, curve.expected_fall, curve.span, draws, rng)
    return Prediction(
        np.concatenate(means) + moved,
        np.sqrt(np.concatenate(variances) + further),
        {p.law.law.name: float(w) for p, w in zip(posteriors, weights, strict=True)},
    )
