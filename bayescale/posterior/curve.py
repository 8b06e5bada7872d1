"""Curve: draws of the response as a function of the inputs: the law and its discrepancy."""

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
from bayescale.errors import NoClosedFormError, UnsuitableLawError
from bayescale.laws import Law, Value, Values
from bayescale.laws import law as find_law
from bayescale.laws.constants import Constants
from bayescale.laws.optimum import Split, closed_form, search
from bayescale.model.card import Model
from bayescale.model.discrepancy import SLOPES, Discrepancy
from bayescale.model.pooling import Pooling

_GRID = 81
_MARGIN = 1.5
"""Margin of the search for optima of the curve around those of the law alone, in ln N."""


type Groups = Mapping[str, Any]
"""Levels by grouping factor: one for each plan or run, or one for all."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """Draws of the response as a function of the law's inputs.

    Attributes
    ----------
    law, parameters
        The law, and draws of its natural parameters, which have a dimension of plans if they vary
        between the levels of the plans.
    discrepancy, reference, slopes
        The discrepancy term, if any, the reference point at which it is zero, and draws of its
        slopes, with dims ``axis`` and ``cell``.
    tilts
        Draws of group effects on the log response (``""``) and on the elasticity in an input.
    """

    law: Law
    parameters: Mapping[str, xr.DataArray]
    discrepancy: Discrepancy | None = None
    reference: Mapping[str, float] | None = None
    slopes: xr.DataArray | None = None
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
        """Return the curve of posterior draws of a model.

        Parameters
        ----------
        model, scale, draws
            A model, the centre of its runs, and draws of all its unknowns.
        groups
            Levels of the grouping factors. Effects on natural parameters of an unseen or
            unspecified level are drawn from their population distribution; effects on the
            response are included for the specified grouping factors only.
        dim
            Dimension of several levels.
        seed
            Seed of the draws for unseen levels.
        """
        law, discrepancy, groups = model.law, model.discrepancy, groups or {}
        differences: dict[str, Any] = {}
        tilts: dict[str, Any] = {}
        drawn: dict[str, NDArray[np.float64]] = {}
        for i, effect in enumerate(model.effects):
            of_law = effect.of in law.parameters
            if of_law or effect.over in groups:
                found = effects_at(effect, draws, groups.get(effect.over), dim, (seed, i), drawn)
                name = "" if effect.of == law.response else effect.of
                into = differences if of_law else tilts
                into[name] = into.get(name, 0.0) + found
        parameters: Mapping[str, Any] = {name: draws[name] for name in law.parameters}
        if differences:
            shift = _centre_at(model, scale, draws, groups.get(model.grouping), dim)
            there = law.differing(law.to_reference(parameters, shift), differences)
            parameters = moved_back(law, there, shift)
        return cls(
            law=law,
            parameters=parameters,
            discrepancy=discrepancy,
            reference=scale.reference,
            slopes=draws[SLOPES] if discrepancy else None,
            tilts=tilts,
        )

    @classmethod
    def of_constants(cls, constants: Constants) -> "Curve":
        """Return the curve of published constants, with a single draw."""
        draws = {
            name: xr.DataArray([[value]], dims=("chain", "draw"))
            for name, value in constants.parameters.items()
        }
        return cls(law=find_law(constants.law), parameters=draws)

    @property
    def pieces(self) -> "tuple[Curve, ...]":
        """The curve itself, as a tuple; a `MixedCurve` has one curve per law."""
        return (self,)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of chains, and of draws per chain."""
        draws = next(iter(self.parameters.values()))
        return draws.sizes["chain"], draws.sizes["draw"]

    @property
    def caveat(self) -> str:
        """Caveat that accompanies results of the law, or an empty string."""
        return self.law.caveat

    def response(self, log_inputs: Values) -> xr.DataArray:
        """Return draws of the response at natural logarithms of the inputs."""
        response: xr.DataArray = self.law.formula(log_inputs, self.parameters)
        if self.reference is None:
            return response
        bent: xr.DataArray = response * np.exp(self.departure(log_inputs))
        return bent

    def departure(self, log_inputs: Values) -> Any:
        """Return the discrepancy and group effects, on the log response."""
        if self.reference is None:
            return 0.0
        # A difference of logs by name works for NumPy and labelled arrays alike.
        centred = {name: x - np.log(self.reference[name]) for name, x in log_inputs.items()}
        departure: Any = 0.0
        if self.discrepancy is not None and self.slopes is not None:
            departure = self.discrepancy.departure(centred, self.slopes)
        for name, tilt in self.tilts.items():
            departure = departure + (tilt * centred[name] if name else tilt)
        return departure

    def optimal_log_params(self, log_product: xr.DataArray) -> xr.DataArray:
        """Return ln N that minimises the loss under ``N D = exp(log_product)``, for every draw.

        It is NaN for draws without an optimum of at least one parameter and one token.
        """
        product = Spending(ProductCost(1.0, "N D"), np.exp(log_product.to_numpy()))
        return self.optimum(product).assign_coords(budget=log_product["budget"])

    def optimum(
        self, spending: Spending, fixed: Mapping[str, object] | None = None
    ) -> xr.DataArray:
        """Return ln N that minimises the loss at each budget, for every draw.

        Parameters
        ----------
        spending
            Budgets with their cost function, and constraints on plans.
        fixed
            Values of the law's inputs other than size and tokens.

        Returns
        -------
        DataArray
            Dims ``chain``, ``draw`` and ``budget``. NaN for draws without an optimum of at least
            one parameter and one token; at the bound where a constraint is active.
        """
        split = Split.of(self.law, fixed)
        try:
            of_law = closed_form(self.law, self.parameters, spending)
        except NoClosedFormError:
            of_law = search(split, self.parameters, spending)
        of_law = of_law.transpose("chain", "draw", "budget")
        if self.discrepancy is None and not set(self.tilts) & set(self.law.inputs):
            return of_law
        found = [
            self._least(of_law.isel(budget=i), spending, split, i)
            for i in range(len(spending.budgets))
        ]
        return xr.concat(found, dim=of_law["budget"]).transpose("chain", "draw", "budget")

    def loss(self, split: Split, log_n: Value, log_d: Value) -> xr.DataArray:
        """Return draws of the loss at logs of size and tokens."""
        return self.response(split(log_n, log_d))

    def pointwise(self, split: Split) -> Callable[[Array, Array, NDArray[np.intp]], Array]:
        """Return the loss as a function of log size, log tokens and the index of the draw.

        All three are flat arrays of equal length, as passed by elementwise solvers. Draws are
        indexed chain by chain.
        """

        def flat(draws: xr.DataArray) -> xr.DataArray:
            return draws.stack(point=("chain", "draw"), create_index=False)

        # NumPy arrays, since the overhead of labels would dominate hundreds of evaluations.
        parameters = {name: flat(draws).to_numpy() for name, draws in self.parameters.items()}
        slopes = None if self.slopes is None else flat(self.slopes)
        tilts = {name: flat(draws) for name, draws in self.tilts.items()}

        def loss(log_n: Array, log_d: Array, which: NDArray[np.intp]) -> Array:
            inputs = {n: np.broadcast_to(x, which.shape) for n, x in split(log_n, log_d).items()}
            of_law = self.law.formula(inputs, {name: x[which] for name, x in parameters.items()})
            if slopes is None and not tilts:
                return np.asarray(of_law)
            bends = replace(
                self,
                slopes=None if slopes is None else slopes.isel(point=which),
                tilts={name: draws.isel(point=which) for name, draws in tilts.items()},
            )
            labelled = {name: xr.DataArray(x, dims="point") for name, x in inputs.items()}
            return np.asarray(of_law * np.exp(bends.departure(labelled).to_numpy()))

        return loss

    def _log_response_along(self, log_inputs: Values) -> NDArray[np.float64]:
        """Return the log response with one row per draw, at inputs common to all draws.

        Equivalent to `response`, but discrepancies are computed by one matrix product.
        """
        parameters = {name: x.to_numpy().reshape(-1, 1) for name, x in self.parameters.items()}
        found = np.log(self.law.formula(log_inputs, parameters))
        if self.reference is None:
            return np.asarray(found)
        centred = {name: x - np.log(self.reference[name]) for name, x in log_inputs.items()}
        if self.discrepancy is not None and self.slopes is not None:
            slopes = self.slopes.transpose("chain", "draw", "axis", "cell").to_numpy()
            found = found + slopes.reshape(len(found), -1) @ self.discrepancy.effects(centred)
        for name, tilt in self.tilts.items():
            found = found + tilt.to_numpy().reshape(-1, 1) * (centred[name] if name else 1.0)
        return np.asarray(found)

    def _least(
        self, of_law: xr.DataArray, spending: Spending, split: Split, which: int
    ) -> xr.DataArray:
        """Return ln N that minimises the curve at one budget: grid search, then a parabola."""
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
    """The curves of several laws, with draws concatenated along ``draw``.

    Attributes
    ----------
    parts
        The curve of each law, by name. All laws have the same inputs.
    """

    parts: Mapping[str, Curve]

    @property
    def pieces(self) -> tuple[Curve, ...]:
        """The curve of each law."""
        return tuple(self.parts.values())

    @property
    def law(self) -> Law:
        """The first law; all laws have the same inputs."""
        return next(iter(self.parts.values())).law

    @property
    def caveat(self) -> str:
        """Caveats that accompany results of the laws, or an empty string."""
        return " ".join(dict.fromkeys(part.caveat for part in self.parts.values() if part.caveat))

    def response(self, log_inputs: Values) -> xr.DataArray:
        """Return draws of the response at natural logarithms of the inputs."""
        return self._each(lambda part, inputs: part.response(inputs), log_inputs)

    def loss(self, split: Split, log_n: Value, log_d: Value) -> xr.DataArray:
        """Return draws of the loss at logs of size and tokens."""
        return self.response(split(log_n, log_d))

    def optimum(
        self, spending: Spending, fixed: Mapping[str, object] | None = None
    ) -> xr.DataArray:
        """Return ln N that minimises the loss at each budget, for every draw of every law."""
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
    """Concatenate arrays along ``draw``."""
    ordered = [part.transpose("chain", "draw", ...) for part in parts]
    if len(ordered) == 1:
        return ordered[0]
    return xr.concat(ordered, dim="draw", join="override", coords="minimal", compat="override")


