"""Partially non-centred parametrisation of group effects and the slopes of a discrepancy.

Under a Gaussian approximation of the likelihood, group effects given all other parameters are
Normal, with a mean and covariance that follow from the runs and the spread between levels. The
sampled variables are the whitened effects, standard normal under that conditional distribution.
The change of variables is exact whether or not the approximation is good; the sampler handles what
is not Gaussian. The parametrisation is centred for effects that the runs determine, non-centred
for those that they do not, and decorrelated for those determined only in combination, such as the
floor and terms of a loss at its centre.

The slopes of a discrepancy enter the log response linearly, so that, under the same approximation,
those that affect the runs are Normal given the law. Sampled as their whitened residuals, they have
no posterior correlation with each other or with the parameters of the law.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale.backend.hierarchy import Placed, at_levels, within
from bayescale.laws import Values
from bayescale.model.card import Model

type Matrix = list[list[Any]]
"""A small matrix whose entries are arrays or variables with one value per level."""


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """Second-order expansion of the log likelihood in the effects of one grouping factor.

    The log likelihood, times the residual variance, is about
    ``slope . d - d . information . d / 2`` with ``d`` the distance from ``best``.

    Attributes
    ----------
    best, slope
        Expansion point and gradient: for each effect, one value per level. `best` is the parameter
        (on the scale of its differences) at the centres of the model's `grouping`, and the
        difference itself otherwise.
    information
        Fisher information: for each pair of effects, one value per level.
    """

    best: Sequence[Any]
    slope: Sequence[Any]
    information: Matrix

    @staticmethod
    def count(effects: int) -> int:
        """Return the number of rows of `rows`."""
        return 2 * effects + effects * (effects + 1) // 2

    def rows(self) -> NDArray[np.float64]:
        """Return the expansion packed in an array, with one column per level."""
        below = [row[: i + 1] for i, row in enumerate(self.information)]
        return np.array([*self.best, *self.slope, *(entry for row in below for entry in row)])

    @classmethod
    def from_rows(cls, rows: Any, effects: int) -> "Expansion":
        """Return the expansion packed in `rows`."""
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
    expansions: Mapping[str, Expansion],
    steps: Values,
) -> tuple[dict[str, Any], Any]:
    """Return group effects, and the log prior density of the whitened steps.

    Parameters
    ----------
    model
        The model, with its pooling.
    values
        Standard deviations between levels, correlations and residual scale.
    natural
        Population-level natural parameters about the reference point.
    placed
        The centres of levels, and their nesting.
    expansions
        Expansions of the log likelihood, by grouping factor.
    steps
        Whitened effects by name, with the level along the last axis; `values` and `natural` must
        broadcast against it.
    """
    law = model.law
    population: dict[str, Any] = {}
    if model.grouping:
        local = at_levels(law, natural, placed.centres)
        population = {name: law.on_scale(name, value) for name, value in local.items()}
    found: dict[str, Any] = {}
    log_density = 0.0
    for column in model.groupings:
        effects, expansion = model.effects_by(column), expansions[column]
        modes = [
            best - population[effect.of] if leads(model, effect.of, column) else best
            for effect, best in zip(effects, expansion.best, strict=True)
        ]
        mixing = [
            [effect.loading(other, values) for other in effects[: i + 1]]
            for i, effect in enumerate(effects)
        ]
        standard, log_spread = _whitened(
            mixing, expansion, modes, values["sigma"], [steps[effect.effect] for effect in effects]
        )
        for effect, row in zip(effects, mixing, strict=True):
            found[effect.effect] = _sum_of(zip(row, standard, strict=False))
            nested = column != model.grouping and within(column, model.grouping)
            if nested and effect.of in law.parameters:
                of_level = found[effect.effect][..., placed.coarser[column]]
                population[effect.of] = population[effect.of] + of_level
        log_density = log_density + log_spread.sum()
        log_density = log_density - 0.5 * sum((x**2).sum() for x in standard)
    return found, log_density


def seen_slopes(
    values: Values,
    modes: Any,
    growth: Any,
    factor: Any,
    residuals: Any,
    steps: Any,
    conditional: Callable[..., Any],
) -> tuple[Any, Any, Any]:
    """Return the standardised coordinates of a discrepancy's slopes, from whitened steps.

    Parameters
    ----------
    values
        Scales of the discrepancy, and residual scale.
    modes, growth, factor
        The modes (`Modes`), one row per mode.
    residuals
        Residuals from the law, with the run along the last axis.
    steps
        Whitened steps, with the mode along the last axis.
    conditional
        ``backend.conditional.conditional``, or the operation of a graph.

    Returns
    -------
    coordinates, residuals, log_sharper
        The coordinates; the residuals from the law and its discrepancy; and the log Jacobian.
    """
    scale = np.sqrt(values["rough"] ** 2 + values["smooth"] ** 2 * growth)
    # Not as matrix products: the sampler would call BLAS through Python, which is no faster.
    score = (residuals[..., None, :] * modes).sum(axis=-1) / values["sigma"]
    coordinates, log_sharper = conditional(scale / values["sigma"], score, steps, factor)
    discrepancy = ((scale * coordinates)[..., None] * modes).sum(axis=-2)
    return coordinates, residuals - discrepancy, -log_sharper


def leads(model: Model, of: str, column: str) -> bool:
    """Return whether an effect is on a parameter at the centres of the model's grouping."""
    return of in model.law.parameters and column == model.grouping


