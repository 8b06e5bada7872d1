"""NextRuns: a batch of runs, and its expected value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from bayescale.costs import Cluster
from bayescale.decision.regret import Regrets
from bayescale.experiment_design.prices import price_of, with_prices
from bayescale.posterior.diagnostics import with_status
from bayescale.posterior.extrapolation import describe_extrapolation
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.result import Result
from bayescale.units import (
    format_budget,
    format_compute,
    format_count,
    format_days,
    format_money,
    format_number,
)

type Objective = Literal["regret", "size", "loss"]

MEANINGS = {
    "regret": "expected regret",
    "size": "variance of ln N_opt",
    "loss": "variance of ln loss",
}
"""Description of each objective."""


@dataclass(frozen=True, eq=False, repr=False)
class NextRuns(Result):
    """A batch of runs, and its expected value of information.

    Attributes
    ----------
    runs
        One row per run, ordered by expected reduction per FLOP: the inputs of the model,
        ``compute`` (FLOP), and ``after``, the expected share of the variance of the quantity of
        interest that remains after this and the preceding runs.
    objective
        The quantity to reduce: ``regret``, ``size`` or ``loss``.
    before, after, reduction
        The expected regret (a share of the target budget), or the variance, now and after the
        runs; and their difference.
    mcse
        Monte Carlo standard error of the reduction.
    target
        The target, in words.
    beyond
        Distance of the target from the fitted runs, in e-folds.
    regrets
        The regrets at the target budget, if it is a budget.
    source, cluster
        The posterior, and the training cluster.
    """

    runs: pd.DataFrame
    objective: Objective
    before: float
    after: float
    mcse: float
    target: str
    source: Posterior
    beyond: pd.DataFrame
    regrets: Regrets | None = None
    cluster: Cluster | None = None

    @property
    def reduction(self) -> float:
        """Expected reduction by the runs."""
        return self.before - self.after

    @property
    def compute(self) -> float:
        """Total compute of the batch, in FLOP."""
        return float(self.runs["compute"].sum())

    @property
    def saving(self) -> float | None:
        """Expected saving at the target, in the unit of its budget; None for a variance."""
        if self.objective != "regret" or self.regrets is None:
            return None
        return self.reduction * self.regrets.budget

    @property
    def per_flop(self) -> float:
        """Expected reduction per FLOP of the batch."""
        return self.reduction / self.compute if len(self.runs) else 0.0

    @property
    def headline(self) -> str:
        """The basis of the advice, preceded by a failure of the gates if there is one."""
        about = f"{self.source.answering} {describe_extrapolation(self.beyond)}"
        diagnostics = self.source.diagnostics
        return about if diagnostics is None else with_status(about, diagnostics)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The advice in words."""
        if not len(self.runs):
            return (
                f"No run within the budget is expected to reduce the {MEANINGS[self.objective]} "
                f"{self.target}.",
            )
        percent = self.objective == "regret"

        def amount(value: float) -> str:
            return f"{format_number(100 * value, 2)} %" if percent else format_number(value, 2)

        what = MEANINGS[self.objective]
        count = "run" if len(self.runs) == 1 else f"{len(self.runs)} runs"
        verb = "is" if len(self.runs) == 1 else "are"
        found = [
            f"The {count} ({format_compute(self.compute)}{self._price(self.compute)}) {verb} "
            f"expected to reduce the {what} {self.target} from {amount(self.before)} to "
            f"{amount(self.after)}: by {amount(self.reduction)}, with a Monte Carlo standard error "
            f"of {amount(self.mcse)}.",
        ]
        if self.reduction <= 2.0 * self.mcse:
            found.append("Within Monte Carlo error this is no reduction.")
        elif (saving := self.saving) is not None and self.regrets is not None:
            unit = self.regrets.cost.unit
            price = self._price(saving) if unit == "FLOP" else ""
            times = ""
            if unit == "FLOP":
                ratio = format_number(saving / self.compute, 2)
                times = (
                    f", {ratio} times the cost of the runs"
                    if saving >= self.compute
                    else ", less than the cost of the runs: for this decision, not worth running"
                )
            found.append(
                f"At that budget the reduction saves {format_budget(saving, unit)}{price}{times}."
            )
        return tuple(found)

    def _price(self, flop: float) -> str:
        price = price_of(flop, self.cluster)
        return f", {price}" if price else ""

    def table(self) -> pd.DataFrame:
        """Return the runs, with days and money if the cluster and its price are known."""
        return with_prices(self.runs, self.cluster)

    def text_table(self) -> pd.DataFrame:
        """Return the table formatted for display."""
        return text_of_runs(self.table(), self.cluster.currency if self.cluster else "$")


def text_of_runs(runs: pd.DataFrame, currency: str = "$") -> pd.DataFrame:
    """Return a table of proposed runs formatted for display, numbered from one."""
    headings: dict[str, tuple[str, Callable[[Any], str]]] = {
        "recipe": ("recipe", str),
        "n_params": ("N", format_count),
        "n_tokens": ("D (tokens)", format_count),
        "compute": ("compute", format_compute),
        "days": ("days", format_days),
        "money": ("cost", lambda x: format_money(x, currency)),
        "after": ("variance left", lambda x: f"{format_number(100 * x, 2)} %"),
    }
    return pd.DataFrame(
        {
            heading: [style(x) for x in column]
            for name, column in runs.items()
            for heading, style in [headings.get(str(name), (str(name), format_count))]
        },
        index=pd.Index(range(1, len(runs) + 1), name="run"),
    )
