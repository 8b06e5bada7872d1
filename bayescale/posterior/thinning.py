"""Fewer draws, where more would not be seen."""

import math

from bayescale.posterior.fit import Fit


def thinned(fit: Fit, most: int) -> Fit:
    """Return a fit with every so many-th draw of each chain, about `most` in all.

    For what is drawn or averaged, never for gates: those are of all draws.
    """
    posterior, stats = fit.posterior, fit.sample_stats
    step = math.ceil(posterior.sizes["chain"] * posterior.sizes["draw"] / most)
    if step == 1:
        return fit
    some = {"draw": slice(None, None, step)}
    return Fit(
        fit.model,
        fit.runs,
        fit.scale,
        posterior.isel(some),
        stats.isel(some),
        fit.provenance,
        fit.groups,
    )
