"""Observed losses at larger budgets, against predictions from smaller ones."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from bayescale.plots.style import BLUE, GREY, ORANGE, legend_above, new_axes, tidy
from bayescale.units import format_count, format_scientific, format_share
from bayescale.validation.backtest import Backtest


def backtest(found: Backtest, ax: Axes | None = None) -> Axes:
    """Draw the interval and the observation of each budget, relative to the prediction.

    Parameters
    ----------
    found
        Result of `bayescale.backtest`.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("overtraining").where("family == 'c4'")
    >>> found = bs.backtest(runs, "chinchilla", draws=250, seed=1, progress=False)
    >>> bs.plots.backtest(found).get_xlabel()
    'compute of the predicted budget, and number of runs below it'
    """
    ax = new_axes(ax)
    table = found.scored
    x = np.arange(len(table))
    low, high, observed = (
        table[name].to_numpy(dtype=float) / table["predicted"].to_numpy(dtype=float) - 1.0
        for name in ("lower", "upper", "observed")
    )
    inside = table["inside"].eq(True).to_numpy()
    ax.axhline(0.0, color=GREY, linewidth=1, linestyle=":")
    ax.vlines(
        x,
        low,
        high,
        color=BLUE,
        alpha=0.35,
        linewidth=9,
        label=f"{format_share(found.prob)} interval",
    )
    for mask, colour, label in (
        (inside, BLUE, "observed, inside"),
        (~inside, ORANGE, "observed, outside"),
    ):
        if mask.any():
            ax.plot(x[mask], observed[mask], "o", color=colour, label=label)
    style = (lambda x: format_scientific(x, 2)) if found.scale == "compute" else format_count
    ax.set_xticks(
        x,
        [
            f"{style(float(at))}\n{int(count)} runs"
            for at, count in zip(table.index, table["n_train"], strict=True)
        ],
        fontsize=8,
    )
    ax.set_xlim(-0.6, len(table) - 0.4)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_ylabel("difference from the prediction")
    ax.set_xlabel(f"{found.scale} of the predicted budget, and number of runs below it")
    legend_above(ax, 3)
    tidy(ax)
    return ax
