"""What a report is made of: answers, and sections of tables, pairs, points and pictures.

Plain data without layout, so that HTML, Markdown and JSON have the same content.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

type Record = Mapping[str, Any]
type Light = Literal["green", "amber", "red"]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text, whose first column names the rows, and the numbers that it was made from."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """Names with what belongs to them; a name may come more than once."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Points:
    """Sentences, under a heading of their own if there is one."""

    sentences: tuple[str, ...]
    heading: str = ""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure that can be drawn: with it, what it shows for those who do not see it.

    `size`, in inches, is small enough for its letters to be read on a phone. `raster` is for
    figures of thousands of points, which would be large as outlines.
    """

    caption: str
    description: str
    draw: Callable[["Figure"], object]
    size: tuple[float, float] = (5.2, 3.7)
    raster: bool = False


type Block = Table | Pairs | Points | Picture


@dataclass(frozen=True)
class Section:
    """A part of a report under one heading."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer for one budget: the question, the plan, where it lies and what is known of it."""

    question: str
    plan: str
    intervals: Table
    rows: tuple[tuple[str, str], ...]
    record: Record


type CaveatKind = Literal["runs", "extrapolation", "design", "law", "data"]

CAVEATS: tuple[CaveatKind, ...] = ("runs", "extrapolation", "design", "law", "data")
"""Kinds of caveats, the most severe first."""


@dataclass(frozen=True)
class Caveat:
    """What must be known beside an answer, and what it is about, which says how grave it is."""

    kind: CaveatKind
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """Quantiles of the optimum over a grid of budgets, for the slider of the page.

    Attributes
    ----------
    record
        ``unit``; ``quantiles``, from low to high; ``compute``, the budgets; by name of a
        quantity a list for each quantile; ``no_optimum``, the share of draws left out;
        ``times_largest``, the compute of each plan over that of the largest run; and ``asked``,
        the budgets of the report.
    labels
        By name of a quantity its heading.
    columns
        By heading which quantiles are shown under it, by their places: one, or the two ends.
    ends, asked
        The first and the last budget, and those asked for, as text.
    table
        Some of the budgets, as text.
    """

    record: Record
    labels: Mapping[str, str]
    columns: Mapping[str, tuple[int, ...]]
    ends: tuple[str, str]
    asked: tuple[str, ...]
    table: Table


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that a report states.

    `caveats` are in the order of `CAVEATS`. There are no `budgets` where a law is not one that
    splits a budget.
    """

    title: str
    description: str
    light: Light
    status: str
    formula: str
    answers: tuple[Answer, ...]
    caveats: tuple[Caveat, ...]
    budgets: Budgets | None
    sections: tuple[Section, ...] = field(default=())


def table_of(text: pd.DataFrame, caption: str, numbers: pd.DataFrame | None = None) -> Table:
    """Return a table of text cells as a part of a report, its index as the first columns."""
    shown = text.reset_index()
    records = () if numbers is None else tuple(numbers.reset_index().to_dict("records"))
    return Table(
        caption=caption,
        header=tuple(map(str, shown.columns)),
        rows=tuple(tuple(map(str, row)) for row in shown.to_numpy()),
        records=records,  # type: ignore[arg-type]
    )
