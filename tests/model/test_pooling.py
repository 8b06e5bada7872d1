"""Parameters that vary between levels: cards, draws, predictions and the benefit of pooling."""

import dataclasses
import itertools
import tomllib

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayescale as bs
from bayescale.backend.build import build, draw_prior, labelled, parameters_from_draws
from bayescale.backend.hierarchy import moved, moved_back
from bayescale.backend.observed import Design, Rows
from bayescale.backend.unconstrained import starting_point
from bayescale.errors import AmountError, BayescaleWarning, CardError, RunsError
from bayescale.model.inputs import runs_for
from bayescale.posterior.likelihood import log_densities

SPREAD = bs.HalfNormal(scale=0.3, why="wide enough for a test")
PUBLISHED = dict(bs.published("besiroglu2024").parameters)


def pooled(*parts: str, by: str = "family", base: str = "chinchilla") -> bs.Model:
    pooling = tuple(bs.Pooling(of=part, over=by, sd=SPREAD) for part in parts)
    return dataclasses.replace(bs.load_model(base), id="pooled", pooling=pooling)


def families(
    differences: dict[str, dict[str, float]], runs_each: int = 30, noise: float = 0.003
) -> pd.DataFrame:
    """Runs of several families whose natural parameters differ as given, on the log scale."""
    rng = np.random.default_rng(11)
    law, tables = bs.law("chinchilla"), []
    for family, change in differences.items():
        parameters = law.differing(law.to_reference(PUBLISHED, law.unit_reference), change)
        size = np.exp(rng.uniform(np.log(5e7), np.log(5e9), runs_each))
        tokens = np.exp(rng.uniform(np.log(1e9), np.log(3e11), runs_each))
        loss = law.evaluate(n_params=size, n_tokens=tokens, **parameters)
        loss = loss * np.exp(noise * rng.standard_normal(runs_each))
        table = pd.DataFrame({"n_params": size, "n_tokens": tokens, "loss": loss})
        tables.append(table.assign(family=family))
    return pd.concat(tables, ignore_index=True)


THREE = families({"a": {"E": -0.05, "A": 0.3}, "b": {"E": 0.0}, "c": {"E": 0.08, "A": -0.2}})


@pytest.fixture(scope="module")
def three() -> bs.Fit:
    return bs.fit(bs.load_runs(THREE), pooled("E", "A"), seed=1, progress=False)


@pytest.mark.parametrize("name", ["chinchilla", "coupled", "kaplan-nd"])
def test_parameters_move_to_another_reference_point_and_back(name):
    law = bs.law(name)
    coordinates = {p: bs.load_model(name).priors[p].typical for p in law.coordinates}
    natural = law.from_reference(coordinates, law.unit_reference)
    shift = {"n_params": 7.0, "n_tokens": 0.2}
    there = moved(law, natural, shift)
    log_inputs = {"n_params": 1.3, "n_tokens": -0.4}
    local = {p: x - np.log(shift[p]) for p, x in log_inputs.items()}
    assert law.formula(local, there) == pytest.approx(law.formula(log_inputs, natural), rel=1e-12)
    back = moved_back(law, there, shift)
    for parameter, value in natural.items():
        assert back[parameter] == pytest.approx(value, rel=1e-10, abs=1e-10)


def test_a_family_has_its_own_curve(three):
    assert three.diagnostics.ok, three.diagnostics.status
    plan = {"n_params": "2B", "n_tokens": "40B"}
    law = bs.law("chinchilla")
    at_one = law.to_reference(PUBLISHED, law.unit_reference)
    for family, change in {"a": {"E": -0.05, "A": 0.3}, "c": {"E": 0.08, "A": -0.2}}.items():
        truth = law.evaluate(n_params=2e9, n_tokens=4e10, **law.differing(at_one, change))
        loss = bs.predict(three, **plan, groups={"family": family})["loss"]
        assert float(np.abs(np.log(loss.median() / truth))) < 0.004


