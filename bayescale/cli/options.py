"""Options that several commands share, and the objects that they describe."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescale._outputs import FIGURE
from bayescale.cli.files import Reads, Writes
from bayescale.cli.numbers import positive_integer, seed_number
from bayescale.errors import did_you_mean, quoted

if TYPE_CHECKING:
    from bayescale.data.runs import Runs
    from bayescale.laws.constants import Constants, EmpiricalFrontier
    from bayescale.model.card import Model
    from bayescale.model.inputs import Predictor
    from bayescale.model.priors import LogNormal
    from bayescale.posterior.fit import Fit

type Arguments = argparse.Namespace

_VARIABLE = "x"
"""Name of the input of a law of one variable; its column may have any name."""


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


def add_model(parser: argparse.ArgumentParser, *, pool: bool = True) -> None:
    """Add the option for a model card, and the one for pooling over columns unless false."""
    parser.add_argument(
        "--model",
        type=Reads(),
        metavar="CARD",
        help="id or path of a model card (the default card; `bayescale models` lists them)",
    )
    if pool:
        parser.add_argument(
            "--pool",
            action="append",
            default=[],
            metavar="COLUMN[=PART,...]",
            help="column of families, optimizers or corpora between whose levels the law differs, "
            "by partial pooling: in all its parameters, or in parts of it, such as optimizer=E for "
            "the floor alone; repeatable",
        )


def model_of(options: Arguments) -> "Model":
    """Load the given card, or the default card, with the given pooling and variable."""
    from bayescale.model.card import load_model

    model = of_variable(load_model(options.model) if options.model else load_model(), options)
    for entry in options.pool:
        column, equals, parts = entry.rpartition("=") if "=" in entry else (entry, "", "")
        pooled = [part.strip() for part in parts.split(",") if part.strip()]
        if not column or bool(equals) != bool(pooled):
            raise ValueError(
                f"--pool: found {entry!r}, expected a column such as family, or family=E,A for "
                "parts of the law."
            )
        model = model.pool(column, pooled or None)
    return model


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
        help="column of the table that contains a quantity, such as n_params=size; x=NAME for the "
        "variable of a law of one variable; repeatable",
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
        type=positive_integer,
        help="size of the vocabulary; losses above its logarithm are refused",
    )


def runs_of(options: Arguments) -> "Runs":
    """Load the given runs, with sizes and tokens."""
    from bayescale.data.load import load_runs

    return selected(load_runs(options.runs, **reading_of(options)), options)


def runs_for_models(options: Arguments, *models: "Predictor") -> "Runs":
    """Load the given runs, with the columns that models, or fits and constants, need."""
    from bayescale.model.inputs import runs_for

    return selected(runs_for(options.runs, models, **reading_of(options)), options)


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


def by_file_name[T](
    options: argparse.Namespace, paths: Sequence[str], load: Callable[[str], T]
) -> dict[str, T]:
    """Load each file, by its name without the suffix."""
    names = [Path(path).stem for path in paths]
    if len(set(names)) < len(names):
        raise ValueError(
            f"{options.verb}: found {', '.join(map(str, paths))}, expected files of different "
            "names."
        )
    return {name: load(path) for name, path in zip(names, paths, strict=True)}


def saved_fit(options: argparse.Namespace) -> "Fit":
    """Load the given fit, for the given levels."""
    return fit_at(options, options.fit)


def fit_at(options: argparse.Namespace, path: str) -> "Fit":
    """Load the fit of a file, for the given levels."""
    from bayescale.inference.load import load_fit
    from bayescale.laws.published import PUBLISHED

    if path in PUBLISHED:
        raise ValueError(
            f"{path}: found published constants, which have no posterior draws; "
            f"{options.verb} needs a saved fit."
        )
    return at_levels(options, load_fit(path), path)


def at_levels(options: argparse.Namespace, fit: "Fit", path: str) -> "Fit":
    """Return a fit for the given levels of its grouping columns."""
    return fit.sel(**levels_of(options, fit.groupings, path))


def levels_of(options: argparse.Namespace, groupings: Sequence[str], source: str) -> dict[str, Any]:
    """Return the given level of each grouping column of a source, `NEW` for a new one."""
    from bayescale.data.levels import NEW

    groups: dict[str, Any] = read_mapping(options.group, "--group", "COLUMN=LEVEL")
    for column in dict.fromkeys(options.new_level):
        if column in groups:
            raise ValueError(
                f"--new-level: found {column}, for which --group gives a level; give one of them."
            )
        groups[column] = NEW
    for column, level in groups.items():
        if column not in groupings:
            raise ValueError(
                f"{'--new-level' if level is NEW else '--group'}: found {column}, expected one of "
                f"the columns by which {source} pools: {', '.join(groupings) or 'none'}."
                f"{did_you_mean(column, groupings)}"
            )
    return groups


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


def fixed_of(options: Arguments) -> dict[str, str]:
    """Return the value of each input that is held fixed while a budget is split."""
    return read_mapping(options.at, "--at", "NAME=AMOUNT")


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add the option for the seed."""
    parser.add_argument(
        "--seed", type=seed_number, default=0, help="seed of all random numbers (0)"
    )


def shows_progress(options: Arguments) -> bool:
    """Return whether to show a progress bar: not with ``--quiet``, nor next to JSON."""
    return not (options.quiet or options.json)


def add_figure(parser: argparse.ArgumentParser) -> None:
    """Add the option for a figure."""
    parser.add_argument(
        "--figure", type=Writes(FIGURE), help="file for the figure, such as figure.png"
    )
