"""Out-of-sample scores of laws, with standard errors of their differences."""

import numpy as np
from matplotlib.axes import Axes

from bayescale.plots.style import BLUE, GREY, new_axes, tidy
from bayescale.validation.ranking import ERRORS
from bayescale.validation.result import Comparison


def scores(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw how much worse than the best each law predicts larger scales, per run.

    Parameters
    ----------
    comparison
        Result of `bayescale.compare`.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes
        A law whose bar, of two standard errors, reaches zero ties with the best.
    """
    ax = new_axes(ax, (6.4, 1.4 + 0.45 * len(comparison.fits)))
    ranking = comparison.by_scale
    table = ranking.table.dropna().sort_values("elpd")
    positions = np.arange(len(table))
    for y, (name, row) in zip(positions, table.iterrows(), strict=True):
        is_eligible = name in comparison.eligible
        ax.errorbar(
            row["diff"],
            y,
            xerr=ERRORS * row["se"],
            fmt="o",
            color=BLUE if is_eligible else GREY,
            markerfacecolor=BLUE if is_eligible else "white",
            capsize=3,
        )
    if ranking.repeats is not None:
        differences = (
            ranking.repeats.sub(ranking.repeats[ranking.best], axis=0) if ranking.best else None
        )
        for y, name in zip(positions, table.index, strict=True):
            if differences is not None:
                ax.plot(
                    differences[name], np.full(len(differences), y), "|", color=GREY, markersize=9
                )
    ax.axvline(0.0, color="black", linewidth=0.8)
    labels = [f"{n}" if n in comparison.eligible else f"{n} (cannot win)" for n in table.index]
    ax.set_yticks(positions, labels)
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel("log density of a larger run, less the best (nats)")
    ax.set_title(f"dot and bar: mean, {ERRORS:g} standard errors; ticks: single cuts", fontsize=9)
    tidy(ax)
    return ax
