"""The commands allocate, decide, next and plan."""

import json

import pytest
from contract.fits import fit_of_card
from end_to_end.cli.refusals import refused
from json_outputs import check_json


def test_published_constants_can_be_asked(run):
    code, out, _ = run("allocate", "hoffmann2022", "--budget", "5.76e23")
    assert code == 0
    assert "32.2B" in out
    refused(run("allocate", "kaplan2020-frontier", "--budget", "1e21"), "C_min")


BUDGET = ("--budget", "5.76e23")
CLUSTER = ("--gpus", "2048", "--gpu", "H100-SXM", "--utilisation", "0.4", "--price", "$2")


def test_decide(run, saved):
    plans = ("--plan", "7B,2T", "--plan", "as published=70B,1.4T")
    code, out, _ = run("decide", saved, *BUDGET, *plans, *CLUSTER, "--serving-tokens", "5T")
    assert code == 0
    assert out.startswith("Train 71.") and out.splitlines()[-1].startswith("chinchilla law")
    assert "on 2,048 GPUs at 40 %." in out
    assert "the expected value of perfect information about the law" in out
    assert max(map(len, out.splitlines()[-14:-1])) < 100, "plans side by side fit on a screen"
    heading = next(line for line in out.splitlines() if "recommended" in line)
    assert heading.split() == ["plan", "recommended", "7B", "on", "2T", "as", "published"]
    assert "A limit" not in out
    facts = json.loads(run("decide", saved, *BUDGET, *plans, "--json")[1])
    assert facts["passed"] is True and facts["unit"] == "FLOP"
    assert [row["plan"] for row in facts["plans"]] == ["recommended", "7B on 2T", "as published"]
    assert [row["p_best"] is None for row in facts["plans"]] == [False, True, False]
    narrow, wide = (band["lower"] for band in facts["bands"][:2])
    assert wide < 7e10 and (narrow is None or narrow > wide)
    assert facts["evpi"]["share"] == facts["plans"][0]["regret"]


def test_decide_under_costs_and_limits(run, saved):
    money = ("--budget", "$2M", *CLUSTER, "--lifetime", "--serving-tokens", "5T")
    code, out, _ = run("decide", saved, *money)
    assert code == 0
    assert "for $2.00M of training and serving 5.00T tokens" in out
    short = run("decide", saved, *BUDGET, *CLUSTER, "--max-days", "5", "--quantile", "0.9")[1]
    assert "at most 5 days on 2,048 GPUs at 40 %" in short
    assert "the least 90 % quantile of regret" in short
    shapes = ("--vocabulary", "128000", "--context", "8192", "--max-params", "40B")
    code, out, _ = run("decide", "besiroglu2024", *BUDGET, *shapes)
    assert code == 0
    assert "Train 40.0B parameters" in out
    repeated = ("--at", "n_unique_tokens=25B")
    code, out, _ = run("decide", "muennighoff2023", "--budget", "1e22", *repeated)
    assert code == 0
    assert "Train 7.0" in out
    refused(run("decide", "muennighoff2023", "--budget", "1e22"), "also takes n_unique_tokens")
    code, out, _ = run("allocate", "muennighoff2023", "--budget", "1e22", *repeated)
    assert code == 0
    assert "7.03B" in out


def test_next(run, saved, tmp_path):
    asked = ("next", saved, "--target", "5.76e23", "--budget", "1e22", "--n-runs", "2")
    code, out, _ = run(*asked, *CLUSTER)
    assert code == 0
    assert "expected to reduce the expected regret at 5.76e23 FLOP" in out
    assert "with a Monte Carlo standard error of" in out
    facts = json.loads(run(*asked, "--json")[1])
    assert facts["passed"] is True
    assert len(facts["runs"]) == 2 and facts["mcse"] < facts["reduction"]
    table = tmp_path / "runs.csv"
    table.write_text("n_params,n_tokens\n1B,20B\n2B,300B\n", encoding="utf-8")
    one = json.loads(run(*asked, "--candidates", str(table), "--objective", "size", "--json")[1])
    assert {row["n_params"] for row in one["runs"]} <= {1e9, 2e9}
    plan = ("next", saved, "--target-plan", "70B,1.4T", "--budget", "1e22")
    code, out, _ = run(*plan, "--candidate", "1B,20B", "--candidate", "2B,300B")
    assert code == 0
    assert "variance of ln loss of 70.0B on 1.40T tokens" in out


@pytest.mark.slow
def test_plan(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ("plan", "chinchilla", "--model", "chinchilla", "--seed", "1", "--budget", "1e22")
    code, out, err = run(*asked, "--plan", "7B,240B", "--save", "fit.nc", "--quiet")
    assert code == 0, err
    assert out.startswith("n_params is the column 'n_params'") and "report: report.html" in out
    assert "7B on 240B" in out
    assert (tmp_path / "report.html").is_file() and (tmp_path / "fit.nc").is_file()
    fit_of_card("critical-batch").save("batch.nc")
    asked = (*asked, "--critical-batch")
    code, out, err = run(*asked, "batch.nc", "--budget", "1e23", "--out", "plan.json", "--json")
    found = json.loads(out)
    assert code == 0, err
    assert found["passed"] and len(found["decisions"]) == 2 and found["report"] == "plan.json"
    check_json("plan", out)
    for decision in found["decisions"]:
        (batch,) = decision["critical_batch"]
        assert batch["n_tokens"] == pytest.approx(decision["plans"][0]["n_tokens"])
        assert batch["critical_batch_lower"] < batch["critical_batch"]
        assert batch["critical_batch"] < batch["critical_batch_upper"]
    _, out, _ = run(*asked, "batch.nc", "--quiet", "--out", "other.html")
    assert "critical batch (tokens) at the plan, by critical-batch law" in out
    refused(run(*asked, "fit.nc"), "found a fit of the law chinchilla, expected one of")
    refused(run("plan", "chinchilla", "--model", "power-law", "--budget", "1e22"), "expected one")
