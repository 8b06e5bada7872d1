"""Inverse problems for a real posterior, and targets without a solution."""

import numpy as np
import pytest
import xarray as xr

import bayescale as bs
from bayescale.costs import six_nd
from bayescale.costs.budget import Spending
from bayescale.decision.regret import Regrets
from bayescale.errors import AmountError, BayescaleWarning, UnsuitableLawError
from bayescale.laws.optimum import Split
from bayescale.model.discrepancy import CELLS
from bayescale.posterior.curve import Curve
from bayescale.posterior.point import PointPosterior


def test_requirements_are_computed_per_draw(fit):
    found = bs.requirements(fit, loss=[2.3, 1.97])
    assert dict(found.draws.sizes) == {"chain": 4, "draw": 1000, "target": 2}
    # At the budget that a draw requires, its optimum has the target loss.
    reached = found.draws.isel(target=0)
    p = fit.parameters
    log_n = fit.law.optimal_log_params(p, np.log(reached["budget"] / 6))
    np.testing.assert_allclose(np.exp(log_n), reached["n_params"], rtol=1e-5)
    np.testing.assert_allclose(reached["loss"], 2.3, rtol=1e-9)
    table = found.table(prob=0.5)
    assert (table["budget_lower"] < table["budget"]).all()
    assert "loss 1.970: far beyond the data" in found.caveats[0]
    assert "loss 2.300" in found.text_table().index
    assert str(found).startswith("The least cost (6ND) that reaches a loss.")
    assert "chinchilla law" in str(found).splitlines()[-1]


def test_draws_whose_floor_is_above_the_target_are_counted(fit):
    floor = float(fit.posterior["E"].median())
    found = bs.requirements(fit, loss=floor)
    share = float((fit.posterior["E"] >= floor).mean())
    # Also draws whose floor is so close that the required budget is unbounded.
    assert share <= found.unreachable.iloc[0] < share + 0.05
    assert "are left out" in found.caveats[0]
    never = bs.requirements(fit, loss=1.0)
    assert never.unreachable.to_list() == [1.0]
    assert never.text_table().iloc[0, 0] == "out of reach"


def test_best_tokens_and_best_size_are_inverse(fit):
    tokens = bs.requirements(fit, n_params="7B").draws.isel(target=0)
    p = fit.parameters
    balance = (p["alpha"] * p["A"] * 7e9 ** -p["alpha"]) / (
        p["beta"] * p["B"] * tokens["n_tokens"] ** -p["beta"]
    )
    np.testing.assert_allclose(balance, 1.0, rtol=1e-6)
    size = bs.requirements(fit, n_tokens=float(tokens["n_tokens"].median())).draws
    assert float(size["n_params"].median()) == pytest.approx(7e9, rel=0.02)


def test_a_size_or_tokens_for_a_loss(fit):
    found = bs.requirements(fit, loss=[2.2, 2.1], n_params="7B")
    assert found.draws["target"].to_numpy().tolist() == [
        "loss 2.200, 7.00B parameters",
        "loss 2.100, 7.00B parameters",
    ]
    again = fit.law.evaluate(n_params=7e9, n_tokens=found.draws["n_tokens"], **fit.parameters)
    np.testing.assert_allclose(again.isel(target=1), 2.1, rtol=1e-9)
    size = bs.requirements(fit, loss=2.1, n_tokens="1T").draws["n_params"]
    again = fit.law.evaluate(n_params=size, n_tokens=1e12, **fit.parameters)
    np.testing.assert_allclose(again, 2.1, rtol=1e-9)


