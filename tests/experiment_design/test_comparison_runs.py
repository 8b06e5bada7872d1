"""The runs that decide between recipes: remaining variance and probability of a wrong choice."""

from dataclasses import replace

import numpy as np
import pytest
from contract.fits import few_draws, fit_of_card

import bayescale as bs
from bayescale.errors import AmountError, UnknownNameError, UnsuitableLawError

# Fits of few draws, which are quick, fail the gate on effective sample size.
pytestmark = pytest.mark.filterwarnings("ignore:THIS FIT FAILED ITS GATES")


@pytest.fixture(scope="module")
def fit() -> bs.Fit:
    return few_draws(fit_of_card("chinchilla-recipes"), 100)


@pytest.fixture(scope="module")
def found(fit) -> bs.Speedup:
    return bs.speedup(fit, baseline="c4", budget=["1e20", "1e23"])


@pytest.mark.slow
def test_runs_of_both_recipes_are_chosen_within_the_budget(found):
    advice = bs.comparison_runs(found, budget="1e21", recipe="pile", n_runs=4)
    assert set(advice.runs["recipe"]) == {"c4", "pile"}
    assert 0 < len(advice.runs) <= 4 and advice.compute <= 1e21 * 1.001
    left = advice.runs["after"].to_numpy()
    assert (np.diff(left) <= 1e-12).all() and 0 < left[-1] < 1
    assert 0 <= advice.after <= advice.before + 3 * advice.mcse
    assert advice.budget == 1e23
    p = float(found.p_better.loc[1e23, "pile"])
    assert advice.before == pytest.approx(min(p, 1 - p), abs=0.1)
    assert "is misjudged with probability" in str(advice)
    (certain,) = replace(advice, before=0.0).sentences
    assert certain.endswith("is the same in all draws, and no run is needed to decide it.")
    assert bs.comparison_runs(found, budget="1e21", recipe="pile", n_runs=4).runs.equals(
        advice.runs
    )


def test_the_default_recipe_is_the_most_uncertain_one(found):
    advice = bs.comparison_runs(found, budget="1e20", at="1e20", n_runs=1)
    doubt = (found.p_better.loc[1e20] - 0.5).abs()
    assert advice.recipe == doubt.idxmin()
    assert advice.budget == 1e20


def test_one_run_leaves_the_variance_not_explained_by_correlation(fit, found):
    """For one candidate the remaining variance is 1 - r^2, over the draws for choosing."""
    plan = ("1B", "20B")
    advice = bs.comparison_runs(found, budget="1e22", recipe="pile", candidates=[plan], n_runs=1)
    name = advice.runs["recipe"].item()
    run = bs.predict(fit, n_params="1B", n_tokens="20B", groups={"family": name})["loss_run"]
    quantity = np.log(found.draws.sel(recipe="pile", budget=1e23)).to_numpy().ravel()[::2]
    shown = np.log(run.to_numpy().ravel())[::2]
    left = 1.0 - np.corrcoef(quantity, shown)[0, 1] ** 2
    assert advice.runs["after"].item() == pytest.approx(left, abs=0.15)


def test_invalid_questions_are_refused(found):
    papers = {name: bs.published(name) for name in ("hoffmann2022", "besiroglu2024")}
    apart = bs.speedup(papers, baseline="hoffmann2022", budget="1e22")
    with pytest.raises(UnsuitableLawError, match="separate fits"):
        bs.comparison_runs(apart, budget="1e20")
    with pytest.raises(UnknownNameError, match="did you mean 'pile'|expected one of pile, web"):
        bs.comparison_runs(found, budget="1e20", recipe="piles")
    with pytest.raises(AmountError, match="expected a budget of the comparison"):
        bs.comparison_runs(found, budget="1e20", at="1e21")
    with pytest.raises(AmountError, match="Give cheaper ones"):
        bs.comparison_runs(found, budget="1e10", candidates=[("1B", "20B")])
    with pytest.raises(ValueError, match="n_runs"):
        bs.comparison_runs(found, budget="1e20", n_runs=0)
