"""Probabilities that the response follows the law, no relation, or a relation of another shape."""

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale.errors import RunsError, UnsuitableLawError
from bayescale.posterior.fitted import FittedModel

NO_RELATION, OTHER = "no relation", "another shape"
"""Names of the alternatives to the law."""

FEWEST = 8
"""Number of runs below which shapes are not compared."""

_DEGREE = 3
"""Degree of the polynomial that another shape adds to the law."""

type Array = NDArray[np.float64]


def shape_weights(fit: FittedModel) -> "pd.Series[float]":
    """Return the probabilities of the shape of a law, of no relation, and of another shape.

    Parameters
    ----------
    fit
        A fit of a law with one input.

    Returns
    -------
    Series
        Probabilities, from equal ones before the runs, that the response follows the law; that
        it does not depend on the input (``no relation``); and that it departs from the law by a
        cubic in the input, which may bend either way (``another shape``). They sum to one.

    Raises
    ------
    UnsuitableLawError
        If the law has several inputs.
    RunsError
        If there are fewer than eight runs.

    Notes
    -----
    By the Bayesian information criterion (Schwarz 1978, doi:10.1214/aos/1176344136) of the log
    responses: a constant has one coefficient, the law as many as it has coordinates, and another
    shape three more. It is an approximation, which uses the prior of the law only in its fit.

    Examples
    --------
    >>> import bayescale as bs
    >>> import numpy as np
    >>> import pandas as pd
    >>> loss = np.linspace(0.5, 1.5, 20)
    >>> accuracy = bs.law("accuracy-from-loss").evaluate(loss=loss, a=0.25, b=0.9, L_0=0.8, k=6.0)
    >>> noisy = accuracy * np.exp(0.02 * np.random.default_rng(1).standard_normal(20))
    >>> table = pd.DataFrame({"loss": loss, "accuracy": noisy})
    >>> runs = bs.load_runs(table, needs=["loss"], response="accuracy", units={"loss": "bits/byte"})
    >>> fit = bs.fit(runs, "accuracy-from-loss", seed=1, progress=False)
    >>> float(bs.shape_weights(fit)["accuracy-from-loss"]) > 0.8
    True
    """
    if len(fit.law.inputs) != 1:
        raise UnsuitableLawError(
            f"shape_weights: the law {fit.law.name} is of {', '.join(fit.law.inputs)}, expected "
            "one of a single input."
        )
    count = len(fit.runs)
    if count < FEWEST:
        raise RunsError(
            f"{fit.runs.name}: found {count} runs, expected at least {FEWEST} to tell the shape of "
            "a law from others."
        )
    ((name, x),) = fit.inputs.items()
    response = np.log(fit.runs.column(fit.response))
    at = fit.curve.response({name: xr.DataArray(np.log(x), dims="run")})
    residual = response - np.log(at.median(("chain", "draw")).to_numpy())
    coefficients = len(fit.law.coordinates)
    criteria = {
        fit.law.name: _criterion(residual, coefficients),
        NO_RELATION: _criterion(response - response.mean(), 1),
        OTHER: _criterion(_without_cubic(x, residual), coefficients + _DEGREE),
    }
    odds = np.exp(-0.5 * (np.array([*criteria.values()]) - min(criteria.values())))
    return pd.Series(odds / odds.sum(), index=pd.Index(criteria, name="shape"), name="probability")


def _criterion(residual: Array, coefficients: int) -> float:
    """Return the Bayesian information criterion of Normal residuals, up to a constant."""
    count = len(residual)
    variance = max(float(np.square(residual).mean()), 1e-24)
    return float(count * np.log(variance) + coefficients * np.log(count))


def _without_cubic(x: Array, residual: Array) -> Array:
    """Return the residuals of a regression on the powers of an input up to the third."""
    powers = np.vander((x - x.mean()) / max(float(x.std()), 1e-12), _DEGREE + 1)
    columns, _ = np.linalg.qr(powers)
    return np.asarray(residual - columns @ (columns.T @ residual))
