"""The report as JSON, for other programs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bayescale._io import json_text
from bayescale._version import __version__
from bayescale.reports.blocks import Facts, Section, Table

SCHEMA = 1
"""Version of the format; it increases if readers of older reports would misread newer ones."""


def json_of(facts: Facts) -> str:
    """Return the report as JSON."""
    return json_text(record_of(facts), indent=1) + "\n"


def record_of(facts: Facts) -> dict[str, Any]:
    """Return the report as one record: first whether the fit passed, then answers and sections."""
    return {
        "passed": facts.light != "red" if facts.is_judged else None,
        "status": facts.status,
        "light": facts.light,
        "title": facts.title,
        "description": facts.description,
        "formula": facts.formula,
        "answers": [answer.record for answer in facts.answers],
        "next_steps": list(facts.next_steps),
        "caveats": [caveat.sentence for caveat in facts.caveats],
        "budgets": facts.budgets.record if facts.budgets else None,
        "sections": {section.id: _section(section) for section in facts.sections},
        "format": {"schema": SCHEMA, "bayescale": __version__},
    }


def _section(section: Section) -> dict[str, Any]:
    found: dict[str, Any] = {"title": section.title}
    for name, kind, entries in _ENTRIES:
        blocks = [block for block in section.blocks if block.kind == kind]
        found[name] = [entry for block in blocks for entry in entries(block)]
    return found


def _rows(table: Table) -> list[Mapping[str, Any]]:
    if table.records:
        return list(table.records)
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


_ENTRIES: tuple[tuple[str, str, Callable[[Any], Iterable[Any]]], ...] = (
    ("sentences", "points", lambda points: points.sentences),
    ("facts", "pairs", lambda pairs: pairs.rows),
    ("tables", "table", lambda table: [{"caption": table.caption, "rows": _rows(table)}]),
)
"""The lists of a section: the kind of block that each is of, and its entries."""
