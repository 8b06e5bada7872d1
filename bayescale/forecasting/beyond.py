"""Deviations of a curve from its fitted law: breaks beyond the data, and a discrepancy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """Breaks beyond the data, and the discrepancy from the law, chosen on public curves.

    Both are relative to the mean slope of the curve, its fall over its range of ln x, so that they
    are the same for a curve that falls by a per cent and one that falls a hundredfold.

    Attributes
    ----------
    break_rate
        Expected number of breaks per e-fold of x beyond the data.
    slope_change
        Standard deviation of the change of slope at a break, relative to the mean slope.
    roughness
        Prior median of the standard deviation of the discrepancy from the law over the range of
        ln x of the data, relative to the fall. The discrepancy is Brownian motion in ln x: its
        variance grows with the distance. Its scale is estimated from the points of the curve, and
        is the same beyond the data.

    Notes
    -----
    The defaults were chosen on all eight kinds of public curves of ``docs/forecasts.md``. That page
    also scores forecasts with values learnt from the other kinds of curves.
    """

    break_rate: float = 0.3
    slope_change: float = 1.0
    roughness: float = 0.03

    def __post_init__(self) -> None:
        for name in ("break_rate", "slope_change", "roughness"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name}: found {value!r}, expected a number of at least zero.")

    def break_probability(self, distance: Array) -> Array:
        """Return the probability of a break within a distance beyond the data, in e-folds."""
        return np.asarray(-np.expm1(-self.break_rate * np.maximum(distance, 0.0)))

    def breaks(
        self, distance: Array, fall: float, span: float, draws: int, rng: np.random.Generator
    ) -> Array:
        """Draw the effect of breaks on the log loss.

        Parameters
        ----------
        distance
            Distances beyond the data, in e-folds; negative inside.
        fall, span
            Fall of the log loss over the data, and their range of ln x.
        draws
            Number of draws.
        rng
            Generator of random numbers.

        Returns
        -------
        array
            Draws x distances; zero inside the data.
        """
        position = rng.exponential(size=(draws, 1)) / max(self.break_rate, 1e-300)
        change = self.slope_change * fall / span * rng.standard_normal((draws, 1))
        return change * np.maximum(distance[None, :] - position, 0.0)


NOTHING = Beyond(break_rate=0.0, slope_change=0.0, roughness=0.0)
"""The laws alone."""
