"""The smallest budget with which a source reaches a loss, for every draw."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.allocation.allocate import optima
from bayescale.allocation.inverse import Inverse
from bayescale.costs import Cost
from bayescale.costs.budget import Array
from bayescale.costs.limits import Limits
from bayescale.errors import AmountError
from bayescale.laws.optimum import Split
from bayescale.posterior.protocol import Posterior
from bayescale.units import format_budget

REACH = np.log(1e6)
"""Log of the largest speedup, and of its inverse; larger ones are truncated to it."""

_STEP = 0.5
"""Step, in logs, of the budgets at which the frontier of a recipe is tabulated."""

_SPENT = 0.999
"""Share of a budget that a plan spends, up to rounding."""

type Rows = NDArray[np.intp]


def frontier_loss(
    source: Posterior, budgets: Array, cost: Cost, fixed: Mapping[str, float], limits: Limits
) -> Array:
    """Return the log loss of the optimum, of shape (draw, budget)."""
    plan = optima(source, budget=budgets, cost=cost, fixed=fixed, limits=limits)
    log_n = plan.log_n
    log_d = log_n.copy(data=plan.spending.log_tokens(log_n.to_numpy()))
    spent = cost(np.exp(log_n.to_numpy()), np.exp(log_d.to_numpy()))
    # Limits on both size and tokens leave a part of a large budget unspent.
    parts = np.moveaxis(spent, log_n.get_axis_num("budget"), 0)
    for budget, part in zip(budgets, parts, strict=True):
        if np.isfinite(part).any() and (most := float(np.nanmax(part))) < budget * _SPENT:
            raise AmountError(
                f"budget: found {format_budget(float(budget), cost.unit)}, of which plans within "
                f"the limits ({limits}) spend {format_budget(most, cost.unit)}; expected a budget "
                "that they can spend."
            )
    curve = source.curve
    loss = curve.loss(Split.of(curve.law, fixed), log_n, log_d)
    return np.log(loss.transpose("chain", "draw", "budget").to_numpy()).reshape(-1, len(budgets))


def log_needed(
    source: Posterior,
    log_loss: Array,
    rows: Rows,
    log_budgets: Array,
    cost: Cost,
    fixed: Mapping[str, float],
    limits: Limits,
) -> Array:
    """Return the log of the minimum cost of losses; infinite for those that are not reached.

    Parameters
    ----------
    source
        The recipe.
    log_loss
        Log losses, of shape (draw, budget).
    rows
        Index of the draw of the recipe that each row of `log_loss` is compared with.
    log_budgets
        The budgets of the baseline, about which the frontier is tabulated.
    """
    low, high = log_budgets.min() - REACH, log_budgets.max() + REACH
    table = np.exp(np.linspace(low, high, round((high - low) / _STEP) + 1))
    # The cheapest plan within the limits may cost more than the smallest budget.
    least = float(cost(float(limits.min_params or 1.0), float(limits.min_tokens or 1.0)))
    least = max(least * (1.0 + 1e-6), float(table[0]))
    table = np.append(least, table[table > least])
    found = np.full(log_loss.shape, np.nan)
    split, start = Split.of(source.law, fixed), 0
    chains = source.curve.pieces[0].shape[0]
    of_chain, of_draw = np.divmod(rows, source.n_draws // chains)
    for curve in source.curve.pieces:
        n_draws = curve.shape[1]
        mine = (start <= of_draw) & (of_draw < start + n_draws)
        draw = of_chain[mine] * n_draws + of_draw[mine] - start
        start += n_draws
        targets = log_loss[mine].ravel()
        solve = Inverse.of(
            curve,
            replace(split, law=curve.law),
            cost,
            limits,
            np.repeat(draw, log_loss.shape[1]),
        )
        with np.errstate(all="ignore"):
            log_n, log_d = solve.on_frontier(targets, table)
            needed = np.log(cost(np.exp(log_n), np.exp(log_d)))
        needed = np.where(log_n == -np.inf, np.log(least), needed)
        needed = np.where(log_n == np.inf, np.inf, needed)
        found[mine] = needed.reshape(-1, log_loss.shape[1])
    # The grid of a budget does not depend on the other budgets.
    found = np.maximum(found, log_budgets - REACH)
    return np.where(found > log_budgets + REACH, np.inf, found)


def speedup_draws(
    sources: Mapping[str, Posterior],
    budgets: Array,
    cost: Cost,
    fixed: Mapping[str, float],
    limits: Limits,
    *,
    paired: bool,
) -> xr.DataArray:
    """Return draws of the speedup of every other source over the first.

    Parameters
    ----------
    sources
        The posteriors, the baseline first.
    budgets, cost, fixed, limits
        The budgets of the baseline, their cost, and the other terms of plans.
    paired
        Whether the sources are levels of one posterior, with joint draws.

    Returns
    -------
    DataArray
        Dims ``chain``, ``draw``, ``recipe``, ``budget``.
    """
    (_, first), *others = sources.items()
    target = frontier_loss(first, budgets, cost, fixed, limits)
    rows = {name: np.arange(source.n_draws) for name, source in sources.items()}
    shape = first.curve.pieces[0].shape if paired else (1, 0)
    if not paired:
        # Chains of one seed are correlated between fits, so that draws are paired at random.
        counts = {name: source.n_draws for name, source in sources.items()}
        several = max(counts.values())
        shape = (1, several)
        for place, (name, count) in enumerate(counts.items()):
            shuffled = generator(first.seed, Stream.PAIRS, place).permutation(count)
            rows[name] = np.resize(shuffled, several)
    own = target[rows[next(iter(sources))]]
    log_budgets = np.log(budgets)
    found = [
        log_needed(source, own, rows[name], log_budgets, cost, fixed, limits)
        for name, source in others
    ]
    ratio = np.exp(log_budgets - np.array(found)).reshape(len(found), *shape, len(budgets))
    return xr.DataArray(
        ratio,
        dims=("recipe", "chain", "draw", "budget"),
        coords={"recipe": [name for name, _ in others], "budget": budgets},
    ).transpose("chain", "draw", "recipe", "budget")