def _of_draws(value: Value, part: slice) -> Value:
    """Select draws of an input, if it varies between draws."""
    return value.isel(draw=part) if "draw" in getattr(value, "dims", ()) else value


def effects_at(
    effect: Pooling,
    draws: xr.Dataset,
    levels: ArrayLike | None,
    dim: str,
    stream: tuple[int, int],
    drawn: dict[str, NDArray[np.float64]] | None = None,
) -> xr.DataArray:
    """Return draws of group effects at levels of a grouping factor.

    Fitted levels have their posterior. Unseen levels are drawn from the population distribution,
    once for all plans of the level; plans without a level share one unseen level. The random
    stream is derived from the name of a level, so that it does not depend on the other levels.

    Parameters
    ----------
    effect, draws, levels, dim, stream
        The effect, posterior draws, the levels and their dimension, and the seed and number of
        the effect, from which the random streams are derived.
    drawn
        Effects drawn for unseen levels, by name; updated in place.
    """
    known = draws[effect.effect]
    labels = Levels(effect.over, known[level_dim(effect.over)].to_numpy())
    names = np.array([""])
    if levels is None:
        codes = np.array([-1])
    else:
        values = np.atleast_1d(np.asarray(levels))
        codes = labels.codes(values)
        fresh = ["" if value is NEW else str(value) for value in values[codes < 0].tolist()]
        names, place = np.unique(np.array(fresh, dtype=np.str_), return_inverse=True)
        codes[codes < 0] = -1 - place
    drawn = {} if drawn is None else drawn
    scalars = {str(name): x.to_numpy() for name, x in draws.items() if x.ndim == 2}
    seed, which = stream
    streams = [generator(seed, Stream.LEVELS, which, crc32(name.encode())) for name in names]
    steps = np.empty((*known.shape[:2], len(names)))
    for number, rng in enumerate(streams):
        steps[..., -1 - number] = rng.standard_normal(known.shape[:2])
    spread = np.broadcast_to(effect.scale(scalars), known.shape[:2])[..., None]
    drawn[effect.effect] = effect.expected(scalars, drawn) + spread * steps
    # Unseen levels are appended in reverse order, so that code -1 indexes the last.
    found = np.concatenate([known.to_numpy(), drawn[effect.effect]], axis=-1)[..., codes]
    if levels is None or np.ndim(levels) == 0:
        return xr.DataArray(found[..., 0], dims=("chain", "draw"))
    return xr.DataArray(found, dims=("chain", "draw", dim))


