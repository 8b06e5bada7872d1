"""``fit``: fit a model card to runs."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bayescale._outputs import DRAWS, REPORT, SAVED_FIT
from bayescale.cli.files import Writes
from bayescale.cli.numbers import positive_integer
from bayescale.cli.options import (
    add_model,
    add_runs,
    add_seed,
    floor_value,
    model_of,
    runs_for_models,
    shows_progress,
)
from bayescale.cli.planning import add_budgets
from bayescale.cli.refits import add_backtest, backtest_of
from bayescale.cli.render import (
    computed_from,
    heading_of,
    print_account,
    print_allocation,
    print_answer,
    print_json,
    table_records,
    table_text,
    without_warnings,
)
from bayescale.cli.verbs import Verbs

if TYPE_CHECKING:
    from bayescale.allocation.result import Allocation
    from bayescale.posterior.fit import Fit
    from bayescale.validation.backtest import Backtest

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    fit = verbs.add("fit", run, "Fit a model card to runs, and save the posterior.")
    add_runs(fit)
    add_model(fit)
    fit.add_argument("--out", type=Writes(SAVED_FIT), help="netCDF file to save the fit in")
    fit.add_argument(
        "--store",
        type=Writes(DRAWS),
        help="file that stores draws during sampling, so that an interrupted fit can continue",
    )
    fit.add_argument("--report", type=Writes(REPORT), help="html, md or json file for a report")
    add_budgets(fit, required=False)
    add_backtest(fit)
    add_seed(fit)
    fit.add_argument(
        "--draws", type=positive_integer, default=1000, help="posterior draws per chain (1000)"
    )
    fit.add_argument(
        "--floor",
        type=floor_value,
        metavar="VALUE",
        help="prior on the floor, in the unit in which the loss is fitted (nats/token): 1.7 if it "
        "is known, or '1.7 +- 0.1'",
    )
    fit.add_argument("--tune", type=positive_integer, help="tuning draws per chain (400)")
    fit.add_argument("--chains", type=positive_integer, default=4, help="number of chains (4)")
    fit.add_argument(
        "--cores",
        type=positive_integer,
        help="number of chains sampled in parallel (all processors)",
    )
    fit.add_argument(
        "--sampler",
        choices=("nutpie", "numpyro"),
        default="nutpie",
        help="NUTS implementation; numpyro uses JAX, and a GPU if there is one (nutpie)",
    )
    fit.add_argument(
        "--anyway", action="store_true", help="also fit runs that do not identify the parameters"
    )


def run(options: Arguments) -> None:
    """Fit, and print the summary, or the allocation of budgets."""
    # Invalid input is refused before anything is sampled.
    from bayescale.inference.fit import fit
    from bayescale.model.unused_columns import unused_columns
    from bayescale.units import parse_amounts

    if options.budget:
        parse_amounts(options.budget, "compute", "--budget")
    model = model_of(options)
    if options.floor is not None:
        model = replace(model, floor=options.floor)
    law = model.law
    if options.budget and not law.takes_size_and_tokens:
        raise ValueError(
            f"--budget: the law {law.name} is of {', '.join(law.inputs)}, so a budget cannot be "
            "split between size and tokens"
            + (
                " until its other inputs are fixed; save the fit with --out, and use allocate or "
                "report with --at."
                if law.splits_compute
                else ". Remove --budget."
            )
        )
    if options.report and law.splits_compute and not options.budget:
        raise ValueError("--report: a report needs budgets; give one or more --budget.")
    result = fit(
        runs_for_models(options, model),
        model,
        draws=options.draws,
        tune=options.tune,
        chains=options.chains,
        cores=options.cores,
        seed=options.seed,
        unidentified="warn" if options.anyway else "refuse",
        store=options.store,
        sampler=options.sampler,
        progress=shows_progress(options),
    )
    if options.out:
        result.save(options.out)
    if options.budget:
        from bayescale.allocation.allocate import allocate

        plan = allocate(result, budget=options.budget)
    else:
        plan = None
    backtest = backtest_of(options, result.runs, model, prob=options.prob, seed=options.seed)
    if options.report:
        from bayescale.reports.report import report

        report(
            result,
            options.report,
            budget=options.budget,
            prob=options.prob,
            backtest=backtest,
            progress=shows_progress(options),
        )
    if options.json:
        print_json(_record(result, plan, backtest, options))
        return
    print_account((*result.runs.account, *unused_columns(model, result.runs)))
    headline, diagnostics = (
        (plan.headline, plan.diagnostics) if plan else (result.headline, result.diagnostics)
    )
    with computed_from(headline, diagnostics):
        if plan:
            print_allocation(plan, options.prob)
        else:
            _print_summary(result, options.prob)
    if backtest:
        print_answer(backtest)
    for what, path in (("fit", options.out), ("report", options.report)):
        if path is not None:
            print(f"{what}: {path}")


def _print_summary(result: "Fit", prob: float) -> None:
    """Print the posterior of each quantity with its meaning; diagnostics if a check failed."""
    from bayescale.posterior.diagnostics import MEASURES

    if result.law.caveat:
        print(result.law.caveat)
    with without_warnings():
        table = result.summary(prob)
    columns = ["meaning"] if result.diagnostics.ok else [*MEASURES, "meaning"]
    print(heading_of(False, prob))
    print(table_text(table.rename_axis("quantity")[["median", "lower", "upper", *columns]]))


def _record(
    result: "Fit", plan: "Allocation | None", backtest: "Backtest | None", options: Arguments
) -> dict[str, Any]:
    """Return the fit in JSON types."""
    with without_warnings():
        return {
            "passed": result.diagnostics.ok,
            "status": result.diagnostics.status,
            "checks": result.diagnostics.records,
            "headline": result.headline,
            "summary": table_records(result.summary(options.prob)),
            "allocation": table_records(plan.table(options.prob)) if plan else None,
            "caveats": list(plan.caveats if plan else filter(None, [result.law.caveat])),
            "backtest": backtest.to_record() if backtest else None,
            "read": result.runs.reading.to_dict() if result.runs.reading else None,
            "provenance": dict(result.provenance),
            "out": str(options.out) if options.out else None,
            "report": str(options.report) if options.report else None,
        }
