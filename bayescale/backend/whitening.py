"""Differences between levels, and walks, sampled as near to independent normals as runs allow.

Were the log response linear in the differences and the scatter Normal, they would be Normal given
all else: with a mean and a covariance that follow from what the runs say and from the spread
between levels. They are sampled as standard normal steps of that distribution. It is a change of
variables, exact whether the law is near linear or not: what is not quite Normal remains for the
steps, and for the sampler. Where runs determine a difference its step moves the difference itself;
where they do not, it moves the difference over its spread; where they determine some combination
of several, as the loss at the centre is of floor and terms, it moves that.

The walks of a discrepancy are linear in the log response, and their modes orthogonal over the
runs, so that of each there is a mean and a deviation given the law. What one parameter of the law
and a walk can both explain is then a step of the law alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale.backend.hierarchy import Placed, at_levels, within
from bayescale.laws import Values
from bayescale.model.card import Model

type Matrix = list[list[Any]]
"""A small matrix whose entries are arrays or variables of one shape: one for each level."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What runs tell of the differences between the levels of one column.

    Their log density, times the scatter squared, is about ``slope . d - d . information . d / 2``
    with ``d`` the distance from ``best``.

    Attributes
    ----------
    best, slope
        For each effect, a value for each level: of the parameter on the scale of its differences
        at the centres of the model's `grouping`, of the difference itself otherwise.
    information
        For each pair of effects, a value for each level.
    """

    best: Sequence[Any]
    slope: Sequence[Any]
    information: Matrix

    @staticmethod
    def count(effects: int) -> int:
        """Return how many rows `rows` has."""
        return 2 * effects + effects * (effects + 1) // 2

    def rows(self) -> NDArray[np.float64]:
        """Return all as the rows of an array, with a column for each level."""
        below = [row[: i + 1] for i, row in enumerate(self.information)]
        return np.array([*self.best, *self.slope, *(entry for row in below for entry in row)])

    @classmethod
    def from_rows(cls, rows: Any, effects: int) -> "Told":
        """Return what `rows` has been made of."""
        entries = iter(range(2 * effects, cls.count(effects)))
        lower = [[rows[next(entries)] for _ in range(i + 1)] for i in range(effects)]
        return cls(
            best=[rows[i] for i in range(effects)],
            slope=[rows[effects + i] for i in range(effects)],
            information=[
                [lower[max(i, j)][min(i, j)] for j in range(effects)] for i in range(effects)
            ],
        )


def differences_of(
    model: Model,
    values: Values,
    natural: Values,
    placed: Placed,
    told: Mapping[str, Told],
    steps: Values,
) -> tuple[dict[str, Any], Any]:
    """Return the differences between levels, and the log density of the steps before any run.

    Parameters
    ----------
    model
        What differs.
    values
        Spreads, correlations and scatter.
    natural
        Natural parameters about the reference point, but for the differences.
    placed
        The centres of levels, and which lie within which.
    told
        By column.
    steps
        By the name of the effect, one a level along the last axis; what `values` and `natural`
        hold must have room for levels there.
    """
    law = model.law
    usual: dict[str, Any] = {}
    if model.grouping:
        there = at_levels(law, natural, placed.centres)
        usual = {name: law.on_scale(name, value) for name, value in there.items()}
    found: dict[str, Any] = {}
    log_density = 0.0
    for column in model.groupings:
        effects, seen = model.effects_by(column), told[column]
        around = [
            best - usual[effect.of] if leads(model, effect.of, column) else best
            for effect, best in zip(effects, seen.best, strict=True)
        ]
        mixing = [
            [effect.loading(other, values) for other in effects[: i + 1]]
            for i, effect in enumerate(effects)
        ]
        standard, log_spread = _whitened(
            mixing, seen, around, values["sigma"], [steps[effect.effect] for effect in effects]
        )
        for effect, row in zip(effects, mixing, strict=True):
            found[effect.effect] = _sum_of(zip(row, standard, strict=False))
            nested = column != model.grouping and within(column, model.grouping)
            if nested and effect.of in law.parameters:
                of_level = found[effect.effect][..., placed.coarser[column]]
                usual[effect.of] = usual[effect.of] + of_level
        log_density = log_density + log_spread.sum()
        log_density = log_density - 0.5 * sum((x**2).sum() for x in standard)
    return found, log_density


def standard_walks(scale: Any, sigma: Any, modes: Any, left: Any, steps: Any) -> tuple[Any, Any]:
    """Return walks over their scale, from steps, and the log of the Jacobian, mode by mode.

    Parameters
    ----------
    scale, sigma
        Of the walks and of the scatter.
    modes
        What each mode adds at each run, a row each.
    left
        What the law leaves of the runs, summed over them times what each mode adds there.
    steps
        One a mode.
    """
    told = scale / sigma**2
    sharper = 1.0 + scale * told * (modes**2).sum(axis=-1)
    return (told * left / sharper + steps / np.sqrt(sharper)), -0.5 * np.log(sharper)


def leads(model: Model, of: str, column: str) -> bool:
    """Return whether differences are of a parameter at the centres of the model's grouping."""
    return of in model.law.parameters and column == model.grouping


