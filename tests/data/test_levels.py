"""Selected levels: fitted, misspelt, new, and unspecified."""

import json

import numpy as np
import pytest
from contract.fits import laplace_fit

import bayescale as bs
from bayescale.data.levels import NEW, Levels
from bayescale.errors import CardError, UnknownNameError

LEVELS = "c4, redpajama, refinedweb"
PLAN = {"n_params": "7B", "n_tokens": "2T"}


@pytest.fixture(scope="module")
def pooled() -> bs.Fit:
    return laplace_fit(bs.load_model("chinchilla-pooled"), bs.load_runs("overtraining").table)


@pytest.fixture(scope="module")
def both(pooled) -> bs.ModelAverage:
    return bs.model_average({"one": pooled, "two": pooled}, {"one": 0.5, "two": 0.5})


@pytest.fixture
def saved(pooled, tmp_path) -> str:
    pooled.save(tmp_path / "fit.nc")
    return str(tmp_path / "fit.nc")


def test_a_level_that_was_not_fitted_is_refused_with_the_nearest(pooled, both):
    words = rf"found family 'c5'; .* fitted are {LEVELS}\. Did you mean 'c4'\? .*bayescale\.NEW"
    with pytest.raises(UnknownNameError, match=words):
        pooled.sel(family="c5")
    for asked in (pooled, both):
        for levels in ("c5", ["c4", "c5"], ["c4", NEW, "c5"]):
            with pytest.raises(UnknownNameError, match=words):
                bs.predict(asked, **PLAN, groups={"family": levels})
    with pytest.raises(CardError, match="found 'recipe', expected one of the columns"):
        pooled.sel(recipe="c4")
    with pytest.raises(CardError, match="found several levels of family, expected one"):
        pooled.sel(family=["c4", "redpajama"])


def test_a_misspelt_level_is_not_scored_as_a_new_one(pooled):
    runs = bs.load_runs("overtraining")

    def named(family: str) -> bs.Runs:
        return bs.load_runs(runs.table.replace({"family": {"c4": family}}))

    words = rf"found family 'c5'; .* fitted are {LEVELS}\. Did you mean 'c4'\? .*new_levels="
    with pytest.raises(UnknownNameError, match=words):
        bs.score(pooled, named("c5"))
    # Declared as new, its runs are scored with the wider predictions of a new level.
    ours = bs.score(pooled, runs).pointwise
    said = bs.score(pooled, named("c5"), new_levels=["family"]).pointwise
    renamed = (runs.table["family"] == "c4").to_numpy()
    np.testing.assert_allclose(said["elpd"][~renamed], ours["elpd"][~renamed], rtol=1e-12)
    assert (said["width_90"][renamed] > 1.5 * ours["width_90"][renamed]).all()
    # A name that resembles no fitted level needs no declaration.
    assert np.isfinite(bs.score(pooled, named("books")).elpd)
    assert bs.score(pooled, runs, new_levels=["family"]).elpd == bs.score(pooled, runs).elpd
    with pytest.raises(CardError, match="new_levels: found 'recipe', expected .*: family"):
        bs.score(pooled, runs, new_levels=["recipe"])


def test_a_misspelt_level_is_not_scored_by_the_command(saved, run, tmp_path):
    table = bs.load_runs("overtraining").table.replace({"family": {"c4": "c5"}})
    path = str(tmp_path / "held_out.csv")
    table.to_csv(path, index=False)
    code, out, err = run("score", saved, path)
    assert (code, out) == (2, "")
    assert "found family 'c5'" in err and "Did you mean 'c4'?" in err and "--new-level" in err
    code, out, _ = run("score", saved, path, "--new-level", "family", "--json")
    assert code == 0
    assert json.loads(out)["summary"]["n_test"] == len(table)
    code, out, err = run("score", saved, path, "--new-level", "recipe")
    assert (code, out) == (2, "") and "found 'recipe', expected" in err


def test_a_new_level_is_the_default(pooled, both):
    for asked in (pooled, both):
        silent = bs.predict(asked, **PLAN)
        new = bs.predict(asked, **PLAN, groups={"family": NEW})
        np.testing.assert_array_equal(silent["loss"], new["loss"])
        listed = bs.predict(asked, **PLAN, groups={"family": ["c4", NEW]})["loss"]
        np.testing.assert_array_equal(listed.isel(plan=1), new["loss"].isel(plan=0))
        known = bs.predict(asked, **PLAN, groups={"family": "c4"})["loss"]
        np.testing.assert_array_equal(listed.isel(plan=0), known.isel(plan=0))


ANSWERS = {
    "allocate": lambda fit: bs.allocate(fit, budget=1e22).headline,
    "decide": lambda fit: bs.decide(fit, budget=1e22).headline,
    "needed": lambda fit: bs.requirements(fit, loss=2.5).headline,
    "next_runs": lambda fit: bs.next_runs(fit, target=1e22, budget=1e21, n_runs=1).headline,
}


