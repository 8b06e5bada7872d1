"""Any pooled part of any law, in any unit: fits and predictions agree.

A fit works with responses over a typical one and inputs over their centre, predictions with
amounts in the user's units. Both must agree for every run and draw.
"""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayescale as bs
from bayescale.backend.build import labelled, parameters_from_draws
from bayescale.backend.hierarchy import at_runs, unit_reference
from bayescale.backend.observed import Design
from bayescale.backend.unconstrained import coordinates_of, starting_point
from bayescale.backend.whitening import Expansion
from bayescale.costs.budget import Spending
from bayescale.data.column_units import BASES
from bayescale.inference.multimodal import places_to_look
from bayescale.laws import LAWS, Law
from bayescale.model.inputs import runs_for
from bayescale.posterior.curve import Curve

SPREAD = bs.HalfNormal(scale=0.3, why="wide enough for a test")

UNITS = (1.0 / 3.0, 100.0)
"""Other units of the response, in which it is so many times as large."""

DRAWS = 8

INPUTS = {
    "batch_tokens": (2.0**17, 2.0**22),
    "n_experts": (1.0, 64.0),
    "activation_ratio": (0.02, 1.0),
    "granularity": (1.0, 16.0),
    "loss": (2.0, 4.0),
}
"""Ranges of inputs that are not about a billion."""

GROUPINGS = {
    "one": ("family",),
    "nested": ("family", "family+recipe"),
    "crossed": ("family", "recipe"),
}


@pytest.fixture(autouse=True)
def _no_expansion(monkeypatch):
    """Skip the search for the whitening of levels: it is slow, and does not change the model."""

    def tell_nothing(model, placed, log_response, sizes):
        room = dict(sizes)
        expansions = {}
        for column in model.groupings:
            count = len(model.effects_by(column))
            zeros = np.zeros(room[column])
            nothing = [zeros] * count
            expansions[column] = Expansion(
                best=nothing, slope=nothing, information=[nothing] * count
            )
        return expansions

    monkeypatch.setattr("bayescale.backend.observed.expand", tell_nothing)


def parts_of(law: Law) -> list[str]:
    """Return all parts of a law that may vary between levels."""
    poolable = [name for name, p in law.parameters.items() if p.support != "unit"]
    return [*poolable, *law.inputs, law.response]


def pooled(law: Law, parts: list[str], columns: tuple[str, ...] = ("family",)) -> bs.Model:
    """Return the card of a law with parts of it pooled by columns."""
    pooling = tuple(bs.Pooling(of=part, over=by, sd=SPREAD) for part in parts for by in columns)
    return dataclasses.replace(bs.load_model(law.name), pooling=pooling, id="pooled")


