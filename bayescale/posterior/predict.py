"""Posterior predictions of the loss, or other response, of plans."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayescale._seeds import Stream, generator
from bayescale.backend.likelihood import NoiseOfRuns
from bayescale.data.levels import column_of, with_coarser
from bayescale.data.runs import Runs
from bayescale.errors import AmountError, expect_mapping
from bayescale.model.card import Model
from bayescale.model.measurement import Facts
from bayescale.posterior.curve import Curve, Groups, effects_at, end_to_end
from bayescale.posterior.extrapolation import beyond_runs, farthest
from bayescale.posterior.fitted import FittedModel
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.protocol import Posterior
from bayescale.units import WEIGHTS, as_stated, is_zero, parse_amounts, quantity_of

_BLOCK = 1_000_000
"""Number of draws times plans that are processed at a time."""


def predict(
    fit: Source,
    *,
    n_params: object = None,
    n_tokens: object = None,
    inputs: Mapping[str, object] | None = None,
    groups: Groups | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Predict the loss (or other response) of plans.

    Parameters
    ----------
    fit
        A fit, an average of laws, or published constants.
    n_params, n_tokens
        Amounts, or lists of amounts of equal length; single amounts are broadcast.
    inputs
        The same for a law with other inputs, by column of the runs: ``{"compute": ["1e21"]}``.
    groups
        For a model with partial pooling, the levels of the plans by grouping factor:
        ``{"family": "c4"}``, or a list with one level per plan. Effects of an unseen level
        (``bs.NEW``) are drawn from their population distribution, as are effects on parameters
        of unspecified grouping factors.
    seed
        Seed of the simulated noise of new runs; that of the fit unless given.

    Returns
    -------
    Dataset
        Dims ``chain``, ``draw``, ``plan``, with the inputs as coordinates of ``plan``. ``loss``
        are draws of the mean curve, ``loss_run`` of the posterior predictive of one new run,
        which includes the noise; both in the unit of the runs' loss. Other responses have their
        own name, such as ``bleu`` and ``bleu_run``. Published constants give a single draw of the
        former only. The coordinate ``beyond`` is the distance of each plan from the range of the
        runs, in e-folds of the input (or compute) in which it is largest.

    Raises
    ------
    AmountError
        If an amount is missing or cannot be read, or the lists differ in length.
    UnknownNameError
        If a level was not fitted.
    ValueError
        If levels or a seed are given with published constants, which have neither.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> loss = bs.predict(fit, n_params="70B", n_tokens="1.4T")["loss"]
    >>> bool(abs(loss.median() - 1.97) < 0.02)
    True
    """
    given = asked_inputs(n_params, n_tokens, inputs)
    source = as_posterior(fit)
    groups = expect_mapping(groups or {}, "groups", "{'family': 'c4'}")
    source.refuse_unknown_groups(groups)
    if source.is_point and seed:
        raise ValueError(
            f"seed: found {seed!r} with published constants, which have neither levels nor draws. "
            "Leave it out, or give a fit."
        )
    columns = source.columns
    plans = parse_plans(given, tuple(columns.values()))
    plans = _one_per_level(plans, groups)
    named_levels: Groups = with_coarser(groups, source.groupings)
    count = len(next(iter(plans.values())))
    name = source.response
    made: dict[str, list[NDArray[np.float64]]] = {}
    for part in blocks(count, source):
        own = {column: amounts[part] for column, amounts in plans.items()}
        levels = {c: x if np.ndim(x) == 0 else x[part] for c, x in named_levels.items()}
        log_inputs = {n: xr.DataArray(np.log(own[c]), dims="plan") for n, c in columns.items()}
        curve = source.curve_of(levels)
        mean = curve.response(log_inputs).transpose("chain", "draw", "plan")
        made.setdefault(name, []).append(mean.to_numpy())
        if not source.is_point:
            run = simulate_runs(source, mean, own, levels, seed, first=part.start)
            made.setdefault(f"{name}_run", []).append(run.transpose(*mean.dims).to_numpy())
    draws = {coordinate: mean[coordinate] for coordinate in mean.coords}
    coordinates = {column: ("plan", as_stated(column, x)) for column, x in plans.items()}
    if not source.is_point:
        coordinates["beyond"] = ("plan", np.asarray(farthest(beyond_runs(source, plans))))
    return xr.Dataset(
        {
            variable: (mean.dims, parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1))
            for variable, parts in made.items()
        },
        coords={**draws, "plan": np.arange(count), **coordinates},
    )


