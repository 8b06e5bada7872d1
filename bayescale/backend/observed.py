"""Design: the data of a model, from a table of runs, as one scale-free matrix."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayescale._portable import log, mean
from bayescale.backend.hierarchy import Placed, within
from bayescale.backend.laplace import expand
from bayescale.backend.whitening import Expansion
from bayescale.data.levels import Levels, Sizes, column_of, padded
from bayescale.data.runs import Runs
from bayescale.laws.base import Law, ends_of
from bayescale.model.card import Model
from bayescale.model.discrepancy import MODES, Modes

TYPICAL = "typical"
"""Name of the row of the typical response, if a model states its floor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The centre of a table of runs.

    Attributes
    ----------
    reference
        Geometric centre of each input of the law; also the least and the largest amount, as
        ``first_x`` and ``last_x``, of inputs in the `ends` of the law.
    response
        The typical response (usually a loss) there, or at the largest amounts.
    centres
        Geometric centre of each input for each level of the model's `grouping`, if it has one.
        The natural parameters of the levels refer to these centres.
    """

    reference: dict[str, float]
    response: float
    centres: Mapping[str, list[float]] | None = None

    @classmethod
    def of(cls, model: Model, runs: Runs) -> "Scale":
        """Return the reference point, and the median response of the runs nearest to it."""
        law = model.law
        logs = {name: log(runs.column(column)) for name, column in model.columns.items()}
        if law.scale_free:
            distance = sum(
                ((x - (x.max() if name in law.ends else x.mean())) / max(float(x.std()), 1e-12))
                ** 2
                for name, x in logs.items()
            )
            nearest = np.argsort(distance, kind="stable")[: max(5, len(runs) // 4)]
            reference = _centre(law, logs, slice(None))
            for name in law.ends:
                first, last = ends_of(name)
                reference[first] = math.exp(logs[name].min())
                reference[last] = math.exp(logs[name].max())
            typical = float(np.median(runs.column(law.response)[nearest]))
        else:
            reference, typical = law.unit_reference, 1.0
        if not model.grouping:
            return cls(reference=reference, response=typical)
        levels = Levels.of(runs, model.grouping)
        codes = levels.codes(column_of(runs, model.grouping))
        found = [_centre(law, logs, codes == i) for i in range(len(levels))]
        centres = {name: [centre[name] for centre in found] for name in law.inputs}
        return cls(reference=reference, response=typical, centres=centres)


def _centre(
    law: Law, logs: Mapping[str, NDArray[np.float64]], of: slice | NDArray[np.bool_]
) -> dict[str, float]:
    if not law.scale_free:
        return law.unit_reference
    reference = {name: math.exp(mean(x[of])) for name, x in logs.items()}
    reference |= {name: reference[as_] for name, as_ in law.same_scale.items()}
    reference |= law.fixed_reference
    return reference


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Design:
    """The data of a model, from a table of runs.

    One compiled model serves every table, since everything specific to a table is in its design.

    Attributes
    ----------
    matrix
        One column per run; `Rows` lists its rows.
    scale
        The centre of the runs.
    levels
        The levels of each grouping factor.
    placed
        Inputs and levels of the runs.
    expansions
        Gaussian approximation of the likelihood of group effects, by grouping factor.
    modes
        The identified directions of the discrepancy, if the model has one.
    """

    matrix: NDArray[np.float64]
    scale: Scale
    levels: Mapping[str, Levels]
    placed: Placed
    expansions: Mapping[str, Expansion]
    modes: Modes | None

    @classmethod
    def of(cls, model: Model, runs: Runs) -> "Design":
        """Return the data of a model from these runs."""
        law, scale, rows = model.law, Scale.of(model, runs), Rows(model)
        levels = {column: Levels.of(runs, column) for column in model.groupings}
        placed = _placed(model, runs, scale, levels)
        modes = model.discrepancy.modes(placed.log_inputs) if model.discrepancy else None
        matrix = np.zeros((rows.count, len(runs)))
        for name, row in rows.inputs.items():
            matrix[row] = placed.log_inputs[name]
        for column, row in rows.codes.items():
            matrix[row] = placed.codes[column]
        for name, row in rows.centres.items():
            matrix[row] = placed.centres[name][placed.codes[model.grouping]]
        if model.floor is not None:
            facts = {TYPICAL: scale.response, **model.floor.distribution()[1]}
            for name, row in rows.floor.items():
                matrix[row] = facts[name]
        for name, values in model.noise.facts(runs).items():
            matrix[rows.noise[name]] = values
        if modes:
            matrix[rows.modes], matrix[rows.growth] = modes.rows, modes.growth[:, None]
            matrix[rows.factor, : modes.factor.shape[1]] = modes.factor
        without_response = cls(
            matrix=matrix, scale=scale, levels=levels, placed=placed, expansions={}, modes=modes
        )
        return without_response.observing(model, log(runs.column(law.response) / scale.response))

    def observing(
        self,
        model: Model,
        log_response: NDArray[np.float64],
        facts: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> "Design":
        """Return the design with other responses, as logs relative to the typical one.

        The facts of the noise model are kept unless given.
        """
        matrix, rows = self.matrix.copy(), Rows(model)
        matrix[rows.response] = log_response
        for name, values in (facts or {}).items():
            matrix[rows.noise[name]] = values
        expansions = expand(model, self.placed, log_response, self.sizes) if model.effects else {}
        for column, part in rows.expansions.items():
            matrix[part] = expansions[column].rows()[:, self.placed.codes[column]]
        return replace(self, matrix=matrix, expansions=expansions)

    @property
    def sizes(self) -> Sizes:
        """The padded number of levels of each grouping factor."""
        return tuple((name, padded(len(found))) for name, found in self.levels.items())


def _placed(model: Model, runs: Runs, scale: Scale, levels: Mapping[str, Levels]) -> Placed:
    log_inputs = {
        name: log(runs.column(column) / scale.reference[name])
        for name, column in model.columns.items()
    }
    codes = {name: found.codes(column_of(runs, name)) for name, found in levels.items()}
    if scale.centres is None:
        return Placed(log_inputs=log_inputs, codes=codes, centres={}, local=log_inputs, coarser={})
    own_codes, n_levels = codes[model.grouping], padded(len(levels[model.grouping]))
    centres = {}
    for name, amounts in scale.centres.items():
        centres[name] = np.zeros(n_levels)
        centres[name][: len(amounts)] = log(np.array(amounts) / scale.reference[name])
    coarser = {}
    for column in model.groupings:
        if column != model.grouping and within(column, model.grouping):
            coarser[column] = np.zeros(n_levels, dtype=np.int64)
            coarser[column][own_codes] = codes[column]
    return Placed(
        log_inputs=log_inputs,
        codes=codes,
        centres=centres,
        local={name: x - centres[name][own_codes] for name, x in log_inputs.items()},
        coarser=coarser,
    )


class Rows:
    """Row indices of the matrix of a `Design`.

    Attributes
    ----------
    inputs
        Row of the log of each input, relative to the reference point.
    response
        Row of the log of the response, relative to the typical one.
    codes
        For each grouping factor, row of the index of the level.
    expansions
        For each grouping factor, rows of the `Expansion` of the run's level.
    centres
        If natural parameters are pooled, row of the centre of each input in the run's level.
    noise
        Row of each fact of the noise model.
    floor
        If the model states its floor, rows of the typical response in its unit (`TYPICAL`) and of
        each argument of the prior on the floor, the same for every run. Since they are data, one
        compiled model serves every table and every value of the floor.
    modes, growth, factor
        Rows of the modes of the discrepancy (`Modes`); the factor is padded with zeros.
    count
        Number of rows.
    """

    def __init__(self, model: Model) -> None:
        law = model.law
        self.count = 0

        def allocate(count: int) -> slice:
            self.count += count
            return slice(self.count - count, self.count)

        def one_for_each(names: Iterable[str]) -> dict[str, int]:
            return {name: allocate(1).start for name in names}

        self.inputs = one_for_each(law.inputs)
        self.response = allocate(1).start
        self.codes = one_for_each(model.groupings)
        self.expansions = {
            column: allocate(Expansion.count(len(model.effects_by(column))))
            for column in self.codes
        }
        self.centres = one_for_each(law.inputs if model.grouping else ())
        self.noise = one_for_each(model.noise.rows)
        self.floor = one_for_each((TYPICAL, *model.floor.distribution()[1]) if model.floor else ())
        modes = MODES if model.discrepancy else 0
        self.modes, self.growth, self.factor = (allocate(modes) for _ in range(3))
