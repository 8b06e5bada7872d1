"""Prior and posterior of the optimal size at a budget."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from bayescale._seeds import Stream, generator
from bayescale.allocation.plans import parse_budgets
from bayescale.backend.build import draw_prior, labelled
from bayescale.backend.observed import Design
from bayescale.costs import Cost, six_nd
from bayescale.costs.budget import Array, Spending
from bayescale.laws.optimum import Split
from bayescale.plots.style import BLUE, GREY, count_axis, new_axes, tidy
from bayescale.posterior.curve import Curve
from bayescale.posterior.fit import Fit
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_budget, format_count, format_share

_DRAWS = 4000
_BINS = 40
_SHOWN = 0.98
"""Central probability of the prior that is shown, since its tails span all sizes."""


def decision_prior(
    fit: Fit,
    budget: object,
    prob: float = 0.9,
    ax: Axes | None = None,
    cost: Cost = six_nd,
    fixed: Mapping[str, object] | None = None,
) -> Axes:
    """Draw the prior and the posterior of ln N_opt at one budget.

    Parameters
    ----------
    fit
        A posterior.
    budget
        One budget, in FLOP or as text.
    prob
        Probability inside the marked intervals.
    ax
        Where to draw; new Axes unless given.
    cost, fixed
        The cost, and values of the law's other inputs, as in `allocate`.

    Returns
    -------
    Axes

    Notes
    -----
    The prior refers to the centre of these runs, on which the prior of N_opt depends. Draws
    without an optimum are left out of both.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> ax = bs.plots.decision_prior(fit, budget="5.76e23")
    >>> ax.get_xscale()
    'log'
    """
    Split.of(fit.law, fixed)
    ax = new_axes(ax)
    budgets = parse_budgets(budget, cost)
    if len(budgets) != 1:
        raise ValueError(f"budget: found {len(budgets)} budgets, expected one.")
    spending = Spending(cost, budgets)
    posterior = _optima(fit.curve, spending, fixed)
    prior = _optima(_prior_curve(fit), spending, fixed)
    ends = np.quantile(prior, [(1 - _SHOWN) / 2, (1 + _SHOWN) / 2])
    edges = np.linspace(
        min(ends[0], posterior.min()), max(ends[1], posterior.max()), _BINS + 1
    ).tolist()
    # Separate bins, since the posterior may be narrower than a bin of the prior.
    narrow = np.linspace(posterior.min(), posterior.max(), _BINS + 1).tolist()
    for draws, bins, colour, alpha, name in (
        (prior, edges, GREY, 0.35, "prior"),
        (posterior, narrow, BLUE, 0.55, "posterior"),
    ):
        counts, boundaries = np.histogram(draws, bins)
        # Relative heights, since the density of a wide prior would be invisible.
        ax.stairs(
            counts / counts.max(),
            np.exp(boundaries),
            color=colour,
            alpha=alpha,
            fill=True,
            label=f"{name}: {_interval(draws, prob)}",
        )
        low, middle, high = np.exp(np.quantile(draws, tail_quantiles(prob)))
        level = -0.05 if name == "posterior" else -0.11
        ax.plot([low, high], [level, level], color=colour, linewidth=2.6, solid_capstyle="butt")
        ax.plot(middle, level, "|", color="black", markersize=8, markeredgewidth=1.6)
    ax.set_xscale("log")
    ax.set_xlim(*np.exp([edges[0], edges[-1]]))
    count_axis(ax.xaxis)
    ax.set_yticks([])
    ax.set_xlabel(f"compute-optimal parameters at {format_budget(float(budgets[0]), cost.unit)}")
    ax.set_ylabel("density in ln N, relative to its maximum")
    ax.legend(fontsize=8, title=f"median, {format_share(prob)} interval", title_fontsize=8)
    tidy(ax)
    return ax


def _prior_curve(fit: Fit) -> Curve:
    """Return the law under prior draws, about the centre of these runs."""
    rng = generator(0, Stream.PRIOR)
    design = Design.of(fit.model, fit.runs)
    drawn = draw_prior(fit.model, rng, _DRAWS, design.sizes, design.scale.response)
    draws = {name: values[None] for name, values in drawn.items()}
    coordinates = {name: draws[name] for name in fit.law.coordinates}
    natural = fit.law.from_reference(coordinates, design.scale.reference)
    prior = labelled(fit.model, design, {**natural, **draws}, rng)
    return Curve.of(fit.model, design.scale, prior, fit.groups)


def _optima(curve: Curve, spending: Spending, fixed: Mapping[str, object] | None) -> Array:
    found = curve.optimum(spending, fixed).to_numpy().ravel()
    return np.asarray(found[np.isfinite(found)])


def _interval(draws: Array, prob: float) -> str:
    low, middle, high = np.exp(np.quantile(draws, tail_quantiles(prob)))
    return f"{format_count(middle)} [{format_count(low)}, {format_count(high)}]"