def test_several_families_at_once_are_each_their_own(three):
    plan = {"n_params": "2B", "n_tokens": "40B"}
    both = bs.predict(three, **plan, groups={"family": ["c", "a"]})["loss"]
    assert both.sizes["plan"] == 2
    with pytest.raises(AmountError, match="found 3 levels of family for 2 plans"):
        bs.predict(three, n_params=["1B", "2B"], n_tokens="1T", groups={"family": ["a", "b", "c"]})
    for i, family in enumerate(["c", "a"]):
        alone = bs.predict(three, **plan, groups={"family": family})["loss"].isel(plan=0)
        np.testing.assert_allclose(both.isel(plan=i), alone)


def test_the_uncertainty_of_a_new_family_is_the_spread_between_families(three):
    plan = {"n_params": "2B", "n_tokens": "40B"}
    new = bs.predict(three, **plan)["loss"]
    known = bs.predict(three, **plan, groups={"family": "b"})["loss"]
    assert float(np.log(new).std()) > 5 * float(np.log(known).std())
    named = bs.predict(three, **plan, groups={"family": bs.NEW})["loss"]
    np.testing.assert_array_equal(named, new)


def test_unknown_grouping_is_refused(three):
    with pytest.raises(CardError, match="found 'recipe', expected one of the columns .* family"):
        bs.predict(three, n_params="1B", n_tokens="20B", groups={"recipe": "x"})
    with pytest.raises(RunsError, match="found no column 'family'"):
        bs.fit(bs.load_runs(THREE.drop(columns="family")), pooled("E"), progress=False)


def test_predictions_by_family_survive_saving(three, tmp_path):
    three.save(tmp_path / "fit.nc")
    again = bs.load_fit(tmp_path / "fit.nc")
    plan = {"n_params": "2B", "n_tokens": "40B", "groups": {"family": "a"}}
    np.testing.assert_array_equal(
        bs.predict(again, **plan)["loss_run"], bs.predict(three, **plan)["loss_run"]
    )


def test_no_and_complete_pooling():
    wide = bs.Pooling(of="E", over="family", kind="none", sd=1.0, why="each corpus its own")
    same = bs.Pooling(of="alpha", over="family", kind="complete", why="one recipe")
    model = dataclasses.replace(bs.load_model("chinchilla"), pooling=(wide, same))
    assert [effect.effect for effect in model.effects] == ["E_by_family"]
    assert "sd_E_by_family" not in model.all_priors
    assert bs.Model.from_dict(model.to_dict()) == model
    drawn = draw_prior(model, np.random.default_rng(1), 4000, (("family", 8),))
    assert drawn["E_by_family"].std() == pytest.approx(1.0, rel=0.02)


def test_several_columns_are_one_grouping():
    table = THREE.assign(recipe=np.where(np.arange(len(THREE)) % 2, "x", "y"))
    design = Design.of(pooled("loss", by="family+recipe"), bs.load_runs(table))
    assert list(design.levels["family+recipe"].labels[:2]) == ["a + x", "a + y"]
    assert len(design.levels["family+recipe"]) == 6


def test_nested_groupings_add_up():
    inner = bs.Pooling(of="E", over="family+recipe", sd=SPREAD)
    outer = bs.Pooling(of="E", over="family", sd=SPREAD)
    model = dataclasses.replace(bs.load_model("chinchilla"), pooling=(outer, inner))
    table = THREE.assign(recipe=np.where(np.arange(len(THREE)) % 2, "x", "y"))
    design = Design.of(model, bs.load_runs(table))
    # Parameters differ at the centre of the finest grouping.
    assert model.grouping == "family+recipe"
    assert len(design.scale.centres["n_params"]) == 6
    assert design.matrix.shape == (Rows(model).count, len(table))


