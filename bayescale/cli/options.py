"""Options that several commands share, and the objects that they describe."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescale._outputs import FIGURE, RESULTS
from bayescale.cli.files import Reads, Writes
from bayescale.cli.numbers import real_number, seed_number, whole_number
from bayescale.cli.rules import MONEY
from bayescale.errors import did_you_mean, quoted
from bayescale.units import CURRENCIES

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from bayescale.costs import Cluster, Cost
    from bayescale.costs.limits import Limits
    from bayescale.data.runs import Runs
    from bayescale.laws.hyperparameters import HyperparameterRule
    from bayescale.laws.published import Constants, EmpiricalFrontier
    from bayescale.model.card import Model
    from bayescale.model.priors import LogNormal
    from bayescale.posterior.fit import Fit
    from bayescale.posterior.protocol import Posterior
    from bayescale.validation.backtest import Backtest

type Arguments = argparse.Namespace

_VARIABLE = "x"
"""The input of a law of one variable, which is a column of any name."""


def read_pairs(entries: Sequence[str], option: str, form: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values of ``NAME=VALUE`` entries of an option."""
    for entry in entries:
        name, _, value = entry.partition("=")
        if not name or not value:
            raise ValueError(f"{option}: found {entry!r}, expected {form}.")
        yield name.strip(), value.strip()


