"""FirstSweep: the runs of a first sweep, and the expected regret of designs of its cost."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from bayescale._io import whole_file
from bayescale._outputs import SWEEP
from bayescale.costs import Cluster
from bayescale.experiment_design.judge import Judge
from bayescale.experiment_design.prices import price_of, with_prices
from bayescale.experiment_design.sweep_designs import USUAL, IsoFlop
from bayescale.model.card import Model
from bayescale.posterior.result import Result
from bayescale.units import (
    format_budget,
    format_compute,
    format_count,
    format_days,
    format_money,
    format_number,
    percent,
)

RECOMMENDED = "recommended"
"""Name of the recommended design."""

_OF_LAW = "contraction_"
"""Prefix of the columns of the contractions of the law's coordinates."""


@dataclass(frozen=True, eq=False, repr=False)
class FirstSweep(Result):
    """A first sweep, designed before any run.

    Attributes
    ----------
    runs
        One row per run, cheapest first: ``budget`` (its number, from the smallest), ``n_params``,
        ``n_tokens``, ``seed``, ``compute`` (FLOP) and, by a rule, ``learning_rate``,
        ``batch_tokens`` and ``n_steps``.
    designs
        One row per design, the recommended one first: number of ``runs``, total ``compute`` and
        that of the ``largest`` run; expected ``regret`` at the target, as a share of it, with its
        Monte Carlo error ``mcse``; the paired difference ``more`` from the recommended design,
        over the same projects, with ``more_mcse``; the ``factor`` (one posterior standard
        deviation) within which N_opt is known then; and the ``contraction`` of ln N_opt, and of
        each elasticity and exponent of the law (``contraction_alpha`` and so on): the share of the
        prior variance that the runs remove.
    design
        The recommended design.
    model
        The model whose prior it is for.
    judge
        The simulated projects.
    rule
        Source of the learning rates and batches, if it is published.
    cluster
        The training cluster.
    """

    runs: pd.DataFrame
    designs: pd.DataFrame
    design: IsoFlop
    model: Model
    judge: Judge
    rule: str = ""
    cluster: Cluster | None = None

    @property
    def compute(self) -> float:
        """Total compute of the runs, in FLOP."""
        return float(self.runs["compute"].sum())

    @cached_property
    def before(self) -> float:
        """Expected regret without any runs."""
        return float(self.judge.before.mean())

    @property
    def regret(self) -> float:
        """Expected regret with the runs."""
        return self._value(RECOMMENDED, "regret")

    def _value(self, design: str, column: str) -> float:
        return float(self.designs[column].to_dict()[design])

    @property
    def saving(self) -> float:
        """Expected saving by the runs at the target, in the unit of its budget."""
        return (self.before - self.regret) * self.judge.regrets.budget

    @property
    def headline(self) -> str:
        """The assumptions of the design."""
        projects = len(self.judge.log_n_opt)
        return (
            f"{self.model.id}: {projects} projects simulated from its prior, about "
            f"{self._centre}. No run has been made."
        )

    @property
    def _centre(self) -> str:
        at = self.judge.laws.design.scale.reference
        size = format_count(at["n_params"])
        if "n_tokens" not in at:
            return f"{size} parameters"
        return f"{size} parameters on {format_count(at['n_tokens'])} tokens"

    @property
    def caveats(self) -> tuple[str, ...]:
        """Limitations, and the source of learning rates."""
        found = []
        if self.judge.without > 0.0:
            found.append(
                f"{percent(self.judge.without)} of the laws drawn have no optimum at the "
                "target and are left out."
            )
        if self.model.pooling:
            by = ", ".join(effect.over for effect in self.model.pooling)
            found.append(f"Errors that runs of one {by} share are not simulated.")
        target = self.judge.regrets.budget
        if self.judge.regrets.cost.unit == "FLOP" and self.compute >= target:
            found.append(
                f"The runs cost {format_compute(self.compute)}, no less than the run that they are "
                f"for, {format_compute(target)}: give a larger target or a smaller budget."
            )
        if self.rule:
            found.append(f"Learning rates and batches by {self.rule}")
        return tuple(found)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The design, its expected regret, and the comparison with the usual sweep."""
        regrets = self.judge.regrets
        at = format_budget(regrets.budget, regrets.cost.unit)
        found = [
            f"Make {len(self.runs)} runs of {format_compute(self.compute)} in all"
            f"{self._price(self.compute)}: {self.design}.",
            f"{'They are' if self.saving > 0 else 'They are not'} expected to reduce the regret at "
            f"{at}: from {percent(self.before)} (the best size by the prior alone) to "
            f"{percent(self.regret)}, with a Monte Carlo "
            f"standard error of {percent(self._value(RECOMMENDED, 'mcse'))}, and to leave the "
            "best size known within a factor of "
            f"{format_number(self._value(RECOMMENDED, 'factor'), 2)}.",
            self._beside(USUAL),
            self._identified(),
        ]
        return tuple(found)

    def _identified(self) -> str:
        """Return a sentence on the quantities that the runs identify."""
        of_law = {
            name.removeprefix(_OF_LAW): self._value(RECOMMENDED, name)
            for name in map(str, self.designs)
            if name.startswith(_OF_LAW)
        }
        weakest = min(of_law, key=lambda name: of_law[name])
        return (
            f"They remove {percent(self._value(RECOMMENDED, 'contraction'))} of the prior "
            "variance of ln N_opt there; of the elasticities and exponents of the law, at least "
            f"{percent(of_law[weakest])} ({weakest})."
        )

    def _beside(self, name: str) -> str:
        regret, more, error = (self._value(name, c) for c in ("regret", "more", "more_mcse"))
        runs = self._value(name, "runs")
        said = f"The usual sweep ({name}, {runs:.0f} runs) of that cost leaves {percent(regret)}"
        if abs(more) <= 2.0 * error:
            return f"{said}: the same, within Monte Carlo error ({percent(error)})."
        word = "more" if more > 0.0 else "less"
        return f"{said}, {percent(abs(more))} ± {percent(error)} {word}."

    def _price(self, flop: float) -> str:
        price = price_of(flop, self.cluster)
        return f" ({price})" if price else ""

    def table(self) -> pd.DataFrame:
        """Return the runs, with days and money if the cluster and its price are known."""
        return with_prices(self.runs, self.cluster)

    def text_table(self) -> pd.DataFrame:
        """Return the designs, formatted for display."""
        rows = self.designs
        return pd.DataFrame(
            {
                "runs": rows["runs"].astype(int).astype(str),
                "compute": rows["compute"].map(format_compute),
                "largest run": rows["largest"].map(format_compute),
                "expected regret": [
                    f"{percent(x)} ± {percent(e)}"
                    for x, e in zip(rows["regret"], rows["mcse"], strict=True)
                ],
                "more": [
                    "" if name == RECOMMENDED else f"{percent(x)} ± {percent(e)}"
                    for name, x, e in zip(rows.index, rows["more"], rows["more_mcse"], strict=True)
                ],
                "N_opt within": [f"x {format_number(x, 2)}" for x in rows["factor"]],
                "contraction": rows["contraction"].map(percent),
            },
            index=rows.index,
        )

    def text_runs(self) -> pd.DataFrame:
        """Return the runs, formatted for display."""
        table = self.table()
        currency = self.cluster.currency if self.cluster else "$"
        headings: dict[str, tuple[str, Callable[[float], str]]] = {
            "budget": ("budget", lambda x: f"{x:.0f}"),
            "n_params": ("N", format_count),
            "n_tokens": ("D (tokens)", format_count),
            "seed": ("seed", lambda x: f"{x:.0f}"),
            "compute": ("compute", format_compute),
            "learning_rate": ("learning rate", lambda x: f"{x:.2e}"),
            "batch_tokens": ("batch (tokens)", format_count),
            "n_steps": ("steps", format_count),
            "days": ("days", format_days),
            "money": ("cost", lambda x: format_money(x, currency)),
        }
        return pd.DataFrame(
            {
                heading: [style(float(x)) for x in column]
                for name, column in table.items()
                for heading, style in [headings.get(str(name), (str(name), format_count))]
            },
            index=table.index,
        )

    def to_csv(self, path: str | Path) -> None:
        """Write the runs as a table for a launcher; with a column ``loss`` it is one to fit.

        Raises
        ------
        OSError, ValueError
            If the file cannot be written, or is of another kind.
        """
        SWEEP.check(path)
        with whole_file(path) as part:
            self.table().to_csv(part)
