"""What every model card and dataset card must satisfy."""

import dataclasses
import itertools
import tomllib

import numpy as np
import pytest
import xarray as xr

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
from bayescale.data.catalog import dataset_folders, model_cards
from bayescale.data.levels import Sizes, column_of
from bayescale.inference.base import flattened
from bayescale.inference.samplers import compiled_logp
from bayescale.model.card import load_model
from bayescale.posterior.curve import Curve

SPANS = {"loss": (-0.25, 0.0, 0.25), "n_experts": (0.0, np.log(8), np.log(64))}
"""Logarithms of inputs over which prior predictions must be plausible, where not 1.5 decades."""
OFF_OPTIMUM = (-np.log(3), 0.0, np.log(3))
"""The same of inputs in which the loss has a minimum, over that minimum: a rate ten times the best
one diverges, and so does the loss of a law that says so."""

SPANNING = (
    "chinchilla",
    "chinchilla-digitised",
    "coupled-discrepancy",
    "chinchilla-pooled",
    "kaplan-ns",
    "chinchilla, floor stated",
)
"""Cards that between them have every kind of part: rounding, a discrepancy, levels, a solved input, and
one that states its floor."""

FLOOR_STATED = ", floor stated"
"""Added to the name of a card for the model that states a floor in addition."""

STATED = itertools.cycle(
    [
        bs.LogNormal(median=1.7, log_sd=0.1, why="a floor that was assumed"),
        bs.Normal(mean=1.7, sd=0.2, why="a floor that was assumed"),
        bs.Gamma(shape=20.0, rate=12.0, why="a floor that was assumed"),
        bs.HalfNormal(scale=2.0, why="a floor that was assumed"),
        bs.HalfCauchy(scale=2.0, why="a floor that was assumed"),
    ]
)
FLOORS = {
    card + FLOOR_STATED: next(STATED)
    for card in sorted(model_cards())
    if load_model(card).law.floor
}
"""The prior on the floor of every card that has one."""

COMPILED_FLOORS = [
    card + FLOOR_STATED
    for card in (
        *("broken-power-law-1", "broken-power-law-4", "chinchilla", "chinchilla-corpora"),
        *(
            "coupled-discrepancy",
            "data-constrained",
            "encoder-decoder",
            "learning-rate-batch",
            "over-fitting",
            "power-law-floor",
        ),
    )
]
"""Stated floors of which the machine code is checked: between them of every kind of prior, of laws with
none to three shares, with levels and with a discrepancy. Of the others the graph is, which Python can
evaluate without a compiler, but not with as many operands as those of learning rates and of four breaks
have."""

every_card = pytest.mark.parametrize("card", sorted(model_cards()))
every_model = pytest.mark.parametrize("card", [*sorted(model_cards()), *FLOORS])
every_floor = pytest.mark.parametrize("card", FLOORS)
every_dataset = pytest.mark.parametrize("dataset", sorted(dataset_folders()))


