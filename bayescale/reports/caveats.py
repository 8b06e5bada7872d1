"""Caveats on the answers of a report, from the fit, its runs and its plan."""

from collections.abc import Iterable, Sequence

import numpy as np

from bayescale.allocation.plans import FAR
from bayescale.allocation.result import Allocation
from bayescale.data.column_units import BASES
from bayescale.model.identifiability import design_warnings
from bayescale.model.unused_columns import unused_columns
from bayescale.posterior.average import ModelAverage
from bayescale.posterior.fit import Fit
from bayescale.reports.blocks import CAVEATS, Caveat
from bayescale.reports.forecasts import Forecast
from bayescale.units import format_count, format_number

_UNIQUE = "n_unique_tokens"
_SCHEDULE_COLUMNS = (
    "schedule",
    "learning_rate",
    "lr",
    "peak_lr",
    "warmup",
    "warmup_steps",
    "decay",
)
"""Common names of columns on the training schedule of runs."""


def caveats_of(
    fit: Fit, plan: Allocation | None, forecasts: Sequence[Forecast] = ()
) -> list[Caveat]:
    """Return the caveats of the answers, the most severe first.

    Parameters
    ----------
    fit
        A posterior.
    plan
        The plans, if the law splits a budget.
    forecasts
        The predictions, otherwise.
    """
    extrapolation = _extrapolation_caveats(plan, forecasts)
    if plan is None and fit.law.caveat:
        extrapolation.append(fit.law.caveat)
    return _ordered(
        extrapolation=extrapolation,
        design=design_warnings(fit.model, fit.runs),
        law=_law_caveats(fit),
        data=[*unused_columns(fit.model, fit.runs), *_data_caveats(fit, plan)],
    )


def caveats_of_average(
    average: ModelAverage, plan: Allocation | None, forecasts: Sequence[Forecast] = ()
) -> list[Caveat]:
    """Return the caveats of the answers of an average of laws, the most severe first."""
    weights = (
        "The intervals include the uncertainty about which law holds, by the weights, but not "
        "misfit that all laws share."
    )
    return _ordered(
        extrapolation=_extrapolation_caveats(plan, forecasts),
        law=[weights],
        data=_data_caveats(average, plan),
    )


def _ordered(**sentences: Iterable[object]) -> list[Caveat]:
    """Return caveats from the sentences of each kind, the most severe kind first."""
    return [Caveat(kind, str(text)) for kind in CAVEATS for text in sentences.get(kind, ())]


def _extrapolation_caveats(plan: Allocation | None, forecasts: Sequence[Forecast]) -> list[str]:
    if plan is None:
        return [forecast.caveat for forecast in forecasts if forecast.caveat]
    return [*plan.caveats, *_budget_caveats(plan)]


def _budget_caveats(plan: Allocation) -> list[str]:
    """Return a sentence for each budget beyond the runs for which the plan has no caveat."""
    factors = plan.extrapolation["compute"]
    return [
        f"{plan.text_budget(float(budget))} is {format_number(float(factor), 2)} times the largest "  # type: ignore[arg-type]
        "run: the answer extrapolates."
        for budget, factor in factors.items()
        if 1.0 < factor <= FAR
    ]


def _law_caveats(fit: Fit) -> list[str]:
    model = fit.model
    left_out = []
    if not model.discrepancy:
        left_out.append("misfit of the law")
    if "n_params" in fit.columns.values() and not (model.noise.checkpoints or model.effects):
        left_out.append("errors that runs of one size share")
    found = []
    if left_out:
        found.append(
            f"The intervals are conditional on the law; they do not include "
            f"{' or '.join(left_out)}."
        )
    else:
        found.append(
            "The intervals are conditional on the form of the law, including its discrepancy; "
            "compare laws to see how much depends on it."
        )
    if model.floor is not None:
        found.append(
            f"The floor {fit.law.floor} is stated, as {model.floor} ({model.floor.why}), not "
            "learnt from these runs alone: forecasts far beyond them depend on it."
        )
    if fit.response == "loss" and fit.runs.loss_unit != BASES["error"]:
        floor = fit.law.floor
        found.append(
            "Loss is not capability"
            + (
                f", and the floor {floor} is not the entropy of language: it depends on the "
                "tokeniser and the validation set."
                if floor
                else ": a lower loss does not say which tasks are solved."
            )
        )
    return found


def _data_caveats(fit: Fit | ModelAverage, plan: Allocation | None) -> list[str]:
    runs = fit.runs
    table, card = runs.table, runs.card
    found = []
    if plan is not None and _UNIQUE not in fit.law.inputs:
        largest = float(plan.recommended["n_tokens"].max())
        found.append(
            f"Every token counts as new, up to the {format_count(largest)} of the largest plan: "
            "with fewer unique tokens data repeat, and this law ignores that repeated tokens are "
            "worth less."
        )
        if _UNIQUE in table and "n_tokens" in table:
            repeats = int(np.sum(runs.n_tokens > 1.001 * runs.column(_UNIQUE)))
            if repeats:
                found.append(f"{repeats} of {len(runs)} runs repeat data, as if it were new.")
    missing = []
    amounts = {"n_params": "parameters", "compute": "compute"}
    uncounted = [
        noun
        for name, noun in amounts.items()
        if name in table and (card is None or name not in card.counting)
    ]
    if uncounted:
        verb = "is" if uncounted == ["compute"] else "are"
        missing.append(f"how {' and '.join(uncounted)} {verb} counted")
    if not set(_SCHEDULE_COLUMNS) & set(table.columns):
        missing.append("whether each run's schedule ended with it and its learning rate was tuned")
    if missing:
        found.append(
            f"The runs do not record {' or '.join(missing)}"
            + (
                "; this can change answers several-fold (see Porian et al. 2024, arXiv:2406.19146)."
                if plan is not None
                else "."
            )
        )
    if not _repeated(fit):
        found.append(
            "No setting has runs of several seeds, so noise between seeds cannot be separated from "
            "lack of fit."
        )
    return found


def _repeated(fit: Fit | ModelAverage) -> bool:
    """Return whether any setting has runs of more than one seed."""
    table = fit.runs.table
    if "seed" not in table:
        return False
    seeds = table.groupby(list(fit.columns.values()))["seed"].nunique()
    return bool((seeds > 1).any())
