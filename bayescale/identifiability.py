"""Can these runs tell the terms of a law apart? Asked before sampling."""

import numpy as np
from numpy.typing import NDArray

from bayescale.errors import RunsError
from bayescale.groups import SAME
from bayescale.model import Model
from bayescale.runs import MEASURED, Runs
from bayescale.units import format_count, format_number

SAME_RATIO = 0.05
"""Ranges of ln D/N below this are one ratio: rounding of tokens, not design."""


def check_identifiable(model: Model, runs: Runs) -> None:
    """Raise RunsError for a table from which no posterior could be learnt.

    Raises
    ------
    RunsError
        If there are fewer runs than sampled parameters, or if all runs share one size, one
        number of tokens, or one number of tokens per parameter.
    """
    for sentence in unidentified(model, runs):
        raise RunsError(
            f"{runs.name}: {sentence} To see what the prior says all the same, fit with "
            "unidentified='warn' (--anyway)."
        )


def unidentified(model: Model, runs: Runs) -> tuple[str, ...]:
    """Return sentences on what a table of runs leaves entirely to the prior."""
    found = []
    if len(runs) < model.n_free:
        found.append(
            f"Found {len(runs)} runs, expected at least {model.n_free}, the number "
            f"of parameters of {model.id}. Add runs."
        )
    columns = model.columns
    if model.formula.takes_size_and_tokens:
        ratio = runs.column(columns["n_tokens"]) / runs.column(columns["n_params"])
        if _span(ratio) < SAME_RATIO:
            found.append(
                f"Every run has about {format_number(float(np.median(ratio)))} "
                "tokens per parameter. Along one ratio the size term and the data term are two "
                "power laws in the same variable and can be swapped, so their exponents and the "
                "optimum stay at the prior. Add runs well above and below that ratio."
            )
    for name, column in columns.items():
        values = runs.column(column)
        if _span(values) < SAME and name not in model.formula.fixed_reference:
            found.append(
                f"Every run has {column} = {format_count(float(values[0]))}, so its "
                "effect cannot be told from the floor. Add runs at other values."
            )
    return tuple(found)


def design_warnings(model: Model, runs: Runs) -> tuple[str, ...]:
    """Return sentences on a design that identifies a law only weakly, or not at all."""
    found = list(unidentified(model, runs))
    for name, column in model.columns.items():
        values = runs.column(column)
        distinct, decades = count_distinct(values), _span(values) / np.log(10)
        if name in model.formula.fixed_reference:
            if distinct == 1:
                found.append(
                    f"Every run has {column} = {format_count(float(values[0]))}: what depends "
                    "on it rests on its prior."
                )
            continue
        if distinct < 5:
            found.append(
                f"Only {distinct} distinct values of {column}: its exponent rests on few points "
                "and on its prior."
            )
        # A loss is not an amount: laws of it are of its differences.
        if decades < 1 and column not in MEASURED:
            found.append(
                f"The values of {column} span {decades:.1f} decades, less than one: its exponent "
                "is weakly determined."
            )
    found += model.noise.warnings(runs)
    if model.formula.takes_size_and_tokens:
        columns = model.columns
        spread = _span(runs.column(columns["n_tokens"]) / runs.column(columns["n_params"]))
        if spread < np.log(4):
            found.append(
                "Tokens per parameter vary by a factor "
                f"{format_number(float(np.exp(spread)), 2)} only: size and data effects are hard "
                "to tell apart."
            )
    return tuple(found)


def count_distinct(values: NDArray[np.float64]) -> int:
    """Return the number of distinct amounts, up to a relative tolerance of `SAME`.

    Amounts that lie so close together that each is the same as the next, over a range that is
    wider than jitter, are as many as the range has room for.
    """
    logs = np.sort(np.log(values))
    chains = np.split(logs, np.flatnonzero(np.diff(logs) > SAME) + 1)
    return int(sum(1 + np.ptp(chain) // (2.0 * SAME) for chain in chains))


def _span(values: NDArray[np.float64]) -> float:
    return float(np.ptp(np.log(values)))
