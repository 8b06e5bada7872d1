"""The sections of a report on budgets, plans, laws, sensitivity and next runs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bayescale import plots
from bayescale.allocation.allocate import optima
from bayescale.allocation.result import Allocation
from bayescale.allocation.speedup_result import Speedup
from bayescale.costs import six_nd
from bayescale.data.levels import NEW, Levels, column_of
from bayescale.decision.cross_regret import cross_regret
from bayescale.errors import BayescaleError
from bayescale.experiment_design.result import NextRuns
from bayescale.plots._forest import UNSEEN
from bayescale.plots.figures import DRAWS
from bayescale.posterior.fit import Fit
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.summary import interval_columns, tail_quantiles
from bayescale.reports.answers import PlanComparison
from bayescale.reports.blocks import Picture, Points, Section, Table, table_of
from bayescale.reports.figures import allocation_figures, on_axes
from bayescale.sensitivity.expanding_window import ExpandingWindow
from bayescale.sensitivity.multiverse import Multiverse
from bayescale.units import format_count, format_number, format_share
from bayescale.validation.backtest import Backtest
from bayescale.validation.result import Comparison


def allocation_section(thinned: Posterior, plan: Allocation, prob: float) -> Section:
    """Return N, D and the losses over budgets."""
    numbers, caption = interval_columns(plan.draws, prob, "budget"), "The optimum of each budget"
    shown = plan.text_table(prob)
    if plan.source.is_point:
        numbers = numbers[list(map(str, plan.draws))]
    else:
        caption = (
            "The loss of the law at the optimum of each draw, and at the one plan: median and "
            f"{format_share(prob)} interval"
        )
        # The answers at the head of the report have the plan and the loss of a run.
        shown = shown[["loss at optimum", "loss of plan"]]
    return Section(
        "allocation",
        "Allocation over budgets",
        (
            table_of(
                shown.rename_axis("budget"),
                caption,
                numbers,
            ),
            *allocation_figures(thinned, plan, prob),
        ),
    )


def terms_of(plan: Allocation) -> str:
    """Return sentences on the cost, fixed inputs and limits that are not the defaults."""
    sentences = [] if plan.cost == six_nd else [f"Budgets pay for {plan.cost.name}."]
    sentences += [f"Given: {name} = {format_count(value)}." for name, value in plan.fixed.items()]
    sentences += [f"Limits: {plan.limits}."] if plan.limits else []
    return " ".join(sentences)


def rules_of(plan: Allocation) -> tuple[tuple[str, str], ...]:
    """Return the compute rule of an allocation, and its terms if there are any."""
    terms = terms_of(plan)
    return (
        ("compute rule", plan.cost.training.name),
        *((("budgets, inputs and limits", terms),) if terms else ()),
    )


RECOMMENDED = (
    "recommended plan",
    "the median over draws of the size that is optimal under each, and the tokens that spend the "
    "rest of the budget",
)
"""The rule of the recommended plan, as a name and a text."""


def alternatives_section(plan: Allocation, compared: Sequence[PlanComparison]) -> Section:
    """Return the comparison of the recommended plan with others, and the sizes near the best."""
    blocks: list[Table | Points] = []
    for budget, each in zip(plan.budgets, compared, strict=True):
        text = plan.text_budget(float(budget))
        blocks += [
            each.alternatives(text),
            # The first page has the recommended plan and its loss.
            Points(each.decision.sentences_on_sizes, f"Sizes for {text}"),
        ]
    return Section("alternatives", "Alternatives", tuple(blocks))


def families_section(thinned: Fit, plan: Allocation | None, prob: float) -> Section | None:
    """Return the parameters that differ between levels, and the optimum of each; None if none."""
    column = thinned.model.grouping
    if not column:
        return None
    labels = Levels.of(thinned.runs, column).text(column_of(thinned.runs, column))
    pooled = [
        p.of for p in thinned.model.effects if p.over == column and p.of in thinned.law.parameters
    ]
    fits = {label: thinned.sel(**{column: label}) for label in sorted(set(labels))}
    fits[UNSEEN] = thinned.sel(**{column: NEW})
    rows = {}
    for label, fit in fits.items():
        quantities = {name: fit.curve.parameters[name] for name in dict.fromkeys(pooled)}
        if plan is not None:
            best = optima(fit, budget=plan.budgets, **plan.terms).draws["n_opt"]
            quantities |= {
                f"N_opt at {plan.text_budget(float(budget))}": best[..., position]
                for position, budget in enumerate(plan.budgets)
            }
        rows[label] = quantities
    ends = {
        label: {name: x.quantile(tail_quantiles(prob)).to_numpy() for name, x in quantities.items()}
        for label, quantities in rows.items()
    }

    def text(low: float, middle: float, high: float) -> str:
        if np.isnan(middle):
            return "no optimum"
        style = format_count if middle >= 1e6 else format_number
        return f"{style(middle)} [{style(low)}, {style(high)}]"

    index = pd.Index(list(rows), name=column)
    return Section(
        "families",
        f"Levels of {column}",
        (
            table_of(
                pd.DataFrame(
                    [{name: text(*x) for name, x in row.items()} for row in ends.values()],
                    index=index,
                ),
                f"What differs between levels of {column}: median and {format_share(prob)} "
                f"equal-tailed interval; {UNSEEN} is a level that is not among the runs",
                pd.DataFrame(
                    [
                        {
                            f"{name}{end}": value
                            for name, x in row.items()
                            for end, value in zip(("_lower", "", "_upper"), x, strict=True)
                        }
                        for row in ends.values()
                    ],
                    index=index,
                ),
            ),
        ),
    )


def comparison_section(comparison: Comparison, plan: Allocation | None) -> Section:
    """Return which laws the runs support, the plan under each, and the regret of a wrong one."""
    blocks: list[Table | Points | Picture] = [
        Points((comparison.headline, *comparison.sentences, *comparison.caveats)),
        table_of(comparison.text_table(), "Laws on the same runs", comparison.table()),
        Picture(
            caption="How laws predict larger scales",
            description="For each law a dot and a bar of two standard errors: how much worse than "
            "the best it predicts runs of larger scales, with a tick for each cut.",
            draw=on_axes(lambda ax: plots.scores(comparison, ax)),
        ),
    ]
    planned = {
        name: fit.thin(DRAWS)
        for name, fit in comparison.fits.items()
        if fit.gates.ok and fit.law.takes_size_and_tokens
    }
    supported = [name for name in comparison.supported if name in planned]
    if plan is not None and len(planned) > 1:
        budget = float(plan.budgets[-1])
        try:
            regrets = cross_regret(
                planned, budget=budget, supported=supported or None, **plan.terms
            )
        except BayescaleError as error:
            blocks.append(Points((f"The regret of a wrong law could not be computed: {error}",)))
        else:
            matrix = table_of(
                regrets.text_table(),
                f"Regret of planning by one law where another holds, at "
                f"{plan.text_budget(budget)}: expectation and 90 % interval",
                regrets.table(),
            )
            blocks += [matrix, Points(regrets.sentences)]
    return Section("comparison", "Law comparison", tuple(blocks))


def sensitivity_section(
    backtest: Backtest | None, cuts: ExpandingWindow | None, multiverse: Multiverse | None
) -> Section | None:
    """Return the coverage of intervals, and the sensitivity of the answer."""
    blocks: list[Table | Points | Picture] = []
    if backtest is not None:
        blocks += [
            Points((*backtest.sentences, *backtest.caveats)),
            table_of(
                backtest.text_table(),
                "Each budget as smaller ones predicted it, and as observed: mean over its runs, "
                f"with {format_share(backtest.prob)} interval",
                backtest.table,
            ),
            Picture(
                caption="Larger budgets, predicted from smaller ones",
                description="For each budget the interval that smaller ones predicted, and what "
                "was observed, as shares of the prediction.",
                draw=on_axes(lambda ax: plots.backtest(backtest, ax)),
            ),
        ]
    if cuts is not None:
        sentences = cuts.caveats
        if not sentences and cuts.meet():
            sentences = ("The first and the last interval of the exponent overlap.",)
        blocks += [
            table_of(
                cuts.text_table(),
                "Fits to the runs below increasing cuts: median and "
                f"{format_share(cuts.prob)} equal-tailed interval",
                cuts.table,
            ),
            Points(sentences),
            Picture(
                caption="The exponent of N_opt as larger runs are fitted",
                description="Medians and intervals of the exponent of the compute-optimal size, "
                "one for each cut of the runs, against the band of all runs.",
                draw=on_axes(lambda ax: plots.expanding_window(cuts, ax=ax)),
            ),
        ]
    if multiverse is not None:
        rows = multiverse.by_choice()
        blocks += [
            Points((multiverse.headline, *multiverse.sentences)),
            table_of(
                multiverse.text_table(),
                "What each choice does to ln N_opt, in posterior standard deviations of the "
                "reference",
                rows,
            ),
            Picture(
                caption="How far each choice moves N_opt",
                description="A row for each choice of the analysis with a dot for every "
                "combination: the shift of ln N_opt from the reference, whose 90 % is shaded.",
                draw=on_axes(lambda ax: plots.multiverse(multiverse, ax)),
                size=(6.4, 1.2 + 0.32 * len(rows)),
            ),
        ]
    if not blocks:
        return None
    return Section("sensitivity", "Sensitivity and drift", tuple(blocks))


def speedup_section(found: Speedup, prob: float) -> Section:
    """Return the compute-equivalent speedups of recipes over the baseline."""
    return Section(
        "speedup",
        f"Speedup over {found.baseline}",
        (
            Points((*found.sentences, *found.caveats)),
            table_of(
                found.text_table(prob),
                "Budget of the baseline over the least budget with which the recipe reaches its "
                f"loss: median and {format_share(prob)} equal-tailed interval",
                found.numbers(prob),
            ),
            Picture(
                caption="Speedup against the budget of the baseline",
                description=f"Medians of the speedup of each recipe with {format_share(prob)} "
                "bands, over the budgets of the runs and the requested ones.",
                draw=on_axes(lambda ax: plots.speedup(found, prob, ax)),
            ),
        ),
    )


def next_runs_section(found: NextRuns) -> Section:
    """Return the runs with the greatest expected value, and that value."""
    return Section(
        "next-runs",
        "Next runs",
        (
            Points(found.sentences),
            table_of(found.text_table(), "In the order of their use", found.table()),
        ),
    )
