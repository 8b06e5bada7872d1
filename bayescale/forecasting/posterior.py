"""The posterior of each law given a curve, and their average by evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

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
"""Median of the sd of points about the curve, of log loss, and sd of its logarithm."""

ROUGHNESS_SD = 1.0
"""Prior sd of ln of the roughness."""


@dataclass(frozen=True)
class Given:
    """The likelihood of a curve for each draw of the unknowns, and its moments.

    Attributes
    ----------
    log
        Log likelihood.
    level, variance
        Mean and variance of the log loss at the last x, given the draw.
    noise
        Standard deviation of points about the curve.
    departure
        Standard deviation of the discrepancy from the law over the curve's range of ln x.
    """

    log: Array
    level: Array
    variance: Array
    noise: Array
    departure: Array


@dataclass(frozen=True, eq=False)
class Likelihood:
    """A law, a Brownian discrepancy from it and Normal noise, given one curve.

    The log loss of a point is that of the law, plus a discrepancy that is Brownian motion in ln x,
    in both directions from the last x, plus noise. Neighbouring points of a dense curve are
    correlated, so that many of them carry little more information on the law than a few, and the
    discrepancy has the same scale beyond the data. In the eigenvectors of its covariance, which
    depend on x only, the likelihood is that of independent points.

    Attributes
    ----------
    curve, law
        The curve and the law.
    roughness
        Prior median of the sd of the discrepancy over the curve's range of ln x, relative to its
        fall; no discrepancy if zero.
    """

    curve: Curve
    law: EndsLaw
    roughness: float

    @property
    def unknowns(self) -> int:
        """Number of parameters, each standard normal: of the law, fall, noise and discrepancy."""
        return self.law.shares + (3 if self.roughness else 2)

    @cached_property
    def _modes(self) -> tuple[Array, Array, Array]:
        """Return variances and eigenvectors of the discrepancy, and the level along these."""
        away = -self.curve.log_x / self.curve.span
        variances, directions = np.linalg.eigh(np.minimum.outer(away, away))
        return np.maximum(variances, 0.0), directions, directions.sum(axis=0)

    def relative(self, z: Array, log_x: Array) -> Array:
        """Return the law's log loss relative to that at the last x, draws x points."""
        shares = self.law.shares
        fall = self.curve.expected_fall * np.exp(FALL_SD * z[:, shares])
        return self.law.log_loss(z[:, :shares], fall, self.curve.span, log_x)

    def given(self, z: Array) -> Given:
        """Return the likelihood of each draw, and its conditional moments.

        The level is integrated out: given the others, the log loss is Normal and linear in it.
        """
        shares, curve = self.law.shares, self.curve
        noise = NOISE * np.exp(NOISE_SD * z[:, shares + 1])
        departure = np.zeros(len(z))
        if self.roughness:
            rough = self.roughness * np.exp(ROUGHNESS_SD * z[:, shares + 2])
            departure = rough * curve.expected_fall
        variances, directions, level = self._modes
        centre = curve.ends[1]
        with np.errstate(all="ignore"):
            residuals = (curve.log_y - centre - self.relative(z, curve.log_x)) @ directions
            spread = noise[:, None] ** 2 + departure[:, None] ** 2 * variances
            precision = (level**2 / spread).sum(axis=1) + 1.0 / LEVEL_SD**2
            mean = (level * residuals / spread).sum(axis=1) / precision
            log = -0.5 * (
                np.log(2.0 * np.pi * spread).sum(axis=1)
                + np.log(LEVEL_SD**2 * precision)
                + (residuals**2 / spread).sum(axis=1)
                - mean**2 * precision
            )
        return Given(log, centre + mean, 1.0 / precision, noise, departure)


@dataclass(frozen=True, eq=False)
class CurvePosterior:
    """The posterior of one law given one curve.

    Attributes
    ----------
    likelihood
        The law, the curve and the prior of the discrepancy.
    tempered
        Draws of the unknowns of the likelihood.
    """

    likelihood: Likelihood
    tempered: Tempered

    @property
    def curve(self) -> Curve:
        """The curve."""
        return self.likelihood.curve

    @property
    def law(self) -> EndsLaw:
        """The law."""
        return self.likelihood.law

    def predict(self, log_x: Array, z: Array) -> tuple[Array, Array]:
        """Return mean and variance of the log loss of a new point, draws x points.

        Parameters
        ----------
        log_x
            Logarithms of amounts, relative to the last x of the curve.
        z
            Draws of the unknowns.
        """
        found, relative = self.likelihood.given(z), self.likelihood.relative(z, log_x)
        away = np.maximum(log_x, 0.0) / self.curve.span
        variance = (found.variance + found.noise**2)[:, None] + found.departure[:, None] ** 2 * away
        return found.level[:, None] + relative, variance


def sample(
    curve: Curve, law: EndsLaw, seed: int, roughness: float = Beyond.roughness
) -> CurvePosterior:
    """Draw from the posterior of one law given one curve, with its evidence.

    Parameters
    ----------
    curve, law
        The curve and the law.
    seed
        Seed of all random numbers.
    roughness
        Prior median of the sd of the discrepancy, as in `Beyond`.
    """
    rng = generator(seed, Stream.FORECAST_LAWS, list(LAWS).index(law.name))
    likelihood = Likelihood(curve, law, roughness)
    return CurvePosterior(
        likelihood, temper(lambda z: likelihood.given(z).log, likelihood.unknowns, rng)
    )


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
    """Average laws by their evidence, and add breaks beyond the data.

    Parameters
    ----------
    posteriors
        Posteriors of laws, given one curve.
    log_x
        Logarithms of the amounts to forecast, relative to the last x of the curve.
    beyond
        Breaks beyond the data.
    rng
        Generator of random numbers.
    draws
        Number of draws.
    """
    evidence = np.array([found.tempered.log_evidence for found in posteriors])
    weights = special.softmax(evidence)
    means, variances = [], []
    for found, count in zip(posteriors, rng.multinomial(draws, weights), strict=True):
        z = found.tempered.draws
        kept = rng.choice(len(z), size=count, replace=count > len(z))
        mean, variance = found.predict(log_x, z[kept])
        means.append(mean)
        variances.append(variance)
    curve = posteriors[0].curve
    moved = beyond.breaks(log_x, curve.expected_fall, curve.span, draws, rng)
    return Prediction(
        np.concatenate(means) + moved,
        np.sqrt(np.concatenate(variances)),
        {p.law.name: float(w) for p, w in zip(posteriors, weights, strict=True)},
    )
