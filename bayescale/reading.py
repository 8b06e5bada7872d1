"""From a raw table to validated Runs: columns named, amounts read, bad rows refused."""

import logging
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.costs import six_nd
from bayescale.dataset_card import DatasetCard
from bayescale.errors import (
    AmountError,
    BayescaleWarning,
    RunsError,
    did_you_mean,
    listed,
    quoted,
)
from bayescale.layouts import drop_unfinished, flatten, is_nothing, key_of, plain_text
from bayescale.notes import Note
from bayescale.runs import AMOUNTS, MEASURED, OBSERVED, Runs
from bayescale.sources import RawTable, Table, read_source
from bayescale.units import (
    Quantity,
    format_number,
    format_scientific,
    format_share,
    parse_amount,
)

if TYPE_CHECKING:
    from bayescale.model import Model

logger = logging.getLogger(__name__)

type RunsSource = str | Path | Table | Runs
"""What functions that fit take as runs: what `load_runs` reads, or its result."""

ALIASES: Mapping[str, frozenset[str]] = {
    name: frozenset(aliases.split())
    for name, aliases in {
        "run": "run run_name run_id name id",
        "family": "family corpus recipe",
        "n_params": "n_params n parameters params num_params n_parameters num_parameters "
        "parameter_count param_count "
        "model_size size model_params total_params params_total",
        "n_tokens": "n_tokens d tokens num_tokens train_tokens training_tokens tokens_seen "
        "total_tokens tokens_processed dataset_size tokens_trained consumed_tokens "
        "num_input_tokens_seen train_num_input_tokens_seen throughput_total_tokens",
        "compute": "compute c flops flop training_flops training_flop train_flops total_flops "
        "compute_flops total_flos train_total_flos achieved_flops",
        "n_unique_tokens": "n_unique_tokens unique_tokens unique_data u",
        "n_steps": "n_steps steps s optimizer_steps optimiser_steps",
        "batch_tokens": "batch_tokens tokens_per_step batch_size_tokens",
        "loss": "loss l loss_nats val_loss validation_loss final_loss eval_loss test_loss "
        "valid_loss",
        "error": "error error_rate err",
        "bleu": "bleu bleu_score sacrebleu",
    }.items()
}
"""Names that people and tools give these columns, compared by `bayescale.layouts.key_of`."""

TOLERANCE = 0.05
"""Relative difference between the given compute and 6ND that is still called agreement."""


def as_runs(source: RunsSource, models: Sequence["Model"] = (), **options: Any) -> Runs:
    """Return runs as they are, or read those that models can be fitted to.

    Parameters
    ----------
    source
        Runs, or what `load_runs` reads.
    models
        All that are to be fitted, of one response.
    **options
        As of `load_runs`.
    """
    if isinstance(source, Runs):
        return source
    if models:
        columns = dict.fromkeys(name for model in models for name in model.columns.values())
        options |= {"needs": tuple(columns), "response": models[0].formula.response}
    return load_runs(source, **options)


