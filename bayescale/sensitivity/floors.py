"""The forecast, and N_opt, for each of several assumed floors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

from bayescale._seeds import Stream, generator
from bayescale.data.load import RunsSource
from bayescale.data.runs import Runs
from bayescale.errors import AmountError, RunsError, UnsuitableLawError, as_list, expect_mapping
from bayescale.inference.fit import fit_quietly
from bayescale.inference.parallel import Outcome, Task, task_key
from bayescale.inference.refits import RefitOptions, Refits
from bayescale.laws.optimum import Split
from bayescale.model.card import Model, load_model
from bayescale.model.floor import assumed_floor
from bayescale.model.inputs import runs_for
from bayescale.model.priors import Prior
from bayescale.posterior.predict import parse_plans, predict
from bayescale.posterior.result import Result
from bayescale.posterior.summary import tail_quantiles
from bayescale.sensitivity.refit import Question, refuse_without_optimum, summary_of
from bayescale.units import (
    Amount,
    format_compute,
    format_count,
    format_number,
    parse_amount,
)

AS_THE_CARD = "as the card"
"""Label of the reference: the card with its own floor."""

_FAR = 3.0
"""Distance, in posterior standard deviations, beyond which the runs contradict a floor."""

_FLOP_PER_TOKEN = 6.0
_DRAWS = 4000


@dataclass(frozen=True, eq=False, repr=False)
class ForecastByFloor(Result):
    """The forecast of one plan, and N_opt at a budget, for each assumed floor.

    Attributes
    ----------
    table
        One row per floor; the first is the unchanged card. ``stated``, the centre of the assumed
        floor; ``distance``, of its log from that of the posterior of the first row, in standard
        deviations of the difference; the posterior of the ``floor``, and the law's value
        at the `plan` under the name of the `response`, with intervals (``_lower``, ``_upper``);
        with a budget ``n_opt`` and ``a``, the exponent over the decade around it, with intervals,
        ``log_n``, ``log_n_sd`` and ``no_optimum``; ``n_runs``, ``ok``, ``r_hat``, ``ess`` and
        ``status`` of the fit. A floor whose fit failed only has a status.
    runs, response
        Names of the runs and of the response.
    plan
        The plan that is forecast, by column of the runs.
    budget
        The budget, in FLOP, if one was given.
    prob
        Probability inside the intervals.
    """

    table: pd.DataFrame
    runs: str
    response: str
    plan: Mapping[str, float]
    budget: float | None
    prob: float

    @property
    def reference(self) -> "pd.Series[Any]":
        """The row of the card with its own floor."""
        return self.table.iloc[0]

    @property
    def used(self) -> pd.DataFrame:
        """The assumed floors whose fit passed its gates."""
        table = self.table.iloc[1:]
        return table[table["ok"].eq(True)]

    @property
    def per_floor(self) -> float:
        """Change of the forecast per change of the floor, between the outermost floors."""
        ends = self._outermost
        if len(ends) < 2:
            return float("nan")
        (low, high), (first, last) = ends["floor"], ends[self.response]
        return float((last - first) / (high - low))

    @property
    def _outermost(self) -> pd.DataFrame:
        """The fits of the lowest and of the highest floor, if there are two."""
        used = self.used.sort_values("floor")
        return used.iloc[[0, -1]] if len(used) > 1 else used

    @property
    def headline(self) -> str:
        """The forecast quantity, and the runs."""
        plan = ", ".join(f"{name} = {format_count(x)}" for name, x in self.plan.items())
        return (
            f"{self.response} at {plan} from {self.runs}, for {len(self.table) - 1} assumed floors."
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentences on the forecast, N_opt and the floor."""
        used, reference = self.used, self.reference
        found = []
        if len(used):
            ends = self._outermost
            floors, values = ends["floor"], ends[self.response]
            low, high = (format_number(float(x)) for x in (floors.iloc[0], floors.iloc[-1]))
            first, last = (format_number(float(x), 4) for x in (values.iloc[0], values.iloc[-1]))
            found.append(
                f"With floors from {low} to {high} the forecast goes from {first} to {last}, by "
                f"{format_number(self.per_floor, 2)} per unit of the floor."
                if len(ends) > 1
                else f"With a floor of {low} the forecast is {first}."
            )
            if self.budget is not None:
                sizes = used["n_opt"].dropna()
                found.append(
                    f"N_opt at {format_compute(self.budget)} goes from "
                    f"{format_count(float(sizes.min()))} to {format_count(float(sizes.max()))}."
                )
        middle, *ends_of_floor = (
            format_number(float(reference[name]))
            for name in ("floor", "floor_lower", "floor_upper")
        )
        posterior = f"Under the unchanged card the floor is {middle} [{', '.join(ends_of_floor)}]"
        contradicted = self.table[self.table["distance"].abs() > _FAR]
        found.append(
            posterior
            + (
                f": the runs and the card contradict a floor of {', '.join(contradicted.index)}, "
                f"over {_FAR:g} standard deviations away."
                if len(contradicted)
                else f"; every assumed floor is within {_FAR:g} standard deviations."
            )
        )
        if not reference["ok"]:
            found.append(f"The reference cannot be relied on: {reference['status']}")
        failed = len(self.table) - 1 - len(used)
        if failed:
            found.append(f"{failed} of the fits failed their gates; see the status of each.")
        return tuple(found)

    def text_table(self) -> pd.DataFrame:
        """Return forecast and N_opt by floor, formatted for display."""
        shown = {"posterior of the floor": ("floor", _text_of_loss)}
        shown[self.response] = (self.response, _text_of_loss)
        if self.budget is not None:
            shown["N_opt"] = ("n_opt", format_count)
        columns: dict[str, list[str]] = {
            heading: [
                f"{style(row[name])} [{style(row[f'{name}_lower'])}, {style(row[f'{name}_upper'])}]"
                if np.isfinite(row[name])
                else "none"
                for _, row in self.table.iterrows()
            ]
            for heading, (name, style) in shown.items()
        }
        columns["distance (sd)"] = [
            f"{x:+.1f}" if np.isfinite(x) else "" for x in self.table["distance"]
        ]
        columns["passed"] = ["yes" if ok else "no" for ok in self.table["ok"]]
        return pd.DataFrame(columns, index=self.table.index)


