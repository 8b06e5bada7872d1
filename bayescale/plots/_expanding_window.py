"""The exponent, or N_opt, from refits on an expanding window of runs."""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from bayescale.plots.style import BLUE, GREY, ORANGE, count_axis, legend_above, new_axes, tidy
from bayescale.sensitivity.expanding_window import ExpandingWindow
from bayescale.units import format_compute, format_count, format_scientific, format_share


def expanding_window(
    found: ExpandingWindow, quantity: Literal["a", "n_opt"] = "a", ax: Axes | None = None
) -> Axes:
    """Draw the median and the interval of a quantity at every cut, against that of all runs.

    Parameters
    ----------
    found
        Result of `bayescale.expanding_window`.
    quantity
        ``"a"``, the exponent of N_opt, or ``"n_opt"`` at the budget.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> found = bs.expanding_window(
    ...     "chinchilla", "chinchilla", ["3e20"], budget="5.76e23", seed=1, progress=False
    ... )
    >>> ax = bs.plots.expanding_window(found)
    >>> ax.get_ylabel()
    'exponent a of N_opt, around 5.76e23 FLOP'
    """
    ax = new_axes(ax)
    table = found.table[found.table[quantity].notna()]
    x = np.arange(len(table))
    middle = table[quantity].to_numpy(dtype=float)
    low, high = (table[f"{quantity}_{end}"].to_numpy(dtype=float) for end in ("lower", "upper"))
    passed = table["ok"].eq(True).to_numpy()
    if np.isinf(table.index[-1]):
        ax.axhspan(low[-1], high[-1], color=BLUE, alpha=0.13, linewidth=0, label="all runs")
    for mask, colour, label in (
        (passed, BLUE, f"median and {format_share(found.prob)} interval"),
        (~passed, ORANGE, "failed its gates"),
    ):
        if mask.any():
            ax.vlines(x[mask], low[mask], high[mask], color=colour, linewidth=2.2)
            ax.plot(x[mask], middle[mask], "o", color=colour, markersize=6, label=label)
    if quantity == "a":
        ax.axhline(0.5, color=GREY, linewidth=1, linestyle=":")
        ax.set_ylabel(f"exponent a of N_opt, around {format_compute(found.budget)}")
    else:
        ax.set_yscale("log")
        count_axis(ax.yaxis)
        ax.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 3, 5)))
        ax.set_ylabel(f"N_opt at {format_compute(found.budget)}")
    style = (lambda x: format_scientific(x, 2)) if found.scale == "compute" else format_count
    labels = [
        ("all" if np.isinf(cut) else f"< {style(float(cut))}") + f"\n{int(count)} runs"
        for cut, count in zip(table.index, table["n_runs"], strict=True)
    ]
    ax.set_xticks(x, labels)
    ax.set_xlim(-0.5, len(table) - 0.5)
    ax.set_xlabel(f"runs that are fitted, by {found.scale}")
    legend_above(ax)
    tidy(ax)
    return ax