@pytest.mark.parametrize("question", ANSWERS)
def test_an_answer_says_first_of_which_level_it_is(pooled, question):
    ask = ANSWERS[question]
    unnamed = f"For a new family, since none was named; those that were fitted are {LEVELS}."
    assert ask(pooled).startswith(unnamed)
    assert ask(pooled.sel(family="c4")).startswith("chinchilla law (chinchilla-pooled card, of f")
    assert "card, of a new family)" in ask(pooled.sel(family=NEW))


def test_an_average_of_laws_says_it_too(both):
    assert bs.allocate(both, budget=1e22).headline.startswith("For a new family, since none")


def test_a_response_that_differs_by_level_is_of_an_average_one():
    from dataclasses import replace

    spread = bs.HalfNormal(scale=0.1, why="a test")
    pooling = (
        bs.Pooling(of="loss", over="family", sd=spread),
        bs.Pooling(of="loss", over="n_params", sd=spread),
    )
    model = replace(bs.load_model("chinchilla"), id="levels", pooling=pooling)
    fit = laplace_fit(model, bs.load_runs("overtraining").table)
    assert fit.unnamed_levels == (
        f"For an average family, since none was named; those that were fitted are {LEVELS}.",
    ), "the size of a plan is known, and is not asked for"


def test_levels_of_amounts():
    levels = Levels("n_experts", np.array([1.0, 8.0, 64.0]))
    assert levels.codes(np.array([8.0, NEW, 9.0], dtype=object)).tolist() == [1, -1, -1]
    levels.refuse_unknown([8, NEW])
    with pytest.raises(UnknownNameError, match="found n_experts 9; .* fitted are 1, 8, 64"):
        levels.refuse_unknown(9)
    many = Levels("run", np.array([f"run {i:02}" for i in range(40)]))
    assert str(many).endswith("run 11 and 28 more")


def test_the_level_survives_a_file(pooled, tmp_path):
    for level in ("c4", NEW):
        asked = pooled.sel(family=level)
        asked.save(tmp_path / "fit.nc")
        again = bs.load_fit(tmp_path / "fit.nc")
        assert dict(again.groups) == {"family": level}
        assert again.provenance == pooled.provenance
        np.testing.assert_array_equal(
            bs.predict(again, **PLAN)["loss"], bs.predict(asked, **PLAN)["loss"]
        )


VERBS = {
    "allocate": ("--budget", "1e22"),
    "decide": ("--budget", "1e22"),
    "predict": ("--n-params", "7B", "--n-tokens", "2T"),
    "next": ("--target", "1e22", "--budget", "1e21", "--n-runs", "1"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_groups_on_the_command_line(run, saved, verb):
    asked = (verb, saved, *VERBS[verb])
    last = run(*asked)[1].splitlines()[-1]
    assert last.startswith("For a new family, since none was named; those that")
    assert "card, of family c4)" in run(*asked, "--group", "family=c4")[1].splitlines()[-1]
    assert "card, of a new family)" in run(*asked, "--new-level", "family")[1].splitlines()[-1]
    for wrong, words in (
        (("--group", "family=c5"), "Did you mean 'c4'? For a new level use family=bayescale.NEW"),
        (("--group", "famly=c4"), "--group: found famly, expected one of the columns"),
        (("--new-level", "famly"), "--new-level: found famly, expected one of the columns"),
        (("--group", "family=c4", "--group", "family=redpajama"), "--group: found family twice"),
        (("--group", "family=c4", "--new-level", "family"), "--new-level: found family, for which"),
    ):
        code, out, err = run(*asked, *wrong)
        assert (code, out) == (2, ""), wrong
        assert words in err and err.count("\n") == 1
    if verb in ("allocate", "predict"):
        facts = json.loads(run(*asked, "--json")[1])
        assert facts["headline"].startswith("For a new family")


def test_the_parameters_of_a_level_are_its_own(pooled):
    """Summary, table and coefficients of a selected family are its own, not the population's."""
    law = pooled.law
    for level in ("c4", "refinedweb"):
        asked = pooled.sel(family=level)
        for effect in pooled.model.effects:
            difference = pooled.posterior[effect.effect].sel(level_family=level)
            if effect.of in ("alpha", "beta"):
                np.testing.assert_allclose(
                    np.log(asked.parameters[effect.of] / pooled.parameters[effect.of]),
                    difference.drop_vars("level_family"),
                    atol=1e-9,
                )
        inputs = {"n_params": 7e9, "n_tokens": 2e12}
        loss = law.evaluate(**inputs, **asked.parameters)
        np.testing.assert_allclose(loss, bs.predict(asked, **PLAN)["loss"].isel(plan=0))
        summary, table = asked.summary(), asked.to_dataframe()
        for name in law.parameters:
            median = float(asked.parameters[name].median())
            assert summary.loc[name, "median"] == pytest.approx(median)
            assert table[name].median() == pytest.approx(median)
        assert summary[["r_hat", "ess_bulk"]].notna().all(axis=None)
        coordinates = law.to_reference(asked.parameters, pooled.scale.reference)
        for name, values in coordinates.items():
            np.testing.assert_allclose(asked.quantities[name], values)
    assert pooled.parameters["alpha"].equals(pooled.posterior["alpha"])
