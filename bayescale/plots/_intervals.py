"""Intervals in rows: what targets require, and forecasts of single runs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

from bayescale.allocation.data_mixture import DataMixture
from bayescale.allocation.required_input import ByTarget
from bayescale.allocation.token_quality import TokenQuality
from bayescale.forecasting.two_step import TwoStep
from bayescale.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    compute_axis,
    count_axis,
    legend_above,
    new_axes,
    ratio_axis,
    tidy,
)
from bayescale.posterior.summary import tail_quantiles
from bayescale.records.history import ForecastScores
from bayescale.records.preregistration import Preregistration
from bayescale.units import format_share

_LABELS = {
    "budget": "training compute C (FLOP)",
    "compute": "training compute C (FLOP)",
    "n_params": "parameters N",
    "n_tokens": "tokens D",
    "tokens_per_param": "tokens per parameter D/N",
    "loss": "loss",
}


_WIDE = 3.0
"""Ratio of the ends of an axis from which it is logarithmic."""


def requirements(
    found: ByTarget, quantity: str | None = None, prob: float = 0.9, ax: Axes | None = None
) -> Axes:
    """Draw what each target requires: median, 50 % and wider intervals, a row for each.

    Parameters
    ----------
    found
        Result of `bayescale.requirements`.
    quantity
        The quantity to draw: ``"budget"`` (the default, in the unit of the cost), ``"n_params"``,
        ``"n_tokens"``, ``"tokens_per_param"`` or ``"loss"``; of a law that splits no budget, its
        input.
    prob
        Probability inside the thin bars.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes
        The share of draws in which a target is out of reach, if any, follows its name.

    Raises
    ------
    ValueError
        If the result has no such quantity.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> found = bs.requirements(fit, loss=[2.2, 2.1, 2.0])
    >>> bs.plots.requirements(found).get_xlabel()
    'training compute C (FLOP)'
    """
    known = list(map(str, found.draws))
    name = quantity or ("budget" if "budget" in known else known[0])
    if name not in known:
        raise ValueError(f"quantity: found {name!r}, expected one of {', '.join(known)}.")
    draws = found.draws[name].transpose(..., "target").to_numpy()
    draws = draws.reshape(-1, draws.shape[-1])
    labels = [
        f"{target}\n(out of reach: {format_share(share, 3)})" if share else str(target)
        for target, share in found.unreachable.items()
    ]
    rows = [values[np.isfinite(values)] for values in draws.T]
    ax = new_axes(ax, (6.4, 1.6 + 0.42 * len(rows)))
    _draw_rows(ax, labels, rows, prob, is_point=found.source.is_point)
    ax.set_xscale("log")
    (compute_axis if name in ("budget", "compute") else count_axis)(ax.xaxis)
    _add_ticks(ax)
    ax.set_xlabel(_axis_label(found, name))
    return ax


def two_step(found: TwoStep, prob: float = 0.9, ax: Axes | None = None) -> Axes:
    """Draw the response of one run of each plan: median, 50 % and wider intervals, a row for each.

    Parameters
    ----------
    found
        Result of `bayescale.two_step`.
    prob
        Probability inside the thin bars.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> loss, error = (bs.published(f"gadre2024-refinedweb{end}") for end in ("", "-error"))
    >>> found = bs.two_step(loss, error, n_params=["1B", "7B"], n_tokens=["20B", "140B"])
    >>> bs.plots.two_step(found).get_xlabel()
    'error'
    """
    shown = f"{found.response}_run"
    draws = found.draws[shown if shown in found.draws else found.response]
    rows = list(draws.transpose("plan", "chain", "draw").to_numpy().reshape(len(draws["plan"]), -1))
    inputs = found.text_table()[list(found.first.columns.values())]
    labels = ["\n".join(map(str, plan)) for plan in inputs.to_numpy()]
    ax = new_axes(ax, (6.4, 1.6 + 0.5 * len(rows)))
    is_point = found.first.is_point and found.second.is_point
    _draw_rows(ax, labels, rows, prob, is_point=is_point)
    ax.set_xlabel(found.response)
    return ax


def data_mixture(found: DataMixture, prob: float = 0.9, ax: Axes | None = None) -> Axes:
    """Draw the optimal share of each domain with intervals, and the recommended one as a diamond.

    Parameters
    ----------
    found
        Result of `bayescale.data_mixture`.
    prob
        Probability inside the thin bars.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> law = {"law": "data-mixing-2", "source": "made"}
    >>> web = bs.Constants(name="web", parameters={"c": 2.0, "b_1": 0.5, "b_2": 1.5}, **law)
    >>> code = bs.Constants(name="code", parameters={"c": 0.8, "b_1": 1.2, "b_2": 0.3}, **law)
    >>> bs.plots.data_mixture(bs.data_mixture({"web": web, "code": code})).get_xlabel()
    'share of the mixture'
    """
    draws = found.draws.transpose("chain", "draw", "domain").to_numpy()
    rows = list(draws.reshape(-1, draws.shape[-1]).T)
    ax = new_axes(ax, (6.4, 1.6 + 0.42 * len(rows)))
    _draw_rows(ax, tuple(map(str, found.recommended.index)), rows, prob, is_point=len(rows[0]) == 1)
    at = range(len(rows))
    ax.plot(found.recommended, at, "D", color=ORANGE, fillstyle="none", ms=9, label="recommended")
    legend_above(ax, 4)
    ax.set_xlim(-0.02, 1.02)
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.set_xlabel("share of the mixture")
    return ax


def token_quality(found: TokenQuality, prob: float = 0.9, ax: Axes | None = None) -> Axes:
    """Draw what a token of each corpus is worth: median, 50 % and wider intervals, a row for each.

    Parameters
    ----------
    found
        Result of `bayescale.token_quality`.
    prob
        Probability inside the thin bars.
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
    >>> found = bs.token_quality(fit, baseline="redpajama")
    >>> bs.plots.token_quality(found).get_xlabel()
    'tokens of redpajama that a token is worth'
    """
    draws = found.draws.transpose("chain", "draw", "corpus").to_numpy()
    rows = list(draws.reshape(-1, draws.shape[-1]).T)
    ax = new_axes(ax, (6.4, 1.6 + 0.42 * len(rows)))
    _draw_rows(ax, found.corpora, rows, prob, is_point=False)
    ax.axvline(1.0, color=GREY, linewidth=0.8)
    low, high = np.quantile(draws, tail_quantiles(prob)[::2])
    if max(high, 1.0) > _WIDE * min(low, 1.0):
        ax.set_xscale("log")
        ratio_axis(ax.xaxis)
    ax.set_xlabel(f"tokens of {found.baseline} that a token is worth")
    return ax


def _axis_label(found: ByTarget, name: str) -> str:
    return found.called(name) or _LABELS.get(name, name)


def _add_ticks(ax: Axes) -> None:
    """Add ticks inside the decades of an axis that spans few decades."""
    low, high = ax.get_xlim()
    if low > 0 and high < 30 * low:
        ax.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
        ax.xaxis.set_minor_formatter(NullFormatter())


def forecast_scores(found: ForecastScores, ax: Axes | None = None) -> Axes:
    """Draw forecasts of runs with their outcomes: 90 % interval, median and outcome of each.

    Parameters
    ----------
    found
        Result of `bayescale.score_forecasts`.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> import pandas as pd
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> made = bs.preregister(fit, {"big": {"n_params": "10B", "n_tokens": "200B"}})
    >>> run = pd.DataFrame({"run": ["big"], "n_params": 1e10, "n_tokens": 2e11, "loss": 2.1})
    >>> found = bs.score_forecasts(made, bs.load_runs(run))
    >>> bs.plots.forecast_scores(found).get_xlabel()
    'loss'
    """
    table = found.table()
    inside = table["inside_90"].astype(bool).to_numpy()
    ax = _draw_forecasts(found, list(table.index.get_level_values("run")), table, ax)
    rows = np.arange(len(table))
    for mask, colour, label in ((inside, BLUE, "inside"), (~inside, ORANGE, "outside")):
        if mask.any():
            legend = f"observed, {label}: {int(mask.sum())}"
            ax.plot(table["observed"].to_numpy()[mask], rows[mask], "D", color=colour, label=legend)
    legend_above(ax, 3)
    return ax


def preregistration(found: Preregistration, ax: Axes | None = None) -> Axes:
    """Draw the forecasts of planned runs: 90 % interval and median of each.

    Parameters
    ----------
    found
        Result of `bayescale.preregister`.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> runs = {"big": {"n_params": "10B", "n_tokens": "200B"}}
    >>> bs.plots.preregistration(bs.preregister(fit, runs)).get_xlabel()
    'loss'
    """
    ax = _draw_forecasts(found, list(found.runs), found.table(), ax)
    legend_above(ax)
    return ax


def _draw_forecasts(
    found: ForecastScores | Preregistration,
    names: Sequence[str],
    table: pd.DataFrame,
    ax: Axes | None,
) -> Axes:
    ax = new_axes(ax, (6.4, 1.6 + 0.36 * len(names)))
    rows = np.arange(len(names))
    lower, middle, upper = (table[name].to_numpy() for name in ("lower", "median", "upper"))
    ax.hlines(
        rows,
        lower,
        upper,
        color=BLUE,
        alpha=0.35,
        linewidth=7,
        label=f"{format_share(0.9)} interval",
    )
    ax.plot(middle, rows, "|", color=BLUE, markersize=12, label="median")
    _name_rows(ax, names)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.set_xlabel(found.response)
    tidy(ax)
    return ax


def _draw_rows(
    ax: Axes, labels: Sequence[str], rows: Sequence[ArrayLike], prob: float, *, is_point: bool
) -> None:
    """Draw medians and intervals of draws, the first row at the top."""
    for y, values in enumerate(map(np.asarray, rows)):
        if not len(values):
            continue
        first = y == 0
        for share, width in () if is_point else ((prob, 1.4), (0.5, 5.0)):
            low, _, high = np.quantile(values, tail_quantiles(share))
            label = f"{format_share(share)} interval" if first else ""
            ax.hlines(y, low, high, color=BLUE, linewidth=width, label=label)
        label = ("estimate" if is_point else "median") if first else ""
        ax.plot(np.median(values), y, "o", color="black", markersize=5, label=label)
    _name_rows(ax, labels)
    legend_above(ax, 3)
    tidy(ax)


def _name_rows(ax: Axes, labels: Sequence[str]) -> None:
    ax.set_yticks(range(len(labels)), list(map(str, labels)), fontsize=8)
    ax.set_ylim(len(labels) - 0.4, -0.6)
