"""Columns of mixtures of experts: their number, how many are active, and their granularity."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.data.amounts import numbers_of
from bayescale.data.named_table import NamedTable, first_few
from bayescale.data.numbers import as_float
from bayescale.errors import RunsError, quoted
from bayescale.units import per_cent_of

type Array = NDArray[np.float64]

ALIASES: Mapping[str, frozenset[str]] = {
    name: frozenset(aliases.split())
    for name, aliases in {
        "n_experts": "n_experts num_experts experts num_local_experts n_routed_experts "
        "total_experts num_total_experts",
        "n_active_experts": "n_active_experts num_active_experts active_experts top_k topk "
        "moe_top_k num_experts_per_tok num_experts_per_token experts_per_token",
        "activation_ratio": "activation_ratio expert_activation_ratio",
        "sparsity": "sparsity expert_sparsity moe_sparsity",
        "granularity": "granularity expert_granularity moe_granularity",
    }.items()
}
"""Common names of columns of experts, which are renamed only for laws of experts."""

OF_TOTAL_SIZE = frozenset({"activation_ratio", "granularity"})
"""Inputs of laws whose size counts all parameters, not only those active for a token."""

_ROUNDING = 0.01
"""Difference up to which a sparsity and numbers of experts agree."""


def aliases_for(needs: Collection[str]) -> Mapping[str, frozenset[str]]:
    """Return the aliases of columns of experts if a law of experts needs one, else none."""
    return ALIASES if set(needs) & {"n_experts", *OF_TOTAL_SIZE} else {}


def gives_activation(names: Collection[str]) -> bool:
    """Return whether the activation ratio can be derived from columns of these names."""
    return "sparsity" in names or {"n_experts", "n_active_experts"} <= set(names)


def derive_activation(
    frame: pd.DataFrame, derived: dict[str, str], wanted: Collection[str], raw: NamedTable
) -> None:
    """Add the activation ratio, from a sparsity or from numbers of experts, if it is wanted."""
    name, numbers = "activation_ratio", ("n_active_experts", "n_experts")
    if name not in wanted or name in frame:
        return
    counted = None
    if set(numbers) <= set(frame):
        active, total = (numbers_of(frame[column], column, raw, None) for column in numbers)
        _refuse_more_active(frame, active, total, raw)
        counted, rule = active / total, "n_active_experts / n_experts"
    if "sparsity" in frame:
        stated = 1.0 - _sparsities(frame["sparsity"], raw)
        if counted is not None:
            _refuse_contradiction(frame, stated, counted, raw)
        counted, rule = (stated, "1 - sparsity") if counted is None else (counted, rule)
    frame[name] = counted
    derived[name] = rule


def _sparsities(column: "pd.Series[Any]", raw: NamedTable) -> Array:
    values = np.array([_share(value) for value in column])
    wrong = [
        f"{raw.place(column.index[i], 'sparsity')}: found {quoted(column.iloc[i])}, expected the "
        "share of inactive experts, from 0 and below 1, such as 0.875 or '87.5 %'."
        for i in map(int, np.flatnonzero(~((values >= 0.0) & (values < 1.0))))
    ]
    if wrong:
        raise RunsError(first_few(wrong) + " Correct or remove the row.")
    return values


def _share(value: object) -> float:
    per_cent = per_cent_of(value) if isinstance(value, str) else None
    if isinstance(value, bool | np.bool_):
        return math.nan
    return as_float(value) if per_cent is None else per_cent / 100.0


def _refuse_more_active(frame: pd.DataFrame, active: Array, total: Array, raw: NamedTable) -> None:
    wrong = [
        f"{raw.place(frame.index[i], 'n_active_experts')}: found {active[i]:g} "
        f"active of {total[i]:g} experts, expected at least 1 and at most all."
        for i in map(int, np.flatnonzero((active > total) | (active < 1.0)))
    ]
    if wrong:
        raise RunsError(first_few(wrong) + " Correct or remove the row.")


def _refuse_contradiction(
    frame: pd.DataFrame,
    stated: Array,
    counted: Array,
    raw: NamedTable,
) -> None:
    differs = np.flatnonzero(np.abs(stated - counted) > _ROUNDING)
    if len(differs):
        i = int(differs[0])
        raise RunsError(
            f"{raw.place(frame.index[i], 'sparsity')}: found {1.0 - stated[i]:g}"
            f", but by the numbers of experts it is {1.0 - counted[i]:g} "
            f"({len(differs)} of {len(frame)} rows differ). Remove the column that is wrong."
        )