@pytest.mark.parametrize(
    "columns",
    [("family",), ("family", "family+recipe"), ("family", "recipe")],
    ids=["one", "nested", "crossed"],
)
def test_the_graph_has_the_density_of_the_predictions(columns):
    """The density of the runs from the graph, by level, equals that computed here, by run."""
    parts = [
        bs.Pooling(of=of, over=by, sd=SPREAD) for by in columns for of in ("E", "beta", "loss")
    ]
    model = dataclasses.replace(bs.load_model("chinchilla"), pooling=tuple(parts))
    recipe = np.random.default_rng(3).choice(["x", "y", "z"], len(THREE))
    runs = bs.load_runs(THREE.assign(recipe=recipe).sample(frac=1.0, random_state=4))
    design, rng = Design.of(model, runs), np.random.default_rng(5)
    built = build(model, design.matrix, design.sizes)
    (density,) = built.replace_rvs_by_values([built["log_response"]])
    evaluate = built.compile_fn(density, inputs=built.value_vars, mode="FAST_COMPILE")
    start = starting_point(model, sizes=design.sizes)
    position = {name: x + 0.3 * rng.standard_normal(np.shape(x)) for name, x in start.items()}
    of_graph = evaluate({v.name: position[rv.name] for rv, v in built.rvs_to_values.items()})
    draws = {name: np.asarray(x)[None, None] for name, x in position.items()}
    found = parameters_from_draws(model, design, draws)
    posterior = labelled(model, design, found, rng)
    fit = bs.Fit(model, runs, design.scale, posterior, xr.Dataset(), {"sampler": {"seed": 1}})
    assert of_graph == pytest.approx(log_densities(fit, runs).sum(), rel=1e-10)


@pytest.mark.parametrize(
    "order", list(itertools.permutations([("E", "family"), ("A", "recipe"), ("E", "recipe")]))
)
def test_the_order_in_which_parts_are_pooled_makes_no_difference(order):
    # The text of the card groups effects by parameter, and the graph is compiled from that text.
    pooling = tuple(bs.Pooling(of=part, over=by, sd=SPREAD) for part, by in order)
    model = dataclasses.replace(bs.load_model("chinchilla"), id="pooled", pooling=pooling)
    one_by_one = dataclasses.replace(model, pooling=())
    for part, by in order:
        one_by_one = one_by_one.pool(by, of=[part], sd=SPREAD)
    expected = ["E_by_family", "E_by_recipe", "A_by_recipe"]
    for found in (model, one_by_one, bs.Model.from_dict(tomllib.loads(model.to_toml()))):
        assert [effect.effect for effect in found.effects] == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "some"}, "found kind 'some'"),
        ({"sd": None}, "expected a prior on a standard deviation"),
        ({"kind": "none", "sd": -1.0}, "expected a positive number"),
        ({"kind": "complete", "sd": None}, "without a reason"),
        ({"kind": "complete", "why": "same"}, "under complete pooling levels do not differ"),
    ],
)
def test_bad_poolings_are_refused_in_words(change, message):
    with pytest.raises(CardError, match=message):
        bs.Pooling(**{"of": "E", "over": "family", "sd": SPREAD, **change})


def grid(sizes: int, each: int) -> pd.DataFrame:
    """Runs on a square grid of sizes and numbers of tokens."""
    size = np.repeat(np.geomspace(1e7, 1e9, sizes), each)
    tokens = np.tile(np.geomspace(1e9, 1e11, each), sizes)
    loss = bs.law("chinchilla").evaluate(n_params=size, n_tokens=tokens, **PUBLISHED)
    return pd.DataFrame({"n_params": size, "n_tokens": tokens, "loss": loss})


