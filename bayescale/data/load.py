"""Convert a raw table to validated `Runs`: identify columns, parse amounts, reject bad rows."""

import logging
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.costs import six_nd
from bayescale.data.card import DatasetCard
from bayescale.data.column_units import BASES, ColumnUnit, column_unit
from bayescale.data.columns import ALIASES, Columns, as_float, find_columns
from bayescale.data.headings import OPEN_UNITS, Heading
from bayescale.data.logs.run_log import RunLogs
from bayescale.data.notes import Note
from bayescale.data.plausibility import Finding, implausible
from bayescale.data.readers import RawTable, Table, read_source
from bayescale.data.reading import ColumnRead, Reading, RowsLeftOut
from bayescale.data.runs import AMOUNTS, MEASURED, OBSERVED, Runs
from bayescale.data.wandb import drop_unfinished, flatten, is_nothing, plain_text
from bayescale.errors import (
    AmountError,
    BayescaleWarning,
    RunsError,
    did_you_mean,
    listed,
    quoted,
)
from bayescale.units import (
    Quantity,
    format_number,
    format_scientific,
    format_share,
    parse_amount,
)

logger = logging.getLogger(__name__)

type RunsSource = str | Path | Table | RunLogs | Runs
"""Runs, or any source that `load_runs` reads."""

TOLERANCE = 0.05
"""Default relative tolerance between given compute and 6ND."""


def as_runs(source: RunsSource, **options: Any) -> Runs:
    """Return runs unchanged, or read them by `load_runs` with the same options."""
    return source if isinstance(source, Runs) else load_runs(source, **options)


