"""Find impossible or implausible amounts, their rows, and a unit that would explain them.

The limits are far outside the range of trained models: none of 12 public tables with 16,000 runs
reaches one. They detect wrong units (sizes in millions, compute in EFLOP or as its logarithm,
perplexity for loss), which are off by factors of a thousand, not poor designs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.costs import six_nd
from bayescale.data.column_units import BASES, column_unit
from bayescale.data.runs import AMOUNTS
from bayescale.errors import listed
from bayescale.units import format_budget, format_count, format_number

FEWEST_PARAMS = 1e3
FEWEST_TOKENS_PER_PARAM = 1e-3
FEW_TOKENS_PER_PARAM = 1e-2
"""Implausible if more than `FEW_SHARE` of the runs have fewer; a few may be corners of a design."""
FEW_SHARE = 0.1
MOST_TOKENS_PER_PARAM = 1e6
LEAST_COMPUTE = 1e9
MOST_COMPUTE_RATIO = 300.0
"""Largest factor between compute and 6ND, as for sparse models with all parameters counted."""
ISOLATED = 100.0
"""Factor in tokens per parameter between a few rows and all others that no design reaches."""
OTHER_UNIT = 1e4
"""Factor between the other rows' amounts and impossible ones that implies another unit."""
FEWEST_TO_COMPARE = 5
"""Smallest number of runs in which one can be isolated."""
MOST_LOSS = 12.5
"""Nats per token; the loss of a uniform guess among 268,000 tokens."""
LOW_LOSS = (0.5, 1.4)
"""Range of the losses of language models in bits per byte."""
TYPICAL_TOKENS_PER_PARAM = 30.0
AS_LIKELY = 1.0
"""Difference in score, such as of one column in another unit, between units that are both named."""

_SIZES = {"": 0, "M": 1, "B": 2, "K": 3, "log10": 3}
_TOKENS = {"": 0, "B": 1, "M": 2, "T": 2, "K": 3, "log10": 3}
_COMPUTES = {
    **{"": 0, "EFLOP": 1, "log10": 1, "PF-days": 2, "ZFLOP": 2},
    **{"PFLOP": 3, "TFLOP": 3, "GFLOP": 3},
}
_UNITS = {"n_params": _SIZES, "n_tokens": _TOKENS, "compute": _COMPUTES}
"""Common units of columns, with smaller ranks for more common ones."""

_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """Something implausible in a table of runs.

    Attributes
    ----------
    column
        The column whose unit should be stated, or confirmed.
    rows
        The rows, as counted in the source.
    found
        The finding, as a sentence.
    impossible
        Whether the values are impossible, rather than implausible.
    units
        Units, by column, that would explain the values; empty if none does.
    reading
        The values in those units, or their difference from the other rows, as text.
    otherwise
        Other units of the same columns that explain the values as well; empty if none do.
    other_reading
        The values in those other units, in words.
    """

    column: str
    rows: tuple[int, ...]
    found: str
    impossible: bool
    units: Mapping[str, str] = field(default_factory=dict)
    reading: str = ""
    otherwise: Mapping[str, str] = field(default_factory=dict)
    other_reading: str = ""

    @property
    def advice(self) -> str:
        """How to state or confirm the unit."""
        base = BASES[self.column]
        if self.units:
            first = f"{self.reading}: {_statement(self.units)} says so. "
            if self.otherwise:
                first += f"{self.other_reading}: {_statement(self.otherwise)}. "
        else:
            reading = f"{self.reading} " if self.reading else ""
            first = f"{reading}Correct the rows, or leave them out. "
        return (
            f"{first}If the values are correct, confirm their unit with "
            f"units={{{self.column!r}: {base!r}}} (--unit {self.column}={base})."
        )

    @property
    def sentence(self) -> str:
        """The finding and the advice."""
        return f"{self.found} {self.advice}"


def _statement(units: Mapping[str, str]) -> str:
    """Return how to state units, in Python and on the command line."""
    stated = ", ".join(f"{name!r}: {unit!r}" for name, unit in units.items())
    flags = " ".join(f"--unit {name}={unit}" for name, unit in units.items())
    return f"units={{{stated}}} ({flags})"


