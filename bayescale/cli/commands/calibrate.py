"""``calibrate``: calibration of intervals, on held-out larger runs or on simulations."""

import argparse
from typing import TYPE_CHECKING, Any

from bayescale.cli.files import Reads
from bayescale.cli.numbers import positive_integer
from bayescale.cli.options import add_reading, of_variable, runs_for_models
from bayescale.cli.refits import add_refits, refits_of
from bayescale.cli.render import print_json, table_records, table_text
from bayescale.cli.verbs import Verbs

if TYPE_CHECKING:
    import pandas as pd

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    calibrate = verbs.add(
        "calibrate",
        run,
        "Check the calibration of intervals, on held-out larger runs or on simulations.",
    )
    calibrate.add_argument(
        "runs", type=Reads(), help="table of runs; simulations take its inputs only"
    )
    calibrate.add_argument(
        "cards", nargs="+", type=Reads(), metavar="CARD", help="model cards to check"
    )
    method = calibrate.add_mutually_exclusive_group(required=True)
    method.add_argument(
        "--cut",
        action="append",
        metavar="AMOUNT",
        help="fit the runs below this scale and predict those above; repeatable",
    )
    method.add_argument(
        "--simulations",
        type=positive_integer,
        metavar="COUNT",
        help="number of data sets to simulate for simulation-based calibration",
    )
    add_reading(calibrate)
    calibrate.add_argument("--scale", default="compute", help="column of the scale (compute)")
    add_refits(calibrate)


def run(options: Arguments) -> None:
    """Print the coverage above each cut, or the uniformity of ranks over simulations."""
    from bayescale.model.card import load_model

    for option in ("--scale", "--draws"):
        if options.simulations and option in options.given:
            raise ValueError(
                f"{option}: found --simulations too, which have no scale to cut at and choose the "
                f"number of draws. Remove {option}, or give --cut in place of "
                "--simulations."
            )
    models = [of_variable(load_model(card), options) for card in options.cards]
    runs = runs_for_models(options, *models)
    with refits_of(options) as refits:
        if options.cut:
            from bayescale.validation.leave_scale_out import leave_scale_out

            found = leave_scale_out(runs, models, options.cut, scale=options.scale, **refits)
            tables = {"larger runs held out": found.table}
        else:
            from bayescale.validation.sbc import sbc

            settings: dict[str, Any] = {k: v for k, v in refits.items() if k != "draws"}
            tables = {
                model.id: sbc(model, runs.table, options.simulations, **settings).table()
                for model in models
            }
    if options.json:
        print_json({name: table_records(table) for name, table in tables.items()})
        return
    for name, table in tables.items():
        print(f"{name}:")
        print(table_text(_scores_by_row(table) if options.cut else table))
        if options.cut:
            for fitted, status in zip(_fit_names(table), table["status"], strict=True):
                print(f"{fitted}: {status}")


def _fit_names(table: "pd.DataFrame") -> list[str]:
    """Return the name of each fit: its card, and the scale below which its runs are."""
    return [f"{model} below {cut:.4g}" for model, cut in table.index]


def _scores_by_row(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table transposed, one row per score, since scores are many and fits few."""
    from bayescale.validation.scored import MEANINGS

    shown = table.drop(columns="status").map(
        lambda value: f"{value:.4g}" if isinstance(value, float) else str(value)
    )
    shown = shown.set_axis(_fit_names(table)).T.rename_axis("score")
    return shown.assign(meaning=[MEANINGS.get(str(name), "") for name in shown.index])
