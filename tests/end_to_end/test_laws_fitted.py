"""Fits of laws of one variable, broken laws and user-defined laws."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from contract.fits import few_draws, fit_of_card

import bayescale as bs
from bayescale.allocation.allocate import optima
from bayescale.errors import AmountError, CardError, FitFileError, RunsError
from bayescale.laws import _DEFINED
from bayescale.testing import check_law


def curve(law: str, parameters, x, noise=0.003, seed=1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    loss = bs.law(law).evaluate(x=x, **parameters)
    return pd.DataFrame({"compute": x, "loss": loss * np.exp(noise * rng.standard_normal(len(x)))})


def covers(fit: bs.Fit, truth, prob: float = 0.99) -> None:
    assert fit.diagnostics.ok, fit.diagnostics.messages
    table = fit.summary(prob)
    for name, value in truth.items():
        assert table.loc[name, "lower"] < value < table.loc[name, "upper"], name


@pytest.mark.parametrize(
    ("law", "truth"),
    [
        ("power-law", {"x_c": 1e25, "alpha": 0.06}),
        ("power-law-floor", {"E": 1.8, "x_c": 3e18, "alpha": 0.18}),
        ("power-law-plateau", {"b": 3000.0, "gamma": 3e-22, "c": 0.15}),
    ],
)
def test_laws_of_one_variable_recover_their_truth(law, truth):
    runs = curve(law, truth, np.geomspace(1e17, 1e22, 40))
    fit = bs.fit(runs, law, seed=1, progress=False)
    covers(fit, truth)
    found = bs.predict(fit, inputs={"compute": ["1e21", 1e22]})
    expected = bs.law(law).evaluate(x=1e22, **truth)
    assert float(found["loss"].isel(plan=1).median()) == pytest.approx(expected, rel=0.01)
    with pytest.raises(TypeError, match="only under a law of the loss in n_params and n_tokens"):
        bs.allocate(fit, budget=1e22)
    with pytest.raises(AmountError, match="expected compute"):
        bs.predict(fit, n_params="7B")


def test_the_variable_may_be_any_column():
    table = curve("power-law", {"x_c": 1e25, "alpha": 0.06}, np.geomspace(1e17, 1e22, 20))
    table = table.rename(columns={"compute": "n_examples"})
    model = replace(bs.load_model("power-law"), inputs={"x": "n_examples"})
    fit = bs.fit(table, model, seed=1, progress=False)
    assert fit.runs.observed == ("n_examples",)
    assert "n_examples" in fit.runs.describe()
    with pytest.raises(RunsError, match="column for n_examples is missing"):
        bs.fit(table.rename(columns={"n_examples": "z"}), model, progress=False)
    with pytest.raises(RunsError, match="row 3, column 'n_examples'"):
        bs.fit(table.assign(n_examples=np.where(table.index == 3, -1, 1e9)), model, progress=False)
    with pytest.raises(RunsError, match="Every run has n_examples"):
        bs.fit(table.assign(n_examples=1e9), model, progress=False)


def test_size_may_be_counted_another_way():
    """The model states the columns of the law's inputs, also for plans."""
    base = bs.load_model("chinchilla")
    model = replace(base, inputs={"n_params": "n_params_nonembedding"})
    runs = bs.load_runs("overtraining").where("family == 'c4'")
    fit = bs.fit(runs, model, seed=1, progress=False)
    largest = runs.column("n_params_nonembedding").max()
    assert fit.inputs["n_params"].max() == largest
    plan = bs.allocate(fit, budget=1e22)
    factor = plan.recommended["n_params"].iloc[0] / largest
    assert plan.extrapolation["n_params"].iloc[0] == pytest.approx(factor)
    assert fit.scale.reference["n_params"] < np.exp(np.log(runs.n_params).mean())


def test_a_law_of_one_variable_needs_a_column():
    with pytest.raises(CardError, match="say which column it is"):
        replace(bs.load_model("power-law"), inputs={})
    with pytest.raises(CardError, match="inputs: found 'y', expected one of x"):
        replace(bs.load_model("power-law"), inputs={"y": "compute"})


@pytest.mark.slow
def test_a_break_is_found():
    truth = {"a": 0.9, "b": 8.0, "c0": 0.05, "c1": 0.25, "d1": 1e19, "f1": 0.3}
    x = np.geomspace(1e16, 1e22, 60)
    truth["b"] = 2.2 / float(bs.law("broken-power-law-1").evaluate(x=1e16, **truth) - 0.9) * 8.0
    fit = bs.fit(
        curve("broken-power-law-1", truth, x), "broken-power-law-1", seed=2, progress=False
    )
    covers(fit, {name: truth[name] for name in ("d1", "c0")})
    assert not any("beyond" in remark for remark in fit.diagnostics.remarks)


positive = {"unit": "nat", "support": "positive"}


@pytest.fixture
def tilted():
    """Return a user-defined law, in fewer than twenty lines."""
    level = bs.Parameter(meaning="level", symbol="a", unit="nat")
    exponent = bs.Parameter(meaning="exponent", symbol="p")

    @bs.define_law("tilted", source="this test")
    def tilted(n_params, n_tokens, E: level, A: level, B: level, alpha: exponent, beta: exponent):
        """A floor and two terms, with size in billions."""
        size = A * np.exp(-alpha * np.log(n_params / 1e9))
        data = B * np.exp(-beta * np.log(n_tokens / 2e10))
        return E + size + data

    base = bs.load_model("chinchilla")
    near_one = bs.LogNormal(median=0.5, log_sd=1.0, why="terms are below one nat")
    return bs.Model(
        law="tilted",
        id="tilted",
        priors={
            "E": bs.LogNormal(median=1.5, log_sd=0.5, why="nats of language"),
            **{"A": near_one, "B": near_one},
            **{"alpha": base.priors["alpha"], "beta": base.priors["beta"]},
        },
        noise=base.noise,
    )


