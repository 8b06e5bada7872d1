"""``allocate``: the compute-optimal sizes and tokens of budgets."""

import argparse

from bayescale.cli.options import add_fit, fit_or_constants, fixed_of
from bayescale.cli.planning import (
    add_budgets,
    add_cost_options,
    cluster_of,
    cost_of,
    in_money,
    limits_of,
)
from bayescale.cli.render import (
    computed_from,
    passed,
    print_allocation,
    print_json,
    table_records,
    without_warnings,
)
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    allocate = verbs.add("allocate", run, "Print the compute-optimal sizes and tokens of budgets.")
    add_fit(allocate, constants=True)
    add_budgets(allocate, required=True, money=True)
    add_cost_options(allocate)


def run(options: Arguments) -> None:
    """Print N_opt, D_opt and the loss at each budget."""
    from bayescale.allocation.allocate import allocate
    from bayescale.posterior.summary import without_intervals

    cluster = cluster_of(options)
    plan = allocate(
        fit_or_constants(options),
        budget=options.budget,
        cost=cost_of(options, cluster, money=in_money(options)),
        limits=limits_of(options, cluster),
        fixed=fixed_of(options),
        cluster=cluster,
    )
    if options.json:
        with without_warnings():
            table = plan.table(options.prob)
        if plan.source.is_point:
            table = without_intervals(table)
        print_json(
            {
                "passed": passed(plan.diagnostics),
                "headline": plan.headline,
                "caveats": list(plan.caveats),
                "allocation": table_records(table),
            }
        )
        return
    with computed_from(plan.headline, plan.diagnostics):
        print_allocation(plan, options.prob)
