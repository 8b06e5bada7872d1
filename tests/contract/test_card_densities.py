"""The graph and the compiled density of every card, against its prior times its likelihood in SciPy."""

import dataclasses

import numpy as np
import pytest
import xarray as xr
from contract.cards import (
    COMPILED_FLOORS,
    FLOORS,
    every_floor,
    every_model,
    model_of,
    runs_for,
    runs_with_every_column,
)

import bayescale as bs
from bayescale.backend.build import (
    DATA,
    build,
    draw_prior,
    labelled,
    parameters_from_draws,
    position_of,
)
from bayescale.backend.observed import Design, Rows
from bayescale.backend.unconstrained import (
    REDUCIBLE,
    TERMS,
    coordinates_of,
    logit_name,
    slices_of,
    starting_point,
    variables_of,
)
from bayescale.data.catalog import model_cards
from bayescale.data.levels import column_of
from bayescale.inference.base import flattened
from bayescale.inference.samplers import compiled_logp
from bayescale.posterior.curve import Curve

SPANNING = (
    "chinchilla",
    "chinchilla-digitised",
    "coupled-discrepancy",
    "chinchilla-pooled",
    "kaplan-ns",
    "chinchilla, floor stated",
)
"""Cards that together have every kind of component: rounding, a discrepancy, pooled levels, an input
that is solved for, and a stated floor."""


@pytest.fixture(scope="module")
def chinchilla_runs() -> bs.Runs:
    return runs_with_every_column()


@every_floor
def test_the_value_of_a_floor_is_data_of_the_compiled_model(card, chinchilla_runs):
    """The model is compiled once for all values of the floor."""
    model = model_of(card)
    name, value = next(iter(model.floor.numbers().items()))
    other = dataclasses.replace(
        model, floor=dataclasses.replace(model.floor, **{name: 1.1 * value}, why="another")
    )
    runs = runs_for(model, chinchilla_runs)
    one, two = Design.of(model, runs), Design.of(other, runs)
    for at, there in starting_point(model, sizes=one.sizes).items():
        np.testing.assert_array_equal(starting_point(other, sizes=one.sizes)[at], there)
    differ = np.flatnonzero((one.matrix != two.matrix).any(axis=1))
    assert set(differ) <= set(Rows(model).floor.values())
    assert len(differ) > 0
    if card.startswith("chinchilla,"):
        assert compiled_logp(model, one.sizes) is compiled_logp(other, two.sizes)


def test_floors_of_which_the_code_is_checked_are_of_every_kind():
    models = [model_of(card) for card in COMPILED_FLOORS]
    assert {model.floor.kind for model in models} == {floor.kind for floor in FLOORS.values()}
    shares = {len(model.law.shares) for model in models}
    assert shares == {len(model_of(card).law.shares) for card in FLOORS}
    assert any(model.grouping for model in models)
    assert any(model.discrepancy for model in models)


def noise_density(model, values, data, residual) -> np.ndarray:
    """Return the log density of the noise of each run, from SciPy."""
    from scipy import stats

    rows = Rows(model).noise
    scale = np.broadcast_to(values["sigma"], residual.shape)
    if model.noise.checkpoints is not None:
        # The innovation of each row given the preceding ones, ordered by size and tokens.
        order = data[rows["order"]].astype(int)
        log_d, first = data[Rows(model).inputs["n_tokens"]][order], data[rows["previous"]][order]
        size = np.cumsum(first == order)
        shared = np.exp(-np.abs(log_d[:, None] - log_d) / values["correlation_length"])
        shared = values["correlation_at_once"] * shared * (size[:, None] == size)
        shared[np.diag_indices_from(shared)] = 1.0
        root = np.linalg.cholesky(shared)
        added = np.linalg.solve(root, residual[order])
        residual, scale = np.empty(len(order)), np.array(scale)
        scale[order] *= np.diag(root)
        residual[order] = added * np.diag(root)
    # Below the mean, where small tail probabilities do not round to one.
    shape, z = stats.t(values["nu"]), -np.abs(residual) / scale
    if not model.noise.rounding:
        return shape.logpdf(z) - np.log(scale)
    half = data[rows["half"]]
    inside = shape.cdf(z + half / scale) - shape.cdf(z - half / scale)
    return np.log(inside / (2 * half))


def unpacked(shapes, positions) -> dict[str, np.ndarray]:
    """Return the values of each variable, from one position or an array of positions."""
    return {
        name: positions[..., part].reshape((*positions.shape[:-1], *shape))
        for (name, shape), part in zip(shapes.items(), slices_of(shapes), strict=True)
    }


