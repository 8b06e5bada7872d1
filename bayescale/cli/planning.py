"""Options of plans: budgets, costs, limits, hardware and hyperparameters."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bayescale.cli.files import Reads
from bayescale.cli.numbers import positive_integer, real_number
from bayescale.cli.options import add_at, add_prob
from bayescale.cli.rules import MONEY
from bayescale.units import CURRENCIES

if TYPE_CHECKING:
    from bayescale.costs import Cluster, Cost
    from bayescale.costs.limits import Limits
    from bayescale.laws.hyperparameters import HyperparameterRule
    from bayescale.posterior.fit import Fit

type Arguments = argparse.Namespace


def add_budgets(parser: argparse.ArgumentParser, *, required: bool, money: bool = False) -> None:
    """Add the options for budgets of compute, or also of money, and for the probability."""
    parser.add_argument(
        "--budget",
        action="append",
        required=required,
        metavar="AMOUNT",
        help=f"budget, such as 5.76e23{', $2M' if money else ''} or '100 PF-days'; repeatable",
    )
    add_prob(parser)


def in_money(options: Arguments) -> bool:
    """Return whether budgets are in money, such as ``$2M``; if so, check that there is a price."""
    budgets = [options.budget] if isinstance(options.budget, str) else options.budget or []
    has_sign = {any(sign in text for sign in CURRENCIES) for text in budgets}
    if len(has_sign) > 1:
        raise ValueError(f"--budget: found {', '.join(budgets)}, expected all of one unit.")
    if True in has_sign:
        MONEY.check(options)
        return True
    return False


def add_plans(parser: argparse.ArgumentParser) -> None:
    """Add the option for plans to compare."""
    parser.add_argument(
        "--plan",
        action="append",
        default=[],
        metavar="N,D",
        help="plan to compare, such as 7B,2T or 'small=7B,2T'; repeatable",
    )


def plans_of(options: Arguments) -> dict[str, tuple[str, str]]:
    """Return the plans to compare, each given as ``7B,2T`` or ``NAME=7B,2T``."""
    found: dict[str, tuple[str, str]] = {}
    for entry in options.plan:
        name, separator, rest = entry.rpartition("=")
        size, tokens = size_and_tokens(rest, "--plan")
        name = name.strip() if separator else f"{size} on {tokens}"
        if found.setdefault(name, (size, tokens)) != (size, tokens):
            raise ValueError(
                f"--plan: found {name} twice, for different plans. Give each plan its own name."
            )
    return found


def size_and_tokens(text: str, option: str) -> tuple[str, str]:
    """Return size and tokens, given as ``7B,2T``."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(parts):
        raise ValueError(f"{option}: found {text!r}, expected size and tokens such as 7B,2T.")
    return parts[0], parts[1]


def add_cost_options(parser: argparse.ArgumentParser, *, hardware: bool = True) -> None:
    """Add the options for costs, limits and hardware."""
    cost = parser.add_argument_group("costs and limits")
    cost.add_argument(
        "--serving-tokens", metavar="TOKENS", help="tokens served over the lifetime, such as 5T"
    )
    cost.add_argument(
        "--lifetime", action="store_true", help="the budget pays for serving as well as training"
    )
    if hardware:
        _add_hardware(cost)
    else:
        parser.set_defaults(**dict.fromkeys(_HARDWARE))
    cost.add_argument(
        "--vocabulary",
        type=positive_integer,
        metavar="TOKENS",
        help="count FLOP from transformer shapes with this vocabulary size, not as 6ND",
    )
    cost.add_argument(
        "--context",
        type=positive_integer,
        default=2048,
        metavar="TOKENS",
        help="context length of the shapes (2048)",
    )
    cost.add_argument(
        "--aspect",
        type=real_number,
        default=128,
        help="ratio of width to depth of the shapes (128)",
    )
    for name, what in (
        ("--max-params", "number of parameters"),
        ("--min-params", "number of parameters"),
        ("--max-tokens", "number of training tokens"),
        ("--max-steps", "number of steps; needs --batch-tokens"),
    ):
        extreme = "smallest" if name.startswith("--min") else "largest"
        cost.add_argument(name, metavar="AMOUNT", help=f"{extreme} {what}")
    cost.add_argument("--batch-tokens", metavar="TOKENS", help="tokens per step")
    add_at(cost)


_HARDWARE = (
    *("gpus", "gpu", "utilisation", "price", "max_days", "overhead", "speed", "deadline", "start"),
    *("throughput", "recorded_costs"),
)
"""Options of `_add_hardware`, by their names in the namespace."""


