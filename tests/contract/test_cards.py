"""What every model card and dataset card must satisfy."""

import dataclasses
import itertools
import tomllib

import numpy as np
import pytest
from contract.cards import (
    FLOOR_STATED,
    every_card,
    every_dataset,
    every_floor,
    every_model,
    model_of,
    room_for,
    runs_for,
    runs_with_every_column,
)

import bayescale as bs
from bayescale.backend.build import draw_prior
from bayescale.backend.observed import Design
from bayescale.model.card import load_model

SPANS = {
    "loss": (-0.25, 0.0, 0.25),
    "n_experts": (0.0, np.log(8), np.log(64)),
    "activation_ratio": (-np.log(8), 0.0, np.log(8)),
    "granularity": (0.0, np.log(8), np.log(64)),
}
"""Log inputs, relative to the reference, at which prior predictions must be plausible; by default from
-3.5 to 3.5."""
OFF_OPTIMUM = (-np.log(3), 0.0, np.log(3))
"""The same, relative to the optimum, of inputs in which the loss has a minimum: training diverges at ten
times the best learning rate, and so does the loss of such a law."""


@pytest.fixture(scope="module")
def chinchilla_runs() -> bs.Runs:
    return runs_with_every_column()


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
        # From one epoch to a hundred, if the range of unique tokens allows.
        for name, other in law.same_scale.items():
            inputs[name] = max(-3.5, inputs[other] - 0.66 * (inputs[name] + 3.5))
        if has_minimum:
            best = law.log_optimum(inputs, natural)
            inputs |= {name: inputs[name] + best[name] for name in best}
        loss = law.formula(inputs, natural)
        # One law is not positive by construction; its priors make it so.
        assert np.all(loss > 0) or law.name == "error-from-loss"
        inside = np.mean((loss > low) & (loss < high))
        assert inside > 0.95, corner


@every_card
def test_prior_of_the_allocation_is_wide(card):
    """95 % of the prior of D/N spans over two decades, so that a narrow posterior is due to the data."""
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


@every_floor
def test_the_prior_of_a_stated_floor_is_the_one_stated(card, chinchilla_runs):
    """It does not depend on elasticities and exponents, and is in the unit of the runs."""
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
