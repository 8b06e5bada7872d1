"""From (Model, Runs) to a PyMC model, and from its unconstrained draws back to parameters.

The PyMC model is free of scale: inputs and responses enter as logarithms relative to the centre of
the runs. One compiled model therefore serves every table of runs.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale.design import Design, Sizes
from bayescale.discrepancy import CELLS, MODES, WALKS
from bayescale.groups import effect_name, level_dim
from bayescale.laws import Law, Value, Values
from bayescale.model import Model

if TYPE_CHECKING:
    import pymc as pm

DATA = "runs"
"""Name of the data container: the matrix of a `Design`."""

_LOGIT = "logit_share_"


def build(model: Model, data: NDArray[np.float64], sizes: Sizes = ()) -> "pm.Model":
    """Return the PyMC model of the log of the response.

    Parameters
    ----------
    model
        Law, priors and noise.
    data
        The matrix of a `Design`; its number of columns may change later.
    sizes
        Its room for levels.

    Notes
    -----
    Exponents are not sampled themselves. With e the elasticity of a term and s its share of the
    response at the reference point, the exponent is e / s, and the shares live on a simplex whose
    remainder is the floor (or, for a law without one, the data term). The law's constraint then
    holds for every value that the sampler can propose, where priors on the exponents would need
    a wall. The priors are stated on the exponents all the same: the Jacobian of (ln exponents)
    in the logits of the shares is the remainder.

    The steps of walks and the shared effects are sampled over the standard deviation that they
    would have given the runs and nothing but themselves unknown: an effect that runs determine is
    then sampled as it is, one that they do not over its scale, and all between as far as they do.
    Either of the two forms alone has a funnel where the other is right (Betancourt and Girolami
    2013, arXiv:1312.0906), and within one fit some effects are determined and some are not.
    """
    import pymc as pm
    import pytensor.tensor as pt

    law = model.formula
    with pm.Model() as built:
        runs = pm.Data(DATA, data)
        log_inputs = {name: runs[i] for i, name in enumerate(law.inputs)}
        log_response = runs[len(law.inputs)]
        free: dict[str, Any] = {
            name: prior.variable(name)
            for name, prior in model.priors.items()
            if name not in law.shares
        }
        free |= {logit_name(name): pm.Flat(logit_name(name)) for name in law.shares}
        coordinates, log_remainder = coordinates_of(law, free)
        for name in law.shares:
            exponent = coordinates[name]
            prior = model.priors[name]
            pm.Potential(
                f"prior_{name}", prior.log_density(exponent) + prior.log_jacobian(exponent)
            )
        if law.shares:
            pm.Potential("shares_jacobian", log_remainder)
        others = {name: prior.variable(name) for name, prior in model.other_priors.items()}
        centred = law.from_reference(coordinates, law.unit_reference)
        mean = np.log(law.formula(log_inputs, centred))
        row = len(law.inputs) + 1
        scales = model.step_scales(others)

        def departure(name: str, seen: Any) -> Any:
            told = np.sqrt(1.0 + (scales[name] / others["sigma"]) ** 2 * seen)
            steps = pm.Normal(name, sigma=told, shape=steps_of(model, sizes)[name])
            return scales[name] / told * steps

        for column, size in sizes:
            codes = runs[row].astype("int64")
            counts = pt.zeros(size)[codes].inc(1.0)
            mean = mean + departure(effect_name(column), counts)[codes]
            row += 1
        if model.discrepancy is not None:
            rows = runs[row:]
            mean = mean + departure(WALKS, (rows**2).sum(axis=1)) @ rows
        if model.noise.kind == "student-t":
            pm.StudentT(
                "log_response",
                nu=others["nu"],
                mu=mean,
                sigma=others["sigma"],
                observed=log_response,
            )
        else:
            pm.Normal("log_response", mu=mean, sigma=others["sigma"], observed=log_response)
    return built


def logit_name(exponent: str) -> str:
    """Return the name of the sampled variable behind an exponent."""
    return f"{_LOGIT}{exponent}"


def coordinates_of(law: Law, free: Values) -> tuple[dict[str, Value], Value]:
    """Return the law's coordinates and the log of the simplex remainder, from sampled values."""
    weights = {name: np.exp(free[logit_name(name)]) for name in law.shares}
    total = 1.0 + sum(weights.values())
    coordinates = {
        name: sum(free[e] for e in law.shares[name]) * total / weights[name]
        if name in weights
        else free[name]
        for name in law.coordinates
    }
    return coordinates, -np.log(total)