def density_by_hand(model, runs, design, shapes):
    """Return the log posterior density as a function of the position, written with SciPy."""
    from scipy import stats

    data = design.matrix
    log_inputs = {
        name: xr.DataArray(np.log(runs.column(column)), dims="run")
        for name, column in model.columns.items()
    }
    groups = {column: column_of(runs, column) for column in model.groupings}

    def effects_at(positions: np.ndarray) -> dict[str, np.ndarray]:
        return parameters_from_draws(model, design, unpacked(shapes, positions[None]))

    def log_volume(position: np.ndarray, names: list[str]) -> float:
        """Return the log Jacobian of the effects in the sampled variables, by finite differences."""
        if not names:
            return 0.0
        parts = dict(zip(shapes, slices_of(shapes), strict=True))
        steps = np.concatenate([np.arange(len(position))[parts[name]] for name in names])
        nudges = 1e-5 * np.eye(len(position))[steps]
        moved = effects_at(np.concatenate([position + nudges, position - nudges]))
        flat = np.concatenate([moved[name][0] for name in names], axis=1)
        ahead, behind = np.split(flat, 2)
        return float(np.linalg.slogdet((ahead - behind) / 2e-5)[1])

    def expected(position: np.ndarray) -> float:
        free = unpacked(shapes, position)
        found = effects_at(position[None])
        priors = model.stated_priors
        values = {name: prior.constrain(free[name]) for name, prior in model.other_priors.items()}
        coordinates, log_remainder = coordinates_of(model, free)
        total = log_remainder
        for name, prior in priors.items():
            value = coordinates.get(name, values.get(name))
            if model.floor is not None and name == model.law.floor:
                # In its own unit, from the natural parameters.
                value = found[name].item()
            density = {
                "lognormal": lambda p: stats.lognorm(p.log_sd, scale=p.median),
                "halfnormal": lambda p: stats.halfnorm(scale=p.scale),
                "halfcauchy": lambda p: stats.halfcauchy(scale=p.scale),
                "gamma": lambda p: stats.gamma(p.shape, scale=1 / p.rate),
                "normal": lambda p: stats.norm(p.mean, p.sd),
                "beta": lambda p: stats.beta(p.a, p.b),
            }[prior.kind](prior)
            # The log ratio of floor and level is a function of the other coordinates.
            of_floor = prior is model.floor
            total += density.logpdf(value)
            total += np.log(value) if of_floor else prior.log_jacobian(value)
        # Effects are Normal about zero; the sampled variables are a function of all of them.
        for name, scale in model.step_scales(values).items():
            total += np.sum(stats.norm(0.0, scale).logpdf(found[name][0, 0]))
        total += log_volume(position, list(model.step_scales(values)))
        dataset = labelled(model, design, found, np.random.default_rng(1))
        curve = Curve.of(model, design.scale, dataset, groups, dim="run")
        departure: float | np.ndarray = 0.0
        if design.modes is not None:
            # Unidentified directions are left out of the graph.
            variance = values["rough"] ** 2 + values["smooth"] ** 2 * design.modes.growth
            seen = np.sqrt(variance) * found["slopes"][0, 0]
            departure = seen @ design.modes.rows
            slopes = (seen @ design.modes.turn.T).reshape(dataset["slopes"].shape[2:])
            of_slopes = xr.DataArray(slopes, dims=("axis", "cell"))
            centred = {
                name: x - np.log(design.scale.reference[name]) for name, x in log_inputs.items()
            }
            # Effects are rounded, for identical results on every processor.
            np.testing.assert_allclose(
                departure, model.discrepancy.departure(centred, of_slopes), atol=1e-4
            )
            curve = dataclasses.replace(curve, slopes=None)
        mean = curve.response(log_inputs).transpose("chain", "draw", "run").to_numpy()[0, 0]
        mean = mean * np.exp(departure)
        residual = data[Rows(model).response] - np.log(mean / design.scale.response)
        return total + noise_density(model, values, data, residual).sum()

    return expected


@pytest.mark.parametrize("card", [*sorted(model_cards()), *COMPILED_FLOORS])
def test_compiled_density_is_prior_times_likelihood(card, chinchilla_runs):
    model = model_of(card)
    runs = runs_for(model, chinchilla_runs)
    design = Design.of(model, runs)
    compiled = compiled_logp(model, design.sizes)
    expected = density_by_hand(model, runs, design, compiled.shapes)
    rng = np.random.default_rng(3)
    differences = []
    for _ in range(4):
        position = compiled.start + rng.uniform(-0.5, 0.5, len(compiled.start))
        value, gradient = compiled.log_density(position, design.matrix)
        assert np.all(np.isfinite(gradient))
        differences.append(value - expected(position))
        for i in range(len(position)):
            step = np.zeros(len(position))
            step[i] = 1e-6
            numerical = (expected(position + step) - expected(position - step)) / 2e-6
            assert gradient[i] == pytest.approx(numerical, rel=1e-4, abs=2e-2)
    # PyMC may omit constants, so the difference must be constant.
    np.testing.assert_allclose(differences, differences[0], atol=1e-6)


