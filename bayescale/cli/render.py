"""What the commands share: reading fits and pairs, printing tables and JSON."""

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bayescale.cli.files import Reads
from bayescale.cli.numbers import whole_number

if TYPE_CHECKING:
    import pandas as pd

    from bayescale.data.runs import Runs
    from bayescale.laws.published import Constants, EmpiricalFrontier
    from bayescale.posterior.fit import Fit


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
    """Add the argument, or the option, of a table of runs, and what is to be done on reading.

    Flagged rows are a matter of an option, unless `outliers` is false.
    """
    about = "dataset id, folder, or csv, tsv, parquet, jsonl or json file"
    if name.startswith("-"):
        parser.add_argument(name, dest="runs", type=Reads(), metavar="RUNS", help=about)
    else:
        parser.add_argument(name, type=Reads(), help=about)
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


def runs_of(
    options: argparse.Namespace,
    needs: Sequence[str] = ("n_params", "n_tokens"),
    response: str = "loss",
) -> "Runs":
    """Return the runs that were named."""
    from bayescale.data.load import load_runs

    return load_runs(
        options.runs,
        columns=read_mapping(options.column, "--column", "NAME=COLUMN"),
        units=read_mapping(options.unit, "--unit", "NAME=UNIT"),
        keep_outliers=options.keep_outliers,
        vocabulary_size=options.vocabulary_size,
        needs=tuple(needs),
        response=response,
    )


def add_fit(parser: argparse.ArgumentParser, *, constants: bool = False) -> None:
    """Add the argument of a saved fit, and the option of which family it is asked."""
    parser.add_argument(
        "fit",
        type=Reads(),
        help="saved fit" + (", or the name of published constants" if constants else ""),
    )
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


def table_text(table: "pd.DataFrame") -> str:
    """Return a table as text, its index as the first column."""
    shown = table.reset_index()
    shown.columns.name = table.columns.name
    return shown.to_string(index=False, float_format="{:.4g}".format)


def table_records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return the rows of a table."""
    return [
        {str(key): value for key, value in row.items()}
        for row in table.reset_index().to_dict("records")
    ]


def print_json(content: object) -> None:
    """Print JSON and nothing else."""
    from bayescale._plain import json_text

    print(json_text(content))
