"""Model discrepancy: how ln L departs from a law, away from the centre of the runs.

Every closed-form law is misspecified somewhere, and a posterior that ignores this is overconfident
about larger runs. Here ln L departs from the law along several axes of (ln N, ln D) by random
walks that start at the centre of the runs. The slope of each walk has a rough part, independent
from one e-fold to the next, as for budgets that are tuned better or worse than others; and a
smooth part that accumulates, as for a law of another shape. Both shrink with scale as the
elasticities of laws do. The scale of each part is estimated from the runs, with a prior learnt from
public sweeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayescale._portable import rounded
from bayescale.errors import CardError, as_list, quoted, refuse_unknown
from bayescale.laws import Law, Value, Values
from bayescale.laws.dispatch import larger
from bayescale.model.priors import Prior, check_prior, prior_from_dict

if TYPE_CHECKING:
    import xarray as xr

_HALF = float(np.sqrt(0.5))

CELLS = 14
"""Knots on each side of the centre, one e-fold apart: a factor of a million. Walks are constant
beyond the last."""

_UNSEEN = 1e-6
"""Eigenvalues below this share of the largest count as zero: directions that the runs do not
inform."""

_TIES = 1e-4
"""Weight that separates directions of equal prior variance by their effect at the runs; variances
are of order one."""

_STEP = 2.0**-16
"""Effects are rounded to multiples of this, in ln L per unit of slope."""

DECAY = 0.3
"""Rate, per e-fold of an input, at which slopes shrink with scale. The elasticities of a law shrink
at the rates k alpha and k beta, which are near 0.3 in public sweeps. If slopes did not shrink, the
departure would exceed the remaining gains from scale, and many draws would have no optimum."""

AXES: Mapping[str, Mapping[str, float]] = {
    "compute": {"n_params": _HALF, "n_tokens": _HALF},
    "tokens_per_param": {"n_params": -_HALF, "n_tokens": _HALF},
}
"""Axes that combine inputs, with the weight of each; every input is also an axis."""

SCALES = ("rough", "smooth")
"""The scales of a discrepancy."""

MODES = 28
"""Number of modes of the slopes that are sampled: all that runs over a factor of 1,000 inform."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Modes:
    """The directions of the slopes that the runs inform.

    In the orthogonal basis `turn`, the coordinates of the slopes are independent a priori, and
    together they determine the departure at all runs.

    Attributes
    ----------
    turn
        Directions as columns over axes and cells.
    growth
        Variance of each coordinate for ``rough = 0`` and ``smooth = 1``. It is descending.
    rows
        The effect of each direction at every run.
    factor
        A lower triangular factor of the Gram matrix of the effects, with at most as many columns
        as runs.
    """

    turn: NDArray[np.float64]
    growth: NDArray[np.float64]
    rows: NDArray[np.float64]
    factor: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Discrepancy:
    """A departure of ln L from a law: a local linear trend along axes of (ln N, ln D).

    Along each axis, and on each side of the centre, the departure has a slope that is linear
    between knots, one e-fold apart, and zero at the centre. At a knot it is a level that is itself
    a random walk, plus independent noise: ``slope[k] = level[k] + rough * z[k]`` and
    ``level[k] = level[k - 1] + smooth * w[k]``, with z and w standard normal, times
    ``exp(-DECAY * x)``, where x is the mean of the logs of the axis's inputs at the knot, relative
    to the centre. Axes are independent and add up: the sum over axes in evenly spaced directions is
    close to an isotropic random field, but for the decay.

    Attributes
    ----------
    axes
        ``"compute"``, ``"tokens_per_param"``, or inputs of the law.
    rough
        Prior of the scale of the noise of the slopes, in ln L per e-fold along an axis. Near the
        centre, the departure that follows from it grows with the square root of the distance, so
        that the variogram of this part of the field is proportional to the distance.
    smooth
        Prior of the scale of the walk of the level, in ln L per e-fold, over one e-fold. Near the
        centre, the departure that follows from it grows with the distance to the power 1.5.

    Examples
    --------
    >>> import bayescale as bs
    >>> from dataclasses import replace
    >>> model = bs.load_model("coupled-discrepancy")
    >>> list(model.discrepancy.scales)
    ['rough', 'smooth']
    >>> replace(model, id="law alone", discrepancy=None).discrepancy is None
    True

    Notes
    -----
    Sources: Harvey 1989, doi:10.1017/CBO9781107049994, for the local linear trend; Matheron 1973,
    doi:10.2307/1425829, for fields as sums over lines; Kennedy and O'Hagan 2001,
    doi:10.1111/1467-9868.00294, for model discrepancy.
    """

    axes: tuple[str, ...]
    rough: Prior
    smooth: Prior

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(as_list(self.axes)))
        if not self.axes or len(set(self.axes)) < len(self.axes):
            raise CardError(
                f"discrepancy: found axes = {list(self.axes)}, expected one or more, each once."
            )
        for name, prior in self.scales.items():
            expected = "a prior on a positive quantity"
            check_prior(f"discrepancy.{name}", prior, positive=True, expected=expected)

    @property
    def scales(self) -> dict[str, Prior]:
        """The prior of each scale."""
        return {"rough": self.rough, "smooth": self.smooth}

    def scaled(self, priors: Mapping[str, Prior]) -> "Discrepancy":
        """Return the same process with other priors of its scales; those not given are kept."""
        kept = {**self.scales, **priors}
        return replace(self, rough=kept["rough"], smooth=kept["smooth"])

    def check(self, law: Law) -> None:
        """Raise CardError unless every axis is valid for a law."""
        for axis in self.axes:
            needed = AXES.get(axis, {axis: 1.0})
            if not set(needed) <= set(law.inputs):
                raise CardError(
                    f"discrepancy.{axis}: found an axis of {' and '.join(needed)}, but the law "
                    f"{law.name} is of {', '.join(law.inputs)}."
                )

    def departure(self, log_inputs: Values, slopes: "xr.DataArray") -> Value:
        """Return the departure of ln L from the law.

        Parameters
        ----------
        log_inputs
            Logarithms of the inputs relative to the reference point.
        slopes
            Draws of the slopes at the knots before their decay, along ``axis`` and ``cell``: first
            the knots above the centre, then those below.
        """
        import xarray as xr

        positions = [_position(axis, log_inputs) for axis in self.axes]
        if any(set(slopes.dims) & set(getattr(x, "dims", ())) for x in positions):
            scaled = slopes * xr.DataArray(self._shares(), dims=("axis", "cell"))
            return sum(_along(scaled.isel(axis=i), x) for i, x in enumerate(positions))
        # Inputs shared by all draws: a single matrix product.
        places = xr.broadcast(*map(xr.DataArray, log_inputs.values()))
        flat = {name: x.to_numpy().ravel() for name, x in zip(log_inputs, places, strict=True)}
        shape = (len(self.axes), 2 * CELLS, *places[0].shape)
        effects = xr.DataArray(
            self.effects(flat).reshape(shape),
            dims=("axis", "cell", *places[0].dims),
            coords=places[0].coords,
        )
        return xr.dot(slopes, effects, dim=("axis", "cell"), optimize=True)

    def effects(self, log_inputs: Values) -> NDArray[np.float64]:
        """Return the design matrix of the slopes: the effect of each at each input.

        It has one row per axis and cell, so that the departures of many draws are one matrix
        product.
        """
        knots = np.arange(1, CELLS + 1)[:, None]
        positions = [_position(axis, log_inputs) for axis in self.axes]
        effects = [_ramp(side * x - knots) for x in positions for side in (1.0, -1.0)]
        return np.vstack(effects) * self._shares().ravel()[:, None]

    def _shares(self) -> NDArray[np.float64]:
        """Return by how much slopes are smaller than near the centre, by axis and cell."""
        knots = np.concatenate([np.arange(1, CELLS + 1), -np.arange(1, CELLS + 1)])
        return np.exp(-np.outer([_decay(axis) for axis in self.axes], knots))

    def draw(self, rough: Any, smooth: Any, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return prior draws of the slopes, with axes and cells along the last axis.

        Parameters
        ----------
        rough, smooth
            Draws of the scales.
        rng
            The generator of random numbers.
        """
        shape = (*np.shape(rough), 2 * len(self.axes), CELLS)
        noise, steps = rng.standard_normal((2, *shape))
        scales = (np.asarray(x)[..., None, None] for x in (rough, smooth))
        of_noise, of_level = scales
        slopes = of_noise * noise + of_level * steps.cumsum(axis=-1)
        return np.asarray(slopes.reshape((*shape[:-2], -1)))

    def given(
        self,
        modes: Modes,
        coordinates: NDArray[np.float64],
        rough: NDArray[np.float64],
        smooth: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Return draws of all slopes given the coordinates of those that the runs inform.

        Parameters
        ----------
        modes
            The modes.
        coordinates
            Standardised draws of the coordinates, with the mode along the last axis.
        rough, smooth
            Draws of the scales.
        rng
            The generator of random numbers.
        """
        slopes = self.draw(rough, smooth, rng)
        variance = rough[..., None] ** 2 + smooth[..., None] ** 2 * modes.growth
        # Matheron's rule: a prior draw, corrected by the difference of its modes from those given.
        gap = coordinates / np.sqrt(variance) - (slopes @ modes.turn) / variance
        through = gap @ (self.covariance_of_levels() @ modes.turn).T
        return (
            slopes + rough[..., None] ** 2 * (gap @ modes.turn.T) + smooth[..., None] ** 2 * through
        )

    def modes(self, log_inputs: Values) -> Modes:
        """Return the directions of the slopes that the runs inform.

        Parameters
        ----------
        log_inputs
            Logarithms of the inputs of the runs relative to the reference point.
        """
        effects = self.effects(log_inputs)
        # From the smaller Gram matrix, since there may be thousands of runs.
        strength, directions = np.linalg.eigh(effects @ effects.T)
        # The effects of all others at the runs are rounding errors.
        count = min(MODES, int((strength > _UNSEEN * strength[-1]).sum()))
        seen = directions[:, : -count - 1 : -1]
        covariance = seen.T @ self.covariance_of_levels() @ seen
        # Directions of equal prior variance are separated by their effect at the runs.
        ties = _TIES * np.diag(strength[: -count - 1 : -1] / strength[-1])
        _, rotation = np.linalg.eigh(covariance + ties)
        growth = np.einsum("ij,ik,kj->j", rotation, covariance, rotation)
        turn = seen @ rotation[:, ::-1]
        # Eigenvectors are unique up to sign, and resumed chains need the same sign. The direction
        # that decides has no symmetry, since many eigenvectors are orthogonal to one that has.
        turn = turn * np.where(np.sin(1.0 + np.arange(len(turn))) @ turn < 0, -1.0, 1.0)
        rows = turn.T @ effects
        factor = np.linalg.qr(rows.T, mode="r").T
        # Modes that are left over have no effect; the number is the same for every table.
        spare = MODES - count
        turn = np.pad(turn, ((0, 0), (0, spare)))
        growth, rows = np.pad(growth[::-1], (0, spare)), np.pad(rows, ((0, spare), (0, 0)))
        factor = np.pad(factor, ((0, spare), (0, 0)))
        # Rounded, since the last digits of LAPACK depend on the processor.
        growth, rows, factor = (rounded(x, _STEP) for x in (growth, rows, factor))
        return Modes(turn=turn, growth=growth, rows=rows, factor=factor)

    def covariance_of_levels(self) -> NDArray[np.float64]:
        """Return the covariance of the slopes for ``rough = 0`` and ``smooth = 1``."""
        steps = np.minimum.outer(np.arange(CELLS), np.arange(CELLS)) + 1.0
        return np.asarray(np.kron(np.eye(2 * len(self.axes)), steps), dtype=np.float64)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str) -> "Discrepancy":
        """Build a discrepancy from a card's table."""
        axes = content.get("axes")
        if not isinstance(axes, list) or not all(isinstance(axis, str) for axis in axes):
            raise CardError(
                f"{where}: found axes = {quoted(axes)}, expected a list of names of axes."
            )
        refuse_unknown(content, {"axes", *SCALES}, where)
        rough, smooth = (prior_from_dict(content.get(n), f"{where}.{n}") for n in SCALES)
        return cls(axes=tuple(axes), rough=rough, smooth=smooth)

    def to_dict(self) -> dict[str, Any]:
        """Return the discrepancy as a card states it."""
        scales = {name: prior.to_dict() for name, prior in self.scales.items()}
        return {"axes": list(self.axes), **scales}


