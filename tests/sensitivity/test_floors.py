"""Forecasts by assumed floor: direction, agreement with a wide prior, and sentences."""

from dataclasses import replace

import numpy as np
import pytest

import bayescale as bs
from bayescale.errors import AmountError, CardError, RunsError, UnsuitableLawError
from bayescale.model.card import load_model

QUICK = {"draws": 400, "seed": 1, "progress": False}
WIDE = bs.LogNormal(median=1.7, log_sd=50.0, why="hardly anything is known")
NEAR = bs.Normal(mean=1.85, sd=0.005, why="another sweep")


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> bs.ForecastByFloor:
    """Chinchilla's runs under four floors, at a budget far beyond them."""
    return bs.forecast_by_floor(
        "chinchilla",
        "chinchilla",
        floors=[1.75, 1.9, WIDE, NEAR],
        budget="1e26",
        store=tmp_path_factory.mktemp("floors") / "fits.jsonl",
        **QUICK,
    )


@pytest.mark.slow
def test_a_lower_floor_forecasts_a_lower_loss(found):
    table = found.table
    assert list(table.index) == ["as the card", "1.75", "1.9", str(WIDE), str(NEAR)]
    assert table["ok"].all(), table["status"].to_list()
    low, high = table.loc["1.75"], table.loc["1.9"]
    # The posterior median of the floor without a stated one is about 1.81.
    assert low["loss_upper"] < table["loss"].iloc[0] < high["loss_lower"]
    np.testing.assert_allclose([low["floor"], high["floor"]], [1.75, 1.9], rtol=0.005)
    assert low["floor_upper"] - low["floor_lower"] < 0.01
    assert low["distance"] < -2 and high["distance"] > 3
    assert 0.5 < found.per_floor < 1.0, "so far on, most of the loss is the floor"


@pytest.mark.slow
def test_the_plan_is_that_of_the_card_as_it_is(found):
    n_opt = found.reference["n_opt"]
    assert found.plan == pytest.approx({"n_params": n_opt, "n_tokens": 1e26 / 6 / n_opt})


@pytest.mark.slow
def test_a_wide_floor_changes_nothing(found):
    """Equal within Monte Carlo error: the prior on the level that it replaces is also wide."""
    one, other = found.reference, found.table.loc[str(WIDE)]
    for name in ("floor", "loss", "a"):
        # From the interval; medians have 1.25 times the standard error of means.
        sd = (one[f"{name}_upper"] - one[f"{name}_lower"]) / 3.29
        error = 1.25 * sd * np.sqrt(1.0 / one["ess"] + 1.0 / other["ess"])
        assert abs(other[name] - one[name]) < 5.0 * error, name


@pytest.mark.slow
def test_a_prior_of_another_fit_is_one_of_the_floors(found):
    """The floor lies between the stated one and that of the runs, closer to the more precise."""
    runs, both = found.reference, found.table.loc[str(NEAR)]
    assert runs["floor"] < both["floor"] < NEAR.mean
    assert NEAR.mean - both["floor"] < both["floor"] - runs["floor"]


@pytest.mark.slow
def test_what_is_said(found):
    assert found.headline.startswith("loss at n_params = ")
    assert "4 assumed floors" in found.headline
    first, second, third = found.sentences
    assert first.startswith("With floors from 1.75 to 1.90 the forecast goes from ")
    assert second.startswith("N_opt at 1e26 FLOP goes from ")
    assert "contradict a floor of" in third and third.count("1.9") == 1
    assert "log_sd 50" not in third, "which is no statement"
    text = found.text_table()
    assert list(text.columns) == [
        "posterior of the floor",
        "loss",
        "N_opt",
        "distance (sd)",
        "passed",
    ]
    assert set(text["passed"]) == {"yes"} and text["distance (sd)"].iloc[0] == ""
    failed = found.table.assign(ok=[False, False, True, True, True], status="THIS FIT FAILED.")
    said = replace(found, table=failed).sentences
    assert "The reference cannot be relied on: THIS FIT FAILED." in said
    assert said[-1].startswith("1 of the fits failed")
    none = replace(found, table=found.table.assign(ok=False, status="no"))
    assert np.isnan(none.per_floor) and "every assumed floor" not in none.sentences[-1]


def test_a_law_of_one_variable_is_forecast_at_a_plan(chinchilla_runs):
    table = chinchilla_runs.table.query("n_tokens > 20 * n_params").nsmallest(60, "n_params")
    asked = {"runs": table, "floors": [1.2, 2.0], "at": {"compute": "1e24"}}
    found = bs.forecast_by_floor(model="power-law-floor", **asked, **QUICK)
    assert found.plan == {"compute": 1e24} and found.budget is None
    assert "n_opt" not in found.table and "N_opt" not in found.text_table()
    assert found.table["loss"].iloc[1] < found.table["loss"].iloc[2]


@pytest.mark.parametrize(
    ("model", "asked", "error", "match"),
    [
        ("kaplan-nd", {"floors": [1.7], "budget": 1e24}, UnsuitableLawError, "has no floor"),
        ("chinchilla", {"floors": [1.7]}, ValueError, "neither budget nor at"),
        ("chinchilla", {"floors": [], "budget": 1e24}, ValueError, "floors: found none"),
        ("chinchilla", {"floors": [1.7, 1.7], "budget": 1e24}, ValueError, "found 1.7 twice"),
        ("chinchilla", {"floors": [-1.0], "budget": 1e24}, CardError, "floor: found -1"),
        ("chinchilla", {"floors": [1.7], "budget": -1}, AmountError, "budget"),
        ("chinchilla", {"floors": [1.7], "budget": 1e24, "prob": 2}, ValueError, "prob: found 2"),
        (
            "chinchilla",
            {"floors": [1.7], "at": {"n_params": "1B"}},
            AmountError,
            "expected n_params, n_tokens",
        ),
        (
            "chinchilla",
            {"floors": [1.7], "at": {"n_params": ["1B", "2B"], "n_tokens": "1T"}},
            AmountError,
            "at: found 2 plans",
        ),
        (
            "chinchilla",
            {"floors": [1.7], "at": {"n_params": 1e9, "n_tokens": 1e9}, "fixed": {"x": 1}},
            ValueError,
            "fixed: found no budget to split",
        ),
        ("power-law-floor", {"floors": [1.7], "budget": 1e24}, UnsuitableLawError, "split"),
        ("data-constrained", {"floors": [1.7], "budget": 1e24}, AmountError, "n_unique_tokens"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_sampling(
    model, asked, error, match, chinchilla_runs, monkeypatch
):
    monkeypatch.setattr("bayescale.sensitivity.floors.fit_quietly", None)
    with pytest.raises(error, match=match):
        bs.forecast_by_floor(chinchilla_runs, model, **{**QUICK, **asked})


def test_a_card_that_cannot_be_fitted_is_refused(chinchilla_runs):
    few = chinchilla_runs.where("n_params > 1e10")
    assert len(few) < load_model("chinchilla").n_free
    with pytest.raises(
        RunsError,
        match="the card without a stated floor could not be fitted. .*expected at least 7",
    ):
        bs.forecast_by_floor(few, "chinchilla", floors=[1.7], budget=1e24, **QUICK)
