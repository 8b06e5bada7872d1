"""Elasticities of several laws."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayescale.errors import UnsuitableLawError
from bayescale.plots.style import (
    COLOURS,
    GREY,
    MARKERS,
    new_axes,
    tidy,
)
from bayescale.units import format_count


def elasticities(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the elasticity in tokens against that in size, of every law at every point.

    Parameters
    ----------
    table
        Result of `bayescale.elasticities` for several laws of size and tokens.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes
        A colour for each law and a marker for each point. Along the dashed line one per cent
        more parameters is worth as much as one per cent more tokens.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> ax = bs.plots.elasticities(bs.elasticities({"chinchilla": fit}))
    >>> ax.get_ylabel()
    'elasticity in tokens, $e_D$'
    """
    missing = [name for name in ("e_n", "e_d") if name not in table]
    if missing:
        raise UnsuitableLawError(
            f"elasticities: found {', '.join(map(str, table.columns))}, expected e_n and e_d: the "
            "elasticities of laws of size and tokens."
        )
    ax = new_axes(ax)
    names = table.index.get_level_values("model").unique()
    for name, colour in zip(names, cycle(COLOURS), strict=False):
        rows = table.xs(name, level="model")
        for i, (marker, (_, row)) in enumerate(zip(cycle(MARKERS), rows.iterrows(), strict=False)):
            ax.errorbar(
                row["e_n"],
                row["e_d"],
                xerr=_bar(row, "e_n"),
                yerr=_bar(row, "e_d"),
                fmt=marker,
                color=colour,
                label=None if i else str(name),
            )
    points = table.xs(names[0], level="model")
    for marker, (_, row) in zip(cycle(MARKERS), points.iterrows(), strict=False):
        size, tokens = (format_count(row[c], 2) for c in ("n_params", "n_tokens"))
        ax.plot([], [], marker, color="black", label=f"at N {size}, D {tokens}")
    limit = 1.1 * float(table[["e_n_upper", "e_d_upper"]].to_numpy().max())
    ax.plot([0.0, limit], [0.0, limit], "--", color=GREY, linewidth=0.8)
    ax.set_xlim(0.0, limit)
    ax.set_ylim(0.0, limit)
    ax.set_xlabel("elasticity in size, $e_N$")
    ax.set_ylabel("elasticity in tokens, $e_D$")
    ax.legend(fontsize=8)
    tidy(ax)
    return ax


def _bar(row: "pd.Series[float]", name: str) -> np.ndarray:
    return np.array([[row[name] - row[f"{name}_lower"]], [row[f"{name}_upper"] - row[name]]])