@pytest.mark.parametrize("card", sorted(set(FLOORS) - set(COMPILED_FLOORS)))
def test_graph_with_a_stated_floor_is_prior_times_likelihood(card, chinchilla_runs):
    """Evaluated in Python, without a compiler and so without gradients."""
    from pytensor.compile.mode import Mode

    model = model_of(card)
    runs = runs_for(model, chinchilla_runs)
    design = Design.of(model, runs)
    built = build(model, design.matrix, design.sizes)
    start = starting_point(model, sizes=design.sizes)
    values = {name: built.rvs_to_values[built[name]].name for name in start}
    log_density = built.compile_logp(mode=Mode("py", None))
    shapes, centre = flattened(start, start)
    expected = density_by_hand(model, runs, design, shapes)
    rng = np.random.default_rng(4)
    differences = []
    for _ in range(8):
        position = centre + rng.uniform(-0.5, 0.5, len(centre))
        free = unpacked(shapes, position)
        found = log_density({values[name]: value for name, value in free.items()})
        differences.append(float(found) - expected(position))
    np.testing.assert_allclose(differences, differences[0], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("card", SPANNING)
def test_density_in_jax_is_that_of_the_machine_code(card, chinchilla_runs):
    """Use over 255 rows, where an index of eight bits would overflow."""
    pytest.importorskip("numpyro", reason="the extra `jax` is not installed")
    model = model_of(card)
    design = Design.of(model, runs_for(model, chinchilla_runs))
    code = compiled_logp(model, design.sizes)
    lowered = compiled_logp(model, design.sizes, "numpyro")
    assert lowered.shapes == code.shapes
    rng = np.random.default_rng(3)
    for _ in range(3):
        position = code.start + rng.uniform(-0.5, 0.5, len(code.start))
        value, gradient = code.log_density(position, design.matrix)
        other, slope = lowered.log_density(position, design.matrix)
        assert other == pytest.approx(value, rel=1e-8)
        # An element may be a difference of large terms, so the scale is that of the whole.
        np.testing.assert_allclose(slope, gradient, rtol=1e-8, atol=1e-8 * abs(gradient).max())


@every_model
def test_log_jacobian_is_the_log_of_the_remainder(card):
    """By finite differences; the tests of densities use the stated log Jacobian.

    With a stated floor, the log of the floor takes the place of the level.
    """
    model = model_of(card)
    law = model.law
    room = tuple((column, 8) for column in model.groupings)
    names, start = variables_of(model), starting_point(model, sizes=room)
    rng = np.random.default_rng(4)
    position = np.array([start[name] for name in names]) + rng.uniform(-0.5, 0.5, len(names))

    def unconstrained(at: np.ndarray) -> list[float]:
        coordinates, _ = coordinates_of(model, dict(zip(names, at, strict=True)))
        if model.floor is not None:
            floor = law.from_reference(coordinates, law.unit_reference)[law.floor]
            del coordinates[law.level]
            others = [model.priors[name].unconstrain(x) for name, x in coordinates.items()]
            return [float(np.log(floor)), *others]
        return [model.priors[name].unconstrain(value) for name, value in coordinates.items()]

    nudges = 1e-5 * np.eye(len(names))
    slopes = [
        np.subtract(unconstrained(position + nudge), unconstrained(position - nudge)) / 2e-5
        for nudge in nudges
    ]
    _, log_remainder = coordinates_of(model, dict(zip(names, position, strict=True)))
    assert np.linalg.slogdet(slopes)[1] == pytest.approx(log_remainder, abs=1e-6)


@every_model
def test_starting_point_and_transform_agree_with_the_model(card, chinchilla_runs):
    model = model_of(card)
    design = Design.of(model, runs_for(model, chinchilla_runs))
    start = starting_point(model, sizes=design.sizes)
    draws = {name: np.asarray(value)[None] for name, value in start.items()}
    found = parameters_from_draws(model, design, draws)
    for name, prior in model.priors.items():
        if name not in model.law.shares and not prior.relative_to:
            assert found[name] == pytest.approx(prior.typical)
    assert set(found) == {
        *model.law.parameters,
        *model.all_priors,
        *model.step_scales(found),
    }


@every_model
def test_the_position_behind_a_draw_of_the_prior_gives_it_back(card, chinchilla_runs):
    model = model_of(card)
    design = Design.of(model, runs_for(model, chinchilla_runs))
    drawn = draw_prior(model, np.random.default_rng(6), 1, design.sizes, design.scale.response)
    position = position_of(model, design, drawn)
    back = parameters_from_draws(
        model, design, {name: np.asarray(x)[None, None] for name, x in position.items()}
    )
    for name, values in drawn.items():
        relative = name in model.priors and model.priors[name].relative_to
        expected = values * (design.scale.response if relative else 1.0)
        np.testing.assert_allclose(back[name][0], expected, rtol=1e-8, atol=1e-10)


@every_model
def test_graph_has_one_data_container_and_the_unknowns_of_the_card(card, chinchilla_runs):
    model = model_of(card)
    design = Design.of(model, runs_for(model, chinchilla_runs))
    built = build(model, design.matrix, design.sizes)
    names = {variable.name for variable in built.free_RVs}
    assert names == set(starting_point(model, sizes=design.sizes))
    shares = {logit_name(name) for name in model.law.shares}
    if model.floor is not None and len(shares) == 2:
        shares = {REDUCIBLE, TERMS}
    assert shares <= names
    assert [variable.name for variable in built.data_vars] == [DATA]
    steps = model.step_scales(dict.fromkeys(model.all_priors, 1.0))
    assert len(names) == len(model.all_priors) + len(steps)
