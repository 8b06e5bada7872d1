"""Map the columns of a table to standard names, by common aliases or a given mapping."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.data.column_units import column_unit
from bayescale.data.experts import OF_TOTAL_SIZE, aliases_for, gives_activation
from bayescale.data.headings import ACTIVE, Heading, read_heading
from bayescale.data.numbers import as_float
from bayescale.data.readers import RawTable
from bayescale.data.runs import AMOUNTS, MEASURED, OBSERVED
from bayescale.data.wandb import key_of, plain_text
from bayescale.errors import (
    AmountError,
    MissingColumnError,
    RunsError,
    did_you_mean,
    expect_mapping,
    listed,
    quoted,
)
from bayescale.units import parse_amount, quantity_of

ALIASES: Mapping[str, frozenset[str]] = {
    name: frozenset(aliases.split())
    for name, aliases in {
        "run": "run run_name run_id name id",
        "family": "family corpus recipe",
        "n_params": "n_params n parameters params num_params n_parameters num_parameters "
        "parameter_count param_count model_size size model_params total_params params_total",
        "n_tokens": "n_tokens d tokens num_tokens train_tokens training_tokens tokens_seen "
        "total_tokens tokens_processed dataset_size tokens_trained consumed_tokens "
        "num_input_tokens_seen train_num_input_tokens_seen throughput_total_tokens",
        "compute": "compute c flops flop training_flops training_flop train_flops total_flops "
        "compute_flops total_flos train_total_flos achieved_flops",
        "n_unique_tokens": "n_unique_tokens unique_tokens unique_data u",
        "epochs": "epochs num_epochs n_epochs",
        "n_steps": "n_steps steps s optimizer_steps optimiser_steps",
        "batch_tokens": "batch_tokens tokens_per_step batch_size_tokens",
        "learning_rate": "learning_rate lr peak_lr max_lr peak_learning_rate max_learning_rate",
        "loss": "loss l loss_nats val_loss validation_loss final_loss eval_loss test_loss "
        "valid_loss",
        "error": "error error_rate err",
        "bleu": "bleu bleu_score sacrebleu",
    }.items()
}
"""Common names of each standard column, compared after `bayescale.data.wandb.key_of`."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table by the quantities that they contain.

    Attributes
    ----------
    of
        The column of each standard name.
    headings
        The parsed heading of each of these columns, by standard name.
    all_headings
        The parsed heading of every column of the table.
    others
        By standard name, the other columns that could be the quantity.
    """

    of: Mapping[str, str]
    headings: Mapping[str, Heading]
    all_headings: Mapping[str, Heading]
    others: Mapping[str, tuple[str, ...]]

    def is_named(self, column: str, name: str) -> bool:
        """Return whether the heading of a column names a quantity."""
        return self.all_headings[column].quantity == name


def find_columns(raw: RawTable, mapping: Mapping[str, str], needs: Sequence[str]) -> Columns:
    """Return the column of the table for each standard name."""
    present = list(raw.frame.columns)
    aliases = {**ALIASES, **aliases_for(needs)}
    known = list(dict.fromkeys((*aliases, *needs)))
    chosen = _mapped(raw, mapping, known)
    headings = {column: read_heading(column, aliases) for column in present}
    wanted = (*OBSERVED, *needs)
    # A column that a law needs by its own name keeps it, even if the name has another meaning.
    own = [name for name in needs if name not in aliases and name in present]
    taken = {*chosen, *chosen.values()}
    chosen |= {name: name for name in own if name not in taken}
    for name in aliases:
        if name in chosen:
            continue
        candidates = [
            column
            for column in present
            if headings[column].quantity == name
            and column not in chosen.values()
            # A column that no law needs keeps its name, unless that is a common alias.
            and (name in wanted or key_of(column) in aliases[name])
        ]
        if name in candidates:
            candidates = [name]
        if name == "n_params" and OF_TOTAL_SIZE & set(needs):
            every = [c for c in candidates if headings[c].counted != ACTIVE]
            candidates = every or candidates
        if len(candidates) > 1 and name not in MEASURED:
            # Prefer the numeric column to a label of the same amount, such as "1_5b".
            candidates = [c for c in candidates if _are_amounts(raw.frame[c])] or candidates
        first = min((headings[c].rank for c in candidates), default=0)
        candidates = [c for c in candidates if headings[c].rank == first]
        if same := _preferred_duplicate(raw.frame, candidates, name, headings):
            candidates = [same]
        # Ambiguity only matters for columns that enter a fit.
        if len(candidates) > 1 and name in wanted:
            raise RunsError(
                f"{raw.name}: the columns {listed(map(quoted, candidates))} could each be {name}. "
                f"Select one with columns={{{name!r}: ...}} (--column {name}=NAME)."
            )
        if candidates:
            chosen[name] = candidates[0]
    left = [column for column in present if column not in chosen.values()]
    missing = _missing(chosen, left, needs)
    if missing:
        raise MissingColumnError(_missing_message(raw, missing, chosen, needs, headings))
    return Columns(
        chosen,
        {name: headings[column] for name, column in chosen.items()},
        headings,
        {
            name: tuple(
                c for c in left if headings[c].quantity == name or _may_be_measurement(c, name)
            )
            for name in chosen
            if name in wanted
        },
    )


def _missing_message(
    raw: RawTable,
    missing: str,
    chosen: Mapping[str, str],
    needs: Sequence[str],
    headings: Mapping[str, Heading],
) -> str:
    """Return the message for a missing column, with the columns that it may be."""
    several = missing.startswith("two of ")
    of_amounts = several or missing in AMOUNTS
    example = next(name for name in AMOUNTS if name not in chosen) if several else missing
    left = [column for column in raw.frame.columns if column not in chosen.values()]
    similar = [c for c in left if _is_similar(c, example)]
    how = f" (it was {'; '.join(raw.notes)})" if raw.notes else ""
    hint = f" Is it {' or '.join(map(quoted, similar[:3]))}?" if similar else ""
    others = [c for c in left if missing == "loss" and headings[c].quantity == "error"]
    if others and not similar:
        hint = (
            f" {listed(map(quoted, others))} would be the error, which laws of the error take "
            "(error-from-loss), not the loss; a law of one variable takes it if it is named so."
        )
    first = raw.frame.iloc[:, 0].map(plain_text)
    if len({read_heading(text, ALIASES).quantity for text in first} & {*AMOUNTS, "loss"}) > 1:
        hint = " The rows look like the columns: transpose the table."
    elif missing == "activation_ratio":
        hint = (
            " It is derived from sparsity, the share of inactive experts, or from n_experts and "
            "n_active_experts (top_k)."
        )
    elif of_amounts:
        hint = hint or _in_text(raw.frame[left])
        hint += _similar_but_not_amounts(left, list(raw.frame.columns))
        if several and not set(AMOUNTS) & set(chosen) and len(needs) > 1:
            hint += (
                " A table of one variable, such as a loss against steps, is for forecast, or for a "
                "law of one variable (--model power-law-floor --column x=NAME)."
            )
    return (
        f"{raw.name}: the column for {listed([missing])} is missing; the columns are "
        f"{listed(raw.frame.columns)}{how}.{hint} Name it with columns= "
        f"(--column {listed([example])}=NAME)."
    )


def _in_text(frame: pd.DataFrame) -> str:
    """Return which column has amounts as text, such as ``"70M"`` as names of models."""
    texts = [c for c in frame if frame[c].map(as_float).isna().all()]
    amounts = [c for c in texts if _are_amounts(frame[c])]
    return "".join(f" Is it {quoted(c)} ({quoted(frame[c].iloc[0])})?" for c in amounts[:1])


_BYTES = re.compile(r"(?:^|[\s_(\[])(?:[kmgt]i?b|bytes)(?:$|[\s_)\]])", re.IGNORECASE)
_RATIOS = re.compile(r"(?:^|_)(?:tokens?|toks?)_?(?:per|/)_?param|(?:^|_)tpp(?:$|_)")
_STEPS = re.compile(r"(?:^|_)(?:steps?|iters?|iterations)(?:$|_)")
_SPEEDS = re.compile(r"(?:^|_)[gmt]flops?(?:$|_)")


def _similar_but_not_amounts(left: Sequence[str], present: Sequence[str]) -> str:
    """Return why columns whose names resemble amounts are not read as such."""
    reasons = ""
    if in_bytes := [c for c in left if _BYTES.search(c)]:
        reasons += (
            f" {listed(map(quoted, in_bytes[:3]))} is in bytes, which are neither parameters nor "
            "tokens."
        )
    if speeds := [c for c in left if _SPEEDS.search(key_of(c))]:
        reasons += (
            f" {listed(map(quoted, speeds[:3]))} may be of a forward pass or of a second; if it is "
            "of the whole training, name it as compute with its unit (--unit compute=GFLOP)."
        )
    if ratios := [c for c in left if _RATIOS.search(key_of(c))]:
        reasons += f" Tokens are {quoted(ratios[0])} times the parameters: add that as a column."
    elif any(_STEPS.search(key_of(c)) for c in present) and any("batch" in c for c in left):
        reasons += (
            " Tokens are steps times sequences a batch times the length of a sequence: add that as "
            "a column."
        )
    return reasons


def _mapped(raw: RawTable, mapping: Mapping[str, str], known: Sequence[str]) -> dict[str, str]:
    """Return the columns mapped by the user, or raise RunsError."""
    expect_mapping(mapping, "columns", "{'n_params': 'my column'}", RunsError)
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
    """Return whether a column's name contains a standard name, as ``cd_val_loss`` does ``loss``."""
    return name.removeprefix("n_") in key_of(column)


