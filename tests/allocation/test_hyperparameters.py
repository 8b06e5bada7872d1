"""The optimal learning rate and batch size of plans, and the excess loss of other ones."""

import warnings
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from contract.fits import laplace_posterior

import bayescale as bs
from bayescale.errors import BayescaleWarning, UnknownNameError, UnsuitableLawError
from bayescale.laws.constants import Constants, EmpiricalFrontier
from bayescale.laws.hyperparameters import RULES
from bayescale.posterior.point import PointPosterior

LAW = bs.law("learning-rate-batch")
TRUTH = {
    **bs.published("besiroglu2024").parameters,
    **{"lr_0": 40.0, "lr_N": -0.7, "lr_D": 0.2, "batch_0": 0.6, "batch_N": 0.05, "batch_D": 0.55},
    **{"k": 0.15, "s": 0.5, "w": 0.9},
}
POINT = Constants(name="made", law=LAW.name, parameters=TRUTH, source="made for tests")


def test_the_optimum_is_where_the_loss_is_least():
    best = bs.hyperparameters(POINT, n_params="1B", n_tokens="20B").iloc[0]
    assert best["learning_rate"] == pytest.approx(40.0 * 1e9**-0.7 * 2e10**0.2)
    at = {"n_params": 1e9, "n_tokens": 2e10, **TRUTH}
    pair = np.log([best["learning_rate"], best["batch_tokens"]])
    least = LAW.evaluate(learning_rate=np.exp(pair[0]), batch_tokens=np.exp(pair[1]), **at)
    assert least == bs.law("chinchilla").evaluate(
        n_params=1e9, n_tokens=2e10, **bs.published("besiroglu2024").parameters
    )
    rng = np.random.default_rng(1)
    others = np.exp(pair + rng.normal(0.0, 0.1, (200, 2)))
    others = np.concatenate([others, np.exp(pair + rng.normal(0.0, 2.0, (200, 2)))])
    worse = LAW.evaluate(learning_rate=others[:, 0], batch_tokens=others[:, 1], **at)
    assert np.all(worse > least)


def test_the_loss_lost_is_relative_to_the_best_pair():
    best = bs.hyperparameters(POINT, n_params="1B", n_tokens=["20B", "200B"])
    pair = {name: best[name].tolist() for name in ("learning_rate", "batch_tokens")}
    plans = {"n_params": "1B", "n_tokens": ["20B", "200B"]}
    assert bs.loss_lost(POINT, **plans, **pair)["lost"].to_numpy() == pytest.approx([0.0, 0.0])
    pair["learning_rate"] = [2.0 * x for x in pair["learning_rate"]]
    few, many = bs.loss_lost(POINT, **plans, **pair)["lost"]
    # A bad pair wastes tokens: its excess falls with the data term.
    assert few > 1.5 * many > 0.0


def test_pairs_of_a_fit_that_failed_say_so():
    status = SimpleNamespace(ok=False, status="THIS FIT FAILED ITS GATES: R-hat.")
    failed = replace(PointPosterior(POINT), diagnostics=status)
    plan = {"n_params": "1B", "n_tokens": "20B"}
    with pytest.warns(BayescaleWarning, match="FAILED ITS GATES"):
        assert "FAILED" in bs.hyperparameters(failed, **plan).to_string().splitlines()[0]
    with pytest.warns(BayescaleWarning, match="FAILED ITS GATES"):
        lost = bs.loss_lost(failed, **plan, learning_rate=1e-3, batch_tokens="1M")
    assert "FAILED" in lost.to_string().splitlines()[0]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_rule_is_a_power_law(rule):
    first, second = (
        bs.hyperparameters(rule.name, n_params=1e9, n_tokens=d).iloc[0] for d in (1e10, 1e11)
    )
    for name in ("learning_rate", "batch_tokens"):
        powers = getattr(rule, name)[1]
        exponent = powers.get("n_tokens", 0.0) + powers.get("compute", 0.0)
        assert np.log10(second[name] / first[name]) == pytest.approx(exponent)
    assert 1e-4 < first["learning_rate"] < 1e-2 and 5e4 < first["batch_tokens"] < 5e6
    assert rule.name in bs.list_published().index


def test_deepseek_at_1e20_as_the_paper_uses_it():
    """Compare with a quoted value: 9.9e-4 at 1e20 FLOP."""
    found = bs.hyperparameters("deepseek2024", n_params=1e9, n_tokens=1e20 / 6e9).iloc[0]
    assert found["learning_rate"] == pytest.approx(9.9e-4, rel=5e-3)


def test_frontiers_with_a_product_spend_their_budget():
    found = bs.published("deepseek2024-frontier").at(compute=1e20)
    assert found["flop_per_token"] * found["n_tokens"] == pytest.approx(1e20, rel=2e-3)
    found = bs.published("marin2026-moe-frontier").at(compute=1e20)
    assert 6 * found["n_params"] * found["n_tokens"] == pytest.approx(1e20, rel=1e-2)
    found = bs.published("llama3-frontier").at(compute=3.8e25)
    assert found["n_tokens"] == pytest.approx(16.55e12, rel=0.03)


def test_an_optimum_beyond_the_edge_of_the_grid_is_censored():
    """With batches up to a third of the optimum, the interval extends beyond them, with a caveat."""
    sizes, tokens = (1e8, 2e8, 4e8), (2e9, 4e9, 8e9)
    rates, batches = 1e-3 * 2.0 ** np.arange(-2, 4), 2.0 ** np.arange(13, 18)
    grid = pd.DataFrame(list(product(sizes, tokens, rates, batches)), columns=list(LAW.inputs))
    exact = LAW.evaluate(**{name: grid[name].to_numpy() for name in LAW.inputs}, **TRUTH)
    runs = bs.load_runs(grid.assign(loss=exact), needs=LAW.inputs)
    fit = laplace_posterior(bs.load_model(LAW.name), runs)  # simulates the same law, with noise
    plan = {"n_params": 2e8, "n_tokens": 4e9}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)  # the approximation has few draws
        inside, edge = bs.hyperparameters(fit, **plan).iloc[0], batches.max()
    truth = bs.hyperparameters(POINT, **plan).iloc[0]
    assert truth["batch_tokens"] > 2.0 * edge
    assert inside["batch_tokens_upper"] > truth["batch_tokens"] > inside["batch_tokens_lower"]
    ends = {name: (float(x.min()), float(x.max())) for name, x in fit.inputs.items()}
    (said,) = LAW.remarks(fit.parameters, ends)
    assert said.startswith("The best batch at the middle of the runs lies above every batch")
    # There is no caveat if the grid contains the optimum.
    wide = ends | {"batch_tokens": (2.0**13, 2.0**24)}
    assert LAW.remarks({name: np.array(x) for name, x in TRUTH.items()}, wide) == ()


def test_laws_without_hyperparameters_are_refused():
    with pytest.raises(UnsuitableLawError, match="the law chinchilla, which has no optimum"):
        bs.hyperparameters(bs.published("besiroglu2024"), n_params=1e9, n_tokens=1e10)
    with pytest.raises(UnknownNameError, match="steplaw2025"):
        bs.hyperparameters("steplaw2024", n_params=1e9, n_tokens=1e10)
    assert all(
        entry.counting
        for name in bs.list_published().index
        if name not in RULES and isinstance(entry := bs.published(name), EmpiricalFrontier)
    )
