"""Coverage of intervals for larger runs, against the factor by which those are larger."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from bayescale.plots.style import (
    COLOURS,
    GREY,
    MARKERS,
    new_axes,
    ratio_axis,
    tidy,
)
from bayescale.units import format_share
from bayescale.validation.scales import ScalesLeftOut


def coverage(
    scores: ScalesLeftOut | pd.DataFrame, prob: float = 0.9, ax: Axes | None = None
) -> Axes:
    """Draw the share of held-out runs inside the interval, by distance from the fitted ones.

    Parameters
    ----------
    scores
        Result of `bayescale.leave_scale_out`, or the concatenated tables of several.
    prob
        The interval: 0.5, 0.8, 0.9 or 0.95.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the table has no coverage of that interval.

    Notes
    -----
    Bars are 90 % Jeffreys intervals, treating runs as independent. Runs above one cut share the
    error of one fit, so the actual uncertainty is larger.

    Examples
    --------
    >>> import bayescale as bs
    >>> scores = bs.leave_scale_out(
    ...     "chinchilla", ["chinchilla"], ["3e20", "1e21"], seed=1, progress=False
    ... )
    >>> ax = bs.plots.coverage(scores)
    >>> ax.get_xlabel()
    'held-out runs, over the largest fitted (geometric mean)'
    """
    from scipy import stats

    name = f"coverage_{round(100 * prob)}"
    table = scores if isinstance(scores, pd.DataFrame) else scores.table
    if name not in table:
        known = [c[9:] for c in map(str, table) if c.startswith("coverage_")]
        raise ValueError(f"prob: found {prob}, expected one of {', '.join(known)} per cent.")
    ax = new_axes(ax)
    scored = table.dropna(subset=[name])
    models = list(dict.fromkeys(scored.index.get_level_values("model")))
    for i, model in enumerate(models):
        of_model = scored.index.get_level_values("model") == model
        rows = scored[of_model].sort_values("distance")
        # Dodge several models at the same distance.
        times = np.exp(rows["distance"].to_numpy()) * 1.03 ** (i - (len(models) - 1) / 2)
        share, count = rows[name].to_numpy(), rows["n_test"].to_numpy()
        inside = share * count
        posterior = stats.beta(inside + 0.5, count - inside + 0.5)
        colour = COLOURS[i % len(COLOURS)]
        ax.vlines(times, posterior.ppf(0.05), posterior.ppf(0.95), color=colour, linewidth=1.2)
        ax.plot(
            times,
            share,
            MARKERS[i % len(MARKERS)] + "-",
            color=colour,
            linewidth=1.0,
            markersize=5.5,
            label=str(model),
        )
    ax.axhline(prob, color=GREY, linewidth=1.2, linestyle="--", label=f"nominal {name[9:]} %")
    ax.set_xscale("log")
    ratio_axis(ax.xaxis, times=True)
    ax.set_ylim(-0.03, 1.05)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.0f} %"))
    ax.set_xlabel("held-out runs, over the largest fitted (geometric mean)")
    ax.set_ylabel(f"runs inside the {format_share(prob)} interval")
    ax.legend(fontsize=8)
    tidy(ax)
    return ax
