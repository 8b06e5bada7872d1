"""Which column of a table is what: by the names that people and tools give them, or as told."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bayescale.data.readers import RawTable
from bayescale.data.runs import AMOUNTS, MEASURED, OBSERVED
from bayescale.data.wandb import key_of
from bayescale.errors import AmountError, RunsError, did_you_mean, listed, quoted
from bayescale.units import parse_amount

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
        "loss": "loss l loss_nats val_loss validation_loss final_loss eval_loss test_loss "
        "valid_loss",
        "error": "error error_rate err",
        "bleu": "bleu bleu_score sacrebleu",
    }.items()
}
"""Names that people and tools give these columns, compared by `bayescale.data.wandb.key_of`."""


def find_columns(raw: RawTable, mapping: Mapping[str, str], needs: Sequence[str]) -> dict[str, str]:
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
        if len(candidates) > 1 and name not in MEASURED:
            # A label such as "1_5b" beside the number that it is of.
            candidates = [c for c in candidates if _are_amounts(raw.frame[c])] or candidates
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
        how = f" (it was {'; '.join(raw.notes)})" if raw.notes else ""
        perhaps = f" Is it {' or '.join(map(quoted, similar[:3]))}?" if similar else ""
        raise RunsError(
            f"{raw.name}: the column for {listed([missing])} is missing; the columns are "
            f"{listed(present)}{how}.{perhaps} Name it with columns= (--column {example}=NAME)."
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


def _missing(chosen: Mapping[str, str], present: Sequence[str], needs: Sequence[str]) -> str:
    """Say which column is missing, if one is: two of N, D and C give the third."""
    amounts = [name for name in AMOUNTS if name in chosen]
    for name in needs:
        if name in AMOUNTS and name not in chosen and len(amounts) < 2:
            return f"two of n_params, n_tokens and compute (found {', '.join(amounts) or 'none'})"
        repeated = name == "n_unique_tokens" and "epochs" in chosen
        if name not in AMOUNTS and name not in chosen and name not in present and not repeated:
            return name
    return ""


def _are_one(columns: pd.DataFrame) -> bool:
    """Say whether several columns hold the same, so that it does not matter which is meant."""
    numbers = [columns[name].map(as_float) for name in columns]
    return len(numbers) > 1 and all(
        numbers[0].notna().all() and numbers[0].equals(other) for other in numbers[1:]
    )


def _are_amounts(column: "pd.Series[Any]") -> bool:
    """Say whether a column holds nothing but amounts, as numbers or as people write them."""
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


def as_float(value: Any) -> float:
    """Return a plain number, or NaN for whatever is none."""
    if isinstance(value, str) and "_" in value:
        return math.nan  # float reads 1_5 as 15; what may be an amount is `parse_amount`'s
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