def implausible(
    frame: pd.DataFrame,
    *,
    given: Sequence[str],
    confirmed: Sequence[str] = (),
    stated: Sequence[str] = (),
    row_word: str = "row",
) -> tuple[Finding, ...]:
    """Return implausible amounts of a table in base units, indexed as its source counts rows.

    Parameters
    ----------
    frame
        A table with standard columns; those of `AMOUNTS` and ``loss`` are checked.
    given
        The amounts that were given, rather than derived.
    confirmed
        Columns whose values the user confirmed.
    stated
        Columns with a stated unit, for which no other is proposed.
    row_word
        What the index counts: lines or rows.
    """
    amounts = {name: frame[name].to_numpy(dtype=float) for name in AMOUNTS if name in frame}
    rows = _Rows(frame.index, row_word)
    with np.errstate(all="ignore"):  # ratios of extreme amounts may be zero or infinite
        return _implausible(frame, amounts, rows, given, confirmed, stated)


def _implausible(
    frame: pd.DataFrame,
    amounts: Mapping[str, NDArray[np.float64]],
    rows: "_Rows",
    given: Sequence[str],
    confirmed: Sequence[str],
    stated: Sequence[str],
) -> tuple[Finding, ...]:
    found = [f for f in _check_amounts(amounts, given, rows) if f.column not in confirmed]
    if found:
        values = {name: amounts[name] for name in given if name in amounts}
        found = [_compared_with_others(f, values, rows) for f in found]
        mixed = any(f.reading for f in found)
        units, *others = [{}] if mixed else _fitting_units(values, rows, stated)
        reading = f"I{_reading(values, units)[1:]}" if units else ""
        found.sort(key=lambda f: not f.impossible)
        found = [replace(f, units=units, reading=f.reading or reading) for f in found]
        for other in others:
            text = f"Or {_reading(values, other)}"
            found = [replace(f, otherwise=other, other_reading=text) for f in found]
        # If a unit explains all findings, the first one is enough.
        found = found[:1] if units else found
    if "loss" in frame and "loss" not in confirmed:
        in_loss = _check_loss(frame["loss"].to_numpy(dtype=float), amounts, rows)
        # With a stated unit, only losses above the limit are reported.
        found += in_loss if "loss" not in stated else [f for f in in_loss if not f.units]
    return tuple(found)


@dataclass(frozen=True)
class _Rows:
    """Row numbers of the source, as numbers and as text."""

    index: "pd.Index[int]"
    word: str

    def numbers(self, mask: NDArray[np.bool_]) -> tuple[int, ...]:
        return tuple(int(row) for row in self.index[mask])

    def text(self, mask: NDArray[np.bool_]) -> str:
        if mask.all():
            return f"all {len(mask)} runs"
        numbers = self.numbers(mask)
        return f"{self.word}{'s' if len(numbers) > 1 else ''} {listed(numbers, _SHOWN)}"


def _check_amounts(
    amounts: Mapping[str, NDArray[np.float64]], given: Sequence[str], rows: _Rows
) -> list[Finding]:
    sizes, tokens, compute = (amounts.get(name) for name in AMOUNTS)
    found: list[Finding] = []

    def add(column: str, mask: NDArray[np.bool_], impossible: bool, say: Callable[[], str]) -> None:
        if mask.any():
            column = column if column in given else "compute"
            sentence = f"{rows.text(mask).capitalize()}: {say()}"
            found.append(Finding(column, rows.numbers(mask), sentence, impossible))

    if sizes is not None:
        of_sizes, small = sizes, sizes < FEWEST_PARAMS
        add(
            "n_params",
            small,
            True,
            lambda: (
                f"{_described('n_params', given)} of {_span(of_sizes[small], format_count)}, and "
                f"no model has fewer than {FEWEST_PARAMS:,.0f}."
            ),
        )
    if sizes is not None and tokens is not None:
        of_tokens, ratio = tokens, tokens / sizes
        none = tokens < 1.0
        add("n_tokens", none, True, lambda: f"{_described('n_tokens', given)} below one.")
        few = ratio < FEWEST_TOKENS_PER_PARAM
        if np.mean(ratio < FEW_TOKENS_PER_PARAM) > FEW_SHARE:
            few = ratio < FEW_TOKENS_PER_PARAM
        few &= ~none
        many = ratio > MOST_TOKENS_PER_PARAM
        for mask, impossible, than in ((few, True, "fewer"), (many, False, "more")):
            add(
                "n_tokens",
                mask,
                impossible,
                lambda mask=mask, than=than: (  # type: ignore[misc]
                    f"{_span(ratio[mask], _digits)} tokens per parameter, {than} than any model "
                    f"({_described('n_tokens', given)} of {_span(of_tokens[mask], format_count)})."
                ),
            )
        if not found:
            found += _isolated(amounts, ratio, given, rows)
    if compute is not None and "compute" in given:
        of_compute = compute
        if sizes is not None and tokens is not None and {"n_params", "n_tokens"} <= set(given):
            middle = float(np.median(compute / six_nd(sizes, tokens)))
            if not 1.0 / MOST_COMPUTE_RATIO < middle < MOST_COMPUTE_RATIO:
                add(
                    "compute",
                    np.ones(len(compute), dtype=bool),
                    False,
                    lambda: f"compute is {_digits(middle)} times 6ND in the median run.",
                )
        little = compute < LEAST_COMPUTE
        add(
            "compute",
            little,
            False,
            lambda: (
                f"compute of {_span(of_compute[little], format_budget)}, less than any training."
            ),
        )
    return found