@pytest.mark.parametrize(
    ("sizes", "each", "kept"), [(8, 3, True), (7, 3, False), (8, 2, False), (12, 5, True)]
)
def test_an_effect_is_left_out_of_a_table_with_too_few_levels(sizes, each, kept):
    (effect,) = pooled("loss", by="n_params").pooling
    model = dataclasses.replace(
        pooled("loss", by="n_params"), pooling=(dataclasses.replace(effect, min_levels=8),)
    )
    runs = bs.load_runs(grid(sizes, each))
    found = model.identified_by(runs)
    assert bool(found.pooling) == kept
    assert found.id == model.id and (found is model) == kept
    assert pooled("loss", by="n_params").identified_by(runs).pooling
    assert bs.Model.from_dict(model.to_dict(), model.id) == model
    with pytest.raises(CardError, match="min_levels: found -1, expected an integer"):
        dataclasses.replace(effect, min_levels=-1)


def test_the_default_card_gives_sizes_effects_where_they_can_be_told_from_the_scatter():
    (effect,) = bs.load_model().pooling
    assert (effect.of, effect.over) == ("loss", "n_params")
    assert effect.is_identified(bs.load_runs("chinchilla"))
    assert not effect.is_identified(bs.load_runs("overtraining"))


def test_pooling_must_be_of_a_part_of_the_law():
    with pytest.raises(
        CardError, match="found 'alfa', expected a part of the law chinchilla.*alpha"
    ):
        pooled("alfa")
    with pytest.raises(CardError, match="found E_by_family twice"):
        pooled("E", "E")
    with pytest.raises(CardError, match="expected a table for each column"):
        bs.Model.from_dict({**bs.load_model("chinchilla").to_dict(), "pooling": {"E": 3}})


def correlated(a: float = 2.0, b: float = 2.0) -> bs.Model:
    """Exponents that differ together, with a Beta prior on (1 + correlation) / 2."""
    why = bs.Beta(a=a, b=b, why="LKJ(2) of two when both are 2")
    model = pooled("alpha", "beta")
    alpha, beta = model.pooling
    beta = dataclasses.replace(beta, with_="alpha", correlation=why)
    return dataclasses.replace(model, id="correlated", pooling=(alpha, beta))


def test_correlated_differences_make_the_round_trip_through_a_card(tmp_path):
    model = correlated()
    path = tmp_path / "correlated.toml"
    path.write_text(model.to_toml(), encoding="utf-8")
    assert bs.load_model(path) == model
    assert [effect.of for effect in model.effects] == ["alpha", "beta"]
    with pytest.raises(CardError, match="expected both or neither"):
        dataclasses.replace(model.pooling[1], correlation=None)
    with pytest.raises(CardError, match="the other partially pooled by the same column"):
        dataclasses.replace(model, pooling=model.pooling[1:])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_prior_draws_of_effects_have_the_stated_correlation(share):
    model = correlated(a=2000 * share, b=2000 * (1 - share))
    drawn = draw_prior(model, np.random.default_rng(1), 4000, (("family", 4),))
    scaled = [
        drawn[name] / drawn[f"sd_{name}"][:, None] for name in ("alpha_by_family", "beta_by_family")
    ]
    assert np.corrcoef(*[x.ravel() for x in scaled])[0, 1] == pytest.approx(2 * share - 1, abs=0.03)
    assert scaled[1].std() == pytest.approx(1.0, abs=0.03)


