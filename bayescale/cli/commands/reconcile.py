"""``reconcile``: from one study's exponent to another's, a step at a time."""

import argparse

from bayescale.cli.numbers import seed_number
from bayescale.cli.options import add_figure, add_prob, add_runs, runs_of
from bayescale.cli.render import draw_figure, print_answer, print_json, table_records
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    reconcile = verbs.add(
        "reconcile", run, "Walk from Kaplan's exponent to Chinchilla's, a step at a time."
    )
    add_runs(reconcile)
    reconcile.add_argument(
        "--where", metavar="CONDITION", help="runs to use, such as \"family == 'c4'\""
    )
    reconcile.add_argument("--by", metavar="COLUMN", help="column whose levels are walked apart")
    reconcile.add_argument("--curve", default="run", help="column that tells curves apart (run)")
    reconcile.add_argument(
        "--way",
        choices=("parabolas", "curves", "law"),
        help="how the exponent is measured; the first that the runs allow unless given",
    )
    reconcile.add_argument("--counted", default="total", help="how the runs count N (total)")
    reconcile.add_argument(
        "--seed", type=seed_number, default=0, help="makes the answer reproducible (0)"
    )
    add_prob(reconcile)
    add_figure(reconcile)


def run(options: Arguments) -> None:
    """Print the exponent after each step."""
    from bayescale.sensitivity.reconcile import reconcile_exponents

    runs = runs_of(options)
    if options.where:
        runs = runs.where(options.where)
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
                "headline": found.headline,
                "sentences": list(found.sentences),
                "caveats": list(found.caveats),
                "steps": table_records(found.table),
            }
        )
        return
    print_answer(found)
    for step, rows in found.table.groupby("step", sort=False):
        print(f"  {step}: {rows['why'].iloc[0]}.")
