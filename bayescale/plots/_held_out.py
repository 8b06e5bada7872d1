"""Held-out or fitted runs, with their predictive intervals."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from bayescale.plots.style import BLUE, GREY, ORANGE, legend_above, loss_axis, new_axes, tidy
from bayescale.posterior.average import ModelAverage
from bayescale.posterior.fit import Fit
from bayescale.posterior.fitted import FittedModel
from bayescale.posterior.predict import noise_at_runs, stream_of_noise
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_share
from bayescale.validation.scored import Score

_MANY = 150
"""Number of runs above which markers are smaller."""


def held_out(score: Score, prob: float = 0.9, ax: Axes | None = None) -> Axes:
    """Draw held-out runs relative to their predictions, with the interval of each.

    Parameters
    ----------
    score
        Result of `bayescale.score`.
    prob
        Probability inside the intervals. Published constants have none.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> fit = bs.fit(runs.where("compute < 1e21"), "chinchilla", seed=1, progress=False)
    >>> ax = bs.plots.held_out(bs.score(fit, runs.where("compute >= 1e21")))
    >>> ax.get_xlabel()
    'predicted loss'
    """
    response = score.source.response if score.source else "response"
    ends = None if score.is_point else tail_quantiles(prob)
    return _draw_relative(score.draws, score.observed, response, ends, ax)


def fitted_runs(fit: Fit | ModelAverage, prob: float = 0.9, ax: Axes | None = None) -> Axes:
    """Draw the runs of a fit relative to its predictions of them, with the interval of each.

    A check for a law of any number of inputs: the share inside is near the probability of the
    intervals, without a trend.

    Parameters
    ----------
    fit
        A fit, or an average of laws.
    prob
        Probability inside the intervals.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> bs.plots.fitted_runs(fit).get_ylabel()
    'observed over predicted median'
    """
    drawn = np.concatenate([_predictions(part) for part, *_ in fit.pieces()])
    observed = np.log(fit.runs.column(fit.response))
    return _draw_relative(drawn, observed, fit.response, tail_quantiles(prob), ax)


def _predictions(fit: FittedModel) -> NDArray[np.float64]:
    """Return draws of the log response of the fitted runs, one column per run."""
    noise, log_mean = noise_at_runs(fit, fit.runs)
    alone = np.full(log_mean.shape, np.nan)
    drawn = log_mean + noise.draw(stream_of_noise(fit), log_mean.shape, alone)
    return drawn.reshape(-1, drawn.shape[-1])


def _draw_relative(
    drawn: NDArray[np.float64],
    observed: NDArray[np.float64],
    response: str,
    ends: list[float] | None,
    ax: Axes | None,
) -> Axes:
    """Draw observed runs, and intervals if `ends` are given, relative to predicted medians."""
    ax = new_axes(ax)
    middle = np.median(drawn, axis=0)
    at, above = np.exp(middle), np.expm1(observed - middle)
    size = 2.5 if len(at) > _MANY else 4.5
    inside = np.ones(len(at), dtype=bool)
    ax.axhline(0.0, color=GREY, linewidth=1, linestyle=":")
    if ends is not None:
        low, _, high = np.quantile(drawn, ends, axis=0)
        inside = (low <= observed) & (observed <= high)
        interval = f"{format_share(ends[2] - ends[0], 6)} interval"
        lower, upper = np.expm1(low - middle), np.expm1(high - middle)
        ax.vlines(at, lower, upper, color=BLUE, alpha=0.3, linewidth=size, label=interval)
    for mask, colour, label in (
        (inside, BLUE, "runs" if ends is None else "runs inside"),
        (~inside, ORANGE, "runs outside"),
    ):
        if mask.any():
            legend = f"{label}: {int(mask.sum())}"
            ax.plot(at[mask], above[mask], "o", color=colour, markersize=size, label=legend)
    ax.set_xscale("log")
    loss_axis(ax.xaxis)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel(f"predicted {response}")
    ax.set_ylabel("observed over predicted median")
    legend_above(ax, 3)
    tidy(ax)
    return ax