def load_runs(
    source: str | Path | Table,
    *,
    columns: Mapping[str, str] | None = None,
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
        A dataset id (see `bayescale.datasets`), a folder with ``runs.csv`` and perhaps
        ``card.toml``, a path ending in .csv, .tsv, .parquet, .jsonl or .json, or a table of
        pandas, polars, pyarrow or whatever else has the Arrow PyCapsule interface. Text is in
        UTF-8, its columns parted by commas, semicolons, tabs or bars. Exports of Weights & Biases
        may hold ``config`` and ``summary`` as dictionaries; runs whose ``State`` is not finished
        are left out.
    columns
        Which column holds what, as ``{"n_params": "my column", ...}``, for names that are not
        recognised by themselves or that are ambiguous. The common names (N, params, D, tokens,
        C, flops, L, loss, ...) need no mapping.
    keep_outliers
        Keep the rows that a 0/1 column ``outlier`` flags. They are left out by default.
    vocabulary_size
        Size of the tokeniser's vocabulary. A loss above its logarithm is worse than a uniform
        guess and is refused. Taken from the card where that states it.
    tolerance
        Where N, D and C are all given, the relative difference between C and 6ND above which a
        warning names the rows.
    needs
        The columns that are to be fitted beside the response; those of a model's law are
        ``model.columns.values()``.
    response
        The column that was measured, for a law that is not of the loss: ``model.formula.response``.

    Returns
    -------
    Runs
        Loss and two of N, D and C as given, the third by C = 6ND if it is missing. What was
        derived or left out is in ``notes``.

    Raises
    ------
    RunsError
        If the file is missing, empty or damaged; if a column is missing; if a value is not a
        positive finite number; if a loss is above a uniform guess; if a run is listed twice.
    UnknownNameError
        If the source looks like a dataset id and there is none of that name.

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
    table = drop_unfinished(flatten(read_source(source)))
    wanted = tuple(dict.fromkeys((*needs, response)))
    raw = _Named(table, _find_columns(table, columns or {}, wanted))
    if raw.card:
        present = dict.fromkeys([*table.frame.columns, *raw.column_of])
        raw.card.check_columns(present, (*ALIASES, *needs), raw.name)
    frame = _rename(raw, wanted)
    notes = list(table.notes)
    frame, left_out = _drop_outliers(frame, raw, keep_outliers)
    notes.extend(left_out)
    for name in dict.fromkeys((*OBSERVED, *wanted)):
        if name in frame:
            frame[name] = _numbers(frame[name], name, raw)
    derived = dict(raw.card.derived) if raw.card else {}
    notes.extend(_complete(frame, derived, raw, tolerance))
    size = vocabulary_size or (raw.card.vocabulary_size if raw.card else None)
    if size is not None and "loss" in frame:
        _refuse_above_uniform(frame["loss"], size, raw)
    always = [name for name in ("n_params", "n_tokens") if name in frame]
    observed = tuple(dict.fromkeys([*(always if len(always) == 2 else []), *needs]))
    _refuse_duplicates(frame, raw, observed, response)
    for note in notes:
        logger.info("%s: %s", raw.name, note)
    leading = [c for c in ("run", "family", *OBSERVED) if c in frame]
    others = [c for c in frame.columns if c not in leading]
    complete = frame[leading + others].reset_index(drop=True)
    return Runs(complete, raw.name, tuple(notes), derived, raw.card, observed, response)


@dataclass(frozen=True)
class _Named:
    """A raw table and which of its columns is what, to name places in it in messages."""

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

    def place(self, row: int, name: str) -> str:
        column = self.column_of.get(name, name)
        read_as = f" (read as {name})" if column != name else ""
        return f"{self.name}, {self.row_word} {row}, column {quoted(column)}{read_as}"


def _find_columns(
    raw: RawTable, mapping: Mapping[str, str], needs: Sequence[str]
) -> dict[str, str]:
    """Return which column of the table each name of the vocabulary is."""
    present = list(raw.frame.columns)
    known = list(dict.fromkeys((*ALIASES, *needs)))
    chosen = _mapped(raw, mapping, known)
    for name, aliases in ALIASES.items():
        if name in chosen:
            continue
        candidates = [c for c in present if key_of(c) in aliases and c not in chosen.values()]
        if name in candidates or _are_one(raw.frame[candidates]):
            candidates = [name if name in candidates else candidates[0]]
        # Which of several is the label of a run, say, makes no difference to a fit.
        if len(candidates) > 1 and name in (*OBSERVED, *needs):
            raise RunsError(
                f"{raw.name}: the columns {listed(map(quoted, candidates))} could each be {name}. "
                f"Say which with columns={{{name!r}: ...}} (--column {name}=NAME)."
            )
        if candidates:
            chosen[name] = candidates[0]
    left = [column for column in present if column not in chosen.values()]
    missing = _missing(chosen, left, needs)
    if missing:
        example = listed([missing if missing in known else "n_params"])
        similar = [c for c in left if missing in known and _is_similar(c, missing)]
        perhaps = f" Is it {' or '.join(map(quoted, similar[:3]))}?" if similar else ""
        raise RunsError(
            f"{raw.name}: the column for {listed([missing])} is missing; the columns are "
            f"{listed(present)}.{perhaps} Name it with columns= (--column {example}=NAME)."
        )
    return chosen


def _mapped(raw: RawTable, mapping: Mapping[str, str], known: Sequence[str]) -> dict[str, str]:
    """Return the columns that the user names, or raise RunsError."""
    if not isinstance(mapping, Mapping):
        raise RunsError(
            f"columns=: found {quoted(mapping)}, expected a mapping such as "
            "{'n_params': 'my column'}."
        )
    present = list(raw.frame.columns)
    for name, column in mapping.items():
        if name not in known:
            hint = did_you_mean(str(name), known)
            raise RunsError(
                f"columns={{{quoted(name)}: ...}}: expected one of {', '.join(known)}.{hint}"
            )
        if column not in present:
            hint = did_you_mean(str(column), present)
            raise RunsError(
                f"{raw.name}: found no column {quoted(column)} for {name}; the columns are "
                f"{listed(present)}.{hint}"
            )
        also = [other for other in mapping if other != name and mapping[other] == column]
        if also:
            raise RunsError(
                f"columns=: found the column {quoted(column)} for both {name} and {also[0]}; "
                "expected another for each."
            )
    return dict(mapping)


def _is_similar(column: str, name: str) -> bool:
    """Say whether a column's name holds the vocabulary's word, as ``cd_val_loss`` does ``loss``."""
    return name.removeprefix("n_") in key_of(column)


def _rename(named: _Named, needs: Sequence[str]) -> pd.DataFrame:
    """Return the table under the vocabulary's names; other columns keep theirs."""
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
    """Return the names of families as texts; each run needs one."""
    empty = column.index[column.map(is_nothing).to_numpy(dtype=bool)]
    if len(empty):
        raise RunsError(
            f"{raw.place(empty[0], 'family')}: found nothing, expected the name of a family. Name "
            "one for each run, or rename the column."
        )
    return column.map(plain_text)


def _missing(chosen: Mapping[str, str], present: Sequence[str], needs: Sequence[str]) -> str:
    """Say which column is missing, if one is: two of N, D and C give the third."""
    amounts = [name for name in AMOUNTS if name in chosen]
    for name in needs:
        if name in AMOUNTS and name not in chosen and len(amounts) < 2:
            return f"two of n_params, n_tokens and compute (found {', '.join(amounts) or 'none'})"
        if name not in AMOUNTS and name not in chosen and name not in present:
            return name
    return ""


def _are_one(columns: pd.DataFrame) -> bool:
    """Say whether several columns hold the same, so that it does not matter which is meant."""
    numbers = [columns[name].map(_as_float) for name in columns]
    return len(numbers) > 1 and all(
        numbers[0].notna().all() and numbers[0].equals(other) for other in numbers[1:]
    )


def _numeric_if_possible(column: "pd.Series[Any]") -> "pd.Series[Any]":
    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError, OverflowError):
        return column


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
    text = f"{count} flagged outliers left out{why}; keep_outliers=True keeps them"
    return frame[~flagged], (Note(text, "left out", (column,), rows),)


