"""What a posterior predicts for given plans: the loss, or whatever else the law is of."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayescale.constants import Constants
from bayescale.curve import Curve
from bayescale.errors import AmountError
from bayescale.groups import Levels, effect_name, level_dim, spread_name
from bayescale.model import Model
from bayescale.posterior import Fit
from bayescale.units import parse_amounts

_RUN_NOISE_STREAM, _EFFECT_STREAM = 1, 2
"""Second words of the seeds of what is simulated, apart from the sampler's stream."""


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
    mean = fit.curve.response(log_inputs).transpose("chain", "draw", "plan")
    name = fit.law.response
    count = mean.sizes["plan"]
    coordinates = {column: ("plan", amounts) for column, amounts in plans.items()}
    return xr.Dataset(
        {name: mean, f"{name}_run": simulate_runs(fit, mean, plans, seed)},
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


def simulate_runs(
    fit: Fit, mean: xr.DataArray, columns: Mapping[str, ArrayLike], seed: int | None = None
) -> xr.DataArray:
    """Return what new runs would show where the curve says `mean`, one for each draw and plan.

    Parameters
    ----------
    fit, mean
        A posterior, and draws of its curve; dims chain, draw and one more, along the plans.
    columns
        What is known of the plans, by column of the runs.
    seed
        The fit's own unless given.
    """
    # A Student-t tail may be long enough to overflow.
    with np.errstate(over="ignore"):
        effects = shared_effects(fit.model, fit.posterior, mean, columns, _seed(fit, seed))
        return mean * np.exp(effects + scatter_of_runs(fit, mean, seed))


def shared_effects(
    model: Model,
    draws: xr.Dataset,
    like: xr.DataArray,
    columns: Mapping[str, ArrayLike],
    seed: int,
) -> xr.DataArray:
    """Return effects that runs share with those fitted, or with one another.

    A level that was fitted has the effect that was learnt; any other a new one, which all
    runs of that level share. A run of which the column is not known is of a level of its own.
    """
    rng = np.random.default_rng([seed, _EFFECT_STREAM])
    total = xr.zeros_like(like)
    for column in model.shared:
        known = draws[effect_name(column)]
        values = columns.get(column)
        if values is None:
            codes = -1 - np.arange(like.shape[-1])
        else:
            codes = Levels(column, known[level_dim(column)].to_numpy()).codes(values)
            unseen = codes < 0
            codes[unseen] = -1 - np.unique(np.asarray(values)[unseen], return_inverse=True)[1]
        unknown = rng.standard_normal((*known.shape[:2], max(0, -int(codes.min()))))
        # Level -1 is the last of all, -2 the one before it.
        steps = np.concatenate([known.to_numpy(), unknown], axis=-1)[..., codes]
        total = total + draws[spread_name(column)] * xr.DataArray(steps, dims=like.dims)
    return total


def scatter_of_runs(fit: Fit, like: xr.DataArray, seed: int | None = None) -> xr.DataArray:
    """Return scatter of the log response, one for each draw and plan of `like`."""
    rng = np.random.default_rng([_seed(fit, seed), _RUN_NOISE_STREAM])
    if fit.model.noise.kind == "student-t":
        nu = fit.posterior["nu"].broadcast_like(like).transpose(*like.dims)
        standard = rng.standard_t(nu.to_numpy())
    else:
        standard = rng.standard_normal(like.shape)
    return fit.posterior["sigma"] * xr.DataArray(standard, dims=like.dims)


def _seed(fit: Fit, seed: int | None) -> int:
    return fit.seed if seed is None else seed


def noise_of_runs(model: Model, draws: xr.Dataset) -> tuple[Any, NDArray[np.float64]]:
    """Return the distribution of the scatter in units of its scale, and the scale, by draw.

    The last axis of both is left for the runs.
    """
    from scipy import stats

    heavy = model.noise.kind == "student-t"
    # The Normal is the Student-t of infinitely many degrees.
    degrees = draws["nu"].to_numpy()[..., None] if heavy else np.inf
    return stats.t(degrees), draws["sigma"].to_numpy()[..., None]


def curve_of(source: Fit | Constants) -> Curve:
    """Return the curve of a posterior, or of published constants."""
    return source.curve if isinstance(source, Fit) else Curve.of_constants(source)
