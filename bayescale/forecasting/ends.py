"""Laws of one variable, parametrised by the two ends of a curve.

Parameters of these laws are hardly determined one by one: the floor and the last slope of a curve
form a ridge. The fall between the first and the last point is determined, whatever the law, so that
each law is written in the total fall and in shares and ratios. Each of these is a function of a
standard normal variable, so that the posterior has bounded curvature in these variables and every
law has the same prior for what all laws share.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bayescale.laws import law
from bayescale.laws.base import Law
from bayescale.laws.broken import BrokenPowerLaw

type Array = NDArray[np.float64]
type Columns = Mapping[str, Array]

FALL_SD = 0.3
"""Prior sd of ln of the true fall over the observed one."""

_SHARE_SHAPE = 1.5
"""The floor's share of the last loss is Beta(1, 1.5): any, with more weight on little floor."""

_BREAK_SHAPE = 1.2
_BREAK_MARGIN = 0.05
"""Breaks are Beta(1.2, 1.2) along the curve, a twentieth of which may lie outside either end."""

_WIDTH, _WIDTH_SD = 0.3, 0.7
"""Median width of a break in e-folds of x, and sd of its logarithm."""

_RATIO_SD = 1.0
"""Prior sd of ln of the ratio of the slopes after and before a break."""

_SHIFT_SD = 2.0
"""Prior sd of ln of the shift x_0 over the first x."""

_ALPHA_SD = 0.7
_HEADROOM, _HEADROOM_SD = np.exp(-2.0), 1.5
"""Median distance of the guess from the first loss, relative to that loss above the floor."""

_TINY = 1e-12


@dataclass(frozen=True)
class EndsLaw:
    """A law of one variable in the coordinates of the ends of a curve.

    Attributes
    ----------
    law
        The law.
    shares
        Number of its unknowns beside level and fall, each with a standard normal prior.
    natural
        Function of these (draws x shares), of the fall of the log loss, and of the range of
        ln x: the law's own parameters as columns, such that the loss is 1 at the last x, which is
        the unit of x.
    """

    law: Law
    shares: int
    natural: Callable[[Array, Array, float], Columns]

    def log_loss(self, z: Array, fall: Array, span: float, log_x: Array) -> Array:
        """Return ln of the loss relative to that at the last x, as draws x points.

        Parameters
        ----------
        z
            Standard normal unknowns, draws x shares.
        fall
            Fall of the log loss from the first to the last x, by draw.
        span
            Range of ln x of the curve.
        log_x
            ln x, relative to the last x of the curve.
        """
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values = self.law.formula({"x": log_x[None, :]}, self.natural(z, fall, span))
            return np.asarray(np.log(values))


def _column(values: Array) -> Array:
    return values[:, None]


def _floor_share(z: Array) -> Array:
    """Return the quantile of Beta(1, 1.5) at the probability of a standard normal."""
    return np.asarray(-np.expm1(special.log_ndtr(-z) / _SHARE_SHAPE))


def _reducible_fall(fall: Array, share: Array) -> Array:
    """Return the fall of ln of the loss above the floor."""
    return np.asarray(np.log(np.maximum(np.exp(fall) - share, _TINY) / (1.0 - share)))


def _power(z: Array, fall: Array, span: float) -> Columns:
    return {"x_c": np.ones((len(z), 1)), "alpha": _column(fall / span)}


def _with_floor(z: Array, fall: Array, span: float) -> Columns:
    share = _floor_share(z[:, 0])
    alpha = _reducible_fall(fall, share) / span
    return {
        "E": _column(share),
        "x_c": _column(np.exp(np.log1p(-share) / alpha)),
        "alpha": _column(alpha),
    }


def _plateau(z: Array, fall: Array, span: float) -> Columns:
    # The share of 1/x in 1/x + gamma at the last point is uniform.
    share = special.ndtr(z[:, 0])
    exponent = fall / np.log1p(share * np.expm1(span))
    return {
        "gamma": _column((1.0 - share) / share),
        "c": _column(exponent),
        "b": _column(np.exp(exponent * np.log(share))),
    }


