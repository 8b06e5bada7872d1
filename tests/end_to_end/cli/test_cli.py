"""The command line: listings, checks, fits, JSON, warnings and interruptions."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from end_to_end.cli.refusals import refused


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("datasets", "none stated"),
        ("models", "kaplan-nd"),
        ("laws", "n_unique_tokens"),
        ("published", "steplaw2025"),
    ],
)
def test_listings(run, command, words):
    code, out, _ = run(command)
    assert code == 0
    assert words in out
    code, out, _ = run(command, "--json")
    assert code == 0
    assert len(json.loads(out)) >= 2


def test_check(run, tmp_path):
    code, out, _ = run("check", "chinchilla")
    assert code == 0
    assert "240 runs" in out
    assert "5 flagged outliers left out" in out
    facts = json.loads(run("check", "chinchilla", "--keep-outliers", "--json")[1])
    assert facts["runs"] == 245
    table = tmp_path / "mine.csv"
    table.write_text("size,D,loss\n1e9,2e10,3\n", encoding="utf-8")
    refused(run("check", str(table)), "Found 1 runs")
    refused(run("check", str(table), "--column", "n_params"), "expected NAME=COLUMN")
    refused(run("check", str(table), "--column", "n_params=N"), "no column 'N'")


def test_fit_allocate_predict_report(run, tmp_path):
    out_file, page = str(tmp_path / "fit.nc"), str(tmp_path / "report.html")
    code, out, err = run(
        *("fit", "chinchilla", "--model", "chinchilla", "--seed", "1", "--out", out_file),
        *("--budget", "1e21", "--budget", "5.76e23", "--report", page),
    )
    assert code == 0
    assert "All gates passed." in out and "R-hat" not in out
    assert f"fit: {out_file}" in out
    assert f"report: {page}" in out
    assert "sampling, 4 chains" in err, "the progress bar"
    assert "71." in out

    code, out, _ = run("allocate", out_file, "--budget", "5.76e23", "--prob", "0.5")
    assert code == 0
    assert "Median and 50 % equal-tailed interval" in out
    code, out, _ = run("predict", out_file, "--n-params", "7B", "--n-tokens", "2T")
    assert code == 0
    assert "2.06" in out
    text = str(tmp_path / "report.md")
    code, out, _ = run("report", out_file, "--budget", "1e22", "--out", text)
    assert code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit.nc", "report.html", "report.md"]


@pytest.mark.slow
def test_json_everywhere(run, saved, tmp_path):
    code, out, err = run(
        "fit", "chinchilla", "--model", "chinchilla", "--seed", "1", "--json", "--budget", "1e22"
    )
    assert code == 0
    facts = json.loads(out)
    said = {column["name"]: column for column in facts["read"]["columns"]}
    assert said["loss"]["unit_from"] == "card" and said["n_tokens"]["base"] == "tokens"
    assert facts["read"]["rows"] == 245 and len(facts["read"]["left_out"][0]["rows"]) == 5
    assert facts["passed"] is True
    assert facts["allocation"][0]["budget"] == 1e22
    assert err == ""
    facts = json.loads(run("allocate", saved, "--budget", "1e21", "--json")[1])
    assert facts["allocation"][0]["n_opt_lower"] < facts["allocation"][0]["n_opt"]
    facts = json.loads(run("predict", saved, "--n-params", "7B", "--n-tokens", "2T", "--json")[1])
    assert facts["predictions"][0]["n_tokens"] == 2e12
    page = str(tmp_path / "r.html")
    facts = json.loads(run("report", saved, "--budget", "1e22", "--out", page, "--json")[1])
    assert facts == {"passed": True, "report": page}
    text = str(tmp_path / "r.json")
    plan = ("--plan", "mine=7B,200B")
    assert run("report", saved, "--budget", "1e22", *plan, "--out", text)[0] == 0
    plans = json.loads(Path(text).read_text())["sections"]["alternatives"]["tables"][0]["rows"]
    assert [row["plan"] for row in plans][-1] == "mine"


def test_a_law_of_one_variable(run, tmp_path):
    out = str(tmp_path / "c.nc")
    refused(
        run("fit", "chinchilla", "--model", "power-law-floor", "--budget", "1e21", "--out", out),
        "a budget cannot be split between size and tokens",
    )
    code, said, _ = run(
        "fit", "chinchilla", "--model", "power-law-floor", "--seed", "1", "--out", out
    )
    assert code == 0
    assert "alpha" in said
    code, said, _ = run("predict", out, "--at", "compute=1e21", "--at", "compute=1e22")
    assert code == 0
    assert "1e22 FLOP" in said
    refused(run("predict", out, "--at", "compute"), "expected NAME=AMOUNT")
    refused(run("predict", out, "--n-params", "7B"), "plans: found n_params, expected compute")


@pytest.mark.slow
def test_a_failed_fit_is_the_first_line(run, failed_fit, tmp_path):
    path = str(tmp_path / "bad.nc")
    failed_fit.save(path)
    page = str(tmp_path / "r.html")
    for arguments in (
        ("allocate", path, "--budget", "1e21"),
        ("predict", path, "--n-params", "7B", "--n-tokens", "2T"),
        ("report", path, "--budget", "1e21", "--out", page),
        ("decide", path, "--budget", "1e21"),
        ("next", path, "--target", "1e23", "--budget", "1e21", "--n-runs", "1"),
    ):
        code, out, _ = run(*arguments)
        assert code == 0
        assert out.startswith("THIS FIT FAILED ITS GATES"), arguments
    assert json.loads(run("allocate", path, "--budget", "1e21", "--json")[1])["passed"] is False


def test_warnings_are_shown_plainly(run, saved, tmp_path):
    table = tmp_path / "m.csv"
    rows = [f"{n:g},{d:g},{6 * n * d * 1.5:g},{3 - i / 9}" for i, (n, d) in enumerate(
        (n, d) for n in (1e8, 3e8, 1e9, 3e9, 1e10) for d in (1e9, 1e10, 1e11))]  # fmt: skip
    table.write_text("N,D,C,loss\n" + "\n".join(rows), encoding="utf-8")
    code, out, err = run("check", str(table))
    assert code == 0
    assert "ready to fit" in out
    assert out.count("caution: compute differs from 6ND") == 1 and err == ""
    code, _, err = run("score", saved, str(table))
    assert code == 0
    assert err.startswith("warning: m.csv: compute differs from 6ND")
    assert err.count("differs from 6ND") == 1


def test_version(run):
    from bayescale import __version__

    assert run("--version") == (0, f"bayescale {__version__}\n", "")


SAYS_THAT_IT_SAMPLES = """
import sys
from bayescale.cli.main import main
from bayescale.inference.nutpie import CompiledLogp

