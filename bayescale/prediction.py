"""The loss that a posterior predicts at given sizes and tokens."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from bayescale.constants import Constants
from bayescale.errors import AmountError
from bayescale.laws import Law
from bayescale.laws import law as find_law
from bayescale.posterior import Fit
from bayescale.units import parse_amounts

_RUN_NOISE_STREAM = 1
"""Second word of the seed of simulated run noise, apart from the sampler's stream."""


def predict(fit: Fit, *, n_params: object, n_tokens: object, seed: int | None = None) -> xr.Dataset:
    """Predict the loss of plans, each a size and a number of tokens.

    Parameters
    ----------
    fit
        A posterior.
    n_params, n_tokens
        Amounts, or lists of amounts of equal length; one amount goes with every other.
    seed
        Seed of the simulated scatter of new runs; the fit's own unless given.

    Returns
    -------
    Dataset
        Dims ``chain``, ``draw``, ``plan``; coordinates ``n_params``, ``n_tokens`` on ``plan``.
        ``loss`` is the posterior of the law's value there. ``loss_run`` is what one new run
        would show: the law and the scatter of runs. Both are in the unit of the runs' loss.

    Raises
    ------
    AmountError
        If an amount cannot be read, or the lists differ in length.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> loss = bs.predict(fit, n_params="70B", n_tokens="1.4T")["loss"]
    >>> bool(abs(loss.median() - 1.97) < 0.02)
    True
    """
    size, tokens = parse_plans(n_params, n_tokens)
    plans = {
        "n_params": xr.DataArray(size, dims="plan"),
        "n_tokens": xr.DataArray(tokens, dims="plan"),
    }
    loss = fit.law.formula({k: np.log(v) for k, v in plans.items()}, fit.parameters)
    loss = loss.transpose("chain", "draw", "plan")
    return xr.Dataset(
        {"loss": loss, "loss_run": simulate_runs(fit, loss, seed)},
        coords={"plan": np.arange(len(size)), **plans},
    )


def parse_plans(n_params: object, n_tokens: object) -> tuple[np.ndarray, np.ndarray]:
    """Read sizes and tokens into arrays of one length."""
    size = parse_amounts(n_params, "count", "n_params")
    tokens = parse_amounts(n_tokens, "count", "n_tokens")
    if 1 not in (len(size), len(tokens)) and len(size) != len(tokens):
        raise AmountError(
            f"n_params and n_tokens: found {len(size)} and {len(tokens)} amounts, expected as "
            "many of one as of the other, or one of either."
        )
    size, tokens = np.broadcast_arrays(size, tokens)
    return size, tokens


def simulate_runs(fit: Fit, loss: xr.DataArray, seed: int | None = None) -> xr.DataArray:
    """Return what new runs would show where the law says `loss`, one for each draw and plan."""
    rng = np.random.default_rng([fit.seed if seed is None else seed, _RUN_NOISE_STREAM])
    if fit.model.noise.kind == "student-t":
        nu = fit.posterior["nu"].broadcast_like(loss).transpose(*loss.dims)
        scatter = rng.standard_t(nu.to_numpy())
    else:
        scatter = rng.standard_normal(loss.shape)
    # The scatter is on log loss, and a Student-t tail may be long enough to overflow.
    with np.errstate(over="ignore"):
        return loss * np.exp(fit.posterior["sigma"] * xr.DataArray(scatter, dims=loss.dims))


def law_and_draws(source: Fit | Constants) -> tuple[Law, Mapping[str, xr.DataArray]]:
    """Return a law and draws of its parameters; published constants are a single draw."""
    if isinstance(source, Fit):
        return source.law, source.parameters
    draws = {
        name: xr.DataArray([[value]], dims=("chain", "draw"))
        for name, value in source.parameters.items()
    }
    return find_law(source.law), draws
