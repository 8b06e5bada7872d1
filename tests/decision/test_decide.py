"""Decisions: regret against its closed form, bands, comparison of plans, sentences."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.costs import Cluster, FunctionCost, Lifetime, Money, Serving, TokenPrice, six_nd
from bayescale.decision.candidates import candidates_of
from bayescale.decision.regret import Regrets
from bayescale.decision.result import WITHIN
from bayescale.errors import AmountError
from bayescale.posterior.curve import Curve

CLUSTER = Cluster(n_gpus=2048, peak="H100-SXM", utilisation=0.4, price=2.0)
PLANS = {
    "7B on 2T": ("7B", "2T"),
    "70B on 1.4T": ("70B", "1.4T"),
    "30B on 3T": ("30B", "3T"),
}


@pytest.fixture(scope="module")
def decision(fit):
    return bs.decide(fit, budget="5.76e23", plans=PLANS, cluster=CLUSTER, serving="2T")


def closed_form(alpha, beta, k):
    """The share of compute that a size k times the optimum wastes, at fixed compute."""
    r = (beta * k**-alpha + alpha * k**beta) / (alpha + beta)
    return 1 - r ** (-(alpha + beta) / (alpha * beta))


def drawn(seed=0, spread=0.05, law="chinchilla", **more):
    rng = np.random.default_rng(seed)
    parameters = {**bs.published("besiroglu2024").parameters, **more}
    return Curve(
        law=bs.law(law),
        parameters={
            name: xr.DataArray(
                value * np.exp(spread * rng.standard_normal((2, 100))), dims=("chain", "draw")
            )
            for name, value in parameters.items()
        },
    )


@pytest.mark.parametrize("cost", [six_nd, FunctionCost(function=lambda n, d: 6 * n * d)])
def test_regret_has_its_closed_form(cost):
    curve = drawn()
    regrets = Regrets(curve, cost, 1e23, {})
    k = np.geomspace(0.05, 20, 41)
    log_n = regrets.log_n_opt[..., None] + np.log(k)
    found = regrets.regret(regrets.log_loss(log_n, np.log(1e23 / 6) - log_n))
    alpha, beta = (curve.parameters[name].to_numpy()[..., None] for name in ("alpha", "beta"))
    exact = closed_form(alpha, beta, k)
    np.testing.assert_allclose(found, exact, atol=2e-5)
    assert found[..., 20].max() < 1e-8, "the optimum itself"
    near = np.abs(np.log(k)) < 0.4
    # To second order; the next term is a third of ln k times the difference of exponents.
    second = -np.expm1(-0.5 * (alpha + beta) * np.log(k) ** 2)
    np.testing.assert_allclose(found[..., near], second[..., near], rtol=0.12, atol=1e-6)


def test_rules_of_thumb_of_the_regret():
    """A size 10 % off the optimum wastes 0.3 %; 25 %: 1.8 %; 50 %: 5.7 %; twice: 15.7 %; thrice: 34 %."""
    p = bs.published("besiroglu2024").parameters
    for k, share in ((1.1, 0.003), (1.25, 0.018), (1.5, 0.057), (2.0, 0.157), (3.0, 0.34)):
        assert closed_form(p["alpha"], p["beta"], k) == pytest.approx(share, abs=0.005)


@given(k=st.floats(0.3, 0.9), log_k=st.floats(-2.0, 2.0), exponent=st.floats(20.0, 25.0))
@settings(max_examples=20)
def test_regret_of_the_coupled_law_does_not_know_k_nor_the_budget(k, log_k, exponent):
    """With r to the power k and the frontier's exponent times k, the regret is the same."""
    curve = drawn(law="coupled", k=k)
    budget = 10**exponent
    regrets = Regrets(curve, six_nd, budget, {})
    log_n = regrets.log_n_opt[..., None] + log_k
    found = regrets.regret(regrets.log_loss(log_n, np.log(budget / 6) - log_n))
    alpha, beta = (curve.parameters[name].to_numpy()[..., None] for name in ("alpha", "beta"))
    np.testing.assert_allclose(found, closed_form(alpha, beta, np.exp(log_k)), atol=3e-5)


