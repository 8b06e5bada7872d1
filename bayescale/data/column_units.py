"""Units of columns, and their conversion to base units."""

import math
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
    "critical_batch": "tokens",
    "n_steps": "steps",
    "compute": "FLOP",
    "loss": "nats/token",
    "target_loss": "nats/token",
    "error": "fraction",
    "accuracy": "fraction",
}
"""The base unit of each column."""

_LOSSES = ("loss", "target_loss")

_WORDS = {"thousand": "K", "million": "M", "billion": "B", "trillion": "T"}
_LABEL = re.compile(r"(?:nats|bits)/[a-z-]+")
_LOGARITHM = re.compile(r"(log_?10|log_?2|ln)(?:\b.*)?")
_BASE = {"log10": 10.0, "log2": 2.0, "ln": math.e}
_PERPLEXITY = re.compile(r"(?:perplexity|ppl)(?:/([a-z]+))?")
_BITS_PER_TOKEN = {"bits/token", "bpt"}
_SHORT = {"bpb": "bits/byte", "bpc": "bits/character", "bpd": "bits/dim", "nats": "nats/token"}
_PER_CENT = {"%", "percent", "per cent", "pct"}
_ACCURACY = re.compile(r"acc(?:uracy)?(?:,? ?(?:in )?\(?(%|percent|per cent|pct)\)?)?")
_SI_WORDS = {
    **{"kilo": "k", "mega": "m", "giga": "g", "tera": "t"},
    **{"peta": "p", "exa": "e", "zetta": "z", "yotta": "y"},
}
_SI_WORD = re.compile(rf"^({'|'.join(_SI_WORDS)})(?=f)")


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
    rule
        The conversion, as text.
    """

    stated: str
    base: str
    convert: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    rule: str = ""


def column_unit(column: str, unit: str, *, label: bool = False) -> ColumnUnit:
    """Parse the unit of a column.

    Parameters
    ----------
    column
        The standard name of a column.
    unit
        For amounts a suffix (``"M"``), a word (``"millions"``), an amount (``"EFLOP"``,
        ``"PF-days"``), ``"log10"``, ``"ln"``, ``"log2"`` or the base unit (``"tokens"``); for
        the loss ``"nats/token"``, ``"bits/token"``, ``"log10"``, ``"perplexity"`` (of a token, or
        ``"perplexity/word"``), a unit of the error, or one that is kept, such as ``"bits/byte"``;
        for the error ``"%"``, ``"accuracy"`` or ``"accuracy %"``; for the accuracy ``"%"``.
    label
        Whether an unknown unit of an amount is a name of its base unit, as in
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
    if column in _LOSSES:
        return _loss_unit(text, plain)
    if column in ("error", "accuracy") and plain in _PER_CENT:
        return ColumnUnit(text, base, lambda values: values / 100.0, "value / 100")
    if column == "error" and (accuracy := _ACCURACY.fullmatch(plain)):
        return _of_accuracy(text, in_per_cent=bool(accuracy[1]))
    if logarithm := _of_logarithm(text, plain, base):
        return logarithm
    factor = _factor(column, plain)
    if factor is not None:
        if factor == 1.0:
            return ColumnUnit(text, base)
        return ColumnUnit(text, base, lambda values: factor * values, f"{factor:g} x value")
    if label:
        return ColumnUnit(text, text)
    raise RunsError(
        f"units={{{column!r}: ...}}: found {quoted(unit)}, expected {_expected(column)}."
    )


def _of_logarithm(text: str, plain: str, unit: str) -> ColumnUnit | None:
    """Return the unit of logarithms of amounts in a unit; None for other texts."""
    logarithm = _LOGARITHM.fullmatch(plain)
    if logarithm is None:
        return None
    base = _BASE[logarithm[1].replace("_", "")]
    return ColumnUnit(text, unit, lambda values: np.power(base, values), f"{base:.3g}^value")


def _of_accuracy(text: str, *, in_per_cent: bool) -> ColumnUnit:
    maximum = 100.0 if in_per_cent else 1.0
    rule = "1 - value / 100" if in_per_cent else "1 - value"
    return ColumnUnit(text, BASES["error"], lambda values: (maximum - values) / maximum, rule)


def _loss_unit(text: str, plain: str) -> ColumnUnit:
    """Return the unit of a loss, which may be an error: laws of one variable accept both."""
    if plain == BASES["error"] or plain in _PER_CENT or _ACCURACY.fullmatch(plain):
        return column_unit("error", text)
    plain = _SHORT.get(plain, plain)
    if plain == BASES["loss"]:
        return ColumnUnit(text, plain)
    if perplexity := _PERPLEXITY.fullmatch(plain):
        return ColumnUnit(text, f"nats/{perplexity[1] or 'token'}", np.log, "ln(value)")
    if logarithm := _of_logarithm(text, plain, BASES["loss"]):
        return logarithm
    if plain in _BITS_PER_TOKEN:
        return ColumnUnit(text, BASES["loss"], lambda values: values * np.log(2.0), "ln(2) x value")
    if _LABEL.fullmatch(plain):
        return ColumnUnit(text, plain)
    raise RunsError(f"units={{'loss': ...}}: found {quoted(text)}, expected {_expected('loss')}.")


def _factor(column: str, plain: str) -> float | None:
    """Return the conversion factor of a unit to the base unit, or None if it is not linear."""
    words = [_WORDS.get(word.removesuffix("s"), word) for word in plain.split() if word != "of"]
    amount = " ".join(words)
    if column == "compute":
        amount = _SI_WORD.sub(lambda match: _SI_WORDS[match[1]], amount)
        amount = re.sub(r"[ _-]*(days?)$", r"-\1", amount)
    try:
        return parse_amount(
            amount if amount[:1].isdigit() else f"1 {amount}",
            "compute" if column == "compute" else "count",
        )
    except AmountError:
        return None


def _expected(column: str) -> str:
    if column in _LOSSES:
        return (
            "nats/token, bits/token, perplexity, log10, a unit of an error (%, fraction, accuracy "
            "or accuracy %), or a unit to be kept such as bits/byte"
        )
    if column == "error":
        return "fraction, %, accuracy or accuracy %"
    if column == "accuracy":
        return "fraction or %"
    if column == "compute":
        return "FLOP, a multiple of it such as EFLOP, PF-days, or log10"
    return f"{BASES.get(column, 'none')}, K, M, B, T, or log10"