def load_runs(
    source: str | Path | Table | RunLogs,
    *,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    keep_outliers: bool = False,
    vocabulary_size: int | None = None,
    tolerance: float = TOLERANCE,
    needs: Sequence[str] = ("n_params", "n_tokens"),
    response: str = "loss",
) -> Runs:
    """Read and validate a table of training runs.

    Parameters
    ----------
    source
        A dataset id (see `bayescale.list_datasets`), a folder with ``runs.csv`` and perhaps
        ``card.toml``, a path ending in .csv, .tsv, .txt, .xlsx, .parquet, .jsonl or
        .json, or a table of pandas, polars, pyarrow or whatever else has the Arrow PyCapsule
        interface. Of text, the encoding, the separator and the decimal sign are recognised.
        Or logs of runs: a folder of them, a tracker, or the result of `read_logs`.
        Exports of Weights & Biases may have ``config`` and ``summary`` as dictionaries; runs whose
        ``State`` is not finished are left out.
    columns
        Maps standard names to columns, as ``{"n_params": "my column", ...}``, for columns that
        are not recognised or ambiguous. Common names (N, params, D, tokens, C, flops, L, loss,
        ...) need no mapping, with their unit or without (``Model size (M)``, ``tokens_B``).
    units
        Units of columns, as ``{"n_params": "M", "n_tokens": "B"}``. For amounts a suffix (K, M,
        B, T), a multiple of FLOP (``"EFLOP"``, ``"PF-days"``) or ``"log10"``; for the loss
        ``"bits/token"``, ``"perplexity"``, or a unit that is kept unchanged, such as
        ``"bits/byte"``; for an error ``"%"``. Stating the default unit (``"parameters"``,
        ``"tokens"``, ``"FLOP"``, ``"nats/token"``) confirms implausible amounts.
    keep_outliers
        Keep the rows flagged by a 0/1 column ``outlier``. They are left out by default.
    vocabulary_size
        Size of the tokeniser's vocabulary. A loss above its logarithm is worse than a uniform
        guess and is refused. By default taken from the card, if stated there.
    tolerance
        If N, D and C are all given, the relative difference between C and 6ND above which a
        warning names the rows.
    needs
        The required columns in addition to the response; those of a model's law are
        ``model.columns.values()``.
    response
        The column of the response, for a law of another quantity than the loss:
        ``model.law.response``.

    Returns
    -------
    Runs
        Loss and two of N, D and C as given, the third by C = 6ND if it is missing. ``notes`` lists
        what was derived or left out.

    Raises
    ------
    RunsError
        If the file is missing, empty or damaged; if a column is missing; if a value is not a
        positive finite number; if values are impossible (fewer than 1,000 parameters, less than
        0.001 tokens per parameter, as in the wrong unit); if a loss is above that of a uniform
        guess; if a run is listed twice.
    UnknownNameError
        If the source looks like a dataset id and no dataset has that name.

    Warns
    -----
    BayescaleWarning
        If amounts are implausible, with the rows and a unit that would explain them, or if C
        differs from 6ND.

    Examples
    --------
    >>> import bayescale as bs
    >>> len(bs.load_runs("chinchilla")), len(bs.load_runs("chinchilla", keep_outliers=True))
    (240, 245)
    >>> import pandas as pd
    >>> mine = pd.DataFrame({"N": ["70M", "160M"], "D": ["1.4B", "3.2B"], "loss": [3.9, 3.5]})
    >>> bs.load_runs(mine).compute
    array([5.880e+17, 3.072e+18])
    """
    source_table = flatten(read_source(source))
    table = drop_unfinished(source_table)
    wanted = tuple(dict.fromkeys((*needs, response)))
    found = find_columns(table, columns or {}, wanted)
    raw = _Named(table, found.of)
    if raw.card:
        present = dict.fromkeys([*table.frame.columns, *raw.column_of])
        raw.card.check_columns(present, (*ALIASES, *needs), raw.name)
    frame = _rename(raw, wanted)
    notes = [*table.notes, *_renamed(raw), *_other_columns(found, (*OBSERVED, *wanted))]
    frame, left_out = _drop_outliers(frame, raw, keep_outliers)
    notes.extend(left_out)
    stated = _stated_units(found, raw, units or {}, (*OBSERVED, *wanted))
    held: dict[str, str] = {}
    for name in dict.fromkeys((*OBSERVED, *wanted)):
        if name in frame:
            unit = stated.get(name)
            frame[name] = _numbers(frame[name], name, raw, unit)
            notes.extend(_of_unit(name, unit, raw, confirmed=name in (units or {})))
            if unit is not None:
                held[name] = unit.base
    for name in _SHARES:
        _refuse_above_one(name, frame, stated, raw)
    given = tuple(name for name in AMOUNTS if name in frame)
    derived = dict(raw.card.derived) if raw.card else {}
    notes.extend(_complete(frame, derived, wanted, raw))
    confirmed = [n for n, unit in stated.items() if n in (units or {}) and unit.convert is None]
    by_heading = [
        name
        for name, unit in stated.items()
        if unit.convert
        and _unit_from(name, raw, units or {}, found.headings.get(name, Heading())) == "heading"
    ]
    of_tokens = held.get("loss", BASES["loss"]) == BASES["loss"]
    doubts = implausible(
        frame,
        given=given,
        confirmed=confirmed if of_tokens else [*confirmed, "loss"],
        stated=[*(units or {}), *by_heading],
        row_word=raw.row_word,
    )
    notes.extend(_doubted(doubts, raw, {n: stated[n].stated for n in by_heading}))
    if set(given) == set(AMOUNTS) and not any(doubt.column in AMOUNTS for doubt in doubts):
        notes.extend(_inconsistent(frame, raw, tolerance))
    size = vocabulary_size or (raw.card.vocabulary_size if raw.card else None)
    if size is not None and "loss" in frame and of_tokens:
        _refuse_above_uniform(frame["loss"], size, raw)
    always = [name for name in ("n_params", "n_tokens") if name in frame]
    observed = tuple(dict.fromkeys([*(always if len(always) == 2 else []), *needs]))
    _refuse_duplicates(frame, raw, observed, response)
    for note in notes:
        logger.info("%s: %s", raw.name, note)
    leading = [c for c in ("run", "family", *OBSERVED) if c in frame]
    others = [c for c in frame.columns if c not in leading]
    complete = frame[leading + others].reset_index(drop=True)
    reading = Reading(
        tuple(
            _column_read(
                name,
                found,
                stated.get(name),
                derived,
                _unit_from(name, raw, units or {}, found.headings.get(name, Heading())),
            )
            for name in dict.fromkeys((*OBSERVED, *wanted))
            if name in frame
        ),
        len(source_table.frame),
        tuple(
            RowsLeftOut(note.rows, str(note))
            for note in map(Note.of, notes)
            if note.kind == "left out"
        ),
    )
    return Runs(
        complete, raw.name, tuple(notes), derived, raw.card, observed, response, held, reading
    )