_SPREAD = re.compile(
    r"(?:^|_)(?:std(?:err)?|s[ed]|lower(?:95)?|upper(?:95)?|low|high|var|scale)(?:$|_)"
)


def _may_be_measurement(column: str, name: str) -> bool:
    """Return whether a column of unknown heading may be a measurement, such as ``aux_loss``."""
    spread = _SPREAD.search(key_of(column))
    return name in MEASURED and _is_similar(column, name) and not spread


def _missing(chosen: Mapping[str, str], present: Sequence[str], needs: Sequence[str]) -> str:
    """Return the name of a missing column, if any; two of N, D and C give the third."""
    amounts = [name for name in AMOUNTS if name in chosen]
    for name in needs:
        if name in AMOUNTS and name not in chosen and len(amounts) < 2:
            if len({*AMOUNTS} & {*needs}) == 1:
                return name
            return f"two of n_params, n_tokens and compute (found {', '.join(amounts) or 'none'})"
        derivable = (name == "n_unique_tokens" and "epochs" in chosen) or (
            name == "activation_ratio" and gives_activation(chosen)
        )
        if name not in AMOUNTS and name not in chosen and name not in present and not derivable:
            return name
    return ""


ROUNDING = 0.05
"""Relative difference up to which two columns in their units are the same but for rounding."""


