"""Columns in which runs differ but which a model does not use."""

from typing import Any

import pandas as pd

from bayescale.data.catalog import model_cards
from bayescale.data.notes import Note
from bayescale.data.runs import Runs
from bayescale.data.wandb import key_of, plain_text
from bayescale.errors import listed, quoted
from bayescale.model.card import Model, load_model

_COUNTINGS = frozenset(("counting", "count", "counted", "counting_method", "params_counting"))
_UNIQUE = "n_unique_tokens"
_SHOWN = 4


def unused_columns(model: Model, runs: Runs) -> tuple[Note, ...]:
    """Return notes on label columns of the runs that a model does not use.

    Parameters
    ----------
    model
        The model.
    runs
        The runs.
    """
    table, notes = runs.table, []
    used = {*model.grouped_and_noted, *model.columns.values(), runs.response}
    others = []
    for name in table.columns:
        levels = _levels(table[name])
        if name in used or name == "run" or not levels:
            continue
        if name == "family":
            notes.append(_of_families(model, levels))
        elif key_of(name) in _COUNTINGS:
            said = (
                f"{quoted(name)} holds {len(levels)} ways of counting ({_few(levels)}), and all "
                "runs are fitted as one, though their sizes and compute are not comparable. Keep "
                "one."
            )
            notes.append(Note(said, "counting", [name]))
        else:
            others.append((name, levels))
    if others:
        said = "; ".join(f"{quoted(name)} ({_few(levels)})" for name, levels in others)
        said = (
            f"not used, though runs differ in it: {said}. A law may differ between levels: "
            "Model.pool (--pool COLUMN)."
        )
        notes.append(Note(said, "not used", [name for name, _ in others]))
    if _UNIQUE not in used:
        notes += _of_repeated_data(table)
    return tuple(notes)


def _levels(column: "pd.Series[Any]") -> list[str]:
    """Return the distinct labels of a column; none if every run has a different one."""
    if pd.api.types.is_numeric_dtype(column) or column.isna().all():
        return []
    levels = sorted(set(column.dropna().map(plain_text)))
    return levels if 1 < len(levels) <= len(column) / 2 else []


def _of_families(model: Model, levels: list[str]) -> Note:
    pooled = pooled_cards(model)
    instead = f" Cards in which they differ: {listed(pooled)}." if pooled else ""
    return Note(
        f"{model.id} does not use 'family': its {len(levels)} families ({_few(levels)}) are "
        f"fitted as one.{instead}",
        "not used",
        ["family"],
    )


def _of_repeated_data(table: pd.DataFrame) -> list[Note]:
    """Return a note if runs repeat data, by their epochs or by their unique tokens."""
    for name in ("epochs", _UNIQUE):
        if name not in table or not pd.api.types.is_numeric_dtype(table[name]):
            continue
        epochs = table[name]
        if name == _UNIQUE:
            if "n_tokens" not in table:
                continue
            epochs = table["n_tokens"] / epochs
        # Unique tokens may be rounded.
        repeated = int((epochs > 1.01).sum())
        if repeated:
            use = "use it" if name == _UNIQUE else f"take it from {name}"
            said = (
                f"{quoted(name)} is not used: {repeated} of {len(table)} runs repeat data, as if "
                f"it were new. Laws of n_unique_tokens (data-constrained) {use}."
            )
            return [Note(said, "not used", [name])]
    return []


def pooled_cards(model: Model) -> list[str]:
    """Return the ids of other cards of the same law that pool by family."""
    return [
        name
        for name, path in model_cards().items()
        if name != model.id
        and (other := load_model(path)).law == model.law
        and "family" in other.grouped_and_noted
    ]


def _few(levels: list[str]) -> str:
    return listed((quoted(level) for level in levels), most=_SHOWN)