def _column_read(
    name: str, found: Columns, unit: ColumnUnit | None, derived: Mapping[str, str], unit_from: str
) -> ColumnRead:
    base = unit.base if unit else BASES.get(name, "")
    column = found.of.get(name, "" if name in derived else name)
    if not column:
        return ColumnRead(name, "", base, "default", base, derived[name], _CAVEATS.get(name, ""))
    counted = found.headings[name].counted if name in found.headings else ""
    return ColumnRead(
        name=name,
        column=column,
        unit=unit.stated if unit else base,
        unit_from=unit_from,
        base=base,
        conversion=unit.rule if unit else "",
        counted=f"derived as {derived[name]}" if name in derived else counted,
        others=found.others.get(name, ()),
    )


def _other_columns(found: Columns, names: Sequence[str]) -> list[Note]:
    """Return notes on choices between columns, and on how the chosen one was counted."""
    notes = []
    for name in dict.fromkeys(names):
        column, heading = found.of.get(name, ""), found.headings.get(name, Heading())
        others = [other for other in found.others.get(name, ()) if found.is_alike(other, name)]
        # A column with the standard name is meant, except that a loss may be of training too.
        if others and (column != name or name in MEASURED):
            said = f"{name} read from {quoted(column)}, not from {listed(map(quoted, others))}"
            notes.append(Note(said, "column", (name, *others)))
        if heading.counted:
            said = f"{name} ({quoted(column)}) is {_COUNTED.get(heading.counted, heading.counted)}"
            notes.append(Note(said, "counting", (name,)))
    return notes


_COUNTED = {
    "without embeddings": "counted without embeddings; plans and compute then are too",
    "active for a token": "the number active for a token",
}


@dataclass(frozen=True)
class _Named:
    """A raw table with the mapping of its columns, to locate values in messages."""

    raw: RawTable
    column_of: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.raw.name

    @property
    def card(self) -> DatasetCard | None:
        return self.raw.card

    @property
    def row_word(self) -> str:
        return self.raw.row_word

    def place(self, row: object, name: str) -> str:
        column = self.column_of.get(name, name)
        read_as = f" (read as {name})" if column != name else ""
        return f"{self.name}, {self.row_word} {row}, column {quoted(column)}{read_as}"


_SHARES = ("error", "accuracy")
"""Measurements that are shares of answers."""


def _refuse_above_one(
    name: str, frame: pd.DataFrame, stated: Mapping[str, ColumnUnit], raw: _Named
) -> None:
    """Refuse shares above one, unless their unit is stated."""
    if name not in frame or name in stated or frame[name].dtype.kind != "f":
        return
    above = frame[name][frame[name] > 1.0]
    if len(above):
        raise RunsError(
            f"{raw.place(above.index[0], name)}: found {float(above.iloc[0]):g}, expected a "
            f"fraction below 1 ({len(above)} of {len(frame)} rows are above). State the unit: "
            f"units={{{name!r}: '%'}} (--unit {name}=%) if it is in per cent, or "
            f"units={{{name!r}: 'fraction'}} (--unit {name}=fraction) to confirm it."
        )


def _rename(named: _Named, needs: Sequence[str]) -> pd.DataFrame:
    """Return the table with standard column names; other columns keep theirs."""
    raw, chosen = named.raw, named.column_of
    frame = raw.frame.copy()
    clashes = [n for n, c in chosen.items() if n != c and n in frame]
    frame = frame.drop(columns=clashes).rename(columns={c: n for n, c in chosen.items()})
    if "run" not in frame:
        frame["run"] = [f"{raw.row_word} {i}" for i in frame.index]
    if "family" in frame:
        frame["family"] = _families(frame["family"], named)
    elif raw.card and raw.card.family:
        frame["family"] = raw.card.family
    for name in frame.columns:
        if name not in ("run", "family", *OBSERVED, *needs):
            frame[name] = _numeric_if_possible(frame[name])
    return frame


def _families(column: "pd.Series[Any]", raw: _Named) -> "pd.Series[Any]":
    """Return the family of each run as text; none may be missing."""
    empty = column.index[column.map(is_nothing).to_numpy(dtype=bool)]
    if len(empty):
        raise RunsError(
            f"{raw.place(empty[0], 'family')}: found nothing, expected the name of a family. Name "
            "one for each run, or rename the column."
        )
    return column.map(plain_text)


def _numeric_if_possible(column: "pd.Series[Any]") -> "pd.Series[Any]":
    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError, OverflowError):
        return column


