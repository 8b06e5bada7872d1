"""Preconditioner: linear coordinates in which the posterior is close to standard normal."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

type Vector = NDArray[np.float64]

type LogDensity = Callable[[Vector], tuple[float, Vector]]
"""A log density and its gradient at a position."""

_MOST_STEPS = 200
_NOWHERE = 1e12
"""Energy assigned where the density is zero, larger than any other."""

_DECIMALS = 6
"""Decimals to which starting positions are rounded."""

_NUDGE = 1e-4
"""Step of central differences of the gradient, in variables with scales of about one."""

_WIDEST = 4.0
"""Upper limit on the standard deviation along any axis, about that of wide priors."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A linear change of variables of the scalars, and a shift of all others.

    Positions hold the scalars first.

    Attributes
    ----------
    centre
        The position at the origin of the new coordinates.
    axes
        Matrix whose columns are the axes of the scalars.
    """

    centre: Vector
    axes: NDArray[np.float64]

    @classmethod
    def plain(cls, size: int, scalars: int) -> "Frame":
        """Return the identity frame."""
        return cls(np.zeros(size), np.eye(scalars))

    @classmethod
    def about_mode(cls, log_density: LogDensity, start: Vector, scalars: int) -> "Frame":
        """Return the frame of the Laplace approximation of the scalars, at the mode.

        The choice affects only the speed of sampling, not the posterior. If the search finds no
        finite density, the identity frame is returned.
        """
        mode = mode_from(log_density, start)
        if mode is None:
            return cls.plain(len(start), scalars)
        energy = _energy_of(log_density)
        curvature = np.empty((scalars, scalars))
        for i in range(scalars):
            nudge = np.zeros_like(mode)
            nudge[i] = _NUDGE
            ahead, behind = energy(mode + nudge)[1], energy(mode - nudge)[1]
            curvature[i] = (ahead - behind)[:scalars] / (2.0 * _NUDGE)
        values, directions = np.linalg.eigh(0.5 * (curvature + curvature.T))
        widths = 1.0 / np.sqrt(np.maximum(values, 1.0 / _WIDEST**2))
        # All other variables are whitened steps, with scales of one.
        centre = np.where(np.arange(len(mode)) < scalars, mode, 0.0)
        return cls(centre, directions * widths)

    @staticmethod
    def room(size: int, scalars: int) -> int:
        """Return the length of `packed`."""
        return size + scalars**2

    def packed(self) -> Vector:
        """Return the frame as one array."""
        return np.concatenate([self.centre, self.axes.ravel()])

    def place(self, point: Vector) -> Vector:
        """Return the position of a point in these coordinates; the inverse of `seen`."""
        scalars = len(self.axes)
        return np.asarray(
            self.centre + np.concatenate([self.axes @ point[:scalars], point[scalars:]])
        )

    def slope(self, gradient: Vector) -> Vector:
        """Return the gradient in these coordinates, from that in positions."""
        scalars = len(self.axes)
        return np.concatenate([self.axes.T @ gradient[:scalars], gradient[scalars:]])

    def seen(self, position: Vector) -> Vector:
        """Return a position in these coordinates."""
        scalars = len(self.axes)
        from_centre = position - self.centre
        along = np.linalg.solve(self.axes, from_centre[:scalars])
        return np.concatenate([along, from_centre[scalars:]])


def mode_from(
    log_density: LogDensity, start: Vector, most_steps: int = _MOST_STEPS
) -> Vector | None:
    """Return the local maximum found from a start, or None if the density is zero there."""
    from scipy.optimize import minimize

    found = minimize(
        _energy_of(log_density),
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": most_steps},
    )
    return None if found.fun >= _NOWHERE else np.asarray(found.x)


def nearer_the_mode(log_density: LogDensity, start: Vector) -> Vector:
    """Return a position on the way to the local maximum, from which sampling is stable.

    The search stops where a step gains less than a nat per variable. A chain that starts thousands
    of nats below gains as much kinetic energy, which carries it far into a tail, such as that of
    the degrees of freedom at their lower bound; the mass matrix is then estimated where the density
    is flat, and its steps collapse.
    """
    from scipy.optimize import minimize

    energy = _energy_of(log_density)
    before = energy(start)[0]

    def stop_where_gains_are_small(intermediate_result: Any) -> None:
        nonlocal before
        if before - intermediate_result.fun < len(start):
            raise StopIteration
        before = intermediate_result.fun

    found = minimize(
        energy, start, jac=True, method="L-BFGS-B", callback=stop_where_gains_are_small
    )
    # The last digits depend on the processor; after many steps draws would too.
    return np.asarray(found.x).round(_DECIMALS)


def _energy_of(log_density: LogDensity) -> LogDensity:
    def energy(position: Vector) -> tuple[float, Vector]:
        value, slope = log_density(position)
        if np.isfinite(value) and np.all(np.isfinite(slope)):
            return -value, -slope
        return _NOWHERE, np.zeros_like(slope)

    return energy