def _isolated(
    amounts: Mapping[str, NDArray[np.float64]],
    ratio: NDArray[np.float64],
    given: Sequence[str],
    rows: _Rows,
) -> list[Finding]:
    """Return findings on a few rows whose tokens per parameter are far from all others."""
    if len(ratio) < FEWEST_TO_COMPARE:
        return []
    logs, order = np.log(ratio), np.argsort(ratio)
    limit = max(1, int(FEW_SHARE * len(ratio)))
    found = []
    for from_end in (order, order[::-1]):
        gaps = np.abs(np.diff(logs[from_end[: limit + 1]]))
        wide = np.flatnonzero(gaps > math.log(ISOLATED))
        if not len(wide):
            continue
        mask = np.zeros(len(ratio), dtype=bool)
        mask[from_end[: wide[-1] + 1]] = True
        # Report the amount that is farther from those of the other rows.
        distances = {
            name: abs(np.log(np.median(amounts[name][mask]) / np.median(amounts[name][~mask])))
            for name in given
            if name in amounts
        }
        column = max(distances, key=lambda name: distances[name])
        found.append(
            Finding(
                column,
                rows.numbers(mask),
                f"{rows.text(mask).capitalize()}: {_span(ratio[mask], _digits)} tokens per "
                f"parameter, where the other runs have {_span(ratio[~mask], _digits)}; look at "
                f"{column}.",
                False,
            )
        )
    return found


def _compared_with_others(
    finding: Finding, values: Mapping[str, NDArray[np.float64]], rows: _Rows
) -> Finding:
    """Return a finding, with a sentence if its rows are in another unit than the others."""
    if not finding.impossible or finding.column not in values:
        return finding
    mask, column = np.isin(rows.index, finding.rows), values[finding.column]
    if mask.all() or np.median(column[~mask]) < OTHER_UNIT * np.median(column[mask]):
        return finding
    others = _span(column[~mask], format_count)
    return replace(
        finding,
        reading=f"The other rows have {others}: write all of {finding.column} in one unit.",
    )


def _check_loss(
    losses: NDArray[np.float64], amounts: Mapping[str, NDArray[np.float64]], rows: _Rows
) -> list[Finding]:
    high = losses > MOST_LOSS
    if high.any():
        sentence = (
            f"{rows.text(high).capitalize()}: loss of {_span(losses[high], _digits)}, worse than a "
            "uniform guess in nats/token."
        )
        finding = Finding("loss", rows.numbers(high), sentence, False)
        logs = np.log(losses)
        if np.mean(high) > 0.5 and logs.min() > 0 and logs.max() < MOST_LOSS:
            reading = f"As perplexity it is {_span(logs, _digits)} nats/token"
            if losses.max() <= 100.0:
                reading += " (an error in per cent is --unit loss=%)"
            finding = replace(finding, units={"loss": "perplexity"}, reading=reading)
        return [finding]
    sizes = amounts.get("n_params")
    low, top = LOW_LOSS
    if sizes is not None and sizes.min() >= 1e6 and low < losses.min() and losses.max() < top:
        text = (
            f"All {len(losses)} runs: loss of {_span(losses, _digits)}, lower than language models "
            "of such sizes reach in nats/token."
        )
        everywhere = np.ones(len(losses), dtype=bool)
        reading = "It may be in bits per byte"
        return [
            Finding("loss", rows.numbers(everywhere), text, False, {"loss": "bits/byte"}, reading)
        ]
    return []


