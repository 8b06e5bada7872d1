"""From (Model, Runs) to a PyMC model, and from its unconstrained draws back to parameters.

The PyMC model is free of scale: inputs and responses enter as logarithms relative to the centre of
the runs. One compiled model therefore serves every table of runs.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale.design import Design, Rows, Sizes, ahead_of_usual, differing, moved
from bayescale.discrepancy import CELLS, MODES, WALKS
from bayescale.groups import level_dim
from bayescale.laws import Law, Value, Values
from bayescale.model import Model
from bayescale.pooling import Pooling
from bayescale.residuals import NoiseOfRuns

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

    The steps of walks and the differences between levels are sampled over the standard deviation
    that they would have given the runs and nothing but themselves unknown: an effect that runs
    determine is then sampled as it is, one that they do not over its scale, and all between as
    far as they do.
    Either of the two forms alone has a funnel where the other is right (Betancourt and Girolami
    2013, arXiv:1312.0906), and within one fit some effects are determined and some are not.
    """
    import pymc as pm
    import pytensor.tensor as pt

    law, rows = model.formula, Rows(model)
    with pm.Model() as built:
        runs = pm.Data(DATA, data)
        log_inputs = {name: runs[row] for name, row in rows.inputs.items()}
        log_response = runs[rows.response]
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
        scales = model.step_scales(others)
        codes = {column: runs[row].astype("int64") for column, row in rows.codes.items()}
        overall = parameters = law.from_reference(coordinates, law.unit_reference)

        shown: dict[str, Any] = {}
        for column, size in sizes:
            # A run of each level stands for it; levels that there is but room for have none.
            index = pt.arange(codes[column].shape[0])  # type: ignore[no-untyped-call]
            # Whole: of a filled array JAX forgets the type, and counts runs in 8 bits.
            nowhere = pt.constant(np.full(size, -1, dtype=np.int64))
            example = nowhere[codes[column]].set(index)
            shown[column] = (pt.maximum(example, 0), pt.ge(example, 0))

        def by_level(column: str, row: int) -> Any:
            example, there = shown[column]
            return runs[row][example] * there

        ahead: Values = {}
        if model.grouping:
            centres = {name: by_level(model.grouping, row) for name, row in rows.centres.items()}
            ahead = ahead_of_usual(model, parameters, centres)
        effects: dict[str, Any] = {}
        of_levels: dict[str, Any] = {}
        by_effect: dict[str, Any] = {}
        for effect in model.effects:
            seen = by_level(effect.by, rows.seen[effect.effect])
            expected = effect.expected(others, by_effect)
            start = expected + (ahead[effect.of] if leads(model, effect) else 0.0)
            told, lead = informed(scales[effect.effect], others["sigma"], seen, start)
            steps = pm.Normal(effect.effect, lead, told, shape=dict(sizes)[effect.by])
            found = expected + scales[effect.effect] / told * (steps - lead)
            by_effect[effect.effect] = found
            if effect.of in law.parameters and within(effect.by, model.grouping):
                if effect.by != model.grouping:
                    found = found[by_level(model.grouping, rows.codes[effect.by]).astype("int64")]
                of_levels[effect.of] = of_levels.get(effect.of, 0.0) + found
            else:
                effects[effect.of] = effects.get(effect.of, 0.0) + found[codes[effect.by]]
        local: Values = log_inputs
        if model.grouping:
            # Parameters of levels first, which are few, and then those of the runs.
            shift = {name: np.exp(centre) for name, centre in centres.items()}
            by_grouping = differing(law, moved(law, parameters, shift), of_levels)
            here = codes[model.grouping]
            parameters = {name: x[here] if np.ndim(x) else x for name, x in by_grouping.items()}
            crossed = {name: x for name, x in effects.items() if name in law.parameters}
            parameters = differing(law, parameters, crossed)
            local = {name: x - runs[rows.centres[name]] for name, x in log_inputs.items()}
        of_law = law.formula(local, parameters)
        amount = model.noise.amount(
            law,
            model.columns,
            log_inputs,
            {**parameters, law.response: of_law},
            {**overall, **coordinates},
        )
        mean = np.log(of_law)
        for name, effect_at_run in effects.items():
            if name == law.response:
                mean = mean + effect_at_run
            elif name in law.inputs:
                mean = mean + effect_at_run * log_inputs[name]
        if model.discrepancy is not None:
            modes = runs[rows.modes]
            told, _ = informed(scales[WALKS], others["sigma"], (modes**2).sum(axis=1))
            steps = scales[WALKS] / told * pm.Normal(WALKS, sigma=told, shape=MODES)
            # Not as a product of matrices: a library's is called through Python, and is no faster.
            mean = mean + (steps[:, None] * modes).sum(axis=0)
        facts = {name: runs[row] for name, row in rows.noise.items()}
        noise = NoiseOfRuns(noise=model.noise, values=others, amount=amount, facts=facts)
        pm.Potential("log_response", noise.log_density(log_response - mean).sum())
    return built


