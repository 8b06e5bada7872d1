"""NextRuns: a batch of runs, and what it promises."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from bayescale.costs import Cluster
from bayescale.decision.regret import Regrets
from bayescale.posterior.diagnostics import lead_with_status
from bayescale.posterior.extrapolation import say_beyond
from bayescale.posterior.fit import Fit
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
"""What each objective is, in words."""


@dataclass(frozen=True, eq=False, repr=False)
class NextRuns(Result):
    """A batch of runs, and what it is expected to teach.

    Attributes
    ----------
    runs
        One row a run, in the order of their use per FLOP: the inputs of the model,
        ``compute`` (FLOP), and ``after``, what is expected to be left of the variance of the
        quantity of interest once it and those before it are in, as a share.
    objective
        What was to be cut: ``regret``, ``size`` or ``loss``.
    before, after, reduction
        The expected regret (a share of the target budget), or the variance, now and with the
        runs in; and their difference.
    mcse
        Monte Carlo standard error of the reduction.
    target
        The question, in words.
    beyond
        By how many e-folds the target lies beyond the runs that were fitted.
    regrets
        The target budget, if there is one.
    source, cluster
        What it was computed from, and what trains.
    """

    runs: pd.DataFrame
    objective: Objective
    before: float
    after: float
    mcse: float
    target: str
    source: Fit
    beyond: pd.DataFrame
    regrets: Regrets | None = None
    cluster: Cluster | None = None

    @property
    def reduction(self) -> float:
        """What the runs are expected to take away."""
        return self.before - self.after

    @property
    def compute(self) -> float:
        """Compute of the batch, in FLOP."""
        return float(self.runs["compute"].sum())

    @property
    def saving(self) -> float | None:
        """What the batch is expected to save at the target, in its unit; None of a variance."""
        if self.objective != "regret" or self.regrets is None:
            return None
        return self.reduction * self.regrets.budget

    @property
    def per_flop(self) -> float:
        """What is taken away per FLOP of the batch."""
        return self.reduction / self.compute if len(self.runs) else 0.0

    @property
    def headline(self) -> str:
        """What the advice rests on, led by the failure if the gates were not passed."""
        about = f"{self.source.answering} {say_beyond(self.beyond)}"
        return lead_with_status(about, self.source.diagnostics)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The advice in words."""
        if not len(self.runs):
            return ("No run that the budget allows is expected to teach anything.",)
        percent = self.objective == "regret"

        def amount(value: float) -> str:
            return f"{format_number(100 * value, 2)} %" if percent else format_number(value, 2)

        what = MEANINGS[self.objective]
        count = "run" if len(self.runs) == 1 else f"{len(self.runs)} runs"
        verb = "is" if len(self.runs) == 1 else "are"
        found = [
            f"The {count} ({format_compute(self.compute)}{self._price(self.compute)}) {verb} "
            f"expected to cut the {what} {self.target} from {amount(self.before)} to "
            f"{amount(self.after)}: by {amount(self.reduction)}, Monte Carlo error "
            f"{amount(self.mcse)}.",
        ]
        if self.reduction <= 2.0 * self.mcse:
            found.append("That is nothing, within Monte Carlo error.")
        elif (saving := self.saving) is not None and self.regrets is not None:
            unit = self.regrets.cost.unit
            price = self._price(saving) if unit == "FLOP" else ""
            times = ""
            if unit == "FLOP":
                ratio = format_number(saving / self.compute, 2)
                times = f", {ratio} times what they cost"
            found.append(f"That is worth {format_budget(saving, unit)}{price} there{times}.")
        return tuple(found)

    def _price(self, flop: float) -> str:
        if self.cluster is None:
            return ""
        parts = [f"{format_days(float(self.cluster.days(flop)))} on {self.cluster}"]
        if self.cluster.price is not None:
            parts.append(format_money(self.cluster.money(flop), self.cluster.currency))
        return f", {', '.join(parts)}"

    def table(self) -> pd.DataFrame:
        """Return the runs, with days and money where the cluster and its price are known."""
        table = self.runs.copy()
        if self.cluster is not None:
            table["days"] = self.cluster.days(table["compute"])
            if self.cluster.price is not None:
                table["money"] = self.cluster.money(table["compute"])
        return table

    def text_table(self) -> pd.DataFrame:
        """Return the same as people read it."""
        currency = self.cluster.currency if self.cluster else "$"
        headings: dict[str, tuple[str, Callable[[float], str]]] = {
            "n_params": ("N", format_count),
            "n_tokens": ("D (tokens)", format_count),
            "compute": ("compute", format_compute),
            "days": ("days", format_days),
            "money": ("cost", lambda x: format_money(x, currency)),
            "after": ("variance left", lambda x: f"{format_number(100 * x, 2)} %"),
        }
        return pd.DataFrame(
            {
                heading: [style(float(x)) for x in column]
                for name, column in self.table().items()
                for heading, style in [headings.get(str(name), (str(name), format_count))]
            },
            index=pd.Index(range(1, len(self.runs) + 1), name="run"),
        )
