"""``report``: write the report of a saved fit."""

import argparse

from bayescale._outputs import REPORT
from bayescale.cli.files import Writes
from bayescale.cli.options import add_fit, fit_or_constants, fixed_of, inputs_of, shows_progress
from bayescale.cli.planning import (
    add_budgets,
    add_cost_options,
    add_plans,
    cluster_of,
    cost_of,
    in_money,
    limits_of,
    plans_of,
)
from bayescale.cli.render import computed_from, passed, print_json
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    report = verbs.add(
        "report",
        run,
        "Write the report of a saved fit, or of published constants, as html, md or json.",
    )
    add_fit(report, constants=True)
    report.add_argument("--out", type=Writes(REPORT), required=True, help="html, md or json file")
    add_budgets(report, required=False, money=True)
    add_plans(report)
    report.add_argument(
        "--baseline",
        metavar="RECIPE",
        help="recipe among the levels of the fit: add the speedup of the others over it, as the "
        "command speedup prints it",
    )
    report.add_argument(
        "--full",
        action="store_true",
        help="also compare laws, refit below increasing cuts and choose next runs; takes minutes",
    )
    add_cost_options(report)


def run(options: Arguments) -> None:
    """Write the report."""
    from bayescale.allocation.speedup import speedup
    from bayescale.posterior.extrapolation import headline_at
    from bayescale.posterior.point import as_posterior
    from bayescale.reports.report import report

    source = as_posterior(fit_or_constants(options))
    cluster, splits = cluster_of(options), source.law.splits_compute
    cost, limits = cost_of(options, cluster, money=in_money(options)), limits_of(options, cluster)
    fixed = (fixed_of(options) or None) if splits else None
    recipes = None
    if options.baseline is not None:
        recipes = speedup(
            source,
            budget=options.budget,
            baseline=options.baseline,
            cost=cost,
            fixed=fixed,
            limits=limits,
        )
    report(
        source,
        options.out,
        budget=options.budget,
        inputs=None if splits else inputs_of(options) or None,
        prob=options.prob,
        cost=cost,
        fixed=fixed,
        limits=limits,
        plans=plans_of(options) or None,
        cluster=cluster,
        speedup=recipes,
        full=options.full,
        progress=shows_progress(options),
    )
    if options.json:
        print_json({"passed": passed(source.diagnostics), "report": str(options.out)})
        return
    with computed_from(headline_at(source, {}), source.diagnostics):
        print(f"report: {options.out}")
