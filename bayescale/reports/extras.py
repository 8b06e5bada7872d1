"""The further analyses of a full report: other laws, an expanding window and next runs."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

from bayescale.allocation.plans import largest_compute
from bayescale.allocation.result import Allocation
from bayescale.costs import Cluster
from bayescale.errors import BayescaleError, BayescaleWarning
from bayescale.experiment_design.next_runs import next_runs
from bayescale.experiment_design.result import NextRuns
from bayescale.inference.fit import fit_quietly
from bayescale.model.card import load_model
from bayescale.posterior.fit import Fit
from bayescale.reports.further import Further
from bayescale.sensitivity.expanding_window import ExpandingWindow, expanding_window
from bayescale.validation.backtest import Backtest, backtest
from bayescale.validation.compare import compare, usual_cuts
from bayescale.validation.result import Comparison

OTHERS = ("chinchilla", "coupled", "kaplan-nd-floor")
"""Cards to compare with that of a fit to runs of size and tokens."""

_RUNS, _FOLDS = 2, 5
"""Number of next runs, and of folds of grouped cross-validation."""


@dataclass(frozen=True)
class Extras:
    """The further analyses of the runs of a fit, at the largest of its budgets.

    An analysis that the runs do not allow is None, with a warning.
    """

    fit: Fit
    plan: Allocation | None
    prob: float
    cluster: Cluster | None
    progress: bool

    def added_to(self, further: Further) -> Further:
        """Return the given analyses and those that are missing."""
        return replace(
            further,
            comparison=further.comparison or self.comparison(),
            backtest=further.backtest or self.backtest(),
            cuts=further.cuts or self.cuts(),
            next_runs=further.next_runs or self.next_runs(),
        )

    def comparison(self) -> Comparison | None:
        """Return the comparison with other laws."""
        fit = self.fit

        def laws() -> Comparison:
            fits = {fit.model.id: fit}
            if set(fit.columns) == {"n_params", "n_tokens"}:
                others = [load_model(card) for card in OTHERS if card not in fits]
                fits |= {model.id: fit_quietly(fit.runs, model, seed=fit.seed) for model in others}
            return compare(fits, folds=_FOLDS, seed=fit.seed, progress=self.progress)

        return _unless_refused("comparison of laws", laws)

    def backtest(self) -> Backtest | None:
        """Return the predictions of larger budgets from smaller ones."""
        fit = self.fit
        return _unless_refused(
            "backtest",
            lambda: backtest(
                fit.runs, fit.model, prob=self.prob, seed=fit.seed, progress=self.progress
            ),
        )

    def cuts(self) -> ExpandingWindow | None:
        """Return the refits below increasing cuts."""
        fit, plan = self.fit, self.plan
        if plan is None:
            return None
        return _unless_refused(
            "expanding window",
            lambda: expanding_window(
                fit.runs,
                fit.model,
                usual_cuts(fit.runs.compute),
                budget=float(plan.budgets.max()),
                cost=plan.cost,
                fixed=plan.fixed,
                prob=self.prob,
                seed=fit.seed,
                progress=self.progress,
            ),
        )

    def next_runs(self) -> NextRuns | None:
        """Return the best next runs for at most the compute of the largest run."""
        fit, plan = self.fit, self.plan
        if plan is None:
            return None
        return _unless_refused(
            "next runs",
            lambda: next_runs(
                fit,
                target=float(plan.budgets.max()),
                budget=largest_compute(fit, plan.cost),
                n_runs=_RUNS,
                cluster=self.cluster,
                **plan.terms,
            ),
        )


def _unless_refused[T](what: str, analyse: Callable[[], T]) -> T | None:
    """Return the result of an analysis; None, with a warning, if the runs do not allow it."""
    try:
        return analyse()
    except BayescaleError as error:
        message = f"{what}: left out of the report. {error}"
        warnings.warn(message, BayescaleWarning, stacklevel=5)
        return None
