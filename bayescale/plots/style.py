"""Shared style of figures: a colour-blind safe palette, readable ticks and new Axes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from bayescale.units import format_count, format_number, format_scientific

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#7A4FA3", "#6b6b6b"
"""Okabe and Ito's palette, and a grey."""

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "black")
MARKERS = ("o", "s", "^", "D", "v")
"""Colours and markers of several series, in order."""


_NARROW = 1.5
"""Ratio of the ends of an axis below which ticks need a third digit to differ."""

_LARGE = 1e4
"""Smallest response with a suffix, such as a critical batch of 500K."""


def new_axes(ax: Axes | None, size: tuple[float, float] = (6.4, 4.2)) -> Axes:
    """Return the Axes given, or those of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def tidy(ax: Axes) -> None:
    """Remove the top and right spines, and other ink without information."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)


def legend_above(ax: Axes, columns: int = 2, **options: Any) -> None:
    """Put the legend above the Axes, where it covers no curve."""
    ax.legend(
        fontsize=8,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=columns,
        frameon=False,
        **options,
    )


def count_axis(axis: Axis) -> None:
    """Label a log axis of parameters or tokens with suffixes: 70M, 1B, 1T."""
    _log_axis(axis, lambda x: format_count(x, 1))


def compute_axis(axis: Axis) -> None:
    """Label a log axis of compute: 1e21."""
    _log_axis(axis, lambda x: format_scientific(x, 1))


def loss_axis(axis: Axis) -> None:
    """Label a log axis of a response inside its decades too: a frontier seldom spans one."""

    def text(loss: float, _: object) -> str:
        low, high = axis.get_view_interval()
        digits = 2 if high > _NARROW * low else 3
        return format_count(loss, digits) if loss >= _LARGE else format_number(loss, digits)

    low, high = axis.get_view_interval()
    inside = (1, 2, 5) if high > 10.0 * low > 0.0 else (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    axis.set_major_locator(LogLocator(base=10, subs=inside))
    axis.set_major_formatter(FuncFormatter(text))
    axis.set_minor_locator(NullLocator())


def ratio_axis(axis: Axis, *, times: bool = False) -> None:
    """Label a log axis of ratios, once drawn on: 1, 2, 5, 10, or only decades if it spans many."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5) if high < 1e3 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}" + ("x" if times else "")))
    axis.set_minor_locator(NullLocator())


def _log_axis(axis: Axis, show: Callable[[float], str]) -> None:
    axis.set_major_locator(LogLocator(base=10, numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda x, _: show(x)))
    axis.set_minor_formatter(NullFormatter())


def log_grid(low: float, high: float, points: int = 80) -> np.ndarray:
    """Return evenly spaced amounts on the log scale."""
    return np.geomspace(low, high, points)
