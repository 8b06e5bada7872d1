"""The data of a fit: points of curves with the history of the rate before each, as one matrix."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bayescale.data.levels import padded
from bayescale.schedules.curves import RunCurve
from bayescale.schedules.nodes import NODES, Nodes
from bayescale.schedules.schedule import Schedule

type Array = NDArray[np.float64]

POINTS = 12
"""Most points of a run that are fitted: neighbouring points of a smooth curve are redundant."""

_SINGLE = ("log_area", "log_loss", "run")
_NODES = ("drop", "log_rate", "since", "log_steps")

ROWS = len(_SINGLE) + len(_NODES) * NODES
"""Number of rows of the matrix."""


def rows_of(matrix: Any) -> dict[str, Any]:
    """Return the parts of a matrix of points, by name; those of the nodes are nodes x points."""
    found = {name: matrix[i] for i, name in enumerate(_SINGLE)}
    for i, name in enumerate(_NODES):
        start = len(_SINGLE) + i * NODES
        found[name] = matrix[start : start + NODES]
    return found


@dataclass(frozen=True)
class Centre:
    """The centre of the curves, to which the coordinates of laws refer.

    Attributes
    ----------
    area
        Geometric mean of the area under the rate.
    peak
        The largest rate.
    loss
        Median of the loss.
    """

    area: float
    peak: float
    loss: float


@dataclass(frozen=True, eq=False)
class Design:
    """The points that are fitted.

    Attributes
    ----------
    runs
        Names of the runs.
    centre
        The centre of the curves.
    matrix
        `ROWS` x points; `rows_of` names the rows.
    """

    runs: tuple[str, ...]
    centre: Centre
    matrix: Array

    @classmethod
    def of(cls, curves: Sequence[RunCurve]) -> Self:
        """Return at most `POINTS` points of each curve.

        Points that a run shares with an earlier one, from which it branched, are included once.
        """
        kept = [_kept(curve, _shared(curve, curves)) for curve in curves]
        area = np.concatenate(
            [curve.schedule.area(step) for curve, (step, _) in zip(curves, kept, strict=True)]
        )
        centre = Centre(
            area=float(np.exp(np.log(area).mean())),
            peak=max(curve.schedule.peak for curve in curves),
            loss=float(np.median(np.concatenate([loss for _, loss in kept]))),
        )
        parts = []
        for code, (curve, (step, loss)) in enumerate(zip(curves, kept, strict=True)):
            part = matrix_of(curve.schedule, step, centre)
            rows_of(part)["log_loss"][:] = np.log(loss / centre.loss)
            rows_of(part)["run"][:] = code
            parts.append(part)
        return cls(tuple(curve.run for curve in curves), centre, np.hstack(parts))

    @property
    def room(self) -> int:
        """Number of effects of runs in a compiled model."""
        return padded(len(self.runs))


def matrix_of(schedule: Schedule, step: Array, centre: Centre) -> Array:
    """Return the matrix of points of one run, without their losses."""
    matrix = np.zeros((ROWS, len(step)))
    rows, nodes = rows_of(matrix), Nodes.of(schedule, step)
    rows["log_area"][:] = np.log(schedule.area(step) / centre.area)
    rows["drop"][:] = nodes.drop / centre.peak
    rows["log_rate"][:] = nodes.log_rate - np.log(centre.peak)
    rows["since"][:] = nodes.since / centre.peak
    rows["log_steps"][:] = nodes.log_steps
    return matrix


def _shared(curve: RunCurve, curves: Sequence[RunCurve]) -> float:
    """Return the last step up to which an earlier curve is identical."""
    found = 0.0
    for other in itertools.takewhile(lambda c: c is not curve, curves):
        count = min(len(curve.step), len(other.step))
        same = (curve.step[:count] == other.step[:count]) & (
            curve.loss[:count] == other.loss[:count]
        )
        shared = count if same.all() else int(np.argmin(same))
        found = max(found, float(curve.step[shared - 1]) if shared else 0.0)
    return found


def _kept(curve: RunCurve, after: float) -> tuple[Array, Array]:
    """Return points after a step, evenly spaced in its logarithm, the last one included."""
    step, loss = (x[curve.step > after] for x in (curve.step, curve.loss))
    if len(step) > POINTS:
        at = np.geomspace(step[0], step[-1], POINTS)
        near = np.unique(np.searchsorted(step, at * (1.0 - 1e-9)).clip(0, len(step) - 1))
        step, loss = step[near], loss[near]
    return step, loss
