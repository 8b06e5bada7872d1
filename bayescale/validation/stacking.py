"""Stacking of predictive distributions: weights that predict held-out runs best."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.errors import BayescaleError
from bayescale.validation.scales import ScalesLeftOut

type Array = NDArray[np.float64]

_GAP = 1e-6
"""Tolerance of the mean log density below that of the optimal weights, in nats."""

_ITERATIONS = 5000


def stacking_weights(scores: ScalesLeftOut) -> "pd.Series[float]":
    """Return stacking weights of models, from their predictions of the runs above the cuts.

    Parameters
    ----------
    scores
        Result of `leave_scale_out`; combine several by `ScalesLeftOut.join`.

    Returns
    -------
    Series
        The weight of each model that could be fitted at every cut; they sum to one.

    Raises
    ------
    ValueError
        If there is no such model, or a run has no finite density under any.
    BayescaleError
        If the optimiser does not converge.

    Notes
    -----
    The weights maximise the log predictive density of the weighted average for held-out runs
    (Yao, Vehtari, Simpson and Gelman 2018, doi:10.1214/17-BA1091), with whole scales left out
    instead of single runs, since the average is used to extrapolate to larger scales.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> found = bs.leave_scale_out(runs, ["chinchilla", "kaplan-nd"], ["1e21"], progress=False)
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
        raise ValueError(
            "scores: found no model with log densities at every cut, expected at least one. The "
            "status of each score says why it has none."
        )
    log_density = np.array([np.concatenate([densities[m, c] for c in cuts]) for m in models]).T
    return pd.Series(best_weights(log_density), index=pd.Index(models, name="model"))


def best_weights(log_density: Array) -> Array:
    """Return the weights of the columns that maximise the mean log density of their average.

    Parameters
    ----------
    log_density
        One row per run, one column per model.

    Returns
    -------
    ndarray
        Non-negative weights that sum to one.

    Raises
    ------
    ValueError
        If a run has no finite density under any model.
    BayescaleError
        If the optimiser does not converge.

    Notes
    -----
    Maximising mean ln(p w) over the simplex is equivalent to maximising mean ln(p v) - sum(v) over
    v >= 0, whose solution sums to one, so that bounds are the only constraints. The objective is
    concave, so the gap to its maximum is at most max_k mean(p_k / (p w)) - 1, which is the
    convergence test.
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
        # The optimiser may try zero weights, at which the density of a run may vanish.
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
