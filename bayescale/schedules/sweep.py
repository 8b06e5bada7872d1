"""The combination of the predictions of a sweep and of curves for the final loss of a run."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bayescale.errors import UnsuitableLawError
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.predict import predict
from bayescale.units import Amount

type Array = NDArray[np.float64]

LEAST = 100.0
"""Smallest effective sample size of weighted draws; below, curve and sweep contradict."""


def of_sweep(sweep: Source, at: Mapping[str, Amount]) -> Array:
    """Return draws of ln of the loss of a new run, predicted from a sweep."""
    source = as_posterior(sweep)
    if source.is_point or source.response != "loss":
        raise UnsuitableLawError(
            "sweep: found "
            + ("published constants" if source.is_point else f"a fit of {source.response}")
            + ", expected a fit of the loss, which has a predictive distribution."
        )
    drawn = predict(source, inputs={name: [amount] for name, amount in at.items()})
    return np.log(drawn["loss_run"].to_numpy().ravel())


def weights_of(log_loss: Array, log_sweep: Array) -> tuple[Array, float]:
    """Return the weight of each draw of ln loss under a sweep, and their effective sample size.

    The two are independent given the loss, and the prior of the loss is flat where both have mass:
    the posterior is proportional to the product of the two densities.

    Parameters
    ----------
    log_loss, log_sweep
        Draws of ln of the last loss, from the curves and from the sweep.

    Returns
    -------
    weights, effective
        Weights that add up to one, and the effective number of draws.

    Raises
    ------
    UnsuitableLawError
        If the two contradict each other.
    """
    density = stats.gaussian_kde(log_sweep)(log_loss)
    total = density.sum()
    effective = float(total**2 / (density**2).sum()) if total > 0.0 else 0.0
    if effective < LEAST:
        curve, other = (np.exp(np.median(x)) for x in (log_loss, log_sweep))
        raise UnsuitableLawError(
            f"sweep: found a last loss near {other:.4g} by the sweep and near {curve:.4g} by the "
            f"curves, and draws worth {effective:.0f} that agree with both, expected at least "
            f"{LEAST:.0f}. One of them does not hold for this run: check its inputs, the unit of "
            "the loss and the validation data, or leave the sweep out."
        )
    return density / total, effective
