"""allocate: the compute-optimal allocation of budgets, for every posterior draw."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import xarray as xr

from bayescale.allocation.plans import parse_budgets
from bayescale.allocation.result import Allocation
from bayescale.costs import Cluster, Cost, as_cost, six_nd
from bayescale.costs.budget import Spending
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.errors import AmountError
from bayescale.laws.optimum import Split
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.predict import blocks
from bayescale.units import format_share

_DIMS = ("chain", "draw", "budget")

MOST_WITHOUT = 0.5
"""Share of draws without an optimum above which a budget is refused."""


def allocate(
    source: Source,
    *,
    budget: object,
    cost: Cost | Callable[[Any, Any], Any] = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
    cluster: Cluster | None = None,
) -> Allocation:
    """Find the size and tokens that minimise the loss at given budgets, for every posterior draw.

    Parameters
    ----------
    source
        A fit, an average of laws (`bayescale.model_average`), or published constants.
    budget
        One or several budgets: FLOP, or text such as ``"5.76e23"`` or ``"100 PF-days"``. This is
        compute as spent, not Kaplan's batch-adjusted C_min, for which see `bayescale.frontier`.
        For a cost in money, budgets are in money.
    cost
        The cost of a plan (`bayescale.costs`), or a function of size and tokens.
    fixed
        Values of the law's inputs other than size and tokens: ``{"n_unique_tokens": "25B"}``. For
        a law in steps, ``batch_tokens`` is such an input.
    limits
        Constraints on plans other than the budget.
    cluster
        The training cluster, for days, GPU-hours and money.

    Returns
    -------
    Allocation
        Draws of the optimum, and their summaries.

    Raises
    ------
    AmountError
        If a budget is not a positive amount, or no plan within the limits is affordable; if a
        fixed input is missing; if more than half of the draws have no optimum at a budget.
    UnsuitableLawError
        If `source` is an empirical frontier, or not a law of size and tokens.

    Notes
    -----
    Under C = k N D the optimum of the included two-term laws has a closed form (Hoffmann et al.
    2022, equation 4), clipped at the limits; for other laws and costs it is found numerically.
    It is NaN for draws without an optimum of at least one parameter and one token. The optimum is
    computed for each draw: logarithms of A and alpha are so strongly correlated that the optimum
    at their posterior means differs from its posterior mean.

    Examples
    --------
    >>> import bayescale as bs
    >>> plan = bs.allocate(bs.published("besiroglu2024"), budget="5.76e23")
    >>> round(float(plan.table()["tokens_per_param"].iloc[0]), 4)
    18.3912
    """
    plan = optima(source, budget=budget, cost=cost, fixed=fixed, limits=limits, cluster=cluster)
    refuse_without_optimum(plan.no_optimum, plan.text_budget)
    return plan


def refuse_without_optimum(lost: "pd.Series[float]", text: Callable[[float], str]) -> None:
    """Raise AmountError if most draws have no optimum, since the others are a selected sample.

    Parameters
    ----------
    lost
        Share of draws without an optimum, by budget.
    text
        Formatter of budgets.
    """
    for budget, share in lost.items():
        if share > MOST_WITHOUT:
            raise AmountError(
                f"budget: {format_share(share, 4)} of the draws have no optimum at "
                f"{text(float(budget))}, expected at most {format_share(MOST_WITHOUT)}: in these "  # type: ignore[arg-type]
                "draws the loss falls without bound towards more parameters, or more tokens. Give "
                "another budget, or limits on size and tokens; or add runs on both sides of the "
                "best size."
            )


def optima(
    source: Source,
    *,
    budget: object,
    cost: Cost | Callable[[Any, Any], Any] = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
    cluster: Cluster | None = None,
) -> Allocation:
    """Return the result of `allocate` without refusing budgets at which draws lack an optimum."""
    cost, posterior = as_cost(cost), as_posterior(source)
    curve = posterior.curve
    split = Split.of(curve.law, fixed)
    # All at once, so that an infeasible budget is refused before any optimisation.
    budgets = Spending(cost, parse_budgets(budget, cost), limits).budgets
    log_n = [
        curve.optimum(Spending(cost, budgets[part], limits), fixed).transpose(*_DIMS)
        for part in blocks(len(budgets), posterior)
    ]
    together = log_n[0] if len(log_n) == 1 else xr.concat(log_n, dim="budget", join="override")
    return Allocation(together.transpose(*_DIMS), posterior, cost, split.fixed, limits, cluster)
