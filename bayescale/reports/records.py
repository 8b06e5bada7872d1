"""The report as JSON: the numbers behind the page, for other programs."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bayescale._version import __version__
from bayescale.reports.content import Facts, Pairs, Points, Section, Table

SCHEMA = 1
"""Raised when a reader of an older report would misread a newer one."""


def json_of(facts: Facts) -> str:
    """Return the report as JSON."""
    return json.dumps(plain(record_of(facts)), indent=1, allow_nan=False) + "\n"


def record_of(facts: Facts) -> dict[str, Any]:
    """Return the report as one record: whether it may be used first, then answers and sections."""
    return {
        "passed": facts.light != "red",
        "status": facts.status,
        "light": facts.light,
        "title": facts.title,
        "description": facts.description,
        "formula": facts.formula,
        "answers": [answer.record for answer in facts.answers],
        "caveats": facts.caveats,
        "budgets": facts.budgets.record,
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


def plain(value: Any) -> Any:
    """Return a value of what JSON knows; a number that is not finite is null."""
    if isinstance(value, Mapping):
        return {str(key): plain(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value if value is None else str(value)
