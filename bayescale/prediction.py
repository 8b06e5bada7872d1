"""What a posterior predicts for given plans: the loss, or whatever else the law is of."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale.constants import Constants
from bayescale.errors import AmountError
from bayescale.laws import Law
from bayescale.laws import law as find_law
from bayescale.model import Model
from bayescale.posterior import Fit
from bayescale.units import parse_amounts

_RUN_NOISE_STREAM = 1
"""Second word of the seed of simulated run noise, apart from the sampler's stream."""


def predict(
    fit: Fit,
    *,
    n_params: object = None,
    n_tokens: object = None,
    inputs: Mapping[str, object] | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Predict the loss (or other response) of plans.

    Parameters
    ----------
    fit
        A posterior.
    n_params, n_tokens
        Amounts, or lists of amounts of equal length; one amount goes with every other.
    inputs
        The same for a law of other inputs, by column of the runs: ``{"compute": ["1e21"]}``.
    seed
        Seed of the simulated scatter of new runs; the fit's own unless given.

    Returns
    -------
    Dataset
        Dims ``chain``, ``draw``, ``plan``; the inputs are coordinates on ``plan``. ``loss`` is
        the posterior of the law's value there. ``loss_run`` is what one new run would show: the
        law and the scatter of runs. Both are in the unit of the runs' loss; for a law of
        something else they carry its name, as ``bleu`` and ``bleu_run``.

    Raises
    ------
    AmountError
        If an amount is missing or cannot be read, or the lists differ in length.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> loss = bs.predict(fit, n_params="70B", n_tokens="1.4T")["loss"]
    >>> bool(abs(loss.median() - 1.97) < 0.02)
    True
    """
    named = {"n_params": n_params, "n_tokens": n_tokens}
    given = {name: value for name, value in named.items() if value is not None} | dict(inputs or {})
    columns = fit.model.columns
    plans = parse_plans(given, tuple(columns.values()))
    log_inputs = {
        name: xr.DataArray(np.log(plans[column]), dims="plan") for name, column in columns.items()
    }
    mean = fit.law.formula(log_inputs, fit.parameters).transpose("chain", "draw", "plan")
    name = fit.law.response
    count = mean.sizes["plan"]
    coordinates = {column: ("plan", amounts) for column, amounts in plans.items()}
    return xr.Dataset(
        {name: mean, f"{name}_run": simulate_runs(fit, mean, seed)},
        coords={"plan": np.arange(count), **coordinates},
    )


def parse_plans(
    given: Mapping[str, object], columns: tuple[str, ...]
) -> dict[str, NDArray[np.float64]]:
    """Read amounts into arrays of one length, one for each column."""
    missing = [name for name in columns if name not in given]
    unknown = [name for name in given if name not in columns]
    if missing or unknown:
        raise AmountError(
            f"plans: found {', '.join(given) or 'nothing'}, expected {', '.join(columns)}."
        )
    amounts = {
        name: parse_amounts(given[name], "compute" if name == "compute" else "count", name)
        for name in columns
    }
    lengths = {len(values) for values in amounts.values()} - {1}
    if len(lengths) > 1:
        counts = " and ".join(f"{len(values)} of {name}" for name, values in amounts.items())
        raise AmountError(
            f"plans: found {counts}, expected as many of one as of the other, or one of either."
        )
    length = max(map(len, amounts.values()))
    return {name: np.broadcast_to(values, (length,)) for name, values in amounts.items()}


def simulate_runs(fit: Fit, mean: xr.DataArray, seed: int | None = None) -> xr.DataArray:
    """Return what new runs would show where the law says `mean`, one for each draw and plan."""
    # A Student-t tail may be long enough to overflow.
    with np.errstate(over="ignore"):
        return mean * np.exp(scatter_of_runs(fit, mean, seed))


def scatter_of_runs(fit: Fit, like: xr.DataArray, seed: int | None = None) -> xr.DataArray:
    """Return scatter of the log response, one for each draw and plan of `like`."""
    rng = np.random.default_rng([fit.seed if seed is None else seed, _RUN_NOISE_STREAM])
    if fit.model.noise.kind == "student-t":
        nu = fit.posterior["nu"].broadcast_like(like).transpose(*like.dims)
        standard = rng.standard_t(nu.to_numpy())
    else:
        standard = rng.standard_normal(like.shape)
    return fit.posterior["sigma"] * xr.DataArray(standard, dims=like.dims)


def noise_of_runs(model: Model, draws: xr.Dataset) -> tuple[Any, NDArray[np.float64]]:
    """Return the distribution of the scatter in units of its scale, and the scale, by draw.

    The last axis of both is left for the runs.
    """
    from scipy import stats

    heavy = model.noise.kind == "student-t"
    # The Normal is the Student-t of infinitely many degrees.
    degrees = draws["nu"].to_numpy()[..., None] if heavy else np.inf
    return stats.t(degrees), draws["sigma"].to_numpy()[..., None]


def law_and_draws(source: Fit | Constants) -> tuple[Law, Mapping[str, xr.DataArray]]:
    """Return a law and draws of its parameters; published constants are a single draw."""
    if isinstance(source, Fit):
        return source.law, source.parameters
    draws = {
        name: xr.DataArray([[value]], dims=("chain", "draw"))
        for name, value in source.parameters.items()
    }
    return find_law(source.law), draws
