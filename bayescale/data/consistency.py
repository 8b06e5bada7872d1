"""Check rows against each other and against the limits of plausible amounts."""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bayescale.costs import six_nd
from bayescale.data.column_units import BASES
from bayescale.data.columns import Columns
from bayescale.data.experts import OF_TOTAL_SIZE
from bayescale.data.headings import ACTIVE
from bayescale.data.named_table import NamedTable, first_few
from bayescale.data.notes import Note
from bayescale.data.plausibility import Finding
from bayescale.data.runs import AMOUNTS
from bayescale.data.wandb import key_of, plain_text
from bayescale.errors import BayescaleWarning, RunsError, listed, quoted
from bayescale.units import (
    format_count,
    format_number,
    format_scientific,
    format_share,
)


def notes_on_doubts(
    doubts: Sequence[Finding], raw: NamedTable, by_heading: Mapping[str, str]
) -> list[Note]:
    """Raise for impossible amounts, and warn of implausible ones.

    If units are from headings, implausible amounts raise too, since a heading may be misread.
    """
    if doubts and by_heading:
        units = "; ".join(
            f"{name} in {unit} (column {quoted(raw.column_of[name])}; if its values are in "
            f"{BASES.get(name, 'another unit')} already, --unit {name}={BASES.get(name, '...')})"
            for name, unit in by_heading.items()
        )
        raise RunsError(
            f"{raw.name}: {' '.join(doubt.found for doubt in doubts)} By the headings it was read "
            f"with {units}. State the unit of each with units= (--unit), which settles it."
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


def notes_on_compute(frame: pd.DataFrame, raw: NamedTable, tolerance: float) -> list[Note]:
    """Warn of runs whose compute differs from 6ND, if all three were given."""
    ratio = (frame["compute"] / six_nd(frame["n_params"], frame["n_tokens"])).to_numpy()
    differs = np.flatnonzero(~(np.abs(ratio - 1) <= tolerance))
    if not len(differs):
        return []
    rows = listed(
        [
            f"{raw.row_word} {frame.index[int(i)]} (C / 6ND = {format_number(float(ratio[i]), 3)})"
            for i in differs
        ],
        5,
    )
    sentence = (
        f"compute differs from 6ND by more than {format_share(tolerance)} in "
        f"{len(differs)} of {len(frame)} runs: {rows}. Sizes and tokens are fitted as "
        "given; check how compute or parameters were counted."
    )
    warnings.warn(f"{raw.name}: {sentence}", BayescaleWarning, stacklevel=3)
    return [Note(sentence, "counting", AMOUNTS, frame.index[differs])]


def notes_on_epochs(frame: pd.DataFrame, raw: NamedTable, tolerance: float) -> list[Note]:
    """Return a note on runs whose epochs contradict their unique tokens."""
    epochs = pd.to_numeric(frame["epochs"], errors="coerce").to_numpy(dtype=float)
    passes = (frame["n_tokens"] / frame["n_unique_tokens"]).to_numpy(dtype=float)
    # With less than one epoch, all tokens seen are unique.
    differs = np.flatnonzero(
        np.abs(np.maximum(passes, 1.0) / np.maximum(epochs, 1.0) - 1) > tolerance
    )
    if not len(differs):
        return []
    rows = listed(
        [
            f"{raw.row_word} {frame.index[int(i)]} ({format_number(float(passes[i]), 3)}, with "
            f"epochs {format_number(float(epochs[i]), 3)})"
            for i in differs
        ],
        3,
    )
    sentence = (
        f"n_unique_tokens is used, and 'epochs' is not, although n_tokens over n_unique_tokens "
        f"differs from it by more than {format_share(tolerance)} in {len(differs)} of {len(frame)} "
        f"runs: {rows}. Remove the column that is wrong."
    )
    warnings.warn(f"{raw.name}: {sentence}", BayescaleWarning, stacklevel=3)
    return [Note(sentence, "counting", ("n_unique_tokens", "epochs"), frame.index[differs])]


def notes_on_sparse_models(
    frame: pd.DataFrame,
    derived: Mapping[str, str],
    found: Columns,
    raw: NamedTable,
    wanted: Sequence[str],
) -> list[Note]:
    """Return a note if 6ND is of sizes that may count parameters not active for a token."""
    of_size = [name for name, rule in derived.items() if name in AMOUNTS and "n_params" in rule]
    if of_size and OF_TOTAL_SIZE & set(wanted):
        sentence = (
            f"{of_size[0]} is derived by C = 6ND of all parameters, though sparse models use a "
            "part of them for each token. Give a column of compute."
        )
        return [Note(sentence, "counting", (of_size[0], "n_params"))]
    column = found.of.get("n_params", "")
    if not of_size or not column or found.headings["n_params"].counted == ACTIVE:
        return []
    active = [
        other
        for other in found.others.get("n_params", ())
        if found.all_headings[other].counted == ACTIVE
    ]
    experts = [name for name in frame if key_of(str(name)) in _EXPERTS]
    numbers = [pd.to_numeric(frame[name], errors="coerce").max() for name in experts]
    if active:
        remedy = (
            f"They may be {quoted(active[0])}: columns={{'n_params': {quoted(active[0])}}} "
            f"(--column n_params={active[0]}) says so."
        )
    elif any(number > 1 for number in numbers):
        remedy = (
            f"By {quoted(experts[0])} these models are sparse: check that {quoted(column)} counts "
            "those alone."
        )
    else:
        return []
    sentence = (
        f"{of_size[0]} is derived by C = 6ND, in which N is the parameters active for a token. "
        f"{remedy}"
    )
    warnings.warn(f"{raw.name}: {sentence}", BayescaleWarning, stacklevel=3)
    return [Note(sentence, "counting", (of_size[0], "n_params"))]


_EXPERTS = frozenset(("n_experts", "num_experts", "experts", "num_local_experts"))


def refuse_above_uniform(loss: "pd.Series[float]", size: int, raw: NamedTable) -> None:
    """Raise for a loss above the logarithm of the size of the vocabulary."""
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
        raise RunsError(first_few(wrong) + " Check the unit, or leave out runs that diverged.")


def refuse_large_batches(frame: pd.DataFrame, raw: NamedTable) -> None:
    """Raise for batches of more tokens than the run has: less than one step."""
    if not {"batch_tokens", "n_tokens"} <= set(frame):
        return
    # A relative margin, since tokens may be computed as steps times batch.
    large = frame[frame["batch_tokens"] > 1.001 * frame["n_tokens"]]
    if len(large):
        wrong = [
            f"{raw.place(int(row), 'batch_tokens')}: found {format_count(batch)} tokens in a batch "
            f"of a run of {format_count(tokens)} tokens, expected one step or more."
            for row, batch, tokens in zip(
                large.index, large["batch_tokens"], large["n_tokens"], strict=True
            )
        ]
        raise RunsError(
            f"{first_few(wrong)} Check the units of both: units= (--unit NAME=UNIT) states them."
        )


def refuse_duplicates(
    frame: pd.DataFrame, raw: NamedTable, observed: Sequence[str], response: str
) -> None:
    """Raise for runs that are equal in all observed columns."""
    same = [c for c in ("family", *observed, response, "seed") if c in frame]
    # As texts, so that labels of any type, including lists, can be compared.
    labels = {c: frame[c].map(plain_text) for c in same if frame[c].dtype.kind not in "iuf"}
    repeated = frame.assign(**labels).duplicated(same, keep=False)
    if repeated.any():
        groups = frame.assign(**labels)[repeated].groupby(same, sort=False, dropna=False).groups
        pairs = [
            f"{raw.row_word}s {' and '.join(str(r) for r in rows)}" for rows in groups.values()
        ]
        first = frame[repeated].iloc[0]
        raise RunsError(
            f"{raw.name}: found the same run more than once ({first_few(pairs)}; "
            + ", ".join(f"{name} = {format_scientific(float(first[name]))}" for name in observed)
            + f", {response} = {float(first[response]):g}). "
            "Keep one of each; if they are repeats, tell them apart in a column seed."
        )
