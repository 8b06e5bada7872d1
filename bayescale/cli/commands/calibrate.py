"""``calibrate``: whether intervals cover, on larger runs left out and on simulations."""

import argparse

from bayescale.cli.files import Reads
from bayescale.cli.numbers import whole_number
from bayescale.cli.options import add_reading, add_refits, pool_of_workers, runs_for_models
from bayescale.cli.render import print_json, table_records, table_text
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    calibrate = verbs.add(
        "calibrate", run, "Check intervals: by leaving larger scales out, or by simulation."
    )
    calibrate.add_argument("runs", type=Reads(), help="runs, or the design of simulated ones")
    calibrate.add_argument(
        "cards", nargs="+", type=Reads(), metavar="CARD", help="model cards to check"
    )
    way = calibrate.add_mutually_exclusive_group(required=True)
    way.add_argument(
        "--cut",
        action="append",
        metavar="AMOUNT",
        help="fit the runs below this and predict those above; may be repeated",
    )
    way.add_argument(
        "--simulations",
        type=whole_number,
        metavar="COUNT",
        help="number of simulations at the inputs of these runs (simulation-based calibration)",
    )
    add_reading(calibrate)
    calibrate.add_argument("--scale", default="compute", help="column that is cut (compute)")
    add_refits(calibrate)


def run(options: Arguments) -> None:
    """Print coverage above each cut, or the uniformity of ranks over simulations."""
    from bayescale.model.card import load_model

    for option in ("--scale", "--draws"):
        if options.simulations and option in options.given:
            raise ValueError(
                f"{option}: found --simulations, which cut no runs and take as many draws as "
                "their ranks need. Leave it out, or give --cut."
            )
    models = [load_model(card) for card in options.cards]
    runs = runs_for_models(options, *models)
    with pool_of_workers(options.workers) as executor:
        settings = {
            "seed": options.seed,
            "executor": executor,
            "store": options.store,
            "progress": not (options.quiet or options.json),
        }
        if options.cut:
            from bayescale.validation.leave_scale_out import leave_scale_out

            found = leave_scale_out(
                models, runs, options.cut, scale=options.scale, draws=options.draws, **settings
            )
            tables = {"scales left out": found.table}
        else:
            from bayescale.validation.sbc import sbc

            tables = {
                model.id: sbc(model, runs.table, options.simulations, **settings).table()
                for model in models
            }
    if options.json:
        print_json({name: table_records(table) for name, table in tables.items()})
        return
    for name, table in tables.items():
        print(f"{name}:")
        print(table_text(table))