SLOPES = "slopes"
"""Name of the slopes of the departure before their decay, in ln L per e-fold along an axis."""

MEANINGS: Mapping[str, str] = {
    "rough": "noise of the slope of ln L about that of the law, at each e-fold along an axis",
    "smooth": "change of the slope of ln L, from that of the law, over one e-fold along an axis",
}
"""What each scale is a standard deviation of."""


def _position(axis: str, log_inputs: Values) -> Value:
    return sum(power * log_inputs[name] for name, power in AXES.get(axis, {axis: 1.0}).items())


def _along(slopes: "xr.DataArray", position: "xr.DataArray") -> "xr.DataArray":
    """Return the departure along one axis at positions that differ between draws."""
    import xarray as xr

    sides = ((position, slice(CELLS)), (-position, slice(CELLS, None)))
    found: xr.DataArray = sum(
        xr.apply_ufunc(_walked, slopes.isel(cell=part), x, input_core_dims=[["cell"], []])
        for x, part in sides
    )
    return found


def _walked(slopes: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return walks with given slopes at the knots, by distance from the centre."""
    none = np.zeros((*slopes.shape[:-1], 1))
    slopes = np.concatenate([none, slopes, none], axis=-1)
    value = np.concatenate([none, np.cumsum(slopes[..., 1:] + slopes[..., :-1], axis=-1) / 2], -1)
    # The position of a draw without an optimum is NaN; any cell index will do.
    cell = np.nan_to_num(np.clip(distance // 1.0, 0, CELLS)).astype(np.intp)
    inside = np.clip(distance - cell, 0.0, 1.0)
    shape = np.broadcast_shapes(slopes.shape[:-1], distance.shape)
    cell = np.broadcast_to(cell, shape)[..., None]
    at_start, slope, next_slope = (
        np.take_along_axis(np.broadcast_to(x, (*shape, CELLS + 2)), i, axis=-1)[..., 0]
        for x, i in ((value, cell), (slopes, cell), (slopes, cell + 1))
    )
    return np.asarray(at_start + inside * (slope + 0.5 * inside * (next_slope - slope)))


def _decay(axis: str) -> float:
    weights = AXES.get(axis, {axis: 1.0}).values()
    return DECAY * sum(weights) / len(weights)


def _ramp(distance: Value) -> Value:
    """Return the effect of a unit slope at one knot, by distance from it."""
    below, at, above = (larger(distance + shift, 0.0) ** 2 for shift in (1.0, 0.0, -1.0))
    return 0.5 * (below - 2.0 * at + above)
