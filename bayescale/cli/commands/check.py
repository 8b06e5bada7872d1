"""``check``: validate a table of runs."""

import argparse
import warnings

from bayescale.cli.files import Reads
from bayescale.cli.options import add_runs, of_variable, runs_for_models
from bayescale.cli.render import print_json
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    check = verbs.add("check", run, "Validate a table of runs, and what it can identify.")
    add_runs(check)
    check.add_argument(
        "--model", type=Reads(), default="chinchilla", help="model card to fit (chinchilla)"
    )


def run(options: Arguments) -> None:
    """Print how the runs were read, and cautions about their design."""
    from bayescale.data.notes import Note
    from bayescale.errors import BayescaleWarning
    from bayescale.model.card import load_model
    from bayescale.model.identifiability import check_identifiable, design_warnings
    from bayescale.model.unused_columns import unused_columns

    model = of_variable(load_model(options.model), options)
    with warnings.catch_warnings():
        # The notes, which are printed below, include these warnings.
        warnings.simplefilter("ignore", BayescaleWarning)
        runs = runs_for_models(options, model)
    check_identifiable(model, runs)
    cautions = design_warnings(model, runs)
    unused = unused_columns(model, runs)
    if options.json:
        print_json(
            {
                "name": runs.name,
                "runs": len(runs),
                "fingerprint": runs.fingerprint,
                "read": runs.reading.to_dict() if runs.reading else None,
                "notes": [note.to_dict() for note in (*map(Note.of, runs.notes), *unused)],
                "cautions": list(cautions),
            }
        )
        return
    print(runs.describe())
    for note in (*runs.account, *unused):
        print(f"  {'caution: ' if note.kind in ('implausible', 'counting') else ''}{note}")
    for sentence in cautions:
        print(f"  caution: {sentence}")
    print(f"  fingerprint {runs.fingerprint[:16]}; ready to fit with {model.id}.")
