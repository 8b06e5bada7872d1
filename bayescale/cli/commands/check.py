"""``check``: validate a table of runs."""

import argparse
import warnings

from bayescale.cli.options import add_model, add_runs, model_of, runs_for_models
from bayescale.cli.refits import add_backtest, backtest_of
from bayescale.cli.render import print_account, print_answer, print_json
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    check = verbs.add("check", run, "Validate a table of runs, and what it can identify.")
    add_runs(check)
    add_model(check)
    add_backtest(check)


def run(options: Arguments) -> None:
    """Print how the runs were read, and cautions about their design."""
    from bayescale.data.notes import Note
    from bayescale.errors import BayescaleWarning
    from bayescale.model.identifiability import check_identifiable, design_warnings
    from bayescale.model.unused_columns import unused_columns

    model = model_of(options)
    with warnings.catch_warnings():
        # The notes, which are printed below, include these warnings.
        warnings.simplefilter("ignore", BayescaleWarning)
        runs = runs_for_models(options, model)
    check_identifiable(model, runs)
    cautions = design_warnings(model, runs)
    unused = unused_columns(model, runs)
    backtest = backtest_of(options, runs, model)
    if options.json:
        print_json(
            {
                "name": runs.name,
                "runs": len(runs),
                "fingerprint": runs.fingerprint,
                "read": runs.reading.to_dict() if runs.reading else None,
                "notes": [note.to_dict() for note in (*map(Note.of, runs.notes), *unused)],
                "cautions": list(cautions),
                "backtest": backtest.to_record() if backtest else None,
            }
        )
        return
    print(runs.describe())
    print_account((*runs.account, *unused), "  ")
    for sentence in cautions:
        print(f"  caution: {sentence}")
    print(f"  fingerprint {runs.fingerprint[:16]}; ready to fit with {model.id}.")
    if backtest:
        print_answer(backtest)
