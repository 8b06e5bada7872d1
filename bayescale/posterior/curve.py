"""Curve: what draws of a posterior say of the response, anywhere: the law, and its discrepancy."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayescale._seeds import Stream, generator
from bayescale.backend.hierarchy import moved_back
from bayescale.backend.observed import Scale
from bayescale.costs import ProductCost
from bayescale.costs.budget import Array, Spending
from bayescale.data.levels import NEW, Levels, level_dim
from bayescale.errors import NoClosedFormError
from bayescale.laws import Law, Value, Values
from bayescale.laws import law as find_law
from bayescale.laws.optimum import Split, closed_form, search
from bayescale.laws.published import Constants
from bayescale.model.card import Model
from bayescale.model.discrepancy import SCALE, WALKS, Drift
from bayescale.model.pooling import Pooling

_GRID = 81
_MARGIN = 1.5
"""How far beyond the optima of the law alone, in ln N, those of the curve are looked for."""


type Groups = Mapping[str, Any]
"""By column the level of every plan or run; or one level for all."""


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
        law, drift, groups = model.law, model.discrepancy, groups or {}
        differences: dict[str, Any] = {}
        tilts: dict[str, Any] = {}
        anew: dict[str, NDArray[np.float64]] = {}
        for i, effect in enumerate(model.effects):
            of_law = effect.of in law.parameters
            if of_law or effect.by in groups:
                found = effects_at(effect, draws, groups.get(effect.by), dim, (seed, i), anew)
                name = "" if effect.of == law.response else effect.of
                into = differences if of_law else tilts
                into[name] = into.get(name, 0.0) + found
        parameters: Mapping[str, Any] = {name: draws[name] for name in law.parameters}
        if differences:
            shift = _centre_at(model.grouping, scale, draws, groups.get(model.grouping), dim)
            there = law.differing(law.to_reference(parameters, shift), differences)
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

    @property
    def pieces(self) -> "tuple[Curve, ...]":
        """The one curve that there is; of an average of laws, one of each."""
        return (self,)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of chains, and of draws of each."""
        draws = next(iter(self.parameters.values()))
        return draws.sizes["chain"], draws.sizes["draw"]

    @property
    def caveat(self) -> str:
        """What belongs beside every result of the law, if anything."""
        return self.law.caveat

    def response(self, log_inputs: Values) -> xr.DataArray:
        """Return the response at natural logarithms of the inputs."""
        response: xr.DataArray = self.law.formula(log_inputs, self.parameters)
        if self.reference is None:
            return response
        bent: xr.DataArray = response * np.exp(self.departure(log_inputs))
        return bent

    def departure(self, log_inputs: Values) -> Any:
        """Return the departure of the log response from the law: discrepancy and tilts."""
        if self.reference is None:
            return 0.0
        # Written out, not divided, so that plain arrays of inputs work as labelled ones do.
        centred = {name: x - np.log(self.reference[name]) for name, x in log_inputs.items()}
        departure: Any = 0.0
        if self.drift is not None and self.walks is not None:
            departure = self.drift.departure(centred, self.walks)
        for name, tilt in self.tilts.items():
            departure = departure + (tilt * centred[name] if name else tilt)
        return departure

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
        if self.drift is None and not set(self.tilts) & set(self.law.inputs):
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

        def flat(draws: xr.DataArray) -> xr.DataArray:
            return draws.stack(point=("chain", "draw"), create_index=False)

        # On plain arrays: solvers ask hundreds of times, and labels would take most of the time.
        parameters = {name: flat(draws).to_numpy() for name, draws in self.parameters.items()}
        walks = None if self.walks is None else flat(self.walks)
        tilts = {name: flat(draws) for name, draws in self.tilts.items()}

        def loss(log_n: Array, log_d: Array, which: NDArray[np.intp]) -> Array:
            inputs = {n: np.broadcast_to(x, which.shape) for n, x in split(log_n, log_d).items()}
            of_law = self.law.formula(inputs, {name: x[which] for name, x in parameters.items()})
            if walks is None and not tilts:
                return np.asarray(of_law)
            bends = replace(
                self,
                walks=None if walks is None else walks.isel(point=which),
                tilts={name: draws.isel(point=which) for name, draws in tilts.items()},
            )
            labelled = {name: xr.DataArray(x, dims="point") for name, x in inputs.items()}
            return np.asarray(of_law * np.exp(bends.departure(labelled).to_numpy()))

        return loss

    def _log_response_along(self, log_inputs: Values) -> NDArray[np.float64]:
        """Return the log of the response, a row a draw, at one list of inputs for all draws.

        As `response` would, but the departures of all draws are one product of matrices.
        """
        parameters = {name: x.to_numpy().reshape(-1, 1) for name, x in self.parameters.items()}
        found = np.log(self.law.formula(log_inputs, parameters))
        if self.reference is None:
            return np.asarray(found)
        centred = {name: x - np.log(self.reference[name]) for name, x in log_inputs.items()}
        if self.drift is not None and self.walks is not None:
            walks = self.walks.transpose("chain", "draw", "axis", "cell").to_numpy()
            found = found + walks.reshape(len(found), -1) @ self.drift.bends(centred)
        for name, tilt in self.tilts.items():
            found = found + tilt.to_numpy().reshape(-1, 1) * (centred[name] if name else 1.0)
        return np.asarray(found)

    def _least(
        self, of_law: xr.DataArray, spending: Spending, split: Split, which: int
    ) -> xr.DataArray:
        """Return ln N of the least of the curve on one budget: on a grid, then by a parabola."""
        low, high = (float(end[which]) for end in spending.ends)
        centre = of_law.to_numpy()
        if not np.isnan(centre).all():
            low = max(low, float(np.nanmin(centre)) - _MARGIN)
            high = min(high, float(np.nanmax(centre)) + _MARGIN)
        grid = np.linspace(low, high, _GRID)
        log_d = spending.log_tokens(grid, np.full(_GRID, which))
        loss = self._log_response_along(split(grid, log_d)).reshape((*centre.shape, _GRID))
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


