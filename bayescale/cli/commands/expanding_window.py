"""``expanding-window``: refits to the runs below each of several increasing cuts."""

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
from bayescale.cli.render import draw_figure, print_answer, print_json, statements, table_records
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    window = verbs.add(
        "expanding-window",
        run,
        "Refit a card to the runs below each of several cuts, to see whether the answer is stable.",
    )
    add_runs(window)
    add_model(window)
    window.add_argument(
        "--cut",
        action="append",
        required=True,
        metavar="AMOUNT",
        help="fit the runs below this scale; repeatable",
    )
    window.add_argument("--scale", default="compute", help="column of the scale (compute)")
    window.add_argument("--budget", required=True, metavar="FLOP", help="budget of N_opt")
    add_refits(window)
    add_prob(window)
    add_figure(window)


def run(options: Arguments) -> None:
    """Print how the answer changes as larger runs are fitted."""
    from bayescale.sensitivity.expanding_window import expanding_window

    model = model_of(options)
    runs = runs_for_models(options, model)
    with refits_of(options) as refits:
        found = expanding_window(
            runs,
            model,
            options.cut,
            budget=options.budget,
            scale=options.scale,
            prob=options.prob,
            **refits,
        )
    draw_figure(options, "expanding_window", found, 4.2)
    if options.json:
        print_json(
            {
                **statements(found),
                "meet": {name: found.meet(name) for name in ("a", "n_opt")},
                "cuts": table_records(found.table),
            }
        )
        return
    print_answer(found)
