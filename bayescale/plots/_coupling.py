"""Posterior of the coupling between Kaplan's law and Chinchilla's."""

import numpy as np
from matplotlib.axes import Axes

from bayescale._seeds import Stream, generator
from bayescale.backend.build import draw_prior
from bayescale.errors import UnsuitableLawError
from bayescale.plots.style import BLUE, GREEN, GREY, PURPLE, new_axes, tidy
from bayescale.posterior.fit import Fit
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_number, format_share

KAPLAN_2020 = 0.103
"""alpha_D of Kaplan et al. 2020 (arXiv:2001.08361, table 2): k of his L(N, D) as a coupled law."""

_PRIOR_DRAWS = 4000


def coupling(
    fit: Fit, kaplan: Fit | None = None, prob: float = 0.9, ax: Axes | None = None
) -> Axes:
    """Draw the posterior of k in the coupled law, with the limits of Kaplan and Chinchilla.

    Parameters
    ----------
    fit
        A posterior of the law ``coupled``.
    kaplan
        A fit of ``kaplan-nd`` to the same runs, whose alpha_D then marks Kaplan's limit;
        that of his paper unless given.
    prob
        Probability inside the marked interval.
    ax
        Where to draw; new Axes unless given.

    Returns
    -------
    Axes

    Notes
    -----
    k = 1 is Chinchilla's law. Kaplan's L(N, D) has k = alpha_D and no floor, so that a posterior
    of k near alpha_D is near his law only as far as the floor is near zero.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "coupled", seed=1, progress=False)
    >>> ax = bs.plots.coupling(fit)
    >>> ax.get_xlabel()
    'coupling k'
    """
    if fit.law.name != "coupled":
        raise UnsuitableLawError(
            f"coupling: found a fit of {fit.law.name}, expected one of the law coupled, which "
            "alone has a coupling."
        )
    ax = new_axes(ax)
    k = fit.posterior["k"].to_numpy().ravel()
    limit = float(kaplan.posterior["alpha_D"].median()) if kaplan is not None else KAPLAN_2020
    low, middle, high = np.quantile(k, tail_quantiles(prob))
    rng = generator(0, Stream.PRIOR)
    prior = draw_prior(fit.model, rng, _PRIOR_DRAWS, typical=fit.scale.response)["k"]
    right = max(1.3, 1.15 * float(np.quantile(k, 0.999)))
    edges = np.linspace(0.0, right, 90).tolist()
    ax.hist(k, edges, density=True, color=BLUE, alpha=0.5, label="posterior")
    counts, _ = np.histogram(prior, edges)
    ax.stairs(counts / (len(prior) * np.diff(edges)), edges, color=GREY, label="prior")
    source = "fitted here" if kaplan is not None else "2020"
    ax.axvline(1.0, color=GREEN, linestyle="--", label="Chinchilla's law, k = 1")
    ax.axvline(
        limit,
        color=PURPLE,
        linestyle="-.",
        label=f"Kaplan's law ({source}), k = {format_number(limit)}, no floor",
    )
    top = ax.get_ylim()[1]
    bottom = -0.03 * top
    ax.plot([low, high], [bottom, bottom], color="black", linewidth=2.5, solid_capstyle="butt")
    floor = float((fit.posterior["E"] / fit.posterior["loss_ref"]).median())
    ax.set_title(
        f"k = {format_number(middle)} [{format_number(low)}, {format_number(high)}], "
        f"{format_share(prob)}; the floor is {format_number(100 * floor, 2)} % of the loss at the "
        "centre",
        fontsize=9,
    )
    ax.set_xlabel("coupling k")
    ax.set_yticks([])
    # Leave room for the legend above the density.
    ax.set_ylim(2.0 * bottom, 1.45 * top)
    ax.legend(fontsize=8, loc="upper left")
    tidy(ax)
    return ax
