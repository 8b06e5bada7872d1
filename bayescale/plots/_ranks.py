"""Ranks of simulation-based calibration, against those of calibrated posteriors."""

from matplotlib.axes import Axes

from bayescale.plots.style import BLUE, GREY, ORANGE, legend_above, new_axes, tidy
from bayescale.units import format_share
from bayescale.validation.sbc import Sbc

_LEVEL = 0.01
"""Familywise level of the test in `Sbc.ok`; quantities that fail it are named."""


def ranks(found: Sbc, prob: float = 0.95, ax: Axes | None = None) -> Axes:
    """Draw the ECDF of the ranks of every quantity, less that of uniform ranks, with their band.

    Parameters
    ----------
    found
        Result of `bayescale.sbc`.
    prob
        Probability that all of the ECDF of a uniform quantity lies inside the band.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes
        A curve that rises and then falls indicates intervals that are too narrow; one that falls
        and then rises, too wide; one above the band throughout, an overestimated quantity.

    Notes
    -----
    Source: Säilynoja, Bürkner and Vehtari 2022, arXiv:2103.10522.

    Examples
    --------
    >>> import bayescale as bs
    >>> import pandas as pd
    >>> design = pd.DataFrame({"compute": [1e18, 3e18, 1e19, 3e19, 1e20, 3e20, 1e21]})
    >>> found = bs.sbc("power-law", design, n=20, progress=False)
    >>> bs.plots.ranks(found).get_xlabel()
    'rank of the truth among the draws'
    """
    ax = new_axes(ax)
    band, p_values = found.bands(prob), found.table()["p_value"]
    at = band.index.to_numpy(dtype=float)
    ax.fill_between(
        at,
        band["lower"] - at,
        band["upper"] - at,
        step="mid",
        color=GREY,
        alpha=0.2,
        linewidth=0,
        label=f"uniform ranks, {format_share(prob)}",
    )
    ax.axhline(0.0, color=GREY, linewidth=1, linestyle=":")
    limit = _LEVEL / len(p_values)
    uniform = [str(name) for name, p_value in p_values.items() if p_value > limit]
    for name, column in zip(map(str, found.ranks), found.ranks.to_numpy().T, strict=True):
        below = (column[:, None] < at).mean(axis=0) - at
        if name in uniform:
            label = f"uniform: {len(uniform)}" if name == uniform[0] else None
            ax.plot(at, below, color=BLUE, linewidth=0.9, alpha=0.6, label=label)
        else:
            ax.plot(at, below, color=ORANGE, linewidth=1.6, label=f"{name}: not uniform")
    ax.set_xlabel("rank of the truth among the draws")
    ax.set_ylabel("share of smaller ranks, less uniform")
    legend_above(ax)
    tidy(ax)
    return ax
