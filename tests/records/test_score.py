"""Scores of forecasts against outcomes."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import bayescale as bs
from bayescale.errors import RunsError
from bayescale.records.preregister import DRAWS
from bayescale.records.preregistration import Preregistration

SD = 0.02
LEVELS = (np.arange(DRAWS) + 0.5) / DRAWS


def forecasts(*medians: float, date: str = "2026-03-01", **changes: object) -> Preregistration:
    """Return log-normal forecasts of runs a, b, c, ... at 1B, 2B, 3B, ..."""
    runs = {
        chr(97 + i): {
            "inputs": {"n_params": (i + 1) * 1e9, "n_tokens": 1e11},
            "levels": {},
            "beyond": 1.0,
            "draws": [float(x) for x in median * np.exp(SD * stats.norm.ppf(LEVELS))],
        }
        for i, median in enumerate(medians)
    }
    content = {
        "date": date,
        "response": "loss",
        "unit": "nats/token",
        "posterior": {"headline": "A law.", "passed": True},
        "versions": {},
        "runs": runs,
    }
    return Preregistration(content | changes)


def done(*losses: float, **columns: object) -> pd.DataFrame:
    count = len(losses)
    table = {
        "run": [chr(97 + i) for i in range(count)],
        "N": [(i + 1) * 1e9 for i in range(count)],
        "D": [1e11] * count,
        "loss": losses,
    }
    return pd.DataFrame(table | columns)


@pytest.mark.parametrize("z", [-3.0, -1.0, 0.0, 0.5, 2.0])
def test_scores_are_those_of_the_normal(z):
    """The forecast is stored as 400 quantiles, which limits the precision."""
    found = bs.score_forecasts(forecasts(2.0), done(2.0 * np.exp(SD * z))).table().iloc[0]
    assert found["error"] == pytest.approx(SD * z, abs=1e-9)
    assert found["pit"] == pytest.approx(stats.norm.cdf(z), abs=1 / DRAWS)
    # Gneiting and Raftery 2007, equation 21.
    closed = SD * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert found["crps"] == pytest.approx(closed, abs=0.01 * SD)
    width = 2 * SD * stats.norm.ppf(0.95)
    excess = max(SD * abs(z) - width / 2, 0.0)
    assert found["width_90"] == pytest.approx(width, rel=0.01)
    assert found["interval_score_90"] == pytest.approx(width + 20 * excess, rel=0.02)
    for prob in (50, 80, 90, 95):
        assert found[f"inside_{prob}"] == (2 * stats.norm.cdf(abs(z)) - 1 < prob / 100)


def test_the_crps_is_the_integral_of_its_definition():
    made, observed = forecasts(2.0), 2.05
    draws = np.log(made.draws("a"))

    def squared(x: float) -> float:
        return (np.mean(draws <= x) - (np.log(observed) <= x)) ** 2

    grid = np.linspace(draws.min() - 0.01, max(draws.max(), np.log(observed)) + 0.01, 200_001)
    integral = integrate.trapezoid([squared(x) for x in grid[::20]], grid[::20])
    found = bs.score_forecasts(made, done(observed)).table()["crps"].iloc[0]
    assert found == pytest.approx(integral, rel=0.01)


def test_the_coverage_of_a_known_history():
    """Two files of ten forecasts each, with 90 % intervals that contain eight and ten outcomes."""
    first = forecasts(*[2.0] * 10, date="2026-03-02")
    second = forecasts(*[2.0] * 10, date="2026-03-01")
    table = done(*[2.0 * np.exp(SD * z) for z in [0.1] * 4 + [1.0] * 4 + [1.8] * 2])
    found = bs.score_forecasts([first, second], table)
    assert len(found) == 20
    history = found.history()
    # In the order of dates, not of arguments.
    assert list(history.index) == ["forecasts 2", "forecasts 1", "all"]
    total = history.loc["all"]
    assert total["n_test"] == 20
    assert total["coverage_50"] == 0.4
    assert total["coverage_80"] == total["coverage_90"] == 0.8
    assert total["coverage_95"] == 1.0
    assert total["coverage_90_se"] == 0.0, "both files hold the same share"
    assert total["bias"] == pytest.approx(SD * 0.8, rel=1e-6)
    assert total["rmsle"] == pytest.approx(SD * np.sqrt(0.4 * 0.01 + 0.4 + 0.2 * 1.8**2), rel=1e-6)
    assert total["crps"] == pytest.approx(found.table()["crps"].mean())

    good = forecasts(*[2.0] * 10, date="2026-04-01")
    better = bs.score_forecasts([first, good], table.assign(loss=[2.0] * 10)).history()
    assert better["coverage_90"].tolist() == [1.0, 1.0, 1.0]
    one = bs.score_forecasts(first, table)
    assert np.isnan(one.history().loc["all", "coverage_90_se"])
    assert "16 of 20" in str(found) and "80 %" in found.text_history().loc["all"].to_string()


def test_the_standard_error_is_of_files():
    wide, narrow = forecasts(2.0, 2.0), forecasts(2.0, 2.2, date="2026-03-02")
    history = bs.score_forecasts([wide, narrow], done(2.0, 2.0)).history()
    assert history["coverage_90"].tolist() == [1.0, 0.5, 0.75]
    assert history.loc["all", "coverage_90_se"] == pytest.approx(0.25)


def test_runs_that_are_not_done_are_pending():
    found = bs.score_forecasts(forecasts(2.0, 2.1, 2.2), done(2.0, 2.1))
    assert found.pending == ("c of forecasts 1",)
    assert len(found) == 2 and "c of forecasts 1" in str(found)
    assert found.to_record()["pending"] == ["c of forecasts 1"]


def test_failed_checks_are_said():
    failed = {"headline": "FAILED", "passed": False}
    found = bs.score_forecasts(forecasts(2.0, posterior=failed), done(2.0))
    assert "1 of 1 are of posteriors that failed their checks" in str(found)
    assert not found.table()["passed"].iloc[0]


def test_the_checkpoint_that_was_planned_is_scored():
    table = done(2.3, 2.1, 2.0).assign(run="a", N=1e9, D=[1e10, 1e11, 1e12])
    assert bs.score_forecasts(forecasts(2.0), table).table()["observed"].tolist() == [2.1]


def test_inputs_may_differ_by_the_tolerance():
    table = done(2.0, N=[1.009e9])
    assert len(bs.score_forecasts(forecasts(2.0), table)) == 1
    with pytest.raises(RunsError, match=r"n_params 1\.009e\+09 where 1e\+09 was planned"):
        bs.score_forecasts(forecasts(2.0), table, tolerance=0.001)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (done(2.0, N=[2e9]), r"row 0: the run 'a' has n_params 2e\+09 where 1e\+09 was planned"),
        (done(2.0, run=["other"]), "found none of the forecast runs, a of forecasts 1"),
        (done(2.0, 2.1).assign(run="a", N=1e9, seed=[1, 2]), "rows 0, 1: found 2 runs 'a'"),
        (done(2.0).drop(columns="D"), "n_tokens"),
        (done(2.0).drop(columns="loss"), "loss"),
        (done(2.0).drop(columns="run"), "found none of the forecast runs.*its runs are row 0"),
    ],
)
def test_a_wrong_run_or_column_is_refused(table, words):
    with pytest.raises(RunsError, match=words):
        bs.score_forecasts(forecasts(2.0), table)


def test_a_wrong_level_is_refused():
    made = forecasts(2.0)
    made.runs["a"]["levels"]["family"] = "c4"
    assert len(bs.score_forecasts(made, done(2.0, family=["c4"]))) == 1
    with pytest.raises(RunsError, match="family pile where c4 was planned"):
        bs.score_forecasts(made, done(2.0, family=["pile"]))
    with pytest.raises(RunsError, match="no column 'family'"):
        bs.score_forecasts(made, done(2.0))
    amounts = forecasts(2.0)
    amounts.runs["a"]["levels"]["layers"] = "12.0"
    assert len(bs.score_forecasts(amounts, done(2.0, layers=[12]))) == 1
    with pytest.raises(RunsError, match=r"layers 13\.0 where 12\.0 was planned"):
        bs.score_forecasts(amounts, done(2.0, layers=[13]))


def test_a_wrong_unit_is_refused():
    with pytest.raises(RunsError, match="found a loss in bits/byte, expected nats/token"):
        bs.score_forecasts(forecasts(2.0), done(0.8), units={"loss": "bits/byte"})
    in_bytes = forecasts(2.0, unit="bits/byte")
    with pytest.raises(RunsError, match="found a loss in nats/token, expected bits/byte"):
        bs.score_forecasts(in_bytes, done(2.0))
    assert len(bs.score_forecasts(in_bytes, done(2.0), units={"loss": "bits/byte"})) == 1
    bits = bs.score_forecasts(forecasts(2.0), done(2.0 / np.log(2.0)), units={"loss": "bits/token"})
    assert bits.table()["observed"].iloc[0] == pytest.approx(2.0)


def test_forecasts_are_given_once_and_of_one_response():
    made = forecasts(2.0)
    with pytest.raises(ValueError, match="are the same; give each once"):
        bs.score_forecasts([made, made], done(2.0))
    with pytest.raises(ValueError, match="at least one"):
        bs.score_forecasts([], done(2.0))
    with pytest.raises(ValueError, match="those of bleu, loss"):
        bs.score_forecasts([made, forecasts(2.0, response="bleu")], done(2.0))


def test_a_file_is_scored_as_what_was_saved(tmp_path):
    made = forecasts(2.0, 2.1)
    made.save(tmp_path / "a.json")
    table = done(2.01, 2.15)
    direct, loaded = (bs.score_forecasts(f, table).table() for f in (made, tmp_path / "a.json"))
    assert np.array_equal(direct.to_numpy(), loaded.to_numpy())
    assert loaded.index.get_level_values("forecasts").unique() == [str(tmp_path / "a.json")]


def test_a_calibrated_posterior_has_nominal_coverage():
    """Outcomes drawn from the forecasts themselves."""
    rng = np.random.default_rng(1)
    medians = rng.uniform(1.8, 2.2, 400)
    made = forecasts(*medians)
    names = [chr(97 + i) for i in range(400)]
    table = done(*(medians * np.exp(SD * rng.standard_normal(400)))).assign(run=names)
    found = bs.score_forecasts(made, table)
    for prob in (0.5, 0.8, 0.9, 0.95):
        error = np.sqrt(prob * (1 - prob) / 400)
        assert abs(found.history().loc["all", f"coverage_{round(100 * prob)}"] - prob) < 4 * error
    assert stats.kstest(found.table()["pit"], "uniform").pvalue > 1e-4
