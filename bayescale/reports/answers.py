"""The answers on the first page: the plan of each budget, its intervals and expected regret."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayescale import plots
from bayescale.allocation.result import TEXT_COLUMNS, Allocation
from bayescale.costs import Cluster
from bayescale.decision.candidates import OPTIMAL, candidates_of
from bayescale.decision.decide import decide
from bayescale.decision.result import WITHIN, Decision
from bayescale.errors import AmountError
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.summary import shown_probs, tail_quantiles, without_intervals
from bayescale.reports.blocks import Answer, Picture, Table, table_of
from bayescale.units import format_count, format_number, format_share

DRAWS = 2000
"""Draws over which regret is averaged: enough for a Monte Carlo error of about one per cent in
probabilities, the precision of print, and few enough for a frontier of each draw."""

RECOMMENDED = "recommended here"
_LEAST_REGRET = "least expected regret"
_SAME_SIZE = 0.05
"""Difference in ln N below which the recommended plan counts as that of least expected regret."""
_SIZES = {"half the size": 0.5, "twice the size": 2.0}
"""Alternatives to the recommended plan, unless others are given."""

_STYLES = dict(TEXT_COLUMNS.values())
"""Formatter of each quantity of a plan."""


@dataclass(frozen=True, eq=False)
class PlanComparison:
    """The recommended plan for one budget, compared with alternatives.

    Attributes
    ----------
    decision
        The comparison of the recommended plan with the others.
    regret
        Draws of the regret of the recommended plan, without those that have no optimum.
    """

    decision: Decision
    regret: np.ndarray

    @property
    def within(self) -> dict[float, float]:
        """Probability that the regret of the plan is at most each share of the budget."""
        return {share: float((self.regret <= share).mean()) for share in WITHIN}

    @property
    def best(self) -> tuple[float, float]:
        """The size and the tokens of least expected regret, which `decide` recommends."""
        return self.decision.candidates.plans[OPTIMAL]

    @property
    def is_best(self) -> bool:
        """Whether the recommended plan is, in effect, that of least expected regret."""
        size, _ = self.decision.candidates.plans[RECOMMENDED]
        return bool(abs(np.log(size / self.best[0])) < _SAME_SIZE)

    @property
    def best_size(self) -> str:
        """The size of least expected regret, as text."""
        same = ", in effect the same" if self.is_best else ", as decide recommends"
        return f"{format_count(self.best[0])}{same}"

    @property
    def shown(self) -> Decision:
        """The decision for a figure, without a second mark for the same plan."""
        if not self.is_best:
            return self.decision
        return replace(self.decision, candidates=self.decision.candidates.without(RECOMMENDED))

    def cost_of_error(self) -> list[tuple[str, str]]:
        """Return the expected regret of half and of twice the size, as text, if they are compared.

        Plans of the user are left out: they may not cost the budget, which regret does not show.
        """
        regret = self.decision.table()["regret"]
        return [(f"regret of {name}", _percent(regret[name])) for name in _SIZES if name in regret]

    def alternatives(self, budget: str) -> Table:
        """Return the comparison of plans as a table."""
        names = {OPTIMAL: _LEAST_REGRET}
        decision = self.decision
        if self.is_best:
            decision = replace(decision, candidates=decision.candidates.without(OPTIMAL))
        # First the plan that the page recommends, then the one that minimises expected regret.
        order = [RECOMMENDED] if self.is_best else [RECOMMENDED, OPTIMAL]
        order += [name for name in decision.candidates.plans if name not in order]

        table = decision.table()

        def ordered(table: pd.DataFrame) -> pd.DataFrame:
            return table.loc[order].rename(index=names)

        return table_of(
            _without_repetition(ordered(decision.text_table())),
            f"Plans for {budget}. Regret: the share of the budget that the best plan would not "
            "have needed for the same loss",
            ordered(without_intervals(table) if decision.source.is_point else table),
        )


def _without_repetition(shown: pd.DataFrame) -> pd.DataFrame:
    """Leave out columns that repeat the caption or another column."""
    repeated = []
    if len(set(shown["compute"])) == 1:
        repeated.append("compute")
    if "expected regret" in shown and shown["wasted"].equals(shown["expected regret"]):
        repeated.append("wasted")
    return shown.drop(columns=repeated)


def compare_plans(
    source: Posterior,
    plan: Allocation,
    prob: float,
    plans: Mapping[str, object] | None = None,
    cluster: Cluster | None = None,
) -> list[PlanComparison]:
    """Compare the plan of each budget with the user's, or with half and twice its size."""
    if RECOMMENDED in candidates_of(plans or {}):
        raise AmountError(
            f"plans: the name {RECOMMENDED!r} is reserved for the plan of the report."
        )
    thinned = source.thin(DRAWS)
    comparisons = []
    for budget, row in plan.recommended.iterrows():
        size, tokens = float(row["n_params"]), float(row["n_tokens"])
        if not np.isfinite(size):
            raise AmountError(
                f"budget: no draw has an optimum at {plan.text_budget(budget)}, so that there is "  # type: ignore[arg-type]
                "no plan to report; give a smaller budget."
            )
        alternatives = plans or _half_and_twice(plan, budget, size)  # type: ignore[arg-type]
        decision = decide(
            thinned,
            budget=budget,
            plans={RECOMMENDED: (size, tokens), **alternatives},
            **plan.terms,
            cluster=cluster,
            prob=prob,
        )
        position = list(decision.candidates.plans).index(RECOMMENDED)
        log_loss = np.log(decision.candidates.loss.to_numpy())
        regret = decision.regrets.regret(log_loss)[..., position].ravel()
        comparisons.append(PlanComparison(decision, regret[np.isfinite(regret)]))
    return comparisons


