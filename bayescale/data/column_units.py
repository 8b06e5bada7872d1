"""Units of columns, and their conversion to base units."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayescale.errors import AmountError, RunsError, quoted
from bayescale.units import parse_amount

BASES = {
    "n_params": "parameters",
    "n_tokens": "tokens",
    "n_unique_tokens": "tokens",
    "batch_tokens": "tokens/step",
    "n_steps": "steps",
    "compute": "FLOP",
    "loss": "nats/token",
    "error": "fraction",
}
"""The base unit of each column."""

_WORDS = {"thousand": "K", "million": "M", "billion": "B", "trillion": "T"}
_LABEL = re.compile(r"(?:nats|bits)/[a-z-]+")
_LOGARITHM = re.compile(r"log_?10(?:\b.*)?")
_PERPLEXITY = {"perplexity", "ppl"}
_PER_CENT = {"%", "percent", "per cent"}


@dataclass(frozen=True)
class ColumnUnit:
    """The unit of one column.

    Attributes
    ----------
    stated
        The unit as stated.
    base
        The unit after conversion.
    convert
        Converts values to the base unit, or None if no conversion is needed.
    """

    stated: str
    base: str
    convert: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None


def column_unit(column: str, unit: str, *, label: bool = False) -> ColumnUnit:
    """Parse the unit of a column.

    Parameters
    ----------
    column
        A column of the vocabulary.
    unit
        For amounts a suffix (``"M"``), a word (``"millions"``), an amount (``"EFLOP"``,
        ``"PF-days"``), ``"log10"`` or the base unit (``"tokens"``); for the loss
        ``"nats/token"``, ``"bits/token"``, ``"perplexity"``, or another unit such as
        ``"bits/byte"``, which is kept; for the error ``"%"``.
    label
        Whether an unknown unit of an amount is taken as a name for its base unit, as in
        ``n_tokens = "residues"``.

    Raises
    ------
    RunsError
        If the unit is unknown.

    Examples
    --------
    >>> column_unit("n_params", "M").convert(np.array([70.0, 160.0]))
    array([7.0e+07, 1.6e+08])
    >>> column_unit("loss", "bits/byte").base
    'bits/byte'
    """
    base = BASES.get(column, "1")
    if not isinstance(unit, str) or not re.search(r"[^\W\d_]|%", unit):
        raise RunsError(
            f"units={{{column!r}: ...}}: found {quoted(unit)}, expected {_expected(column)}."
        )
    text = " ".join(unit.split()).replace(" per ", "/")
    plain = text.lower()
    if plain == base.lower():
        return ColumnUnit(text, base)
    if column == "loss":
        return _loss_unit(text, plain)
    if column == "error" and plain in _PER_CENT:
        return ColumnUnit(text, base, lambda values: values / 100.0)
    if _LOGARITHM.fullmatch(plain):
        return ColumnUnit(text, base, lambda values: np.power(10.0, values))
    factor = _factor(column, plain)
    if factor is not None:
        if factor == 1.0:
            return ColumnUnit(text, base)
        return ColumnUnit(text, base, lambda values: factor * values)
    if label:
        return ColumnUnit(text, text)
    raise RunsError(
        f"units={{{column!r}: ...}}: found {quoted(unit)}, expected {_expected(column)}."
    )


def unit_of_name(column: str) -> str:
    """Return the unit of a loss that the name of its column implies, or an empty text.

    Parameters
    ----------
    column
        The name as normalised by `bayescale.data.wandb.key_of`.

    Examples
    --------
    >>> unit_of_name("val_bpb"), unit_of_name("ppl"), unit_of_name("loss")
    ('bits/byte', 'perplexity', '')
    """
    words = set(column.split("_"))
    if words & {"bpb"} or "bits_per_byte" in column:
        return "bits/byte"
    if words & {"bpc"} or "bits_per_char" in column:
        return "bits/character"
    return "perplexity" if words & _PERPLEXITY else ""


def _loss_unit(text: str, plain: str) -> ColumnUnit:
    if plain in _PERPLEXITY:
        return ColumnUnit(text, BASES["loss"], np.log)
    if plain == "bits/token":
        return ColumnUnit(text, BASES["loss"], lambda values: values * np.log(2.0))
    if _LABEL.fullmatch(plain):
        return ColumnUnit(text, plain)
    raise RunsError(f"units={{'loss': ...}}: found {quoted(text)}, expected {_expected('loss')}.")


def _factor(column: str, plain: str) -> float | None:
    """Return the conversion factor of a unit to the base unit, or None if it is not linear."""
    words = [_WORDS.get(word.removesuffix("s"), word) for word in plain.split() if word != "of"]
    amount = " ".join(words)
    try:
        return parse_amount(
            amount if amount[:1].isdigit() else f"1 {amount}",
            "compute" if column == "compute" else "count",
        )
    except AmountError:
        return None


def _expected(column: str) -> str:
    if column == "loss":
        return "nats/token, bits/token, perplexity, or a unit to be kept such as bits/byte"
    if column == "error":
        return "fraction or %"
    if column == "compute":
        return "FLOP, a multiple of it such as EFLOP, PF-days, or log10"
    return f"{BASES.get(column, 'none')}, K, M, B, T, or log10"
