"""Parse the amounts and measurements of a column, with an error for each bad value."""

import math
import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.data.column_units import BASES, ColumnUnit
from bayescale.data.named_table import NamedTable, first_few
from bayescale.data.numbers import as_float
from bayescale.data.runs import MEASURED
from bayescale.data.wandb import is_empty_cell
from bayescale.errors import (
    AmountError,
    RunsError,
    quoted,
)
from bayescale.units import WEIGHTS, is_zero, parse_amount, per_cent_of, quantity_of

SHARES = ("error", "accuracy")
"""Measurements that are shares of the answers of a test."""


def refuse_above_one(
    name: str, frame: pd.DataFrame, unit: ColumnUnit | None, raw: NamedTable
) -> None:
    """Refuse shares above one, unless they are in another unit than fractions."""
    is_share = (
        unit is None if name in SHARES else unit is not None and unit.stated == BASES["error"]
    )
    if name not in frame or not is_share or frame[name].dtype.kind != "f":
        return
    above = frame[name][frame[name] > 1.0]
    if len(above):
        raise RunsError(
            f"{raw.place(above.index[0], name)}: found {float(above.iloc[0]):g}, expected a "
            f"fraction below 1 ({len(above)} of {len(frame)} rows are above). State the unit: "
            f"units={{{name!r}: '%'}} (--unit {name}=%) if it is in per cent, or "
            f"units={{{name!r}: 'fraction'}} (--unit {name}=fraction) to confirm it."
        )


def refuse_beyond_one(name: str, frame: pd.DataFrame, raw: NamedTable) -> None:
    """Refuse values below one of counts such as steps or experts, and above one of shares."""
    quantity = quantity_of(name)
    if quantity not in ("items", "share") or name not in frame:
        return
    is_count = quantity == "items"
    beyond = frame[name][frame[name] < 1.0 if is_count else frame[name] > 1.0]
    if len(beyond):
        limit, side = ("least", "below") if is_count else ("most", "above")
        raise RunsError(
            f"{raw.place(beyond.index[0], name)}: found {float(beyond.iloc[0]):g}, expected at "
            f"{limit} 1 ({len(beyond)} of {len(frame)} rows are {side}). Correct or remove the rows"
            + (f", or state the unit, such as --unit {name}=K." if name in BASES else ".")
        )


def refuse_empty_mixtures(frame: pd.DataFrame, raw: NamedTable) -> None:
    """Refuse rows in which the weight of every domain is zero."""
    names = [str(name) for name in frame if name in WEIGHTS]
    if not names:
        return
    empty = frame.index[np.all([is_zero(name, frame[name]) for name in names], axis=0)]
    if len(empty):
        raise RunsError(
            f"{raw.place(empty[0], names[0])}: found zero for every domain, "
            "expected a positive weight of one or more. Correct or remove the row."
        )


def numbers_of(
    column: "pd.Series[Any]", name: str, raw: NamedTable, unit: ColumnUnit | None
) -> NDArray[np.float64]:
    """Parse a column of amounts or losses; errors name the first bad values with their rows."""
    if name in SHARES:
        column = column.map(lambda value: _of_per_cent(value, unit))
    values = np.array([as_float(value) for value in column])
    is_bool = column.map(lambda v: isinstance(v, bool | np.bool_)).to_numpy(dtype=bool)
    doubtful = np.flatnonzero(~np.isfinite(values) | (values <= 0) | is_bool)
    wrong: list[str] = []
    for i in map(int, doubtful):
        place, found = raw.place(column.index[i], name), column.iloc[i]
        if name not in MEASURED:
            try:
                values[i] = parse_amount(found, quantity_of(name), place)
            except AmountError as error:
                wrong.append(str(error))
                continue
            if unit is not None and unit.convert is not None and not is_zero(name, values[i]):
                wrong.append(
                    f"{place}: found {quoted(found)}, expected a number of {unit.stated}. If "
                    f"values state their own unit, --unit {name}={BASES.get(name, unit.base)}."
                )
        else:
            shown = "nothing" if is_empty_cell(found) else quoted(found)
            comma = " Write a decimal point." if _has_decimal_comma(found) else ""
            wrong.append(f"{place}: found {shown}, expected a positive finite {name}.{comma}")
    if wrong:
        raise RunsError(first_few(wrong) + " Correct or remove the row.")
    if unit is None:
        return values
    converted = _converted(values, column, name, raw, unit)
    return np.where(is_zero(name, values), values, converted)


def _converted(
    values: NDArray[np.float64],
    column: "pd.Series[Any]",
    name: str,
    raw: NamedTable,
    unit: ColumnUnit,
) -> NDArray[np.float64]:
    """Return values in the base unit, or raise RunsError if they overflow."""
    if unit.convert is None:
        return values
    with np.errstate(over="ignore"):
        converted = unit.convert(values)
    wrong = [
        f"{raw.place(column.index[i], name)}: found {values[i]:g} {unit.stated}, which is "
        f"{converted[i]:g} {unit.base}, expected a positive finite number."
        for i in map(int, np.flatnonzero(~(np.isfinite(converted) & (converted > 0))))
    ]
    if wrong:
        per_cent = (
            f" In per cent it is --unit {name}='accuracy %'." if unit.stated == "accuracy" else ""
        )
        raise RunsError(f"{first_few(wrong)}{per_cent} Correct the unit or the row.")
    return converted


def _of_per_cent(value: object, unit: ColumnUnit | None) -> object:
    """Return a cell such as ``"35 %"`` as a number in the unit of its column."""
    if not isinstance(value, str):
        return value
    number = per_cent_of(value)
    if number is None or math.isnan(number):
        return value
    return number if unit is not None and "%" in unit.stated else number / 100.0


def _has_decimal_comma(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"\s*\d+,\d+\s*", value))
