"""Forecasts of curves of one variable, and of runs under their schedules."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from bayescale.errors import as_list, unknown_name
from bayescale.forecasting.result import Forecast
from bayescale.plots.style import (
    BLUE,
    COLOURS,
    count_axis,
    legend_above,
    loss_axis,
    new_axes,
    tidy,
)
from bayescale.posterior.summary import tail_quantiles
from bayescale.schedules.result import RunForecast
from bayescale.units import format_share


def forecast(
    found: Forecast,
    curves: Sequence[str] | None = None,
    prob: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the forecast of each curve: medians, 50 % and wider intervals, and the end of the data.

    Parameters
    ----------
    found
        Result of `bayescale.forecast`.
    curves
        Names of the curves to draw; the first five unless given.
    prob
        Probability inside the thin bars; that of the forecast unless given.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Raises
    ------
    UnknownNameError
        If there is no such curve.

    Examples
    --------
    >>> import bayescale as bs
    >>> import numpy as np, pandas as pd
    >>> examples = np.geomspace(1e3, 1e6, 16)
    >>> curve = pd.DataFrame({"examples": examples, "loss": 0.2 + 3 * examples**-0.3})
    >>> found = bs.forecast(curve, to=["2M", "5M"], laws=["power-law-floor"])
    >>> bs.plots.forecast(found).get_xlabel()
    'examples'
    """
    asked = as_list(curves or ())
    for name in asked:
        if name not in found.draws:
            raise unknown_name("curve", name, tuple(found.draws))
    names = asked or list(found.draws)[: len(COLOURS)]
    prob = found.prob if prob is None else prob
    ax = new_axes(ax)
    for i, name in enumerate(names):
        colour, draws = COLOURS[i % len(COLOURS)], found.draws[name]
        # Dodge curves at the same amounts.
        at = draws.columns.to_numpy(dtype=float) * 1.04 ** (i - (len(names) - 1) / 2)
        for share, width in ((prob, 1.4), (0.5, 5.0)):
            low, _, high = draws.quantile(tail_quantiles(share)).to_numpy()
            label = f"{format_share(share)} interval" if i == 0 else ""
            ax.vlines(at, low, high, color=colour, linewidth=width, alpha=0.8, label=label)
        ax.plot(at, draws.median(), "o-", color=colour, linewidth=0.8, label=name or "median")
        label = "last point of the data" if i == 0 else ""
        ax.axvline(found.last[name], color=colour, linewidth=1, linestyle=":", label=label)
    ax.set_xscale("log")
    count_axis(ax.xaxis)
    if all((found.draws[name] > 0.0).to_numpy().all() for name in names):
        ax.set_yscale("log")
        loss_axis(ax.yaxis)
    ax.set_xlabel(found.x)
    ax.set_ylabel(found.y)
    if len(names) < len(found.draws):
        ax.set_title(f"{len(names)} of {len(found.draws)} curves", fontsize=9, loc="right")
    legend_above(ax, 3)
    tidy(ax)
    return ax


def forecast_run(found: RunForecast, prob: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw the forecast of a run at each step with 50 % and wider intervals, and all curves.

    Parameters
    ----------
    found
        Result of `bayescale.forecast_run`.
    prob
        Probability inside the thin bars; that of the forecast unless given.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes
    """
    prob = found.prob if prob is None else prob
    ax = new_axes(ax)
    for i, curve in enumerate(found.curves):
        is_forecast = curve.run == found.run
        colour = BLUE if is_forecast else COLOURS[1 + i % (len(COLOURS) - 1)]
        ax.plot(curve.step, curve.loss, ".", color=colour, markersize=3, label=curve.run or "run")
    at = found.draws.columns.to_numpy(dtype=float)
    for share, width in ((prob, 1.4), (0.5, 5.0)):
        low, _, high = found.draws.quantile(tail_quantiles(share)).to_numpy()
        label = f"{format_share(share)} interval"
        ax.vlines(at, low, high, color=BLUE, linewidth=width, alpha=0.8, label=label)
    ax.plot(
        at, found.draws.median(), "o", color=BLUE, label=f"forecast of {found.run or 'the run'}"
    )
    count_axis(ax.xaxis)
    ax.set_xlabel("step")
    ax.set_ylabel("loss (nats/token)")
    legend_above(ax, 3)
    tidy(ax)
    return ax
