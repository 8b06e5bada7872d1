"""Laws of one variable, parametrised by the two ends of a curve.

A curve hardly identifies the single parameters of these laws: the floor and the last slope are
strongly correlated. It identifies the fall between the first and the last point under any law.
Therefore each law is parametrised by the total fall, and by shares and ratios. Each of these is a
function of a standard normal variable, so that the posterior has bounded curvature and all laws
have the same prior on common quantities.

Most laws fall. Signed broken power laws may rise on any segment, as for models that over-fit and
double descent. They have no floor, and their total fall is a share of that to the lowest points.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bayescale.laws import law
from bayescale.laws.base import Law
from bayescale.laws.broken import BrokenPowerLaw, SignedBrokenPowerLaw

type Array = NDArray[np.float64]
type Columns = Mapping[str, Array]

FALL_SD = 0.3
"""Prior sd of ln of the true fall over the observed one."""

_BREAK_SHAPE = 1.2
_BREAK_MARGIN = 0.05
"""Positions of breaks are Beta(1.2, 1.2) over the range of ln x, extended by this at either end."""

_WIDTH, _WIDTH_SD = 0.3, 0.7
"""Median width of a break in e-folds of x, and sd of its logarithm."""

_RATIO_SD = 1.0
"""Prior sd of ln of the ratio of the slopes after and before a break."""

_CHANGE_SD = 1.5
"""Prior sd of the change of slope at a break of a signed law, relative to the mean slope."""

_SHIFT_SD = 2.0
"""Prior sd of ln of the shift x_0 over the first x."""

_ALPHA_SD = 0.7
_HEADROOM, _HEADROOM_SD = np.exp(-2.0), 1.5
"""Median distance of the chance level from the first loss, relative to its reducible part."""

_TINY = 1e-12


@dataclass(frozen=True)
class EndsLaw:
    """A law of one variable in the coordinates of the ends of a curve.

    Attributes
    ----------
    name
        Name among the laws of a forecast.
    law
        The law.
    shares
        Number of its parameters other than level and fall, each with a standard normal prior.
    natural
        Function of these (draws x shares), of the fall of the log loss, and of the range of
        ln x: the law's own parameters as columns, such that the loss is 1 at the last x, which is
        the unit of x.
    """

    name: str
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
            Fall of the log loss from the first to the last x, by draw; to the lowest loss for laws
            of either sign.
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
    """Return the floor's share of the last loss, which is uniform."""
    return np.asarray(special.ndtr(z))


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
    """Natural parameters of a broken power law that falls on every segment."""

    law: BrokenPowerLaw

    def __call__(self, z: Array, fall: Array, span: float) -> Columns:
        count = self.law.breaks
        share, ratios = _floor_share(z[:, 0]), z[:, 1 : 1 + count]
        # Slopes relative to the first, which the fall then determines.
        slopes = np.exp(_RATIO_SD * np.cumsum(ratios, axis=1))
        relative = [np.ones(len(z)), *slopes.T]
        changes = [after - before for before, after in pairwise(relative)]
        shape = _shape(np.ones(len(z)), changes, z[:, 1 + count :], span)
        first, last = _at_ends(self.law, shape, span)
        scale = _reducible_fall(fall, share) / (first - last)
        level = (1.0 - share) * np.exp(-scale * last)
        return {"a": _column(share), "b": _column(level), **_scaled(shape, scale)}


@dataclass(frozen=True)
class _Signed:
    """Natural parameters of a signed broken power law, without floor."""

    law: SignedBrokenPowerLaw

    def __call__(self, z: Array, fall: Array, span: float) -> Columns:
        count = self.law.breaks
        changes = list(_CHANGE_SD * z[:, 1 : 1 + count].T)
        # In units of the fall over the range: the changes fix the slopes up to one for all
        # segments, which the total fall then determines.
        bends = _shape(np.zeros(len(z)), changes, z[:, 1 + count :], span)
        first, last = _at_ends(self.law, bends, span)
        shape = {**bends, "c0": _column(z[:, 0] - (first - last) / span)}
        _, last = _at_ends(self.law, shape, span)
        scale = fall / span
        level = np.exp(-scale * last)
        return {"b": _column(level), **_scaled(shape, scale)}


def _shape(c0: Array, changes: Sequence[Array], z: Array, span: float) -> Columns:
    """Return slopes up to a scale, with the breaks' positions and widths given by unknowns."""
    count = len(changes)
    along = special.betaincinv(_BREAK_SHAPE, _BREAK_SHAPE, special.ndtr(z[:, :count]))
    along = np.sort((1.0 + 2.0 * _BREAK_MARGIN) * along - _BREAK_MARGIN, axis=1)
    places, widths = np.exp(span * (along - 1.0)), _WIDTH * np.exp(_WIDTH_SD * z[:, count:])
    shape = {"c0": _column(c0)}
    for i, change in enumerate(changes):
        shape[f"c{i + 1}"] = _column(change)
        shape[f"d{i + 1}"] = _column(places[:, i])
        shape[f"f{i + 1}"] = _column(widths[:, i])
    return shape


def _at_ends(
    law: BrokenPowerLaw | SignedBrokenPowerLaw, shape: Columns, span: float
) -> tuple[Array, Array]:
    """Return ln of the reducible loss at the first and at the last x."""
    ends = np.asarray(law.log_shape({"x": np.array([[-span, 0.0]])}, shape))
    return ends[:, 0], ends[:, 1]


def _scaled(shape: Columns, scale: Array) -> Columns:
    """Return the slopes in units of a scale, and positions and widths as they are."""
    return {
        name: value * _column(scale) if name.startswith("c") else value
        for name, value in shape.items()
    }


def _named(name: str, shares: int, natural: Callable[[Array, Array, float], Columns]) -> EndsLaw:
    return EndsLaw(name, law(name), shares, natural)


SIGNED: Mapping[str, EndsLaw] = {
    signed.name: EndsLaw(signed.name, signed, 1 + 3 * signed.breaks, _Signed(signed))
    for signed in map(SignedBrokenPowerLaw, (1, 2))
}
"""The laws of a forecast that may rise."""

LAWS: Mapping[str, EndsLaw] = {
    **{
        found.name: found
        for found in (
            _named("power-law", 0, _power),
            _named("power-law-floor", 1, _with_floor),
            _named("power-law-plateau", 1, _plateau),
            _named("power-law-saturating", 2, _saturating),
            _named("power-law-sigmoid", 3, _sigmoid),
            _named("broken-power-law-1", 4, _Broken(BrokenPowerLaw(1))),
            _named("broken-power-law-2", 7, _Broken(BrokenPowerLaw(2))),
        )
    },
    **SIGNED,
}
"""The laws that a forecast averages."""
