"""Properties of the optimum under every law of size and tokens, and every cost."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.costs import (
    Cluster,
    FunctionCost,
    Lifetime,
    Money,
    ProductCost,
    RecountedCost,
    Serving,
    ShapedCost,
    ShapeFamily,
    pearce2024,
    six_nd,
)
from bayescale.costs.budget import Spending
from bayescale.laws.optimum import Split, search
from bayescale.posterior.point import as_posterior

LAWS = {
    "chinchilla": (bs.published("besiroglu2024"), {}),
    "coupled": (
        bs.Constants(
            name="coupled",
            law="coupled",
            parameters={"E": 0.4, "A": 60.0, "B": 900.0, "alpha": 0.3, "beta": 0.4, "k": 0.6},
            source="arithmetic",
        ),
        {},
    ),
    "kaplan-nd": (bs.published("kaplan2020-nd"), {}),
    "over-training": (bs.published("gadre2024-c4"), {}),
    "data-constrained": (bs.published("muennighoff2023"), {"n_unique_tokens": "25B"}),
    "mixture-of-experts": (bs.published("ludziejewski2025"), {"n_experts": 8}),
    "moe-sparsity": (bs.published("abnar2025"), {"activation_ratio": "10 %"}),
    "moe-granularity": (bs.published("krajewski2024"), {"granularity": 8}),
    "kaplan-ns": (bs.published("kaplan2020-ns"), {"batch_tokens": 2**19}),
}
CLOSED = ("chinchilla", "coupled", "kaplan-nd", "over-training")
_GPUS = Cluster(n_gpus=512, peak="H100-SXM", utilisation=0.4, price=2)
COSTS = {
    "6ND": six_nd,
    "shapes": ShapedCost(family=ShapeFamily(aspect=100, vocab_size=32000, n_ctx=4096)),
    "recounted": RecountedCost(six_nd, pearce2024.non_embedding, "without embeddings"),
    "lifetime": Lifetime(Serving(n_tokens="20B")),
    "money": Money(cluster=_GPUS, serving=Serving(n_tokens="20B")),
    "own": FunctionCost(function=lambda n, d: 6 * n * d + 300 * d * np.sqrt(n)),
}
by_law = pytest.mark.parametrize("law", LAWS)
by_cost = pytest.mark.parametrize("cost", COSTS.values(), ids=list(COSTS))


def budget_of(cost, flop=1e22):
    return _GPUS.money(flop) if cost.unit == "$" else flop


@by_law
@by_cost
def test_no_other_size_on_the_budget_does_better(law, cost):
    source, fixed = LAWS[law]
    budget = budget_of(cost)
    plan = bs.allocate(source, budget=budget, cost=cost, fixed=fixed)
    curve, split = as_posterior(source).curve, Split.of(bs.law(source.law), fixed)
    best = {name: float(plan.draws[name].squeeze()) for name in plan.draws.data_vars}
    assert float(cost(best["n_opt"], best["d_opt"])) == pytest.approx(budget, rel=1e-9)
    spending = Spending(cost, np.array([budget]))
    for step in (-0.7, -0.05, -0.003, 0.003, 0.05, 0.7):
        log_n = np.array([np.log(best["n_opt"]) + step])
        other = float(curve.loss(split, log_n, spending.log_tokens(log_n)).squeeze())
        assert other > best["loss_opt"], step


@by_law
@by_cost
def test_the_envelope(law, cost):
    """Envelope theorem: marginal budget has the same effect in tokens as in both inputs."""
    source, fixed = LAWS[law]
    step = 1e-3
    budgets = budget_of(cost) * np.exp([-step, 0.0, step])
    plan = bs.allocate(source, budget=budgets, cost=cost, fixed=fixed)
    log_loss = np.log(plan.draws["loss_opt"].squeeze().to_numpy())
    along = (log_loss[2] - log_loss[0]) / (2 * step)
    n_opt = plan.draws["n_opt"].squeeze().to_numpy()[1]
    curve, split = as_posterior(source).curve, Split.of(bs.law(source.law), fixed)
    log_d = xr.DataArray(np.log(cost.tokens_for(budgets, n_opt)), dims="budget")
    at_size = np.log(curve.loss(split, np.log(n_opt), log_d).squeeze().to_numpy())
    assert along == pytest.approx((at_size[2] - at_size[0]) / (2 * step), rel=2e-3)


@pytest.mark.parametrize("law", CLOSED)
def test_searches_agree_with_closed_forms(law):
    source, _ = LAWS[law]
    budgets = np.geomspace(1e18, 1e26, 9)
    closed = np.log(bs.allocate(source, budget=budgets).draws["n_opt"])
    found = search(
        Split.of(bs.law(source.law)),
        as_posterior(source).curve.parameters,
        Spending(six_nd, budgets),
    )
    np.testing.assert_allclose(found, closed, atol=2e-6)
    own = FunctionCost(function=lambda n, d: 6 * n * d)
    by_table = np.log(bs.allocate(source, budget=budgets, cost=own).draws["n_opt"])
    np.testing.assert_allclose(by_table, closed, atol=2e-6)


@by_law
@given(exponent=st.floats(19, 25))
@settings(max_examples=15)
def test_size_and_tokens_spend_the_budget(law, exponent):
    source, fixed = LAWS[law]
    draws = bs.allocate(source, budget=10**exponent, fixed=fixed).draws
    product = float((draws["n_opt"] * draws["d_opt"]).squeeze())
    assert product == pytest.approx(10**exponent / 6, rel=1e-12)


@by_cost
def test_units_of_cost_do_not_matter(cost):
    """The same rule in another unit, and budgets in it, give the same plans."""
    source, _ = LAWS["chinchilla"]
    scaled = FunctionCost(function=lambda n, d: 1e-18 * cost(n, d), unit="exa")
    budget = budget_of(cost)
    own = bs.allocate(source, budget=budget, cost=cost).draws["n_opt"]
    other = bs.allocate(source, budget=1e-18 * budget, cost=scaled).draws["n_opt"]
    # For a function, the inverse of the cost is tabulated.
    np.testing.assert_allclose(np.log(other), np.log(own), atol=5e-5)


@pytest.mark.parametrize(
    ("law", "levels"),
    [
        ("chinchilla", "EAB"),
        ("over-training", "Eab"),
        ("data-constrained", "EAB"),
        ("mixture-of-experts", "abc"),
    ],
)
@pytest.mark.parametrize("factor", [1 / np.log(2), 0.29])
def test_units_of_loss_do_not_matter(law, levels, factor):
    """Scale parameters with the unit of the loss; size and tokens do not change."""
    source, fixed = LAWS[law]
    changed = bs.Constants(
        name="changed",
        law=source.law,
        parameters={
            name: value * (factor if name in levels else 1.0)
            for name, value in source.parameters.items()
        },
        source="arithmetic",
    )
    before, after = (
        bs.allocate(s, budget=1e23, fixed=fixed).draws.squeeze() for s in (source, changed)
    )
    assert float(np.log(after["n_opt"] / before["n_opt"])) == pytest.approx(0.0, abs=2e-6)
    assert float(after["loss_opt"]) == pytest.approx(factor * float(before["loss_opt"]), rel=1e-9)


@by_law
@by_cost
def test_the_inverse_questions_lie_on_the_frontier(law, cost):
    source, fixed = LAWS[law]
    budget = budget_of(cost)
    plan = bs.allocate(source, budget=budget, cost=cost, fixed=fixed).draws.squeeze()
    kinds = {"cost": cost, "fixed": fixed}
    cheapest = bs.requirements(source, loss=float(plan["loss_opt"]), **kinds).draws.squeeze()
    assert float(cheapest["budget"]) == pytest.approx(budget, rel=1e-6)
    assert float(np.log(cheapest["n_params"] / plan["n_opt"])) == pytest.approx(0, abs=3e-5)
    tokens = bs.requirements(source, n_params=float(plan["n_opt"]), **kinds).draws.squeeze()
    assert float(np.log(tokens["n_tokens"] / plan["d_opt"])) == pytest.approx(0, abs=3e-5)
    size = bs.requirements(source, n_tokens=float(plan["d_opt"]), **kinds).draws.squeeze()
    assert float(np.log(size["n_params"] / plan["n_opt"])) == pytest.approx(0, abs=3e-5)


def test_limits_are_where_a_search_and_a_closed_form_agree():
    source, _ = LAWS["chinchilla"]
    own = FunctionCost(function=lambda n, d: 6 * n * d)
    kinds = {"budget": np.geomspace(1e19, 1e26, 8)}
    for limits in (
        bs.Limits(max_params="10B"),
        bs.Limits(min_params="10B"),
        bs.Limits(max_tokens="1T"),
        bs.Limits(max_steps=1e5, batch_tokens="4M"),
        bs.Limits(min_tokens="100B", max_params="70B"),
        bs.Limits(max_days=30, cluster=_GPUS),
        bs.Limits(max_params="10B", max_tokens="1T"),
    ):
        reach = {
            "budget": kinds["budget"][3:]
        }  # the smallest budgets afford no plan within some limits
        closed = bs.allocate(source, limits=limits, **reach)
        found = bs.allocate(source, limits=limits, cost=own, **reach)
        np.testing.assert_allclose(
            np.log(found.draws["n_opt"]), np.log(closed.draws["n_opt"]), atol=5e-5
        )
        np.testing.assert_allclose(
            np.log(found.draws["d_opt"]), np.log(closed.draws["d_opt"]), atol=5e-5
        )
        free = bs.allocate(source, **reach)
        moved = abs(np.log(closed.draws["n_opt"] / free.draws["n_opt"])).squeeze() > 1e-9
        moved |= abs(np.log(closed.draws["d_opt"] / free.draws["d_opt"])).squeeze() > 1e-9
        assert (closed.at_limit.to_numpy() == moved.to_numpy()).all(), limits
        worse = (closed.draws["loss_opt"] - free.draws["loss_opt"]).squeeze()
        assert bool((worse[moved] > 0).all()) and bool(moved.any())


def test_draws_without_an_optimum_are_counted_whatever_the_cost():
    """If tokens have no effect, the largest model is best and there is no interior optimum."""
    parameters = {
        "E": xr.DataArray([[1.7, 1.7]], dims=("chain", "draw")),
        "A": xr.DataArray([[400.0, 400.0]], dims=("chain", "draw")),
        "B": xr.DataArray([[1e-300, 400.0]], dims=("chain", "draw")),
        "alpha": xr.DataArray([[0.3, 0.3]], dims=("chain", "draw")),
        "beta": xr.DataArray([[0.3, 0.3]], dims=("chain", "draw")),
    }
    spending = Spending(FunctionCost(function=lambda n, d: 6 * n * d), np.array([1e22]))
    found = search(Split.of(bs.law("chinchilla")), parameters, spending).squeeze()
    assert bool(np.isnan(found[0])) and bool(np.isfinite(found[1]))
    held = Spending(spending.cost, spending.budgets, bs.Limits(max_params="1B"))
    at = search(Split.of(bs.law("chinchilla")), parameters, held)
    assert float(at.squeeze()[0]) == pytest.approx(np.log(1e9))
    assert held.at_limit(at.to_numpy()).squeeze().tolist() == [True, True]


def test_product_costs_take_the_closed_form():
    assert Spending(ProductCost(12.0, "12ND"), np.array([12e20])).log_product == np.log(1e20)
    assert Spending(COSTS["shapes"], np.array([1e21])).log_product is None