def _numbers(column: "pd.Series[Any]", name: str, raw: _Named) -> NDArray[np.float64]:
    """Parse a column of amounts or losses; the first bad values are named with their rows."""
    values = np.array([_as_float(value) for value in column])
    is_bool = column.map(lambda v: isinstance(v, bool | np.bool_)).to_numpy(dtype=bool)
    doubtful = np.flatnonzero(~np.isfinite(values) | (values <= 0) | is_bool)
    wrong: list[str] = []
    for i in map(int, doubtful):
        row = int(column.index[i])
        found = column.iloc[i]
        if name not in MEASURED:
            quantity: Quantity = "compute" if name == "compute" else "count"
            try:
                values[i] = parse_amount(found, quantity, raw.place(row, name))
            except AmountError as error:
                wrong.append(str(error))
        else:
            shown = "nothing" if is_nothing(found) else quoted(found)
            comma = " Write a decimal point." if _has_decimal_comma(found) else ""
            wrong.append(
                f"{raw.place(row, name)}: found {shown}, expected a positive finite {name}.{comma}"
            )
    if wrong:
        raise RunsError(_first_few(wrong) + " Correct or remove the row.")
    return values


def _has_decimal_comma(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"\s*\d+,\d+\s*", value))


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _first_few(messages: Sequence[str], most: int = 3) -> str:
    shown = " ".join(messages[:most])
    rest = len(messages) - most
    return shown + (f" And {rest} more like these." if rest > 0 else "")


def _complete(
    frame: pd.DataFrame, derived: dict[str, str], raw: _Named, tolerance: float
) -> list[Note]:
    """Fill in the missing one of N, D and C, or compare all three."""
    k = six_nd.flop_per_param_token
    if len([name for name in AMOUNTS if name in frame]) < 2:
        return []
    if "compute" not in frame:
        frame["compute"] = six_nd(frame["n_params"], frame["n_tokens"])
        derived["compute"] = "6 n_params n_tokens"
    elif "n_tokens" not in frame:
        frame["n_tokens"] = frame["compute"] / (k * frame["n_params"])
        derived["n_tokens"] = "compute / (6 n_params)"
    elif "n_params" not in frame:
        frame["n_params"] = frame["compute"] / (k * frame["n_tokens"])
        derived["n_params"] = "compute / (6 n_tokens)"
    else:
        _warn_if_inconsistent(frame, raw, tolerance)
    return [
        Note(f"{name} derived as {rule}", "derived", (name,))
        for name, rule in derived.items()
        if name in AMOUNTS
    ]


def _warn_if_inconsistent(frame: pd.DataFrame, raw: _Named, tolerance: float) -> None:
    ratio = (frame["compute"] / six_nd(frame["n_params"], frame["n_tokens"])).to_numpy()
    off = np.flatnonzero(np.abs(ratio - 1) > tolerance)
    if len(off):
        rows = ", ".join(
            f"{raw.row_word} {frame.index[i]} (C / 6ND = {format_number(float(ratio[i]), 3)})"
            for i in off[:5]
        )
        more = f" and {len(off) - 5} more" if len(off) > 5 else ""
        warnings.warn(
            f"{raw.name}: compute differs from 6ND by more than {format_share(tolerance)} in "
            f"{len(off)} of {len(frame)} runs: {rows}{more}. Sizes and tokens are fitted as "
            "given; check how compute or parameters were counted.",
            BayescaleWarning,
            stacklevel=4,
        )


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
    # As texts, so that labels of any kind, lists even, can be compared.
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
