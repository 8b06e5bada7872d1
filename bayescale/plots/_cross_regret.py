"""Regret of planning by the wrong law."""

import numpy as np
from matplotlib.axes import Axes

from bayescale.decision.cross_regret import CrossRegret, percent
from bayescale.plots.style import new_axes
from bayescale.units import format_budget, format_count

_ON_CELLS = "#1a1a1a"
"""Colour of text on cells, which are light in light notebooks and in dark ones."""


def cross_regret(crossed: CrossRegret, prob: float = 0.9, ax: Axes | None = None) -> Axes:
    """Draw the regret of the plan of each law where each other holds.

    Parameters
    ----------
    crossed
        Result of `bayescale.cross_regret`.
    prob
        Probability inside the intervals.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes
        In each cell the expected regret in per cent of the budget, and its interval.

    Examples
    --------
    >>> import bayescale as bs
    >>> fits = {
    ...     card: bs.fit("chinchilla", card, seed=1, progress=False)
    ...     for card in ("chinchilla", "coupled")
    ... }
    >>> ax = bs.plots.cross_regret(bs.cross_regret(fits, budget="5.76e23"))
    >>> ax.get_xlabel()
    'law that holds'
    """
    names = list(map(str, crossed.plans.index))
    ax = new_axes(ax, (2.6 + 1.5 * len(names), 1.6 + 0.7 * len(names)))
    matrix = crossed.matrix.to_numpy()
    table = crossed.table(prob)
    # Square-root scale, so that both small and large regrets are visible.
    ax.imshow(np.sqrt(matrix), cmap="Oranges", vmin=0.0, vmax=1.0, aspect="auto")
    ends = table[["regret_lower", "regret_upper"]].to_numpy().reshape(*matrix.shape, 2)
    for (row, column), value in np.ndenumerate(matrix):
        low, high = (percent(x) for x in ends[row, column])
        ax.text(
            column,
            row,
            f"{percent(float(value))} %\n[{low}, {high}]",
            ha="center",
            va="center",
            fontsize=8,
            color=_ON_CELLS,
        )
    plans = [
        f"{name}\n({format_count(row['n_params'])} on {format_count(row['n_tokens'])})"
        for name, (_, row) in zip(names, crossed.plans.iterrows(), strict=True)
    ]
    ax.set_xticks(range(len(names)), names, fontsize=8)
    ax.set_yticks(range(len(names)), plans, fontsize=8)
    ax.set_xlabel("law that holds")
    ax.set_ylabel("law planned by")
    ax.set_title(
        f"regret, per cent of {format_budget(crossed.budget, crossed.cost.unit)}", fontsize=9
    )
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax
