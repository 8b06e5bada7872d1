"""Domains of a mixture by the columns that they were read from."""

import re
from collections.abc import Sequence

from bayescale.data.runs import Runs
from bayescale.units import WEIGHTS

_DOMAIN = re.compile(r"\bdomain[_ ](\d+)\b")


def columns_read(runs: Runs | None, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the heading that each column of runs was read from, or its own name if not known."""
    reading = runs.reading if runs else None
    read = {each.name: each.column for each in reading.columns} if reading else {}
    return tuple(read.get(column) or column for column in columns)


def with_domains(text: str, runs: Runs) -> str:
    """Return a text with the headings of the domains of runs in the place of their numbers.

    A domain whose heading is not known keeps its number.
    """

    def heading(found: re.Match[str]) -> str:
        name = f"domain_{found[1]}"
        (read,) = columns_read(runs, (name,))
        return found[0] if read == name else read

    return _DOMAIN.sub(heading, text) if set(WEIGHTS) & set(runs.table) else text
