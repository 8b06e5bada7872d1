"""Curve: what draws of a posterior say of the response, anywhere: the law, and its discrepancy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale.constants import Constants
from bayescale.costs import ProductCost
from bayescale.design import Scale
from bayescale.discrepancy import Drift
from bayescale.errors import NoClosedFormError
from bayescale.laws import Law, Value, Values
from bayescale.laws import law as find_law
from bayescale.model import Model
from bayescale.optimum import Split, closed_form, search
from bayescale.spending import Array, Spending

_GRID = 121
_MARGIN = 1.5
"""How far beyond the optima of the law alone, in ln N, those of the curve are looked for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """Draws of a response as a function of the law's inputs.

    Attributes
    ----------
    law, parameters
        The law, and draws of its natural parameters.
    drift, reference, walks
        The discrepancy if the model has one, the reference point from which it grows, and draws
        of the scaled steps along each of its axes, with the dimension ``cell``.
    """

    law: Law
    parameters: Mapping[str, xr.DataArray]
    drift: Drift | None = None
    reference: Mapping[str, float] | None = None
    walks: Mapping[str, xr.DataArray] | None = None

    @classmethod
    def of(cls, model: Model, scale: Scale, draws: xr.Dataset) -> "Curve":
        """Return the curve of draws under a model."""
        law, drift = model.formula, model.discrepancy
        return cls(
            law=law,
            parameters={name: draws[name] for name in law.parameters},
            drift=drift,
            reference=scale.reference,
            walks=drift.walks({str(name): x for name, x in draws.items()}) if drift else None,
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
        product = Spending(ProductCost(1.0, "N D"), np.exp(log_product.to_numpy()))
        return self.optimum(product).assign_coords(compute=log_product["compute"])

    def optimum(
        self, spending: Spending, fixed: Mapping[str, object] | None = None
    ) -> xr.DataArray:
        """Return ln N of the least loss that each budget buys, for every draw.

        Parameters
        ----------
        spending
            Budgets, what they are of, and the limits of plans.
        fixed
            Values of the law's inputs beside size and tokens.

        Returns
        -------
        DataArray
            Dims ``chain``, ``draw`` and ``compute``. A draw with no least loss between one
            parameter and one token has NaN; one that a limit holds back is at the limit.
        """
        split = Split.of(self.law, fixed)
        try:
            of_law = closed_form(self.law, self.parameters, spending)
        except NoClosedFormError:
            of_law = search(split, self.parameters, spending)
        of_law = of_law.transpose("chain", "draw", "compute")
        if self.drift is None:
            return of_law
        found = [
            self._least(of_law.isel(compute=i), spending, split, i)
            for i in range(len(spending.budgets))
        ]
        return xr.concat(found, dim=of_law["compute"]).transpose("chain", "draw", "compute")

    def loss(self, split: Split, log_n: Value, log_d: Value) -> xr.DataArray:
        """Return the loss at logs of size and tokens."""
        return self.response(split(log_n, log_d))

    def pointwise(self, split: Split) -> Callable[[Array, Array, NDArray[np.intp]], Array]:
        """Return the loss as a function of logs of size and tokens and of the draw's number.

        All three are flat arrays of one length, as elementwise solvers pass them; draws are
        numbered chain by chain.
        """
        order = ("chain", "draw")
        flat = {
            n: draws.transpose(*order).to_numpy().ravel() for n, draws in self.parameters.items()
        }
        walks = {
            axis: np.concatenate(walk.transpose(*order, "cell").to_numpy())
            for axis, walk in (self.walks or {}).items()
        }

        def loss(log_n: Array, log_d: Array, which: NDArray[np.intp]) -> Array:
            inputs = split(log_n, log_d)
            found = self.law.formula(inputs, {name: draws[which] for name, draws in flat.items()})
            if self.drift is None or self.reference is None:
                return np.asarray(found)
            centred = {
                name: xr.DataArray(np.broadcast_to(x, which.shape), dims="point")
                - np.log(self.reference[name])
                for name, x in inputs.items()
            }
            bent = {a: xr.DataArray(w[which], dims=("point", "cell")) for a, w in walks.items()}
            return np.asarray(found * np.exp(self.drift.departure(centred, bent).to_numpy()))

        return loss

    def _least(
        self, of_law: xr.DataArray, spending: Spending, split: Split, which: int
    ) -> xr.DataArray:
        """Return ln N of the least of the curve on one budget: on a grid, then by a parabola.

        One grid serves all draws, so that the departure along it is a product of matrices.
        """
        low, high = (float(end[which]) for end in spending.ends)
        centre = of_law.to_numpy()
        if not np.isnan(centre).all():
            low = max(low, float(np.nanmin(centre)) - _MARGIN)
            high = min(high, float(np.nanmax(centre)) + _MARGIN)
        grid = np.linspace(low, high, _GRID)
        log_n = xr.DataArray(grid, dims="size")
        log_d = xr.DataArray(spending.log_tokens(grid, np.full(_GRID, which)), dims="size")
        found = self.loss(split, log_n, log_d)
        loss = np.log(found.transpose(*of_law.dims, "size").to_numpy())
        at = loss.argmin(axis=-1)[..., None]
        inside = (at > 0) & (at < _GRID - 1)
        left, middle, right = (
            np.take_along_axis(loss, np.clip(at + step, 0, _GRID - 1), axis=-1)
            for step in (-1, 0, 1)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            offset = 0.5 * (left - right) / (left - 2.0 * middle + right)
        offset = np.clip(np.where(np.isfinite(offset), offset, 0.0), -1.0, 1.0)
        least = grid[at] + offset * (grid[1] - grid[0])
        low_set, high_set = spending.limited
        kept = np.where(at == 0, low_set & (low == spending.ends[0][which]), high_set[which])
        return of_law.copy(data=np.where(inside, least, np.where(kept, grid[at], np.nan))[..., 0])
