"""decide: from a posterior and a budget to the plan of least expected regret."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayescale.allocation.allocate import columns_of_plans, parse_budgets, refuse_without_optimum
from bayescale.costs import Cluster, Cost, Serving, as_cost, six_nd
from bayescale.costs.budget import Array
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.decision.candidates import OPTIMAL, Candidates, candidates_of
from bayescale.decision.regret import Regrets
from bayescale.decision.result import Decision
from bayescale.errors import AmountError
from bayescale.laws.optimum import Split
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.predict import simulate_runs
from bayescale.units import format_budget

_SIZES = 161
"""Sizes along the budget at which regret is averaged over the draws."""

_ROOM = 0.8
"""How far beyond the optima of nearly all draws these go, in ln N: half and twice a size are in."""

_ROUNDS, _CLOSER = 2, 17
"""How often, and with how many sizes, the neighbourhood of the least regret is looked at again."""


def decide(
    source: Source,
    *,
    compute: object,
    plans: Mapping[str, object] | None = None,
    cost: Cost | Callable[[Any, Any], Any] = six_nd,
    serving: Serving | object | None = None,
    cluster: Cluster | None = None,
    limits: Limits = NO_LIMITS,
    fixed: Mapping[str, object] | None = None,
    quantile: float | None = None,
    prob: float = 0.9,
    seed: int | None = None,
) -> Decision:
    """Choose the plan of least expected regret for a budget, and compare the user's plans.

    Parameters
    ----------
    source
        A fit, an average of laws (`bayescale.model_average`), or published constants.
    compute
        The budget, in the unit of the cost: FLOP, or text such as ``"100 PF-days"``.
    plans
        Plans to compare: ``{"7B on 2T": ("7B", "2T")}``, size and tokens by name.
    cost
        What a plan costs (`bayescale.costs`), or a function of size and tokens that says so.
    serving
        Tokens to be served, or a `bayescale.costs.Serving`, for the columns on serving. What is
        to be *optimised* over training and serving is a matter of `cost`.
    cluster
        What trains, for days, GPU-hours and money.
    limits
        What bounds plans beside their budget.
    fixed
        Values of the law's inputs beside size and tokens.
    quantile
        Make this quantile of regret least, rather than its expectation: 0.9 for a plan that is
        seldom very wrong.
    prob
        Probability with which the bands hold, and inside intervals.
    seed
        Seed of the simulated scatter of runs; the fit's own unless given.

    Returns
    -------
    Decision
        The plan, bands of size, a table of plans, and what more information would be worth.

    Raises
    ------
    AmountError
        If an amount cannot be read, a plan is not one of size and tokens, or more than half of
        the draws have no optimum.
    UnsuitableLawError
        If the law is not one of size and tokens.
    ValueError
        If a probability is not strictly between 0 and 1.

    Notes
    -----
    Under a draw, a plan's equivalent is the least that reaches its loss; regret is the share of
    the budget's best that it falls short of. For Chinchilla's law under C = k N D, a size that
    misses the optimum by a factor k has regret 1 - r^(-(alpha + beta) / (alpha beta)) with
    r = (beta k^-alpha + alpha k^beta) / (alpha + beta), about (alpha + beta) / 2 ln^2 k. So the
    plan of least expected regret is about the posterior mean of ln N_opt, and the regret that is
    left about (alpha + beta) / 2 times its variance.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> made = bs.decide(fit, compute="5.76e23", plans={"as published": ("70B", "1.4T")})
    >>> bool(made.table().loc["as published", "regret"] < 0.02)
    True
    >>> print(made.sentences[0].split(":")[0])
    Train 71...B parameters on 1.3...T tokens (18... per parameter)
    """
    cost = as_cost(cost)
    for name, value in (("prob", prob), ("quantile", quantile)):
        if value is not None and not 0.0 < value < 1.0:
            raise ValueError(f"{name}: found {value!r}, expected a probability between 0 and 1.")
    budgets = parse_budgets(compute, cost)
    if len(budgets) > 1:
        raise AmountError(
            f"compute: found {len(budgets)} budgets, expected one; decide for each on its own."
        )
    serving = _read_serving(serving, cost)
    named = candidates_of(plans or {})
    posterior = as_posterior(source)
    curve = posterior.curve
    split = Split.of(curve.law, fixed)
    regrets = Regrets(curve, cost, float(budgets[0]), fixed=split.fixed, limits=limits)
    lost = pd.Series([np.isnan(regrets.log_n_opt).mean()], index=budgets)
    refuse_without_optimum(lost, lambda budget: format_budget(budget, cost.unit))
    sizes = _sizes_to_compare(regrets)
    regret = _along(regrets, sizes)
    chosen = _least(regrets, sizes, regret, quantile)
    tokens = float(np.exp(regrets.spending.log_tokens(np.array([chosen]))[0]))
    rows = {OPTIMAL: (float(np.exp(chosen)), tokens), **named}
    log_n = np.log([n for n, _ in rows.values()])
    log_d = np.log([d for _, d in rows.values()])
    log_loss = regrets.log_loss(log_n, log_d)
    loss = xr.DataArray(np.exp(log_loss), dims=("chain", "draw", "plan"))
    candidates = Candidates(
        plans=rows,
        loss=loss,
        loss_run=simulate_runs(
            posterior, loss, columns_of_plans(posterior, split, log_n, log_d), seed=seed, alone=True
        ),
        regrets=regrets,
        cluster=cluster,
        serving=serving,
    )
    return Decision(
        regrets=regrets,
        source=posterior,
        sizes=np.exp(sizes),
        regret=xr.DataArray(
            regret.reshape(*regrets.log_n_opt.shape, -1),
            dims=("chain", "draw", "n_params"),
            coords={"n_params": np.exp(sizes)},
        ),
        candidates=candidates,
        prob=prob,
        quantile=quantile,
    )


def least_regret(regrets: Regrets, quantile: float | None = None) -> float:
    """Return ln of the size of least expected regret along the budget, or quantile of it."""
    sizes = _sizes_to_compare(regrets)
    return _least(regrets, sizes, _along(regrets, sizes), quantile)


def _read_serving(serving: object, cost: Cost) -> Serving | None:
    if serving is None:
        # A cost of a lifetime says itself what is served.
        found = getattr(cost, "serving", None)
        return found if isinstance(found, Serving) else None
    return serving if isinstance(serving, Serving) else Serving(n_tokens=serving)  # type: ignore[arg-type]


def _sizes_to_compare(regrets: Regrets) -> Array:
    """Return ln of sizes that hold the optima of nearly all draws.

    The plans of the user have no say in them: what is recommended does not depend on what it is
    compared with.
    """
    found = regrets.log_n_opt
    if np.isnan(found).all():
        raise AmountError(
            f"compute: no draw has an optimum at {format_budget(regrets.budget)}; give another "
            "budget, or limits inside which there is one."
        )
    low, high = np.nanquantile(found, [0.001, 0.999])
    beyond = max(_ROOM, 0.1 * (high - low))
    low, high = low - beyond, high + beyond
    ends = regrets.spending.ends
    return np.linspace(max(low, float(ends[0][0])), min(high, float(ends[1][0])), _SIZES)


def _along(regrets: Regrets, sizes: Array) -> Array:
    """Return the regret of sizes along the budget, one row a draw that has an optimum."""
    log_d = regrets.spending.log_tokens(sizes, np.zeros(len(sizes), dtype=np.intp))
    return regrets.regret(regrets.log_loss(sizes, log_d)).reshape(-1, len(sizes))


def _least(regrets: Regrets, sizes: Array, regret: Array, quantile: float | None) -> float:
    """Return ln of the size with the least expected regret, or quantile of it."""

    def best(regret: Array) -> int:
        values = regret[~np.isnan(regret).any(axis=1)]
        risk = values.mean(axis=0) if quantile is None else np.quantile(values, quantile, axis=0)
        return int(risk.argmin())

    at = best(regret)
    # Not by a parabola: at a limit on tokens regret has a kink.
    for _ in range(_ROUNDS):
        sizes = np.linspace(sizes[max(at - 1, 0)], sizes[min(at + 1, len(sizes) - 1)], _CLOSER)
        at = best(_along(regrets, sizes))
    return float(sizes[at])