def _fitting_units(
    values: Mapping[str, NDArray[np.float64]], rows: _Rows, stated: Sequence[str]
) -> list[dict[str, str]]:
    """Return the most common units in which no amount is implausible; empty if there are none.

    If logarithms of the same columns explain them almost as well, or other units if logarithms
    are the most common, these follow: EFLOP from 18 to 20 may be log10 of FLOP.
    """
    names = list(values)
    choices = [[""] if name in stated else list(_UNITS[name]) for name in names]
    fitting: list[tuple[float, dict[str, str]]] = []
    for units in product(*choices):
        changed = {name: unit for name, unit in zip(names, units, strict=True) if unit}
        if not changed:
            continue
        amounts = _completed(
            {name: _converted(name, values[name], changed.get(name, "")) for name in names}
        )
        if not all(np.all(np.isfinite(v) & (v > 0)) for v in amounts.values()):
            continue
        if _check_amounts(amounts, names, rows):
            continue
        unlikely = sum(_UNITS[name][unit] for name, unit in changed.items()) / 4.0
        score = len(changed) + unlikely + _distance(amounts, all_given=len(names) == len(AMOUNTS))
        fitting.append((score, changed))
    if not fitting:
        return [{}]
    least, best = min(fitting, key=lambda scored: scored[0])
    rivals = [
        (score, units)
        for score, units in fitting
        if units.keys() == best.keys()
        and score < least + AS_LIKELY
        and _logarithms(units) != _logarithms(best)
    ]
    return [best, *(units for _, units in sorted(rivals, key=lambda scored: scored[0])[:1])]


def _logarithms(units: Mapping[str, str]) -> set[str]:
    """Return the columns that are logarithms in these units."""
    return {name for name, unit in units.items() if unit == "log10"}


def _distance(amounts: Mapping[str, NDArray[np.float64]], *, all_given: bool) -> float:
    """Return the distance from typical amounts (factors of 1000) and from 6ND (factors of 2)."""
    if all_given:
        ratio = amounts["compute"] / six_nd(amounts["n_params"], amounts["n_tokens"])
        return float(np.median(np.abs(np.log(ratio)))) / math.log(2.0)
    if "n_params" in amounts and "n_tokens" in amounts:
        ratio = float(np.median(amounts["n_tokens"] / amounts["n_params"]))
        return float(abs(np.log(ratio / TYPICAL_TOKENS_PER_PARAM))) / math.log(1e3)
    typical = {"n_params": 1e9, "n_tokens": 2e10, "compute": 1e20}
    return sum(
        float(abs(np.log(np.median(values) / typical[name]))) / math.log(1e12)
        for name, values in amounts.items()
    )


def _converted(name: str, values: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    if not unit:
        return values
    convert = column_unit(name, unit).convert
    return values if convert is None else convert(values)


def _completed(values: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Return amounts, with the third by C = 6ND if two are given."""
    known, k = dict(values), six_nd.flop_per_param_token
    if set(known) == {"n_params", "compute"}:
        known["n_tokens"] = known["compute"] / (k * known["n_params"])
    elif set(known) == {"n_tokens", "compute"}:
        known["n_params"] = known["compute"] / (k * known["n_tokens"])
    return known


def _reading(values: Mapping[str, NDArray[np.float64]], units: Mapping[str, str]) -> str:
    parts = []
    for name, unit in units.items():
        converted = _converted(name, values[name], unit)
        form = format_budget if name == "compute" else format_count
        span = _span(converted, lambda x: form(x))  # noqa: B023
        parts.append(f"in {unit} {name} is {span}")
    return " and ".join(parts)


def _described(name: str, given: Sequence[str]) -> str:
    return name if name in given else f"{name}, derived from compute,"


def _span(values: NDArray[np.float64], form: Callable[[float], str]) -> str:
    if not len(values):
        return ""
    low, high = form(float(values.min())), form(float(values.max()))
    return low if low == high else f"{low} to {high}"


def _digits(value: float) -> str:
    return format_number(value, 3)