def _add_hardware(cost: argparse._ArgumentGroup) -> None:
    cost.add_argument("--gpus", metavar="COUNT", help="number of GPUs in the cluster")
    cost.add_argument(
        "--gpu", metavar="PEAK", help="peak rate of one GPU: H100-SXM, or '989 TFLOP/s'"
    )
    cost.add_argument("--utilisation", type=real_number, help="share of the peak rate, such as 0.4")
    cost.add_argument("--price", metavar="AMOUNT", help="price of a GPU-hour, such as '$2'")
    cost.add_argument(
        "--max-days", metavar="AMOUNT", help="longest duration of training on the cluster"
    )
    cost.add_argument(
        "--deadline", metavar="DATE", help="date by which training is finished, such as 2027-03-01"
    )
    cost.add_argument("--start", metavar="DATE", help="date on which training starts (today)")
    cost.add_argument(
        "--overhead",
        metavar="SHARE",
        help="time lost to failures and restarts, such as '8 %%' or '5-12 %%' of that of training",
    )
    cost.add_argument(
        "--speed",
        type=real_number,
        metavar="FACTOR",
        help="throughput of the precision of training relative to that of --gpu, such as 1.4",
    )
    cost.add_argument(
        "--throughput",
        type=Reads(),
        metavar="FILE",
        help="count time from tokens_per_second (and n_gpus) by n_params in a file, not as 6ND",
    )
    cost.add_argument(
        "--recorded-costs",
        type=Reads(),
        metavar="FILE",
        help="count FLOP by a law fitted to compute or gpu_hours of recorded runs, not as 6ND",
    )


def cluster_of(options: Arguments) -> "Cluster | None":
    """Return the cluster that options describe; None without --gpus."""
    from bayescale.costs import Cluster

    if options.gpus is None:
        return None
    return Cluster(
        n_gpus=options.gpus,
        peak=options.gpu,
        utilisation=options.utilisation,
        price=options.price,
        overhead=options.overhead or 0.0,
        speed=1.0 if options.speed is None else options.speed,
    )


def cost_of(options: Arguments, cluster: "Cluster | None", *, money: bool = False) -> "Cost":
    """Return the cost that options describe."""
    from bayescale.costs import Lifetime, Money, Serving, ShapedCost, ShapeFamily, six_nd

    train: Cost = _cost_of_file(options, cluster) or six_nd
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


def _cost_of_file(options: Arguments, cluster: "Cluster | None") -> "Cost | None":
    """Return the cost of a given file of throughputs or of recorded costs; None without one."""
    given = [
        name
        for name, value in (
            ("--throughput", options.throughput),
            ("--recorded-costs", options.recorded_costs),
            ("--vocabulary", options.vocabulary),
        )
        if value is not None
    ]
    if len(given) > 1:
        raise ValueError(
            f"{given[0]}: found {given[1]} too, which counts costs differently; give one of them."
        )
    if options.throughput is None and options.recorded_costs is None:
        return None
    from bayescale.costs import MeasuredThroughput, fit_cost_law
    from bayescale.data.amount_tables import read_amounts

    table = read_amounts(options.throughput or options.recorded_costs)
    if options.recorded_costs is not None:
        return fit_cost_law(table, cluster=cluster)
    assert cluster is not None, "a rule of options requires it"
    return MeasuredThroughput.of_table(table, cluster)


def limits_of(options: Arguments, cluster: "Cluster | None") -> "Limits":
    """Return the limits that options describe."""
    from datetime import date

    from bayescale.costs.limits import Limits

    start = options.start or (date.today() if options.deadline else None)
    return Limits(
        max_params=options.max_params,
        min_params=options.min_params,
        max_tokens=options.max_tokens,
        max_steps=options.max_steps,
        batch_tokens=options.batch_tokens,
        max_days=options.max_days,
        cluster=cluster,
        deadline=options.deadline,
        start=start,
    )


def add_hyperparameters(parser: argparse.ArgumentParser) -> None:
    """Add the option for the rule of learning rate and batch size."""
    parser.add_argument(
        "--hyperparameters",
        type=Reads(),
        metavar="RULE",
        help="print the best learning rate and batch size too: by a published rule such as "
        "steplaw2025 (`bayescale published` lists them), or a saved fit of learning-rate-batch",
    )


def rule_or_fit(name: str | None) -> "HyperparameterRule | Fit | None":
    """Return the published rule or the saved fit of that name, if one is given."""
    if name is None:
        return None
    from bayescale.allocation.hyperparameters import hyperparameters
    from bayescale.inference.load import load_fit
    from bayescale.laws.hyperparameters import hyperparameter_rule

    if not Path(name).is_file():
        return hyperparameter_rule(name)
    found = load_fit(name)
    hyperparameters(found, n_params=1e9, n_tokens=1e9)  # raises for other laws
    return found
