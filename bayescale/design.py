"""Design: what a model observes of a table of runs, as one matrix free of scale."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayescale.discrepancy import MODES, WALKS
from bayescale.groups import Levels, column_of, padded
from bayescale.laws import Law, Value, Values
from bayescale.model import Model
from bayescale.runs import Runs

type Sizes = tuple[tuple[str, int], ...]
"""For each column by which a model groups runs, how many levels there is room for."""

_RIDGE = 1e-4
"""What is known of a pooled parameter before the runs, in units of the scatter squared: about as
if parameters differ by a half and the scatter is half a per cent."""

_STEP = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The centre of a table of runs.

    Attributes
    ----------
    reference
        Geometric centre of each input of the law.
    response
        The typical response (loss, mostly) there.
    centres
        Geometric centre of each input for each level of the model's `grouping`, if it has one:
        there the natural parameters of the levels differ.
    """

    reference: dict[str, float]
    response: float
    centres: Mapping[str, list[float]] | None = None

    @classmethod
    def of(cls, model: Model, runs: Runs) -> "Scale":
        """Return the geometric centre, and the median response of the runs nearest to it."""
        law = model.formula
        logs = {name: np.log(runs.column(column)) for name, column in model.columns.items()}
        if law.scale_free:
            distance = sum(
                ((log - log.mean()) / max(float(log.std()), 1e-12)) ** 2 for log in logs.values()
            )
            nearest = np.argsort(distance, kind="stable")[: max(5, len(runs) // 4)]
            reference = _centre(law, logs, slice(None))
            typical = float(np.median(runs.column(law.response)[nearest]))
        else:
            reference, typical = law.unit_reference, 1.0
        if not model.grouping:
            return cls(reference=reference, response=typical)
        levels = Levels.of(runs, model.grouping)
        codes = levels.codes(column_of(runs, model.grouping))
        found = [_centre(law, logs, codes == i) for i in range(len(levels))]
        centres = {name: [centre[name] for centre in found] for name in reference}
        return cls(reference=reference, response=typical, centres=centres)


def _centre(
    law: Law, logs: Mapping[str, NDArray[np.float64]], of: slice | NDArray[np.bool_]
) -> dict[str, float]:
    if not law.scale_free:
        return law.unit_reference
    reference = {name: float(np.exp(log[of].mean())) for name, log in logs.items()}
    reference |= {name: reference[as_] for name, as_ in law.same_scale.items()}
    reference |= law.fixed_reference
    return reference


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Design:
    """What a model observes of a table of runs.

    One compiled model serves every table, because all that differs between tables is here.

    Attributes
    ----------
    matrix
        One column a run; `Rows` says what its rows are.
    scale
        The centre of the runs.
    levels
        The levels of the columns by which the model groups runs.
    turn
        The orthogonal matrix from the modes of the discrepancy to its cells, if there is one.
    """

    matrix: NDArray[np.float64]
    scale: Scale
    levels: Mapping[str, Levels]
    turn: NDArray[np.float64] | None

    @classmethod
    def of(cls, model: Model, runs: Runs) -> "Design":
        """Return what a model observes of these runs."""
        law, scale = model.formula, Scale.of(model, runs)
        levels = {column: Levels.of(runs, column) for column in model.groupings}
        inputs = {
            name: np.log(runs.column(column) / scale.reference[name])
            for name, column in model.columns.items()
        }
        response = np.log(runs.column(law.response) / scale.response)
        codes = {name: found.codes(column_of(runs, name)) for name, found in levels.items()}
        centres: dict[str, NDArray[np.float64]] = {}
        if scale.centres is not None:
            at = codes[model.grouping]
            centres = {
                name: np.log(np.array(scale.centres[name])[at] / scale.reference[name])
                for name in inputs
            }
        seen = seen_effects(model, inputs, centres, codes)
        turn, modes = model.discrepancy.modes(inputs) if model.discrepancy else (None, ())
        matrix = np.vstack(
            [
                *inputs.values(),
                response,
                *codes.values(),
                *seen,
                *centres.values(),
                *model.noise.facts(runs).values(),
                *modes,
            ]
        )
        return cls(matrix=matrix, scale=scale, levels=levels, turn=turn)

    @property
    def sizes(self) -> Sizes:
        """The room for levels that a compiled model must have for these runs."""
        return tuple((name, padded(len(found))) for name, found in self.levels.items())

    def seen(self, model: Model) -> dict[str, NDArray[np.float64]]:
        """Return for each step what the runs would say of it, over the scatter squared."""
        rows, sizes = Rows(model), dict(self.sizes)
        found = {}
        for effect in model.effects:
            codes = self.matrix[rows.codes[effect.by]].astype(int)
            found[effect.effect] = np.zeros(sizes[effect.by])
            found[effect.effect][codes] = self.matrix[rows.seen[effect.effect]]
        if self.turn is not None:
            found[WALKS] = (self.matrix[rows.modes] ** 2).sum(axis=1)
        return found

    def centres(self, model: Model) -> dict[str, NDArray[np.float64]]:
        """Return the log of the centre of each input by level of the model's grouping.

        Relative to the reference point, and zero for levels that there is but room for.
        """
        size = dict(self.sizes)[model.grouping]
        found = {}
        for name, values in (self.scale.centres or {}).items():
            found[name] = np.zeros(size)
            found[name][: len(values)] = np.log(np.array(values) / self.scale.reference[name])
        return found


class Rows:
    """Where in the matrix of a `Design` of a model each thing is.

    Attributes
    ----------
    inputs
        Row of the log of each input, relative to the reference point.
    response
        Row of the log of the response, relative to the typical one.
    codes
        For each column by which the model groups runs, row of the number of the level.
    seen
        For each effect, row of what all runs of that level say of it.
    centres
        If natural parameters are pooled, row of each input's centre in the level.
    noise
        Row of each thing that the noise needs to know of a run.
    modes
        Rows of the modes of the discrepancy.
    count
        How many there are.
    """

    def __init__(self, model: Model) -> None:
        law = model.formula
        following = iter(range(1000))

        def take(names: Iterator[str] | tuple[str, ...]) -> dict[str, int]:
            return {name: next(following) for name in names}

        self.inputs = take(law.inputs)
        self.response = next(following)
        self.codes = take(model.groupings)
        self.seen = take(effect.effect for effect in model.effects)
        self.centres = take(law.inputs if model.grouping else ())
        self.noise = take(model.noise.rows)
        first = next(following)
        self.count = first + (MODES if model.discrepancy else 0)
        self.modes = slice(first, self.count)


def moved(law: Law, parameters: Values, shift: Values) -> dict[str, Value]:
    """Return natural parameters for inputs that are divided by `shift`."""
    return law.from_reference(law.to_reference(parameters, shift), law.unit_reference)


def moved_back(law: Law, parameters: Values, shift: Values) -> dict[str, Value]:
    """Return natural parameters, from those for inputs that are divided by `shift`."""
    return law.from_reference(law.to_reference(parameters, law.unit_reference), shift)


def differing(law: Law, parameters: Values, differences: Values) -> dict[str, Value]:
    """Return natural parameters with differences: of their logarithms if they are positive."""
    found = dict(parameters)
    for name, difference in differences.items():
        positive = law.parameters[name].support == "positive"
        found[name] = found[name] * np.exp(difference) if positive else found[name] + difference
    return found


def usual_parameters(model: Model) -> dict[str, Value]:
    """Return natural parameters at typical values of the priors, about the unit reference."""
    law = model.formula
    typical = {name: model.priors[name].typical for name in law.coordinates}
    return law.from_reference(typical, law.unit_reference)


def ahead_of_usual(model: Model, parameters: Values, centres: Values) -> dict[str, Value]:
    """Return by how much natural parameters at the centres of levels differ from usual ones."""
    law = model.formula
    shift = {name: np.exp(centre) for name, centre in centres.items()}
    here, usual = moved(law, parameters, shift), moved(law, usual_parameters(model), shift)
    return {
        name: np.log(here[name]) - np.log(usual[name])
        if parameter.support == "positive"
        else here[name] - usual[name]
        for name, parameter in law.parameters.items()
    }


def seen_effects(
    model: Model,
    inputs: Mapping[str, NDArray[np.float64]],
    centres: Mapping[str, NDArray[np.float64]],
    codes: Mapping[str, NDArray[np.int64]],
) -> list[NDArray[np.float64]]:
    """Return for each effect what the runs of a level say of it, over the scatter squared.

    That is the inverse of the variance that it would have if the law were at typical values of
    its priors, and the other effects of that level unknown too.
    """
    law = model.formula
    parameters = usual_parameters(model)
    local = {name: x - centres[name] if centres else x for name, x in inputs.items()}

    def log_response(of: str, difference: float) -> NDArray[np.float64]:
        changed = differing(law, parameters, {of: difference})
        return np.asarray(np.log(law.formula(local, changed)))

    def weight(of: str) -> NDArray[np.float64]:
        if of == law.response:
            return np.ones_like(next(iter(inputs.values())))
        if of in law.inputs:
            return inputs[of]
        return (log_response(of, _STEP) - log_response(of, -_STEP)) / (2.0 * _STEP)

    rows: dict[str, NDArray[np.float64]] = {}
    for column in model.groupings:
        effects = [effect for effect in model.effects if effect.by == column]
        weights = np.array([weight(effect.of) for effect in effects])
        for effect in effects:
            rows[effect.effect] = np.empty(weights.shape[1])
        for level in np.unique(codes[column]):
            inside = codes[column] == level
            gram = weights[:, inside] @ weights[:, inside].T + _RIDGE * np.eye(len(effects))
            for effect, variance in zip(effects, np.diag(np.linalg.inv(gram)), strict=True):
                rows[effect.effect][inside] = 1.0 / variance
    return [rows[effect.effect] for effect in model.effects]
