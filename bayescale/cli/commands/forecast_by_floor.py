"""``forecast-by-floor``: a refit for each of several assumed floors."""

import argparse

from bayescale.cli.options import (
    add_at,
    add_figure,
    add_model,
    add_prob,
    add_runs,
    fixed_of,
    floor_value,
    inputs_of,
    model_of,
    runs_for_models,
)
from bayescale.cli.refits import add_refits, refits_of
from bayescale.cli.render import draw_figure, print_answer, print_json, statements, table_records
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace

_SPLIT = ("n_params", "n_tokens")
"""The inputs between which a budget is split."""


def add(verbs: Verbs) -> None:
    """Add the command."""
    floors = verbs.add(
        "forecast-by-floor",
        run,
        "Fit under each of several assumed floors, to see how the forecast depends on them.",
    )
    add_runs(floors)
    add_model(floors)
    floors.add_argument(
        "--floor",
        action="append",
        required=True,
        type=floor_value,
        metavar="VALUE",
        help="assumed floor, in the unit in which the loss is fitted (nats/token), such as 1.7 or "
        "'1.7 +- 0.1'; repeatable",
    )
    floors.add_argument(
        "--budget",
        metavar="FLOP",
        help="budget of N_opt; the plan that is forecast is its optimum, unless given",
    )
    add_at(floors)
    add_refits(floors)
    add_prob(floors)
    add_figure(floors)


def run(options: Arguments) -> None:
    """Print the forecast and N_opt under each floor."""
    from bayescale.sensitivity.floors import forecast_by_floor

    model, at = model_of(options), inputs_of(options)
    # A plan has a value for every input; for a budget, all inputs but size and tokens are fixed.
    is_plan = {"n_params", "n_tokens"} & set(at) or options.budget is None
    fixed = {name: x for name, x in fixed_of(options).items() if name not in _SPLIT}
    with refits_of(options) as refits:
        found = forecast_by_floor(
            runs_for_models(options, model),
            model,
            floors=options.floor,
            budget=options.budget,
            at=at if is_plan and at else None,
            fixed=(fixed or None) if options.budget else None,
            prob=options.prob,
            **refits,
        )
    draw_figure(options, "forecast_by_floor", found, 4.2)
    if options.json:
        print_json(
            {
                **statements(found),
                "plan": dict(found.plan),
                "floors": table_records(found.table),
            }
        )
        return
    print_answer(found)
