"""``score-forecast``: scores of preregistered forecasts against the runs made since."""

import argparse

from bayescale.cli.files import Reads
from bayescale.cli.options import add_reading, reading_of
from bayescale.cli.render import print_answer, print_json, table_text
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    score = verbs.add(
        "score-forecast", run, "Score pre-registered forecasts with the runs that are done."
    )
    score.add_argument(
        "records", nargs="+", type=Reads(), metavar="FILE", help="forecasts of preregister"
    )
    score.add_argument(
        "--runs",
        required=True,
        type=Reads(),
        help="table of the runs that are done, with their names in a column run",
    )
    add_reading(score, where=False)


def run(options: Arguments) -> None:
    """Print each forecast with its outcome, and their coverage, bias and scores."""
    from bayescale.records.score import score_forecasts

    found = score_forecasts(options.records, options.runs, **reading_of(options))
    if options.json:
        print_json(found.to_record())
        return
    print_answer(found)
    print()
    print(table_text(found.text_history()))
