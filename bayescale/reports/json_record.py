"""The report as JSON, for other programs."""

from collections.abc import Mapping
from typing import Any

from bayescale._plain import json_text
from bayescale._version import __version__
from bayescale.reports.blocks import Facts, Pairs, Points, Section, Table

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
    tables = [block for block in section.blocks if isinstance(block, Table)]
    return {
        "title": section.title,
        "sentences": [s for b in section.blocks if isinstance(b, Points) for s in b.sentences],
        "facts": [row for b in section.blocks if isinstance(b, Pairs) for row in b.rows],
        "tables": [{"caption": table.caption, "rows": _rows(table)} for table in tables],
    }


def _rows(table: Table) -> list[Mapping[str, Any]]:
    if table.records:
        return list(table.records)
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]
