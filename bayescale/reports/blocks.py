"""The parts of a report: answers, and sections of tables, pairs, points and pictures.

Plain data without layout, so that HTML, Markdown and JSON have the same content.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

type Record = Mapping[str, Any]
type Light = Literal["green", "amber", "red"]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text, whose first column names the rows, with the underlying numbers."""

    kind: ClassVar = "table"

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """Pairs of a name and a text; a name may occur more than once."""

    kind: ClassVar = "pairs"

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Points:
    """Sentences in a list, with an optional heading."""

    kind: ClassVar = "points"

    sentences: tuple[str, ...]
    heading: str = ""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure, with a caption and a description for screen readers.

    `size`, in inches, is small enough for its text to be legible on a phone. `raster` is for
    figures of thousands of points, which would be large as vector graphics.
    """

    kind: ClassVar = "picture"

    caption: str
    description: str
    draw: Callable[["Figure"], object]
    size: tuple[float, float] = (5.2, 3.7)
    raster: bool = False


type Block = Table | Pairs | Points | Picture
"""A part of a section; each form of the report renders the four kinds."""


@dataclass(frozen=True)
class Section:
    """A section of a report, with its heading."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer for one budget: the question, the plan, its intervals and further facts.

    `picture` is the figure of the decision, if the answer is a decision.
    """

    question: str
    plan: str
    intervals: Table
    rows: tuple[tuple[str, str], ...]
    record: Record
    picture: Picture | None = None


type CaveatKind = Literal["runs", "extrapolation", "design", "law", "data"]

CAVEATS: tuple[CaveatKind, ...] = ("runs", "extrapolation", "design", "law", "data")
"""Kinds of caveats, the most severe first."""

LEADS: Mapping[CaveatKind, str] = {
    "runs": "Depends on the runs",
    "extrapolation": "Extrapolation",
    "design": "Design of the runs",
    "law": "The law",
    "data": "The data",
}
"""First words of a caveat of each kind."""


@dataclass(frozen=True)
class Caveat:
    """A caveat on the answers, and its kind, which determines its severity."""

    kind: CaveatKind
    sentence: str

    @property
    def lead(self) -> str:
        """The subject of the caveat, in a few words."""
        return LEADS[self.kind]


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """Quantiles of the optimum over a grid of budgets, for the slider of the page.

    Attributes
    ----------
    record
        ``unit``; ``quantiles``, from low to high; ``budget``, the budgets; by name of a
        quantity a list for each quantile; ``no_optimum``, the share of draws left out;
        ``times_largest``, the compute of each plan over that of the largest run; and ``asked``,
        the budgets of the report.
    labels
        The heading of each quantity.
    columns
        The quantiles shown under each heading, by position: one, or both ends of an interval.
    ends, requested
        The first and the last budget, and the budgets of the report, as text.
    table
        Some of the budgets, as text.
    """

    record: Record
    labels: Mapping[str, str]
    columns: Mapping[str, tuple[int, ...]]
    ends: tuple[str, str]
    requested: tuple[str, ...]
    table: Table


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The content of a report.

    `caveats` are in the order of `CAVEATS`; `next_steps` are sentences. `budgets` is None for a
    law that does not split a budget. `is_judged` is false for published constants, to which no
    gate applies.
    """

    title: str
    description: str
    light: Light
    status: str
    formula: str
    answers: tuple[Answer, ...]
    next_steps: tuple[str, ...]
    caveats: tuple[Caveat, ...]
    budgets: Budgets | None
    sections: tuple[Section, ...] = field(default=())
    is_judged: bool = True


def table_of(text: pd.DataFrame, caption: str, numbers: pd.DataFrame | None = None) -> Table:
    """Return a table of text as a part of a report, with its index as the first columns."""
    shown = text.reset_index()
    records = () if numbers is None else tuple(numbers.reset_index().to_dict("records"))
    return Table(
        caption=caption,
        header=tuple(map(str, shown.columns)),
        rows=tuple(tuple(map(str, row)) for row in shown.to_numpy()),
        records=records,  # type: ignore[arg-type]
    )
