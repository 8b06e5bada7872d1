"""Build the PyMC model of a card, and map its unconstrained draws back to parameters.

The PyMC model is scale-free: inputs and responses enter as logarithms relative to the centre of
the runs. One compiled model therefore serves every table of runs.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale.backend.hierarchy import Placed, at_runs, unit_reference, within
from bayescale.backend.likelihood import NoiseOfRuns
from bayescale.backend.observed import TYPICAL, Design, Rows
from bayescale.backend.unconstrained import (
    coordinates_of,
    slices_of,
    starting_point,
    steps_of,
    variables_of,
)
from bayescale.backend.whitening import Expansion, differences_of, seen_slopes
from bayescale.data.levels import Sizes, level_dim
from bayescale.laws import Values
from bayescale.model.card import Model
from bayescale.model.discrepancy import CELLS, SCALES, SLOPES

if TYPE_CHECKING:
    import pymc as pm

DATA = "runs"
"""Name of the data container: the matrix of a `Design`."""

_AT_ONCE = 1_000_000
"""Largest number of evaluations of the law (runs times draws) at once, to bound memory."""


def build(model: Model, data: NDArray[np.float64], sizes: Sizes = ()) -> "pm.Model":
    """Return the PyMC model of the log of the response.

    Parameters
    ----------
    model
        Law, priors and noise.
    data
        The matrix of a `Design`; its number of columns may change later.
    sizes
        Number of levels of each grouping factor to allocate.

    Notes
    -----
    Exponents are not sampled directly. With e the elasticity of a term and s its share of the
    response at the reference point, the exponent is e / s, and the shares lie on a simplex whose
    remainder is the floor (or, for a law without one, the data term). Every proposal of the
    sampler then satisfies the law's constraint, without a hard boundary. The priors are still
    stated on the exponents: the Jacobian of (ln exponents) with respect to the logits of the
    shares is the remainder. Two elasticities are sampled as their sum and their ratio
    (`coordinates_of`).

    A stated floor replaces the level: the priors are on the floor, the elasticities and
    the exponents. Every floor is the level times a function of the other coordinates, so that the
    Jacobian of the log of the floor with respect to the log of the level is one.

    Group effects and the slopes of a discrepancy are sampled in a partially non-centred
    parametrisation (`whitening`): centred where the runs determine an effect, non-centred where
    they do not, and interpolated in between. Either parametrisation alone has a funnel where the
    other is appropriate (Betancourt and Girolami 2013, arXiv:1312.0906), and one fit usually has
    effects of both kinds.
    """
    import pymc as pm
    import pytensor.tensor as pt

    from bayescale.backend.conditional import conditional_in_graph

    law, rows = model.law, Rows(model)
    with pm.Model() as built:
        runs = pm.Data(DATA, data)
        log_inputs = {name: runs[row] for name, row in rows.inputs.items()}
        log_response = runs[rows.response]
        sampled = {name: pm.Flat(name) for name in variables_of(model)}
        coordinates, log_remainder = coordinates_of(model, sampled)
        for name, prior in model.priors.items():
            if model.floor is not None and name == law.level:
                continue
            value = coordinates[name]
            pm.Potential(f"prior_{name}", prior.log_density(value) + prior.log_jacobian(value))
        if law.shares:
            pm.Potential("shares_jacobian", log_remainder)
        others = {name: prior.variable(name) for name, prior in model.other_priors.items()}
        codes = {column: runs[row].astype("int64") for column, row in rows.codes.items()}
        overall = law.from_reference(coordinates, unit_reference(law, log_inputs))
        if model.floor is not None:
            stated = {name: runs[row][0] for name, row in rows.floor.items()}
            floor = stated.pop(TYPICAL) * overall[law.floor]
            # The Jacobian of ln floor with respect to ln level is one.
            pm.Potential("prior_floor", model.floor.log_density(floor, stated) + np.log(floor))

        examples: dict[str, Any] = {}
        for column, size in sizes:
            # One run represents each level; padding levels have none.
            index = pt.arange(codes[column].shape[0])  # type: ignore[no-untyped-call]
            # As a full constant: JAX loses the dtype of a filled array and indexes in 8 bits.
            no_run = pt.constant(np.full(size, -1, dtype=np.int64))
            example = no_run[codes[column]].set(index)
            examples[column] = (pt.maximum(example, 0), pt.ge(example, 0))

        def by_level(column: str, row: int | slice) -> Any:
            example, has_run = examples[column]
            return runs[row][..., example] * has_run

        grouping = model.grouping
        centres = {name: by_level(grouping, row) for name, row in rows.centres.items()}
        placed = Placed(
            log_inputs=log_inputs,
            codes=codes,
            centres=centres,
            local={name: x - runs[rows.centres[name]] for name, x in log_inputs.items()}
            if grouping
            else log_inputs,
            coarser={
                column: by_level(grouping, row).astype("int64")
                for column, row in rows.codes.items()
                if column != grouping and within(column, grouping)
            },
        )
        expansions = {
            column: Expansion.from_rows(by_level(column, part), len(model.effects_by(column)))
            for column, part in rows.expansions.items()
        }
        shapes = steps_of(model, sizes)
        steps = {
            effect.effect: pm.Flat(effect.effect, shape=shapes[effect.effect])
            for effect in model.effects
        }
        differences, log_density = differences_of(model, others, overall, placed, expansions, steps)
        if model.effects:
            pm.Potential("differences", log_density)
        predicted = at_runs(model, overall, differences, placed)
        amount = model.noise.amount(
            law,
            model.columns,
            log_inputs,
            {**predicted.parameters, law.response: predicted.of_law},
            {**overall, **coordinates},
        )
        residuals = log_response - predicted.log_mean
        if model.discrepancy is not None:
            coordinates_of_slopes, residuals, log_sharper = seen_slopes(
                others,
                runs[rows.modes],
                runs[rows.growth][:, 0],
                runs[rows.factor],
                residuals,
                pm.Flat(SLOPES, shape=shapes[SLOPES]),
                conditional_in_graph,
            )
            pm.Potential("seen_slopes", log_sharper - 0.5 * (coordinates_of_slopes**2).sum())
        facts = {name: runs[row] for name, row in rows.noise.items()}
        noise = NoiseOfRuns(noise=model.noise, values=others, amount=amount, facts=facts)
        pm.Potential("log_response", noise.log_density(residuals).sum())
    return built


def parameters_from_draws(
    model: Model, design: Design, draws: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Return natural parameters, coordinates and all other unknowns from unconstrained draws.

    Parameters
    ----------
    model, design
        The model that was sampled, and its data.
    draws
        One array of draws for each variable of `starting_point`.
    """
    law, priors = model.law, model.other_priors
    coordinates, _ = coordinates_of(model, draws)
    free = {
        name: priors[name].constrain(values) if name in priors else values
        for name, values in draws.items()
        if name not in variables_of(model)
    }
    wide = {name: free[name][..., None] for name in priors}
    about_unit = law.from_reference(coordinates, unit_reference(law, design.placed.log_inputs))
    overall = {name: np.asarray(x)[..., None] for name, x in about_unit.items()}
    if model.effects:
        found, _ = differences_of(model, wide, overall, design.placed, design.expansions, free)
        free |= found
    if model.discrepancy is not None:
        free[SLOPES] = _slopes(model, design, overall, wide, free)
    in_units = {
        name: value * design.scale.response if model.priors[name].relative_to else value
        for name, value in coordinates.items()
    }
    natural = law.from_reference(in_units, design.scale.reference)
    return {**natural, **free, **in_units}


