"""``next``: the batch of runs with the greatest expected value for a decision."""

import argparse

from bayescale.cli.files import Reads
from bayescale.cli.numbers import positive_integer, seed_number
from bayescale.cli.options import add_fit, fit_or_constants, fixed_of
from bayescale.cli.planning import add_cost_options, cluster_of, cost_of, limits_of, size_and_tokens
from bayescale.cli.render import passed, print_answer, print_json, statements, table_records
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    parser = verbs.add(
        "next", run, "Choose the runs with the greatest expected value for a decision."
    )
    add_fit(parser)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--target", metavar="FLOP", help="budget of the decision")
    target.add_argument("--target-plan", metavar="N,D", help="plan whose loss is to be predicted")
    parser.add_argument(
        "--budget", required=True, metavar="FLOP", help="total compute of the new runs"
    )
    parser.add_argument(
        "--n-runs", type=positive_integer, default=6, help="largest number of runs in the batch (6)"
    )
    parser.add_argument(
        "--repeats", type=positive_integer, default=1, help="largest number of repeats of a run (1)"
    )
    parser.add_argument(
        "--objective",
        choices=("regret", "size", "loss"),
        help="quantity to reduce: expected regret, or the variance of ln N_opt or of ln loss "
        "(regret for a budget, loss for a plan)",
    )
    parser.add_argument(
        "--candidate",
        action="append",
        default=[],
        metavar="N,D",
        help="run to choose from, such as 1B,20B; repeatable; the default is a grid",
    )
    parser.add_argument(
        "--candidates", type=Reads(), metavar="FILE", help="file of runs to choose from"
    )
    parser.add_argument("--seed", type=seed_number, help="seed of the simulated outcomes")
    add_cost_options(parser)


def run(options: Arguments) -> None:
    """Print a batch of runs, and its expected value."""
    from bayescale.experiment_design.next_runs import next_runs

    fit, cluster = fit_or_constants(options), cluster_of(options)
    found = next_runs(
        fit,
        target=options.target or size_and_tokens(options.target_plan, "--target-plan"),
        budget=options.budget,
        candidates=_candidates(options),
        objective=options.objective,
        n_runs=options.n_runs,
        repeats=options.repeats,
        cost=cost_of(options, cluster),
        limits=limits_of(options, cluster),
        fixed=fixed_of(options),
        cluster=cluster,
        seed=options.seed,
    )
    if options.json:
        print_json(
            {
                "passed": passed(found.source.diagnostics),
                **statements(found),
                "objective": found.objective,
                "before": found.before,
                "after": found.after,
                "reduction": found.reduction,
                "mcse": found.mcse,
                "saving": found.saving,
                "compute": found.compute,
                "runs": table_records(found.table()),
            }
        )
        return
    print_answer(found)


def _candidates(options: Arguments) -> object:
    if options.candidates is None:
        return [size_and_tokens(text, "--candidate") for text in options.candidate] or None
    if options.candidate:
        raise ValueError("--candidates: found --candidate too; give one of them.")
    from bayescale.data.amount_tables import read_amounts

    return read_amounts(options.candidates)
