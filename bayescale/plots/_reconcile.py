"""The exponent after each step from Kaplan's method to Chinchilla's."""

import numpy as np
from matplotlib.axes import Axes

from bayescale.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, new_axes, tidy
from bayescale.sensitivity.reconcile import ExponentReconciliation
from bayescale.units import format_share

REPORTED = {"Kaplan et al. 2020": 0.73, "Hoffmann et al. 2022": 0.50}
"""Exponents of N_opt that the two studies report, of C_min and of C."""


def reconcile_exponents(explanation: ExponentReconciliation, ax: Axes | None = None) -> Axes:
    """Draw the posterior of the exponent a after each step, the first at the top.

    Parameters
    ----------
    explanation
        Result of `bayescale.reconcile_exponents`.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes
    """
    steps = list(dict.fromkeys(explanation.table.index.get_level_values("step")))
    ladders = explanation.ladders
    ax = new_axes(ax, (6.4, 1.4 + 0.55 * len(steps)))
    y_of = {step: -float(i) for i, step in enumerate(steps)}
    for (name, value), line in zip(REPORTED.items(), ("--", ":"), strict=True):
        ax.axvline(value, color=GREY, linestyle=line, linewidth=1.2, label=name)
    offsets = np.linspace(0.14, -0.14, len(ladders)) if len(ladders) > 1 else np.zeros(1)
    colours = (BLUE, ORANGE, GREEN, PURPLE)
    for i, (name, offset) in enumerate(zip(ladders, offsets, strict=True)):
        rows, colour = explanation.table.loc[name], colours[i % len(colours)]
        y = np.array([y_of[str(step)] for step in rows.index]) + offset
        ax.hlines(y, rows["a_lower"], rows["a_upper"], color=colour, linewidth=2.4)
        ax.plot(rows["a"], y, "-", color=colour, linewidth=0.8, alpha=0.5)
        ax.plot(
            rows["a"],
            y,
            "o",
            color=colour,
            markersize=6,
            label=f"{name}, {format_share(explanation.prob)}",
        )
        if len(ladders) == 1:
            for value, height in zip(rows["a"], y, strict=True):
                ax.annotate(
                    f"{value:.2f}",
                    (value, height),
                    textcoords="offset points",
                    xytext=(0, 7),
                    ha="center",
                    fontsize=8,
                )
    ax.set_yticks(list(y_of.values()), [_label(step, i) for i, step in enumerate(steps)])
    ax.set_ylim(-len(steps) + 0.4, 0.6)
    ax.set_xlabel("exponent a of N_opt = k C^a")
    ax.legend(fontsize=8, loc="lower right")
    tidy(ax)
    return ax


def _label(step: str, number: int) -> str:
    return step if number == 0 else f"+ {step}"
