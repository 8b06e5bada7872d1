"""The distance of plans from the runs, and plans that no answer should be given for."""

from dataclasses import replace

import numpy as np
import pytest

import bayescale as bs
from bayescale.errors import AmountError
from bayescale.posterior.extrapolation import beyond_runs, describe_extrapolation, farthest


def test_extrapolation_is_counted_in_e_folds(fit):
    largest = {name: values.max() for name, values in fit.inputs.items()}
    smallest = {name: values.min() for name, values in fit.inputs.items()}
    product = fit.inputs["n_params"] * fit.inputs["n_tokens"]
    plans = {
        "n_params": [largest["n_params"] * np.e, largest["n_params"], smallest["n_params"] / 9],
        "n_tokens": [largest["n_tokens"], smallest["n_tokens"], smallest["n_tokens"]],
    }
    found = beyond_runs(fit, plans)
    np.testing.assert_allclose(found["n_params"], [1.0, 0.0, -np.log(9)], atol=1e-12)
    np.testing.assert_allclose(found["n_tokens"], 0.0, atol=1e-12)
    asked = np.log(plans["n_params"][0] * largest["n_tokens"] / product.max())
    assert found["compute"][0] == pytest.approx(asked)
    assert farthest(found)[2] >= np.log(9)
    assert describe_extrapolation(found.iloc[[1]][["n_params"]]) == "Inside the range of the runs."
    assert "beyond the runs, in e-folds: compute 1.9" in describe_extrapolation(found)
    assert "n_params 1.0 (2.7 times)" in describe_extrapolation(found.iloc[[0]])
    assert "; below the runs, in e-folds: compute 3.8" in describe_extrapolation(found)
    assert describe_extrapolation(found.iloc[[2]]).startswith(
        "Extrapolates below the runs, in e-folds: "
    )


def test_every_answer_says_how_far_it_is_from_the_runs(fit):
    far = {
        "allocate": bs.allocate(fit, budget="1e25").headline,
        "decide": bs.decide(fit, budget="1e25").headline,
        "needed": bs.requirements(fit, loss=1.95).headline,
        "next_runs": bs.next_runs(fit, target="1e25", budget="1e21", n_runs=1).headline,
    }
    for verb, headline in far.items():
        assert "Extrapolates beyond the runs, in e-folds: compute" in headline, verb
    assert "Inside the range" in bs.allocate(fit, budget="1e20").headline
    found = bs.predict(fit, n_params=["1B", "70B"], n_tokens=["20B", "1.4T"])
    assert found["beyond"][0] == 0.0
    assert found["beyond"][1] > 3.0


def test_a_size_that_no_model_has_is_cautioned_of(fit, run):
    caution = "Caution: found 7.00 parameters, and no model has fewer than 1,000; write sizes with"
    assert caution in bs.requirements(fit, n_params=7).headline
    assert caution in bs.requirements(bs.published("hoffmann2022"), n_params=7).headline
    out = run("predict", "hoffmann2022", "--n-params", "7", "--n-tokens", "2T")[1]
    assert caution in out
    assert "Caution" not in bs.requirements(fit, n_params="7M").headline


def test_a_budget_without_an_optimum_for_most_draws_is_refused(fit):
    """The few draws that have an optimum do not represent the posterior."""
    posterior = fit.posterior.copy(deep=True)
    draws = np.arange(posterior.sizes["draw"])

    def lost(share: float) -> bs.Fit:
        # With so large an A, fewer than one token is left at the optimal size.
        found = posterior.assign(A=posterior["A"] * np.where(draws < share * len(draws), 1e60, 1.0))
        return replace(fit, _posterior=found.transpose("chain", "draw"))

    for verb in (bs.allocate, bs.decide):
        with pytest.raises(AmountError, match="88 % of the draws have no optimum at 1e21 FLOP"):
            verb(lost(0.88), budget="1e21")
    plan = bs.allocate(lost(0.3), budget="1e21")
    assert float(plan.no_optimum.iloc[0]) == pytest.approx(0.3)
    assert any(caveat.startswith("30 % of the draws have no optimum") for caveat in plan.caveats)