@pytest.mark.slow
def test_a_correlation_between_families_is_learnt_and_carried_to_new_ones():
    steps = dict(zip("abcdefgh", np.linspace(-0.3, 0.3, 8), strict=True))
    law, rng = bs.law("chinchilla"), np.random.default_rng(1)
    size, tokens = (
        x.ravel() for x in np.meshgrid(np.geomspace(5e7, 5e9, 5), np.geomspace(1e9, 3e11, 5))
    )
    centre = {"n_params": np.exp(np.log(size).mean()), "n_tokens": np.exp(np.log(tokens).mean())}
    tables = []
    for name, step in steps.items():
        differences = {"alpha": step, "beta": step + 0.1 * rng.standard_normal()}
        there = law.differing(law.to_reference(PUBLISHED, centre), differences)
        loss = law.evaluate(n_params=size, n_tokens=tokens, **moved_back(law, there, centre))
        loss = loss * np.exp(0.001 * rng.standard_normal(len(size)))
        tables.append(
            pd.DataFrame({"n_params": size, "n_tokens": tokens, "loss": loss, "family": name})
        )
    fit = bs.fit(bs.load_runs(pd.concat(tables)), correlated(), seed=1, progress=False)
    assert fit.diagnostics.ok, fit.diagnostics.messages
    share = fit.posterior["concordance_beta_alpha_by_family"]
    assert float(share.quantile(0.05)) > 0.5
    for part in ("alpha", "beta"):
        found = fit.posterior[f"{part}_by_family"].mean(("chain", "draw"))
        assert np.corrcoef(found, list(steps.values()))[0, 1] > 0.85
    # The exponents of a new family are correlated like those of the known families.
    new = {name: np.log(draws) for name, draws in fit.sel(family=bs.NEW).curve.parameters.items()}
    moved_by = [
        (new[part] - np.log(fit.posterior[part])).to_numpy().ravel() for part in ("alpha", "beta")
    ]
    assert np.corrcoef(*moved_by)[0, 1] > 0.5


@pytest.mark.slow
def test_pooling_predicts_a_family_of_few_runs_better_than_it_could_alone():
    """Five runs of a new family and thirty of each of three others."""
    differences = {
        "a": {"E": -0.05, "A": 0.3, "alpha": 0.05},
        "b": {"E": 0.0},
        "c": {"E": 0.08, "A": -0.2},
        "new": {"E": 0.03, "A": 0.1, "alpha": 0.03},
    }
    table = families(differences)
    small = (table["n_params"] * table["n_tokens"]).rank() / len(table)
    new = table["family"] == "new"
    few = table[new].assign(order=small[new]).nsmallest(8, "order").index
    held_out = bs.load_runs(table[new & ~table.index.isin(few)])
    together = bs.load_runs(table[~new | table.index.isin(few)])
    alone = bs.load_runs(table.loc[few])
    parts = ("E", "A", "B", "alpha", "beta")
    found = bs.score(bs.fit(together, pooled(*parts), seed=1, tune=1000, progress=False), held_out)
    with (
        pytest.warns(BayescaleWarning, match="weakly determined"),
        pytest.warns(BayescaleWarning, match="runs for 7 unknowns"),
    ):
        lonely = bs.fit(alone, "chinchilla", seed=1, progress=False)
    by_itself = bs.score(lonely, held_out)
    # The errors of the medians are similar; which one is smaller depends on the draws.
    assert found.rmsle < 1.2 * by_itself.rmsle
    assert found.summary()["width_90"] < 0.5 * by_itself.summary()["width_90"]
    # Intervals are half as wide with sufficient coverage: 6.7 and 1.7, which vary between three
    # seeds by 0.15 and 0.04.
    assert found.elpd > by_itself.elpd + 5.0
    mean = [x.pointwise["interval_score_90"].mean() for x in (found, by_itself)]
    assert mean[1] > 1.4 * mean[0]
    assert found.coverage(0.9) > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("unit", [1.0, 1.0 / 3.0, 100.0], ids=["nats", "a third", "hundredfold"])
