"""The report as Markdown: the same text and tables, without figures."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bayescale.reports.blocks import Facts, Section, Table


def markdown_of(facts: Facts) -> str:
    """Return the report as GitHub-flavoured Markdown; a failure precedes the title."""
    status = f"**Diagnostics: {facts.light}.** {escaped(facts.status)}"
    title = f"# {escaped(facts.title)}"
    failed = facts.light == "red"
    parts = [status, title] if failed else [title]
    parts.append(escaped(facts.description))
    for answer in facts.answers:
        parts += [
            f"## {escaped(answer.question)}",
            f"**{escaped(answer.plan)}**",
            _table(answer.intervals),
            *([_pairs(answer.rows)] if answer.rows else []),
        ]
    if facts.next_steps:
        parts += ["## What to do next", _points(facts.next_steps)]
    parts += ["## How far to trust this"] + ([] if failed else [status])
    parts.append(_points([f"{c.lead}: {c.sentence}" for c in facts.caveats]))
    if facts.budgets is not None:
        parts += ["## Other budgets", _table(facts.budgets.table)]
    for section in facts.sections:
        parts += _section(section)
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Return text escaped for Markdown, so that it contains no markup, tags or links."""
    text = " ".join(text.split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*~|$])", r"\\\1", text)
    # Underscores inside words and brackets that form no link need no escape.
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)
    text = re.sub(r"\](?=[(\[:])", r"\\]", text)
    return re.sub(r"^([-+=#]+(?=\s|$)|\d+(?=[.)](?:\s|$)))", _escaped_marker, text)


def _escaped_marker(match: re.Match[str]) -> str:
    """Return a marker at the start of a line, escaped so that it starts no heading or list."""
    return f"{match[0][:-1]}&#{ord(match[0][-1])};"


def _section(section: Section) -> list[str]:
    parts = [f"## {escaped(section.title)}"]
    for block in section.blocks:
        parts += _BLOCKS[block.kind](block)
    return parts


_BLOCKS: Mapping[str, Callable[[Any], list[str]]] = {
    "table": lambda table: [_table(table)],
    "pairs": lambda pairs: [_pairs(pairs.rows)],
    "points": lambda points: [
        *([f"### {escaped(points.heading)}"] if points.heading else []),
        *([_points(points.sentences)] if points.sentences else []),
    ],
    "picture": lambda _: [],
}
"""The paragraphs of each kind of block; figures are left out."""


def _points(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences)


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- {escaped(name)}: {escaped(value)}" for name, value in rows)


def _table(table: Table) -> str:
    lines = [table.header, ("---",) * len(table.header)]
    cells = [[escaped(cell) for cell in row] for row in table.rows]
    rows = [[*map(escaped, lines[0])], [*lines[1]], *cells]
    body = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"{escaped(table.caption)}\n\n{body}"
