"""``plan``: from a table of runs to a decision and its report, in one command."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bayescale._outputs import REPORT, SAVED_FIT
from bayescale.cli.files import Reads, Writes
from bayescale.cli.options import (
    add_levels,
    add_model,
    add_runs,
    add_seed,
    at_levels,
    levels_of,
    model_of,
    runs_for_models,
    shows_progress,
)
from bayescale.cli.planning import (
    add_budgets,
    add_hyperparameters,
    add_plans,
    plans_of,
    rule_or_fit,
)
from bayescale.cli.refits import add_backtest, backtest_of
from bayescale.cli.render import (
    intervals_text,
    passed,
    print_account,
    print_answer,
    print_decision,
    print_json,
    statements,
    table_records,
    table_text,
)
from bayescale.cli.verbs import Verbs

if TYPE_CHECKING:
    import pandas as pd

    from bayescale.decision.result import Decision
    from bayescale.laws.hyperparameters import HyperparameterRule
    from bayescale.model.card import Model
    from bayescale.posterior.fit import Fit

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    plan = verbs.add("plan", run, "Fit runs, choose a plan for each budget, and write the report.")
    add_runs(plan)
    add_model(plan)
    add_levels(plan)
    add_budgets(plan, required=True)
    add_plans(plan)
    add_backtest(plan)
    plan.add_argument(
        "--out",
        type=Writes(REPORT),
        default=Path("report.html"),
        help="html, md or json file for the report (report.html)",
    )
    plan.add_argument("--save", type=Writes(SAVED_FIT), help="netCDF file to save the fit in")
    add_hyperparameters(plan)
    plan.add_argument(
        "--critical-batch",
        type=Reads(),
        metavar="FIT",
        help="print the critical batch at the tokens of the plan too, by a saved fit of "
        "critical-batch",
    )
    add_seed(plan)


def run(options: Arguments) -> None:
    """Print how runs were read and the decision for each budget, and write the report."""
    from bayescale.decision.decide import decide
    from bayescale.inference.fit import fit
    from bayescale.model.unused_columns import unused_columns
    from bayescale.reports.report import report
    from bayescale.units import parse_amounts

    # Invalid input is refused before anything is sampled.
    parse_amounts(options.budget, "compute", "--budget")
    plans, model = plans_of(options), model_of(options)
    if not model.law.takes_size_and_tokens:
        raise ValueError(
            f"--model: the law {model.law.name} is of {model.law.response} in "
            f"{', '.join(model.law.inputs)}, expected one of the loss in size and tokens alone. "
            + _alternative(model)
        )
    levels_of(options, model.groupings, "the model")
    rule = rule_or_fit(options.hyperparameters)
    critical = _fit_of_critical_batch(options.critical_batch)
    progress = shows_progress(options)
    result = fit(runs_for_models(options, model), model, seed=options.seed, progress=progress)
    if options.save:
        result.save(options.save)
    backtest = backtest_of(options, result.runs, model, prob=options.prob, seed=options.seed)
    result = at_levels(options, result, "the model")
    decisions = [
        decide(result, budget=budget, plans=plans, prob=options.prob) for budget in options.budget
    ]
    rates = [_rates(rule, decision, options.prob) for decision in decisions]
    batches = [_critical_batch(critical, decision, options.prob) for decision in decisions]
    report(
        result,
        options.out,
        budget=options.budget,
        plans=plans or None,
        prob=options.prob,
        backtest=backtest,
        progress=progress,
    )
    if options.json:
        print_json(
            {
                "passed": all(
                    passed(each.diagnostics) is not False
                    for each in (result, rule, critical)
                    if each is not None
                ),
                "read": result.runs.reading.to_dict() if result.runs.reading else None,
                "decisions": [
                    {
                        **statements(decision),
                        "plans": table_records(decision.table()),
                        **({"hyperparameters": table_records(rate)} if rate is not None else {}),
                        **({"critical_batch": table_records(batch)} if batch is not None else {}),
                    }
                    for decision, rate, batch in zip(decisions, rates, batches, strict=True)
                ],
                "backtest": backtest.to_record() if backtest else None,
                "report": str(options.out),
                "save": str(options.save) if options.save else None,
            }
        )
        return
    print_account((*result.runs.account, *unused_columns(model, result.runs)))
    for decision, rate, batch in zip(decisions, rates, batches, strict=True):
        print()
        print_decision(decision)
        if rule is not None and rate is not None:
            print(f"\nlearning rate and batch size of the plan, by {rule.description}")
            print(table_text(intervals_text(rate)))
        if critical is not None and batch is not None:
            print(f"\ncritical batch (tokens) at the plan, by {_headline(critical, decision)}")
            print(table_text(intervals_text(batch)))
    if backtest:
        print()
        print_answer(backtest)
    print(f"\nreport: {options.out}")
    if options.save:
        print(f"fit: {options.save}")


def _alternative(model: "Model") -> str:
    """Return what to do with a law that `plan` does not accept."""
    for option, law in (
        ("--critical-batch", "critical-batch"),
        ("--hyperparameters", "learning-rate-batch"),
    ):
        if model.law.name == law:
            return f"Use fit, and give the saved fit as {option} to a plan of runs with losses."
    verbs = "decide" if model.law.splits_compute else "predict, requirements"
    return f"Use fit, then {verbs} or report with --at."


def _rates(
    rule: "HyperparameterRule | Fit | None", decision: "Decision", prob: float
) -> "pd.DataFrame | None":
    """Return the best learning rate and batch size of the recommended plan."""
    if rule is None:
        return None
    from bayescale.allocation.hyperparameters import hyperparameters

    plan = decision.plan
    n_params, n_tokens = float(plan["n_params"]), float(plan["n_tokens"])
    return hyperparameters(rule, n_params=n_params, n_tokens=n_tokens, prob=prob)


def _fit_of_critical_batch(path: str | None) -> "Fit | None":
    """Return the saved fit of the law of the critical batch, if one is given."""
    if path is None:
        return None
    from bayescale.inference.load import load_fit

    found = load_fit(path)
    if found.response != "critical_batch" or set(found.columns.values()) != {"n_tokens"}:
        raise ValueError(
            f"--critical-batch: found a fit of the law {found.law.name}, expected one of "
            "critical-batch."
        )
    return found


def _critical_batch(fit: "Fit | None", decision: "Decision", prob: float) -> "pd.DataFrame | None":
    """Return the critical batch at the tokens of the recommended plan, with its interval."""
    if fit is None:
        return None
    from bayescale.posterior.predict import predict
    from bayescale.posterior.summary import flag_failure, interval_columns

    draws = predict(fit, n_tokens=float(decision.plan["n_tokens"]))
    table = interval_columns(draws[["critical_batch"]], prob, "plan")
    table.insert(0, "n_tokens", draws["n_tokens"].to_numpy())
    return flag_failure(table, fit.diagnostics)


def _headline(fit: "Fit", decision: "Decision") -> str:
    """Return what the critical batch is computed from, and its extrapolation beyond the runs."""
    from bayescale.posterior.extrapolation import headline_at

    return headline_at(fit, {"n_tokens": float(decision.plan["n_tokens"])})