def _whitened(
    mixing: Matrix, expansion: Expansion, modes: Sequence[Any], sigma: Any, steps: Sequence[Any]
) -> tuple[list[Any], Any]:
    """Return standardised effects from whitened steps, and the log Jacobian of each level.

    Standardised effects ``u`` are standard normal a priori, and effects are ``mixing u``. Under
    the expansion, the posterior of ``u`` has precision ``P`` and mean ``P^-1 v``.
    """
    size, precision = len(steps), 1.0 / sigma**2
    slope = [
        expansion.slope[i] + _sum_of(zip(expansion.information[i], modes, strict=True))
        for i in range(size)
    ]
    # Information on standardised effects, by the chain rule.
    half = [
        [_sum_of((row[k], mixing[k][j]) for k in range(j, size)) for j in range(size)]
        for row in expansion.information
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
    gradient = [
        precision * _sum_of((mixing[k][i], slope[k]) for k in range(i, size)) for i in range(size)
    ]
    centre = _forward(lower, gradient)
    standard = _backward(lower, [x + z for x, z in zip(centre, steps, strict=True)])
    return standard, -sum(np.log(lower[i][i]) for i in range(size))


def _sum_of(pairs: Iterable[tuple[Any, Any]]) -> Any:
    """Return a sum of products, skipping pairs with None."""
    first, *others = [a * b for a, b in pairs if a is not None and b is not None]
    return sum(others, start=first)


def _cholesky(matrix: Matrix) -> Matrix:
    """Return the lower Cholesky factor of a matrix, from its lower triangle."""
    lower: Matrix = []
    for i, row in enumerate(matrix):
        lower.append([])
        for j, entry in enumerate(row):
            rest = entry - sum(lower[i][k] * lower[j][k] for k in range(j))
            lower[i].append(np.sqrt(rest) if i == j else rest / lower[j][j])
    return lower


def _forward(lower: Matrix, right: Sequence[Any]) -> list[Any]:
    """Solve ``lower x = right``."""
    found: list[Any] = []
    for row, entry in zip(lower, right, strict=True):
        found.append((entry - sum(a * x for a, x in zip(row, found, strict=False))) / row[-1])
    return found


def _backward(lower: Matrix, right: Sequence[Any]) -> list[Any]:
    """Solve ``lower.T x = right``."""
    found = list(right)
    for i in reversed(range(len(right))):
        known = sum(lower[k][i] * found[k] for k in range(i + 1, len(right)))
        found[i] = (found[i] - known) / lower[i][i]
    return found
