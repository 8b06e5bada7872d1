"""Candidate runs: those given, or a grid around the fitted runs."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayescale.allocation.plans import tokens_of_runs
from bayescale.costs import Cost
from bayescale.costs.budget import Array, Spending
from bayescale.errors import AmountError
from bayescale.posterior.protocol import Posterior
from bayescale.units import format_compute, parse_amounts, quantity_of

_BUDGETS = 2.0 ** -np.arange(6)
"""Compute of the grid's runs, as shares of the budget."""

_RATIOS = 9
_TAIL = 0.05
"""Tail probability of the quantiles of the runs' tokens per parameter that bound the grid."""

_BEYOND = 4.0
"""Largest factor by which sizes of the grid may lie outside the fitted range."""


def affordable(pool: pd.DataFrame, budget: float) -> pd.DataFrame:
    """Return the candidates within a budget in FLOP.

    Raises
    ------
    AmountError
        If there are none.
    """
    within = pool["compute"] <= budget * (1 + 1e-9)
    if not within.any():
        raise AmountError(
            f"candidates: the cheapest of {len(pool)} takes {format_compute(pool['compute'].min())}"
            f", above the budget of {format_compute(budget)}. Give cheaper ones or a larger budget."
        )
    return pool[within].reset_index(drop=True)


def pool_of(
    source: Posterior, given: object, budget: float, training: Cost, fixed: Mapping[str, float]
) -> pd.DataFrame:
    """Return the candidate runs: the columns of the model, and ``compute``.

    Parameters
    ----------
    source
        A posterior, whose runs determine the range of the grid.
    given
        Pairs of size and tokens, a DataFrame or mapping of columns; None for a grid.
    budget
        Compute of the largest run of the grid.
    training
        The training cost of a run.
    fixed
        Values of columns that neither pairs nor the grid have.

    Raises
    ------
    AmountError
        If runs cannot be read.
    """
    columns = tuple(source.columns.values())
    if given is None:
        table = _grid(source, budget, training)
    elif isinstance(given, Mapping | pd.DataFrame):
        table = {str(name): given[name] for name in given}
    else:
        table = pairs(given)
    given_names = list(table)
    table = _as_inputs(table, columns, fixed)
    amounts = {
        name: parse_amounts(values, quantity_of(name), f"candidates, {name}")
        for name, values in table.items()
    }
    missing = [name for name in columns if name not in amounts]
    if missing:
        raise AmountError(
            f"candidates: found {', '.join(given_names) or 'none'}, expected "
            f"{', '.join(columns)}. Give a table with these columns, or fixed values."
        )
    length = max(map(len, amounts.values()))
    lengths = {name: len(values) for name, values in amounts.items()}
    if set(lengths.values()) - {1, length}:
        counts = " and ".join(f"{count} of {name}" for name, count in lengths.items())
        raise AmountError(f"candidates: found {counts}, expected as many of each.")
    pool = pd.DataFrame({name: np.broadcast_to(amounts[name], length) for name in columns})
    tokens = (
        pool["n_tokens"] if "n_tokens" in pool else pool["n_steps"] * pool["batch_tokens"]
    ).to_numpy()
    return pool.assign(compute=np.asarray(training(pool["n_params"].to_numpy(), tokens)))


def pairs(given: object, what: str = "candidates") -> dict[str, object]:
    """Return pairs of size and tokens as columns, or raise AmountError."""
    try:
        rows = [() if isinstance(row, str) else tuple(row) for row in given]  # type: ignore[attr-defined]
        if any(len(row) != 2 for row in rows) or not rows:
            raise TypeError
    except TypeError:
        raise AmountError(
            f"{what}: found {given!r}, expected pairs of size and tokens such as "
            '[("1B", "20B")], or a table of the columns that the model takes.'
        ) from None
    return {"n_params": [n for n, _ in rows], "n_tokens": [d for _, d in rows]}


def _as_inputs(
    table: Mapping[str, object], columns: tuple[str, ...], fixed: Mapping[str, float]
) -> dict[str, object]:
    """Return the columns of the model, adding steps from tokens and fixed values if missing."""
    found = {name: table[name] for name in columns if name in table}
    found |= {name: [value] for name, value in fixed.items() if name not in found}
    if "n_steps" in columns and "n_steps" not in found and {"n_tokens"} <= set(table):
        tokens = parse_amounts(table["n_tokens"], "count", "candidates, n_tokens")
        batch = parse_amounts(found.get("batch_tokens"), "items", "candidates, batch_tokens")
        found["n_steps"] = tokens / batch
    return found


def _grid(source: Posterior, budget: float, training: Cost) -> dict[str, object]:
    """Return a grid of runs over budgets and tokens per parameter, of sizes near those fitted."""
    size, tokens = source.inputs["n_params"], tokens_of_runs(source)
    ends = np.quantile(tokens / size, [_TAIL, 1.0 - _TAIL])
    ratios = np.geomspace(ends[0], ends[1], _RATIOS if ends[1] > ends[0] * 1.01 else 1)
    found: list[tuple[float, float]] = []
    for share in _BUDGETS:
        log_n = _sizes(training, budget * share, ratios)
        found += [(float(n), float(n * r)) for n, r in zip(np.exp(log_n), ratios, strict=True)]
    inside = [
        (n, d)
        for n, d in found
        if np.isfinite(n) and size.min() / _BEYOND <= n <= size.max() * _BEYOND
    ]
    if not inside:
        raise AmountError(
            "budget: no run with a size and tokens per parameter near those fitted fits this "
            "budget. Give another budget, or candidates of your own."
        )
    return {"n_params": [n for n, _ in inside], "n_tokens": [d for _, d in inside]}


def _sizes(training: Cost, budget: float, ratios: Array) -> Array:
    """Return ln of the sizes that exhaust a budget at given tokens per parameter."""
    from scipy.optimize import elementwise

    low, high = (
        np.full(len(ratios), end)
        for end in (0.0, Spending(training, np.array([budget])).ends[1][0])
    )

    def excess(log_n: Array, ratio: Array) -> Array:
        return np.asarray(np.log(training(np.exp(log_n), np.exp(log_n) * ratio)) - np.log(budget))

    found = elementwise.find_root(excess, (low, high), args=(ratios,))
    return np.where(found.success, found.x, np.nan)
