"""Model checks based on pivotal discrepancy measures of the residuals.

The statistics are functions of normal scores of residuals: their CDF values under the noise of one
posterior draw, transformed by the standard normal quantile function. If parameters are drawn from
the prior, scores at a posterior draw have the same joint distribution as scores at the true
parameters, that of independent standard normals. A statistic of one draw thus has a known
distribution although the data were used for fitting (Johnson 2007, Bayesian Anal. 2, 719; Yuan and
Johnson 2012, Biometrics 68, 156). Checks report the median p-value over draws, which falls below a
threshold at most twice as often as that of one draw.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayescale.model.checks import Check, verdict
from bayescale.posterior.fitted import FittedModel
from bayescale.posterior.predict import noise_at_runs
from bayescale.units import format_number, percent

BY_CHANCE = 0.002
"""P-value below which a pattern is reported as a remark."""

MOSTLY = 0.5
"""Explained share of the residual variance above which a check fails: the misfit of the law then
exceeds the remaining noise."""

NEGLIGIBLE = 1e-4
"""Relative residuals below which patterns are ignored, since they change no result."""

_DRAWS, _FEWEST, _VALUES = 100, 20, 20_000
"""Maximal and minimal number of draws used, and the approximate total number of scores."""

_DEGREE = {1: 4, 2: 2}
"""Polynomial degree in the log inputs, by number of inputs; one for more than two."""

AT_BOUND = 0.005
"""Prior probability of fewer degrees of freedom than the posterior median. If it is smaller, the
median counts as at its lower bound."""

_FEW = 8
_EXTREME = 1e-12


@dataclass(frozen=True, eq=False)
class Scores:
    """Residuals of the fitted runs and their normal scores, for each draw.

    Attributes
    ----------
    normal
        Normal scores, with one row per draw.
    residuals
        Log response minus the log of the curve, in the same shape.
    logs
        Log inputs, with one row per input.
    kept
        Mask of the runs that are included: all but the diverged ones.
    """

    normal: NDArray[np.float64]
    residuals: NDArray[np.float64]
    logs: NDArray[np.float64]
    kept: NDArray[np.bool_]

    @classmethod
    def of(cls, fit: FittedModel) -> "Scores":
        """Return the scores of a fit."""
        from scipy.special import ndtri

        runs = fit.runs
        some = fit.thin(int(np.clip(_VALUES // len(runs), _FEWEST, _DRAWS)))
        noise, log_mean = noise_at_runs(some, runs)
        residuals = np.log(runs.column(fit.response)) - log_mean
        below = np.clip(noise.cdf(residuals), _EXTREME, 1.0 - _EXTREME)
        kept = np.ones(len(runs), dtype=bool)
        if fit.model.noise.censored:
            kept = np.asarray(noise.facts["censored"]) < 0.5
        logs = np.log(np.stack(list(fit.law.comparable(fit.inputs).values())))
        return cls(
            normal=ndtri(below).reshape(-1, len(runs))[:, kept],
            residuals=residuals.reshape(-1, len(runs))[:, kept],
            logs=logs[:, kept],
            kept=kept,
        )

    @property
    def negligible(self) -> bool:
        """Whether the residuals are too small for their pattern to matter."""
        return float(np.median(np.abs(self.residuals).max(axis=1))) < NEGLIGIBLE

    def smooth(self) -> NDArray[np.float64]:
        """Return an orthonormal basis of polynomials in the log inputs, in columns."""
        scaled = [standardised(x) for x in self.logs]
        degree = _DEGREE.get(len(scaled), 1)
        columns = [np.ones_like(scaled[0])]
        for _ in range(degree):
            columns += [column * x for column in columns for x in scaled]
        return orthonormal(np.stack(columns, axis=1))

    def explained(self, basis: NDArray[np.float64]) -> tuple[float, float]:
        """Return the p-value of the variation explained by a basis, and its share of the total."""
        from scipy.special import chdtrc

        found = np.square(self.normal @ basis).sum(axis=1)
        share = found / np.square(self.normal).sum(axis=1)
        return float(np.median(chdtrc(basis.shape[1], found))), float(np.median(share))

    def without(self, basis: NDArray[np.float64]) -> "Scores":
        """Return the scores projected orthogonally to a basis."""
        rest = self.normal - (self.normal @ basis) @ basis.T
        return Scores(rest, self.residuals, self.logs, self.kept)


def check_pattern(fit: FittedModel, scores: Scores) -> Check:
    """Check for a smooth pattern of the residuals in the inputs, which indicates misfit."""
    basis = scores.smooth()
    chance, share = scores.explained(basis)
    odd = chance < BY_CHANCE and not scores.negligible
    where = " and ".join(f"ln {column}" for column in fit.columns.values())
    lawlike = fit.law.takes_size_and_tokens and not fit.has_discrepancy
    labels = fit.runs.table.get("run")
    linked = fit.model.noise.checkpoints is not None
    rows = labels is not None and bool(labels.duplicated().any()) and not linked
    return Check(
        name="pattern",
        status=verdict(failed=odd and share > MOSTLY, remark=odd),
        statistic=chance,
        sentence=f"Residuals follow a pattern in {where} that makes up {percent(share)} of their "
        f"scatter (p-value {chance:.1g}): the law does not fit these runs. Compare laws"
        + _of_one_variable(fit)
        + (", or allow for a discrepancy of the law (coupled-discrepancy)" if lawlike else "")
        + (", or correlate the rows of a run ([noise.checkpoints])." if rows else ".")
        if odd
        else f"Residuals follow no pattern in {where} (p-value {chance:.2g}).",
    )


def _of_one_variable(fit: FittedModel) -> str:
    """Return the advice to compare a law of one variable with others."""
    if set(fit.law.inputs) != {"x"}:
        return ""
    cards = ("power-law-floor", "broken-power-law-1", "broken-power-law-2")
    others = [card for card in cards if card != fit.law.name][:2]
    return f" (compare {' '.join((fit.model.id, *others))}), or average them (forecast)"


def check_evenness(fit: FittedModel, scores: Scores) -> Check:
    """Check for heteroscedasticity in compute, or in the first input."""
    from scipy.special import ndtr

    column, amounts = _scale_of(fit)
    log = np.log(amounts[scores.kept])
    along = standardised(log)
    found = (np.square(scores.normal) - 1.0) @ along / np.sqrt(2.0 * max(len(along), 1))
    chance = float(np.median(2.0 * ndtr(-np.abs(found))))
    odd = chance < BY_CHANCE and len(along) >= _FEW and not scores.negligible
    return Check(
        name="evenness",
        status=verdict(failed=False, remark=odd),
        statistic=chance,
        sentence=f"The scatter is not the same along {column} (p-value {chance:.1g}): "
        f"{_by_decade(scores, log)}. Let it grow ([noise.growth] in the card)."
        if odd
        else f"The scatter is the same along {column} (p-value {chance:.2g}).",
    )


def check_tails(fit: FittedModel, scores: Scores) -> Check:
    """Check that the degrees of freedom of the noise are not at the lower bound of their prior.

    At the bound heavy tails absorb misfit of the law, which follows some runs closely and treats
    all others as outliers.
    """
    prior = fit.model.noise.priors["nu"]
    middle, sigma = (float(fit.posterior[name].median()) for name in ("nu", "sigma"))
    bound = prior.lower
    at_bound = bound > 0 and 1.0 - prior.above(middle) < AT_BOUND and not scores.negligible
    far = int(np.sum(np.abs(np.median(scores.residuals, axis=0)) > 3.0 * sigma))
    said = f"The degrees of freedom of the scatter are {format_number(middle, 2)}"
    return Check(
        name="tails",
        status=verdict(failed=at_bound),
        statistic=middle,
        sentence=f"{said}, at their lower bound of {bound:g}: {far} of {len(scores.kept)} runs lie "
        "more than 3 sigma from the law, which fits the others at their expense. These runs are "
        "outliers, or the law does not fit, or the prior of sigma is too narrow; do not use the "
        "parameters."
        if at_bound
        else f"{said}.",
    )


def _scale_of(fit: FittedModel) -> tuple[str, NDArray[np.float64]]:
    if fit.law.takes_size_and_tokens:
        return "compute", fit.inputs["n_params"] * fit.inputs["n_tokens"]
    name, column = next(iter(fit.columns.items()))
    return column, fit.law.comparable(fit.inputs)[name]


def _by_decade(scores: Scores, log: NDArray[np.float64]) -> str:
    """Describe the residual scale in the first and the last decade with enough runs."""
    decade = np.floor((log - log.min()) / np.log(10.0)).astype(int)
    counts = np.bincount(decade)
    full = np.flatnonzero(counts >= _FEW)
    ends = (full[0], full[-1]) if len(full) > 1 else ()
    found = []
    for name, at in zip(("first", "last"), ends, strict=False):
        inside = decade == at
        spread = float(np.median(np.sqrt(np.square(scores.residuals[:, inside]).mean(axis=1))))
        found.append(f"{percent(spread)} in the {name} decade ({counts[at]} runs)")
    return " and ".join(found) or "it changes within a decade"


def standardised(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values centred at their mean and scaled by their standard deviation."""
    return (x - x.mean()) / max(float(x.std()), 1e-12)


def orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an orthonormal basis of the column space."""
    found, size, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(found[:, size > 1e-6 * size[0]])
