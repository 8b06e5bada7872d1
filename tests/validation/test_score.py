"""Scores on held-out runs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayescale as bs
from bayescale.errors import RunsError

TRUTH = {"E": 1.8, "x_c": 3e7, "alpha": 0.3}


def curve(n: int = 60, noise: float = 0.005, seed: int = 1) -> bs.Runs:
    x = np.geomspace(1e6, 1e11, n)
    loss = bs.law("power-law-floor").evaluate(x=x, **TRUTH)
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"examples": x, "loss": loss * np.exp(noise * rng.standard_normal(n))})
    return bs.load_runs(table, needs=["examples"])


@pytest.fixture(scope="module")
def model() -> bs.Model:
    return replace(bs.load_model("power-law-floor"), inputs={"x": "examples"})


@pytest.fixture(scope="module")
def fitted(model) -> bs.Fit:
    return bs.fit(curve(n=500, seed=3), model, seed=1, progress=False)


@pytest.mark.slow
def test_a_true_law_has_nominal_coverage(fitted):
    fresh = bs.score(fitted, curve(n=2000, seed=9))
    assert "coverage_90" in repr(fresh) and "coverage_90" in fresh._repr_html_()
    for prob in (0.5, 0.9):
        assert fresh.coverage(prob) == pytest.approx(prob, abs=0.04)
    assert stats.kstest(fresh.pointwise["pit"], "uniform").pvalue > 1e-4
    assert fresh.rmsle == pytest.approx(0.005, rel=0.1)
    # A normal density with the true scale, close to a Student-t of many degrees of freedom.
    assert fresh.elpd / 2000 == pytest.approx(
        -np.log(0.005) - 0.5 * np.log(2 * np.pi * np.e), abs=0.05
    )
    assert fresh.summary()["width_90"] == pytest.approx(2 * 1.645 * 0.005, rel=0.15)
    assert fresh.summary()["crps"] == pytest.approx(0.005 * 0.5642, rel=0.1)
    # The score of the ideal normal interval: its width and the mean excess of both tails.
    assert fresh.summary()["interval_score_90"] == pytest.approx(0.005 * 4.13, rel=0.1)
    assert "coverage_90" in repr(fresh)


def test_held_out_runs_are_read_like_runs_to_fit(fitted, tmp_path):
    runs = curve(n=20, seed=9)
    runs.table.to_csv(tmp_path / "held_out.csv")
    of_runs = bs.score(fitted, runs).summary()
    for source in (runs.table, tmp_path / "held_out.csv"):
        assert bs.score(fitted, source).summary() == pytest.approx(of_runs)
    constants = {"n_params": [1e9, 7e9], "n_tokens": [2e10, 1e12], "loss": [2.6, 2.0]}
    assert len(bs.score(bs.published("hoffmann2022"), pd.DataFrame(constants)).pointwise) == 2
    with pytest.raises(RunsError, match="n_tokens"):
        bs.score(bs.published("hoffmann2022"), pd.DataFrame(constants).drop(columns="n_tokens"))


def test_shifted_runs_have_bias(fitted):
    runs = curve(seed=3)
    higher = bs.load_runs(runs.table.assign(loss=runs.loss * 1.03), needs=["examples"])
    moved = bs.score(fitted, higher)
    assert moved.summary()["bias"] == pytest.approx(np.log(1.03), abs=0.002)
    assert moved.coverage(0.9) < 0.2
    assert moved.elpd < bs.score(fitted, runs).elpd - 100


def test_a_score_needs_the_columns_of_the_model(fitted, chinchilla_runs):
    with pytest.raises(RunsError, match="no column examples"):
        bs.score(fitted, chinchilla_runs)


@pytest.mark.slow
def test_hold_out_ranks_and_says_why_one_failed(model):
    runs = curve()
    plain = replace(bs.load_model("power-law"), inputs={"x": "examples"})
    other = replace(bs.load_model("power-law"), id="other", inputs={"x": "missing"})
    table = bs.hold_out(runs, [plain, other, model], "examples < 1e10", seed=1)
    assert list(table.index) == ["power-law-floor", "power-law", "other"]
    assert table.loc["power-law-floor", "elpd_diff"] == 0
    assert table.loc["power-law", "elpd_diff"] < -3 * table.loc["power-law", "se_diff"]
    assert not table.loc["other", "ok"]
    assert "no column missing" in table.loc["other", "status"]
    assert (table["n_train"] == (runs.table["examples"] < 1e10).sum()).all()
    with pytest.raises(ValueError, match="found power-law twice"):
        bs.hold_out(runs, [plain, plain], "examples < 1e10", seed=1)


@pytest.mark.slow
def test_the_number_of_breaks_is_found():
    truth = {"a": 0.6, "b": 9.0, "c0": 0.05, "c1": 0.4, "d1": 3e8, "f1": 0.3}
    x = np.geomspace(1e6, 1e12, 60)
    loss = bs.law("broken-power-law-1").evaluate(x=x, **truth)
    noise = np.exp(0.003 * np.random.default_rng(2).standard_normal(60))
    runs = bs.load_runs(pd.DataFrame({"examples": x, "loss": loss * noise}), needs=["examples"])
    table = bs.compare_breaks(runs, "examples", most=2, seed=1, draws=300)
    assert table.loc["power-law-floor", "elpd_diff"] < -30
    assert table.loc["broken-power-law-1", "ok"]
    # A law with one redundant break differs by a few nats between seeds.
    assert table.loc["broken-power-law-1", "elpd_diff"] > -10
    assert table.loc["broken-power-law-1", "rmsle"] < 0.02 < table.loc["power-law-floor", "rmsle"]


@pytest.mark.slow
def test_too_few_runs_for_many_breaks_are_said_to_be():
    table = bs.compare_breaks(curve(n=16), "examples", most=4, seed=1, draws=200)
    assert "too few" in table.loc["broken-power-law-3", "status"]
    assert "too few" in table.loc["broken-power-law-4", "status"]
    assert np.isfinite(table.loc["power-law-floor", "elpd"])
    with pytest.raises(ValueError, match="most: found 5"):
        bs.compare_breaks(curve(), "examples", most=5)
    with pytest.raises(ValueError, match="last: found 1"):
        bs.compare_breaks(curve(), "examples", last=1)
    with pytest.raises(RunsError, match="expected at least 5"):
        bs.compare_breaks(curve(n=5), "examples")
