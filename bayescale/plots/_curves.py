"""A law of one input through its runs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from bayescale.errors import UnsuitableLawError, as_list
from bayescale.plots._residuals import label_axis
from bayescale.plots.style import BLUE, GREY, legend_above, log_grid, loss_axis, new_axes, tidy
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.predict import predict
from bayescale.posterior.summary import quantiles
from bayescale.units import format_share, parse_amounts, quantity_of


def curve(
    fit: Source,
    prob: float = 0.9,
    ax: Axes | None = None,
    at: Sequence[float] = (),
) -> Axes:
    """Draw a law of one input: its median, its band, the band of one new run, and the runs.

    Parameters
    ----------
    fit
        A fit of a law of one input, or an average of such laws.
    prob
        Probability inside the bands.
    ax
        Where to draw; new Axes unless given.
    at
        Values of the input to include, at which the median of the law is marked.

    Returns
    -------
    Axes

    Raises
    ------
    UnsuitableLawError
        If the law is of more than one input, or has no runs, as published constants.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "power-law", seed=1, progress=False)
    >>> bs.plots.curve(fit).get_xlabel()
    'training compute C (FLOP)'
    """
    fit = as_posterior(fit)
    columns = list(fit.columns.values())
    if len(columns) > 1:
        raise UnsuitableLawError(
            f"curve: the law {fit.law.name} is of {len(columns)} inputs, {', '.join(columns)}; "
            "this figure is for laws of one."
        )
    if fit.runs is None:
        raise UnsuitableLawError(
            f"curve: found {fit.description} Expected a fit, whose runs are drawn too."
        )
    ax = new_axes(ax)
    column, response = columns[0], fit.response
    values = fit.runs.column(column)
    asked = as_list(at)
    marked = parse_amounts(asked, quantity_of(column), "at") if asked else np.array([])
    shown = [*values, *marked]
    grid = log_grid(float(min(shown)), float(max(shown)))
    found = quantiles(predict(fit, inputs={column: grid}), prob)
    ax.plot(values, fit.runs.column(response), ".", color=GREY, markersize=4, label="runs")
    if asked:
        expected = quantiles(predict(fit, inputs={column: marked}), prob)[response][1]
        ax.plot(marked, expected, "D", color="black", markersize=6, label="requested", zorder=4)
    for name, alpha, label in (
        (f"{response}_run", 0.18, f"one new run, {format_share(prob)}"),
        (response, 0.4, f"the law, {format_share(prob)}"),
    ):
        lower, _, upper = found[name].to_numpy()
        ax.fill_between(grid, lower, upper, color=BLUE, alpha=alpha, linewidth=0, label=label)
    ax.plot(grid, found[response][1], color=BLUE, linewidth=1.4)
    label_axis(ax, "x", column)
    if np.min(found[f"{response}_run"]) > 0.0:
        ax.set_yscale("log")
        loss_axis(ax.yaxis)
    unit = fit.runs.loss_unit if response == "loss" else fit.law.response_unit
    ax.set_ylabel(f"{response} ({unit})" if unit else response)
    legend_above(ax)
    tidy(ax)
    return ax
