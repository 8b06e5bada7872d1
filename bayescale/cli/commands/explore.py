"""``explore``: a page in a browser, with sliders for the terms of a plan."""

import argparse

from bayescale.cli.numbers import port_number
from bayescale.cli.options import add_at, add_fit, add_prob, fixed_of, read_mapping, saved_fit
from bayescale.cli.planning import add_plans, plans_of
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    explore = verbs.add(
        "explore", run, "Open a page on this computer, to move budget, data and prices."
    )
    add_fit(explore)
    explore.add_argument("--budget", metavar="FLOP", help="budget to begin with, such as 5.76e23")
    add_plans(explore)
    add_prob(explore)
    add_at(explore)
    explore.add_argument(
        "--port", type=port_number, help="port of this computer (8501, or the next free one)"
    )
    explore.add_argument("--browser", action="store_true", help="open a browser")


def run(options: Arguments) -> None:
    """Serve the page until Ctrl-C, once the first answer has been computed without an error."""
    from bayescale.costs import Cluster
    from bayescale.explore.question import QUICK, Question, budgets_for
    from bayescale.explore.serve import HOST, check_installed, free_port, serve
    from bayescale.units import parse_amount

    if options.json:
        raise ValueError("--json: explore shows a page; for JSON use decide.")
    check_installed()
    budget = parse_amount(options.budget, "compute", "--budget") if options.budget else None
    fit, fixed = saved_fit(options), fixed_of(options)
    plans_of(options)
    plans = [entry.strip() for entry in options.plan]
    # Invalid terms that no slider can change are refused before the page is served.
    Question(
        budget=budgets_for(fit, budget)[1],
        cluster=Cluster(n_gpus=8, peak="H100-SXM", utilisation=0.4),
        plans="; ".join(plans),
        fixed=fixed,
        prob=options.prob,
    ).answer(fit, QUICK)
    port = options.port or free_port()
    print(f"explore: http://{HOST}:{port} (Ctrl-C ends it)", flush=True)
    serve(
        options.fit,
        groups=read_mapping(options.group, "--group", "COLUMN=LEVEL"),
        new_levels=options.new_level,
        fixed=fixed,
        budget=budget,
        plans=plans,
        prob=options.prob,
        port=port,
        browser=options.browser,
    )
