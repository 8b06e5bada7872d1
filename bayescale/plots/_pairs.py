"""Joint posterior of pairs of parameters: A and alpha lie on a ridge, elasticities do not."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, MaxNLocator

from bayescale.errors import UnknownNameError, UnsuitableLawError, as_list, quoted, unknown_name
from bayescale.plots.style import BLUE, tidy
from bayescale.posterior.fit import Fit
from bayescale.units import format_number

_MAX_POINTS = 2000


def pairs(
    fit: Fit,
    pairs: Sequence[tuple[str, str]] | None = None,
    axes: np.ndarray | None = None,
) -> np.ndarray:
    """Draw pairs of parameters against one another, with their correlation.

    Parameters
    ----------
    fit
        A posterior.
    pairs
        Names of quantities of the fit; unless given, the two most correlated natural parameters
        (usually an exponent and the log of its scale), and the first two elasticities.
    axes
        One Axes for each pair; a new figure unless given.

    Returns
    -------
    ndarray of Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> axes = bs.plots.pairs(fit)
    >>> axes.flat[0].get_title()
    'correlation +1.00'
    """
    pairs = correlated_pairs(fit) if pairs is None else _read_pairs(fit, pairs)
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(
            1, len(pairs), figsize=(4.2 * len(pairs), 3.8), layout="constrained", squeeze=False
        )[1]
    flat: list[Axes] = list(np.ravel(axes))
    for ax, (across, up) in zip(flat, pairs, strict=True):
        x, y = _draws(fit, across), _draws(fit, up)
        shown = np.linspace(0, len(x) - 1, min(len(x), _MAX_POINTS)).astype(int)
        ax.plot(x[shown], y[shown], ".", color=BLUE, markersize=2.5, alpha=0.35)
        for axis, name, values, n_ticks in ((ax.xaxis, across, x, 3), (ax.yaxis, up, y, 5)):
            # The most extreme draws of a heavy tail would compress all others.
            low, high = np.quantile(values, [0.001, 0.999])
            margin = 0.08 * (high - low)
            axis.set_view_interval(low - margin, high + margin, ignore=True)
            _label_axis(axis, n_ticks, on_log=_is_scale(fit, name))
        ax.set_xlabel(_label(fit, across))
        ax.set_ylabel(_label(fit, up))
        ax.set_title(f"correlation {np.corrcoef(x, y)[0, 1]:+.2f}", fontsize=10)
        tidy(ax)
    return axes


def _read_pairs(fit: Fit, given: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs of names that are given, or raise UnknownNameError."""
    asked: list[Any] = as_list(given)
    if all(isinstance(name, str) for name in asked):
        asked = [asked]  # one pair counts as a list of one
    for pair in asked:
        if isinstance(pair, str) or len(pair) != 2:
            raise UnknownNameError(
                f"pairs: found {quoted(pair)}, expected pairs of names of quantities, such as "
                f"[{correlated_pairs(fit)[0]}]."
            )
        for name in pair:
            if name not in fit.quantities:
                raise unknown_name("quantity of the fit", name, map(str, fit.quantities))
    return asked


def correlated_pairs(fit: Fit) -> list[tuple[str, str]]:
    """Return the two most correlated natural parameters, and two elasticities.

    Raises
    ------
    UnsuitableLawError
        If the law has a single parameter.
    """
    natural = [name for name in fit.law.parameters if _varies(fit.quantities[name])]
    slopes = [name for name in fit.law.coordinates if name != fit.law.level]
    if len(natural) < 2:
        raise UnsuitableLawError(
            f"pairs: the law {fit.law.name} has one parameter, {', '.join(natural)}; there is no "
            "pair to show. Name pairs of other quantities of the fit."
        )
    pair = max(
        combinations(natural, 2),
        key=lambda pair: abs(np.corrcoef(_draws(fit, pair[0]), _draws(fit, pair[1]))[0, 1]),
    )
    # The exponent is the horizontal axis.
    across, up = sorted(pair, key=lambda name: _is_scale(fit, name))
    return [(across, up), (slopes[0], slopes[1])] if len(slopes) > 1 else [(across, up)]


def _varies(draws: xr.DataArray) -> bool:
    return float(draws.std()) > 0.0


def _is_scale(fit: Fit, name: str) -> bool:
    """Return whether the log scale suits a quantity: positive, over a wide range."""
    low, high = np.quantile(fit.quantities[name], [0.01, 0.99])
    return bool(low > 0 and high > 1.5 * low and name not in fit.law.coordinates)


def _label_axis(axis: Axis, n_ticks: int, *, on_log: bool) -> None:
    """Put ticks at round values; quantities on the log scale are drawn as logarithms."""
    if not on_log:
        axis.set_major_locator(MaxNLocator(n_ticks))
        return
    low, high = map(float, np.exp(axis.get_view_interval()))
    within = (1, 1.5, 2, 3, 5, 7) if high < 10 * low else (1, 3)
    inside = LogLocator(base=10, subs=within).tick_values(low, high)
    ticks = [tick for tick in inside if low <= tick <= high]
    if len(ticks) < 2:
        ticks = [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
    axis.set_ticks(np.log(ticks).tolist(), labels=[format_number(tick, 2) for tick in ticks])


def _draws(fit: Fit, name: str) -> np.ndarray:
    values = fit.quantities[name].to_numpy().ravel()
    return np.log(values) if _is_scale(fit, name) else values


def _label(fit: Fit, name: str) -> str:
    return f"{name} (log scale)" if _is_scale(fit, name) else name