@pytest.fixture(scope="module")
def chinchilla_runs() -> bs.Runs:
    """The shipped runs with every column that a law may ask for."""
    table = bs.load_runs("chinchilla").table
    size, tokens, loss = table["n_params"], table["n_tokens"], table["loss"]
    row = np.arange(len(table))
    return bs.load_runs(
        table.assign(
            n_unique_tokens=tokens / 3,
            n_steps=tokens / 2**19,
            batch_tokens=2.0 ** (18 + row % 4),
            learning_rate=1e-3 * 2.0 ** (row // 4 % 3),
            n_experts=4.0 ** (row % 4),
            n_encoder_params=size / (2 + row % 3),
            n_decoder_params=size / (4 - row % 3),
            n_finetuning_tokens=tokens / 1e4,
            critical_batch=2e5 * (tokens / 1e9) ** 0.6,
            n_transferred_tokens=1e4 * tokens**0.2 * size**0.4,
            error=0.85 - 2.0 * np.exp(-0.7 * loss),
            bleu=80 * np.exp(-0.5 * loss),
            target_loss=0.5 + 0.9 * loss,
            **{f"domain_{j}": 1.0 + (row + j) % (j + 1) for j in range(1, 6)},
            accuracy=0.25 + 0.65 / (1.0 + np.exp(2.0 * (loss - 2.5))),
        )
    )


def model_of(card) -> bs.Model:
    model = load_model(card.removesuffix(FLOOR_STATED))
    return dataclasses.replace(model, floor=FLOORS.get(card))


@every_model
def test_card_round_trips_to_toml(card, tmp_path):
    model = model_of(card)
    assert model.id == card.removesuffix(FLOOR_STATED)
    copy = tmp_path / f"{card}.toml"
    copy.write_text(model.to_toml(), encoding="utf-8")
    assert load_model(copy) == model
    assert tomllib.loads(model.to_toml()) == model.to_dict()


@every_floor
def test_a_stated_floor_takes_the_place_of_the_level(card):
    model = model_of(card)
    law, without = model.law, dataclasses.replace(model, floor=None)
    assert set(without.stated_priors) - set(model.stated_priors) == {law.level}
    assert set(model.stated_priors) - set(without.stated_priors) == {law.floor}
    assert model.stated_priors[law.floor] == model.floor


@every_floor
def test_the_value_of_a_floor_is_data_of_the_compiled_model(card, chinchilla_runs):
    """One model is compiled for every value of the floor, so that many can be tried."""
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


@every_card
def test_every_prior_has_a_reason(card):
    model = load_model(card)
    for prior in model.all_priors.values():
        assert len(prior.why.split()) >= 2


@every_card
def test_prior_losses_are_plausible(card):
    model = load_model(card)
    law, size = model.law, 20_000
    drawn = draw_prior(model, np.random.default_rng(1), size, room_for(model))
    natural = law.from_reference(
        {name: drawn[name] for name in law.coordinates}, law.unit_reference
    )
    for floor in {"E", "a"} & set(natural):
        assert np.all(natural[floor] > 0)
    # Relative to the typical response, over three decades of each input around the reference.
    # Breaks are for curves that fall far, and amounts of data grow with amounts of data, so
    # their priors are wider.
    low, high = (0.02, 50.0) if "broken" in card else (0.2, 6.0)
    if law.response in ("n_transferred_tokens", "critical_batch"):
        low, high = 1e-3, 1e3
    if law.response == "accuracy":
        low, high = 0.05, 1.0
    has_minimum = {"learning_rate", "batch_tokens"} if law.name == "learning-rate-batch" else set()
    known = SPANS | dict.fromkeys(has_minimum, OFF_OPTIMUM)
    spans = [known.get(name, (-3.5, 0.0, 3.5)) for name in law.inputs]
    for corner in itertools.product(*spans):
        inputs = dict(zip(law.inputs, corner, strict=True))
        # From one epoch to a hundred, where so many fit between the tokens and the least of them.
        for name, other in law.same_scale.items():
            inputs[name] = max(-3.5, inputs[other] - 0.66 * (inputs[name] + 3.5))
        if has_minimum:
            best = law.log_optimum(inputs, natural)
            inputs |= {name: inputs[name] + best[name] for name in best}
        loss = law.formula(inputs, natural)
        # The one law that is not positive by construction leaves that to its priors.
        assert np.all(loss > 0) or law.name == "error-from-loss"
        inside = np.mean((loss > low) & (loss < high))
        assert inside > 0.95, corner


@every_card
def test_prior_of_the_allocation_is_wide(card):
    """A posterior that is narrow must owe it to data: 95 % of D/N spans over two decades."""
    model = load_model(card)
    law = model.law
    if not law.takes_size_and_tokens:
        return
    drawn = draw_prior(model, np.random.default_rng(1), 20_000, room_for(model))
    reference = {"n_params": 1e9, "n_tokens": 2e10}
    natural = law.from_reference({name: drawn[name] for name in law.coordinates}, reference)
    log_product = np.log(5.76e23 / 6)
    log_ratio = log_product - 2 * law.optimal_log_params(natural, log_product)
    low, high = np.quantile(log_ratio, [0.025, 0.975])
    assert (high - low) / np.log(10) > 2


def room_for(model) -> Sizes:
    return tuple((column, 8) for column in model.groupings)


def runs_for(model, runs) -> bs.Runs:
    """The runs, with two families where the card needs families."""
    table = runs.table.assign(family=np.where(np.arange(len(runs)) % 3, "one", "other"))
    return bs.load_runs(table) if "family" in model.groupings else runs


def noise_density(model, values, data, residual) -> np.ndarray:
    """The density of what was observed of each run, by hand."""
    from scipy import stats

    rows = Rows(model).noise
    scale = np.broadcast_to(values["sigma"], residual.shape)
    if model.noise.checkpoints is not None:
        # What each adds to those before it, in the order of the size and then of its tokens.
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
    # Below the mean, where far out probabilities are small and still differ.
    shape, z = stats.t(values["nu"]), -np.abs(residual) / scale
    if not model.noise.rounding:
        return shape.logpdf(z) - np.log(scale)
    half = data[rows["half"]]
    inside = shape.cdf(z + half / scale) - shape.cdf(z - half / scale)
    return np.log(inside / (2 * half))


def unpacked(shapes, positions) -> dict[str, np.ndarray]:
    """The values of each variable, from one position or an array of them."""
    return {
        name: positions[..., part].reshape((*positions.shape[:-1], *shape))
        for (name, shape), part in zip(shapes.items(), slices_of(shapes), strict=True)
    }


def density_by_hand(model, runs, design, shapes):
    """Written out anew with SciPy: priors on exponents, Jacobians, effects, Student-t."""
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
        """The log of the Jacobian of effects in the steps that are sampled, by differences."""
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
            # The floor is as far from the level, on a log scale, as the others say.
            of_floor = prior is model.floor
            total += density.logpdf(value)
            total += np.log(value) if of_floor else prior.log_jacobian(value)
        # Effects are Normal about zero; the sampler moves a function of all of them.
        for name, scale in model.step_scales(values).items():
            total += np.sum(stats.norm(0.0, scale).logpdf(found[name][0, 0]))
        total += log_volume(position, list(model.step_scales(values)))
        dataset = labelled(model, design, found, np.random.default_rng(1))
        curve = Curve.of(model, design.scale, dataset, groups, dim="run")
        departure: float | np.ndarray = 0.0
        if design.modes is not None:
            # What no run sees is left out of the graph.
            variance = values["rough"] ** 2 + values["smooth"] ** 2 * design.modes.growth
            seen = np.sqrt(variance) * found["slopes"][0, 0]
            departure = seen @ design.modes.rows
            slopes = (seen @ design.modes.turn.T).reshape(dataset["slopes"].shape[2:])
            of_slopes = xr.DataArray(slopes, dims=("axis", "cell"))
            centred = {
                name: x - np.log(design.scale.reference[name]) for name, x in log_inputs.items()
            }
            # Effects are rounded, so that they are the same on every processor.
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
    # PyMC may leave out constants; a difference that varies would be another posterior.
    np.testing.assert_allclose(differences, differences[0], atol=1e-6)


@pytest.mark.parametrize("card", sorted(set(FLOORS) - set(COMPILED_FLOORS)))
def test_graph_with_a_stated_floor_is_prior_times_likelihood(card, chinchilla_runs):
    """As it is built, without a compiler, and so without slopes."""
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
    """With more runs than eight bits can count."""
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
def test_volume_of_the_coordinates_in_what_is_sampled_is_the_remainder(card):
    """By differences: the densities above take it as it is stated.

    With a stated floor, of its log and of all coordinates but the level.
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


@every_floor
def test_the_prior_of_a_stated_floor_is_the_one_stated(card, chinchilla_runs):
    """Whatever the elasticities and exponents are, and in the unit of the runs."""
    from scipy import stats

    model = model_of(card)
    law, scale = model.law, Design.of(model, runs_for(model, chinchilla_runs)).scale
    rng = np.random.default_rng(8)
    drawn = draw_prior(model, rng, 4000, room_for(model), scale.response)
    coordinates = {name: drawn[name] for name in law.coordinates}
    coordinates[law.level] = coordinates[law.level] * scale.response
    floors = law.from_reference(coordinates, scale.reference)[law.floor]
    # A Normal prior is restricted to positive floors.
    directly = model.floor.draw(np.random.default_rng(9), 4000)
    assert stats.ks_2samp(floors, directly[directly > 0.0]).pvalue > 1e-4
    for name in law.coordinates:
        if name != law.level:
            assert abs(stats.spearmanr(floors, drawn[name]).statistic) < 0.08
    with pytest.raises(ValueError, match="expected the typical response"):
        draw_prior(model, rng, 1, room_for(model))


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


@every_dataset
def test_dataset_loads_with_its_card(dataset):
    runs = bs.load_runs(dataset)
    card = runs.card
    assert card is not None
    assert card.id == dataset
    assert card.licence and card.source and card.citation and card.known_issues
    assert set(card.units) <= set(card.columns)
    assert set(runs.table.columns) <= {*card.columns, "family"}
    assert np.all(np.isfinite(runs.table[["n_params", "n_tokens", "compute", "loss"]]))
    ratio = runs.compute / (6 * runs.n_params * runs.n_tokens)
    np.testing.assert_allclose(ratio, 1.0, atol=2e-4)
    assert dataclasses.asdict(card)["checksum"].startswith("sha256:")