def steps_of(model: Model, sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the standard normal variables of a model, by name."""
    effects = {effect_name(column): (size,) for column, size in sizes}
    return {**effects, **({WALKS: (MODES,)} if model.discrepancy else {})}


def starting_point(
    model: Model, instead: Mapping[str, float] | None = None, sizes: Sizes = ()
) -> dict[str, Any]:
    """Return typical prior values of the unconstrained variables, by value-variable name.

    Parameters
    ----------
    model
        The model.
    instead
        Coordinates that are to be elsewhere; none that is sampled as a share.
    sizes
        Room for levels, as that of a `Design`.
    """
    law = model.formula
    instead = instead or {}
    start = {
        name: prior.unconstrain(instead.get(name, prior.typical))
        for name, prior in model.all_priors.items()
        if name not in law.shares
    }
    shares = {
        name: sum(model.priors[e].typical for e in elasticities) / model.priors[name].typical
        for name, elasticities in law.shares.items()
    }
    remainder = max(1.0 - sum(shares.values()), 0.1)
    logits = {logit_name(n): float(np.log(s / remainder)) for n, s in shares.items()}
    steps = {name: np.zeros(shape) for name, shape in steps_of(model, sizes).items()}
    return {**start, **logits, **steps}


def parameters_from_draws(
    model: Model, design: Design, draws: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Return natural parameters, coordinates and all other unknowns from unconstrained draws.

    Parameters
    ----------
    model, design
        What was sampled, given what.
    draws
        One array of draws for each variable of `starting_point`.
    """
    law = model.formula
    priors = model.all_priors
    free = {
        name: priors[name].constrain(values) if name in priors else values
        for name, values in draws.items()
    }
    seen = design.seen
    for name, scale in model.step_scales(free).items():
        told = (scale / free["sigma"])[..., None] ** 2 * seen[name]
        free[name] = free[name] / np.sqrt(1.0 + told)
    coordinates, _ = coordinates_of(law, free)
    in_units = {
        name: value * design.scale.response if model.priors[name].relative_to else value
        for name, value in coordinates.items()
    }
    natural = law.from_reference(in_units, design.scale.reference)
    others = {name: value for name, value in free.items() if not name.startswith(_LOGIT)}
    return {**natural, **others, **in_units}


def labelled(
    design: Design,
    found: Mapping[str, NDArray[np.float64]],
    rng: np.random.Generator,
) -> xr.Dataset:
    """Return all that draws say, from what `parameters_from_draws` returns.

    Of the effects that a compiled model has room for, those of the levels are kept. The modes of
    a walk that the runs cannot see were not sampled: they are drawn here, from the prior that is
    their posterior.
    """
    chains, count = next(iter(found.values())).shape[:2]
    coordinates: dict[str, Any] = {"chain": np.arange(chains), "draw": np.arange(count)}
    columns: dict[str, tuple[tuple[str, ...], NDArray[np.float64]]] = {
        name: (("chain", "draw"), x) for name, x in found.items() if x.ndim == 2
    }
    for column, levels in design.levels.items():
        name, dim = effect_name(column), level_dim(column)
        coordinates[dim] = levels.labels
        columns[name] = (("chain", "draw", dim), found[name][..., : len(levels)])
    if design.turn is not None:
        unseen = rng.standard_normal((chains, count, len(design.turn) - MODES))
        steps = np.concatenate([found[WALKS], unseen], axis=-1) @ design.turn.T
        columns[WALKS] = (("chain", "draw", "axis", "cell"), steps.reshape(chains, count, -1, 2 * CELLS))
    return xr.Dataset(columns, coords=coordinates)


def draw_prior(
    model: Model, rng: np.random.Generator, size: int, sizes: Sizes = ()
) -> dict[str, NDArray[np.float64]]:
    """Return draws of coordinates (the level relative to the observed) and the rest from the prior.

    Draws that leave no remainder for the floor are rejected, as the model excludes them; PyMC's
    own prior sampler does not see that constraint.
    """
    law = model.formula
    kept: list[dict[str, NDArray[np.float64]]] = []
    count = 0
    while count < size:
        drawn = {name: prior.draw(rng, size) for name, prior in model.all_priors.items()}
        shares = sum(
            sum(drawn[e] for e in elasticities) / drawn[name]
            for name, elasticities in law.shares.items()
        )
        inside = np.broadcast_to(np.asarray(shares) < 1.0, (size,))
        kept.append({name: values[inside] for name, values in drawn.items()})
        count += int(inside.sum())
    drawn = {name: np.concatenate([k[name] for k in kept])[:size] for name in kept[0]}
    steps = steps_of(model, sizes)
    return drawn | {name: rng.standard_normal((size, *shape)) for name, shape in steps.items()}
