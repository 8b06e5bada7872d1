"""The terms of the page are the arguments of `bs.decide`."""

from dataclasses import replace

import numpy as np
import pytest
from contract.fits import few_draws, fit_of_card

import bayescale as bs
from bayescale.costs import Cluster, Lifetime, Serving, six_nd
from bayescale.errors import AmountError
from bayescale.explore.question import Question, between_floors, budgets_for, floors_of, read_plans

CLUSTER = Cluster(n_gpus=1024, peak="H100-SXM", utilisation=0.4, price=2.0)
TERMS = {
    "budget": ({"budget": 1e22}, {"budget": 1e22}),
    "serving": (
        {"serving_tokens": 1e13},
        {"cost": Lifetime(Serving(n_tokens=1e13), train=six_nd)},
    ),
    "data": ({"max_tokens": 1e11}, {"limits": bs.Limits(max_tokens=1e11)}),
    "plans": ({"plans": "7B,2T; small=3B,1T"}, {"plans": {"7B on 2T": ("7B", "2T"), "small": ("3B", "1T")}}),
    "price": ({"cluster": replace(CLUSTER, price=5.0)}, {"cluster": replace(CLUSTER, price=5.0)}),
    "probability": ({"prob": 0.5}, {"prob": 0.5}),
}  # fmt: skip


@pytest.fixture(scope="module")
def some():
    return few_draws(fit_of_card("chinchilla"))


@pytest.mark.parametrize("term", TERMS)
def test_a_term_gives_the_decision_of_the_library(some, term):
    asked, terms = TERMS[term]
    made = Question(**{"budget": 1e23, "cluster": CLUSTER} | asked).answer(some)
    expected = bs.decide(some, **{"budget": 1e23, "cluster": CLUSTER} | terms)
    assert made.sentences == expected.sentences
    assert made.text_table().equals(expected.text_table())
    assert made.cost.name == expected.cost.name


def test_a_range_of_floors_takes_the_draws_inside(some):
    floors = floors_of(some)
    low, high = np.quantile(floors, [0.2, 0.9])
    inside = between_floors(some, low, high)
    np.testing.assert_array_equal(
        np.sort(floors_of(inside)), np.sort(floors[(low <= floors) & (floors <= high)])
    )
    # Draws are kept whole, with all of their parameters.
    taken = np.flatnonzero((low <= floors) & (floors <= high))
    alpha = some.parameters["alpha"].transpose("chain", "draw").to_numpy().ravel()
    np.testing.assert_array_equal(inside.parameters["alpha"].to_numpy().ravel(), alpha[taken])
    assert between_floors(some, 0.0, 9.0) is some
    made = Question(budget=1e23, cluster=CLUSTER, floor=(low, high)).answer(some)
    assert made.sentences == bs.decide(inside, budget=1e23, cluster=CLUSTER).sentences
    with pytest.raises(AmountError, match=r"floor: found 0 of \d+ draws between 8 and 9"):
        between_floors(some, 8.0, 9.0)


def test_a_law_taken_as_known_has_no_intervals(some):
    made = Question(budget=1e23, cluster=CLUSTER, certain=True).answer(some)
    assert made.source.is_point
    whole = bs.decide(some, budget=1e23)
    assert made.plan["n_params"] == pytest.approx(whole.plan["n_params"], rel=0.1)


def test_few_draws_answer_first(some):
    quick = Question(budget=1e23, cluster=CLUSTER).answer(some, 100)
    assert quick.source.n_draws < some.n_draws
    assert quick.sentences == bs.decide(some.thin(100), budget=1e23, cluster=CLUSTER).sentences


def test_budgets_begin_below_the_runs_and_end_far_beyond(some):
    largest = float(some.runs.compute.max())
    budgets, first = budgets_for(some)
    assert budgets == sorted(budgets) and first in budgets
    assert budgets[0] < largest and budgets[-1] > 1e3 * largest
    assert 10 * largest <= first < 20 * largest
    assert budgets_for(some, 5.76e23)[1] == 5.76e23 and 5.76e23 in budgets_for(some, 5.76e23)[0]


@pytest.mark.parametrize("text", ["7B", "7B,", "7B 2T", "a=7B"])
def test_plans_that_are_none_are_refused(text):
    with pytest.raises(AmountError, match="expected size and tokens such as 7B,2T"):
        read_plans(text)
    assert read_plans(" ; ") == {}


def test_a_law_without_a_floor_has_none_to_state():
    assert len(floors_of(few_draws(fit_of_card("power-law")))) == 0