def _whitened(
    mixing: Matrix, told: Told, around: Sequence[Any], sigma: Any, steps: Sequence[Any]
) -> tuple[list[Any], Any]:
    """Return standardised differences from steps, and the log of the Jacobian, level by level.

    Standardised differences ``u`` are standard normal before the runs, and differences are
    ``mixing u``. With that distribution and what is told, ``u`` would have the precision ``P`` and
    the mean ``P^-1 v``.
    """
    size, precision = len(steps), 1.0 / sigma**2
    slope = [
        told.slope[i] + _sum_of(zip(told.information[i], around, strict=True)) for i in range(size)
    ]
    # Information on standardised differences: each differs by one column of `mixing`.
    half = [
        [_sum_of((row[k], mixing[k][j]) for k in range(j, size)) for j in range(size)]
        for row in told.information
    ]
    lower = _cholesky(
        [
            [
                precision * _sum_of((mixing[k][i], half[k][j]) for k in range(i, size))
                + (1.0 if i == j else 0.0)
                for j in range(i + 1)
            ]
            for i in range(size)
        ]
    )
    pull = [
        precision * _sum_of((mixing[k][i], slope[k]) for k in range(i, size)) for i in range(size)
    ]
    centre = _forward(lower, pull)
    standard = _backward(lower, [x + z for x, z in zip(centre, steps, strict=True)])
    return standard, -sum(np.log(lower[i][i]) for i in range(size))


def _sum_of(pairs: Iterable[tuple[Any, Any]]) -> Any:
    """Return a sum of products, without those with nothing."""
    first, *others = [a * b for a, b in pairs if a is not None and b is not None]
    return sum(others, start=first)


def _cholesky(matrix: Matrix) -> Matrix:
    """Return the lower factor, from the lower half of a matrix."""
    lower: Matrix = []
    for i, row in enumerate(matrix):
        lower.append([])
        for j, entry in enumerate(row):
            rest = entry - sum(lower[i][k] * lower[j][k] for k in range(j))
            lower[i].append(np.sqrt(rest) if i == j else rest / lower[j][j])
    return lower


def _forward(lower: Matrix, right: Sequence[Any]) -> list[Any]:
    """Solve for what a lower factor turns into `right`."""
    found: list[Any] = []
    for row, entry in zip(lower, right, strict=True):
        found.append((entry - sum(a * x for a, x in zip(row, found, strict=False))) / row[-1])
    return found


def _backward(lower: Matrix, right: Sequence[Any]) -> list[Any]:
    """Solve for what the transpose of a lower factor turns into `right`."""
    found = list(right)
    for i in reversed(range(len(right))):
        known = sum(lower[k][i] * found[k] for k in range(i + 1, len(right)))
        found[i] = (found[i] - known) / lower[i][i]
    return found