def test_the_plan_is_about_the_mean_of_ln_n_opt(decision, fit):
    log_n = np.log(bs.allocate(fit, budget="5.76e23").draws["n_opt"])
    assert float(np.log(decision.plan["n_params"]) - log_n.mean()) == pytest.approx(0, abs=0.01)
    total = fit.posterior["alpha"] + fit.posterior["beta"]
    approximate = 0.5 * float(total.mean()) * float(log_n.var())
    assert decision.plan["regret"] == pytest.approx(approximate, rel=0.05)
    assert 6 * decision.plan["n_params"] * decision.plan["n_tokens"] == pytest.approx(5.76e23)
    expected = decision.curve_of_regret["expected"]
    assert decision.plan["regret"] <= expected.min() * (1 + 1e-9)


def test_no_size_has_less_expected_regret(decision):
    regrets = decision.regrets
    best = np.log(decision.plan["n_params"])
    around = best + np.array([-0.3, -0.02, -0.005, 0.0, 0.005, 0.02, 0.3])
    log_d = regrets.spending.log_tokens(around, np.zeros(7, dtype=np.intp))
    found = regrets.regret(regrets.log_loss(around, log_d)).mean(axis=(0, 1))
    assert found.argmin() == 3


def test_a_quantile_of_regret(fit, decision):
    cautious = bs.decide(fit, budget="5.76e23", quantile=0.95)
    values = decision.regret.to_numpy().reshape(-1, len(decision.sizes))
    by_hand = decision.sizes[np.quantile(values, 0.95, axis=0).argmin()]
    assert cautious.plan["n_params"] == pytest.approx(by_hand, rel=0.02)
    assert "the least 95 % quantile of regret" in cautious.sentences[0]
    # Its expected regret is larger.
    assert cautious.plan["regret"] >= decision.plan["regret"]


def test_bands_hold_with_the_stated_probability(decision):
    bands, regrets = decision.bands, decision.regrets
    assert list(bands.index) == list(WITHIN)
    # At most about 0.9 is the probability that any size is within 1 % of the optimum.
    assert 0.8 < bands.loc[0.01, "probability"] < 0.95
    assert np.isnan(bands.loc[0.01, "lower"]) == (bands.loc[0.01, "probability"] < 0.9)
    ends = np.log(bands.loc[0.05, ["lower", "upper"]].to_numpy(dtype=float))
    log_d = regrets.spending.log_tokens(ends, np.zeros(2, dtype=np.intp))
    shares = (regrets.regret(regrets.log_loss(ends, log_d)) <= 0.05).mean(axis=(0, 1))
    assert shares == pytest.approx([0.9, 0.9], abs=0.01)
    wide = bs.decide(decision.source, budget="5.76e23", prob=0.5).bands
    assert wide.loc[0.05, "lower"] < bands.loc[0.05, "lower"]
    assert wide.loc[0.01, "lower"] < wide.loc[0.01, "upper"]


def test_candidate_plans(decision, fit):
    table = decision.table()
    assert list(table.index) == ["recommended", *PLANS]
    assert table["p_best"].dropna().sum() == pytest.approx(1.0)
    losses = bs.predict(fit, n_params=["7B", "70B", "30B"], n_tokens=["2T", "1.4T", "3T"])
    np.testing.assert_allclose(
        table["loss"].iloc[1:], losses["loss"].median(("chain", "draw")), rtol=1e-12
    )
    # Among plans that spend the budget; 30B on 3T spends 6 % less, 7B on 2T a seventh of it.
    assert list(table.index[table["p_best"].notna()]) == ["recommended", "70B on 1.4T"]
    # It spends 2 % more, so its loss is the lowest in every draw, but it is not the most efficient.
    better = losses["loss"].isel(plan=1) < decision.candidates.loss.isel(plan=0)
    assert float(better.mean()) > 0.99 > 0.9 > table.loc["70B on 1.4T", "p_best"] > 0.1
    assert table.loc["30B on 3T", "note"] == "0.938 times the budget"
    np.testing.assert_allclose(table["days"], CLUSTER.days(table["compute"]))
    np.testing.assert_allclose(table["serving_money"], CLUSTER.money(2e12 * 2 * table["n_params"]))
    np.testing.assert_allclose(table["regret_money"], CLUSTER.money(5.76e23 * table["regret"]))
    # 7B on 2T leaves most of the budget unspent, and is inefficient too.
    assert table.loc["7B on 2T", "regret"] > 0.9 > table.loc["7B on 2T", "wasted"] > 0.3
    # The waste is the cost beyond the minimum for the same loss.
    p = fit.parameters
    loss = fit.law.evaluate(n_params=3e10, n_tokens=3e12, **p)
    needed = bs.requirements(fit, loss=float(loss.isel(chain=0, draw=0))).draws["budget"]
    one = decision.regrets.wasted(
        decision.regrets.log_loss(np.log([3e10]), np.log([3e12])), np.array([5.4e23])
    )[0, 0, 0]
    assert one == pytest.approx(1 - float(needed[0, 0, 0]) / 5.4e23, abs=1e-4)


