"""Stacking: the weights of the mixture of models that predicts held-out runs best."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.errors import BayescaleError
from bayescale.validation.scales import ScalesLeftOut

type Array = NDArray[np.float64]

_GAP = 1e-6
"""How far the mean log density of a run may be below that of the best mixture, in nats."""

_ITERATIONS = 5000


def stacking_weights(scores: ScalesLeftOut) -> "pd.Series[float]":
    """Weigh models by how a mixture of them predicts the runs above the cuts.

    Parameters
    ----------
    scores
        What `leave_scale_out` returns; of several calls, joined by `ScalesLeftOut.and_also`.

    Returns
    -------
    Series
        A weight for each model that could be fitted at every cut; they sum to one.

    Raises
    ------
    ValueError
        If there is no such model, or a run has no finite density under any.
    BayescaleError
        If the weights found are not the best ones.

    Notes
    -----
    The weights maximise the log density that the mixture gives to the runs left out (Yao,
    Vehtari, Simpson and Gelman 2018, doi:10.1214/17-BA1091), with whole scales left out instead
    of single runs, since it is at larger scales that the mixture is to be used.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> found = bs.leave_scale_out(["chinchilla", "kaplan-nd"], runs, ["1e21"], progress=False)
    >>> bs.stacking_weights(found).idxmax()
    'chinchilla'
    """
    densities = scores.pointwise
    cuts = sorted({cut for _, cut in densities})
    models = [
        model
        for model in dict.fromkeys(model for model, _ in densities)
        if all((model, cut) in densities for cut in cuts)
    ]
    if not models:
        raise ValueError("scores: found no model with densities at every cut; see its status.")
    log_density = np.array([np.concatenate([densities[m, c] for c in cuts]) for m in models]).T
    return pd.Series(best_weights(log_density), index=pd.Index(models, name="model"))


def best_weights(log_density: Array) -> Array:
    """Return the weights of the columns whose mixture has the greatest mean log density.

    Parameters
    ----------
    log_density
        A row for each run, a column for each model.

    Returns
    -------
    ndarray
        Weights of at least zero that sum to one.

    Raises
    ------
    ValueError
        If a run has no finite density under any model.
    BayescaleError
        If the search ended before the maximum.

    Notes
    -----
    Weights w on the simplex maximise mean ln(p w) where weights v of at least zero maximise
    mean ln(p v) - sum(v): at that maximum the v sum to one. So bounds are the only constraints.
    The mean log density is concave in the weights, so that it is below its maximum by at most
    max_k mean(p_k / (p w)) - 1, which is what is tested.
    """
    from scipy.optimize import minimize

    best = log_density.max(axis=1, keepdims=True)
    if not np.isfinite(best).all():
        run = int(np.flatnonzero(~np.isfinite(best))[0])
        raise ValueError(
            f"scores: found log densities {', '.join(f'{x:g}' for x in log_density[run])} of the "
            f"held-out run {run + 1}, expected a finite one under at least one model."
        )
    density = np.exp(log_density - best)
    count = density.shape[1]

    def objective(weights: Array) -> tuple[float, Array]:
        # No run is without density, but a search may try weights of zero.
        mixed = np.maximum(density @ weights, np.finfo(float).tiny)
        value = float(weights.sum() - np.log(mixed).mean())
        return value, 1.0 - (density / mixed[:, None]).mean(axis=0)

    found = minimize(
        objective,
        np.full(count, 1.0 / count),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * count,
        options={"maxiter": _ITERATIONS, "maxfun": 4 * _ITERATIONS, "ftol": 1e-16, "gtol": 1e-9},
    )
    weights: Array = found.x / found.x.sum()
    gap = float((density / (density @ weights)[:, None]).mean(axis=0).max() - 1.0)
    if not gap <= _GAP:
        raise BayescaleError(
            f"stacking_weights: the search ended {gap:.2g} nats a run below the best mixture, "
            f"expected at most {_GAP:g} ({found.message}). Leave out models that hardly predict "
            "the runs, or weigh fewer at once."
        )
    return weights
