"""Derive missing columns: the third of size, tokens and compute, and unique tokens."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bayescale.costs import six_nd
from bayescale.data.amounts import numbers_of
from bayescale.data.experts import derive_activation
from bayescale.data.named_table import NamedTable
from bayescale.data.notes import Note
from bayescale.data.runs import AMOUNTS
from bayescale.errors import RunsError
from bayescale.units import format_scientific


def derive_missing(
    frame: pd.DataFrame, derived: dict[str, str], wanted: Sequence[str], raw: NamedTable
) -> list[Note]:
    """Add the missing one of N, D and C, and unique tokens and activation ratios if they follow."""
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
        epochs = numbers_of(frame["epochs"], "epochs", raw, None)
        # With less than one epoch, all tokens seen are unique.
        frame[unique] = frame["n_tokens"] / np.maximum(epochs, 1.0)
        derived[unique] = "n_tokens / epochs"
        _refuse_extreme(frame, unique, ["n_tokens", "epochs"], raw)
    derive_activation(frame, derived, wanted, raw)
    return [
        Note(
            ": ".join(filter(None, [f"{name} derived as {rule}", CAVEATS.get(name)])),
            "derived",
            (name,),
        )
        for name, rule in derived.items()
        if name in (*AMOUNTS, unique, "activation_ratio")
    ]


CAVEATS = {"n_params": "the parameters active for a token where models are sparse"}


def _refuse_extreme(
    frame: pd.DataFrame, derived: str, given: Sequence[str], raw: NamedTable
) -> None:
    values = frame[derived].to_numpy(dtype=float)
    extreme = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(extreme):
        row = frame.iloc[extreme[0]]
        found = " and ".join(f"{name} = {format_scientific(float(row[name]))}" for name in given)
        raise RunsError(
            f"{raw.name}, {raw.row_word} {frame.index[extreme[0]]}: found {found}, from which "
            f"{derived} cannot be derived as a positive finite number. Correct or remove the row."
        )