def forecast_by_floor(
    runs: RunsSource,
    model: str | Path | Model,
    *,
    floors: Sequence[float | Prior],
    budget: Amount | None = None,
    at: Mapping[str, object] | None = None,
    fixed: Mapping[str, object] | None = None,
    prob: float = 0.9,
    **options: Unpack[RefitOptions],
) -> ForecastByFloor:
    """Fit a model under each of several assumed floors, and return how the forecast depends on it.

    Parameters
    ----------
    runs
        A source for `load_runs`, or its result.
    model
        A card id, the path of a card, or a model of a law with a floor.
    floors
        The assumed floors, in the unit of the response: numbers, which are taken as known (to
        0.1 %), or priors, such as `bayescale.LogNormal` or the `floor_prior` of another fit.
    budget
        A budget, in FLOP by 6ND, for N_opt; for laws that split compute.
    at
        The plan to forecast, by column of the runs: ``{"n_params": "70B", "n_tokens": "1.4T"}``.
        Unless given, it is the optimum at the budget under the unchanged card, the same for every
        floor.
    fixed
        Values of the law's inputs other than size and tokens, as in `allocate`.
    prob
        Probability inside the intervals.
    **options
        Options of the fits (`RefitOptions`): `seed`, `draws` (500 per chain), `target_accept`,
        `executor`, `store` and `progress`.

    Returns
    -------
    ForecastByFloor
        A table with one row per floor, the first of which is the unchanged card.

    Raises
    ------
    ValueError
        If there is no floor, the same one twice, or neither a budget nor a plan.
    CardError
        If a floor is not positive, or its prior cannot be one on a floor.
    UnsuitableLawError, AmountError
        If the law has no floor or does not split compute, or the plan is not one of its inputs.
    RunsError
        If the unchanged card could not be fitted, or has no optimum at the budget.

    Notes
    -----
    A floor depends on the evaluation set, and a sweep identifies it weakly, while it dominates
    distant forecasts: the reducible loss becomes small relative to it. All floors share one
    compiled model.

    Examples
    --------
    >>> import bayescale as bs
    >>> found = bs.forecast_by_floor(
    ...     "chinchilla",
    ...     "chinchilla",
    ...     floors=[1.75, 1.85],
    ...     budget="5.76e23",
    ...     draws=300,
    ...     progress=False,
    ... )
    >>> bool(found.table["loss"].iloc[1] < found.table["loss"].iloc[2])
    True
    """
    refits = Refits.of(options, draws=500)
    tail_quantiles(prob)
    card = load_model(model)
    if not card.law.floor:
        raise UnsuitableLawError(
            f"forecast_by_floor: the law {card.law.name} has no floor; expected one with a floor."
        )
    if budget is None and at is None:
        raise ValueError("forecast_by_floor: found neither budget nor at, expected either or both.")
    question = None
    if budget is not None:
        refuse_without_optimum(card, fixed)
        amount = parse_amount(budget, "compute", "budget")
        question = Question(budget=amount, fixed=fixed, prob=prob)
    elif fixed:
        raise ValueError("fixed: found no budget to split, expected all inputs of the plan in at.")
    plan = _plan(card, at) if at is not None else None
    models = _with_floors(card, floors)
    table = runs_for(runs, [card])

    sampling = refits.sampling

    def outcomes(models: Sequence[Model], plan: Mapping[str, float] | None) -> list[Outcome]:
        settings = (*(question.settings if question else ()), plan, prob, *refits.key)
        tasks = [
            Task(task_key(each, table, *settings), (each, table, question, plan, prob, sampling))
            for each in models
        ]
        return refits.run(_forecast, tasks, "fitting floors")

    (reference,) = outcomes([card], plan)
    if "plan" not in reference:
        raise RunsError(
            f"forecast_by_floor: the card without a stated floor could not be fitted. "
            f"{reference['status']}"
        )
    # One plan for every floor, so that only the floor differs.
    plan = reference["plan"]
    rows = [reference, *outcomes(list(models.values()), plan)]
    found = pd.DataFrame(rows, index=pd.Index([AS_THE_CARD, *models], name="assumed"))
    stated = [np.nan, *(each.floor.typical for each in models.values() if each.floor)]
    spreads = [np.nan, *(_log_spread(each.floor) for each in models.values() if each.floor)]
    distance = (np.log(stated) - reference["log_floor"]) / np.hypot(
        spreads, reference["log_floor_sd"]
    )
    found.insert(0, "stated", stated)
    found.insert(1, "distance", distance)
    found["ok"] = found["ok"].eq(True)
    return ForecastByFloor(
        found.drop(columns=["log_floor", "log_floor_sd", "plan"]),
        table.name,
        card.law.response,
        plan,
        question.budget if question else None,
        prob,
    )


