"""Commands that fit many times: their output, stores and figures."""

import json

import numpy as np
import pytest
from end_to_end.cli.refusals import refused


@pytest.mark.slow
def test_expanding_window(run, tmp_path):
    figure = tmp_path / "cuts.png"
    asked = (
        "chinchilla",
        "--model",
        "chinchilla",
        "--budget",
        "5.76e23",
        "--draws",
        "200",
        "--quiet",
    )
    code, out, err = run("expanding-window", *asked, "--cut", "1e20", "--figure", str(figure))
    assert code == 0, err
    assert "- The answer changes with the range of the runs" in out
    assert out.splitlines()[-2].split()[:3] == ["all", "runs", "240"]
    assert figure.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run("expanding-window", *asked, "--cut", "1e20", "--json")
    found = json.loads(out)
    assert code == 0 and found["meet"] == {"a": False, "n_opt": False}
    assert [row["n_runs"] for row in found["cuts"]] == [136, 240]
    refused(run("expanding-window", *asked, "--cut", "1e40"), "found 240 of 240 runs")
    refused(
        run("expanding-window", *asked, "--cut", "1e20", "--workers", "0"), "--workers: found '0'"
    )
    nowhere = str(tmp_path / "none" / "figure.png")
    refused(run("expanding-window", *asked, "--cut", "1e20", "--figure", nowhere), "does not exist")


@pytest.mark.slow
def test_calibrate(run, tmp_path):
    store = tmp_path / "fits.jsonl"
    asked = ("chinchilla", "chinchilla", "--cut", "1e20", "--cut", "1e21")
    quick = ("--draws", "200", "--store", str(store), "--quiet")
    code, out, err = run("calibrate", *asked, *quick, "--json")
    assert code == 0, err
    rows = json.loads(out)["larger runs held out"]
    assert [row["cut"] for row in rows] == [1e20, 1e21]
    assert all(0 <= row["coverage_90"] <= 1 and row["n_test"] > 0 for row in rows)
    kept = store.read_text(encoding="utf-8")
    code, out, _ = run("calibrate", *asked, *quick)
    assert code == 0 and out.startswith("larger runs held out:")
    assert store.read_text(encoding="utf-8") == kept, "nothing was fitted again"
    code, out, err = run(
        "calibrate", "chinchilla", "chinchilla", "--simulations", "2", "--quiet", "--json"
    )
    assert code == 0, err
    ranks = {row["quantity"]: row for row in json.loads(out)["chinchilla"]}
    assert {"E", "alpha", "beta"} <= set(ranks)
    assert all(0 <= row["mean_rank"] <= 1 for row in ranks.values())


@pytest.mark.slow
def test_multiverse(run, tmp_path):
    store = tmp_path / "fits.jsonl"
    asked = ("chinchilla", "--model", "chinchilla", "--budget", "1e24", "--question", "outliers")
    quick = ("--draws", "200", "--quiet", "--store", str(store))
    code, out, err = run("multiverse", *asked, *quick)
    assert code == 0, err
    assert out.splitlines()[-1].startswith("2 fits to chinchilla: outliers.")
    assert "kept" in out
    code, out, _ = run("multiverse", *asked, *quick, "--json")
    found = json.loads(out)
    assert code == 0 and len(found["combinations"]) == 2
    assert [row["n_runs"] for row in found["combinations"]] == [240, 245]
    assert len(store.read_text(encoding="utf-8").splitlines()) == 2
    wrong = ("chinchilla", "--model", "chinchilla", "--budget", "1e24", "--question", "outlier")
    refused(run("multiverse", *wrong), "Did you mean 'outliers'?")


@pytest.mark.slow
def test_floors(run, tmp_path):
    figure = tmp_path / "floors.png"
    asked = ("forecast-by-floor", "chinchilla", "--model", "chinchilla", "--budget", "1e24")
    quick = ("--draws", "200", "--quiet", "--store", str(tmp_path / "fits.jsonl"))
    floors = ("--floor", "1.75", "--floor", "1.85 +- 0.01")
    code, out, err = run(*asked, *floors, *quick, "--figure", str(figure))
    assert code == 0, err
    assert out.splitlines()[-1].startswith("loss at n_params = ") and "for 2 assumed floors." in out
    assert figure.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run(*asked, *floors, *quick, "--json")
    found = json.loads(out)
    assert code == 0 and [row["stated"] for row in found["floors"]] == [None, 1.75, 1.85]
    assert set(found["plan"]) == {"n_params", "n_tokens"}
    for wrong in ("low", "-1", "1.7 +- 0", "1.7 +-", "nan"):
        refused(run(*asked, f"--floor={wrong}"), "expected a positive floor such as 1.7")
    refused(
        run("fit", "chinchilla", "--model", "kaplan-nd", "--floor", "1.7"),
        "has no parameter that is",
    )
    stated = ("--floor", "1.7 +- 0.01", "--draws", "200", "--quiet", "--json")
    code, out, err = run("fit", "chinchilla", "--model", "chinchilla", *stated)
    assert code == 0, err
    (floor,) = (row for row in json.loads(out)["summary"] if "E" in row.values())
    assert floor["median"] < 1.8


def test_reconcile(run, tmp_path):
    import pandas as pd

    import bayescale as bs

    size, tokens = (
        x.ravel() for x in np.meshgrid(np.geomspace(3e6, 3e9, 18), np.geomspace(1e8, 1e12, 60))
    )
    truth = bs.published("besiroglu2024").parameters
    loss = bs.law("chinchilla").evaluate(n_params=size, n_tokens=tokens, **truth)
    table = pd.DataFrame({"run": size.astype(str), "N": size, "D": tokens, "loss": loss})
    path, figure = tmp_path / "curves.csv", tmp_path / "ladder.png"
    table.assign(good=1).to_csv(path, index=False)
    code, out, err = run("reconcile", str(path), "--figure", str(figure), "--where", "good == 1")
    assert code == 0, err
    assert "counting" in out and "embeddings and the head" in out
    assert figure.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run("reconcile", str(path), "--json")
    steps = json.loads(out)["steps"]
    assert code == 0 and [row["step"] for row in steps][:2] == ["Kaplan's way", "counting"]
    assert steps[0]["change"] is None and abs(steps[1]["a"] - 0.51) < 0.01
    refused(run("reconcile", str(path), "--by", "corpus"), "found no column 'corpus'")
    refused(run("reconcile", str(path), "--counted", "totl"), "Did you mean 'total'?")