sample = CompiledLogp.sample


def said(*arguments, **options):
    print("sampling", file=sys.stderr, flush=True)
    return sample(*arguments, **options)


CompiledLogp.sample = said
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_ctrl_c_leaves_a_message_and_the_older_file(tmp_path):
    out = tmp_path / "fit.nc"
    older = b"\x89HDF\r\n\x1a\n" + b"a fit that was saved before"
    out.write_bytes(older)
    with subprocess.Popen(
        [
            *(sys.executable, "-c", SAYS_THAT_IT_SAMPLES, "fit", "chinchilla"),
            *("--model", "chinchilla", "--draws", "3000000", "--out", str(out)),
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
    ) as process:
        # Independent of the time to start and to compile on this machine.
        assert any(line == "sampling\n" for line in process.stderr)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert printed == ""
    assert "bayescale: interrupted; nothing was written" in said
    assert "Traceback" not in said
    assert out.read_bytes() == older
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]


@pytest.mark.slow
def test_a_closed_pipe_is_quiet():
    shell = f"{sys.executable} -m bayescale laws | head -c 1"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_any_column_is_the_variable_of_a_law_of_one(run, tmp_path):
    path = tmp_path / "curve.csv"
    steps = np.geomspace(1e3, 1e6, 12)
    path.write_text("steps,loss\n" + "\n".join(f"{x:.0f},{2 + 9 * x**-0.3:.5f}" for x in steps))
    code, out, _ = run("check", str(path), "--model", "power-law-floor", "--column", "x=steps")
    assert code == 0
    assert "steps 1.00K to 1.00M" in out
    thousands = ("--column", "x=steps", "--unit", "x=K")
    assert "steps 1.00M to 1.00B" in run("check", str(path), "--model", "power-law", *thousands)[1]
    refused(run("check", str(path), "--model", "power-law"), "--column x=NAME")
    refused(run("check", "chinchilla", "--column", "x=n_params"), "for laws of one variable")
