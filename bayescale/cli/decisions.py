"""The commands that decide: what to run, and what to run next."""

import argparse
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bayescale.cli.files import Reads
from bayescale.cli.numbers import real_number, seed_number, whole_number
from bayescale.cli.render import (
    add_fit,
    fit_or_constants,
    print_json,
    read_mapping,
    saved_fit,
    table_records,
    table_text,
)

if TYPE_CHECKING:
    import pandas as pd

    from bayescale.costs import Cluster, Cost
    from bayescale.costs.limits import Limits

type Arguments = argparse.Namespace
type Verb = Callable[[str, Callable[[Arguments], None], str], argparse.ArgumentParser]


def add_decision_verbs(verb: Verb, add_prob: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the commands ``decide`` and ``next``."""
    decide = verb("decide", _decide, "Choose the plan of least expected regret for a budget.")
    add_fit(decide, constants=True)
    budget = decide.add_mutually_exclusive_group(required=True)
    budget.add_argument("--compute", metavar="FLOP", help="budget, such as 5.76e23")
    budget.add_argument("--money", metavar="AMOUNT", help="budget in money, such as '$2M'")
    add_plans(decide)
    decide.add_argument(
        "--quantile",
        type=real_number,
        help="make this quantile of regret least, not its expectation",
    )
    decide.add_argument("--seed", type=seed_number, help="seed of the simulated scatter of runs")
    add_prob(decide)
    add_cost_options(decide)

    following = verb("next", _next, "Choose the runs that would teach most about a decision.")
    add_fit(following)
    target = following.add_mutually_exclusive_group(required=True)
    target.add_argument("--target", metavar="FLOP", help="budget that is to be decided on")
    target.add_argument("--target-plan", metavar="N,D", help="plan whose loss is to be known")
    following.add_argument(
        "--budget", required=True, metavar="FLOP", help="compute of all new runs together"
    )
    following.add_argument(
        "--runs", type=whole_number, default=6, help="the most runs of a batch (6)"
    )
    following.add_argument(
        "--repeats", type=whole_number, default=1, help="how often one may be made (1)"
    )
    following.add_argument(
        "--objective", choices=("regret", "size", "loss"), help="what is to be cut (regret)"
    )
    following.add_argument(
        "--candidate",
        action="append",
        default=[],
        metavar="N,D",
        help="run to choose from, such as 1B,20B; may be repeated; a grid unless given",
    )
    following.add_argument(
        "--candidates", type=Reads(), metavar="CSV", help="runs to choose from, in a file"
    )
    following.add_argument("--seed", type=seed_number, help="seed of the simulated outcomes")
    add_cost_options(following)


def add_plans(parser: argparse.ArgumentParser) -> None:
    """Add the option of plans to compare."""
    parser.add_argument(
        "--plan",
        action="append",
        default=[],
        metavar="N,D",
        help="plan to compare, such as 7B,2T or 'small=7B,2T'; may be repeated",
    )


def add_cost_options(parser: argparse.ArgumentParser) -> None:
    """Add the options on what plans cost and what bounds them."""
    cost = parser.add_argument_group("costs and limits")
    cost.add_argument("--serving-tokens", metavar="TOKENS", help="tokens to be served, such as 5T")
    cost.add_argument(
        "--lifetime", action="store_true", help="the budget pays for serving as well as training"
    )
    cost.add_argument("--gpus", metavar="COUNT", help="GPUs of the cluster")
    cost.add_argument("--gpu", metavar="PEAK", help="peak of one: H100-SXM, or '989 TFLOP/s'")
    cost.add_argument("--utilisation", type=real_number, help="share of the peak that runs reach")
    cost.add_argument("--price", metavar="AMOUNT", help="price of a GPU-hour, such as '$2'")
    cost.add_argument(
        "--vocabulary",
        type=whole_number,
        help="count FLOP from shapes of this vocabulary, not as 6ND",
    )
    cost.add_argument(
        "--context", type=whole_number, default=2048, help="tokens of their context (2048)"
    )
    cost.add_argument(
        "--aspect", type=real_number, default=128, help="their width over depth (128)"
    )
    for name, what in (
        ("--max-params", "size"),
        ("--min-params", "size"),
        ("--max-tokens", "tokens of training"),
        ("--max-steps", "steps, with --batch-tokens"),
        ("--max-days", "days of training, on the cluster"),
    ):
        word = "least" if name.startswith("--min") else "most"
        cost.add_argument(name, metavar="AMOUNT", help=f"{word} {what}")
    cost.add_argument("--batch-tokens", metavar="TOKENS", help="tokens of a step")
    cost.add_argument(
        "--fixed",
        action="append",
        default=[],
        metavar="NAME=AMOUNT",
        help="another input of the law, such as n_unique_tokens=100B; may be repeated",
    )


def cluster_of(options: Arguments) -> "Cluster | None":
    """Return the cluster that options describe, if they do."""
    from bayescale.costs import Cluster

    if options.gpus is None:
        return None
    return Cluster(
        n_gpus=options.gpus, peak=options.gpu, utilisation=options.utilisation, price=options.price
    )


def cost_of(options: Arguments, cluster: "Cluster | None", *, money: bool = False) -> "Cost":
    """Return the cost that options describe."""
    from bayescale.costs import Lifetime, Money, Serving, ShapedCost, ShapeFamily, six_nd

    train: Cost = six_nd
    if options.vocabulary is not None:
        train = ShapedCost(
            family=ShapeFamily(
                aspect=options.aspect, vocab_size=options.vocabulary, n_ctx=options.context
            )
        )
    serving = Serving(n_tokens=options.serving_tokens) if options.lifetime else None
    if money:
        return Money(cluster=cluster, serving=serving, train=train)
    return Lifetime(serving, train=train) if serving else train


def limits_of(options: Arguments, cluster: "Cluster | None") -> "Limits":
    """Return the limits that options describe."""
    from bayescale.costs.limits import Limits

    return Limits(
        max_params=options.max_params,
        min_params=options.min_params,
        max_tokens=options.max_tokens,
        max_steps=options.max_steps,
        batch_tokens=options.batch_tokens,
        max_days=options.max_days,
        cluster=cluster,
    )


def fixed_of(options: Arguments) -> dict[str, str]:
    """Return the fixed inputs of the law."""
    return read_mapping(options.fixed, "--fixed", "NAME=AMOUNT")


def _decide(options: Arguments) -> None:
    from bayescale.decision.decide import decide
    from bayescale.errors import UnsuitableLawError
    from bayescale.laws.published import EmpiricalFrontier

    source = fit_or_constants(options)
    if isinstance(source, EmpiricalFrontier):
        raise UnsuitableLawError(
            f"{source.name} is a frontier that a paper gives, not a law to decide by."
        )
    cluster = cluster_of(options)
    made = decide(
        source,
        compute=options.compute or options.money,
        plans=plans_of(options),
        cost=cost_of(options, cluster, money=options.money is not None),
        serving=options.serving_tokens,
        cluster=cluster,
        limits=limits_of(options, cluster),
        fixed=fixed_of(options),
        quantile=options.quantile,
        prob=options.prob,
        seed=options.seed,
    )
    if options.json:
        diagnostics = getattr(source, "diagnostics", None)
        print_json(
            {
                "passed": diagnostics.ok if diagnostics else None,
                "headline": made.headline,
                "caveats": list(made.caveats),
                "sentences": list(made.sentences),
                "budget": made.budget,
                "unit": made.cost.unit,
                "cost": made.cost.name,
                "plans": table_records(made.table()),
                "bands": table_records(made.bands),
                "evpi": made.evpi.to_dict(),
            }
        )
        return
    # Plans side by side: there are fewer of them than of what is said of each.
    table = made.text_table().T
    table.index.name = "plan"
    _print_answer(made, table)


def _next(options: Arguments) -> None:
    from bayescale.experiment_design.next_runs import next_runs

    fit, cluster = saved_fit(options), cluster_of(options)
    found = next_runs(
        fit,
        target=options.target or _pair(options.target_plan, "--target-plan"),
        budget=options.budget,
        candidates=_candidates(options),
        objective=options.objective,
        n_runs=options.runs,
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
                "passed": fit.diagnostics.ok,
                "headline": found.headline,
                "sentences": list(found.sentences),
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
    _print_answer(found, found.text_table())


def _print_answer(answer: Any, table: "pd.DataFrame") -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the headline says it
        print(answer.headline)
        for sentence in (*getattr(answer, "caveats", ()), *answer.sentences):
            print(f"- {sentence}")
        print(table_text(table))


def plans_of(options: Arguments) -> dict[str, tuple[str, str]]:
    """Return the plans to compare: ``7B,2T``, which is its own name, or ``NAME=7B,2T``."""
    found: dict[str, tuple[str, str]] = {}
    for entry in options.plan:
        name, separator, rest = entry.rpartition("=")
        size, tokens = _pair(rest, "--plan")
        name = name.strip() if separator else f"{size} on {tokens}"
        if found.setdefault(name, (size, tokens)) != (size, tokens):
            raise ValueError(f"--plan: found {name} twice, as plans that differ; name them apart.")
    return found


def _pair(text: str, option: str) -> tuple[str, str]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(parts):
        raise ValueError(f"{option}: found {text!r}, expected size and tokens such as 7B,2T.")
    return parts[0], parts[1]


def _candidates(options: Arguments) -> object:
    if options.candidates is None:
        return [_pair(text, "--candidate") for text in options.candidate] or None
    if options.candidate:
        raise ValueError("--candidates: give a file, or --candidate one by one, not both.")
    import pandas as pd

    # As text, so that amounts such as 70B are read as everywhere.
    return pd.read_csv(options.candidates, dtype=str)
