"""Judge: the expected regret of designs over simulated projects."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.costs import Cost
from bayescale.costs.budget import Array
from bayescale.costs.limits import Limits
from bayescale.decision.decide import least_regret
from bayescale.decision.regret import Regrets
from bayescale.errors import AmountError
from bayescale.experiment_design.gaussian_posteriors import posterior_curves
from bayescale.experiment_design.prior_laws import PriorLaws
from bayescale.posterior.curve import Curve
from bayescale.units import format_budget

_FEWEST = 0.5
"""Smallest share of laws with an optimum at the target."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """The expected results of a design.

    Attributes
    ----------
    regret
        Regret of the decided size under the law of each project.
    smooth
        Mean over projects of the regret that is implied by the posterior standard deviation: it has
        less Monte Carlo error, and is used by the search.
    sds
        Posterior standard deviation of ln N_opt of each project.
    contraction
        One minus the ratio of the mean posterior to the prior variance, of ln N_opt at the target.
    contractions
        The same of each elasticity and exponent of the law, on the unconstrained scale.
    """

    regret: Array
    smooth: float
    sds: Array
    contraction: float
    contractions: "pd.Series[float]"


@dataclass(frozen=True, eq=False)
class Judge:
    """Simulated projects with an optimum at the target, and their regrets.

    Attributes
    ----------
    laws, regrets
        The law of each project, and the regrets of sizes under it.
    without
        Share of the laws drawn that have no optimum at the target, and are left out.
    """

    laws: PriorLaws
    regrets: Regrets
    without: float

    @classmethod
    def of(cls, laws: PriorLaws, cost: Cost, target: float, limits: Limits) -> "Judge":
        """Keep the laws with an optimum at the target."""

        def regrets(laws: PriorLaws) -> Regrets:
            return Regrets(laws.curve, cost, target, laws.split.fixed, limits)

        kept = np.arange(laws.draws.sizes["draw"])
        count = len(kept)
        # The range of the search depends on the set of laws, so that others may lose their optimum.
        while (lost := np.isnan(regrets(laws).log_n_opt[0])).any():
            laws = laws.select(np.flatnonzero(~lost))
            kept = kept[~lost]
            if len(kept) < _FEWEST * count:
                raise AmountError(
                    f"target: fewer than half of the laws drawn from {laws.model.id} have an "
                    f"optimum at {format_budget(target, cost.unit)}. Give a smaller target, limits "
                    "on its size and tokens, or a card with tighter priors."
                )
        return cls(laws, regrets(laws), 1.0 - len(kept) / count)

    @property
    def log_n_opt(self) -> Array:
        """Ln N_opt of each law at the target."""
        return np.asarray(self.regrets.log_n_opt[0])

    @cached_property
    def without_runs(self) -> float:
        """Ln of the size that is decided from the prior alone."""
        return least_regret(self.regrets)

    @cached_property
    def before(self) -> Array:
        """Regret of each law without any runs."""
        return self.price(np.full((len(self.log_n_opt), 1), self.without_runs))[:, 0]

    def price(self, log_n: Array) -> Array:
        """Return the regret of sizes at the target, one row per law."""
        low, high = (float(end[0]) for end in self.regrets.spending.ends)
        at = np.clip(log_n, low, high)[None]
        log_d = self.regrets.spending.log_tokens(at, np.zeros(at.shape, dtype=np.intp))
        return np.asarray(self.regrets.regret(self.regrets.log_loss(at, log_d))[0])

    def verdict(self, table: pd.DataFrame, *, count: int, sets: int, seed: int) -> Verdict:
        """Return the verdict on runs, with `count` posterior draws of each project.

        Their scales are taken as known if `sets` is zero (`posterior_curves`).
        """
        log_n, log_d = (np.log(table[c].to_numpy(dtype=float)) for c in ("n_params", "n_tokens"))
        curve = posterior_curves(self.laws, log_n, log_d, count=count, sets=sets, seed=seed)
        # Draws with a negative floor have neither a loss nor an optimum.
        with np.errstate(invalid="ignore"):
            optimum = curve.optimum(self.regrets.spending, self.regrets.fixed).to_numpy()[..., 0]
        decided = _mean(optimum, np.full(len(optimum), self.without_runs))
        # The posterior distribution of the error of the decision, priced under the true law.
        apart = np.where(np.isnan(optimum), 0.0, decided[:, None] - optimum)
        return Verdict(
            regret=self.price(decided[:, None])[:, 0],
            smooth=float(self.price(self.log_n_opt[:, None] + apart).mean()),
            sds=np.sqrt(_variance(optimum)),
            contraction=_contraction(optimum, self.log_n_opt),
            contractions=self._contractions(curve),
        )

    def _contractions(self, curve: Curve) -> "pd.Series[float]":
        model, reference = self.laws.model, self.laws.design.scale.reference
        drawn = model.law.to_reference(curve.parameters, reference)
        found = {}
        for name in model.law.coordinates:
            if name != model.law.level:
                free = model.priors[name].unconstrain
                prior = free(self.laws.draws[name].to_numpy()[0])
                with np.errstate(invalid="ignore"):
                    found[name] = _contraction(np.asarray(free(drawn[name])), prior)
        return pd.Series(found)


def _mean(values: Array, otherwise: Array) -> Array:
    """Return the mean of each row over its finite values."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), otherwise)


def _variance(values: Array) -> NDArray[np.float64]:
    """Return the variance of each row over its finite values; zero for fewer than two."""
    known = np.isfinite(values)
    gap = np.where(known, values - _mean(values, np.zeros(len(values)))[:, None], 0.0)
    return np.asarray((gap**2).sum(axis=1) / np.maximum(known.sum(axis=1) - 1, 1))


def _contraction(posterior: Array, prior: Array) -> float:
    return float(1.0 - _variance(posterior).mean() / np.nanvar(prior, ddof=1))