def test_plans_that_break_a_limit_or_the_budget_say_so(fit):
    limits = bs.Limits(max_params="40B", max_tokens="2T", max_days=8, cluster=CLUSTER)
    found = bs.decide(
        fit,
        budget="5.76e23",
        plans={**PLANS, "huge": ("400B", "3T")},
        limits=limits,
    )
    notes = found.table()["note"]
    assert notes["recommended"] == "" and notes["7B on 2T"] == "0.146 times the budget"
    assert notes["30B on 3T"] == "0.938 times the budget; above 2.00T tokens"
    assert "12.5 times the budget" in notes["huge"] and "longer than 8 days" in notes["huge"]
    assert found.table()["p_best"].isna().all(), "no two plans spend alike inside the limits"
    assert found.plan["n_params"] == pytest.approx(4e10)
    assert found.plan["n_tokens"] == pytest.approx(2e12)
    assert found.plan["regret"] == pytest.approx(0.0, abs=1e-6), "the best inside the limits"
    assert any("binds in" in sentence for sentence in found.caveats)


def test_a_kink_at_a_limit_on_tokens_is_found(fit):
    found = bs.decide(fit, budget="5.76e23", limits=bs.Limits(max_tokens="800B"))
    assert found.plan["n_tokens"] == pytest.approx(8e11, rel=1e-3)
    assert found.plan["regret"] < 2e-5


@pytest.mark.slow
def test_lifetime_and_money_decide_over_serving(fit):
    served = Lifetime(Serving(n_tokens="10T"))
    alone, lifetime = (
        bs.decide(fit, budget="5.76e23", cost=cost).plan for cost in (six_nd, served)
    )
    assert lifetime["n_params"] < 0.8 * alone["n_params"]
    assert served(lifetime["n_params"], lifetime["n_tokens"]) == pytest.approx(5.76e23)
    money = bs.decide(
        fit,
        budget="$2M",
        cost=Money(cluster=CLUSTER, serving=Serving(n_tokens="5T")),
        plans={"30B on 3T": ("30B", "3T")},
    )
    row = money.table().loc["30B on 3T"]
    assert row["spent"] == pytest.approx(row["training_money"] + row["serving_money"])
    assert row["regret_money"] == pytest.approx(2e6 * row["regret"])
    assert money.text_table().loc["recommended", "cost"] == "$2.00M"
    assert "for $2.00M of training and serving 5.00T tokens" in money.sentences[0]


def test_prices_of_tokens_decide_without_a_cluster(fit):
    cost = Money(
        price=TokenPrice("$0.06", n_params="7B"),
        serving=Serving(n_tokens="5T", price=TokenPrice("$0.20", n_params="7B")),
    )
    found = bs.decide(fit, budget="$2M", cost=cost, plans={"30B on 1T": ("30B", "1T")})
    row = found.table().loc["30B on 1T"]
    assert row["training_money"] == pytest.approx(0.06e-6 * 30 / 7 * 1e12)
    assert row["serving_money"] == pytest.approx(0.20e-6 * 30 / 7 * 5e12)
    assert row["spent"] == pytest.approx(row["training_money"] + row["serving_money"])
    assert "days" not in row and found.plan["spent"] == pytest.approx(2e6)


