"""A surface of the loss over learning rate and batch size, estimated from the runs of one setting.

A Gaussian process with a quadratic mean, whose coefficients are integrated out (Rasmussen and
Williams 2006, section 2.7); its scale, lengths and noise are at their posterior mode. The minima of
posterior draws of the surface give the uncertainty of the optimum of a setting.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize

type Array = NDArray[np.float64]

_STARTS = np.log([[3e-3, 1.0, 1.0, 1e-3], [1e-2, 2.0, 2.0, 1e-3]])
"""Starting values of scale, length along the rate, length along the batch, and noise."""
_LENGTH, _LENGTH_SD = np.log(1.5), 0.7
"""Prior of the lengths, lognormal: grids step by factors of 1.4 to 1.6 over two decades."""
_POINTS = 41
_NEAR_MINIMUM = 0.01
"""Minima of draws are sought where the mean is at most this above its minimum."""


class Surface:
    """The posterior of a surface of log loss over ln of learning rate and batch size."""

    def __init__(self, logs: Array, log_loss: Array) -> None:
        self.origin = logs[log_loss.argmin()]
        self.at, self.y = logs - self.origin, log_loss
        self.basis = _quadratic(self.at)
        found = [
            minimize(self._cost, start, method="Nelder-Mead", options={"maxiter": 800})
            for start in _STARTS
        ]
        self.scale, *self.lengths, self.noise = np.exp(min(found, key=lambda r: r.fun).x)
        self.factor = self._factor(self.scale, self.lengths, self.noise)
        self.weighted = cho_solve(self.factor, self.basis)
        self.information = self.basis.T @ self.weighted
        self.quadratic = np.linalg.solve(self.information, self.weighted.T @ self.y)
        self.residual = cho_solve(self.factor, self.y - self.basis @ self.quadratic)
        ends = [np.linspace(x.min(), x.max(), _POINTS) for x in self.at.T]
        self.grid = np.stack(np.meshgrid(*ends), axis=-1).reshape(-1, 2)

    def mean(self, logs: Array) -> Array:
        """Return the posterior mean of log loss at ln of learning rate and batch size."""
        return self._mean(np.atleast_2d(logs) - self.origin)

    @property
    def minimum(self) -> float:
        """The minimum of the posterior mean over the range of the runs."""
        return float(self._mean(self.grid).min())

    @property
    def optimum(self) -> Array:
        """Return ln of the pair that minimises the posterior mean."""
        return self.grid[self._mean(self.grid).argmin()] + self.origin

    def optima(self, count: int, rng: np.random.Generator) -> Array:
        """Return ln of the pairs that minimise posterior draws of the surface, a row per draw."""
        mean = self._mean(self.grid)
        near = mean < mean.min() + _NEAR_MINIMUM
        at, mean = self.grid[near], mean[near]
        cross = self._kernel(at, self.at)
        rest = _quadratic(at) - cross @ self.weighted
        covariance = self._kernel(at, at) - cross @ cho_solve(self.factor, cross.T)
        covariance += rest @ np.linalg.solve(self.information, rest.T)
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(values.clip(0.0))
        draws = mean[:, None] + root @ rng.standard_normal((len(mean), count))
        return at[draws.argmin(axis=0)] + self.origin

    def _mean(self, at: Array) -> Array:
        return _quadratic(at) @ self.quadratic + self._kernel(at, self.at) @ self.residual

    def _kernel(self, first: Array, second: Array) -> Array:
        return _squared_exponential(first, second, self.scale, self.lengths)

    def _factor(self, scale: float, lengths: list[float], noise: float) -> tuple[Array, bool]:
        covariance = _squared_exponential(self.at, self.at, scale, lengths)
        return cho_factor(covariance + noise**2 * np.eye(len(self.y)), lower=True)

    def _cost(self, logs: Array) -> float:
        """Return minus the log posterior of scale, lengths and noise, up to a constant."""
        scale, *lengths, noise = np.exp(logs)
        try:
            factor = self._factor(scale, lengths, noise)
        except LinAlgError:
            return float("inf")
        weighted = cho_solve(factor, self.basis)
        information = self.basis.T @ weighted
        rest = self.y - self.basis @ np.linalg.solve(information, weighted.T @ self.y)
        return float(
            0.5 * rest @ cho_solve(factor, rest)
            + np.log(np.diag(factor[0])).sum()
            + 0.5 * np.linalg.slogdet(information)[1]
            + 0.5 * (((logs[1:3] - _LENGTH) / _LENGTH_SD) ** 2).sum()
        )


def _quadratic(at: Array) -> Array:
    u, v = at.T
    return np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], axis=1)


def _squared_exponential(first: Array, second: Array, scale: float, lengths: list[float]) -> Array:
    steps = (first[:, None] - second[None]) / np.asarray(lengths)
    return scale**2 * np.exp(-0.5 * (steps**2).sum(axis=-1))
