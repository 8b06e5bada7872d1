"""Posteriors and priors of elasticities and exponents."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bayescale._seeds import Stream, generator
from bayescale.backend.build import draw_prior
from bayescale.plots.style import BLUE, GREY
from bayescale.posterior.fit import Fit
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_number

PRIOR_DRAWS = 4000
_MAX_QUANTITIES = 6


def shown_quantities(fit: Fit) -> list[str]:
    """Return the quantities drawn: elasticities, then exponents of the law and the frontier."""
    coordinates = [name for name in fit.law.coordinates if name != fit.law.level]
    exponents = [name for name in fit.law.derived(fit.parameters) if name in ("a", "g")]
    return [*coordinates[: _MAX_QUANTITIES - len(exponents)], *exponents]


def parameters(fit: Fit, prob: float = 0.9, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw posterior densities with medians and intervals, the prior as an outline.

    Parameters
    ----------
    fit
        A posterior.
    prob
        Probability inside the marked interval.
    axes
        As many Axes as `shown_quantities` names, or more, in any shape; a new figure unless given.

    Returns
    -------
    ndarray of Axes

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> axes = bs.plots.parameters(fit)
    >>> axes.flat[2].get_title()
    'alpha = 0.3... [0.3..., 0.3...]'
    """
    names = shown_quantities(fit)
    if axes is None:
        import matplotlib.pyplot as plt

        n_columns = min(3, len(names))
        n_rows = -(-len(names) // n_columns)
        size = (2.8 * n_columns, 2.3 * n_rows)
        axes = plt.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False)[1]
    prior = _prior_quantities(fit)
    flat: list[Axes] = list(np.ravel(axes))
    for ax, name in zip(flat, names, strict=False):
        _density(ax, name, fit.quantities[name].to_numpy().ravel(), prior[name], prob)
    for ax in flat[len(names) :]:
        ax.set_axis_off()
    flat[0].legend(fontsize=7, loc="upper left", frameon=False)
    return axes


def _density(ax: Axes, name: str, posterior: np.ndarray, prior: np.ndarray, prob: float) -> None:
    low, middle, high = np.quantile(posterior, tail_quantiles(prob))
    left, right = np.quantile(posterior, [0.0005, 0.9995])
    # A bin around the value of a constant quantity.
    margin = 0.6 * (right - left) or 0.05 * abs(right) or 1.0
    lowest = 0.0 if min(posterior.min(), prior.min()) >= 0.0 else -np.inf
    edges = np.linspace(max(left - margin, lowest), right + margin, 60).tolist()
    ax.hist(posterior, edges, density=True, color=BLUE, alpha=0.5, label="posterior")
    counts, _ = np.histogram(prior, edges)
    # Normalised by all prior draws, not only those in view, to show the prior density.
    ax.stairs(counts / (len(prior) * np.diff(edges)), edges, color=GREY, label="prior")
    bottom = -0.04 * ax.get_ylim()[1]
    ax.plot([low, high], [bottom, bottom], color="black", linewidth=2.5, solid_capstyle="butt")
    ax.set_title(
        f"{name} = {format_number(middle)} [{format_number(low)}, {format_number(high)}]",
        fontsize=9,
    )
    ax.set_yticks([])
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _prior_quantities(fit: Fit) -> dict[str, np.ndarray]:
    """Return prior draws of the quantities drawn; exponents do not depend on the reference."""
    rng = generator(0, Stream.PRIOR)
    drawn = draw_prior(fit.model, rng, PRIOR_DRAWS, typical=fit.scale.response)
    coordinates = {name: xr.DataArray(drawn[name], dims="draw") for name in fit.law.coordinates}
    natural = fit.law.from_reference(coordinates, fit.law.unit_reference)
    exponents = fit.law.derived(natural)
    return {name: value.to_numpy() for name, value in {**coordinates, **exponents}.items()}