def _centre_at(
    model: Model, scale: Scale, draws: xr.Dataset, levels: ArrayLike | None, dim: str
) -> dict[str, Any]:
    """Return the centres of levels; for unseen levels, the centre of all runs."""
    if levels is None or scale.centres is None:
        return {name: scale.reference[name] for name in model.law.inputs}
    labels = Levels(model.grouping, draws[level_dim(model.grouping)].to_numpy())
    codes = labels.codes(np.atleast_1d(np.asarray(levels)))
    centres = {
        name: np.append(values, scale.reference[name])[codes]
        for name, values in scale.centres.items()
    }
    if np.ndim(levels) == 0:
        return {name: float(values[0]) for name, values in centres.items()}
    return {name: xr.DataArray(values, dims=dim) for name, values in centres.items()}


def curve_of_one_law(curve: AnyCurve, function: str, result: str) -> Curve:
    """Return the curve of the only law.

    Parameters
    ----------
    curve
        The curve of a posterior.
    function, result
        Name of the function that needs one law, and what it returns for a law, for the error.

    Raises
    ------
    UnsuitableLawError
        If the posterior is an average of laws.
    """
    only, *others = curve.pieces
    if others:
        raise UnsuitableLawError(
            f"{function}: found an average of laws, each of which has {result} of its own; "
            "expected one of its fits."
        )
    return only