@pytest.mark.slow
def test_a_law_of_the_users_own_gets_everything(tilted, chinchilla_runs, fit, tmp_path):
    check_law(
        "tilted",
        {"E": 1.8, "A": 0.36, "B": 0.35, "alpha": 0.35, "beta": 0.37},
        reference={"n_params": 1e9, "n_tokens": 2e10},
    )
    own = bs.fit(chinchilla_runs, tilted, seed=1, progress=False)
    assert own.diagnostics.ok, own.diagnostics.messages
    # The same law as Chinchilla's in other parameters: the posterior must be about the same,
    # and its optimum, found by a search, that of the closed form.
    for name in ("E", "alpha", "beta"):
        ours, theirs = own.posterior[name], fit.posterior[name]
        assert float(ours.mean()) == pytest.approx(
            float(theirs.mean()), abs=0.5 * float(theirs.std())
        )
    plan = bs.allocate(own, budget=[1e21, 5.76e23])
    p = own.parameters
    natural = {
        "E": p["E"],
        "A": p["A"] * np.exp(p["alpha"] * np.log(1e9)),
        "B": p["B"] * np.exp(p["beta"] * np.log(2e10)),
        "alpha": p["alpha"],
        "beta": p["beta"],
    }
    for i, compute in enumerate((1e21, 5.76e23)):
        closed = bs.law("chinchilla").optimal_log_params(natural, np.log(compute / 6))
        found = np.log(plan.draws["n_opt"].isel(budget=i))
        np.testing.assert_allclose(found, closed, atol=1e-5)
    bs.report(own, tmp_path / "own.html", budget=1e22)
    assert "A floor and two terms" in (tmp_path / "own.html").read_text(encoding="utf-8")
    own.save(tmp_path / "own.nc")
    assert bs.load_fit(tmp_path / "own.nc").posterior.identical(own.posterior)
    copy = tmp_path / "tilted.toml"
    copy.write_text(tilted.to_toml(), encoding="utf-8")
    assert bs.load_model(copy) == tilted
    assert "tilted" in bs.list_laws().index
    compared = bs.hold_out(chinchilla_runs, [tilted, "kaplan-nd"], "compute < 1e21", seed=1)
    assert list(compared.index) == ["tilted", "kaplan-nd"]


@pytest.mark.slow
def test_defining_a_law_again_replaces_it(chinchilla_runs):
    p = bs.Parameter(meaning="level", symbol="a")
    prior = bs.LogNormal(median=2.5, log_sd=0.3, why="nats")
    noise = bs.load_model("chinchilla").noise
    options = {"draws": 50, "tune": 100, "chains": 2, "seed": 1, "progress": False}

    def fitted(power: float) -> float:
        @bs.define_law("fixed-power")
        def law(n_params, n_tokens, a: p):
            return a * np.exp(-power * np.log(n_params * n_tokens / 1e19))

        model = bs.Model(law="fixed-power", priors={"a": prior}, noise=noise)
        found = bs.fit(chinchilla_runs, model, **options)
        return float(bs.predict(found, n_params=1e11, n_tokens=1e13)["loss"].median())

    assert fitted(0.05) > 1.2 * fitted(0.10)


def test_a_draw_without_an_optimum_is_counted(chinchilla_runs):
    """A loss that depends on tokens only has no interior optimum."""
    p = bs.Parameter(meaning="level", symbol="a")

    @bs.define_law("tokens-only")
    def law(n_params, n_tokens, a: p, b: p):
        return a * np.exp(-b * np.log(n_tokens / 1e10) - 0.0 * n_params)

    constants = bs.Constants(
        name="c", law="tokens-only", parameters={"a": 2.0, "b": 0.1}, source="s"
    )
    assert np.isnan(optima(constants, budget=1e21).draws["n_opt"]).all()
    with pytest.raises(AmountError, match="100 % of the draws have no optimum"):
        bs.allocate(constants, budget=1e21)


def test_bad_definitions_are_refused():
    p = bs.Parameter(meaning="level", symbol="a")
    with pytest.raises(CardError, match="ships with bayescale"):
        bs.define_law("chinchilla")
    for function in (
        lambda n_params: n_params,
        lambda: 1.0,
    ):
        with pytest.raises(CardError, match="at least one input and one parameter"):
            bs.define_law("bad")(function)

    def wrong(n_params, a: p, n_tokens): ...

    with pytest.raises(CardError, match="found the argument n_tokens"):
        bs.define_law("bad")(wrong)


def test_a_fit_of_a_law_that_is_not_defined_is_refused(tmp_path, monkeypatch):
    few_draws(fit_of_card("two-powers")).save(tmp_path / "fit.nc")
    monkeypatch.delitem(_DEFINED, "two-powers")
    with pytest.raises(FitFileError, match="no law called 'two-powers'"):
        bs.load_fit(tmp_path / "fit.nc")


def test_a_prior_may_restrict_a_real_coordinate_but_not_widen_one():
    model = bs.load_model("broken-power-law-1-signed")
    either = bs.Normal(mean=0.2, sd=0.3, why="rises are possible")
    assert replace(model, priors={**model.priors, "change1": either})
    with pytest.raises(CardError, match="expected one on a positive quantity"):
        replace(model, priors={**model.priors, "f1": either})
    share = bs.Beta(a=1.0, b=1.0, why="any")
    assert share.constrain(np.array([0.0]))[0] == 0.5
    assert share.unconstrain(0.5) == 0.0
