"""Published constants with every command: a result without intervals, or a refusal."""

import json

import numpy as np
import pandas as pd
import pytest
from json_outputs import check_json

import bayescale as bs
from bayescale.cli.main import main
from bayescale.data.column_units import BASES
from bayescale.laws.constants import Constants
from bayescale.laws.published import PUBLISHED

CONSTANTS = {name: found for name, found in PUBLISHED.items() if isinstance(found, Constants)}
FRONTIERS = [name for name, found in PUBLISHED.items() if not isinstance(found, Constants)]
OF_PLANS = ("allocate", "decide")
REFUSED = ("next", "preregister", "speedup")
"""Commands that need draws or runs."""

TYPICAL = {
    "n_params": 1e9,
    "n_tokens": 2e10,
    "compute": 1.2e20,
    "n_steps": 1e4,
    "batch_tokens": 1e6,
    "n_unique_tokens": 1e10,
    "n_experts": 8.0,
    "activation_ratio": 0.125,
    "granularity": 8.0,
    "loss": 2.5,
}
"""Amounts of inputs; any other is one thousand."""

OWN = {"n_params", "n_tokens", "n_steps"}


def amounts_of(name: str) -> dict[str, float]:
    found = CONSTANTS[name]
    return {column: TYPICAL.get(column, 1e3) for column in found.columns.values()}


def arguments_of(command: str, name: str, folder: str) -> list[str]:
    """Return a command on published constants, at one budget or one point."""
    law, amounts = bs.law(CONSTANTS[name].law), amounts_of(name)
    at = [word for column, x in amounts.items() for word in ("--at", f"{column}={x:g}")]
    fixed = [
        word
        for column, x in amounts.items()
        if column not in OWN and law.splits_compute
        for word in ("--at", f"{column}={x:g}")
    ]
    budget = ["--budget", "1e21", *fixed]
    if command == "score":
        response = law.response
        table = pd.DataFrame({column: x * np.array([0.9, 1, 1.1]) for column, x in amounts.items()})
        table[response] = law.evaluate(
            **{n: table[c].to_numpy() for n, c in CONSTANTS[name].columns.items()},
            **CONSTANTS[name].parameters,
        )
        table.to_csv(f"{folder}/runs.csv", index=False)
        units = [w for c in table if c in BASES for w in ("--unit", f"{c}={BASES[c]}")]
        return ["score", name, f"{folder}/runs.csv", *units]
    typical = bs.predict(CONSTANTS[name], inputs=amounts)[law.response].item()
    return {
        "predict": ["predict", name, *at],
        "allocate": ["allocate", name, *budget],
        "decide": ["decide", name, *budget],
        "requirements": ["requirements", name, "--n-params", "1B", *fixed]
        if law.splits_compute
        else ["requirements", name, "--loss", f"{typical:.4g}", *at[2:]],
        "report": ["report", name, "--out", f"{folder}/report.json"]
        + (budget if law.splits_compute else at),
        "export": ["export", name],
        "next": ["next", name, "--target", "1e21", "--budget", "1e20", *fixed],
        "preregister": ["preregister", name, "--name", "a", *at, "--out", f"{folder}/a.json"],
        "speedup": ["speedup", name, "--baseline", "a", "--budget", "1e21"],
    }[command]


@pytest.mark.parametrize(
    "command", ["predict", *OF_PLANS, "requirements", "report", "score", "export", *REFUSED]
)
@pytest.mark.parametrize("name", CONSTANTS)
def test_a_command_answers_without_an_interval_or_says_why_not(name, command, tmp_path, capsys):
    arguments = arguments_of(command, name, str(tmp_path))
    refused = command in REFUSED
    refused |= command in OF_PLANS and not bs.law(CONSTANTS[name].law).splits_compute
    code = main([*arguments, "--quiet"])
    out, err = capsys.readouterr()
    if refused:
        assert code == 2 and not out
        assert err.startswith("bayescale: ") and err.count("\n") == 1
        return
    assert code == 0, err
    assert out.rstrip().splitlines()[-1].startswith(CONSTANTS[name].description)
    assert "90 %" not in out and "interval" not in out and "R-hat" not in out
    code = main([*arguments, "--quiet", "--json"])
    out = capsys.readouterr().out
    check_json(command, out)
    assert code == 0 and json.loads(out)["passed"] is None
    assert "_lower" not in out and "_quantile" not in out
    if command == "report":
        check_json("report.json", (tmp_path / "report.json").read_text())
        check_report(name, json.loads((tmp_path / "report.json").read_text()))


def check_report(name: str, record: dict) -> None:
    found, law = CONSTANTS[name], bs.law(CONSTANTS[name].law)
    assert record["passed"] is None and record["light"] == "amber"
    assert record["description"].startswith(found.description)
    assert not found.note or f"Of the source: {found.note}." in record["caveats"]
    (answer,) = record["answers"]
    if law.splits_compute:
        fixed = {c: x for c, x in amounts_of(name).items() if c not in OWN}
        plan = bs.allocate(found, budget=1e21, fixed=fixed).recommended.iloc[0]
        assert answer["n_params"] == pytest.approx(plan["n_params"])
    else:
        value = bs.predict(found, inputs=amounts_of(name))[law.response].item()
        assert answer[law.response] == pytest.approx(value)
    assert "_lower" not in json.dumps(record) and "interval_" not in json.dumps(record)
    listed = record["sections"]["parameters"]["tables"][0]["rows"]
    assert {row["quantity"]: row["value"] for row in listed} == dict(found.parameters)


@pytest.mark.parametrize("name", FRONTIERS)
@pytest.mark.parametrize("command", ["allocate", "report", "next"])
def test_a_frontier_is_no_law(name, command, tmp_path, capsys):
    asked = {
        "allocate": ("--budget", "1e21"),
        "report": ("--budget", "1e21", "--out", str(tmp_path / "r.md")),
        "next": ("--target", "1e21", "--budget", "1e20"),
    }[command]
    assert main([command, name, *asked, "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert not out and f"{name} is a frontier that a paper gives, not a law" in err


@pytest.mark.parametrize("suffix", [".html", ".md"])
def test_a_report_of_constants_reads_as_one(suffix, tmp_path):
    path = tmp_path / f"report{suffix}"
    plans = {"mine": ("1B", "20B")}
    text = bs.report(bs.published("kaplan2020-nd"), path, budget="1e21", plans=plans).read_text()
    assert "Of the source: N without embeddings" in text
    assert "single numbers" in text and "mine" in text
    assert "90 %" not in text.replace("\N{NO-BREAK SPACE}", " ")


def test_what_constants_cannot_have_is_refused(tmp_path):
    paper = bs.published("besiroglu2024")
    with pytest.raises(bs.UnsuitableLawError, match="full: found besiroglu2024, published"):
        bs.report(paper, tmp_path / "r.md", budget="1e21", full=True)
    with pytest.raises(bs.UnsuitableLawError, match="New runs do not change published"):
        bs.next_runs(paper, target="1e21", budget="1e20")
