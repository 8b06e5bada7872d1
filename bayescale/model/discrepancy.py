"""Model discrepancy: the elasticities of a law drift away from the centre of the runs.

Every closed-form law is misspecified somewhere, and a posterior that ignores this is overconfident
about larger runs. Here ln L departs smoothly from the law in every direction of (ln N, ln D): along
each of several axes the curvature of the departure is a random walk away from the reference point.
The scale of the walks per e-fold is estimated from the runs: it is small where they follow the law
and large where they do not, and it widens the intervals of extrapolations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale._portable import rounded
from bayescale.errors import CardError, quoted
from bayescale.laws import Law, Value, Values
from bayescale.laws.dispatch import larger
from bayescale.model.priors import Prior, prior_from_dict

_HALF = float(np.sqrt(0.5))

CELL = 1.0
"""Length, in ln units, of the cells within which the curvature changes at a constant rate."""

CELLS = 14
"""Cells on each side of the centre: a factor of a million. The curvature is constant beyond."""

AXES: Mapping[str, Mapping[str, float]] = {
    "compute": {"n_params": _HALF, "n_tokens": _HALF},
    "tokens_per_param": {"n_params": -_HALF, "n_tokens": _HALF},
}
"""Axes that combine inputs, with the weight of each; every input is also an axis."""

MODES = 16
"""Number of modes of the walks that are sampled: on public tables the remaining ones together
change no run by more than 0.3 % for a large drift (0.02), and by 0.01 % for a typical one."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A drift of the elasticities: a smooth departure of ln L from a law.

    Along each axis the curvature of the departure changes at a rate that is constant in cells of
    one e-fold and independent between them, so that the departure is a discrete, twice integrated
    Wiener process. It vanishes at the centre together with its slope and curvature, and has a
    standard deviation of ``scale h**2.5 / sqrt(20)`` at h e-folds along one axis. The sum over
    axes in evenly spaced directions is close to an isotropic random field.

    Attributes
    ----------
    axes
        ``"compute"``, ``"tokens_per_param"``, or inputs of the law.
    scale
        Prior of the scale of all walks: the standard deviation of the change of curvature, of ln
        L over ln units, across one e-fold.

    Examples
    --------
    >>> import bayescale as bs
    >>> from dataclasses import replace
    >>> drift = bs.load_model("chinchilla-drift").discrepancy
    >>> bs.load_model("coupled").discrepancy is None
    True
    >>> replace(bs.load_model("coupled"), id="coupled-drift", discrepancy=drift).n_free
    8

    Notes
    -----
    Sources: Wahba 1978, doi:10.1111/j.2517-6161.1978.tb01050.x, for the process (its posterior
    mean is a quintic smoothing spline); Matheron 1973, doi:10.2307/1425829, for fields as sums
    over lines; Kennedy and O'Hagan 2001, doi:10.1111/1467-9868.00294, for model discrepancy.
    """

    axes: tuple[str, ...]
    scale: Prior

    def __post_init__(self) -> None:
        if not self.axes or len(set(self.axes)) < len(self.axes):
            raise CardError(
                f"discrepancy: found axes = {list(self.axes)}, expected one or more, each once."
            )
        if not isinstance(self.scale, Prior) or self.scale.support != "positive":
            raise CardError(
                f"discrepancy.scale: found {quoted(self.scale)}, "
                "expected a prior on a positive quantity."
            )

    def check(self, law: Law) -> None:
        """Raise CardError unless every axis is valid for a law."""
        for axis in self.axes:
            needed = AXES.get(axis, {axis: 1.0})
            if not set(needed) <= set(law.inputs):
                raise CardError(
                    f"discrepancy.{axis}: found an axis of {' and '.join(needed)}, but the law "
                    f"{law.name} is of {', '.join(law.inputs)}."
                )

    def departure(self, log_inputs: Values, walks: xr.DataArray) -> Value:
        """Return the departure of ln L from the law.

        Parameters
        ----------
        log_inputs
            Logarithms of the inputs relative to the reference point.
        walks
            Draws of the scale times the steps of the walks, along ``axis`` and ``cell``: first
            the cells above the centre, then those below.
        """
        positions = [_position(axis, log_inputs) for axis in self.axes]
        if any(set(walks.dims) & set(getattr(x, "dims", ())) for x in positions):
            return sum(_along(walks.isel(axis=i), x) for i, x in enumerate(positions))
        # Inputs shared by all draws: a single matrix product.
        places = xr.broadcast(*map(xr.DataArray, log_inputs.values()))
        flat = {name: x.to_numpy().ravel() for name, x in zip(log_inputs, places, strict=True)}
        shape = (len(self.axes), 2 * CELLS, *places[0].shape)
        bends = xr.DataArray(
            self.bends(flat).reshape(shape),
            dims=("axis", "cell", *places[0].dims),
            coords=places[0].coords,
        )
        return xr.dot(walks, bends, dim=("axis", "cell"), optimize=True)

    def bends(self, log_inputs: Values) -> NDArray[np.float64]:
        """Return the design matrix of the cells: the effect of a unit step at each input.

        It has one row per axis and cell, in the order of the walks, so that the departures of
        many draws are one matrix product.
        """
        starts = CELL * np.arange(CELLS)[:, None]
        positions = [_position(axis, log_inputs) for axis in self.axes]
        return np.vstack([_bend(side * x - starts) for x in positions for side in (1.0, -1.0)])

    def modes(self, log_inputs: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the directions of the walks that the runs identify best.

        Steps are independent standard normals, and so are their coordinates in any orthogonal
        basis. In the basis of the left singular vectors of the bends at the runs, a few
        coordinates determine the departure at all runs, and they are independent in the likelihood.

        Returns
        -------
        turn, rows
            The first `MODES` directions as columns over cells, axis by axis; and the effect of
            each at every run, as rows.
        """
        bends = self.bends(log_inputs)
        # From the smaller Gram matrix, since there may be thousands of runs.
        _, ascending = np.linalg.eigh(bends @ bends.T)
        turn = ascending[:, : -MODES - 1 : -1]
        # Singular vectors are unique up to sign; resumed chains need the same sign.
        turn = turn * np.where(turn.sum(axis=0) < 0, -1.0, 1.0)
        # Rounded to about a millionth, since the last digits of LAPACK depend on the processor.
        return turn, rounded(turn.T @ bends, 2.0**-20)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str) -> "Drift":
        """Build a drift from a card's table."""
        axes = content.get("axes")
        if not isinstance(axes, list) or not all(isinstance(axis, str) for axis in axes):
            raise CardError(
                f"{where}: found axes = {quoted(axes)}, expected a list of names of axes."
            )
        unknown = set(content) - {"axes", "scale"}
        if unknown:
            raise CardError(
                f"{where}: found the unknown key {quoted(min(unknown))}; the keys are axes "
                "and scale."
            )
        return cls(
            axes=tuple(axes),
            scale=prior_from_dict(content.get("scale"), f"{where}.scale"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the drift as a card states it."""
        return {"axes": list(self.axes), "scale": self.scale.to_dict()}


SCALE = "drift"
"""Name of the scale of the walks."""

WALKS = "walks"
"""Name of the standardised steps of the walks."""


def _position(axis: str, log_inputs: Values) -> Value:
    return sum(power * log_inputs[name] for name, power in AXES.get(axis, {axis: 1.0}).items())


def _along(steps: xr.DataArray, position: xr.DataArray) -> xr.DataArray:
    """Return the departure along one axis at positions that differ between draws."""
    sides = ((position, slice(CELLS)), (-position, slice(CELLS, None)))
    found: xr.DataArray = sum(
        xr.apply_ufunc(_walked, steps.isel(cell=part), x, input_core_dims=[["cell"], []])
        for x, part in sides
    )
    return found


def _walked(steps: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the integrals of walks of the curvature: cubic within cells, quadratic beyond."""
    none = np.zeros((*steps.shape[:-1], 1))
    jerk = np.concatenate([steps, none], axis=-1) / np.sqrt(CELL)

    def at_starts(change: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([none, np.cumsum(change[..., :-1], axis=-1)], axis=-1)

    curvature = at_starts(jerk * CELL)
    slope = at_starts(curvature * CELL + jerk * CELL**2 / 2)
    value = at_starts(slope * CELL + curvature * CELL**2 / 2 + jerk * CELL**3 / 6)
    # The position of a draw without an optimum is NaN; any cell index will do.
    cell = np.nan_to_num(np.clip(distance // CELL, 0, CELLS)).astype(np.intp)
    inside = np.maximum(distance - cell * CELL, 0.0)
    taylor = np.stack([value, slope, curvature / 2, jerk / 6], axis=-2)
    shape = np.broadcast_shapes(taylor.shape[:-2], distance.shape)
    taylor = np.broadcast_to(taylor, (*shape, *taylor.shape[-2:]))
    cell = np.broadcast_to(cell, shape)[..., None, None]
    a, b, c, d = np.moveaxis(np.take_along_axis(taylor, cell, axis=-1)[..., 0], -1, 0)
    return np.asarray(a + inside * (b + inside * (c + inside * d)))


def _bend(distance: Value) -> Value:
    """Return the effect of a unit change of curvature over one cell, by distance from its start."""
    since, after = larger(distance, 0.0), larger(distance - CELL, 0.0)
    return (since**3 - after**3) / (6.0 * np.sqrt(CELL))
