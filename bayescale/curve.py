"""Curve: what draws of a posterior say of the response, anywhere: the law, and its discrepancy."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from bayescale.constants import Constants
from bayescale.design import Scale
from bayescale.discrepancy import SCALE, WALKS, Drift
from bayescale.laws import Law, Values
from bayescale.laws import law as find_law
from bayescale.model import Model
from bayescale.optimum import optimal_log_params

_GRID = 241
_MARGIN = 3.0
"""How far beyond the optima of the law alone, in ln D/N, those of the curve are looked for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """Draws of a response as a function of the law's inputs.

    Attributes
    ----------
    law, parameters
        The law, and draws of its natural parameters.
    drift, reference, walks
        The discrepancy if the model has one, the reference point from which it grows, and draws
        of the scaled steps along its axes, with the dimensions ``axis`` and ``cell``.
    """

    law: Law
    parameters: Mapping[str, xr.DataArray]
    drift: Drift | None = None
    reference: Mapping[str, float] | None = None
    walks: xr.DataArray | None = None

    @classmethod
    def of(cls, model: Model, scale: Scale, draws: xr.Dataset) -> "Curve":
        """Return the curve of draws under a model."""
        law, drift = model.formula, model.discrepancy
        return cls(
            law=law,
            parameters={name: draws[name] for name in law.parameters},
            drift=drift,
            reference=scale.reference,
            walks=draws[SCALE] * draws[WALKS] if drift else None,
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
        if self.drift is None or self.walks is None or self.reference is None:
            return response
        # Written out, not divided, so that plain arrays of inputs work as labelled ones do.
        centred = {name: x - np.log(self.reference[name]) for name, x in log_inputs.items()}
        bent: xr.DataArray = response * np.exp(self.drift.departure(centred, self.walks))
        return bent

    def optimal_log_params(self, log_product: xr.DataArray) -> xr.DataArray:
        """Return ln N of the least loss under ``N D = exp(log_product)``, for every draw.

        A draw whose optimum lies beyond one parameter or one token, or that has none, gives NaN.
        """
        of_law = optimal_log_params(self.law, self.parameters, log_product)
        if self.drift is None:
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