@dataclass(frozen=True, eq=False)
class MixedCurve:
    """The curves of several laws, whose draws lie end to end along ``draw``.

    Attributes
    ----------
    parts
        The curve of each law, by its name; all laws are of the same inputs.
    """

    parts: Mapping[str, Curve]

    @property
    def pieces(self) -> tuple[Curve, ...]:
        """The curve of each law."""
        return tuple(self.parts.values())

    @property
    def law(self) -> Law:
        """The first of the laws, whose inputs are those of all."""
        return next(iter(self.parts.values())).law

    @property
    def caveat(self) -> str:
        """What belongs beside the results of any of the laws."""
        return " ".join(dict.fromkeys(part.caveat for part in self.parts.values() if part.caveat))

    def response(self, log_inputs: Values) -> xr.DataArray:
        """Return the response at natural logarithms of the inputs."""
        return self._each(lambda part, inputs: part.response(inputs), log_inputs)

    def loss(self, split: Split, log_n: Value, log_d: Value) -> xr.DataArray:
        """Return the loss at logs of size and tokens."""
        return self.response(split(log_n, log_d))

    def optimum(
        self, spending: Spending, fixed: Mapping[str, object] | None = None
    ) -> xr.DataArray:
        """Return ln N of the least loss that each budget buys, for every draw of every law."""
        return self._each(lambda part, _: part.optimum(spending, fixed), {})

    def _each(
        self, ask: Callable[[Curve, dict[str, Value]], xr.DataArray], inputs: Values
    ) -> xr.DataArray:
        found, start = [], 0
        for part in self.parts.values():
            stop = start + next(iter(part.parameters.values())).sizes["draw"]
            own = {name: _of_draws(x, slice(start, stop)) for name, x in inputs.items()}
            found.append(ask(part, own))
            start = stop
        return end_to_end(found)


type AnyCurve = Curve | MixedCurve


def end_to_end(parts: Iterable[xr.DataArray]) -> xr.DataArray:
    """Return arrays of draws after one another along ``draw``."""
    ordered = [part.transpose("chain", "draw", ...) for part in parts]
    if len(ordered) == 1:
        return ordered[0]
    return xr.concat(ordered, dim="draw", join="override", coords="minimal", compat="override")


def _of_draws(value: Value, part: slice) -> Value:
    """Return a part of the draws of inputs that differ between draws."""
    return value.isel(draw=part) if "draw" in getattr(value, "dims", ()) else value


def effects_at(
    effect: Pooling,
    draws: xr.Dataset,
    levels: ArrayLike | None,
    dim: str,
    stream: tuple[int, int],
    anew: dict[str, NDArray[np.float64]] | None = None,
) -> xr.DataArray:
    """Return draws of the differences at levels of a column.

    A level that was fitted has what was learnt of it. Any other is drawn from the distribution
    of levels, one draw for all plans of that level; plans of no level at all are of one. Random
    numbers go by the name of a level, so that they do not depend on the levels beside it.

    Parameters
    ----------
    effect, draws, levels, dim, stream
        What differs, the posterior, where it is asked for, along what, and for levels that are
        drawn the seed and which effect this is.
    anew
        By effect, the differences of the levels that were drawn; those of this one are added.
    """
    known = draws[effect.effect]
    labels = Levels(effect.by, known[level_dim(effect.by)].to_numpy())
    names = np.array([""])
    if levels is None:
        codes = np.array([-1])
    else:
        values = np.atleast_1d(np.asarray(levels))
        codes = labels.codes(values)
        fresh = ["" if value is NEW else str(value) for value in values[codes < 0].tolist()]
        names, place = np.unique(np.array(fresh, dtype=np.str_), return_inverse=True)
        codes[codes < 0] = -1 - place
    anew = {} if anew is None else anew
    learnt = {str(name): x.to_numpy() for name, x in draws.items() if x.ndim == 2}
    seed, which = stream
    streams = [generator(seed, Stream.LEVELS, which, crc32(name.encode())) for name in names]
    steps = np.empty((*known.shape[:2], len(names)))
    for number, rng in enumerate(streams):
        steps[..., -1 - number] = rng.standard_normal(known.shape[:2])
    spread = np.broadcast_to(effect.scale(learnt), known.shape[:2])[..., None]
    anew[effect.effect] = effect.expected(learnt, anew) + spread * steps
    # Level -1 is the last of all, -2 the one before it.
    found = np.concatenate([known.to_numpy(), anew[effect.effect]], axis=-1)[..., codes]
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