def read_mapping(entries: Sequence[str], option: str, form: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` entries of an option that takes one value for each name."""
    found: dict[str, str] = {}
    for name, value in read_pairs(entries, option, form):
        if found.setdefault(name, value) != value:
            raise ValueError(f"{option}: found {name} twice, as {found[name]} and as {value}.")
    return found


def add_runs(parser: argparse.ArgumentParser, name: str = "runs", *, outliers: bool = True) -> None:
    """Add the argument or option for a table of runs, and the options for reading it."""
    about = (
        "dataset id, folder, csv, tsv, xlsx, parquet, jsonl or json file, or logs of runs: their "
        "folder, wandb:ENTITY/PROJECT or mlflow:URI"
    )
    if name.startswith("-"):
        parser.add_argument(name, dest="runs", type=Reads(), metavar="RUNS", help=about)
    else:
        parser.add_argument(name, type=Reads(), help=about)
    add_reading(parser, outliers=outliers)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the option for a model card."""
    parser.add_argument(
        "--model",
        type=Reads(),
        metavar="CARD",
        help="id or path of a model card (the default card; `bayescale models` lists them)",
    )


def model_of(options: Arguments) -> "Model":
    """Load the given card, or the default card; ``--column x=NAME`` names its one variable."""
    from bayescale.model.card import load_model

    return of_variable(load_model(options.model) if options.model else load_model(), options)


def of_variable(model: "Model", options: Arguments) -> "Model":
    """Return a model of one variable with the column that ``--column x=NAME`` gives."""
    column = read_mapping(options.column, "--column", "NAME=COLUMN").get(_VARIABLE)
    if column is None:
        return model
    if _VARIABLE not in model.law.inputs:
        raise ValueError(
            f"--column: found x={column}, which is for laws of one variable; the law "
            f"{model.law.name} is of {', '.join(model.law.inputs)}."
        )
    return replace(model, inputs={**model.inputs, _VARIABLE: column})


def add_reading(
    parser: argparse.ArgumentParser, *, outliers: bool = True, where: bool = True
) -> None:
    """Add the options for reading a table of runs; for outliers and conditions unless false."""
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME=COLUMN",
        help="column of the table that holds a quantity, such as n_params=size; of a law of one "
        "variable x=NAME is its column; repeatable",
    )
    parser.add_argument(
        "--unit",
        action="append",
        default=[],
        metavar="NAME=UNIT",
        help="unit of a quantity, such as n_params=M, compute=EFLOP or loss=bits/byte; repeatable",
    )
    if outliers:
        parser.add_argument(
            "--keep-outliers", action="store_true", help="keep rows flagged as outliers"
        )
    if where:
        parser.add_argument(
            "--where",
            metavar="CONDITION",
            help="runs to use, such as \"family == 'c4'\" or 'n_params > 1e9'",
        )
    parser.add_argument(
        "--vocabulary-size",
        type=whole_number,
        help="size of the vocabulary; losses above its logarithm are refused",
    )


def runs_of(options: Arguments) -> "Runs":
    """Load the given runs, with sizes and tokens."""
    from bayescale.data.load import load_runs

    return selected(load_runs(options.runs, **reading_of(options)), options)


def runs_for_models(options: Arguments, *models: "Model") -> "Runs":
    """Load the given runs, with the columns that models need."""
    from bayescale.model.inputs import runs_for

    return selected(runs_for(options.runs, models, **reading_of(options)), options)


def runs_for_posterior(options: Arguments, source: "Posterior") -> "Runs":
    """Load the given runs, with the columns that a fit or published constants predict from."""
    from bayescale.data.load import load_runs
    from bayescale.posterior.fit import Fit

    if isinstance(source, Fit):
        return runs_for_models(options, source.model)
    asked: dict[str, Any] = {
        "needs": tuple(source.columns.values()),
        "response": source.response,
        **reading_of(options),
    }
    return selected(load_runs(options.runs, **asked), options)


def selected(runs: "Runs", options: Arguments) -> "Runs":
    """Return the runs that meet the given condition; all of them unless one is given."""
    return runs.where(options.where) if options.where else runs


def reading_of(options: Arguments) -> dict[str, Any]:
    """Return the options of `add_reading` as keyword arguments of `load_runs`."""
    columns = read_mapping(options.column, "--column", "NAME=COLUMN")
    variable = columns.pop(_VARIABLE, None)
    units = read_mapping(options.unit, "--unit", "NAME=UNIT")
    if variable is not None and _VARIABLE in units:
        units[variable] = units.pop(_VARIABLE)
    return {
        "columns": columns,
        "units": units,
        "keep_outliers": options.keep_outliers,
        "vocabulary_size": options.vocabulary_size,
    }


def add_fit(
    parser: argparse.ArgumentParser, *, constants: bool = False, levels: bool = True
) -> None:
    """Add the argument for a saved fit, and the options for levels of its grouping columns."""
    parser.add_argument(
        "fit",
        type=Reads(),
        help="saved fit" + (", or the name of published constants" if constants else ""),
    )
    if not levels:
        parser.set_defaults(group=[], new_level=[])
        return
    add_levels(parser)


def add_levels(parser: argparse.ArgumentParser) -> None:
    """Add the options for levels of the grouping columns of a saved fit."""
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="COLUMN=LEVEL",
        help="level to predict for, such as family=c4, if the model pools over a column; "
        "repeatable",
    )
    parser.add_argument(
        "--new-level",
        action="append",
        default=[],
        metavar="COLUMN",
        help="predict for a new level of the column, such as family: one that was not fitted (the "
        "default without --group); repeatable",
    )


def saved_fit(options: argparse.Namespace) -> "Fit":
    """Load the given fit, for the given levels."""
    return fit_at(options, options.fit)


def fit_at(options: argparse.Namespace, path: str) -> "Fit":
    """Load the fit of a file, for the given levels."""
    from bayescale.data.levels import NEW
    from bayescale.inference.load import load_fit
    from bayescale.laws.published import PUBLISHED

    if path in PUBLISHED:
        raise ValueError(
            f"{path}: found published constants, which have no posterior draws; "
            f"{options.verb} needs a saved fit."
        )
    fit = load_fit(path)
    groups: dict[str, Any] = read_mapping(options.group, "--group", "COLUMN=LEVEL")
    for column in options.new_level:
        if column in groups:
            raise ValueError(
                f"--new-level: found {column}, for which --group gives a level; give one of them."
            )
        groups[column] = NEW
    return fit.sel(**groups)


def fit_or_constants(options: argparse.Namespace) -> "Fit | Constants | EmpiricalFrontier":
    """Return published constants if they are given by name, otherwise the saved fit."""
    return _constants(options.fit) or saved_fit(options)


def named_fit_or_constants(name: str) -> "Fit | Constants | EmpiricalFrontier":
    """Return published constants, or the saved fit of a file, at no level of its groupings."""
    from bayescale.inference.load import load_fit

    return _constants(name) or load_fit(name)


def _constants(name: str) -> "Constants | EmpiricalFrontier | None":
    """Return published constants of a name; None for a file."""
    from bayescale.laws.published import PUBLISHED

    if name not in PUBLISHED and not Path(name).suffix and not Path(name).exists():
        raise FileNotFoundError(
            f"{name}: found neither a file nor published constants of that name; expected a "
            f"saved fit, or one of {', '.join(PUBLISHED)}.{did_you_mean(name, PUBLISHED)}"
        )
    return PUBLISHED.get(name)


def add_at(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the option for values of inputs of the law."""
    parser.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="NAME=AMOUNT",
        help="value of an input of the law, such as n_unique_tokens=100B or steps=10k; repeatable",
    )


def inputs_of(options: Arguments) -> dict[str, list[str]]:
    """Return the amounts of each input: where to predict."""
    found: dict[str, list[str]] = {}
    for name, amount in read_pairs(options.at, "--at", "NAME=AMOUNT"):
        found.setdefault(name, []).append(amount)
    return found


def add_budgets(parser: argparse.ArgumentParser, *, required: bool, money: bool = False) -> None:
    """Add the options for budgets, of compute or also of money, and for the probability."""
    parser.add_argument(
        "--budget",
        action="append",
        required=required,
        metavar="AMOUNT",
        help=f"budget, such as 5.76e23{', $2M' if money else ''} or '100 PF-days'; repeatable",
    )
    add_prob(parser)


def in_money(options: Arguments) -> bool:
    """Return whether budgets are amounts of money, such as ``$2M``, and check what they need."""
    budgets = [options.budget] if isinstance(options.budget, str) else options.budget or []
    money = {any(sign in text for sign in CURRENCIES) for text in budgets}
    if len(money) > 1:
        raise ValueError(f"--budget: found {', '.join(budgets)}, expected all of one unit.")
    if True in money:
        MONEY.check(options)
        return True
    return False


def add_prob(parser: argparse.ArgumentParser) -> None:
    """Add the option for the probability of intervals."""
    parser.add_argument(
        "--prob", type=probability, default=0.9, help="probability of intervals (0.9)"
    )


def floor_value(text: str) -> "LogNormal":
    """Return the prior on a floor given as ``1.7``, which is taken as known, or ``1.7 +- 0.1``."""
    from bayescale.errors import CardError
    from bayescale.model.floor import assumed_floor

    middle, separator, spread = text.replace("+/-", "+-").replace("±", "+-").partition("+-")
    try:
        sd = float(spread) if separator else None
        return assumed_floor(float(middle), sd, why=f"assumed: {text.strip()}")
    except (ValueError, CardError):
        raise argparse.ArgumentTypeError(
            f"found {quoted(text)}, expected a positive floor such as 1.7 or '1.7 +- 0.1'"
        ) from None


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
        parser.set_defaults(**dict.fromkeys(_OF_HARDWARE))
    cost.add_argument(
        "--vocabulary",
        type=whole_number,
        metavar="TOKENS",
        help="count FLOP from transformer shapes with this vocabulary size, not as 6ND",
    )
    cost.add_argument(
        "--context",
        type=whole_number,
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
        word = "smallest" if name.startswith("--min") else "largest"
        cost.add_argument(name, metavar="AMOUNT", help=f"{word} {what}")
    cost.add_argument("--batch-tokens", metavar="TOKENS", help="tokens per step")
    add_at(cost)


_OF_HARDWARE = (
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
        metavar="CSV",
        help="count time from tokens_per_second (and n_gpus) by n_params in a file, not as 6ND",
    )
    cost.add_argument(
        "--recorded-costs",
        type=Reads(),
        metavar="CSV",
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

    train: Cost = _measured(options, cluster) or six_nd
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


def _measured(options: Arguments, cluster: "Cluster | None") -> "Cost | None":
    """Return the cost that a file of throughputs or of recorded costs determines, if given."""
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
            f"{given[0]}: found {given[1]} too, which counts costs another way; give one."
        )
    if options.throughput is None and options.recorded_costs is None:
        return None
    import pandas as pd

    from bayescale.costs import MeasuredThroughput, fit_cost_law

    # As text, so that amounts such as 70B are parsed like all others.
    table = pd.read_csv(options.throughput or options.recorded_costs, dtype=str)
    if options.recorded_costs is not None:
        return fit_cost_law(table, cluster=cluster)
    assert cluster is not None, "a rule asks for it"
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


def fixed_of(options: Arguments) -> dict[str, str]:
    """Return the one value of each input that is held fixed while a budget is split."""
    return read_mapping(options.at, "--at", "NAME=AMOUNT")


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
    hyperparameters(found, n_params=1e9, n_tokens=1e9)  # refuses a law without them
    return found


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add the option for the seed."""
    parser.add_argument(
        "--seed", type=seed_number, default=0, help="seed of all random numbers (0)"
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the option for parallel processes; `pool_of_workers` starts them."""
    parser.add_argument(
        "--workers", type=whole_number, default=1, help="number of parallel processes (1)"
    )


def add_backtest(parser: argparse.ArgumentParser) -> None:
    """Add the option to predict larger budgets from smaller ones."""
    parser.add_argument(
        "--backtest",
        action="store_true",
        help="also predict each budget of the runs from the smaller ones, and say how many "
        "intervals held; one fit for each",
    )


def backtest_of(
    options: Arguments, runs: "Runs", model: "Model", *, prob: float = 0.9, seed: int = 0
) -> "Backtest | None":
    """Return the backtest that the options ask for."""
    if not options.backtest:
        return None
    from bayescale.validation.backtest import backtest

    return backtest(
        runs,
        model,
        prob=prob,
        seed=seed,
        progress=not (options.quiet or options.json),
    )


def add_refits(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that refit many times."""
    add_seed(parser)
    parser.add_argument(
        "--draws", type=whole_number, default=500, help="posterior draws per chain (500)"
    )
    parser.add_argument(
        "--store",
        type=Writes(RESULTS),
        help="file that keeps finished fits, so that an interrupted command can continue",
    )
    add_workers(parser)


def add_figure(parser: argparse.ArgumentParser) -> None:
    """Add the option for a figure."""
    parser.add_argument(
        "--figure", type=Writes(FIGURE), help="file for the figure, such as figure.png"
    )


@contextmanager
def pool_of_workers(workers: int) -> "Iterator[Executor | None]":
    """Yield a pool of processes; None for one worker, which needs no other process."""
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
