"""Residuals of a law over its inputs."""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from bayescale.errors import UnsuitableLawError
from bayescale.plots.style import BLUE, compute_axis, count_axis, new_axes, tidy
from bayescale.posterior.fit import Fit
from bayescale.posterior.predict import noise_at_runs
from bayescale.units import format_number

_CLIPPED = 0.95
"""Share of the residuals inside the colour range, which limits the effect of outliers."""


def residuals(fit: Fit, ax: Axes | None = None) -> Axes:
    """Draw the relative residuals of runs from a law, over size and tokens.

    Parameters
    ----------
    fit
        A posterior of a law of one input or two.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes
        For a law of two inputs a map over both, on which a saddle (two opposite corners above,
        the two others below) indicates a wrong coupling of size and data, and a slope a wrong
        exponent; for a law of one input the residuals along it.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> ax = bs.plots.residuals(fit)
    >>> ax.get_title()
    'chinchilla: root mean square ... %'
    """
    names = list(fit.columns.values())
    if len(names) > 2:
        raise UnsuitableLawError(
            f"residuals: the law {fit.law.name} is of {len(names)} inputs, {', '.join(names)}; "
            "this map is for laws of one or two."
        )
    ax = new_axes(ax)
    log_mean = noise_at_runs(fit, fit.runs)[1]
    errors = np.log(fit.runs.column(fit.response)) - np.median(log_mean, axis=(0, 1))
    columns = [fit.runs.column(name) for name in names]
    label_axis(ax, "x", names[0])
    if len(columns) == 1:
        ax.axhline(0.0, color="black", linewidth=0.8)
        ax.plot(columns[0], 100 * errors, ".", color=BLUE)
        ax.set_ylabel(f"{fit.response} above the law (%)")
    else:
        limit = float(np.quantile(np.abs(errors), _CLIPPED))
        shown = ax.scatter(
            columns[0],
            columns[1],
            c=np.clip(errors, -limit, limit),
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
            s=26,
            edgecolors="black",
            linewidths=0.3,
        )
        label_axis(ax, "y", names[1])
        bar = ax.figure.colorbar(shown, ax=ax, extend="both")
        bar.ax.yaxis.set_major_formatter(
            FuncFormatter(lambda x, _: f"{format_number(100 * x, 2)} %")
        )
        bar.set_label(f"{fit.response} above the law")
    scatter = format_number(100 * float(np.sqrt(np.mean(errors**2))), 2)
    ax.set_title(f"{fit.model.id}: root mean square {scatter} %", fontsize=9)
    tidy(ax)
    return ax


def label_axis(ax: Axes, which: Literal["x", "y"], name: str) -> None:
    """Label an axis by a column of runs; logarithmic if its values span a wide range."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    if name == "loss":
        axis.set_label_text("loss")
        return
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    (compute_axis if name == "compute" else count_axis)(axis)
    labels = {
        "n_params": "parameters N",
        "n_tokens": "tokens D",
        "compute": "training compute C (FLOP)",
    }
    axis.set_label_text(labels.get(name, name))