def leads(model: Model, effect: Pooling) -> bool:
    """Return whether an effect is of a parameter at the centres of the model's grouping."""
    return effect.of in model.formula.parameters and effect.by == model.grouping


def within(column: str, finer: str) -> bool:
    """Return whether a level of one column of groups says which level of another it is in."""
    return set(column.split("+")) <= set(finer.split("+"))


def informed(scale: Any, sigma: Any, seen: Any, ahead: Any = 0.0) -> tuple[Any, Any]:
    """Return the standard deviation and the mean of steps that runs tell of as far as they do.

    Parameters
    ----------
    scale, sigma
        Scale of the effects, and of the scatter of runs.
    seen
        What runs say of each effect, over the scatter squared.
    ahead
        By how much what the effects add to differs from its usual value. Where runs determine
        the sum, the sum is sampled; where they do not, the effect.
    """
    told_squared = 1.0 + (scale / sigma) ** 2 * seen
    told = np.sqrt(told_squared)
    return told, (1.0 - 1.0 / told_squared) * ahead * told / scale


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
    room = dict(sizes)
    effects = {effect.effect: (room[effect.by],) for effect in model.effects}
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
        Coordinates that are to be elsewhere.
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
        name: sum(instead.get(e, model.priors[e].typical) for e in elasticities)
        / instead.get(name, model.priors[name].typical)
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
    coordinates, _ = coordinates_of(law, free)
    ahead: Values = {}
    if model.grouping:
        about_unit = law.from_reference(coordinates, law.unit_reference)
        wide = {name: np.asarray(value)[..., None] for name, value in about_unit.items()}
        ahead = ahead_of_usual(model, wide, design.centres(model))
    seen, scales = design.seen(model), model.step_scales(free)
    sigma = free["sigma"][..., None]
    for effect in model.effects:
        scale = np.asarray(scales[effect.effect])[..., None]
        expected = effect.expected(free, free)
        start = expected + (ahead[effect.of] if leads(model, effect) else 0.0)
        told, lead = informed(scale, sigma, seen[effect.effect], start)
        free[effect.effect] = expected + scale / told * (free[effect.effect] - lead)
    if model.discrepancy is not None:
        # Of walks the standard steps are kept, since those that no run sees join them.
        told, _ = informed(scales[WALKS][..., None], sigma, seen[WALKS])
        free[WALKS] = free[WALKS] / told
    in_units = {
        name: value * design.scale.response if model.priors[name].relative_to else value
        for name, value in coordinates.items()
    }
    natural = law.from_reference(in_units, design.scale.reference)
    others = {name: value for name, value in free.items() if not name.startswith(_LOGIT)}
    return {**natural, **others, **in_units}


def labelled(
    model: Model,
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
    for effect in model.effects:
        labels, dim = design.levels[effect.by].labels, level_dim(effect.by)
        coordinates[dim] = labels
        columns[effect.effect] = (
            ("chain", "draw", dim),
            found[effect.effect][..., : len(labels)],
        )
    if design.turn is not None:
        unseen = rng.standard_normal((chains, count, len(design.turn) - MODES))
        steps = np.concatenate([found[WALKS], unseen], axis=-1) @ design.turn.T
        columns[WALKS] = (
            ("chain", "draw", "axis", "cell"),
            steps.reshape(chains, count, -1, 2 * CELLS),
        )
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
    scales = model.step_scales(drawn)
    for name, shape in steps_of(model, sizes).items():
        scale = 1.0 if name == WALKS else np.broadcast_to(scales[name], (size,))[:, None]
        drawn[name] = scale * rng.standard_normal((size, *shape))
    for effect in model.effects:
        drawn[effect.effect] = effect.expected(drawn, drawn) + drawn[effect.effect]
    return drawn
