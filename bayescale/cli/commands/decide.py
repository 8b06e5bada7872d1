"""``decide``: the plan with the least expected regret."""

import argparse

from bayescale.cli.numbers import real_number, seed_number
from bayescale.cli.options import add_fit, add_prob, fit_or_constants, fixed_of
from bayescale.cli.planning import (
    add_cost_options,
    add_plans,
    cluster_of,
    cost_of,
    in_money,
    limits_of,
    plans_of,
)
from bayescale.cli.render import passed, print_decision, print_json, statements, table_records
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    decide = verbs.add(
        "decide", run, "Choose the plan with the least expected regret for a budget."
    )
    add_fit(decide, constants=True)
    decide.add_argument(
        "--budget",
        required=True,
        metavar="AMOUNT",
        help="budget, such as 5.76e23, '100 PF-days' or '$2M'",
    )
    add_plans(decide)
    decide.add_argument(
        "--quantile",
        type=real_number,
        help="minimise this quantile of regret, not its expectation",
    )
    decide.add_argument("--seed", type=seed_number, help="seed of the simulated noise of runs")
    add_prob(decide)
    add_cost_options(decide)


def run(options: Arguments) -> None:
    """Print the chosen plan, and how the user's plans compare with it."""
    from bayescale.decision.decide import decide
    from bayescale.posterior.summary import without_intervals

    source = fit_or_constants(options)
    cluster = cluster_of(options)
    decision = decide(
        source,
        budget=options.budget,
        plans=plans_of(options),
        cost=cost_of(options, cluster, money=in_money(options)),
        serving=options.serving_tokens,
        cluster=cluster,
        limits=limits_of(options, cluster),
        fixed=fixed_of(options),
        quantile=options.quantile,
        prob=options.prob,
        seed=options.seed,
    )
    if options.json:
        table = decision.table()
        if decision.source.is_point:
            table = without_intervals(table)
        print_json(
            {
                "passed": passed(decision.source.diagnostics),
                **statements(decision),
                "budget": decision.budget,
                "unit": decision.cost.unit,
                "cost": decision.cost.name,
                "plans": table_records(table),
                "bands": table_records(decision.bands),
                "evpi": decision.evpi.to_dict(),
            }
        )
        return
    print_decision(decision)
