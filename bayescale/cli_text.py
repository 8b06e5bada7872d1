"""What the commands share: reading fits and pairs, printing tables and JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from bayescale.constants import Constants, EmpiricalFrontier
    from bayescale.posterior import Fit


def read_pairs(entries: Sequence[str], option: str, form: str) -> Iterator[tuple[str, str]]:
    """Split ``NAME=VALUE`` entries of an option."""
    for entry in entries:
        name, _, value = entry.partition("=")
        if not name or not value:
            raise ValueError(f"{option}: found {entry!r}, expected {form}.")
        yield name.strip(), value.strip()


def fit_or_constants(name: str) -> "Fit | Constants | EmpiricalFrontier":
    """Return published constants of that name, or else the fit saved under it."""
    from bayescale.constants import PUBLISHED

    if name in PUBLISHED:
        return PUBLISHED[name]
    from bayescale.posterior import load_fit

    return load_fit(name)


def table_text(table: "pd.DataFrame") -> str:
    """Return a table as text, its index as the first column."""
    shown = table.reset_index()
    shown.columns.name = table.columns.name
    return shown.to_string(index=False, float_format="{:.4g}".format)


def table_records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return the rows of a table, with null for what is missing."""
    return [
        {str(key): None if value != value else value for key, value in row.items()}
        for row in table.reset_index().to_dict("records")
    ]


def print_json(content: object) -> None:
    """Print JSON and nothing else."""
    print(json.dumps(content, indent=2, default=float))
