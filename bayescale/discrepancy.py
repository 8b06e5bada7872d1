"""How a law may be wrong: its elasticities drift, away from the centre of the runs.

Every closed-form law is wrong somewhere, and a posterior that does not know it is far too sure of
larger runs. Here the slope of ln L along an axis (compute, tokens per parameter) takes a random
walk away from the reference point. How far it goes per e-fold is learnt from the runs: where they
follow the law, the walk is short; where they do not, it is long, and goes on beyond them. The axes
share what is learnt: runs that depart from a law in their tokens per parameter, which a table
shows, make one expect that larger ones depart from it too, which no table shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale.errors import CardError
from bayescale.laws import Law, Value, Values
from bayescale.laws.dispatch import larger, smaller
from bayescale.priors import Prior, prior_from_dict

CELL = 1.0
"""Length, in ln units, over which the curvature is constant."""

CELLS = 14
"""Cells on each side of the centre: a factor of a million. Beyond, the slope stays."""

AXES: Mapping[str, Mapping[str, float]] = {
    "compute": {"n_params": 1.0, "n_tokens": 1.0},
    "tokens_per_param": {"n_params": -1.0, "n_tokens": 1.0},
}
"""Axes that are products of inputs, with the power of each; an input is an axis of its own."""

MODES = 10
"""Modes of a walk that are sampled: the next would move no run by more than 0.01 %."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A random walk of the elasticities: a smooth departure of ln L from a law.

    Along each axis the curvature of the departure is constant in cells of one e-fold and
    independent between them, so that the departure is a discrete integrated Wiener process: small
    near the centre, where value and slope are the law's own, and growing with the distance.

    Attributes
    ----------
    axes
        ``"compute"``, ``"tokens_per_param"``, or inputs of the law.
    scale
        Prior of the scale common to the axes: the standard deviation of the change of elasticity
        over one e-fold.
    ratio
        Prior of the scale of one axis over the common one.

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
    Source of the process: Wahba 1978, doi:10.1111/j.2517-6161.1978.tb01050.x (its posterior mean
    is a cubic smoothing spline); of a discrepancy between a model and what it models: Kennedy
    and O'Hagan 2001, doi:10.1111/1467-9868.00294.
    """

    axes: tuple[str, ...]
    scale: Prior
    ratio: Prior

    def __post_init__(self) -> None:
        if not self.axes or len(set(self.axes)) < len(self.axes):
            raise CardError(
                f"discrepancy: found axes = {list(self.axes)}, expected one or more, each once."
            )
        for name, prior in (("scale", self.scale), ("ratio", self.ratio)):
            if not isinstance(prior, Prior) or prior.support != "positive":
                raise CardError(
                    f"discrepancy.{name}: found {prior!r}, expected a prior on a positive quantity."
                )

    @property
    def priors(self) -> dict[str, Prior]:
        """The prior of each sampled scale, by name."""
        return {COMMON: self.scale, **{ratio_name(axis): self.ratio for axis in self.axes}}

    @property
    def meanings(self) -> dict[str, str]:
        """What each sampled scale means."""
        return {
            COMMON: "drift of the elasticities over one e-fold",
            **{ratio_name(axis): f"that along {axis} over the common one" for axis in self.axes},
        }

    def check(self, law: Law) -> None:
        """Raise CardError unless every axis makes sense for a law."""
        for axis in self.axes:
            needed = AXES.get(axis, {axis: 1.0})
            if not set(needed) <= set(law.inputs):
                raise CardError(
                    f"discrepancy.{axis}: found an axis of {' and '.join(needed)}, but the law "
                    f"{law.name} is of {', '.join(law.inputs)}."
                )

    def departure(self, log_inputs: Values, walks: Values) -> Value:
        """Return the departure of ln L from the law.

        Parameters
        ----------
        log_inputs
            Logarithms of the inputs over the reference point.
        walks
            For each axis draws of the scale times the steps of the walk, along ``cell``: first
            the cells above the centre, then those below.
        """
        return sum(_weigh(walks[axis], _position(axis, log_inputs)) for axis in self.axes)

    def modes(
        self, axis: str, log_inputs: Values
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the directions of a walk in which runs see it most.

        Steps are independent standard normals, and so are their coordinates in any orthogonal
        basis. In that of the singular vectors of the bends at the runs, a few say all that the
        runs can see, and do not depend on one another given the runs.

        Returns
        -------
        turn, rows
            The orthogonal matrix from modes to cells, and what the first `MODES` modes add at
            each run, a row each.
        """
        position = _position(axis, log_inputs)
        starts = CELL * np.arange(CELLS)[:, None]
        bends = np.vstack([_bend(position - starts), _bend(-position - starts)])
        turn, _, _ = np.linalg.svd(bends)
        # Of either sign; chains that go on from one another need the same one.
        turn *= np.where(turn.sum(axis=0) < 0, -1.0, 1.0)
        return turn, turn[:, :MODES].T @ bends

    def walks(self, values: Values) -> dict[str, Value]:
        """Return the scaled steps along each axis, from scales and standard steps by name."""
        return {axis: self.along(axis, values) * values[walk_name(axis)] for axis in self.axes}

    def along(self, axis: str, values: Values) -> Value:
        """Return the scale along one axis, from the sampled scales by name."""
        return values[COMMON] * values[ratio_name(axis)]

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str) -> "Drift":
        """Build a drift from a card's table."""
        axes = content.get("axes")
        if not isinstance(axes, list) or not all(isinstance(axis, str) for axis in axes):
            raise CardError(f"{where}: found axes = {axes!r}, expected a list of names of axes.")
        unknown = set(content) - {"axes", "scale", "ratio"}
        if unknown:
            raise CardError(
                f"{where}: found the unknown key {min(unknown)!r}; the keys are axes, scale, ratio."
            )
        return cls(
            axes=tuple(axes),
            scale=prior_from_dict(content.get("scale"), f"{where}.scale"),
            ratio=prior_from_dict(content.get("ratio"), f"{where}.ratio"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the drift as a card states it."""
        return {
            "axes": list(self.axes),
            "scale": self.scale.to_dict(),
            "ratio": self.ratio.to_dict(),
        }


COMMON = "drift"
"""Name of the scale common to the axes."""


def ratio_name(axis: str) -> str:
    """Return the name of the scale of an axis over the common one."""
    return f"drift_ratio_{axis}"


def walk_name(axis: str) -> str:
    """Return the name of the standardised steps along an axis."""
    return f"walk_{axis}"


def _position(axis: str, log_inputs: Values) -> Value:
    return sum(power * log_inputs[name] for name, power in AXES.get(axis, {axis: 1.0}).items())


def _weigh(steps: xr.DataArray, position: Value) -> xr.DataArray:
    starts = xr.DataArray(CELL * np.arange(CELLS), dims="cell")
    sides = ((position, slice(CELLS)), (-position, slice(CELLS, None)))
    found: xr.DataArray = sum(
        xr.dot(steps.isel(cell=part), _bend(x - starts), dim="cell") for x, part in sides
    )
    return found


def _bend(distance: Value) -> Value:
    """Return what unit white-noise curvature in one cell adds at a distance from its start."""
    inside = smaller(larger(distance, 0.0), CELL)
    return inside * (distance - 0.5 * inside) / np.sqrt(CELL)
