"""Groups of options that several commands share, and what they say."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bayescale._outputs import FIGURE, RESULTS
from bayescale.cli.files import Reads, Writes
from bayescale.cli.numbers import real_number, seed_number, whole_number
from bayescale.errors import quoted

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from bayescale.costs import Cluster, Cost
    from bayescale.costs.limits import Limits
    from bayescale.data.runs import Runs
    from bayescale.laws.published import Constants, EmpiricalFrontier
    from bayescale.model.card import Model
    from bayescale.posterior.fit import Fit

type Arguments = argparse.Namespace


def read_pairs(entries: Sequence[str], option: str, form: str) -> Iterator[tuple[str, str]]:
    """Split ``NAME=VALUE`` entries of an option."""
    for entry in entries:
        name, _, value = entry.partition("=")
        if not name or not value:
            raise ValueError(f"{option}: found {entry!r}, expected {form}.")
        yield name.strip(), value.strip()


def read_mapping(entries: Sequence[str], option: str, form: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` entries of an option that says one thing of each name."""
    found: dict[str, str] = {}
    for name, value in read_pairs(entries, option, form):
        if found.setdefault(name, value) != value:
            raise ValueError(f"{option}: found {name} twice, as {found[name]} and as {value}.")
    return found


def add_runs(parser: argparse.ArgumentParser, name: str = "runs", *, outliers: bool = True) -> None:
    """Add the argument, or the option, of a table of runs, and the options of reading it."""
    about = "dataset id, folder, or csv, tsv, parquet, jsonl or json file"
    if name.startswith("-"):
        parser.add_argument(name, dest="runs", type=Reads(), metavar="RUNS", help=about)
    else:
        parser.add_argument(name, type=Reads(), help=about)
    add_reading(parser, outliers=outliers)


def add_reading(parser: argparse.ArgumentParser, *, outliers: bool = True) -> None:
    """Add the options of reading a table of runs; of flagged rows unless `outliers` is false."""
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME=COLUMN",
        help="which column holds what, such as n_params=size; may be repeated",
    )
    parser.add_argument(
        "--unit",
        action="append",
        default=[],
        metavar="NAME=UNIT",
        help="unit a column is in, such as n_params=M, compute=EFLOP, loss=bits/byte; may be "
        "repeated",
    )
    if outliers:
        parser.add_argument("--keep-outliers", action="store_true", help="keep flagged rows")
    parser.add_argument(
        "--vocabulary-size", type=whole_number, help="refuse losses above its logarithm"
    )


def runs_of(options: Arguments) -> "Runs":
    """Return the runs of size and tokens that were named."""
    from bayescale.data.load import load_runs

    return load_runs(options.runs, **_reading(options))


def runs_for_models(options: Arguments, *models: "Model") -> "Runs":
    """Return the runs that were named, with the columns that models need."""
    from bayescale.model.inputs import runs_for

    return runs_for(options.runs, models, **_reading(options))


def _reading(options: Arguments) -> dict[str, Any]:
    """Return what `add_reading` asks, as `load_runs` takes it."""
    return {
        "columns": read_mapping(options.column, "--column", "NAME=COLUMN"),
        "units": read_mapping(options.unit, "--unit", "NAME=UNIT"),
        "keep_outliers": options.keep_outliers,
        "vocabulary_size": options.vocabulary_size,
    }


def add_fit(
    parser: argparse.ArgumentParser, *, constants: bool = False, levels: bool = True
) -> None:
    """Add the argument of a saved fit, and the options of the levels that it is asked of."""
    parser.add_argument(
        "fit",
        type=Reads(),
        help="saved fit" + (", or the name of published constants" if constants else ""),
    )
    if not levels:
        parser.set_defaults(group=[], new_level=[])
        return
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="COLUMN=LEVEL",
        help="of a model that pools over families or the like: which one, such as family=c4",
    )
    parser.add_argument(
        "--new-level",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a level of the column that was not fitted, such as family; so it is unless one is "
        "named by --group",
    )


def saved_fit(options: argparse.Namespace) -> "Fit":
    """Return the saved fit that was named, asked of the groups that were named."""
    from bayescale.data.levels import NEW
    from bayescale.inference.load import load_fit
    from bayescale.laws.published import PUBLISHED

    if options.fit in PUBLISHED:
        raise ValueError(
            f"{options.fit}: found published constants, which are single numbers without draws; "
            f"{options.verb} needs a saved fit."
        )
    fit = load_fit(options.fit)
    groups: dict[str, Any] = read_mapping(options.group, "--group", "COLUMN=LEVEL")
    for column in options.new_level:
        if column in groups:
            raise ValueError(f"--new-level: found {column}, of which --group names a level.")
        groups[column] = NEW
    return fit.sel(**groups)


