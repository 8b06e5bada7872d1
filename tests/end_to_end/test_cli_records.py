"""``preregister`` and ``score-forecast``: from a saved fit to the scores of a history."""

import json

import pytest
from contract.fits import fit_of_card

import bayescale as bs

BIG = ("--name", "big", "--n-params", "70B", "--n-tokens", "1.4T")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a saved fit, two files of forecasts, and the runs that were made."""
    monkeypatch.chdir(tmp_path)
    fit_of_card("chinchilla").save("fit.nc")
    (tmp_path / "done.csv").write_text(
        "run,N,D,loss\nbig,70B,1.4T,1.98\nsmall,7B,2T,2.3\nother,1B,1T,2.4\n", encoding="utf-8"
    )
    return tmp_path


def refused(result, *words: str) -> None:
    code, out, err = result
    assert (code, out) == (2, ""), out
    assert err.count("\n") == 1 and "Traceback" not in err
    for word in words:
        assert word in err


def test_a_history_is_scored(folder, run):
    assert run("preregister", "fit.nc", *BIG, "--out", "march.json")[0] == 0
    two = ("--name", "big", "--name", "small", "--at", "n_params=70B", "--at", "n_params=7B")
    tokens = ("--n-tokens", "1.4T", "--n-tokens", "2T")
    code, out, _ = run("preregister", "fit.nc", *two, *tokens, "--out", "april.json", "--json")
    said = json.loads(out)
    assert code == 0 and said["passed"] is True and said["file"] == "april.json"
    saved = bs.load_preregistration("april.json")
    assert saved.sha256 == said["sha256"]
    assert saved.runs["small"]["inputs"] == {"n_params": 7e9, "n_tokens": 2e12}
    assert [row["run"] for row in said["forecasts"]] == ["big", "small"]

    score = ("score-forecast", "march.json", "april.json", "--runs", "done.csv")
    code, out, _ = run(*score)
    assert code == 0
    assert "\n3 forecasts of loss from 2 files, scored.\n" in out
    assert "90 % intervals contain 2 of 3 outcomes" in out and "67 % ± " in out
    found = json.loads(run(*score, "--json")[1])
    assert [row["run"] for row in found["table"]] == ["big", "big", "small"]
    assert [row["coverage_90"] for row in found["history"]] == [1.0, 0.5, pytest.approx(2 / 3)]
    assert found["pending"] == []
    again = bs.score_forecasts(["march.json", "april.json"], "done.csv")
    assert again.to_record() == found


def test_forecasts_are_replaced_by_force_alone(folder, run):
    make = ("preregister", "fit.nc", *BIG, "--out", "march.json")
    assert run(*make)[0] == 0
    before = (folder / "march.json").read_bytes()
    refused(run(*make), "march.json holds forecasts that were made before", "--force")
    refused(run("preregister", "fit.nc", *BIG, "--out", "done.csv", "--force"), "done.csv")
    assert (folder / "march.json").read_bytes() == before
    smaller = ("--name", "small", "--n-params", "7B", "--n-tokens", "2T")
    code, _, _ = run("preregister", "fit.nc", *smaller, "--out", "march.json", "--force")
    assert code == 0 and list(bs.load_preregistration("march.json").runs) == ["small"]


def test_what_cannot_be_scored_is_refused(folder, run):
    run("preregister", "fit.nc", *BIG, "--out", "march.json")
    score = ("score-forecast", "march.json", "--runs")
    (folder / "wrong.csv").write_text("run,N,D,loss\nbig,60B,1.4T,2\nelse,1B,1T,2.3\n")
    refused(run(*score, "wrong.csv"), "'big' has n_params 6e+10 where 7e+10 was planned")
    unit = ("--unit", "loss=bits/byte")
    refused(run(*score, "done.csv", *unit), "found a loss in bits/byte, expected nats/token")
    refused(run("score-forecast", "none.json", "--runs", "done.csv"), "none.json")
    refused(run("score-forecast", "done.csv", "--runs", "done.csv"), "not forecasts")
    text = (folder / "march.json").read_text()
    (folder / "march.json").write_text(text.replace('"n_params": 7', '"n_params": 6'))
    refused(run(*score, "done.csv"), "changed after it was written")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--n-params", "7B", "--n-tokens", "2T"), "--name"),
        ((*BIG, "--name", "big"), "--name: found big, big, expected a different name each"),
        (("--name", "big", "--n-params", "7B"), "expected n_tokens too"),
        ((*BIG, "--n-params", "7B"), "found 2 amounts of n_params for 1 planned run"),
        ((*BIG, "--group", "family=c4"), "family"),
        ((*BIG, "--at", "steps=3"), "found 'steps'"),
    ],
)
def test_what_cannot_be_planned_is_refused(folder, run, arguments, words):
    code, out, err = run("preregister", "fit.nc", *arguments, "--out", "march.json")
    assert (code, out) == (2, "") and words in err
    assert not (folder / "march.json").exists()


def test_published_constants_are_refused(folder, run):
    made = run("preregister", "hoffmann2022", *BIG, "--out", "march.json")
    refused(made, "published constants", "preregister needs a saved fit")
