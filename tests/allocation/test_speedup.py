"""The compute-equivalent speedup, against closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from contract.fits import few_draws, fit_of_card, laplace_posterior

import bayescale as bs
from bayescale.laws.published import PUBLISHED

BASE = PUBLISHED["besiroglu2024"]
BUDGETS = [1e20, 5e22, 1e25]

# Fits of few draws, which are quick, fail the gate on effective sample size.
pytestmark = pytest.mark.filterwarnings("ignore:THIS FIT FAILED ITS GATES")


def efficient(in_params: float, in_tokens: float, floor: float = 1.0) -> bs.Constants:
    """Return the base with parameters and tokens multiplied by factors of efficiency."""
    p = dict(BASE.parameters)
    p["A"] *= in_params ** -p["alpha"]
    p["B"] *= in_tokens ** -p["beta"]
    p["E"] *= floor
    return replace(BASE, name="other", parameters=p)


def compared(other: bs.Constants, budget=BUDGETS, **options) -> bs.Speedup:
    return bs.speedup({"base": BASE, "other": other}, baseline="base", budget=budget, **options)


@pytest.fixture(scope="module")
def pooled() -> bs.Fit:
    return few_draws(fit_of_card("chinchilla-recipes"), 50)


@pytest.mark.parametrize(("in_params", "in_tokens"), [(1.0, 1.0), (1.7, 1.0), (1.3, 1.5), (0.5, 1)])
def test_efficiency_in_parameters_and_tokens_multiplies_to_the_speedup(in_params, in_tokens):
    found = compared(efficient(in_params, in_tokens))
    assert found.draws.to_numpy().ravel() == pytest.approx(in_params * in_tokens, rel=2e-5)
    table = found.table()
    assert table["budget_needed"].to_numpy() == pytest.approx(
        np.array(BUDGETS) / (in_params * in_tokens), rel=2e-5
    )


def test_it_is_what_requirements_of_the_loss_gives():
    other = PUBLISHED["hoffmann2022"]
    found = compared(other)
    for budget in BUDGETS:
        loss = float(bs.allocate(BASE, budget=budget).draws["loss_opt"].squeeze())
        needed = float(bs.requirements(other, loss=loss).draws["budget"].squeeze())
        assert float(found.draws.sel(budget=budget).squeeze()) == pytest.approx(
            budget / needed, rel=1e-4
        )


def test_the_other_way_round_it_is_the_inverse():
    other = efficient(1.4, 1.2, floor=0.99)
    there = compared(other, 1e22)
    (needed,) = there.table()["budget_needed"]
    back = bs.speedup({"base": BASE, "other": other}, baseline="other", budget=needed)
    assert float((there.draws * back.draws.to_numpy()).squeeze()) == pytest.approx(1.0, rel=1e-5)


def test_a_loss_below_the_floor_of_a_recipe_has_a_speedup_of_zero():
    found = compared(efficient(2.0, 2.0, floor=1.05))
    values = found.draws.squeeze().to_numpy()
    assert values[0] > 1.0 and values[-1] == 0.0
    assert found.unreachable["other"].tolist() == [0.0, 0.0, 1.0]
    assert found.p_better["other"].tolist() == [1.0, 0.0, 0.0]
    assert np.isinf(found.table()["budget_needed"].iloc[-1])
    assert "out of reach" in str(found) and "in 100 % of the draws" in " ".join(found.caveats)


def test_a_speedup_beyond_a_million_counts_as_a_million():
    found = compared(efficient(1e5, 1e5), 1e24)
    assert found.draws.to_numpy().ravel() == pytest.approx(1e6)
    assert found.p_better.to_numpy() == 1.0 and found.undefined.to_numpy() == 0.0
    assert "the speedup of other over base is at least 1,000,000." in found.sentences[0]
    assert found.text_table().iloc[0].tolist() == ["at least 1,000,000", "at most 1e18 FLOP"]


def test_a_speedup_does_not_depend_on_the_other_budgets_asked_for():
    other = efficient(2.0, 2.0, floor=1.05)
    together = compared(other).draws
    alone = [compared(other, budget).draws for budget in BUDGETS]
    assert together.to_numpy().ravel() == pytest.approx(np.ravel(alone), rel=1e-5)
    fine = compared(efficient(1e-4, 1e-4), [1e20, 1e30]).draws.to_numpy().ravel()
    # The recipe needs 1e8 times the compute, above the limit of 1e6, even when 1e30 is requested.
    assert fine.tolist() == [0.0, 0.0]


def test_at_the_least_plan_within_limits_both_recipes_cost_the_same():
    least = bs.Limits(min_params="7B", min_tokens="1T")
    found = compared(efficient(2.0, 2.0), 5e22, limits=least)
    assert float(found.draws.squeeze()) == pytest.approx(5e22 / (6 * 7e9 * 1e12), rel=1e-5)
    # The figure shows only budgets within the limits.
    bs.plots.speedup(compared(efficient(2.0, 2.0), [5e22, 1e24], limits=least))


def test_a_budget_that_limits_leave_unspent_is_refused():
    small = bs.Limits(max_params="1B", max_tokens="1T")
    same = compared(efficient(1.0, 1.0), 5.9e21, limits=small)
    assert float(same.draws.squeeze()) == pytest.approx(1.0, rel=1e-5)
    with pytest.raises(bs.AmountError, match="spend 6e21 FLOP"):
        compared(efficient(2.0, 1.0), 1e24, limits=small)


def test_limits_hold_for_both():
    other = efficient(2.0, 1.0)
    small = bs.Limits(max_params="1B")
    found = compared(other, 1e24, limits=small)
    loss = float(bs.allocate(BASE, budget=1e24, limits=small).draws["loss_opt"].squeeze())
    needed = bs.requirements(other, loss=loss, limits=small).draws["budget"]
    assert float(found.draws.squeeze()) == pytest.approx(1e24 / float(needed.squeeze()), rel=1e-4)


def test_levels_of_one_fit_are_compared_draw_by_draw(pooled):
    found = bs.speedup(pooled, baseline="c4", budget=[1e21, 1e23], recipes=["pile"])
    assert found.is_paired and found.by == "family" and found.recipes == ("pile",)
    fit = pooled.thin(4)
    few = bs.speedup(fit, baseline="c4", budget=1e21, recipes=["pile"])
    losses = bs.allocate(fit.sel(family="c4"), budget=1e21).draws["loss_opt"].to_numpy().ravel()
    needed = bs.requirements(fit.sel(family="pile"), loss=list(losses)).draws["budget"]
    own = np.diagonal(needed.to_numpy().reshape(len(losses), -1))
    assert few.draws.to_numpy().ravel() == pytest.approx(1e21 / own, rel=1e-4)
    # Draws are joint for any subset of recipes.
    both = bs.speedup(pooled, baseline="c4", budget=[1e21, 1e23])
    assert both.draws.sel(recipe="pile").identical(found.draws.sel(recipe="pile"))
    assert f"speedup of pile at {found.text_budget(1e21)}" in found.diagnostics.table.index


def test_probabilities_are_shares_of_draws(pooled):
    found = bs.speedup(pooled, baseline="c4", budget=[1e21, 1e23])
    values = found.draws.to_numpy().reshape(-1, 2, 2)
    assert found.p_better.to_numpy() == pytest.approx((values > 1).mean(axis=0).T)
    best = found.p_best
    assert list(best) == ["c4", "pile", "web"]
    assert best.sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert best["c4"].to_numpy() == pytest.approx((values <= 1).all(axis=1).mean(axis=0))
    table = found.table(0.5)
    row = table.loc[("web", 1e23)]
    assert row["speedup_lower"] == pytest.approx(np.quantile(values[:, 1, 1], 0.25))
    assert row["p_best"] == best.loc[1e23, "web"]
    assert len(found.to_frame()) == 4 and found.to_record()["table"][0]["recipe"] == "pile"
    assert len(found.sentences) == 4


def test_draws_of_separate_fits_are_paired_at_random(pooled):
    """Also a fit with itself: chains of one seed would otherwise be identical."""
    one = pooled.sel(family="c4")
    found = bs.speedup({"a": one, "b": one}, baseline="a", budget=1e23)
    assert not found.is_paired
    logs = np.log(found.draws.to_numpy().ravel())
    assert np.median(logs) == pytest.approx(0.0, abs=4 * logs.std() / np.sqrt(len(logs)))
    assert logs.std() > 0.0
    assert any("separate" in caveat for caveat in found.caveats)


def test_draws_of_an_average_use_their_own_law():
    one = fit_of_card("chinchilla")
    parts = {"one": one, "two": laplace_posterior(one.model, one.runs, seed=2)}
    average = bs.model_average(parts, {"one": 0.3, "two": 0.7}).thin(100)
    loss = float(bs.allocate(BASE, budget=1e22).draws["loss_opt"].squeeze())
    found = bs.speedup({"base": BASE, "average": average}, baseline="base", budget=1e22)
    needed = bs.requirements(average, loss=loss).draws["budget"].to_numpy().ravel()
    ours = np.sort(1e22 / found.draws.to_numpy().ravel())
    assert ours == pytest.approx(np.sort(needed), rel=1e-4)


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"baseline": "c5"}, bs.UnknownNameError, "baseline: found 'c5', expected one of c4, pile"),
        ({"recipes": "pille"}, bs.UnknownNameError, "recipes: found 'pille'"),
        ({"recipes": ["pille"]}, bs.UnknownNameError, "Did you mean 'pile'"),
        ({"recipes": ["c4"]}, ValueError, "found 'c4' alone"),
        ({"by": "optimizer"}, bs.CardError, "found 'optimizer'"),
        ({"budget": "much"}, bs.AmountError, "much"),
    ],
)
def test_incomparable_recipes_are_refused(pooled, asked, error, said):
    with pytest.raises(error, match=said):
        bs.speedup(pooled, **{"baseline": "c4", "budget": 1e22, **asked})


def test_a_fit_of_one_recipe_is_refused(pooled):
    with pytest.raises(bs.CardError, match="found a fit of c4 alone"):
        bs.speedup(pooled.sel(family="c4"), baseline="c4", budget=1e22)


def test_a_fit_without_recipes_is_refused():
    with pytest.raises(bs.CardError, match="chinchilla-recipes"):
        bs.speedup(fit_of_card("chinchilla"), baseline="c4", budget=1e22)
    with pytest.raises(bs.UnsuitableLawError, match="several sources by name"):
        bs.speedup(BASE, baseline="c4", budget=1e22)
    with pytest.raises(bs.UnsuitableLawError, match="found 'gpt', expected a fit"):
        bs.speedup({"base": BASE, "gpt": "gpt"}, baseline="base", budget=1e22)
    with pytest.raises(ValueError, match="source: found nothing, expected two recipes"):
        bs.speedup({}, baseline="base", budget=1e22)
    with pytest.raises(ValueError, match="by: found 'family' with separate fits"):
        compared(BASE, by="family")
