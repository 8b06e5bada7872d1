"""``requirements``: the size, tokens and cost that a loss, a size or a number of tokens needs."""

import argparse

from bayescale.cli.options import add_fit, add_prob, fit_or_constants, fixed_of
from bayescale.cli.planning import add_cost_options, cluster_of, cost_of, limits_of
from bayescale.cli.render import (
    passed,
    print_answer,
    print_json,
    statements,
    table_records,
    without_warnings,
)
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    requirements = verbs.add(
        "requirements",
        run,
        "Print the size, tokens and cost that a target loss, a size or a number of tokens needs.",
    )
    add_fit(requirements, constants=True)
    for name, what in (
        ("--loss", "target loss, such as 2.1"),
        ("--n-params", "size, such as 7B"),
        ("--n-tokens", "tokens, such as 2T"),
    ):
        requirements.add_argument(
            name, action="append", metavar="AMOUNT", help=f"{what}; repeatable"
        )
    add_prob(requirements)
    add_cost_options(requirements, hardware=False)


def run(options: Arguments) -> None:
    """Print the size, tokens and cost that targets need."""
    from bayescale.allocation.requirements import requirements
    from bayescale.posterior.summary import without_intervals

    cluster = cluster_of(options)
    found = requirements(
        fit_or_constants(options),
        loss=options.loss,
        n_params=options.n_params,
        n_tokens=options.n_tokens,
        cost=cost_of(options, cluster),
        fixed=fixed_of(options),
        limits=limits_of(options, cluster),
    )
    if options.json:
        with without_warnings():
            table = found.table(options.prob)
        if found.source.is_point:
            table = without_intervals(table)
        print_json(
            {
                "passed": passed(found.source.diagnostics),
                **statements(found),
                "requirements": table_records(table),
            }
        )
        return
    print_answer(found, found.text_table(options.prob))
