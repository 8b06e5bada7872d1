"""Refits under increasing cuts: the table, its sentences, and the report."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import AmountError, RunsError
from bayescale.inference.parallel import task_key
from bayescale.sensitivity.refit import Question, summary_of

close = pytest.approx


def made(first, last, prob=0.9, **more) -> bs.ExpandingWindow:
    """Cuts with these intervals of a and N_opt, (lower, median, upper)."""
    rows = [
        {
            "n_runs": 10 * (i + 1),
            **dict(zip(("a_lower", "a", "a_upper"), a, strict=True)),
            **dict(zip(("n_opt_lower", "n_opt", "n_opt_upper"), n, strict=True)),
            "ok": True,
            "r_hat": 1.0,
            "status": "All gates passed.",
        }
        for i, (a, n) in enumerate((first, last))
    ]
    table = pd.DataFrame(rows, index=pd.Index([1e20, np.inf], name="cut"))
    facts = {"model": "chinchilla", "runs": "mine", "fingerprint": "f", "scale": "compute"}
    return bs.ExpandingWindow(table=table, budget=1e24, prob=prob, **{**facts, **more})


STILL = ((0.5, 0.55, 0.6), (1e9, 2e9, 3e9))
MOVED = ((0.4, 0.45, 0.49), (0.5e9, 0.6e9, 0.7e9))


def test_intervals_meet_or_a_sentence_says_that_they_do_not():
    same = made(STILL, STILL)
    assert same.meet("a") and same.meet("n_opt")
    assert same.caveats == ()
    moved = made(STILL, MOVED)
    assert moved.meet("a") is False and moved.meet("n_opt") is False
    (sentence,) = moved.caveats
    assert "0.550 [0.500, 0.600] from compute below 1e20 FLOP" in sentence.replace("0.5 ", "0.500 ")
    assert "N_opt at 1e24 FLOP" in sentence and "from all runs" in sentence
    half = made(STILL, (MOVED[0], STILL[1]))
    assert half.meet("n_opt") and "N_opt at" not in half.caveats[0]


def test_intervals_that_touch_meet():
    assert made(STILL, ((0.6, 0.7, 0.8), STILL[1])).meet("a")
    assert not made(STILL, ((0.601, 0.7, 0.8), STILL[1])).meet("a")


def test_a_cut_that_failed_is_said_and_not_compared():
    found = made(STILL, MOVED)
    found.table.loc[1e20, ["ok", "status"]] = [False, "THIS FIT FAILED ITS GATES, R-hat."]
    assert found.meet("a") is None
    (sentence,) = found.caveats
    assert sentence.startswith("compute below 1e20 FLOP could not be used: THIS FIT FAILED")
    assert "failed its gates" in str(found)


def test_draws_without_an_optimum_are_counted():
    found = made(STILL, STILL)
    found.table["no_optimum"] = [0.25, 0.0]
    (sentence,) = found.caveats
    assert sentence.startswith("compute below 1e20 FLOP: 25 % of the draws have no optimum")


@pytest.mark.parametrize("name", ["besiroglu2024", "coupled", "kaplan2020-nd"])
def test_the_exponent_is_that_of_the_law(name):
    """If N_opt is a power of C, the slope over a decade is the exponent at every budget."""
    source = bs.published("besiroglu2024" if name == "coupled" else name)
    if name == "coupled":
        source = replace(source, law="coupled", parameters={**source.parameters, "k": 0.6})
    for budget in (1e19, 1e25):
        found = summary_of(source, Question(budget=budget))
        derived = bs.law(source.law).derived(source.parameters)
        assert found["a"] == close(float(derived["a"]), abs=1e-6)
        plan = bs.allocate(source, budget=budget).recommended
        assert found["n_opt"] == close(plan["n_params"].iloc[0])
        assert found["no_optimum"] == 0.0


def test_other_inputs_are_fixed():
    source = bs.published("muennighoff2023")
    fixed = {"n_unique_tokens": "25B"}
    found = summary_of(source, Question(budget=1e22, fixed=fixed))
    # Against an independent search over ln N.
    assert found["n_opt"] == close(7.02616e9, rel=1e-3)
    assert Question(budget=1e22, fixed=fixed).settings != Question(budget=1e22).settings


def test_answers_are_counted_as_asked():
    source = bs.published("besiroglu2024")
    plain = summary_of(source, Question(budget=1e22))
    doubled = summary_of(source, Question(budget=1e22, count=lambda n: 2 * n))
    assert doubled["n_opt"] == close(2 * plain["n_opt"])
    assert doubled["a"] == close(plain["a"])


@pytest.mark.slow
def test_the_exponent_falls_as_larger_chinchilla_runs_are_fitted(cuts):
    """Against independent fits: 0.595, 0.564, 0.540 and 0.511, with sd of about 0.01."""
    table = cuts.table
    assert list(table.index) == [1e20, 3e20, 1e21, np.inf]
    assert table["ok"].all()
    assert table["a"].to_numpy() == close(np.array([0.595, 0.564, 0.540, 0.511]), abs=0.002)
    assert table.loc[1e20, ["a_lower", "a_upper"]].to_list() == close([0.569, 0.621], abs=0.004)
    assert table.loc[np.inf, ["a_lower", "a_upper"]].to_list() == close([0.491, 0.531], abs=0.003)
    assert (np.diff(table["log_n"].to_numpy(dtype=float)) < 0).all()
    assert cuts.meet("a") is False and cuts.meet("n_opt") is False
    assert "The answer changes with the range" in str(cuts)
    assert table["n_runs"].iloc[-1] == 240


@pytest.mark.slow
def test_the_last_row_is_the_fit_itself(cuts, fit):
    plan = bs.allocate(fit, budget="5.76e23")
    assert cuts.table["n_opt"].iloc[-1] == close(float(plan.draws["n_opt"].median()), rel=1e-6)


@pytest.mark.slow
def test_finished_cuts_are_not_fitted_again(cuts, chinchilla_runs, tmp_path, monkeypatch):
    asked = {"budget": 5.76e23, "prob": 0.95, "seed": 1, "progress": False, "draws": 100}
    store = tmp_path / "cuts.jsonl"
    first = bs.expanding_window(chinchilla_runs, "chinchilla", ["1e20"], store=store, **asked)
    assert len(store.read_text(encoding="utf-8").splitlines()) == 2

    def refuse(*_, **__):
        raise AssertionError("fitted again")

    monkeypatch.setattr("bayescale.sensitivity.refit.fit_quietly", refuse)
    again = bs.expanding_window(chinchilla_runs, "chinchilla", ["1e20"], store=store, **asked)
    pd.testing.assert_frame_equal(first.table, again.table)
    # Another budget or probability needs new fits; a failure is reported and affects no other cut.
    other = bs.expanding_window(
        chinchilla_runs, "chinchilla", ["1e20"], store=store, **{**asked, "prob": 0.5}
    )
    assert other.table["status"].str.contains("fitted again").all()
    assert other.meet("a") is None
    assert "none" in str(other)


def test_too_few_runs_fail_alone(chinchilla_runs):
    size = float(np.sort(chinchilla_runs.n_params)[4]) * 1.001
    found = bs.expanding_window(
        chinchilla_runs,
        "chinchilla",
        [size],
        scale="n_params",
        budget=1e22,
        draws=100,
        seed=1,
        progress=False,
    )
    assert "expected at least 7" in found.table["status"].iloc[0]
    assert np.isnan(found.table["a"].iloc[0]) and np.isfinite(found.table["a"].iloc[1])
    assert found.meet("a") is None
    assert "n_params below" in found.caveats[0]


def test_bad_cuts_are_refused(chinchilla_runs):
    for cut, words in ((1e10, "found 0 of 240 runs"), (1e30, "found 240 of 240 runs")):
        with pytest.raises(RunsError, match=words):
            bs.expanding_window(chinchilla_runs, "chinchilla", [cut], budget=1e22)
    with pytest.raises(AmountError, match="budget"):
        bs.expanding_window(chinchilla_runs, "chinchilla", ["1e20"], budget="much")
    with pytest.raises(TypeError, match="power-law"):
        bs.expanding_window(chinchilla_runs, "power-law-floor", ["1e20"], budget=1e22)
    with pytest.raises(AmountError, match="n_unique_tokens"):
        bs.expanding_window(chinchilla_runs, "data-constrained", ["1e20"], budget=1e22)
    with pytest.raises(ValueError, match="prob"):
        bs.expanding_window(chinchilla_runs, "chinchilla", ["1e20"], budget=1e22, prob=1.0)


def test_keys_tell_refits_apart(chinchilla_runs):
    model = bs.load_model("chinchilla")
    base = task_key(model, chinchilla_runs, 1)
    assert base == task_key(bs.load_model("chinchilla"), bs.load_runs("chinchilla"), 1)
    part = chinchilla_runs.where("compute < 1e21")
    others = [task_key(model, part, 1), task_key(model, chinchilla_runs, 2)]
    others.append(task_key(bs.load_model("coupled"), chinchilla_runs, 1))
    assert len({base, *others}) == 4


@pytest.mark.slow
def test_a_report_says_that_the_answer_moves(fit, cuts, tmp_path):
    path = bs.report(fit, tmp_path / "report.html", budget="5.76e23", cuts=cuts)
    text = path.read_text(encoding="utf-8")
    assert "The answer changes with the range" in text
    quiet = bs.report(fit, tmp_path / "quiet.html", budget="5.76e23")
    assert "The answer changes" not in quiet.read_text(encoding="utf-8")
    other = replace(cuts, fingerprint="of others")
    with pytest.raises(RunsError, match="found other runs"):
        bs.report(fit, tmp_path / "none.html", budget="5.76e23", cuts=other)
    assert not (tmp_path / "none.html").exists()
