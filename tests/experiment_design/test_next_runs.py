"""The next runs: the choice, and its expected reduction against closed forms."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.costs import Cluster, ShapedCost, ShapeFamily, six_nd
from bayescale.errors import AmountError, BayescaleWarning
from bayescale.experiment_design.candidates import pool_of
from bayescale.experiment_design.preposterior import Learning, Outcomes, choose_batch

CLUSTER = Cluster(n_gpus=512, peak="H100-SXM", utilisation=0.4, price=2)


@pytest.fixture(scope="module")
def advice(fit):
    return bs.next_runs(fit, target="5.76e23", budget="1e22", n_runs=4, cluster=CLUSTER)


def gaussian(covariance, with_target, variance):
    """Return covariances of jointly Normal outcomes, with draws of the given variance."""
    target = np.sqrt(variance) * np.array([-1.0, 1.0]) / np.sqrt(2)
    return Learning(target, np.array(covariance), np.array(with_target), np.zeros(len(covariance)))


def test_explained_variance_is_that_of_regression():
    rng = np.random.default_rng(3)
    hidden = rng.standard_normal((3, 3))
    covariance = hidden @ hidden.T + 0.1 * np.eye(3)
    learning = gaussian(covariance, [0.5, -0.2, 0.3], 2.0)
    assert learning.variance == pytest.approx(2.0)
    for batch in ([0], [1, 2], [0, 1, 2]):
        c, k = learning.with_target[batch], covariance[np.ix_(batch, batch)]
        assert learning.explained(batch) == pytest.approx(c @ np.linalg.inv(k) @ c)
    assert learning.explained([]) == 0.0


def test_redundant_runs_are_not_chosen_together():
    # The first two are the best but redundant; the third is less informative, on another direction.
    covariance = [[1.01, 1.0, 0.0], [1.0, 1.01, 0.0], [0.0, 0.0, 1.01]]
    learning = gaussian(covariance, [0.8, 0.79, 0.5], 1.0)
    assert choose_batch(learning, np.ones(3), 2.0, 2) == [0, 2]
    # Unless the third costs too much.
    assert choose_batch(learning, np.array([1.0, 1.0, 1.5]), 2.0, 2) == [0, 1]
    assert choose_batch(learning, np.ones(3), 0.5, 2) == []
    assert choose_batch(learning, np.ones(3), 9.0, 1) == [0]


def test_exchange_improves_the_greedy_batch():
    # The small run is best per cost, but then the large one is not affordable.
    learning = gaussian(np.eye(2), [0.3, 0.9], 1.0)
    assert choose_batch(learning, np.array([0.1, 1.0]), 1.0, 2) == [1]


def test_the_best_batch_of_a_small_pool_is_found(fit):
    from itertools import combinations

    pool = pool_of(fit, None, 1e22, six_nd, {}).sample(14, random_state=1).reset_index(drop=True)
    outcomes = Outcomes.of(
        fit, {name: pool[name].to_numpy() for name in ("n_params", "n_tokens")}, seed=4
    )
    quantity = np.log(bs.allocate(fit, budget="5.76e23").draws["n_opt"]).to_numpy().ravel()
    learning = Learning.of(outcomes, quantity, np.arange(4000))
    costs = pool["compute"].to_numpy()
    found = choose_batch(learning, costs, 1e22, 3)
    everything = [
        learning.explained(list(batch))
        for batch in combinations(range(14), 3)
        if costs[list(batch)].sum() <= 1e22 * (1 + 1e-9)
    ]
    assert learning.explained(found) >= 0.98 * max(everything)


def test_advice(advice, fit):
    runs = advice.runs
    assert list(runs.columns) == ["n_params", "n_tokens", "compute", "after"]
    assert 1 <= len(runs) <= 4 and advice.compute <= 1e22 * (1 + 1e-9)
    np.testing.assert_allclose(6 * runs["n_params"] * runs["n_tokens"], runs["compute"])
    assert (np.diff(runs["after"], prepend=1.0) < 0).all(), "each run teaches something"
    assert 0 < advice.after < advice.before
    assert 0 < advice.mcse < 0.3 * advice.reduction
    decided = bs.decide(fit, budget="5.76e23").plan["regret"]
    assert advice.before == pytest.approx(decided, rel=0.1), "half of the draws judge"
    assert advice.saving == pytest.approx(advice.reduction * 5.76e23)
    assert advice.per_flop == pytest.approx(advice.reduction / advice.compute)
    # The runs have sizes and tokens within the range of the grid.
    ratio = runs["n_tokens"] / runs["n_params"]
    made = fit.inputs["n_tokens"] / fit.inputs["n_params"]
    assert ratio.min() >= made.min() and ratio.max() <= made.max()


@pytest.mark.slow
def test_the_monte_carlo_error_is_that_of_other_seeds(fit, advice):
    kinds = {"target": "5.76e23"}
    runs = advice.runs[["n_params", "n_tokens"]]
    found = [bs.value_of_runs(fit, runs, **kinds, seed=seed) for seed in range(6)]
    spread = np.std([f.reduction for f in found], ddof=1)
    # Seeds share the draws, whose error is part of the stated one.
    assert spread < 1.5 * np.mean([f.mcse for f in found])
    assert found[0].reduction == pytest.approx(advice.reduction, abs=5 * advice.mcse)


def test_no_random_batch_of_the_same_cost_has_a_larger_expected_reduction(fit, advice):
    rng = np.random.default_rng(0)
    pool = pool_of(fit, None, 1e22, six_nd, {})
    chosen = bs.value_of_runs(
        fit, advice.runs[["n_params", "n_tokens"]], target="5.76e23", objective="size"
    )
    for _ in range(5):
        batch, left = [], 1e22
        for i in rng.permutation(len(pool)):
            if pool["compute"][i] <= left and len(batch) < 4:
                batch.append(i)
                left -= pool["compute"][i]
        other = bs.value_of_runs(
            fit, pool.loc[batch, ["n_params", "n_tokens"]], target="5.76e23", objective="size"
        )
        assert chosen.reduction > other.reduction - 3 * other.mcse


def test_more_runs_are_worth_more(fit):
    reductions = [
        bs.value_of_runs(fit, [("2B", "250B")] * n, target="5.76e23").reduction for n in (1, 3, 9)
    ]
    assert reductions[0] < reductions[1] < reductions[2]
    # A small run among hundreds of similar ones is hardly informative.
    small = bs.value_of_runs(fit, [("200M", "4B")], target="5.76e23")
    assert small.reduction < 0.2 * reductions[0]


def test_candidates_of_ones_own(fit):
    given = [("1B", "20B"), ("10B", "20B"), ("1B", "200B"), ("100B", "20T")]
    found = bs.next_runs(fit, target="5.76e23", budget="3e21", candidates=given, n_runs=2)
    assert set(found.runs["n_params"]) <= {1e9, 1e10}
    table = pd.DataFrame({"n_params": ["1B"], "n_tokens": ["200B"]})
    only = bs.next_runs(fit, target="5.76e23", budget="3e21", candidates=table)
    assert only.runs["n_tokens"].to_list() == [2e11]
    again = bs.next_runs(fit, target="5.76e23", budget="3e21", candidates=table, repeats=5)
    assert again.runs["n_tokens"].to_list() == [2e11, 2e11], "as often as the budget allows"
    assert again.after < only.after


@pytest.mark.parametrize("objective", ["size", "loss"])
def test_other_objectives(fit, objective):
    target = "5.76e23" if objective == "size" else ("70B", "1.4T")
    found = bs.next_runs(fit, target=target, budget="1e22", objective=objective, n_runs=3)
    if objective == "size":
        quantity = np.log(bs.allocate(fit, budget="5.76e23").draws["n_opt"])
    else:
        quantity = np.log(bs.predict(fit, n_params="70B", n_tokens="1.4T")["loss"])
    assert found.before == pytest.approx(float(quantity.var()), rel=0.1)
    assert 0 < found.after < found.before and found.saving is None
    # The reductions estimated from the two halves of the draws agree.
    assert found.after / found.before == pytest.approx(found.runs["after"].iloc[-1], abs=0.05)


@pytest.mark.slow
def test_costs_of_runs_are_those_of_training(fit):
    shaped = ShapedCost(family=ShapeFamily(aspect=100, vocab_size=32000, n_ctx=2048))
    served = bs.costs.Lifetime(bs.costs.Serving(n_tokens="5T"), train=shaped)
    found = bs.next_runs(fit, target=1e24, budget="1e22", cost=served, n_runs=2)
    np.testing.assert_allclose(
        shaped(found.runs["n_params"], found.runs["n_tokens"]), found.runs["compute"]
    )


def test_words_for_a_manager(advice):
    said = str(advice)
    assert "expected to reduce the expected regret at 5.76e23 FLOP from" in said
    assert "with a Monte Carlo standard error of" in said
    assert "on 512 GPUs at 40 %, $" in said
    assert "At that budget the reduction saves" in said
    assert "not worth running" in said and advice.saving < advice.compute
    cheap = replace(advice, runs=advice.runs.assign(compute=0.1 * advice.saving / len(advice.runs)))
    assert cheap.sentences[-1].endswith(", 10 times the cost of the runs.")
    text = advice.text_table()
    assert list(text.columns) == ["N", "D (tokens)", "compute", "variance left", "days", "cost"]
    assert "<table" in advice._repr_html_()


def test_failed_fits_lead_with_it(failed_fit):
    found = bs.next_runs(failed_fit, target=1e23, budget=1e21, n_runs=1)
    assert str(found).startswith("THIS FIT FAILED ITS GATES")


@pytest.mark.parametrize(
    ("asked", "words", "error"),
    [
        ({"budget": "x"}, "budget: found 'x'", AmountError),
        ({"target": [1e22, 1e23, 1e24]}, "found 3 budgets", AmountError),
        ({"candidates": "many"}, "candidates: found 'many'", AmountError),
        ({"candidates": [("1B",)]}, "expected pairs of size and tokens", AmountError),
        ({"candidates": {"n_params": ["1B"]}}, "expected n_params, n_tokens", AmountError),
        (
            {"candidates": {"n_params": ["1B"] * 2, "n_tokens": ["1B"] * 3}},
            "found 2 of n_params and 3 of n_tokens",
            AmountError,
        ),
        ({"candidates": [("1T", "1T")]}, "the cheapest of 1 takes 6e24 FLOP", AmountError),
        ({"budget": 1e10}, "or candidates of your own", AmountError),
        ({"objective": "luck"}, "objective: found 'luck'", ValueError),
        ({"objective": "loss"}, "expected regret or size for a budget", ValueError),
        ({"n_runs": 0}, "n_runs: found 0", ValueError),
        ({"repeats": 1.5}, "repeats: found 1.5", ValueError),
    ],
)
def test_bad_questions_are_refused(fit, asked, words, error):
    with pytest.raises(error, match=words):
        bs.next_runs(fit, **{"target": "5.76e23", "budget": "1e21", **asked})


@pytest.mark.slow
def test_runs_for_laws_of_other_inputs():
    """Laws of repeated data with unique tokens, and of steps at a batch size without compute."""
    rng = np.random.default_rng(0)

    def fitted(law, constants, columns, rows):
        table = pd.DataFrame(rows, columns=columns)
        inputs = {name: table[name].to_numpy() for name in columns}
        loss = bs.law(law).evaluate(**inputs, **bs.published(constants).parameters)
        table["loss"] = loss * np.exp(0.005 * rng.standard_normal(len(table)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayescaleWarning)
            return bs.fit(table, law, draws=500, seed=2, progress=False)

    rows = [
        (size, tokens, min(unique, tokens))
        for size in np.geomspace(1e8, 5e9, 6)
        for tokens in (2e9, 1e10, 5e10)
        for unique in (1e9, 1e10)
    ]
    columns = ["n_params", "n_tokens", "n_unique_tokens"]
    repeated = fitted("data-constrained", "muennighoff2023", columns, rows)
    kinds = {"target": 1e22, "fixed": {"n_unique_tokens": "25B"}}
    found = bs.next_runs(repeated, budget=1e21, n_runs=2, **kinds)
    assert set(found.runs["n_unique_tokens"]) == {2.5e10} and found.after < found.before
    own = {"n_params": ["1B", "3B"], "n_tokens": ["100B", "30B"], "n_unique_tokens": "10B"}
    found = bs.value_of_runs(repeated, own, **kinds)
    assert set(found.runs["n_unique_tokens"]) == {1e10}
    plan = bs.decide(repeated, budget=1e22, fixed=kinds["fixed"]).plan
    assert plan["n_params"] == pytest.approx(7.03e9, rel=0.1)

    rows = [
        (size, steps, batch)
        for size in np.geomspace(1e6, 1e9, 5)
        for steps in (1e4, 5e4, 2.5e5)
        for batch in (2**17, 2**19, 2**21)
    ]
    stepped = fitted("kaplan-ns", "kaplan2020-ns", ["n_params", "n_steps", "batch_tokens"], rows)
    kinds = {"target": 1e21, "fixed": {"batch_tokens": 2**19}}
    found = bs.next_runs(stepped, budget=1e19, n_runs=2, **kinds)
    spent = 6 * found.runs["n_params"] * found.runs["n_steps"] * found.runs["batch_tokens"]
    np.testing.assert_allclose(spent, found.runs["compute"])
    assert bs.frontier(stepped, compute_min=1e21)["n_params"].sizes["draw"] == 500
    plan = bs.allocate(stepped, budget=1e21, fixed=kinds["fixed"])
    assert plan.extrapolation["compute"].iloc[0] == pytest.approx(1e21 / (6e9 * 2.5e5 * 2**21))


def test_no_runs_have_no_value(fit):
    with pytest.raises(AmountError, match="runs: found none"):
        bs.value_of_runs(fit, [], target="5.76e23")
