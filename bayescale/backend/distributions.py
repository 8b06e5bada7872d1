"""Residual distributions: density, survival function and random draws.

Densities are evaluated in the graph for sampling and on draws for scoring, by the same code, in
operations that PyTensor variables and arrays share. The last axis is the run.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale.laws import Value
from bayescale.laws.dispatch import detached, log_add

_LOG_2PI = float(np.log(2.0 * np.pi))

_STRETCH = 2.0
"""Standardised residuals are integrated over arctan(z / 2), where no density is narrow, so that
few nodes suffice even for intervals many scales wide."""


def _nodes(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Gauss-Legendre nodes between 0 and 1, and the logs of their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return 0.5 * (nodes + 1.0), np.log(0.5 * weights)


_OVER_INTERVAL, _OVER_TAIL = _nodes(12), _nodes(48)
"""Quadrature rules for an interval and for a tail; the tests of noise check their accuracy."""


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Student-t, Normal or skew-Normal residuals.

    Attributes
    ----------
    scale
        Scale of each run, or of all.
    nu
        Degrees of freedom of a Student-t; Normal if None.
    skew
        Shape of a skew-Normal: the ratio of the scale of an added half-Normal to that of the
        Normal; `scale` is then that of the sum. Source: Azzalini 1985, Scand. J. Statist. 12, 171.
    """

    scale: Value
    nu: Value | None = None
    skew: Value | None = None

    def log_density(self, residual: Value) -> Value:
        """Return the log density of residuals."""
        return self._standard(residual / self.scale) - np.log(self.scale)

    def log_mean_density(self, residual: Value, half: Value) -> Value:
        """Return the log of the mean density over intervals about residuals.

        This is the log density of the residual plus a uniform error on [-half, half], as for a
        rounded number.
        """
        low = np.arctan((residual - half) / (_STRETCH * self.scale))
        width = np.arctan((residual + half) / (_STRETCH * self.scale)) - low

        def log_part(node: Value) -> Value:
            tangent = np.tan(low + width * node)
            return self._standard(_STRETCH * tangent) + np.log1p(tangent * tangent)

        stretched = np.log(_STRETCH * width) - np.log(2.0 * half)
        return _log_sum(log_part, _OVER_INTERVAL, residual) + stretched

    def log_survival(self, residual: Value) -> Value:
        """Return the log of the survival function at residuals."""
        z = residual / self.scale
        if self.nu is None:
            tail = log_normal_cdf(-z)
            return (
                tail if self.skew is None else log_add(tail, np.log(2.0) + _log_owen(z, self.skew))
            )
        # By quadrature of a power of the sine of the angle from infinity: PyTensor's incomplete
        # beta function has no gradient in its order.
        nu = self.nu
        end = 0.5 * np.pi - np.arctan(np.abs(z) / np.sqrt(nu))

        # Squared nodes: with fewer than two degrees of freedom the integrand is steep at infinity.
        def log_part(node: Value) -> Value:
            sine = np.sin(end * node * node)
            return (nu - 1.0) * np.log(sine) + np.log(2.0 * node)

        log_tail = _log_sum(log_part, _OVER_TAIL, z) + np.log(end) + _log_beta_factor(nu)
        return _where(z > 0.0, log_tail, np.log1p(-np.exp(log_tail)))

    def cdf(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the cumulative distribution function at residuals."""
        from scipy import special

        z = residual / self.scale
        if self.nu is not None:
            return np.asarray(special.stdtr(self.nu, z))
        below = special.ndtr(z)
        return np.asarray(
            below if self.skew is None else below - 2.0 * special.owens_t(z, self.skew)
        )

    def mean_cdf(self, residual: NDArray[np.float64], half: NDArray[np.float64]) -> Any:
        """Return the cumulative distribution function of the residual plus a uniform error."""
        nodes, log_weights = _OVER_INTERVAL
        weighted = zip(2.0 * nodes - 1.0, np.exp(log_weights), strict=True)
        return sum(weight * self.cdf(residual + node * half) for node, weight in weighted)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return independent residuals."""
        if self.nu is not None:
            return np.asarray(self.scale * rng.standard_t(np.broadcast_to(self.nu, shape)))
        standard = rng.standard_normal(shape)
        if self.skew is not None:
            above = self.skew * np.abs(rng.standard_normal(shape))
            standard = (standard + above) / np.sqrt(1.0 + self.skew**2)
        return np.asarray(self.scale * standard)

    def at(self, index: Any) -> "Scatter":
        """Return the distribution for a subset of the runs of a graph."""
        skew = None if self.skew is None else _at(self.skew, index)
        return replace(self, scale=_at(self.scale, index), skew=skew)

    def _standard(self, z: Value) -> Value:
        if self.nu is not None:
            tails = 0.5 * (self.nu + 1.0) * np.log1p(z * z / self.nu)
            return _log_beta_factor(self.nu) - 0.5 * np.log(self.nu) - tails
        normal = -0.5 * (z * z + _LOG_2PI)
        if self.skew is None:
            return normal
        return normal + np.log(2.0) + log_normal_cdf(self.skew * z)


def log_normal_cdf(z: Value) -> Value:
    """Return the log of the standard Normal distribution function, accurate in the lower tail."""
    if not is_graph(z):
        from scipy.special import log_ndtr

        return log_ndtr(z)
    import pytensor.tensor as pt

    half = z * np.sqrt(0.5)
    below = pt.log(0.5 * pt.erfcx(-half)) - half * half
    return pt.switch(z < -1.0, below, pt.log1p(-0.5 * pt.erfc(half)))


def is_graph(value: Value) -> bool:
    """Return whether a value is a PyTensor variable."""
    return type(value).__module__.startswith("pytensor.")


def _log_owen(z: Value, skew: Value) -> Value:
    """Return the log of Owen's T function, by quadrature over the angle (Owen 1956)."""
    end = np.arctan(skew)

    def log_part(node: Value) -> Value:
        return -0.5 * (z / np.cos(end * node)) ** 2

    return _log_sum(log_part, _OVER_TAIL, z) + np.log(end) - _LOG_2PI


def _log_beta_factor(nu: Value) -> Value:
    """Return ln [Gamma((nu + 1) / 2) / (Gamma(nu / 2) sqrt(pi))].

    The recurrence of the gamma function shifts the argument by eight, where the asymptotic series
    is accurate to at least twelve digits; all operations have gradients.
    """
    x = 0.5 * nu
    ratio = reduce(mul, [(x + k) / (x + k + 0.5) for k in range(8)])
    inverse = 1.0 / (x + 8.0)
    square = inverse * inverse
    series = reduce(lambda inner, term: term - square * inner, reversed(_GAMMA_RATIO))
    return np.log(ratio) - 0.5 * np.log(inverse) - inverse * series - 0.5 * np.log(np.pi)


_GAMMA_RATIO = (1 / 8, 1 / 192, 1 / 640, 17 / 14336, 31 / 18432, 691 / 180224)
"""Coefficients of ln [Gamma(y + 1/2) / Gamma(y)] - ln(y) / 2 in 1 / y, without their signs
(Tricomi and Erdelyi 1951, doi:10.2140/pjm.1951.1.133)."""


def _log_sum(
    log_part: Callable[[Value], Value],
    rule: tuple[NDArray[np.float64], NDArray[np.float64]],
    like: Value,
) -> Value:
    """Return the log of the integral of ``exp(log_part)`` from 0 to 1."""
    nodes, log_weights = rule
    if not is_graph(like):
        # Node by node, to bound memory.
        parts = (log_part(x) + w for x, w in zip(nodes, log_weights, strict=True))
        return reduce(np.logaddexp, parts)
    first = (len(nodes), *(1,) * like.ndim)
    parts = log_part(nodes.reshape(first)) + log_weights.reshape(first)
    largest = detached(parts.max(axis=0))
    return largest + np.log(np.exp(parts - largest).sum(axis=0))


def _where(condition: Value, first: Value, second: Value) -> Value:
    if not is_graph(condition):
        return np.where(condition, first, second)
    import pytensor.tensor as pt

    return pt.switch(condition, first, second)


def _at(value: Value, index: Any) -> Value:
    return value[index] if np.ndim(value) else value