def blocks(count: int, source: Posterior) -> list[slice]:
    """Return slices that split `count` plans into blocks, to be processed sequentially.

    This bounds memory: intermediate arrays for ten thousand plans would take gigabytes.
    """
    size = max(1, _BLOCK // source.n_draws)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def asked_inputs(
    n_params: object, n_tokens: object, inputs: Mapping[str, object] | None
) -> dict[str, object]:
    """Return the given amounts of each input; raise if one is given by name and in `inputs`."""
    named = {"n_params": n_params, "n_tokens": n_tokens}
    given = {name: value for name, value in named.items() if value is not None}
    others = dict(expect_mapping(inputs or {}, "inputs", "{'compute': ['1e21', '1e22']}"))
    if twice := [name for name in given if name in others]:
        name = twice[0]
        raise AmountError(
            f"plans: found {name} twice, as {name}=... and in inputs "
            f"(--{name.replace('_', '-')} and --at), expected it once."
        )
    return given | others


def parse_plans(
    given: Mapping[str, object], columns: tuple[str, ...]
) -> dict[str, NDArray[np.float64]]:
    """Parse amounts into arrays of equal length, one for each column."""
    missing = [name for name in columns if name not in given]
    unknown = [name for name in given if name not in columns]
    if missing or unknown:
        options = " ".join(f"--at {name}=AMOUNT" for name in missing)
        raise AmountError(
            f"plans: found {', '.join(given) or 'nothing'}, expected {', '.join(columns)}"
            + (f" ({options})." if missing else ".")
        )
    amounts = {name: parse_amounts(given[name], quantity_of(name), name) for name in columns}
    lengths = {len(values) for values in amounts.values()} - {1}
    if len(lengths) > 1:
        counts = " and ".join(f"{len(values)} of {name}" for name, values in amounts.items())
        raise AmountError(f"plans: found {counts}, expected equal numbers, or one of either.")
    length = max(map(len, amounts.values()))
    plans = {name: np.broadcast_to(values, (length,)) for name, values in amounts.items()}
    zero = [is_zero(name, values) for name, values in plans.items() if name in WEIGHTS]
    if zero and np.all(zero, axis=0).any():
        raise AmountError("plans: found zero for every domain, expected a positive weight of one.")
    return plans


def _one_per_level(
    plans: dict[str, NDArray[np.float64]], groups: Groups
) -> dict[str, NDArray[np.float64]]:
    """Repeat a single plan for several levels; raise if lengths do not match."""
    count = len(next(iter(plans.values())))
    for column, levels in groups.items():
        listed = 1 if np.ndim(levels) == 0 else len(np.asarray(levels))
        if np.ndim(levels) and count == 1:
            plans = {name: np.repeat(values, listed) for name, values in plans.items()}
            count = listed
        elif np.ndim(levels) and listed != count:
            raise AmountError(
                f"groups: found {listed} levels of {column} for {count} plans, expected one for "
                "each plan, or one for all."
            )
    return plans


def simulate_runs(
    source: Posterior,
    mean: xr.DataArray,
    columns: Mapping[str, ArrayLike],
    groups: Groups | None = None,
    seed: int | None = None,
    *,
    first: int = 0,
    alone: bool = False,
) -> xr.DataArray:
    """Draw from the posterior predictive of new runs, one for each draw and plan.

    Each plan has its own random stream, so that its predictions do not depend on the number of
    plans.

    Parameters
    ----------
    source, mean
        A posterior, and draws of its mean curve, with dims chain, draw and the plans. Published
        constants have no noise.
    columns
        The inputs of the law at the plans, by column of the runs.
    groups
        The levels whose effects the curve includes already.
    seed
        Seed of the noise; that of the fit unless given.
    first
        Index of the first plan, if the plans are a block of several.
    alone
        Use common random numbers for all plans, so that predictions depend neither on the other
        plans nor on their order. For alternatives of which one will be run.
    """
    if source.is_point:
        return mean.copy()
    return end_to_end(
        _simulated(part, mean.isel(draw=draws), columns, groups, own, first=first, alone=alone)
        for part, draws, own in source.pieces(seed)
    )


def _simulated(
    fit: FittedModel,
    mean: xr.DataArray,
    columns: Mapping[str, ArrayLike],
    groups: Groups | None,
    seed: int,
    *,
    first: int,
    alone: bool,
) -> xr.DataArray:
    dim, model = str(mean.dims[-1]), fit.model
    log_inputs = {
        name: xr.DataArray(np.log(columns[column]), dims=dim)
        for name, column in model.columns.items()
    }
    curve = fit.curve_of(groups, dim)
    facts = model.noise.facts_of_plans(1)
    noise = noise_of_runs(model, fit.posterior, curve, mean, log_inputs, facts)
    drawn = np.empty(mean.shape)
    for plan in range(mean.sizes[dim]):
        stream = stream_of_noise(fit, seed, 0 if alone else first + plan)
        drawn[..., [plan]] = noise.at(plan).draw(stream, (*mean.shape[:2], 1))
    effects = effects_of_runs(fit, mean, columns, groups, seed, first=first, alone=alone)
    # A Student-t tail may be long enough to overflow.
    with np.errstate(over="ignore"):
        return mean * np.exp(effects + mean.copy(data=drawn))