def position_of(
    model: Model, design: Design, found: Mapping[str, NDArray[np.float64]]
) -> dict[str, Any]:
    """Return the unconstrained values of one draw: the inverse of `parameters_from_draws`.

    Parameters
    ----------
    model, design
        The model, and its data.
    found
        Coordinates (the level relative to the typical response), all other scalars, group effects
        and slopes, as `draw_prior` returns them.
    """
    scalars = {name: float(x.item()) for name, x in found.items() if name in model.all_priors}
    at = starting_point(model, scalars, design.sizes)
    # Group effects are affine in their steps; given the effects, so are the slopes in theirs.
    for names in ([effect.effect for effect in model.effects], [SLOPES]):
        shapes = {name: at[name].shape for name in names if name in at}
        if not shapes:
            continue
        parts = dict(zip(shapes, slices_of(shapes), strict=True))
        target = np.concatenate([found[name].ravel() for name in shapes])
        # Evaluate the affine map at zero and at each unit vector, and solve.
        points = np.vstack([np.zeros(len(target)), np.eye(len(target))])
        draws = {
            name: points[None, :, parts[name]].reshape(1, -1, *np.shape(x))
            if name in parts
            else np.broadcast_to(x, (1, len(points), *np.shape(x)))
            for name, x in at.items()
        }
        values = parameters_from_draws(model, design, draws)
        rows = np.concatenate([values[n].reshape(len(points), -1) for n in shapes], axis=1)
        steps = np.linalg.solve((rows[1:] - rows[0]).T, target - rows[0])
        at |= {name: steps[part].reshape(shapes[name]) for name, part in parts.items()}
    return at


