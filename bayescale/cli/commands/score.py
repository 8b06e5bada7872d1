"""``score``: the predictions of a saved fit against held-out runs."""

import argparse

from bayescale.cli.options import add_fit, add_runs, runs_for_models, saved_fit
from bayescale.cli.render import print_json, table_records
from bayescale.cli.verbs import Verbs
from bayescale.units import format_number

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    score = verbs.add("score", run, "Score the predictions of a saved fit on held-out runs.")
    add_fit(score, levels=False)
    add_runs(score)
    score.add_argument(
        "--new-level",
        action="append",
        default=[],
        dest="new_levels",
        metavar="COLUMN",
        help="accept new levels of the column, such as family, even if their names resemble those "
        "that were fitted; repeatable",
    )


def run(options: Arguments) -> None:
    """Print the density, errors and coverage of predictions."""
    from bayescale.validation.score import score

    fit = saved_fit(options)
    runs = runs_for_models(options, fit.model)
    found = score(fit, runs, new_levels=options.new_levels)
    summary = found.summary()
    if options.json:
        print_json(
            {
                "passed": fit.diagnostics.ok,
                "headline": fit.headline,
                "summary": summary,
                "runs": table_records(found.pointwise),
            }
        )
        return
    print(fit.headline)
    print(f"On {len(runs)} runs of {runs.name} (densities, errors and widths of the log response):")
    for name, value in summary.items():
        print(f"  {name:<18} {format_number(value, 4)}")