def test_limits_on_what_reaches_a_loss():
    constants = bs.published("besiroglu2024")
    free = bs.requirements(constants, loss=2.0).draws.squeeze()
    assert float(free["n_params"]) > 4e10
    small = bs.requirements(constants, loss=2.0, limits=bs.Limits(max_params="30B")).draws.squeeze()
    assert float(small["n_params"]) == pytest.approx(3e10, rel=1e-6)
    assert float(small["budget"]) > float(free["budget"])
    few = bs.requirements(constants, loss=2.0, limits=bs.Limits(max_tokens="500B")).draws.squeeze()
    assert float(few["n_tokens"]) == pytest.approx(5e11, rel=1e-5)
    neither = bs.Limits(max_params="30B", max_tokens="500B")
    assert bs.requirements(constants, loss=2.0, limits=neither).unreachable.to_list() == [1.0]


def test_failed_fits_are_flagged(failed_fit):
    found = bs.requirements(failed_fit, n_params="7B")
    assert found.headline.startswith("THIS FIT FAILED ITS GATES")
    with pytest.warns(BayescaleWarning, match="FAILED"):
        found.table()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "found nothing, expected a loss"),
        ({"n_params": "7B", "n_tokens": "1T"}, "leave nothing to solve for"),
        ({"loss": 2, "n_params": "7B", "n_tokens": "1T"}, "found loss, n_params, n_tokens"),
        ({"loss": [2, 2.1], "n_params": ["7B"] * 3}, "found 2 of loss and 3 of n_params"),
        ({"loss": "low"}, "loss: found 'low'"),
        (
            {"loss": [2.0, 1e9]},
            r"found 1e\+09, which a model of one parameter on one token reaches",
        ),
    ],
)
def test_invalid_questions_are_refused(asked, words):
    with pytest.raises(AmountError, match=words):
        bs.requirements(bs.published("besiroglu2024"), **asked)
    with pytest.raises(TypeError, match="ask it with bayescale.frontier"):
        bs.requirements(bs.published("kaplan2020-frontier"), loss=2.0)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_steps": 1000}, "max_steps: found no batch_tokens"),
        ({"max_days": 30}, "max_days: found no cluster"),
        ({"min_params": "7B", "max_params": "1B"}, "at least 7.00B and at most 1.00B params"),
        ({"max_tokens": "many"}, "max_tokens: found 'many'"),
    ],
)
def test_contradictory_limits_are_refused(limits, words):
    with pytest.raises(AmountError, match=words):
        bs.Limits(**limits)


def test_budgets_that_pay_for_no_plan_within_the_limits():
    limits = bs.Limits(min_params="10B", min_tokens="1T")
    with pytest.raises(AmountError, match="1e20 FLOP of 6ND does not pay for any plan"):
        bs.allocate(bs.published("besiroglu2024"), budget=[1e24, 1e20], limits=limits)


def test_laws_of_more_inputs_need_their_values():
    law = bs.published("muennighoff2023")
    with pytest.raises(AmountError, match="also takes n_unique_tokens"):
        bs.allocate(law, budget=1e22)
    with pytest.raises(AmountError, match="found n_things, expected n_unique_tokens"):
        bs.allocate(law, budget=1e22, fixed={"n_unique_tokens": "1T", "n_things": 3})
    with pytest.raises(AmountError, match="expected nothing"):
        bs.allocate(bs.published("besiroglu2024"), budget=1e22, fixed={"n_experts": 8})
    with pytest.raises(TypeError, match="only under a law of the loss in n_params and n_tokens"):
        bs.allocate(bs.published("kaplan2020-ns-min"), budget=1e22)


@pytest.fixture(scope="module")
def departing(fit):
    """Return the curve of a posterior with a small discrepancy, or none."""

    def make(scale):
        discrepancy = bs.load_model("coupled-discrepancy").discrepancy
        rng = np.random.default_rng(2)
        parameters = {n: x.isel(draw=slice(25)) for n, x in fit.curve.parameters.items()}
        steps = rng.standard_normal((4, 25, len(discrepancy.axes), 2 * CELLS))
        slopes = xr.DataArray(scale * steps, dims=("chain", "draw", "axis", "cell"))
        return Curve(
            law=fit.law,
            parameters=parameters,
            discrepancy=discrepancy,
            reference=fit.scale.reference,
            slopes=slopes,
        )

    return make


