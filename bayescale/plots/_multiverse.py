"""Effect of each choice of an analysis on N_opt."""

import numpy as np
from matplotlib.axes import Axes

from bayescale._seeds import Stream, generator
from bayescale.plots.style import BLUE, GREY, ORANGE, legend_above, new_axes, tidy
from bayescale.sensitivity.multiverse import Multiverse
from bayescale.units import format_compute


def multiverse(found: Multiverse, ax: Axes | None = None) -> Axes:
    """Draw the shift of ln N_opt of every combination, a row for each choice.

    Parameters
    ----------
    found
        Result of `bayescale.multiverse`.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes
    """
    rows = found.by_choice()
    ax = new_axes(ax, (6.4, 1.2 + 0.32 * len(rows)))
    used = found.used
    ax.axvspan(-1.645, 1.645, color=BLUE, alpha=0.13, linewidth=0, label="90 % of the reference")
    ax.axvline(0.0, color=GREY, linewidth=1)
    # Jitter with a fixed seed, so that figures are reproducible.
    rng = generator(0, Stream.FIGURE)
    y, ticks, labels, last = 0.0, [], [], ""
    for question, choice in rows.index:
        y -= 1.0 if question == last else 1.6
        shifts = used[used.index.get_level_values(question) == choice]["shift"].to_numpy(
            dtype=float
        )
        height = y + rng.uniform(-0.22, 0.22, len(shifts))
        ax.plot(shifts, height, ".", color=BLUE, alpha=0.45, markersize=5)
        if len(shifts):
            ax.plot(np.median(shifts), y, "|", color=ORANGE, markersize=13, markeredgewidth=2.4)
        ticks.append(y)
        labels.append(choice if question == last else f"{question}:  {choice}")
        last = question
    ax.plot([], [], ".", color=BLUE, label="a combination")
    ax.plot([], [], "|", color=ORANGE, markersize=10, markeredgewidth=2.4, label="median")
    ax.set_yticks(ticks, labels)
    ax.set_xlabel(
        f"shift of ln N_opt at {format_compute(found.budget)}, in posterior sd of the reference"
    )
    legend_above(ax)
    tidy(ax)
    return ax
