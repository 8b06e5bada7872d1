"""``preregister``: predictions of planned runs, sealed in a file before the runs are made."""

import argparse

from bayescale._outputs import FORECASTS
from bayescale.cli.files import Writes
from bayescale.cli.options import add_at, add_fit, inputs_of, saved_fit
from bayescale.cli.render import passed, print_answer, print_json, table_records
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    preregister = verbs.add(
        "preregister", run, "Seal the predictions of planned runs, to be scored when they are done."
    )
    add_fit(preregister)
    preregister.add_argument(
        "--name",
        action="append",
        required=True,
        help="name of a planned run, by which it is found when it is done; repeatable",
    )
    preregister.add_argument(
        "--n-params", action="append", default=[], metavar="AMOUNT", help="size, such as 7B"
    )
    preregister.add_argument(
        "--n-tokens", action="append", default=[], metavar="AMOUNT", help="tokens, such as 2T"
    )
    add_at(preregister)
    preregister.add_argument(
        "--out", required=True, type=Writes(FORECASTS), help="json file of forecasts to write"
    )
    preregister.add_argument(
        "--force", action="store_true", help="replace earlier forecasts in that file"
    )


def run(options: Arguments) -> None:
    """Write the forecasts and print them."""
    from bayescale.records.preregister import preregister
    from bayescale.records.preregistration import refuse_existing

    refuse_existing(options.out, replace=options.force)
    planned, fit = _planned(options), saved_fit(options)
    found = preregister(fit, planned, options.out, replace=options.force)
    if options.json:
        print_json(
            {
                "passed": passed(fit.diagnostics),
                "file": str(options.out),
                "sha256": found.sha256,
                "headline": found.headline,
                "forecasts": table_records(found.table()),
            }
        )
        return
    print_answer(found)


def _planned(options: Arguments) -> dict[str, dict[str, object]]:
    """Return the inputs of each planned run, by its name."""
    names, given = options.name, inputs_of(options)
    if len(set(names)) < len(names):
        raise ValueError(f"--name: found {', '.join(names)}, expected a different name each.")
    for column, amounts in (("n_params", options.n_params), ("n_tokens", options.n_tokens)):
        if amounts:
            given[column] = [*amounts, *given.get(column, [])]
    for column, amounts in given.items():
        if len(amounts) not in (1, len(names)):
            raise ValueError(
                f"--at: found {len(amounts)} amounts of {column} for {len(names)} planned runs, "
                "expected one for each, or one for all."
            )
    return {
        name: {column: amounts[i % len(amounts)] for column, amounts in given.items()}
        for i, name in enumerate(names)
    }