def _preferred_duplicate(
    frame: pd.DataFrame, columns: Sequence[str], name: str, headings: Mapping[str, Heading]
) -> str:
    """Return one of several columns of the same amounts, or an empty text.

    Columns in one unit are the same if they are equal. In several units one may be rounded:
    numbers are preferred to text, and the base unit to others.
    """
    if len(columns) < 2:
        return ""
    units = [headings[column].unit for column in columns]
    values = [
        _in_base_unit(frame[column], name, unit)
        for column, unit in zip(columns, units, strict=True)
    ]
    is_text = [bool(frame[column].map(as_float).isna().any()) for column in columns]
    exact = name in MEASURED or len({*zip(units, is_text, strict=True)}) == 1
    if not all(
        np.allclose(values[0], other, rtol=0.0 if exact else ROUNDING, atol=0.0)
        for other in values[1:]
    ):
        return ""
    return min(columns, key=lambda column: (is_text[columns.index(column)], headings[column].unit))


def _in_base_unit(column: "pd.Series[Any]", name: str, unit: str) -> NDArray[np.float64]:
    """Return the amounts of a column, NaN where they cannot be parsed."""
    values = np.array([as_float(value) for value in column])
    if unit:
        try:
            convert = column_unit(name, unit).convert
        except RunsError:
            return np.full(len(values), math.nan)
        with np.errstate(all="ignore"):
            return convert(values) if convert else values
    for i in np.flatnonzero(np.isnan(values)):
        try:
            values[i] = parse_amount(column.iloc[i], quantity_of(name))
        except AmountError:
            continue
    return values


def _are_amounts(column: "pd.Series[Any]") -> bool:
    """Return whether a column has only amounts, as numbers or as text such as ``"70B"``."""
    for value in column:
        if not as_float(value) > 0:
            try:
                parse_amount(value, "compute")
            except AmountError:
                try:
                    parse_amount(value, "count")
                except AmountError:
                    return False
    return True
