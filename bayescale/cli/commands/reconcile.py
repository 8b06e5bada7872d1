"""``reconcile``: from one study's exponent to another's, step by step."""

import argparse

from bayescale.cli.options import add_figure, add_prob, add_runs, add_seed, runs_of
from bayescale.cli.render import draw_figure, print_answer, print_json, statements, table_records
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    reconcile = verbs.add(
        "reconcile",
        run,
        "Explain the difference between Kaplan's exponent and Chinchilla's, step by step.",
    )
    add_runs(reconcile)
    reconcile.add_argument(
        "--by", metavar="COLUMN", help="column whose levels are analysed separately"
    )
    reconcile.add_argument(
        "--curve", default="run", metavar="COLUMN", help="column that identifies curves (run)"
    )
    reconcile.add_argument(
        "--way",
        choices=("parabolas", "curves", "law"),
        help="method that estimates the exponent (the first that the runs allow)",
    )
    reconcile.add_argument(
        "--counted", default="total", help="convention by which the runs count N (total)"
    )
    add_seed(reconcile)
    add_prob(reconcile)
    add_figure(reconcile)


def run(options: Arguments) -> None:
    """Print the exponent after each step."""
    from bayescale.sensitivity.reconcile import reconcile_exponents

    runs = runs_of(options)
    found = reconcile_exponents(
        runs,
        by=options.by,
        way=options.way,
        given=options.counted,
        curve=options.curve,
        prob=options.prob,
        seed=options.seed,
    )
    draw_figure(
        options,
        "reconcile_exponents",
        found,
        1.6 + 0.6 * found.table.index.get_level_values("step").nunique(),
    )
    if options.json:
        print_json(
            {
                **statements(found),
                "steps": table_records(found.table),
            }
        )
        return
    print_answer(found)
    for step, rows in found.table.groupby("step", sort=False):
        print(f"  {step}: {rows['why'].iloc[0]}.")
