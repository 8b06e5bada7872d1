"""One refit of many, summarised by the exponent and N_opt at a budget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale._digests import digest_of
from bayescale.costs import Cost, six_nd
from bayescale.costs.budget import Spending
from bayescale.data.runs import Runs
from bayescale.inference.fit import fit_quietly
from bayescale.laws.optimum import Split
from bayescale.model.card import Model
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.summary import tail_quantiles

_DECADE = np.log(10.0)

type Recounted = Callable[[Any], Any]
"""Converts fitted N to reported N."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The quantities of interest of every refit.

    Attributes
    ----------
    budget
        The budget, in FLOP.
    cost
        Its cost, in terms of fitted N.
    count
        Converts fitted N to reported N; None if they are the same.
    fixed
        Values of the law's inputs other than size and tokens.
    prob
        Probability inside the intervals.
    """

    budget: float
    cost: Cost = six_nd
    count: Recounted | None = None
    fixed: Mapping[str, object] | None = None
    prob: float = 0.9

    @property
    def settings(self) -> tuple[object, ...]:
        """The parts of the key of a stored result."""
        fixed = sorted((self.fixed or {}).items())
        return (self.budget, digest_of(self.cost, self.count), fixed, self.prob)


def summary_of(source: Source, question: Question) -> dict[str, Any]:
    """Return the posterior summary of the quantities of interest, as a row of a table.

    Returns
    -------
    dict
        ``a``, the slope of ln N_opt on ln C over the decade around the budget, and ``n_opt`` at
        it: medians and intervals (``_lower``, ``_upper``). Also ``log_n``, the median of ln
        N_opt, and ``log_n_sd``; ``no_optimum``, the share of draws without an optimum, which are
        left out.
    """
    budgets = question.budget * np.exp(_DECADE * np.array([-0.5, 0.0, 0.5]))
    log_n = as_posterior(source).curve.optimum(Spending(question.cost, budgets), question.fixed)
    drawn = log_n.transpose("budget", ...).to_numpy().reshape(3, -1)
    if question.count is not None:
        drawn = np.log(question.count(np.exp(drawn)))
    has_optimum = np.isfinite(drawn).all(axis=0)
    drawn = drawn[:, has_optimum]
    if not has_optimum.any():
        return {"no_optimum": 1.0}
    low, log_middle, high = _ends(drawn[1], question.prob)
    a = _ends((drawn[2] - drawn[0]) / _DECADE, question.prob)
    return {
        **dict(zip(("a_lower", "a", "a_upper"), a, strict=True)),
        "n_opt_lower": float(np.exp(low)),
        "n_opt": float(np.exp(log_middle)),
        "n_opt_upper": float(np.exp(high)),
        "log_n": log_middle,
        "log_n_sd": float(drawn[1].std()),
        "no_optimum": float(1.0 - has_optimum.mean()),
    }


def refit(
    model: Model, runs: Runs, question: Question, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Fit a model; return its summary by `summary_of` and the diagnostics of the fit.

    Returns
    -------
    dict
        The summary, with ``n_runs``, ``ok``, ``r_hat``, ``ess`` and ``status``.

    Raises
    ------
    RunsError, SamplingError
        If the model cannot be fitted to these runs.
    """
    found = fit_quietly(runs, model, **options)
    return {"n_runs": len(runs), **summary_of(found, question), **found.gates.facts}


def refuse_without_optimum(model: Model, fixed: Mapping[str, object] | None) -> None:
    """Raise an error for a model without N_opt at a budget.

    Raises
    ------
    UnsuitableLawError, AmountError
        If its law is not a function of size and tokens, or needs inputs that are not fixed.
    """
    Split.of(model.law, fixed)


def _ends(values: NDArray[np.float64], prob: float) -> list[float]:
    found: list[float] = np.quantile(values, tail_quantiles(prob)).tolist()
    return found
