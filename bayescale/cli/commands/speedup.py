"""``speedup``: how much less compute recipes need to reach the loss of a baseline."""

import argparse
from functools import partial
from typing import TYPE_CHECKING

from bayescale.cli.files import Reads
from bayescale.cli.options import add_figure, add_levels, by_file_name, fit_at, fixed_of
from bayescale.cli.planning import add_budgets, add_cost_options, cluster_of, cost_of, limits_of
from bayescale.cli.render import (
    draw_figure,
    passed,
    print_answer,
    print_json,
    statements,
    table_records,
    table_text,
    without_warnings,
)
from bayescale.cli.verbs import Verbs

if TYPE_CHECKING:
    from bayescale.posterior.fit import Fit

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    speedup = verbs.add(
        "speedup",
        run,
        "Print how much less compute recipes need to reach the loss of a baseline.",
    )
    speedup.add_argument(
        "fits",
        nargs="+",
        type=Reads(),
        metavar="FIT",
        help="saved fit whose model groups runs by recipe; or a saved fit of each recipe",
    )
    speedup.add_argument(
        "--baseline",
        required=True,
        metavar="RECIPE",
        help="recipe to compare with: a level, or the name of a file without its suffix",
    )
    speedup.add_argument(
        "--by", metavar="COLUMN", help="column of the recipes, if the model groups by several"
    )
    speedup.add_argument(
        "--recipe",
        action="append",
        metavar="RECIPE",
        help="recipe to compare with the baseline (all); repeatable",
    )
    speedup.add_argument(
        "--next",
        metavar="FLOP",
        help="compute of further runs: print those that best resolve, at the largest budget, "
        "whether the recipe whose P(better) is nearest to a half is better",
    )
    add_levels(speedup)
    add_budgets(speedup, required=True)
    add_figure(speedup)
    add_cost_options(speedup, hardware=False)


def run(options: Arguments) -> None:
    """Print the speedup of each recipe at each budget."""
    from bayescale.allocation.speedup import speedup
    from bayescale.experiment_design.comparison_runs import comparison_runs

    cluster = cluster_of(options)
    found = speedup(
        _fits(options),
        budget=options.budget,
        baseline=options.baseline,
        by=options.by,
        recipes=options.recipe,
        cost=cost_of(options, cluster),
        fixed=fixed_of(options),
        limits=limits_of(options, cluster),
    )
    draw_figure(options, "speedup", found, 4.2)
    further = comparison_runs(found, budget=options.next) if options.next else None
    if options.json:
        with without_warnings():
            table = found.table(options.prob)
        print_json(
            {
                "passed": passed(found.diagnostics),
                **statements(found),
                "baseline": found.baseline,
                "paired": found.is_paired,
                "speedup": table_records(table),
                **({"next_runs": further.to_record()} if further else {}),
            }
        )
        return
    print_answer(found, found.text_table(options.prob))
    if further:
        print()
        print("\n".join(further.sentences))
        print(table_text(further.text_table()))


def _fits(options: Arguments) -> "Fit | dict[str, Fit]":
    """Return the fit, or several by the names of their files."""
    if len(options.fits) == 1:
        return fit_at(options, options.fits[0])
    return by_file_name(options, options.fits, partial(fit_at, options))
