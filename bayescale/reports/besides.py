"""What a full report asks beside its own fit: other laws, rising cuts, and what to run next."""

import warnings
from collections.abc import Callable
from typing import TypedDict

import numpy as np

from bayescale.advice import next_runs
from bayescale.allocation import Plan, largest_compute
from bayescale.comparing import CUTS, compare
from bayescale.comparison import Comparison
from bayescale.costs import Cluster
from bayescale.errors import BayescaleError, BayescaleWarning
from bayescale.fitting import fit_quietly
from bayescale.model import load_model
from bayescale.posterior import Fit
from bayescale.promise import NextRuns
from bayescale.windows import RisingCuts, rising_cuts

OTHERS = ("chinchilla", "coupled", "kaplan-nd-floor")
"""Cards beside which that of a fit stands, where runs are of size and tokens."""

_RUNS, _FOLDS = 2, 5


class Besides(TypedDict):
    """What was found, as `bayescale.report` takes it."""

    comparison: Comparison | None
    cuts: RisingCuts | None
    next_runs: NextRuns | None


def ask_besides(
    fit: Fit, plan: Plan, prob: float, cluster: Cluster | None, progress: bool
) -> Besides:
    """Ask of the runs of a fit what else a decision rests on, for the largest of its budgets.

    What they cannot answer is left out, with a warning that says why.
    """
    largest, terms = float(plan.compute.max()), plan.terms

    def found[T](what: str, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except (BayescaleError, TypeError) as error:
            said = f"{what}: left out of the report. {error}"
            warnings.warn(said, BayescaleWarning, stacklevel=4)
            return None

    def laws() -> Comparison:
        fits = {fit.model.id: fit}
        if set(fit.columns) == {"n_params", "n_tokens"}:
            others = [load_model(card) for card in OTHERS if card not in fits]
            fits |= {model.id: fit_quietly(model, fit.runs, seed=fit.seed) for model in others}
        return compare(fits, folds=_FOLDS, seed=fit.seed, progress=progress)

    def cuts() -> RisingCuts:
        places = np.unique(np.quantile(fit.runs.compute, CUTS))
        return rising_cuts(
            fit.model,
            fit.runs,
            [float(x) for x in places],
            compute=largest,
            cost=terms["cost"],
            fixed=terms["fixed"],
            prob=prob,
            seed=fit.seed,
            progress=progress,
        )

    def runs() -> NextRuns:
        budget = largest_compute(fit, plan.cost)
        return next_runs(fit, target=largest, budget=budget, n_runs=_RUNS, cluster=cluster, **terms)

    return Besides(
        comparison=found("comparison of laws", laws),
        cuts=found("rising cuts", cuts),
        next_runs=found("next runs", runs),
    )
