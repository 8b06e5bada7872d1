"""``backtest``: predict each budget of a table from its smaller budgets alone."""

import argparse

from bayescale.cli.options import (
    add_figure,
    add_model,
    add_prob,
    add_runs,
    model_of,
    runs_for_models,
)
from bayescale.cli.refits import add_refits, refits_of
from bayescale.cli.render import draw_figure, print_answer, print_json
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    backtest = verbs.add(
        "backtest",
        run,
        "Predict each budget of your runs from the smaller ones, and count those inside their "
        "intervals.",
    )
    add_runs(backtest)
    add_model(backtest)
    backtest.add_argument(
        "--scale", help="column of the scale (compute, or the first input of the law)"
    )
    add_refits(backtest)
    add_prob(backtest)
    add_figure(backtest)


def run(options: Arguments) -> None:
    """Print how many budgets were inside their intervals."""
    from bayescale.validation.backtest import backtest

    model = model_of(options)
    runs = runs_for_models(options, model)
    with refits_of(options) as refits:
        found = backtest(
            runs,
            model,
            scale=options.scale,
            prob=options.prob,
            **refits,
        )
    draw_figure(options, "backtest", found, 4.2)
    if options.json:
        print_json(found.to_record())
        return
    print_answer(found)
