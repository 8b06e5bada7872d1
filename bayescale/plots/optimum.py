"""The compute-optimal size against the budget, with published laws."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from bayescale.costs import Cost, six_nd
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.laws.published import EmpiricalFrontier, published
from bayescale.plots.budgets import OVERLAYS, budget_axes, draw_fan, fan_of, finish, is_training
from bayescale.plots.style import count_axis
from bayescale.posterior.point import Source, as_posterior


def optimal_size(
    fit: Source,
    budget: np.ndarray | None = None,
    ax: Axes | None = None,
    overlays: Sequence[str] = OVERLAYS,
    cost: Cost = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
) -> Axes:
    """Draw the fan of N_opt(C): 50 % and 90 % bands, the data range, and published laws.

    Parameters
    ----------
    fit
        A fit, an average of laws, or published constants, which have a line and no band.
    budget
        Budgets to reach and to mark, in the unit of the cost.
    ax
        Where to draw; new Axes unless given.
    overlays
        Names of published constants (`bayescale.published`). Kaplan's frontier is in the
        batch-adjusted C_min, and its label says so. Frontiers of which the paper gives no size
        are left out, and all frontiers where the cost is not of training alone.
    cost, fixed, limits
        The cost, values of the law's other inputs, and limits, as in `allocate`.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> ax = bs.plots.optimal_size(fit, budget=[5.76e23])
    >>> ax.get_ylabel()
    'compute-optimal parameters N_opt'
    """
    source = as_posterior(fit)
    ax, marked, grid = budget_axes(source, budget, ax, cost, fixed)

    def quantiles(budgets: np.ndarray) -> np.ndarray:
        return fan_of("n_opt", source, budgets, cost=cost, fixed=fixed, limits=limits)

    def published_sizes(name: str) -> tuple[str, np.ndarray] | None:
        constants = published(name)
        if isinstance(constants, EmpiricalFrontier):
            if "n_params" not in constants.coefficients or not is_training(cost):
                return None
            sizes = [constants.at(**{constants.variable: float(c)})["n_params"] for c in grid]
            in_c_min = " (in C_min)" if constants.variable == "compute_min" else ""
            return constants.paper + in_c_min, np.array(sizes)
        return constants.paper, fan_of("n_opt", constants, grid, cost=cost)[2]

    others = [published_sizes(name) for name in overlays]
    draw_fan(ax, quantiles, grid, marked, "N_opt", others, is_point=source.is_point)
    finish(ax, count_axis, "compute-optimal parameters N_opt", cost)
    return ax
