"""``multiverse``: a fit for every combination of analysis choices."""

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
    multiverse = verbs.add(
        "multiverse",
        run,
        "Fit every combination of analysis choices, to see which change the answer.",
    )
    # Outliers are always read, since whether to keep them is one of the choices.
    add_runs(multiverse, outliers=False)
    add_model(multiverse)
    multiverse.add_argument(
        "--question",
        action="append",
        default=[],
        help="choice to vary: likelihood, window, outliers, counting or law; repeatable; the "
        "default varies all of them",
    )
    multiverse.add_argument("--budget", required=True, metavar="FLOP", help="budget of N_opt")
    add_refits(multiverse)
    add_prob(multiverse)
    add_figure(multiverse)


def run(options: Arguments) -> None:
    """Print the answer under each choice."""
    from bayescale.errors import unknown_name
    from bayescale.sensitivity.choices import CHOICES
    from bayescale.sensitivity.multiverse import multiverse

    for name in options.question:
        if name not in CHOICES:
            raise unknown_name("question", name, CHOICES)
    model = model_of(options)
    options.keep_outliers = True
    runs = runs_for_models(options, model)
    with refits_of(options) as refits:
        found = multiverse(
            runs,
            model,
            budget=options.budget,
            choices={name: CHOICES[name] for name in options.question or CHOICES},
            prob=options.prob,
            **refits,
        )
    draw_figure(options, "multiverse", found, 1.4 + 0.34 * len(found.by_choice()))
    if options.json:
        print_json(
            {
                **statements(found),
                "choices": table_records(found.by_choice()),
                "combinations": table_records(found.table),
            }
        )
        return
    print_answer(found)
