"""Design: what a model observes of a table of runs, as one matrix free of scale."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayescale.discrepancy import MODES, WALKS
from bayescale.groups import Levels, column_of, effect_name, padded
from bayescale.model import Model
from bayescale.runs import Runs

type Sizes = tuple[tuple[str, int], ...]
"""For each column by which a model groups runs, how many levels there is room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The centre of a table of runs.

    Attributes
    ----------
    reference
        Geometric centre of each input of the law.
    response
        The typical response (loss, mostly) there.
    """

    reference: dict[str, float]
    response: float

    @classmethod
    def of(cls, model: Model, runs: Runs) -> "Scale":
        """Return the geometric centre, and the median response of the runs nearest to it."""
        law = model.formula
        if not law.scale_free:
            return cls(reference=law.unit_reference, response=1.0)
        logs = {name: np.log(runs.column(column)) for name, column in model.columns.items()}
        distance = sum(
            ((log - log.mean()) / max(float(log.std()), 1e-12)) ** 2 for log in logs.values()
        )
        nearest = np.argsort(distance, kind="stable")[: max(5, len(runs) // 4)]
        reference = {name: float(np.exp(log.mean())) for name, log in logs.items()}
        reference |= {name: reference[as_] for name, as_ in law.same_scale.items()}
        reference |= law.fixed_reference
        typical = float(np.median(runs.column(law.response)[nearest]))
        return cls(reference=reference, response=typical)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Design:
    """What a model observes of a table of runs.

    One compiled model serves every table, because all that differs between tables is here.

    Attributes
    ----------
    matrix
        One column a run. Rows: the log of each input, relative to the reference point; the log
        of the response, relative to the typical one; the number of the level for each column by
        which the model groups runs; and the modes of its discrepancy.
    scale
        The centre of the runs.
    levels
        The levels of those columns.
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
        scale = Scale.of(model, runs)
        levels = {column: Levels.of(runs, column) for column in model.shared}
        inputs = {
            name: np.log(runs.column(column) / scale.reference[name])
            for name, column in model.columns.items()
        }
        response = np.log(runs.column(model.formula.response) / scale.response)
        codes = [found.codes(column_of(runs, column)) for column, found in levels.items()]
        turn, modes = model.discrepancy.modes(inputs) if model.discrepancy else (None, ())
        matrix = np.vstack([*inputs.values(), response, *codes, *modes])
        return cls(matrix=matrix, scale=scale, levels=levels, turn=turn)

    @property
    def seen(self) -> dict[str, NDArray[np.float64]]:
        """For each step what the runs would say of it: the sum of squares of its weights."""
        row = len(self.scale.reference) + 1
        found = {}
        for column, size in self.sizes:
            found[effect_name(column)] = np.bincount(self.matrix[row].astype(int), minlength=size)
            row += 1
        if self.turn is not None:
            found[WALKS] = (self.matrix[row : row + MODES] ** 2).sum(axis=1)
        return found

    @property
    def sizes(self) -> Sizes:
        """The room for levels that a compiled model must have for these runs."""
        return tuple((name, padded(len(found))) for name, found in self.levels.items())
