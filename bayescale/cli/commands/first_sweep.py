"""``first-sweep``: the first runs to launch, from the prior of a card."""

import argparse
from typing import TYPE_CHECKING

from bayescale._outputs import SWEEP
from bayescale.cli.files import Reads, Writes
from bayescale.cli.numbers import positive_integer, real_number
from bayescale.cli.options import add_model, add_seed, by_file_name, fixed_of
from bayescale.cli.planning import (
    add_cost_options,
    add_hyperparameters,
    cluster_of,
    cost_of,
    limits_of,
    rule_or_fit,
)
from bayescale.cli.render import print_answer, print_json, table_records, table_text
from bayescale.cli.verbs import Verbs

if TYPE_CHECKING:
    import pandas as pd

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    sweep = verbs.add(
        "first-sweep", run, "Design the first sweep of a project, before any run, from a prior."
    )
    add_model(sweep, pool=False)
    sweep.add_argument(
        "--budget", required=True, metavar="FLOP", help="total compute of the sweep, such as 1e21"
    )
    sweep.add_argument(
        "--target", required=True, metavar="FLOP", help="budget of the run that the sweep prepares"
    )
    sweep.add_argument(
        "--n-runs", type=positive_integer, default=35, help="largest number of runs (35)"
    )
    sweep.add_argument(
        "--tokens-per-param",
        type=real_number,
        default=20.0,
        metavar="RATIO",
        help="tokens per parameter in the middle of the sweep (20)",
    )
    for name, extreme, what in (
        ("--run-min-params", "smallest", "parameters"),
        ("--run-max-params", "largest", "parameters"),
        ("--run-max-tokens", "largest", "training tokens"),
    ):
        sweep.add_argument(
            name, metavar="AMOUNT", help=f"{extreme} number of {what} of a run of the sweep"
        )
    sweep.add_argument(
        "--design",
        action="append",
        type=Reads(),
        default=[],
        metavar="FILE",
        help="file of n_params and n_tokens of a sweep to compare; repeatable",
    )
    add_hyperparameters(sweep)
    sweep.add_argument(
        "--simulations",
        type=positive_integer,
        default=400,
        help="number of projects to simulate (400)",
    )
    sweep.add_argument(
        "--out", type=Writes(SWEEP), metavar="CSV", help="file to write the runs to, for a launcher"
    )
    add_seed(sweep)
    add_cost_options(sweep)


def run(options: Arguments) -> None:
    """Print the sweep and the expected performance of designs of its cost, and write it."""
    from bayescale.costs.limits import Limits
    from bayescale.experiment_design.first_sweep import first_sweep
    from bayescale.model.card import DEFAULT_CARD

    cluster = cluster_of(options)
    found = first_sweep(
        options.model or DEFAULT_CARD,
        budget=options.budget,
        target=options.target,
        designs=by_file_name(options, options.design, _design),
        n_runs=options.n_runs,
        tokens_per_param=options.tokens_per_param,
        run_limits=Limits(
            min_params=options.run_min_params,
            max_params=options.run_max_params,
            max_tokens=options.run_max_tokens,
        ),
        hyperparameters=rule_or_fit(options.hyperparameters),
        cost=cost_of(options, cluster),
        limits=limits_of(options, cluster),
        fixed=fixed_of(options),
        cluster=cluster,
        simulations=options.simulations,
        seed=options.seed,
    )
    if options.out:
        found.to_csv(options.out)
    if options.json:
        print_json(
            {
                **found.to_record(),
                "before": found.before,
                "designs": table_records(found.designs),
                "runs": table_records(found.table()),
            }
        )
        return
    print_answer(found)
    print()
    print(table_text(found.text_runs()))
    if options.out:
        print(f"\nruns: {options.out}")


def _design(path: str) -> "pd.DataFrame":
    from bayescale.data.amount_tables import read_amounts

    return read_amounts(path)