def _half_and_twice(plan: Allocation, budget: float, size: float) -> dict[str, tuple[float, float]]:
    """Return the plans of half and twice the size that the same budget affords."""
    sizes = {name: factor * size for name, factor in _SIZES.items()}
    tokens = {name: float(plan.cost.tokens_for(budget, n)) for name, n in sizes.items()}
    return {name: (sizes[name], d) for name, d in tokens.items() if d >= 1.0}


def answer(plan: Allocation, position: int, compared: PlanComparison, prob: float) -> Answer:
    """Return the answer for one budget."""
    row = plan.recommended.iloc[position]
    size, tokens = float(row["n_params"]), float(row["n_tokens"])
    draws = plan.draws.isel(budget=position)
    shares = shown_probs(prob)
    ends = {
        (name, share): [float(x) for x in draws[name].quantile(tail_quantiles(share))]
        for name in ("n_opt", "d_opt", "tokens_per_param", "loss_opt", "loss_plan", "loss_run")
        for share in shares
    }

    def cells(name: str) -> list[str]:
        style = _STYLES[name]
        median = style(ends[name, prob][1])
        intervals = (ends[name, share] for share in shares)
        return [median, *(f"{style(low)} to {style(high)}" for low, _, high in intervals)]

    budget = plan.text_budget(float(plan.budgets[position]))
    regret = float(compared.regret.mean())
    factors = plan.extrapolation.iloc[position]
    symbols = {"n_params": "N", "n_tokens": "D"}
    extrapolation = ", ".join(
        f"{symbols.get(str(n), str(n))} {_times(float(x))}" for n, x in factors.items()
    )
    rows = (
        *(
            (f"within {format_share(share)} of the best", f"{100 * p:.0f} % probability")
            for share, p in compared.within.items()
        ),
        (
            "expected regret",
            f"{_percent(regret)}, {plan.text_budget(regret * float(plan.budgets[position]))}",
        ),
        ("size of least regret", compared.best_size),
        *compared.cost_of_error(),
        ("against the largest run", extrapolation),
    )
    return Answer(
        question=f"With {budget}, train",
        plan=f"{format_count(size)} parameters on {format_count(tokens)} tokens",
        intervals=Table(
            caption=f"Optimum and loss with {budget}: median and intervals",
            header=("quantity", "median", *map(format_share, shares)),
            rows=tuple(
                (label, *cells(name))
                for name, label in {
                    "n_opt": "N",
                    "d_opt": "D",
                    "tokens_per_param": "D/N",
                    "loss_run": "loss of a run",
                }.items()
            ),
        ),
        rows=rows,
        picture=picture_of(compared, budget),
        record=_record(plan, position, ends, compared, regret),
    )


def picture_of(compared: PlanComparison, budget: str) -> Picture:
    """Return the figure of the decision for one budget."""
    return Picture(
        caption=f"What a size costs at {budget}: the share of the budget that is lost",
        description="The share of the budget that is lost against parameters: expected, with a "
        "band up to a high quantile; sizes near the best are shaded and plans marked by name.",
        draw=lambda figure: plots.regret(compared.shown, figure.subplots()),
    )


def _percent(regret: float) -> str:
    return f"{format_number(100 * regret, 2)} % of the budget"


def _times(factor: float) -> str:
    return f"{format_number(factor, 2)}x"


def _record(
    plan: Allocation,
    position: int,
    ends: Mapping[tuple[str, float], list[float]],
    compared: PlanComparison,
    regret: float,
) -> dict[str, Any]:
    """Return an answer as numbers, for the JSON record."""
    row = plan.recommended.iloc[position]
    quantities: dict[str, Any] = {}
    for (name, share), (low, middle, high) in ends.items():
        quantities.setdefault(name, {"median": middle})[f"interval_{100 * share:g}"] = [low, high]
    return {
        "budget": float(plan.budgets[position]),
        "unit": plan.cost.unit,
        "n_params": float(row["n_params"]),
        "n_tokens": float(row["n_tokens"]),
        **quantities,
        "p_within": {f"{100 * share:g}": p for share, p in compared.within.items()},
        "regret": regret,
        "extrapolation": {str(n): float(x) for n, x in plan.extrapolation.iloc[position].items()},
        "no_optimum": float(plan.no_optimum.iloc[position]),
    }