def _saturating(z: Array, fall: Array, span: float) -> Columns:
    share = _floor_share(z[:, 0])
    shift = np.exp(_SHIFT_SD * z[:, 1] - span)
    last = np.log1p(shift)
    alpha = _reducible_fall(fall, share) / (last - np.log(np.exp(-span) + shift))
    return {
        "E": _column(share),
        "x_0": _column(shift),
        "alpha": _column(alpha),
        "x_c": _column(np.exp(np.log1p(-share) / alpha + last)),
    }


def _sigmoid(z: Array, fall: Array, span: float) -> Columns:
    share = _floor_share(z[:, 0])
    alpha = np.exp(_ALPHA_SD * z[:, 1])
    first = np.exp(fall)
    guess = first + _HEADROOM * np.exp(_HEADROOM_SD * z[:, 2]) * (first - share)
    at_first = np.log(np.maximum(first - share, _TINY)) - alpha * np.log(guess - first)
    at_last = np.log1p(-share) - alpha * np.log(guess - 1.0)
    return {
        "E": _column(share),
        "L_0": _column(guess),
        "alpha": _column(alpha),
        "c": _column((at_first - at_last) / span),
        "b": _column(np.exp(at_last)),
    }


@dataclass(frozen=True)
class _Broken:
    """Natural parameters of a broken power law."""

    law: BrokenPowerLaw

    def __call__(self, z: Array, fall: Array, span: float) -> Columns:
        count = self.law.breaks
        share = _floor_share(z[:, 0])
        places, ratios, widths = (z[:, 1 + i * count : 1 + (i + 1) * count] for i in range(3))
        along = special.betaincinv(_BREAK_SHAPE, _BREAK_SHAPE, special.ndtr(places))
        along = np.sort((1.0 + 2.0 * _BREAK_MARGIN) * along - _BREAK_MARGIN, axis=1)
        # Slopes relative to the first, which the fall then determines.
        slopes = np.exp(_RATIO_SD * np.cumsum(ratios, axis=1))
        relative = [np.ones(len(z)), *slopes.T]
        shape = {"c0": np.ones((len(z), 1))}
        for i, (before, after) in enumerate(pairwise(relative), start=1):
            shape[f"c{i}"] = _column(after - before)
            shape[f"d{i}"] = _column(np.exp(span * (along[:, i - 1] - 1.0)))
            shape[f"f{i}"] = _column(_WIDTH * np.exp(_WIDTH_SD * widths[:, i - 1]))
        ends = np.asarray(self.law.log_shape({"x": np.array([[-span, 0.0]])}, shape))
        scale = _reducible_fall(fall, share) / (ends[:, 0] - ends[:, 1])
        natural = {
            name: value * _column(scale) if name.startswith("c") else value
            for name, value in shape.items()
        }
        level = (1.0 - share) * np.exp(-scale * ends[:, 1])
        return {"a": _column(share), "b": _column(level), **natural}


def _broken(breaks: int) -> EndsLaw:
    chosen = law(f"broken-power-law-{breaks}")
    assert isinstance(chosen, BrokenPowerLaw)
    return EndsLaw(chosen, 1 + 3 * breaks, _Broken(chosen))


LAWS: Mapping[str, EndsLaw] = {
    found.law.name: found
    for found in (
        EndsLaw(law("power-law"), 0, _power),
        EndsLaw(law("power-law-floor"), 1, _with_floor),
        EndsLaw(law("power-law-plateau"), 1, _plateau),
        EndsLaw(law("power-law-saturating"), 2, _saturating),
        EndsLaw(law("power-law-sigmoid"), 3, _sigmoid),
        _broken(1),
        _broken(2),
    )
}
"""The laws that a forecast averages."""