def _with_floors(model: Model, floors: Sequence[float | Prior]) -> dict[str, Model]:
    """Return the model with each floor, by label."""
    found: dict[str, Model] = {}
    for floor in as_list(floors):
        prior = floor if isinstance(floor, Prior) else assumed_floor(floor, why="assumed")
        known = prior == assumed_floor(prior.typical, why=prior.why)
        label = f"{prior.typical:g}" if known else str(prior)
        if label in found:
            raise ValueError(f"floors: found {label} twice, expected each once.")
        found[label] = replace(model, floor=prior, id=f"{model.id}, floor {label}")
    if not found:
        raise ValueError("floors: found none, expected at least one.")
    return found


def _plan(model: Model, at: Mapping[str, object]) -> dict[str, float]:
    """Return the one plan that is given by column."""
    example = "{'n_params': '70B', 'n_tokens': '1.4T'}"
    amounts = parse_plans(expect_mapping(at, "at", example), tuple(model.columns.values()))
    counts = {len(values) for values in amounts.values()}
    if counts != {1}:
        raise AmountError(f"at: found {max(counts)} plans, expected one.")
    return {name: float(values[0]) for name, values in amounts.items()}


def _optimum(model: Model, question: Question, summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the median of N_opt and its tokens, as columns of runs."""
    if "log_n" not in summary:
        raise RunsError(
            f"budget: no draw has an optimum at {format_compute(question.budget)}. Give the plan "
            "to forecast (at), or another budget."
        )
    log_n = summary["log_n"]
    log_d = np.log(question.budget / _FLOP_PER_TOKEN) - log_n
    inputs = Split.of(model.law, question.fixed)(log_n, log_d)
    return {model.columns[name]: float(np.exp(value)) for name, value in inputs.items()}


def _forecast(
    model: Model,
    runs: Runs,
    question: Question | None,
    plan: Mapping[str, float] | None,
    prob: float,
    options: Mapping[str, Any],
) -> Outcome:
    """Fit a model; return its floor, its optimum, and its forecast of a plan or the optimum."""
    fit = fit_quietly(runs, model, **options)
    floor = np.asarray(fit.parameters[model.law.floor])
    row = _interval("floor", floor, prob)
    logs = np.log(floor)
    row |= {"log_floor": float(np.median(logs)), "log_floor_sd": float(logs.std())}
    if question is not None:
        summary = summary_of(fit, question)
        row |= summary
        plan = plan or _optimum(model, question, summary)
    assert plan is not None
    drawn = predict(fit, inputs={name: [value] for name, value in plan.items()})
    row |= _interval(model.law.response, np.asarray(drawn[model.law.response]), prob)
    return {**row, "plan": dict(plan), "n_runs": len(fit.runs), **fit.gates.facts}


def _log_spread(floor: Prior) -> float:
    """Return the standard deviation of the log of an assumed floor."""
    drawn = floor.draw(generator(0, Stream.PRIOR), _DRAWS)
    return float(np.log(drawn[drawn > 0.0]).std())


def _interval(name: str, draws: object, prob: float) -> dict[str, float]:
    low, middle, high = np.quantile(np.asarray(draws), tail_quantiles(prob))
    return {name: float(middle), f"{name}_lower": float(low), f"{name}_upper": float(high)}


def _text_of_loss(value: float) -> str:
    return format_number(value, 4)