def _slopes(
    model: Model, design: Design, natural: Values, others: Values, free: Values
) -> NDArray[np.float64]:
    """Return the coordinates of the slopes, from natural parameters and whitened steps."""
    from bayescale.backend.conditional import conditional

    matrix, rows = design.matrix, Rows(model)
    if model.grouping:
        n_levels = dict(design.sizes)[model.grouping]
        natural = {n: np.broadcast_to(x, (*x.shape[:-1], n_levels)) for n, x in natural.items()}
    count = free[SLOPES].shape[-2]
    # In blocks of draws, to bound memory.
    parts = np.array_split(np.arange(count), 1 + count * matrix[rows.modes].size // _AT_ONCE)
    found = []
    for part in parts:
        predicted = at_runs(
            model,
            {name: x[..., part, :] for name, x in natural.items()},
            {e.effect: free[e.effect][..., part, :] for e in model.effects},
            design.placed,
        )
        coordinates, *_ = seen_slopes(
            {name: others[name][..., part, :] for name in (*SCALES, "sigma")},
            matrix[rows.modes],
            matrix[rows.growth][:, 0],
            matrix[rows.factor],
            matrix[rows.response] - predicted.log_mean,
            free[SLOPES][..., part, :],
            conditional,
        )
        found.append(coordinates)
    return np.concatenate(found, axis=-2)


def labelled(
    model: Model,
    design: Design,
    found: Mapping[str, NDArray[np.float64]],
    rng: np.random.Generator,
) -> xr.Dataset:
    """Return the result of `parameters_from_draws` as a labelled dataset.

    Effects of padding levels are dropped. Directions of the slopes that do not affect the runs
    are not sampled by NUTS: they are drawn here conditional on the sampled ones.
    """
    chains, count = next(iter(found.values())).shape[:2]
    coordinates: dict[str, Any] = {"chain": np.arange(chains), "draw": np.arange(count)}
    columns: dict[str, tuple[tuple[str, ...], NDArray[np.float64]]] = {
        name: (("chain", "draw"), x) for name, x in found.items() if x.ndim == 2
    }
    for effect in model.effects:
        labels, dim = design.levels[effect.over].labels, level_dim(effect.over)
        coordinates[dim] = labels
        columns[effect.effect] = (
            ("chain", "draw", dim),
            found[effect.effect][..., : len(labels)],
        )
    if model.discrepancy is not None and design.modes is not None:
        rough, smooth = (found[name] for name in SCALES)
        slopes = model.discrepancy.given(design.modes, found[SLOPES], rough, smooth, rng)
        columns[SLOPES] = (
            ("chain", "draw", "axis", "cell"),
            slopes.reshape(chains, count, -1, 2 * CELLS),
        )
    return xr.Dataset(columns, coords=coordinates)


def draw_prior(
    model: Model,
    rng: np.random.Generator,
    size: int,
    sizes: Sizes = (),
    typical: float | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Return prior draws of coordinates (the level relative to the response) and other unknowns.

    Draws that leave no remainder for the floor are rejected, as the model excludes them; PyMC's
    prior sampler ignores that constraint. Group effects are drawn only if `sizes` gives the
    number of levels of each grouping factor. A stated floor is drawn from its prior, and the level
    follows from it; `typical`, the typical response (`Scale.response`), is needed only then.
    """
    law = model.law
    accepted: list[dict[str, NDArray[np.float64]]] = []
    count = 0
    while count < size:
        drawn = {name: prior.draw(rng, size) for name, prior in model.all_priors.items()}
        shares = sum(
            sum(drawn[e] for e in elasticities) / drawn[name]
            for name, elasticities in law.shares.items()
        )
        inside = np.broadcast_to(np.asarray(shares) < 1.0, (size,))
        if model.floor is not None:
            if typical is None:
                raise ValueError("typical: found none, expected the typical response of the runs.")
            floor = model.floor.draw(rng, size) / typical
            inside = inside & (floor > 0.0)
            at_unit_level = {**{name: drawn[name] for name in law.coordinates}, law.level: 1.0}
            share = law.from_reference(at_unit_level, law.unit_reference)[law.floor]
            drawn[law.level] = floor / np.where(inside, share, 1.0)
        accepted.append({name: values[inside] for name, values in drawn.items()})
        count += int(inside.sum())
    drawn = {name: np.concatenate([part[name] for part in accepted])[:size] for name in accepted[0]}
    if model.groupings and not sizes:
        return drawn
    scales = model.step_scales({name: x[:, None] for name, x in drawn.items()})
    for name, shape in steps_of(model, sizes).items():
        scale = 1.0 if name == SLOPES else scales[name]
        drawn[name] = scale * rng.standard_normal((size, *shape))
    for effect in model.effects:
        drawn[effect.effect] = effect.expected(drawn, drawn) + drawn[effect.effect]
    return drawn