def _renamed(raw: _Named) -> list[Note]:
    """Return notes on the columns that were renamed."""
    other = {name: column for name, column in raw.column_of.items() if name != column}
    if not other:
        return []
    said = listed(f"{name} from {quoted(column)}" for name, column in other.items())
    return [Note(f"read {said}", "column", tuple(other))]


def _stated_units(
    found: Columns, raw: _Named, units: Mapping[str, str], names: Sequence[str]
) -> dict[str, ColumnUnit]:
    """Return the units of columns as stated by the user, the card or the heading."""
    if not isinstance(units, Mapping):
        raise RunsError(
            f"units=: found {quoted(units)}, expected a mapping such as {{'n_params': 'M'}}."
        )
    for name in units:
        if name not in names:
            hint = did_you_mean(str(name), names)
            raise RunsError(
                f"units={{{quoted(name)}: ...}}: expected one of {listed(dict.fromkeys(names))}."
                f"{hint}"
            )
    stated = {}
    for name in names:
        said = _said_by_card(name, raw)
        heading = found.headings.get(name, Heading())
        if name in units:
            stated[name] = column_unit(name, units[name])
        elif said:
            stated[name] = column_unit(name, said, label=True)
        elif heading.unit in OPEN_UNITS:
            raise RunsError(
                f"{raw.name}: the heading of the column {quoted(found.of[name])} says "
                f"{OPEN_UNITS[heading.unit]}, as in units={{{name!r}: "
                f"{_FIRST[heading.unit]!r}}} (--unit {name}={_FIRST[heading.unit]})."
            )
        elif heading.unit and _is_in_its_unit(name, heading.quantity):
            stated[name] = column_unit(name, heading.unit)
    return stated


_FIRST = {"log": "log10", "bits": "bits/token"}


def _is_in_its_unit(name: str, quantity: str) -> bool:
    """Return whether the unit in a heading is one of a quantity that may be named otherwise."""
    return quantity in ("", name) and (name in BASES or bool(quantity))


def _said_by_card(name: str, raw: _Named) -> str:
    units = raw.card.units if raw.card else {}
    return units.get(name, "") or units.get(raw.column_of.get(name, name), "")


def _unit_from(name: str, raw: _Named, units: Mapping[str, str], heading: Heading) -> str:
    if name in units:
        return "you"
    if _said_by_card(name, raw):
        return "card"
    return "heading" if heading.unit else "default"


def _of_unit(name: str, unit: ColumnUnit | None, raw: _Named, *, confirmed: bool) -> list[Note]:
    """Return notes on units that were converted, confirmed, or taken from a column's name."""
    if unit is None:
        return []
    if unit.convert is not None:
        said = f"{name} converted from {unit.stated} to {unit.base}"
    elif confirmed or (name == "loss" and not raw.card):
        said = f"{name} taken as {unit.base}"
    else:
        return []
    return [Note(said, "unit", (name,), units={name: unit.stated})]


def _doubted(doubts: Sequence[Finding], raw: _Named, by_heading: Mapping[str, str]) -> list[Note]:
    """Raise for impossible amounts, and warn of implausible ones.

    Where units are taken from headings, what is implausible is impossible: the heading may be
    read wrongly.
    """
    if doubts and by_heading:
        said = "; ".join(
            f"{name} in {unit} (column {quoted(raw.column_of[name])}; if its values are in "
            f"{BASES.get(name, 'another unit')} already, --unit {name}={BASES.get(name, '...')})"
            for name, unit in by_heading.items()
        )
        raise RunsError(
            f"{raw.name}: {' '.join(doubt.found for doubt in doubts)} By the headings it was read "
            f"with {said}. State the unit of each with units= (--unit), which settles it."
        )
    refused = [doubt.sentence for doubt in doubts if doubt.impossible]
    if refused:
        raise RunsError(f"{raw.name}: {' '.join(refused)}")
    if doubts:
        warnings.warn(
            f"{raw.name}: {' '.join(doubt.sentence for doubt in doubts)}",
            BayescaleWarning,
            stacklevel=3,
        )
    return [
        Note(doubt.sentence, "implausible", (doubt.column,), doubt.rows, units=doubt.units)
        for doubt in doubts
    ]


