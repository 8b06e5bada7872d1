"""Gaussian approximation of the likelihood of group effects, about a penalised fit."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayescale._portable import rounded, step_of
from bayescale.backend.hierarchy import Placed, at_levels, at_runs, unit_reference
from bayescale.backend.unconstrained import coordinates_of, starting_point, variables_of
from bayescale.backend.whitening import Expansion, leads
from bayescale.data.levels import Sizes
from bayescale.laws import Values
from bayescale.model.card import Model

if TYPE_CHECKING:
    from scipy import sparse

_STEPS = 50
_TOLERANCE = 1e-3
"""The search ends when a step lowers half the deviance by less; the expansion point need not be
exact."""

_DIFFERENCE = 1e-5
"""Half the width of central differences, in variables whose scales are about one."""

_MAX_STEP = 1.0
"""Largest step in any variable."""

_MIN_SCATTER = 1e-5

_BITS = 16
"""Binary digits to which the quantities of the expansion are rounded: processors differ in the last
ones, and differences of logs amplify that to the fifth decimal."""

_BITS_OF_POINT = 4
"""Binary digits kept of the expansion point, finer than the scatter of runs: the search amplifies
rounding errors, and the expansion is of second order about any point."""

_UNIT = 2.0**-32
"""Unit to which parameters at the expansion point are rounded."""

_OUTLYING = 3.0
"""Runs this many scales away have weight one half, as under a heavy-tailed likelihood."""


def expand(
    model: Model, placed: Placed, log_response: NDArray[np.float64], sizes: Sizes
) -> dict[str, Expansion]:
    """Return the Gaussian approximation of the likelihood of group effects, by grouping factor.

    The likelihood is expanded about a robust least-squares fit with the priors as penalties
    (Gauss-Newton with Levenberg-Marquardt damping). The change of variables based on it is exact
    for any expansion point; the closer that is to the posterior mode, the better the geometry.
    """
    search = _Search(model, placed, log_response, sizes)
    search.run()
    search.round_fit()
    return {column: search.expansion(column) for column in model.groupings}


class _Search:
    """A penalised least-squares fit of the law's coordinates and all group effects."""

    def __init__(
        self,
        model: Model,
        placed: Placed,
        log_response: NDArray[np.float64],
        sizes: Sizes,
    ) -> None:
        start = starting_point(model, sizes=sizes)
        self.model, self.placed, self.log_response = model, placed, log_response
        self.coordinates = variables_of(model)
        ends = np.cumsum([len(self.coordinates), *(dict(sizes)[e.over] for e in model.effects)])
        self.parts = {
            effect.effect: slice(a, b)
            for effect, a, b in zip(model.effects, ends[:-1], ends[1:], strict=True)
        }
        self.start_at = np.zeros(ends[-1])
        self.start_at[: len(self.coordinates)] = [start[name] for name in self.coordinates]
        self.penalty = np.ones(ends[-1])
        for effect in model.effects:
            self.penalty[self.parts[effect.effect]] = 1.0 / effect.typical_sd**2
        self.at = self.start_at.copy()
        self.scatter = 1.0

    def run(self) -> None:
        """Iterate towards the best fit."""
        damping = 1e-3
        residual = self.residual(self.at)
        for _ in range(_STEPS):
            if not np.all(np.isfinite(residual)):
                return
            self.scatter = max(1.4826 * float(np.median(np.abs(residual))), _MIN_SCATTER)
            slopes = self.slopes()
            weights = self.weights(residual) / self.scatter**2
            weighted = slopes.T.multiply(weights[None, :]).tocsr()
            curvature = (weighted @ slopes).toarray() + np.diag(self.penalty)
            downhill = weighted @ residual - self.penalty * (self.at - self.start_at)
            deviance = self.misfit(self.at, residual)
            while damping < 1e9:
                damped = curvature + damping * np.diag(np.diag(curvature))
                step = np.linalg.solve(damped, downhill)
                candidate = self.at + step * min(1.0, _MAX_STEP / max(np.abs(step).max(), 1e-300))
                new_residual = self.residual(candidate)
                gain = deviance - self.misfit(candidate, new_residual)
                if gain >= 0.0:
                    break
                damping *= 10.0
            else:
                return
            self.at, residual, damping = candidate, new_residual, max(damping / 10.0, 1e-9)
            if gain < _TOLERANCE:
                return

    def round_fit(self) -> None:
        """Round the best fit to a point that is the same on every processor."""
        self.at = rounded(self.at, step_of(self.scatter, _BITS_OF_POINT))

    def expansion(self, column: str) -> Expansion:
        """Return the approximation for the effects of one grouping factor.

        Terms are rounded before they are summed over runs, so that the information stays positive
        semi-definite.
        """
        model, law = self.model, self.model.law
        effects = model.effects_by(column)
        residual, levels = self.residual(self.at), self.placed.codes[column]
        # Runs at which the law is undefined have no information.
        weights = rounded(self.weights(residual), 2.0**-_BITS)
        residual = rounded(np.nan_to_num(residual), step_of(self.scatter, _BITS))
        parts = [self.parts[effect.effect] for effect in effects]
        slopes = [_rounded_slopes(np.nan_to_num(self.slope_in(part))) for part in parts]

        def by_level(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.bincount(levels, values, parts[0].stop - parts[0].start)

        best = [self.at[part] for part in parts]
        natural, differences = self.unpacked(self.at)
        if column == model.grouping:
            local = at_levels(law, natural, self.placed.centres)
            for i, effect in enumerate(effects):
                if leads(model, effect.of, column):
                    best[i] = best[i] + law.on_scale(effect.of, local[effect.of])
                    for other in model.effects:
                        if other.of == effect.of and other.over in self.placed.coarser:
                            nested = self.placed.coarser[other.over]
                            best[i] = best[i] + differences[other.effect][nested]
        return Expansion(
            best=[rounded(values, _UNIT) for values in best],
            slope=[by_level(weights * residual * slope) for slope in slopes],
            information=[[by_level(weights * a * b) for b in slopes] for a in slopes],
        )

    def unpacked(self, at: NDArray[np.float64]) -> tuple[Values, Mapping[str, NDArray[np.float64]]]:
        """Return natural parameters and group effects."""
        law = self.model.law
        coordinates, _ = coordinates_of(self.model, dict(zip(self.coordinates, at, strict=False)))
        natural = law.from_reference(coordinates, unit_reference(law, self.placed.log_inputs))
        return natural, {name: at[part] for name, part in self.parts.items()}

    def residual(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the residuals of the log responses."""
        natural, differences = self.unpacked(at)
        with np.errstate(all="ignore"):
            found = at_runs(self.model, natural, differences, self.placed)
        return np.asarray(self.log_response - found.log_mean)

    def slope_in(self, part: int | slice) -> NDArray[np.float64]:
        """Return the derivative of each run's log mean in a coordinate or its level's effect."""
        step = np.zeros_like(self.at)
        step[part] = _DIFFERENCE
        return (self.residual(self.at - step) - self.residual(self.at + step)) / (2 * _DIFFERENCE)

    def slopes(self) -> "sparse.csr_array":
        """Return the Jacobian of the log mean, with one row per run."""
        from scipy import sparse

        count = len(self.log_response)
        columns = [np.full(count, i) for i in range(len(self.coordinates))]
        columns += [
            self.parts[e.effect].start + self.placed.codes[e.over] for e in self.model.effects
        ]
        parts: list[int | slice] = [*range(len(self.coordinates)), *self.parts.values()]
        values = [self.slope_in(part) for part in parts]
        ends = len(columns) * np.arange(count + 1)
        entries = (np.column_stack(values).ravel(), np.column_stack(columns).ravel(), ends)
        return sparse.csr_array(entries, shape=(count, len(self.at)))

    def weights(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the robustness weight of each run."""
        outlying = residual / (_OUTLYING * self.scatter)
        return np.where(np.isfinite(residual), 1.0 / (1.0 + outlying**2), 0.0)

    def misfit(self, at: NDArray[np.float64], residual: NDArray[np.float64]) -> float:
        """Return half the penalised deviance; infinite where the law is undefined."""
        outlying = residual / (_OUTLYING * self.scatter)
        of_runs = 0.5 * _OUTLYING**2 * np.log1p(outlying**2).sum()
        total = float(of_runs + 0.5 * (self.penalty * (at - self.start_at) ** 2).sum())
        return total if np.isfinite(total) else np.inf


def _rounded_slopes(slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return slopes rounded to a share of the steepest."""
    steepest = float(np.abs(slopes).max(initial=0.0))
    return rounded(slopes, step_of(steepest, _BITS)) if steepest > 0.0 else slopes
