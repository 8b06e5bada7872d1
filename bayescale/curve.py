"""Curve: what draws of a posterior say of the response, anywhere: the law, and its discrepancy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from bayescale.constants import Constants
from bayescale.design import Scale, differing, moved, moved_back
from bayescale.discrepancy import SCALE, WALKS, Drift
from bayescale.groups import Levels, level_dim
from bayescale.laws import Law, Values
from bayescale.laws import law as find_law
from bayescale.model import Model
from bayescale.optimum import optimal_log_params
from bayescale.pooling import Pooling

_GRID = 241
_MARGIN = 3.0
"""How far beyond the optima of the law alone, in ln D/N, those of the curve are looked for."""


type Groups = Mapping[str, ArrayLike]
"""By column the level of every plan or run; or one level for all."""

LEVEL_STREAM = 2
"""Second word of the seed of levels that were not fitted."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """Draws of a response as a function of the law's inputs.

    Attributes
    ----------
    law, parameters
        The law, and draws of its natural parameters: of each plan, where those are of levels
        between which they differ.
    drift, reference, walks
        The discrepancy if the model has one, the reference point from which it grows, and draws
        of the scaled steps along its axes, with the dimensions ``axis`` and ``cell``.
    tilts
        Draws of differences of the log response (``""``) and of the elasticity in an input.
    """

    law: Law
    parameters: Mapping[str, xr.DataArray]
    drift: Drift | None = None
    reference: Mapping[str, float] | None = None
    walks: xr.DataArray | None = None
    tilts: Mapping[str, xr.DataArray] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: Model,
        scale: Scale,
        draws: xr.Dataset,
        groups: Groups | None = None,
        *,
        dim: str = "plan",
        seed: int = 0,
    ) -> "Curve":
        """Return the curve of draws under a model.

        Parameters
        ----------
        model, scale, draws
            A model, the centre of its runs, and draws of all its unknowns.
        groups
            Levels of columns by which the model groups runs. Natural parameters are those of
            the level; of a level that was not fitted, or not named, they are drawn anew. The
            response itself differs by the columns named alone.
        dim
            The dimension along which several levels of a column lie.
        seed
            Of the levels drawn anew.
        """
        law, drift, groups = model.formula, model.discrepancy, groups or {}
        differences: dict[str, Any] = {}
        tilts: dict[str, Any] = {}
        for i, effect in enumerate(model.effects):
            of_law = effect.of in law.parameters
            if of_law or effect.by in groups:
                rng = np.random.default_rng([seed, LEVEL_STREAM, i])
                found = effects_at(effect, draws, groups.get(effect.by), dim, rng)
                name = "" if effect.of == law.response else effect.of
                into = differences if of_law else tilts
                into[name] = into.get(name, 0.0) + found
        parameters: Mapping[str, Any] = {name: draws[name] for name in law.parameters}
        if differences:
            shift = _centre_at(model.grouping, scale, draws, groups.get(model.grouping), dim)
            there = differing(law, moved(law, parameters, shift), differences)
            parameters = moved_back(law, there, shift)
        return cls(
            law=law,
            parameters=parameters,
            drift=drift,
            reference=scale.reference,
            walks=draws[SCALE] * draws[WALKS] if drift else None,
            tilts=tilts,
        )

    @classmethod
    def of_constants(cls, constants: Constants) -> "Curve":
        """Return the curve of published constants: a single draw."""
        draws = {
            name: xr.DataArray([[value]], dims=("chain", "draw"))
            for name, value in constants.parameters.items()
        }
        return cls(law=find_law(constants.law), parameters=draws)

    def response(self, log_inputs: Values) -> xr.DataArray:
        """Return the response at natural logarithms of the inputs."""
        response: xr.DataArray = self.law.formula(log_inputs, self.parameters)
        if self.reference is None:
            return response
        # Written out, not divided, so that plain arrays of inputs work as labelled ones do.
        centred = {name: x - np.log(self.reference[name]) for name, x in log_inputs.items()}
        departure: Any = 0.0
        if self.drift is not None and self.walks is not None:
            departure = self.drift.departure(centred, self.walks)
        for name, tilt in self.tilts.items():
            departure = departure + (tilt * centred[name] if name else tilt)
        bent: xr.DataArray = response * np.exp(departure)
        return bent

    def optimal_log_params(self, log_product: xr.DataArray) -> xr.DataArray:
        """Return ln N of the least loss under ``N D = exp(log_product)``, for every draw.

        A draw whose optimum lies beyond one parameter or one token, or that has none, gives NaN.
        """
        of_law = optimal_log_params(self.law, self.parameters, log_product)
        if self.drift is None and not set(self.tilts) & set(self.law.inputs):
            return of_law
        found = [
            self._least(of_law.isel(compute=i), float(log_product[i]))
            for i in range(log_product.sizes["compute"])
        ]
        return xr.concat(found, dim=log_product["compute"])

    def _least(self, of_law: xr.DataArray, log_product: float) -> xr.DataArray:
        """Return ln N of the least of the curve on one budget: on a grid, then by a parabola.

        One grid serves all draws, so that the departure along it is a product of matrices.
        """
        of_law_ratio = log_product - 2.0 * of_law.to_numpy()
        low = max(float(np.nanmin(of_law_ratio)) - _MARGIN, -log_product)
        high = min(float(np.nanmax(of_law_ratio)) + _MARGIN, log_product)
        ratio = np.linspace(low, high, _GRID)
        log_n = xr.DataArray(0.5 * (log_product - ratio), dims="ratio")
        log_inputs = {"n_params": log_n, "n_tokens": log_product - log_n}
        loss = np.log(self.response(log_inputs).transpose(*of_law.dims, "ratio").to_numpy())
        at = loss.argmin(axis=-1)[..., None]
        inside = (at > 0) & (at < _GRID - 1)
        left, middle, right = (
            np.take_along_axis(loss, np.clip(at + step, 0, _GRID - 1), axis=-1)
            for step in (-1, 0, 1)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            offset = 0.5 * (left - right) / (left - 2.0 * middle + right)
        offset = np.clip(np.where(np.isfinite(offset), offset, 0.0), -1.0, 1.0)
        least = ratio[at] + offset * (ratio[1] - ratio[0])
        return of_law.copy(data=np.where(inside, 0.5 * (log_product - least), np.nan)[..., 0])


def effects_at(
    effect: Pooling,
    draws: xr.Dataset,
    levels: ArrayLike | None,
    dim: str,
    rng: np.random.Generator,
) -> xr.DataArray:
    """Return draws of the differences at levels of a column.

    A level that was fitted has what was learnt of it. Any other is drawn from the distribution
    of levels, one draw for all plans of that level; plans of no level at all are of one.
    """
    known = draws[effect.effect]
    labels = Levels(effect.by, known[level_dim(effect.by)].to_numpy())
    if levels is None:
        codes = np.array([-1])
    else:
        values = np.atleast_1d(np.asarray(levels))
        codes = labels.codes(values)
        unseen = codes < 0
        codes[unseen] = -1 - np.unique(values[unseen], return_inverse=True)[1]
    steps = rng.standard_normal((*known.shape[:2], max(0, -int(codes.min()))))
    spread = np.broadcast_to(effect.scale({str(n): x for n, x in draws.items()}), known.shape[:2])[
        ..., None
    ]
    # Level -1 is the last of all, -2 the one before it.
    found = np.concatenate([known.to_numpy(), spread * steps], axis=-1)[..., codes]
    if levels is None or np.ndim(levels) == 0:
        return xr.DataArray(found[..., 0], dims=("chain", "draw"))
    return xr.DataArray(found, dims=("chain", "draw", dim))


def _centre_at(
    grouping: str, scale: Scale, draws: xr.Dataset, levels: ArrayLike | None, dim: str
) -> dict[str, Any]:
    """Return the reference point of levels: their own centre, or that of all runs."""
    if levels is None or scale.centres is None:
        return dict(scale.reference)
    labels = Levels(grouping, draws[level_dim(grouping)].to_numpy())
    codes = labels.codes(np.atleast_1d(np.asarray(levels)))
    centres = {
        name: np.append(values, scale.reference[name])[codes]
        for name, values in scale.centres.items()
    }
    if np.ndim(levels) == 0:
        return {name: float(values[0]) for name, values in centres.items()}
    return {name: xr.DataArray(values, dims=dim) for name, values in centres.items()}
