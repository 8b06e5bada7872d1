"""The command that compares laws."""

import json

import pytest


@pytest.fixture(scope="module")
def saved(law_fits, tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("compare")
    paths = []
    for name in ("kaplan-nd", "coupled"):
        paths.append(str(folder / f"{name}.nc"))
        law_fits[name].save(paths[-1])
    return paths


@pytest.mark.slow
def test_saved_fits(run, saved, tmp_path):
    figures = tmp_path / "figures"
    code, out, err = run(
        "compare", *saved, "--figures", str(figures), "--quiet", "--budget", "1e23"
    )
    assert (code, err) == (0, "")
    assert "Runs left out one by one: coupled predicts best; kaplan-nd is worse" in out
    assert "early-stopped runs" in out, "the caveat of Kaplan's law"
    assert "Optimum of 1e23 under each law" in out
    assert "the costliest error" in out
    assert "Elasticities at the centre" in out
    assert {path.name for path in figures.iterdir()} == {
        "scores.png",
        "residuals-kaplan-nd.png",
        "residuals-coupled.png",
        "elasticities.png",
        "cross-regret.png",
        "coupling.png",
    }


@pytest.mark.slow
def test_json(run, saved):
    code, out, err = run("compare", *saved, "--json", "--cut", "1e20", "--cut", "1e21")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["cuts"] == [1e20, 1e21]
    assert facts["weights"]["coupled"] > 0.5
    assert {row["model"] for row in facts["table"]} == {"kaplan-nd", "coupled"}
    # Ten times the largest run.
    assert facts["allocation"][0]["budget"] == 1.3e23
    assert len(facts["cross_regret"]) == 9
    assert facts["caveats"]


def test_what_is_refused(run, saved):
    for arguments, words in (
        (["chinchilla"], "expected the runs that cards are fitted to"),
        ([saved[0], "chinchilla"], "expected either saved fits"),
        ([saved[0], "--runs", "chinchilla"], "expected either saved fits"),
        (["chinchila", "--runs", "chinchilla"], "Did you mean 'chinchilla'"),
        (["chinchilla", "--runs", "chinchilla", "--budget", "much"], "--budget"),
        (["chinchilla", "--runs", "chinchilla", "--folds", "1"], "folds: found 1"),
    ):
        code, out, err = run("compare", *arguments, "--quiet")
        assert (code, out) == (2, "")
        assert words in err


@pytest.mark.slow
def test_cards_of_one_variable(run, tmp_path):
    """A curve that breaks: the plain power law loses, and there is nothing to allocate."""
    import numpy as np
    import pandas as pd

    import bayescale as bs

    x = np.geomspace(1e18, 1e23, 60)
    # Beyond the cuts the plain power law is off by many times the noise, whatever the draws.
    truth = {"a": 0.6, "b": 40, "c0": 0.06, "c1": 0.15, "d1": 3e20, "f1": 0.3}
    loss = bs.law("broken-power-law-1").evaluate(x=x, **truth)
    noise = np.exp(0.003 * np.random.default_rng(2).standard_normal(60))
    path = tmp_path / "curve.csv"
    pd.DataFrame({"compute": x, "loss": loss * noise}).to_csv(path, index=False)
    cards = ("power-law", "broken-power-law-1")
    code, out, _ = run("compare", *cards, "--runs", str(path), "--quiet", "--seed", "1")
    assert code == 0
    assert "Larger scales support broken-power-law-1" in out
    assert "Optimum" not in out


def test_fitting_kaplans_law_prints_its_caveat(run):
    code, out, _ = run(
        "fit", "chinchilla", "--model", "kaplan-nd", "--seed", "1", "--quiet", "--draws", "200"
    )
    assert code == 0
    assert "made for early-stopped runs" in out
