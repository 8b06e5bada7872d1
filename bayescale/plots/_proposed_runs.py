"""The runs to launch next, among the fitted runs."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bayescale.experiment_design.comparison_runs import ComparisonRuns
from bayescale.experiment_design.result import NextRuns
from bayescale.experiment_design.sweep_result import FirstSweep
from bayescale.plots._residuals import label_axis
from bayescale.plots.style import (
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    legend_above,
    new_axes,
    tidy,
)
from bayescale.posterior.protocol import Posterior
from bayescale.units import format_compute


def next_runs(found: NextRuns, ax: Axes | None = None) -> Axes:
    """Draw the proposed runs over size and tokens, numbered by their value, with the fitted runs.

    Parameters
    ----------
    found
        Result of `bayescale.next_runs`.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> found = bs.next_runs(fit, target="5.76e23", budget="1e21", n_runs=2)
    >>> bs.plots.next_runs(found).get_xlabel()
    'parameters N'
    """
    ax = new_axes(ax)
    plane = _draw_fitted(ax, found.source)
    proposed = found.runs[plane].to_numpy(dtype=float)
    points, numbers = _distinct_points(proposed)
    if len(points):
        spent = f"runs to launch, {format_compute(found.compute)} in all"
        ax.plot(*points.T, "D", color=ORANGE, markersize=7, label=spent)
    for point, number in zip(points, numbers, strict=True):
        _number(ax, number, tuple(point), ORANGE)
    legend_above(ax)
    tidy(ax)
    return ax


def comparison_runs(found: ComparisonRuns, ax: Axes | None = None) -> Axes:
    """Draw the runs that best compare recipes, over size and tokens, numbered by their value.

    Parameters
    ----------
    found
        Result of `bayescale.comparison_runs`.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("overtraining").where("n_params > 5e7 and family != 'c4'")
    >>> fit = bs.fit(runs, "chinchilla-quality", seed=1, draws=250, progress=False)
    >>> speedup = bs.speedup(fit, baseline="redpajama", budget="1e21")
    >>> found = bs.comparison_runs(speedup, budget="1e20", n_runs=2)
    >>> bs.plots.comparison_runs(found).get_xlabel()
    'parameters N'
    """
    ax = new_axes(ax)
    plane = _draw_fitted(ax, found.comparison.sources[found.recipe])
    for name, colour, marker in (
        (found.comparison.baseline, BLUE, "s"),
        (found.recipe, ORANGE, "D"),
    ):
        rows = found.runs[found.runs["recipe"] == name]
        if len(rows):
            ax.plot(*rows[plane].to_numpy().T, marker, color=colour, label=f"runs of {name}")
        for number, point in rows[plane].iterrows():
            _number(ax, str(int(str(number)) + 1), tuple(point), colour)
    legend_above(ax)
    tidy(ax)
    return ax


def first_sweep(found: FirstSweep, ax: Axes | None = None) -> Axes:
    """Draw the runs of a first sweep over size and tokens, those of one budget in one colour.

    Parameters
    ----------
    found
        Result of `bayescale.first_sweep`.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> sweep = bs.first_sweep("chinchilla", budget="1e20", target="1e22", simulations=100)
    >>> bs.plots.first_sweep(sweep).get_xlabel()
    'parameters N'
    """
    ax = new_axes(ax)
    for i, (_, runs) in enumerate(found.runs.groupby("budget")):
        each = format_compute(float(runs["compute"].mean()))
        ax.plot(
            runs["n_params"],
            runs["n_tokens"],
            "o-",
            color=COLOURS[i % len(COLOURS)],
            linewidth=0.8,
            label=f"{len(runs)} runs of {each}",
        )
    label_axis(ax, "x", "n_params")
    label_axis(ax, "y", "n_tokens")
    legend_above(ax)
    tidy(ax)
    return ax


def _draw_fitted(ax: Axes, source: Posterior) -> list[str]:
    """Draw the fitted runs over the first two inputs, and return the columns of these."""
    plane = list(source.columns.items())[:2]
    x, y = (source.inputs[name] for name, _ in plane)
    ax.plot(x, y, ".", color=GREY, alpha=0.6, label="fitted runs")
    label_axis(ax, "x", plane[0][1])
    label_axis(ax, "y", plane[1][1])
    return [column for _, column in plane]


def _number(ax: Axes, number: str, point: tuple[Any, Any], colour: str) -> None:
    """Write the number of a run next to its marker."""
    ax.annotate(number, point, textcoords="offset points", xytext=(7, 5), fontsize=9, color=colour)


def _distinct_points(proposed: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return each point once, with the numbers of the runs there: replicates share a point."""
    points = np.array(list(dict.fromkeys(map(tuple, proposed)))).reshape(-1, 2)
    numbers = [
        ", ".join(str(i + 1) for i, run in enumerate(proposed) if (run == point).all())
        for point in points
    ]
    return points, numbers