def _drop_outliers(
    frame: pd.DataFrame, raw: _Named, keep: bool
) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    column = raw.card.outliers.get("column", "outlier") if raw.card else "outlier"
    if column not in frame:
        return frame, ()
    texts = frame[column].map(plain_text).str.strip().str.lower()
    flags = texts.map(
        {"1": True, "true": True, "1.0": True, "0": False, "false": False, "0.0": False}
    )
    if flags.isna().any():
        row = int(flags.index[flags.isna()][0])
        raise RunsError(
            f"{raw.place(row, column)}: found {quoted(frame[column].loc[row])}, expected 0 or 1."
        )
    flagged = flags.to_numpy(dtype=bool)
    count = int(flagged.sum())
    if not count:
        return frame, ()
    rows = frame.index[flagged]
    if keep:
        return frame, (Note(f"{count} flagged outliers kept", "kept", (column,), rows),)
    if count == len(frame):
        raise RunsError(f"{raw.name}: every row is flagged as an outlier; none is left to fit.")
    why = f" ({raw.card.outliers['why']})" if raw.card and "why" in raw.card.outliers else ""
    text = (
        f"{count} flagged outliers left out{why}; keep_outliers=True (--keep-outliers) keeps them"
    )
    return frame[~flagged], (Note(text, "left out", (column,), rows),)


def _numbers(
    column: "pd.Series[Any]", name: str, raw: _Named, unit: ColumnUnit | None
) -> NDArray[np.float64]:
    """Parse a column of amounts or losses; errors name the first bad values with their rows."""
    if name in _SHARES:
        column = column.map(lambda value: _of_per_cent(value, unit))
    values = np.array([as_float(value) for value in column])
    is_bool = column.map(lambda v: isinstance(v, bool | np.bool_)).to_numpy(dtype=bool)
    doubtful = np.flatnonzero(~np.isfinite(values) | (values <= 0) | is_bool)
    wrong: list[str] = []
    for i in map(int, doubtful):
        place, found = raw.place(column.index[i], name), column.iloc[i]
        if name not in MEASURED:
            quantity: Quantity = "compute" if name == "compute" else "count"
            try:
                values[i] = parse_amount(found, quantity, place)
            except AmountError as error:
                wrong.append(str(error))
                continue
            if unit is not None and unit.convert is not None:
                wrong.append(
                    f"{place}: found {quoted(found)}, expected a number of {unit.stated}. If "
                    f"values state their own unit, --unit {name}={BASES.get(name, unit.base)}."
                )
        else:
            shown = "nothing" if is_nothing(found) else quoted(found)
            comma = " Write a decimal point." if _has_decimal_comma(found) else ""
            wrong.append(f"{place}: found {shown}, expected a positive finite {name}.{comma}")
    if wrong:
        raise RunsError(_first_few(wrong) + " Correct or remove the row.")
    return values if unit is None else _converted(values, column, name, raw, unit)


def _converted(
    values: NDArray[np.float64],
    column: "pd.Series[Any]",
    name: str,
    raw: _Named,
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
            " In per cent it is --unit error='accuracy %'." if unit.stated == "accuracy" else ""
        )
        raise RunsError(f"{_first_few(wrong)}{per_cent} Correct the unit or the row.")
    return converted


def _of_per_cent(value: object, unit: ColumnUnit | None) -> object:
    """Return a cell such as ``"35 %"`` as a number in the unit of its column."""
    if not isinstance(value, str) or not value.rstrip().endswith("%"):
        return value
    number = as_float(value.rstrip().removesuffix("%"))
    if math.isnan(number):
        return value
    return number if unit is not None and "%" in unit.stated else number / 100.0


def _has_decimal_comma(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"\s*\d+,\d+\s*", value))


def _first_few(messages: Sequence[str], most: int = 3) -> str:
    shown = " ".join(messages[:most])
    rest = len(messages) - most
    return shown + (f" And {rest} more like these." if rest > 0 else "")