def test_predictions_at_the_runs_have_the_error_of_the_fit(unit):
    """Five families that differ in an exponent; a fit in any unit of the loss."""
    law, rng = bs.law("power-law"), np.random.default_rng(4)
    compute, tables = np.geomspace(1e17, 1e22, 24), []
    centre = {"x": np.exp(np.log(compute).mean())}
    usual = law.to_reference({"x_c": 1e23, "alpha": 0.07}, centre)
    for family, step in dict(zip("abcde", (-0.15, 0.0, 0.15, 0.05, -0.08), strict=True)).items():
        there = moved_back(law, law.differing(usual, {"alpha": step}), centre)
        loss = law.evaluate(x=compute, **there) * np.exp(0.004 * rng.standard_normal(24))
        tables.append(pd.DataFrame({"compute": compute, "loss": unit * loss, "family": family}))
    model, as_given = pooled("alpha", base="power-law"), {"loss": "nats/token"}
    runs = runs_for(
        pd.concat(tables), [model], units=as_given
    )  # units stated: a factor of a hundred is implausible
    fit = bs.fit(runs, model, seed=1, progress=False)
    assert fit.diagnostics.ok, fit.diagnostics.messages
    groups = {"family": fit.runs.table["family"].to_list()}
    log_inputs = {"x": xr.DataArray(np.log(fit.runs.column("compute")), dims="plan")}
    mean = np.log(fit.curve_of(groups).response(log_inputs)).median(("chain", "draw"))
    error = np.log(fit.runs.column("loss")) - mean.to_numpy()
    # The relative standard error of the SD of 120 runs is 1/15; six of them are allowed.
    assert float(np.sqrt(np.mean(error**2))) == pytest.approx(0.004, rel=0.4)
    assert float(fit.posterior["sigma"].median()) == pytest.approx(0.004, rel=0.4)


@pytest.mark.slow
def test_a_law_of_several_modes_can_be_pooled():
    """Kaplan's learning curves of five families whose size exponents differ."""
    law, rng = bs.law("kaplan-ns-min"), np.random.default_rng(4)
    truth = {"N_c": 1e16, "S_c": 600.0, "alpha_N": 0.06, "alpha_S": 0.76}
    steps_of = dict(zip("abcde", (-0.15, 0.0, 0.15, 0.05, -0.08), strict=True))
    size, steps = (
        x.ravel() for x in np.meshgrid(np.geomspace(1e7, 2e9, 5), np.geomspace(2e3, 1e5, 5))
    )
    at = {"n_params": size, "n_steps_min": steps}
    centre = {name: np.exp(np.log(x).mean()) for name, x in at.items()}
    tables = []
    for family, step in steps_of.items():
        there = moved_back(
            law, law.differing(law.to_reference(truth, centre), {"alpha_N": step}), centre
        )
        loss = law.evaluate(**at, **there) * np.exp(0.003 * rng.standard_normal(len(size)))
        table = pd.DataFrame({"n_params": size, "n_steps": steps, "loss": loss})
        tables.append(table.assign(family=family))
    model = pooled("alpha_N", base="kaplan-ns-min")
    fit = bs.fit(pd.concat(tables), model, seed=1, progress=False)
    assert fit.diagnostics.ok, fit.diagnostics.messages
    assert next(iter(fit.provenance["modes"])) == "alpha_S above alpha_N"
    for family, step in steps_of.items():
        draws = fit.sel(family=family).curve.parameters["alpha_N"]
        expected = truth["alpha_N"] * np.exp(step)
        low, high = np.quantile(draws, [0.001, 0.999])
        assert low < expected < high, family


def test_parameters_of_any_card_can_be_pooled(tmp_path):
    spread = bs.HalfNormal(scale=0.02, why="seeds of one setting scatter by less than 2 %")
    model = bs.load_model("kaplan-ns").pool("family").pool("family+seed", of=["loss"], sd=spread)
    assert {effect.of for effect in model.effects_by("family")} == set(model.law.parameters)
    assert model.groupings == ("family", "family+seed")
    assert not bs.load_model("kaplan-ns").effects
    narrow = model.pool("family", of=["N_c"], sd=spread)
    assert len(narrow.effects) == len(model.effects)
    assert {p.of: p.sd for p in narrow.effects_by("family")}["N_c"] == spread
    path = tmp_path / "card.toml"
    path.write_text(model.to_toml(), encoding="utf-8")
    assert bs.load_model(path).pooling == model.pooling
    with pytest.raises(CardError, match=r"found 'floor', expected a part of the law kaplan-nd"):
        bs.load_model("kaplan-nd").pool("family", of=["floor"])
