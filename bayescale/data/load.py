"""Convert a raw table to validated `Runs`: identify columns, parse amounts, reject bad rows."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bayescale.data.amounts import (
    SHARES,
    numbers_of,
    refuse_above_one,
    refuse_beyond_one,
    refuse_empty_mixtures,
)
from bayescale.data.column_units import BASES, ColumnUnit
from bayescale.data.columns import ALIASES, Columns, find_columns
from bayescale.data.consistency import (
    notes_on_compute,
    notes_on_doubts,
    notes_on_epochs,
    notes_on_sparse_models,
    refuse_above_uniform,
    refuse_duplicates,
    refuse_large_batches,
)
from bayescale.data.derived import CAVEATS, derive_missing
from bayescale.data.experts import OF_TOTAL_SIZE
from bayescale.data.headings import ACTIVE, Heading
from bayescale.data.logs.run_log import RunLogs
from bayescale.data.named_table import NamedTable
from bayescale.data.notes import Note
from bayescale.data.plausibility import implausible
from bayescale.data.readers import Table, read_source
from bayescale.data.reading import ColumnRead, Reading, RowsLeftOut
from bayescale.data.runs import AMOUNTS, MEASURED, OBSERVED, Runs
from bayescale.data.stated_units import notes_on_unit, stated_units, unit_source
from bayescale.data.wandb import drop_unfinished, flatten, is_empty_cell, plain_text
from bayescale.errors import (
    RunsError,
    as_list,
    listed,
    quoted,
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
        A dataset id (see `bayescale.list_datasets`), a folder with ``runs.csv`` and optionally
        ``card.toml``, a path ending in .csv, .tsv, .txt, .xlsx, .parquet, .jsonl or
        .json, or a table of pandas, polars, pyarrow or another library with the Arrow PyCapsule
        interface. The encoding, separator and decimal sign of text are recognised.
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
    needs = as_list(needs)
    source_table = flatten(read_source(source))
    table = drop_unfinished(source_table)
    wanted = tuple(dict.fromkeys((*needs, response)))
    found = find_columns(table, columns or {}, wanted)
    raw = NamedTable(table, found.of)
    if raw.card:
        present = dict.fromkeys([*table.frame.columns, *raw.column_of])
        raw.card.check_columns(present, (*ALIASES, *needs), raw.name)
    frame = _rename(raw, wanted)
    notes = [*table.notes, *_renamed(raw), *_other_columns(found, (*OBSERVED, *wanted))]
    frame, left_out = _drop_outliers(frame, raw, keep_outliers)
    notes.extend(left_out)
    stated = stated_units(found, raw, units or {}, (*OBSERVED, *wanted))
    base_units: dict[str, str] = {}
    for name in dict.fromkeys((*OBSERVED, *wanted)):
        if name in frame:
            unit = stated.get(name)
            frame[name] = numbers_of(frame[name], name, raw, unit)
            notes.extend(notes_on_unit(name, unit, raw, confirmed=name in (units or {})))
            if unit is not None:
                base_units[name] = unit.base
    for name in (*SHARES, "loss"):
        if name not in (units or {}):
            refuse_above_one(name, frame, stated.get(name), raw)
    for name in wanted:
        refuse_beyond_one(name, frame, raw)
    refuse_empty_mixtures(frame[[name for name in wanted if name in frame]], raw)
    given = tuple(name for name in AMOUNTS if name in frame)
    derived = dict(raw.card.derived) if raw.card else {}
    notes.extend(derive_missing(frame, derived, wanted, raw))
    confirmed = [n for n, unit in stated.items() if n in (units or {}) and unit.convert is None]
    by_heading = [
        name
        for name, unit in stated.items()
        if unit.convert
        and unit_source(name, raw, units or {}, found.headings.get(name, Heading())) == "heading"
    ]
    is_per_token = base_units.get("loss", BASES["loss"]) == BASES["loss"]
    refuse_large_batches(frame[[name for name in frame if name in (*OBSERVED, *wanted)]], raw)
    doubts = implausible(
        frame,
        given=given,
        confirmed=confirmed if is_per_token else [*confirmed, "loss"],
        stated=[*(units or {}), *by_heading],
        row_word=raw.row_word,
    )
    notes.extend(notes_on_doubts(doubts, raw, {n: stated[n].stated for n in by_heading}))
    comparable = set(given) == set(AMOUNTS) and not OF_TOTAL_SIZE & set(wanted)
    if comparable and not any(doubt.column in AMOUNTS for doubt in doubts):
        notes.extend(notes_on_compute(frame, raw, tolerance))
    if "n_unique_tokens" in wanted and "epochs" in frame and "n_unique_tokens" not in derived:
        notes.extend(notes_on_epochs(frame, raw, tolerance))
    if "n_experts" not in wanted:
        notes.extend(notes_on_sparse_models(frame, derived, found, raw, wanted))
    size = vocabulary_size or (raw.card.vocabulary_size if raw.card else None)
    if size is not None and "loss" in frame and is_per_token:
        refuse_above_uniform(frame["loss"], size, raw)
    plan = [name for name in ("n_params", "n_tokens") if name in frame]
    observed = tuple(dict.fromkeys([*(plan if len(plan) == 2 else []), *needs]))
    refuse_duplicates(frame, raw, observed, response)
    for note in notes:
        logger.info("%s: %s", raw.name, note)
    leading = [c for c in ("run", "family", *OBSERVED) if c in frame]
    others = [c for c in frame.columns if c not in leading]
    complete = frame[leading + others].reset_index(drop=True)
    quantities = [name for name in dict.fromkeys((*OBSERVED, *wanted)) if name in frame]
    # The family is part of the observed data; other columns keep their names unless recognised.
    labels = [n for n, c in found.of.items() if n not in quantities and (n == "family" or n != c)]
    reading = Reading(
        (
            *(
                _column_read(
                    name,
                    found,
                    stated.get(name),
                    derived,
                    unit_source(name, raw, units or {}, found.headings.get(name, Heading())),
                )
                for name in quantities
            ),
            *(ColumnRead(name, found.of[name], "", "default", "") for name in labels),
        ),
        len(source_table.frame),
        tuple(
            RowsLeftOut(note.rows, str(note))
            for note in map(Note.of, notes)
            if note.kind == "left out"
        ),
    )
    return Runs(
        complete, raw.name, tuple(notes), derived, raw.card, observed, response, base_units, reading
    )


def _column_read(
    name: str, found: Columns, unit: ColumnUnit | None, derived: Mapping[str, str], unit_from: str
) -> ColumnRead:
    base = unit.base if unit else BASES.get(name, "")
    column = found.of.get(name, "" if name in derived else name)
    if not column:
        return ColumnRead(name, "", base, "default", base, derived[name], CAVEATS.get(name, ""))
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
        others = [other for other in found.others.get(name, ()) if found.is_named(other, name)]
        # A column with the standard name needs no note, except that a loss may be of training.
        if others and (column != name or name in MEASURED):
            text = f"{name} read from {quoted(column)}, not from {listed(map(quoted, others))}"
            notes.append(Note(text, "column", (name, *others)))
        if heading.counted:
            text = f"{name} ({quoted(column)}) is {_COUNTED.get(heading.counted, heading.counted)}"
            notes.append(Note(text, "counting", (name,)))
    return notes


_COUNTED = {
    "without embeddings": "counted without embeddings; plans and compute then are too",
    ACTIVE: "the number active for a token",
}


def _rename(named: NamedTable, needs: Sequence[str]) -> pd.DataFrame:
    """Return the table with standard column names; other columns keep theirs."""
    raw, chosen = named.raw, named.column_of
    frame = raw.frame.copy()
    used = set(chosen.values())
    clashes = [n for n, c in chosen.items() if n != c and n in frame and n not in used]
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


def _families(column: "pd.Series[Any]", raw: NamedTable) -> "pd.Series[Any]":
    """Return the family of each run as text; none may be missing."""
    empty = column.index[column.map(is_empty_cell).to_numpy(dtype=bool)]
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


def _renamed(raw: NamedTable) -> list[Note]:
    """Return notes on the columns that were renamed."""
    renamed = {name: column for name, column in raw.column_of.items() if name != column}
    if not renamed:
        return []
    columns = listed(f"{name} from {quoted(column)}" for name, column in renamed.items())
    return [Note(f"read {columns}", "column", tuple(renamed))]


def _drop_outliers(
    frame: pd.DataFrame, raw: NamedTable, keep: bool
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
        raise RunsError(
            f"{raw.name}: found every row flagged as an outlier in the column {quoted(column)}, "
            "expected some to fit. Correct the flags, or keep outliers with keep_outliers=True "
            "(--keep-outliers)."
        )
    why = f" ({raw.card.outliers['why']})" if raw.card and "why" in raw.card.outliers else ""
    text = (
        f"{count} flagged outliers left out{why}; keep_outliers=True (--keep-outliers) keeps them"
    )
    return frame[~flagged], (Note(text, "left out", (column,), rows),)
