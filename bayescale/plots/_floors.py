"""The forecast, or N_opt, against the assumed floor."""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from bayescale.plots.style import BLUE, GREEN, GREY, ORANGE, count_axis, new_axes, tidy
from bayescale.sensitivity.floors import ForecastByFloor
from bayescale.units import format_compute, format_count, format_share


def forecast_by_floor(
    found: ForecastByFloor,
    quantity: Literal["forecast", "n_opt"] = "forecast",
    ax: Axes | None = None,
) -> Axes:
    """Draw the median and the interval of a quantity for every assumed floor.

    Each is drawn at its posterior median of the floor, which is the assumed floor if that is known.
    The horizontal band is the quantity under the unchanged card, and the vertical band its
    posterior of the floor: assumed floors far from it contradict the runs.

    Parameters
    ----------
    found
        Result of `bayescale.forecast_by_floor`.
    quantity
        ``"forecast"``, the response at the plan, or ``"n_opt"`` at the budget.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If N_opt is requested of a result without a budget.
    """
    name = found.response if quantity == "forecast" else quantity
    if name not in found.table:
        raise ValueError("quantity: found 'n_opt' without a budget, expected 'forecast'.")
    ax = new_axes(ax)
    reference, table = found.reference, found.table.iloc[1:]
    table = table[table[name].notna()].sort_values("floor")
    ax.axhspan(
        reference[f"{name}_lower"],
        reference[f"{name}_upper"],
        color=BLUE,
        alpha=0.13,
        linewidth=0,
        label="the unchanged card",
    )
    ax.axvspan(
        reference["floor_lower"],
        reference["floor_upper"],
        color=GREEN,
        alpha=0.13,
        linewidth=0,
        label="its posterior of the floor",
    )
    floor, middle, low, high = (
        table[column].to_numpy(dtype=float)
        for column in ("floor", name, f"{name}_lower", f"{name}_upper")
    )
    ax.plot(floor, middle, color=GREY, linewidth=1)
    passed = table["ok"].to_numpy(dtype=bool)
    for mask, colour, label in (
        (passed, BLUE, f"median and {format_share(found.prob)} interval"),
        (~passed, ORANGE, "failed its gates"),
    ):
        if np.any(mask):
            ax.vlines(floor[mask], low[mask], high[mask], color=colour, linewidth=2.2)
            ax.plot(floor[mask], middle[mask], "o", color=colour, markersize=6, label=label)
    if quantity == "n_opt":
        ax.set_yscale("log")
        count_axis(ax.yaxis)
        ax.set_ylabel(f"N_opt at {format_compute(found.budget or 0.0)}")
    else:
        plan = ", ".join(f"{column} {format_count(x)}" for column, x in found.plan.items())
        ax.set_ylabel(f"{found.response} at {plan}")
    ax.set_xlabel(f"floor that is assumed, in the unit of the {found.response}")
    ax.legend(fontsize=8)
    tidy(ax)
    return ax
