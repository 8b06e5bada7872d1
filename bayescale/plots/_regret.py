"""Regret against size, with the probability of staying within 1 % and 5 % of the best."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

from bayescale.decision.result import Decision
from bayescale.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    count_axis,
    legend_above,
    new_axes,
    tidy,
)
from bayescale.units import format_budget, format_number, format_share

_EDGE = 0.2
"""Share of the width, at either side, in which a label would cross the edge."""

_ABOVE = 1.2
"""Ratio of the regret of a plan to that of its size beyond which it lies above the curve."""

_WIDE = 100.0
"""Ratio of the largest to the smallest size above which there are fewer ticks."""


def regret(decision: Decision, ax: Axes | None = None) -> Axes:
    """Draw the regret of every size at the budget, the band of near-optimal sizes, and the choice.

    Parameters
    ----------
    decision
        Result of `bayescale.decide`.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> decision = bs.decide(fit, budget="5.76e23")
    >>> ax = bs.plots.regret(decision)
    >>> ax.get_xlabel()
    'parameters, at 5.76e23 FLOP'
    """
    ax = new_axes(ax)
    curve, sizes = decision.curve_of_regret, decision.sizes
    share = format_share(decision.prob)
    has_draws = not decision.source.is_point
    if has_draws:
        ax.fill_between(
            sizes,
            curve["median"],
            curve["quantile"],
            color=BLUE,
            alpha=0.2,
            linewidth=0,
            label=f"median to {share} quantile",
        )
    label = "expected regret" if has_draws else "regret"
    ax.plot(sizes, curve["expected"], color=BLUE, linewidth=1.6, label=label)
    for (within, band), colour in zip(decision.bands.iterrows(), (GREEN, GREY), strict=True):
        if np.isfinite(band["lower"]):
            ax.axvspan(
                band["lower"],
                band["upper"],
                color=colour,
                alpha=0.13,
                linewidth=0,
                label=f"within {format_share(float(within))}"  # type: ignore[arg-type]
                + (f" with {share}" if has_draws else ""),
            )
    plan = decision.plan
    rule = (
        f"least {label}"
        if decision.quantile is None
        else f"least {format_share(decision.quantile)} quantile of regret"
    )
    ax.plot(plan["n_params"], plan["regret"], "D", color="black", markersize=6, label=rule)
    for name, row in decision.table().iloc[1:].iterrows():
        # Only plans that exhaust the budget lie on the curve; others are labelled separately.
        if sizes[0] <= row["n_params"] <= sizes[-1]:
            # Labels of plans on the curve point away from the minimum, and inwards at the edges;
            # those of plans above it point to the minimum: there is no curve in either place.
            fraction = np.log(row["n_params"] / sizes[0]) / np.log(sizes[-1] / sizes[0])
            left = row["n_params"] < plan["n_params"]
            on_curve = np.interp(np.log(row["n_params"]), np.log(sizes), curve["expected"])
            above = row["regret"] > _ABOVE * on_curve
            to_left = not left if above else (left and fraction > _EDGE) or fraction > 1.0 - _EDGE
            ax.plot(row["n_params"], row["regret"], "o", color=ORANGE, markersize=5)
            ax.annotate(
                str(name),
                (row["n_params"], row["regret"]),
                textcoords="offset points",
                xytext=(-7, -3) if to_left else (7, -3),
                ha="right" if to_left else "left",
                fontsize=8,
                color=ORANGE,
            )
    ax.set_xscale("log")
    # Square-root scale, since regret is nearly a parabola in ln N.
    ax.set_yscale("function", functions=(np.sqrt, np.square))
    ax.set_ylim(0.0, min(1.0, 1.1 * float(curve["quantile"].max())))
    top = ax.get_ylim()[1]
    # A label at 2 % runs into that at 1 % where the axis is long.
    omitted = (0.02,) if top > 0.2 else ()
    ticks = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    ax.set_yticks([y for y in ticks if y <= top and y not in omitted])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{format_number(100 * y, 1)} %"))
    count_axis(ax.xaxis)
    digits = (1, 2, 3, 5) if sizes[-1] < _WIDE * sizes[0] else (1, 3)
    ax.xaxis.set_major_locator(LogLocator(base=10, subs=digits))
    ax.minorticks_off()
    ax.set_xlabel(f"parameters, at {format_budget(decision.budget, decision.cost.unit)}")
    ax.set_ylabel("regret, as a share of the budget")
    legend_above(ax)
    tidy(ax)
    return ax
