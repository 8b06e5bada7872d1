"""What to do next: sentences from the decision, its regret and its extrapolation."""

from collections.abc import Sequence

import numpy as np

from bayescale.allocation.plans import FAR
from bayescale.allocation.result import Allocation
from bayescale.decision.result import WITHIN
from bayescale.experiment_design.result import NextRuns
from bayescale.posterior.diagnostics import Diagnostics
from bayescale.posterior.protocol import Posterior
from bayescale.reports.answers import PlanComparison
from bayescale.reports.forecasts import Forecast
from bayescale.units import format_count, format_number, format_share, noun_of


def next_steps(
    fit: Posterior,
    plan: Allocation | None,
    compared: Sequence[PlanComparison],
    diagnostics: Diagnostics,
    next_runs: NextRuns | None,
    forecasts: Sequence[Forecast],
) -> tuple[str, ...]:
    """Return what to do with the answer; with several budgets, with that of the largest.

    Parameters
    ----------
    fit
        The posterior that answers.
    plan
        The plans; none for a law that splits no budget.
    compared
        The comparison of the plan of each budget.
    diagnostics
        The checks of the answers.
    next_runs
        The chosen next runs, if any.
    forecasts
        The predictions of a law that splits no budget.
    """
    if not diagnostics.ok:
        return (
            "Do not act on these numbers. The failed checks above say what is wrong: change the "
            "runs or the model, and fit again.",
        )
    if plan is None:
        return _after_forecasts(fit, forecasts)
    found = _level_steps(fit)
    position = int(np.argmax(plan.budgets))
    budget, decision = float(plan.budgets[position]), compared[position].decision
    text = plan.text_budget(budget)
    low, high = decision.bands[["lower", "upper"]].to_numpy()[-1]
    if np.isfinite(low):
        found.append(
            f"At {text} any size from {format_count(low)} to "
            f"{format_count(high)} loses at most {format_share(WITHIN[-1])} of the "
            f"budget, with at least {format_share(decision.prob)} probability: choose within "
            "it by what else matters, such as memory and the price of serving."
        )
    if next_runs is not None:
        found += next_runs.sentences
    else:
        evpi = decision.evpi
        found.append(
            "Perfect knowledge of the law would save "
            f"{format_number(100 * float(evpi['share']), 2)} % of {text} on average "
            f"({plan.text_budget(float(evpi['amount']))}): further runs are worth no more than "
            'that for this decision alone. "bayescale next" says which runs, and what they would '
            "save."
        )
    times = float(plan.extrapolation["compute"].iloc[position])
    if times > FAR:
        found.append(
            f"{text} is {format_number(times, 2)} times the largest run. Before it is spent, test "
            'the law with a run between the two; "bayescale preregister" records what is '
            "predicted for it."
        )
    return tuple(found)


def _level_steps(fit: Posterior) -> list[str]:
    """Return how to get the answer for a fitted level, if it is for a new one."""
    if len(fit.fits) != 1:
        return []
    (single,) = fit.fits.values()
    if not single.unnamed_levels:
        return []
    named = {*single.groups, *single.columns.values()}
    columns = [column for column in single.groupings if column not in named]
    options = " ".join(f"--group {column}=LEVEL" for column in columns)
    return [
        f"The plan is for a new {' and '.join(columns)}. For one that was fitted, write the report "
        f"with {options} (fit.sel in Python)."
    ]


def _after_forecasts(fit: Posterior, forecasts: Sequence[Forecast]) -> tuple[str, ...]:
    found = [
        f"A run at {each.where} should end {each.run}: if it ends outside, doubt the law or the "
        "run before you plan with either."
        for each in forecasts[-1:]
    ]
    if not forecasts:
        example = next(iter(fit.columns.values()))
        found.append(
            f"Predict the {noun_of(fit.response)} of a planned run, with its interval: "
            f"--at {example}=AMOUNT, or inputs= in Python."
        )
    if fit.law.domains:
        found.append(
            "A mixture for one text is poor for others: fit the losses on every text that matters, "
            'and weight them with "bayescale mixture" (--weight), which also limits a domain to '
            "its available tokens (--most)."
        )
        if any(each.far for each in forecasts):
            found.append(
                "The mixture has shares that no run has. Before it is used, add a run with them, "
                "and fit again."
            )
        return tuple(found)
    if any(each.far for each in forecasts):
        found.append(
            "The answer lies far beyond the runs. Before it is relied on, test the law with a run "
            'between the two; "bayescale preregister" records what is predicted for it.'
        )
    if len(fit.columns) == 1:
        (column,) = fit.columns.values()
        found.append(
            f'"bayescale requirements" gives the {noun_of(column)} for a '
            f'{noun_of(fit.response)} that you need; "bayescale compare" says whether another law '
            "predicts larger runs better, since the intervals here hold only if this one does."
        )
    return tuple(found)
