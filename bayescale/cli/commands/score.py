"""``score``: the predictions of a saved fit against held-out runs."""

import argparse

from bayescale.cli.options import (
    add_fit,
    add_runs,
    fit_or_constants,
    runs_for_models,
)
from bayescale.cli.render import passed, print_answer, print_json, statements, table_records
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    score = verbs.add(
        "score",
        run,
        "Score the predictions of a saved fit, or of published constants, on held-out runs.",
    )
    add_fit(score, constants=True, levels=False)
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
    from bayescale.posterior.point import as_posterior
    from bayescale.validation.score import score

    source = as_posterior(fit_or_constants(options))
    runs = runs_for_models(options, source)
    found = score(source, runs, new_levels=options.new_levels)
    if options.json:
        print_json(
            {
                "passed": passed(source.diagnostics),
                **statements(found),
                "summary": found.summary(),
                "runs": table_records(found.pointwise),
            }
        )
        return
    print_answer(found)
