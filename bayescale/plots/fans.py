"""Tokens per parameter at the optimum, against the budget, with published laws."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from bayescale.costs import Cost, six_nd
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.laws.published import EmpiricalFrontier, published
from bayescale.plots.budgets import OVERLAYS, budget_axes, draw_fan, fan_of, finish, is_training
from bayescale.plots.style import ratio_axis
from bayescale.posterior.point import Source, as_posterior


def tokens_per_param(
    fit: Source,
    budget: np.ndarray | None = None,
    ax: Axes | None = None,
    overlays: Sequence[str] = OVERLAYS,
    cost: Cost = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
) -> Axes:
    """Draw the fan of D_opt/N_opt against the budget: 50 % and 90 % bands, and published laws.

    Parameters
    ----------
    fit
        A fit, an average of laws, or published constants, which have a line and no band.
    budget
        Budgets to reach and to mark, in the unit of the cost.
    ax
        Where to draw; new Axes unless given.
    overlays
        Names of published constants (`bayescale.published`); frontiers of which the paper gives
        not both size and tokens are left out, and all frontiers where the cost is not of training
        alone.
    cost, fixed, limits
        The cost, values of the law's other inputs, and limits, as in `allocate`.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> ax = bs.plots.tokens_per_param(fit, budget=[5.76e23])
    >>> ax.get_ylabel()
    'compute-optimal tokens per parameter'
    """
    source = as_posterior(fit)
    ax, marked, grid = budget_axes(source, budget, ax, cost, fixed)

    def published_ratios(name: str) -> tuple[str, np.ndarray] | None:
        constants = published(name)
        if not isinstance(constants, EmpiricalFrontier):
            return constants.paper, fan_of("tokens_per_param", constants, grid, cost=cost)[2]
        if not {"n_params", "n_tokens"} <= set(constants.coefficients) or not is_training(cost):
            return None
        at = [constants.at(**{constants.variable: float(c)}) for c in grid]
        in_c_min = " (in C_min)" if constants.variable == "compute_min" else ""
        return constants.paper + in_c_min, np.array(
            [row["n_tokens"] / row["n_params"] for row in at]
        )

    draw_fan(
        ax,
        lambda budgets: fan_of(
            "tokens_per_param", source, budgets, cost=cost, fixed=fixed, limits=limits
        ),
        grid,
        marked,
        "D_opt/N_opt",
        [published_ratios(name) for name in overlays],
        is_point=source.is_point,
    )
    finish(ax, ratio_axis, "compute-optimal tokens per parameter", cost)
    return ax