def fit_or_constants(options: argparse.Namespace) -> "Fit | Constants | EmpiricalFrontier":
    """Return the published constants that were named, or else the saved fit."""
    from bayescale.laws.published import PUBLISHED

    if options.fit in PUBLISHED:
        return PUBLISHED[options.fit]
    return saved_fit(options)


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add the option of inputs beside size and tokens."""
    parser.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="NAME=AMOUNT",
        help="input of a law that is not of size and tokens, such as compute=1e22; may be repeated",
    )


def inputs_of(options: Arguments) -> dict[str, list[str]]:
    """Return the amounts of each input that was named."""
    found: dict[str, list[str]] = {}
    for name, amount in read_pairs(options.at, "--at", "NAME=AMOUNT"):
        found.setdefault(name, []).append(amount)
    return found


def add_budgets(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the option of budgets, and that of intervals."""
    parser.add_argument(
        "--compute",
        action="append",
        required=required,
        metavar="FLOP",
        help="budget, such as 5.76e23 or '100 PF-days'; may be repeated",
    )
    add_prob(parser)


def add_prob(parser: argparse.ArgumentParser) -> None:
    """Add the option of the probability inside intervals."""
    parser.add_argument(
        "--prob", type=probability, default=0.9, help="probability inside intervals (0.9)"
    )


def probability(text: str) -> float:
    """Return a probability between 0 and 1."""
    from bayescale.posterior.summary import tail_quantiles

    try:
        tail_quantiles(float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"found {quoted(text)}, expected a probability between 0 and 1"
        ) from None
    return float(text)


def add_plans(parser: argparse.ArgumentParser) -> None:
    """Add the option of plans to compare."""
    parser.add_argument(
        "--plan",
        action="append",
        default=[],
        metavar="N,D",
        help="plan to compare, such as 7B,2T or 'small=7B,2T'; may be repeated",
    )


def plans_of(options: Arguments) -> dict[str, tuple[str, str]]:
    """Return the plans to compare: ``7B,2T``, which is its own name, or ``NAME=7B,2T``."""
    found: dict[str, tuple[str, str]] = {}
    for entry in options.plan:
        name, separator, rest = entry.rpartition("=")
        size, tokens = size_and_tokens(rest, "--plan")
        name = name.strip() if separator else f"{size} on {tokens}"
        if found.setdefault(name, (size, tokens)) != (size, tokens):
            raise ValueError(f"--plan: found {name} twice, as plans that differ; name them apart.")
    return found


def size_and_tokens(text: str, option: str) -> tuple[str, str]:
    """Return size and tokens, given as ``7B,2T``."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(parts):
        raise ValueError(f"{option}: found {text!r}, expected size and tokens such as 7B,2T.")
    return parts[0], parts[1]


def add_cost_options(parser: argparse.ArgumentParser, *, hardware: bool = True) -> None:
    """Add the options on what plans cost, what bounds them, and on what hardware they run."""
    cost = parser.add_argument_group("costs and limits")
    cost.add_argument("--serving-tokens", metavar="TOKENS", help="tokens to be served, such as 5T")
    cost.add_argument(
        "--lifetime", action="store_true", help="the budget pays for serving as well as training"
    )
    if hardware:
        _add_hardware(cost)
    else:
        parser.set_defaults(gpus=None, gpu=None, utilisation=None, price=None, max_days=None)
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


def _add_hardware(cost: argparse._ArgumentGroup) -> None:
    cost.add_argument("--gpus", metavar="COUNT", help="GPUs of the cluster")
    cost.add_argument("--gpu", metavar="PEAK", help="peak of one: H100-SXM, or '989 TFLOP/s'")
    cost.add_argument("--utilisation", type=real_number, help="share of the peak that runs reach")
    cost.add_argument("--price", metavar="AMOUNT", help="price of a GPU-hour, such as '$2'")
    cost.add_argument("--max-days", metavar="AMOUNT", help="most days of training, on the cluster")


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


def add_refits(parser: argparse.ArgumentParser) -> None:
    """Add the options of many refits."""
    parser.add_argument(
        "--seed", type=seed_number, default=0, help="makes the fits reproducible (0)"
    )
    parser.add_argument("--draws", type=whole_number, default=500, help="kept draws a chain (500)")
    parser.add_argument(
        "--store", type=Writes(RESULTS), help="file of finished fits, to go on from"
    )
    parser.add_argument("--workers", type=whole_number, default=1, help="fits at the same time (1)")


def add_figure(parser: argparse.ArgumentParser) -> None:
    """Add the option of a figure."""
    parser.add_argument("--figure", type=Writes(FIGURE), help="file to draw in, such as figure.png")


@contextmanager
def pool_of_workers(workers: int) -> "Iterator[Executor | None]":
    """Yield a pool of processes, or None for one worker, which is this process."""
    if workers < 1:
        raise ValueError(f"--workers: found {workers}, expected at least 1.")
    if workers == 1:
        yield None
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Threads of the sampler do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as executor:
        yield executor