def _complete(
    frame: pd.DataFrame, derived: dict[str, str], wanted: Sequence[str], raw: _Named
) -> list[Note]:
    """Fill in the missing one of N, D and C, and unique tokens where there are epochs."""
    k = six_nd.flop_per_param_token
    given = [name for name in AMOUNTS if name in frame]
    if len(given) == 2:
        missing = next(name for name in AMOUNTS if name not in frame)
        if missing == "compute":
            frame["compute"] = six_nd(frame["n_params"], frame["n_tokens"])
            derived["compute"] = "6 n_params n_tokens"
        elif missing == "n_tokens":
            frame["n_tokens"] = frame["compute"] / (k * frame["n_params"])
            derived["n_tokens"] = "compute / (6 n_params)"
        else:
            frame["n_params"] = frame["compute"] / (k * frame["n_tokens"])
            derived["n_params"] = "compute / (6 n_tokens)"
        _refuse_extreme(frame, missing, given, raw)
    unique = "n_unique_tokens"
    if unique in wanted and unique not in frame:
        epochs = _numbers(frame["epochs"], "epochs", raw, None)
        # With less than one epoch, all tokens seen are unique.
        frame[unique] = frame["n_tokens"] / np.maximum(epochs, 1.0)
        derived[unique] = "n_tokens / epochs"
        _refuse_extreme(frame, unique, ["n_tokens", "epochs"], raw)
    return [
        Note(
            ": ".join(filter(None, [f"{name} derived as {rule}", _CAVEATS.get(name)])),
            "derived",
            (name,),
        )
        for name, rule in derived.items()
        if name in (*AMOUNTS, unique)
    ]


_CAVEATS = {"n_params": "the parameters active for a token where models are sparse"}


def _refuse_extreme(frame: pd.DataFrame, derived: str, given: Sequence[str], raw: _Named) -> None:
    values = frame[derived].to_numpy(dtype=float)
    extreme = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(extreme):
        row = frame.iloc[extreme[0]]
        found = " and ".join(f"{name} = {format_scientific(float(row[name]))}" for name in given)
        raise RunsError(
            f"{raw.name}, {raw.row_word} {frame.index[extreme[0]]}: found {found}, of which "
            f"{derived} cannot be derived as a positive finite number. Correct or remove the row."
        )


def _inconsistent(frame: pd.DataFrame, raw: _Named, tolerance: float) -> list[Note]:
    """Warn of runs whose compute differs from 6ND, if all three were given."""
    ratio = (frame["compute"] / six_nd(frame["n_params"], frame["n_tokens"])).to_numpy()
    off = np.flatnonzero(~(np.abs(ratio - 1) <= tolerance))
    if not len(off):
        return []
    rows = ", ".join(
        f"{raw.row_word} {frame.index[i]} (C / 6ND = {format_number(float(ratio[i]), 3)})"
        for i in off[:5]
    )
    more = f" and {len(off) - 5} more" if len(off) > 5 else ""
    said = (
        f"compute differs from 6ND by more than {format_share(tolerance)} in "
        f"{len(off)} of {len(frame)} runs: {rows}{more}. Sizes and tokens are fitted as "
        "given; check how compute or parameters were counted."
    )
    warnings.warn(f"{raw.name}: {said}", BayescaleWarning, stacklevel=3)
    return [Note(said, "counting", AMOUNTS, frame.index[off])]


def _refuse_above_uniform(loss: "pd.Series[float]", size: int, raw: _Named) -> None:
    if size < 2:
        raise RunsError(f"vocabulary_size: found {size}, expected at least 2.")
    limit = math.log(size)
    above = loss[loss > limit]
    if len(above):
        wrong = [
            f"{raw.place(int(row), 'loss')}: found {value:g} nats/token, expected at most "  # type: ignore[call-overload]
            f"ln({size}) = {limit:.3f}, the loss of a uniform guess."
            for row, value in above.items()
        ]
        raise RunsError(_first_few(wrong) + " Check the unit, or leave out runs that diverged.")


def _refuse_duplicates(
    frame: pd.DataFrame, raw: _Named, observed: Sequence[str], response: str
) -> None:
    same = [c for c in ("family", *observed, response, "seed") if c in frame]
    # As texts, so that labels of any type, including lists, can be compared.
    labels = {c: frame[c].map(plain_text) for c in same if frame[c].dtype.kind not in "iuf"}
    twice = frame.assign(**labels).duplicated(same, keep=False)
    if twice.any():
        groups = frame.assign(**labels)[twice].groupby(same, sort=False, dropna=False).groups
        pairs = [
            f"{raw.row_word}s {' and '.join(str(r) for r in rows)}" for rows in groups.values()
        ]
        first = frame[twice].iloc[0]
        raise RunsError(
            f"{raw.name}: found the same run more than once ({_first_few(pairs)}; "
            + ", ".join(f"{name} = {format_scientific(float(first[name]))}" for name in observed)
            + f", {response} = {float(first[response]):g}). "
            "Keep one of each; if they are repeats, tell them apart in a column seed."
        )