@pytest.mark.parametrize("scale", [0.0, 0.0005])
def test_requirements_include_the_discrepancy(departing, scale, monkeypatch):
    curve = departing(scale)
    monkeypatch.setattr(PointPosterior, "curve", curve)
    source = bs.published("besiroglu2024")  # in place of a fit with that curve
    split, spending = Split.of(curve.law), Spending(six_nd, np.array([1e22]))
    log_n = curve.optimum(spending)
    log_d = np.log(1e22 / 6) - log_n
    best = curve.loss(split, log_n, log_d)
    # No other size on the budget does better.
    for step in (-0.3, -0.05, 0.05, 0.3):
        assert bool((curve.loss(split, log_n + step, log_d - step) > best).all())
    # Under each draw, its optimal loss requires the budget.
    found = bs.requirements(source, loss=float(best[1, 3, 0])).draws
    assert float(found["budget"][1, 3, 0]) == pytest.approx(1e22, rel=2e-3)
    assert float(found["loss"][1, 3, 0]) == pytest.approx(float(best[1, 3, 0]), rel=1e-9)
    tokens = bs.requirements(source, n_params=float(np.exp(log_n[1, 3, 0]))).draws["n_tokens"]
    assert float(tokens[1, 3, 0]) == pytest.approx(float(np.exp(log_d[1, 3, 0])), rel=2e-2)
    if scale == 0.0:
        np.testing.assert_allclose(
            log_n.squeeze(),
            curve.law.optimal_log_params(curve.parameters, np.log(1e22 / 6)),
            atol=1e-3,
        )
    # Pointwise and labelled evaluation agree.
    flat = curve.pointwise(split)(
        log_n.to_numpy().ravel(), log_d.to_numpy().ravel(), np.arange(100)
    )
    np.testing.assert_allclose(flat, best.transpose("chain", "draw", "budget").to_numpy().ravel())


def test_regret_includes_the_discrepancy(departing):
    regrets = Regrets(departing(0.0005), six_nd, 1e22, {})
    at_best = regrets.log_n_opt[..., None]
    found = regrets.regret(regrets.log_loss(at_best, np.log(1e22 / 6) - at_best))
    assert float(np.max(found)) < 1e-6
    off = at_best + np.log(2.0)
    assert float(np.min(regrets.regret(regrets.log_loss(off, np.log(1e22 / 6) - off)))) > 0.005


def test_the_input_of_a_law_of_one_variable_that_reaches_a_loss():
    toy = bs.published("henighan2020-image-8x8-n")
    p = toy.parameters
    found = bs.requirements(toy, loss=p["E"] * np.array([1.1, 1.02, 0.9]))
    assert found.column == "n_params"
    exact = p["x_c"] * (p["E"] * np.array([0.1, 0.02])) ** (-1.0 / p["alpha"])
    np.testing.assert_allclose(found.draws["n_params"].squeeze()[:2], exact, rtol=1e-9)
    assert found.unreachable.to_list() == [0.0, 0.0, 1.0]
    assert found.text_table().iloc[2, 0] == "out of reach"
    with pytest.raises(UnsuitableLawError, match="the loss to reach alone"):
        bs.requirements(toy, n_params="7B")
    with pytest.raises(AmountError, match="found no target"):
        bs.requirements(toy)


def test_one_input_where_the_others_are_fixed():
    found = bs.requirements(bs.published("hernandez2021-text"), loss=1e9, fixed={"n_params": "1B"})
    amount = found.draws["n_finetuning_tokens"]
    again = bs.predict(
        bs.published("hernandez2021-text"),
        inputs={"n_params": 1e9, "n_finetuning_tokens": float(amount.squeeze())},
    )
    np.testing.assert_allclose(again[found.source.response], 1e9, rtol=1e-9)
    assert "at 1.00B parameters" in found.sentences[0]
    with pytest.raises(UnsuitableLawError, match="expected all but one"):
        bs.requirements(bs.published("hernandez2021-text"), loss=1e9)
