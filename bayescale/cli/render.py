"""Output of commands: text, tables, JSON and figures."""

import argparse
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from bayescale.units import format_quantity, format_share

if TYPE_CHECKING:
    import pandas as pd

    from bayescale.allocation.result import Allocation
    from bayescale.data.notes import Note
    from bayescale.decision.result import Decision
    from bayescale.posterior.diagnostics import Diagnostics
    from bayescale.posterior.result import Result

type Arguments = argparse.Namespace

_PIPE_WIDTH = 140
"""Width of a listing that goes to a file or a pipe, in characters."""

_MEANING = "meaning"
"""The column of sentences: the last one, and left-aligned."""


def one_line(message: object, limit: int) -> str:
    """Return a message as one line, without its middle if it is too long.

    The beginning of a message says what was found, and the end says what to do.

    Examples
    --------
    >>> one_line("found  " + "x" * 100, 20)
    'found xxxx ... (106 characters) ... xxxxxxxxxx'
    """
    text = " ".join(str(message).split())
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} ... ({len(text)} characters) ... {text[-half:]}"


def passed(diagnostics: "Diagnostics | None") -> bool | None:
    """Return whether the diagnostics passed; None for published constants, which have none."""
    return diagnostics.ok if diagnostics else None


@contextmanager
def computed_from(headline: str, diagnostics: "Diagnostics | None") -> Iterator[None]:
    """Print what an answer is computed from: after it, or before it if checks failed."""
    failed = passed(diagnostics) is False
    if failed:
        print(headline)
    yield
    if not failed:
        print(headline)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress the warnings of failed checks, where the output itself states the failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def print_answer(answer: "Result", table: "pd.DataFrame | None" = None) -> None:
    """Print a result as `str` does, with its own table unless another is given."""
    with without_warnings():
        caveats = [f"- {caveat}" for caveat in answer.caveats]
        shown = table_text(answer.text_table() if table is None else table)
        parts = (answer.opening, *answer.sentences, *caveats, shown, answer.closing)
        print(*filter(None, parts), sep="\n")


def print_account(notes: "Iterable[Note]", indent: str = "") -> None:
    """Print how runs were read, with a caution before what is unlikely."""
    for note in notes:
        is_caution = note.kind in ("implausible", "counting")
        print(f"{indent}{'caution: ' if is_caution else ''}{note}")


def print_decision(made: "Decision") -> None:
    """Print a decision."""
    # Transposed, since there are fewer plans than quantities of each.
    table = made.text_table().T
    table.index.name = "plan"
    print_answer(made, table)


def table_text(table: "pd.DataFrame") -> str:
    """Return a table as text, with its index as the first column and left-aligned meanings."""
    shown = table.reset_index()
    shown.columns.name = table.columns.name
    meanings = shown.pop(_MEANING) if _MEANING in shown else ()
    text = shown.to_string(index=False, float_format="{:.4g}".format)
    if len(meanings) == 0:
        return text
    lines = zip(text.split("\n"), [_MEANING, *meanings], strict=True)
    return "\n".join(f"{line}  {meaning}".rstrip() for line, meaning in lines)


def intervals_text(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return a table of amounts as text, each with the interval in the two columns after it."""
    columns = [str(column) for column in table]
    shown = table.iloc[:, :0].copy()
    for column in columns:
        ends = [f"{column}_lower", f"{column}_upper"]
        style = partial(format_quantity, column)
        if set(ends) <= set(columns):
            low, high = (table[end].map(style) for end in ends)
            shown[column] = table[column].map(style) + " [" + low + ", " + high + "]"
        elif not column.endswith(("_lower", "_upper")):
            shown[column] = table[column].map(style)
    return shown


def table_records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return the rows of a table as mappings."""
    return [
        {str(key): value for key, value in row.items()}
        for row in table.reset_index().to_dict("records")
    ]


def statements(answer: "Result") -> dict[str, Any]:
    """Return the headline, caveats and sentences of a result, for JSON."""
    return {
        "headline": answer.headline,
        "caveats": list(answer.caveats),
        "sentences": list(answer.sentences),
    }


def print_json(content: object) -> None:
    """Print content as JSON."""
    from bayescale._io import json_text

    print(json_text(content))


def print_allocation(plan: "Allocation", prob: float) -> None:
    """Print the caveats and the table of an allocation."""
    for sentence in plan.caveats:
        print(sentence)
    print(heading_of(plan.source.is_point, prob))
    print(table_text(plan.text_table(prob)))


def heading_of(is_point: bool, prob: float) -> str:
    """Return the heading of a table: the summary statistics in it."""
    if is_point:
        return "Point estimates, since published constants have no uncertainty:"
    return f"Median and {format_share(prob)} equal-tailed interval:"


def print_listing(table: "pd.DataFrame") -> None:
    """Print a table of texts, wrapped to the terminal, or to a fixed width without one."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    shown = Table(box=None, pad_edge=False)
    for position, column in enumerate((table.index.name, *table.columns)):
        shown.add_column(str(column), no_wrap=position == 0, overflow="fold")
    for row in table.itertuples(name=None):
        shown.add_row(*map(str, row))
    console.print(shown, markup=False)


def draw_figure(options: Arguments, name: str, answer: object, height: float) -> None:
    """Write a figure of `bayescale.plots` to the file given by ``--figure``, if any."""
    if options.figure is None:
        return
    from matplotlib.figure import Figure

    from bayescale import plots
    from bayescale._io import whole_file

    figure = Figure(figsize=(6.8, height), layout="constrained")
    getattr(plots, name)(answer, ax=figure.subplots())
    with whole_file(options.figure) as part:
        figure.savefig(part, dpi=150)