def test_words_for_a_manager(decision):
    said = str(decision)
    assert said.startswith("Train ") and said.splitlines()[-1].startswith("chinchilla law")
    assert "Far beyond the data: the plan is 44 times the largest run" in decision.caveats[0]
    assert "days on 2,048 GPUs at 40 %" in said
    assert "the expected value of perfect information" in said
    text = decision.text_table()
    assert text.loc["70B on 1.4T", "D (tokens)"] == "1.40T"
    assert text.loc["7B on 2T", "P(best)"] == ""
    assert text.loc["70B on 1.4T", "P(best)"].endswith(" %")
    assert "<table" in decision._repr_html_()
    worth = decision.evpi
    assert worth["amount"] == pytest.approx(worth["share"] * 5.76e23)
    assert worth["money"] == pytest.approx(CLUSTER.money(worth["amount"]))


def test_draws_without_an_optimum_are_counted(fit):
    curve = drawn()
    values = curve.parameters["B"].to_numpy().copy()
    values[0, :20] = 1e-300  # tokens have no effect: larger is always better
    broken = Curve(
        law=curve.law,
        parameters={**curve.parameters, "B": xr.DataArray(values, dims=("chain", "draw"))},
    )
    own = FunctionCost(function=lambda n, d: 6 * n * d)
    regrets = Regrets(broken, own, 1e22, {})
    assert np.isnan(regrets.log_n_opt).sum() == 20
    found = regrets.regret(regrets.log_loss(np.log([1e9]), np.log([1e22 / 6e9])))
    assert np.isnan(found[0, :20]).all() and np.isfinite(found[1]).all()


def test_constants_have_no_regret():
    found = bs.decide(bs.published("besiroglu2024"), budget="5.76e23")
    assert found.plan["regret"] < 1e-6
    assert found.plan["n_params"] == pytest.approx(7.22487e10, rel=2e-3)
    fresh = bs.decide(
        bs.published("muennighoff2023"), budget=1e22, fixed={"n_unique_tokens": "25B"}
    )
    assert fresh.plan["n_tokens"] / 25e9 == pytest.approx(9.488, rel=0.01)


def test_failed_fits_lead_with_it(failed_fit):
    assert str(bs.decide(failed_fit, budget=1e22)).startswith("THIS FIT FAILED ITS GATES")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"budget": [1e22, 1e23]}, "found 2 budgets, expected one"),
        ({"budget": "much"}, "budget: found 'much'"),
        ({"budget": 1e22, "plans": {"x": "7B"}}, "plans, 'x': found '7B'"),
        ({"budget": 1e22, "plans": {"x": ("7B", "far")}}, "'x', n_tokens: found 'far'"),
        ({"budget": 1e22, "plans": {"recommended": (1, 2)}}, "is reserved for the chosen plan"),
        (
            {"budget": 1e22, "plans": {"x": (7, "2T")}},
            "found 7.00, expected at least 1,000",
        ),
        ({"budget": 1e22, "serving": "lots"}, "serving n_tokens: found 'lots'"),
        ({"budget": 1e22, "fixed": {"n_experts": 3}}, "expected nothing"),
    ],
)
def test_bad_questions_are_refused(fit, asked, words):
    with pytest.raises(AmountError, match=words):
        bs.decide(fit, **asked)


def test_bad_probabilities_are_refused(fit):
    for name in ("prob", "quantile"):
        with pytest.raises(ValueError, match=f"{name}: found 1.5"):
            bs.decide(fit, budget=1e22, **{name: 1.5})


def test_plans_may_be_written_out():
    assert candidates_of({"x": {"n_params": "1B", "n_tokens": 2e10}}) == {"x": (1e9, 2e10)}


@pytest.mark.parametrize("paper", ["hoffmann2022", "besiroglu2024"])
def test_the_optimum_itself_has_no_regret(paper):
    row = bs.decide(bs.published(paper), budget="1e22").table().loc["recommended"]
    assert row["regret"] == 0.0 and row["wasted"] == 0.0