def effects_of_runs(
    fit: FittedModel,
    like: xr.DataArray,
    columns: Mapping[str, ArrayLike],
    groups: Groups | None = None,
    seed: int | None = None,
    *,
    first: int = 0,
    alone: bool = False,
) -> xr.DataArray:
    """Return draws of the group effects on the log response that the curve does not include.

    These are effects of grouping factors such as size, run or shape. Plans without a known level
    have a new level each or, if `alone`, in common.
    """
    model, dim = fit.model, str(like.dims[-1])
    total = xr.zeros_like(like)
    for place, effect in enumerate(model.effects):
        if effect.over in {*fit.groups, *(groups or {})} or effect.of in model.law.parameters:
            continue
        own = [f"plan {0 if alone else first + i}" for i in range(like.sizes[dim])]
        stream = (_seed(fit, seed), place)
        found = effects_at(effect, fit.posterior, columns.get(effect.over, own), dim, stream)
        if effect.of in model.law.inputs:
            column = model.columns[effect.of]
            along = np.log(np.asarray(columns[column]) / fit.scale.reference[effect.of])
            found = found * xr.DataArray(along, dims=dim)
        total = total + found
    return total


def _seed(fit: FittedModel, seed: int | None) -> int:
    return fit.seed if seed is None else seed


def noise_of_runs(
    model: Model,
    draws: xr.Dataset,
    curve: Curve,
    mean: xr.DataArray,
    log_inputs: Mapping[str, xr.DataArray],
    facts: Facts,
) -> NoiseOfRuns:
    """Return the noise distribution of runs, for each draw.

    Parameters
    ----------
    model, draws, curve
        A model, draws of all its unknowns, and their curve.
    mean
        Draws of the curve at the runs, with dims chain, draw and the runs.
    log_inputs, facts
        Log inputs and facts (see `Noise.facts`) of the runs.
    """
    law, noise = model.law, model.noise
    values = {name: draws[name].to_numpy()[..., None] for name in noise.all_priors}
    amount: Any = 0.0
    if noise.growth is not None:
        reference = curve.reference or law.unit_reference
        found = noise.amount(
            law,
            model.columns,
            {name: log - np.log(reference[name]) for name, log in log_inputs.items()},
            {**curve.parameters, law.response: law.formula(log_inputs, curve.parameters)},
            {str(name): x for name, x in draws.data_vars.items()},
        )
        amount = found.broadcast_like(mean).transpose(*mean.dims).to_numpy()
    return NoiseOfRuns(noise=noise, values=values, amount=amount, facts=facts)


def noise_at_runs(
    fit: FittedModel, runs: Runs, links: Facts | None = None
) -> tuple[NoiseOfRuns, NDArray[np.float64]]:
    """Return the noise distribution of runs, and draws of their mean log response.

    Parameters
    ----------
    fit, runs
        A fit, and runs with the columns of its model. Rows with a fitted level have its effects.
    links
        Predecessors of checkpoints, if these are not the previous rows of their runs.

    Returns
    -------
    noise, log_mean
        The noise, and draws of the log mean with group effects, of shape (chain, draw, run).
    """
    model = fit.model
    log_inputs = {
        name: xr.DataArray(np.log(runs.column(column)), dims="run")
        for name, column in model.columns.items()
    }
    named = set(runs.table.columns)
    groups = {
        column: column_of(runs, column)
        for column in model.groupings
        if named.issuperset(column.split("+"))
    }
    curve = fit.curve_of(groups, "run")
    mean = curve.response(log_inputs).transpose("chain", "draw", "run")
    inputs = {column: runs.column(column) for column in model.columns.values()}
    log_mean = np.log(mean.to_numpy()) + effects_of_runs(fit, mean, inputs, groups).to_numpy()
    facts = model.noise.facts(runs, links)
    return noise_of_runs(model, fit.posterior, curve, mean, log_inputs, facts), log_mean


def stream_of_noise(
    fit: FittedModel, seed: int | None = None, plan: int = 0
) -> np.random.Generator:
    """Return the random generator of the noise of a plan, independent of other streams."""
    return generator(_seed(fit, seed), Stream.RUN_NOISE, plan)