def runs_of(law: Law, unit: float) -> bs.Runs:
    """Return runs of three families with different centres, simulated from a law in a unit."""
    rng, count = np.random.default_rng(3), 24
    model = bs.load_model(law.name)
    family = np.repeat(["a", "b", "c"], count // 3)
    table = {"family": family, "recipe": rng.choice(["x", "y"], count)}
    for name, column in model.columns.items():
        low, high = INPUTS.get(name, (1e8, 1e10))
        shift = 3.0 * (family == "c") * (name not in INPUTS)
        table[column] = np.exp(rng.uniform(np.log(low), np.log(high), count) + shift)
    if "n_unique_tokens" in table:
        table["n_unique_tokens"] = table["n_tokens"] / rng.choice([1.0, 4.0], count)
    at = {name: prior.typical for name, prior in model.priors.items()}
    natural = law.from_reference(at, law.unit_reference)
    centred = {name: np.log(table[c]) for name, c in model.columns.items()}
    centred = {name: x - x.mean() for name, x in centred.items()}
    table[law.response] = 0.03 * unit * law.formula(centred, natural)
    with np.errstate(all="raise"):
        assert np.all(table[law.response] > 0), "no such response"
    # Amounts and responses may be implausible, so units are stated.
    named = (*model.columns.values(), law.response)
    units = {name: BASES[name] for name in named if name in BASES}
    return runs_for(pd.DataFrame(table), [model], units=units)


def positions_about(model: bs.Model, design: Design) -> dict[str, np.ndarray]:
    """Return unconstrained draws around the middle of the prior, the same for every unit."""
    rng = np.random.default_rng(5)
    start = starting_point(model, sizes=design.sizes)
    return {
        name: x + 0.3 * rng.standard_normal((1, DRAWS, *np.shape(x))) for name, x in start.items()
    }


def posterior_of(model: bs.Model, design: Design) -> xr.Dataset:
    """Return draws around the middle of the prior, with differences between levels far above noise."""
    found = parameters_from_draws(model, design, positions_about(model, design))
    rng = np.random.default_rng(7)
    for effect in model.effects:
        found[effect.effect] = 0.1 * rng.standard_normal(found[effect.effect].shape)
    return labelled(model, design, found, rng)


def log_mean_in_the_fit(model: bs.Model, design: Design, posterior: xr.Dataset) -> np.ndarray:
    """Return the log of each run relative to the typical one from the graph, one row per draw."""
    law = model.law
    coordinates, _ = coordinates_of(model, positions_about(model, design))
    natural = law.from_reference(coordinates, unit_reference(law, design.placed.log_inputs))
    room = max([size for _, size in design.sizes], default=1)
    natural = {
        name: np.broadcast_to(np.asarray(x)[..., None], (1, DRAWS, room))
        for name, x in natural.items()
    }
    if not model.grouping:
        natural = {name: x[..., :1] for name, x in natural.items()}
    differences = {
        effect.effect: np.pad(
            posterior[effect.effect].to_numpy(),
            [
                (0, 0),
                (0, 0),
                (0, dict(design.sizes)[effect.over] - posterior[effect.effect].shape[-1]),
            ],
        )
        for effect in model.effects
    }
    return np.asarray(at_runs(model, natural, differences, design.placed).log_mean)[0]


def predicted(model: bs.Model, runs: bs.Runs, design: Design, posterior: xr.Dataset) -> np.ndarray:
    """Return the log of each run relative to the typical one from predictions, one row per draw."""
    groups = {
        column: xr.DataArray(design.levels[column].labels[design.placed.codes[column]], dims="plan")
        for column in model.groupings
    }
    curve = Curve.of(model, design.scale, posterior, {n: x.to_numpy() for n, x in groups.items()})
    inputs = {
        name: xr.DataArray(np.log(runs.column(column)), dims="plan")
        for name, column in model.columns.items()
    }
    response = curve.response(inputs).transpose("chain", "draw", "plan").to_numpy()
    return np.log(response / design.scale.response)[0]


EVERY_PART = [(law, part) for law in LAWS.values() for part in parts_of(law)]


def each_part(cases):
    return pytest.mark.parametrize(
        ("law", "part"), cases, ids=[f"{law.name}-{part}" for law, part in cases]
    )


@each_part(EVERY_PART)
def test_a_fit_and_its_predictions_say_the_same_in_every_unit(law, part):
    model = pooled(law, [part])
    first = None
    for unit in (1.0, *UNITS):
        runs = runs_of(law, unit)
        design = Design.of(model, runs)
        posterior = posterior_of(model, design)
        fitted = log_mean_in_the_fit(model, design, posterior)
        np.testing.assert_allclose(predicted(model, runs, design, posterior), fitted, atol=1e-7)
        first = fitted if first is None else first
        if law.scale_free:
            np.testing.assert_allclose(fitted, first, atol=1e-7)


@pytest.mark.parametrize("columns", GROUPINGS.values(), ids=GROUPINGS.keys())
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
def test_all_parts_pooled_at_once_agree_too(law, columns):
    model = pooled(law, parts_of(law), columns)
    runs = runs_of(law, 7.0)
    design = Design.of(model, runs)
    posterior = posterior_of(model, design)
    fitted = log_mean_in_the_fit(model, design, posterior)
    np.testing.assert_allclose(predicted(model, runs, design, posterior), fitted, atol=1e-7)


@each_part([case for case in EVERY_PART if case[0].takes_size_and_tokens])
def test_optima_do_not_depend_on_the_unit(law, part):
    model, found = pooled(law, [part]), []
    for unit in (1.0, *UNITS):
        design = Design.of(model, runs_of(law, unit))
        curve = Curve.of(model, design.scale, posterior_of(model, design), {"family": "b"})
        found.append(curve.optimum(Spending(bs.costs.six_nd, np.array([1e19, 1e21]))).to_numpy())
    np.testing.assert_allclose(found[1:], found[:1] * len(UNITS), rtol=1e-6)


@each_part([(law, part) for law, part in EVERY_PART if part in law.parameters])
def test_differences_commute_with_the_unit_of_the_response(law, part):
    """Group effects and a change of unit commute."""
    at = {name: prior.typical for name, prior in bs.load_model(law.name).priors.items()}
    natural = law.from_reference(at, law.unit_reference)
    scaled = law.to_reference(natural, law.unit_reference)
    scaled = {**scaled, law.level: 5.0 * scaled[law.level]} if law.level in scaled else scaled
    first = law.differing(at, {part: 0.2})
    other = law.differing(scaled, {part: 0.2})
    back = law.to_reference(other, law.unit_reference)
    expected = law.to_reference(first, law.unit_reference)
    for name, value in expected.items():
        factor = 5.0 if name == law.level else 1.0
        assert back[name] == pytest.approx(factor * value, rel=1e-9), name
    assert first[part] == pytest.approx(
        law.off_scale(part, law.on_scale(part, natural[part]) + 0.2)
    )


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
def test_chains_of_a_pooled_law_know_where_to_start(law):
    """Chains of multimodal laws start in each mode, with padded levels."""
    model = pooled(law, parts_of(law)[:1])
    design = Design.of(model, runs_of(law, 1.0))
    for place in places_to_look(model, design):
        assert place.keys() == starting_point(model, sizes=design.sizes).keys()
