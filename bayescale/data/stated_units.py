"""The unit of each column, as the user, the card or the heading states it."""

from collections.abc import Mapping, Sequence

from bayescale.data.column_units import BASES, ColumnUnit, column_unit
from bayescale.data.columns import Columns
from bayescale.data.headings import OPEN_UNITS, Heading
from bayescale.data.named_table import NamedTable
from bayescale.data.notes import Note
from bayescale.errors import (
    RunsError,
    did_you_mean,
    expect_mapping,
    listed,
    quoted,
)


def stated_units(
    found: Columns, raw: NamedTable, units: Mapping[str, str], names: Sequence[str]
) -> dict[str, ColumnUnit]:
    """Return the units of columns as stated by the user, the card or the heading."""
    expect_mapping(units, "units", "{'n_params': 'M'}", RunsError)
    for name in units:
        if name not in names:
            hint = did_you_mean(str(name), names)
            raise RunsError(
                f"units={{{quoted(name)}: ...}}: expected one of {listed(dict.fromkeys(names))}."
                f"{hint}"
            )
    stated = {}
    for name in names:
        on_card = _unit_on_card(name, raw)
        heading = found.headings.get(name, Heading())
        if name in units:
            stated[name] = column_unit(name, units[name])
        elif on_card:
            stated[name] = column_unit(name, on_card, label=True)
        elif heading.unit in OPEN_UNITS:
            raise RunsError(
                f"{raw.name}: the heading of the column {quoted(found.of[name])} says "
                f"{OPEN_UNITS[heading.unit]}, as in units={{{name!r}: "
                f"{_EXAMPLES[heading.unit]!r}}} (--unit {name}={_EXAMPLES[heading.unit]})."
            )
        elif heading.unit and _heading_states_unit(name, heading.quantity):
            stated[name] = column_unit(name, heading.unit)
        elif _is_an_error(name, heading.quantity):
            stated[name] = column_unit(name, BASES["error"])
    return stated


_EXAMPLES = {"log": "log10", "bits": "bits/token"}
"""A unit to state for each ambiguous one."""


def _heading_states_unit(name: str, quantity: str) -> bool:
    """Return whether the unit in the heading of a quantity applies to a column."""
    same = quantity in ("", name) or _is_an_error(name, quantity)
    return same and (name in BASES or bool(quantity))


def _is_an_error(name: str, quantity: str) -> bool:
    """Return whether the loss is an error, which laws of one variable accept."""
    return name == "loss" and quantity == "error"


def _unit_on_card(name: str, raw: NamedTable) -> str:
    units = raw.card.units if raw.card else {}
    return units.get(name, "") or units.get(raw.column_of.get(name, name), "")


def unit_source(name: str, raw: NamedTable, units: Mapping[str, str], heading: Heading) -> str:
    """Return the source of the unit of a column: the user, the card, the heading or the default."""
    if name in units:
        return "you"
    if _unit_on_card(name, raw):
        return "card"
    return "heading" if heading.unit and _heading_states_unit(name, heading.quantity) else "default"


def notes_on_unit(
    name: str, unit: ColumnUnit | None, raw: NamedTable, *, confirmed: bool
) -> list[Note]:
    """Return notes on units that were converted, confirmed, or taken from a column's name."""
    if unit is None:
        return []
    if unit.convert is not None:
        text = f"{name} converted from {unit.stated} to {unit.base}"
    elif confirmed or (name == "loss" and not raw.card):
        text = f"{name} taken as {unit.base}"
    else:
        return []
    return [Note(text, "unit", (name,), units={name: unit.stated})]
