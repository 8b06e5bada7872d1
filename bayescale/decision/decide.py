"""decide: the plan of minimum expected regret for a posterior and a budget."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayescale.allocation.allocate import refuse_without_optimum
from bayescale.allocation.plans import columns_of_plans, parse_budgets
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
"""Number of sizes along the budget at which expected regret is computed."""

_MARGIN = 0.8
"""Margin of these sizes around the optima of nearly all draws, in ln N: more than a factor of 2."""

_ROUNDS, _REFINED = 2, 17
"""Number of grid refinements around the minimum, and of sizes in each."""


def decide(
    source: Source,
    *,
    budget: object,
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
    """Choose the plan of minimum expected regret for a budget, and compare it with other plans.

    Parameters
    ----------
    source
        A fit, an average of laws (`bayescale.model_average`), or published constants.
    budget
        The budget, in the unit of the cost: FLOP, or text such as ``"100 PF-days"``.
    plans
        Plans to compare, as size and tokens by name: ``{"7B on 2T": ("7B", "2T")}``.
    cost
        The cost of a plan (`bayescale.costs`), or a function of size and tokens.
    serving
        Tokens to be served, or a `bayescale.costs.Serving`, for the columns on serving only. To
        *optimise* over training and serving, use a `cost` that includes both.
    cluster
        The training cluster, for days, GPU-hours and money.
    limits
        Constraints on plans other than the budget.
    fixed
        Values of the law's inputs other than size and tokens.
    quantile
        Minimise this quantile of regret instead of its expectation: 0.9 for a plan that is rarely
        far from optimal.
    prob
        Probability of the bands and intervals.
    seed
        Seed of the simulated noise of runs; that of the fit unless given.

    Returns
    -------
    Decision
        The plan, bands of size, a table of plans, and the expected value of perfect information.

    Raises
    ------
    AmountError
        If an amount cannot be read, a plan is not a pair of size and tokens, or more than half of
        the draws have no optimum.
    UnsuitableLawError
        If the law is not a law of size and tokens.
    ValueError
        If a probability is not strictly between 0 and 1.

    Notes
    -----
    Under a draw, the equivalent cost of a plan is the minimum cost of its loss; regret is one minus
    its ratio to that of the optimal plan. For Chinchilla's law with cost proportional to N D, a
    size that differs from the optimum by a factor k has regret
    1 - r^(-(alpha + beta) / (alpha beta)) with r = (beta k^-alpha + alpha k^beta) / (alpha + beta),
    about (alpha + beta) / 2 ln^2 k. The plan of minimum expected regret thus is near the posterior
    mean of ln N_opt, with an expected regret of about (alpha + beta) / 2 times its variance.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> made = bs.decide(fit, budget="5.76e23", plans={"as published": ("70B", "1.4T")})
    >>> bool(made.table().loc["as published", "regret"] < 0.02)
    True
    >>> print(made.sentences[0].split(":")[0])
    Train 71...B parameters on 1.3...T tokens (18... per parameter)
    """
    cost = as_cost(cost)
    for name, value in (("prob", prob), ("quantile", quantile)):
        if value is not None and not 0.0 < value < 1.0:
            raise ValueError(f"{name}: found {value!r}, expected a probability between 0 and 1.")
    budgets = parse_budgets(budget, cost)
    if len(budgets) > 1:
        raise AmountError(
            f"budget: found {len(budgets)} budgets, expected one; decide for each on its own."
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
    """Return ln of the size that minimises expected regret, or its quantile, at the budget."""
    sizes = _sizes_to_compare(regrets)
    return _least(regrets, sizes, _along(regrets, sizes), quantile)


def _read_serving(serving: object, cost: Cost) -> Serving | None:
    if serving is None:
        # A lifetime cost includes the served tokens.
        return getattr(cost, "serving", None)
    return serving if isinstance(serving, Serving) else Serving(n_tokens=serving)  # type: ignore[arg-type]


def _sizes_to_compare(regrets: Regrets) -> Array:
    """Return a grid of ln size that covers the optima of nearly all draws.

    It is independent of the user's plans, so that the recommendation is too.
    """
    found = regrets.log_n_opt
    if np.isnan(found).all():
        raise AmountError(
            f"budget: no draw has an optimum at {format_budget(regrets.budget)}; give another "
            "budget, or limits inside which there is one."
        )
    low, high = np.nanquantile(found, [0.001, 0.999])
    beyond = max(_MARGIN, 0.1 * (high - low))
    low, high = low - beyond, high + beyond
    ends = regrets.spending.ends
    return np.linspace(max(low, float(ends[0][0])), min(high, float(ends[1][0])), _SIZES)


def _along(regrets: Regrets, sizes: Array) -> Array:
    """Return the regret of sizes at the budget, with one row per draw."""
    log_d = regrets.spending.log_tokens(sizes, np.zeros(len(sizes), dtype=np.intp))
    return regrets.regret(regrets.log_loss(sizes, log_d)).reshape(-1, len(sizes))


def _least(regrets: Regrets, sizes: Array, regret: Array, quantile: float | None) -> float:
    """Return ln of the size that minimises expected regret, or its quantile."""

    def best(regret: Array) -> int:
        values = regret[~np.isnan(regret).any(axis=1)]
        risk = values.mean(axis=0) if quantile is None else np.quantile(values, quantile, axis=0)
        return int(risk.argmin())

    at = best(regret)
    # Grid refinement rather than a parabola, since regret has a kink at a limit on tokens.
    for _ in range(_ROUNDS):
        sizes = np.linspace(sizes[max(at - 1, 0)], sizes[min(at + 1, len(sizes) - 1)], _REFINED)
        at = best(_along(regrets, sizes))
    return float(sizes[at])
