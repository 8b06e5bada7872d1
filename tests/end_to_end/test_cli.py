import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from contract.fits import fit_of_card
from json_outputs import check_json

from bayescale.errors import BayescaleWarning


@pytest.fixture(scope="module")
def saved(fit, tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "fit.nc"
    fit.save(path)
    return str(path)


@pytest.fixture
def run(run):
    def call(*arguments: str) -> tuple[int, str, str]:
        # What the command line shows of warnings is a matter of these tests.
        with warnings.catch_warnings():
            warnings.simplefilter("always", BayescaleWarning)
            return run(*arguments)

    return call


def refused(result, *words: str) -> None:
    code, out, err = result
    assert code == 2
    assert out == ""
    assert err.startswith("bayescale: ")
    assert err.count("\n") == 1, "one sentence"
    assert "Traceback" not in err
    for word in words:
        assert word in err


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
    code, out, _ = run("report", out_file, "--budget", "1e22", "--out", page)
    assert code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit.nc", "report.html"]


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
    assert "1e+22" in said.split()
    refused(run("predict", out, "--at", "compute"), "expected NAME=AMOUNT")
    refused(run("predict", out, "--n-params", "7B"), "plans: found n_params, expected compute")


def test_published_constants_can_be_asked(run):
    code, out, _ = run("allocate", "hoffmann2022", "--budget", "5.76e23")
    assert code == 0
    assert "32.2B" in out
    refused(run("allocate", "kaplan2020-frontier", "--budget", "1e21"), "C_min")


CLUSTER = ("--gpus", "2048", "--gpu", "H100-SXM", "--utilisation", "0.4", "--price", "$2")
BUDGET = ("--budget", "5.76e23")


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
    asked = ("next", saved, "--target", "5.76e23", "--budget", "1e22", "--runs", "2")
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("decide", "FIT"), "the following arguments are required: --budget"),
        (("decide", "FIT", "--compute", "1e22"), "found an earlier name, expected --budget"),
        (("decide", "FIT", "--money=$2M"), "found an earlier name, expected --budget"),
        (("allocate", "FIT", "--budget", "$2M", "--budget", "1e22"), "expected all of one unit"),
        (("decide", "FIT", *BUDGET, "--plan", "7B"), "--plan: found '7B'"),
        (("decide", "FIT", *BUDGET, "--plan", "7B,x"), "n_tokens: found 'x'"),
        (("decide", "FIT", *BUDGET, "--plan", "a=7B,2T", "--plan", "a=1B,2T"), "found a twice"),
        (("decide", "FIT", *BUDGET, "--quantile", "2"), "quantile: found 2.0"),
        (
            ("decide", "FIT", "--budget", "$2M"),
            "also give --gpus, --gpu, --utilisation and --price",
        ),
        (("decide", "FIT", *BUDGET, "--gpus", "8"), "a cluster needs --gpus, --gpu"),
        (("decide", "FIT", *BUDGET, "--price", "2"), "the price is per GPU-hour of a cluster"),
        (("decide", "FIT", *BUDGET, "--lifetime"), "also give --serving-tokens"),
        (("decide", "FIT", *BUDGET, "--max-days", "3"), "the duration depends on the cluster"),
        (("decide", "FIT", *BUDGET, "--at", "x"), "expected NAME=AMOUNT"),
        (("decide", "kaplan2020-frontier", *BUDGET), "is a frontier that a paper gives, not a law"),
        (("next", "FIT", "--budget", "1e22"), "one of the arguments --target --target-plan"),
        (("next", "FIT", "--target", "1e23", "--budget", "x"), "budget: found 'x'"),
        (("next", "FIT", "--target", "x", "--budget", "1e22"), "target: found 'x'"),
        (
            ("allocate", "FIT", *BUDGET, "--prob", "0.5", "--prob", "0.9"),
            "--prob: found twice, as 0.5 and as 0.9",
        ),
        (
            ("predict", "FIT", "--n-params", "1B", "--n-tokens", "2T", "--at", "n_tokens=9T"),
            "found n_tokens twice",
        ),
        (("next", "FIT", "--target-plan", "7B", "--budget", "1e22"), "--target-plan: found '7B'"),
        (
            ("next", "FIT", "--target", "1e23", "--budget", "1e22", "--candidates", "no.csv"),
            "no such file",
        ),
        (
            (
                "next",
                "FIT",
                "--target",
                "1e23",
                "--budget",
                "1e22",
                "--candidate",
                "1B,1B",
                "--candidates",
                "x",
            ),
            "found --candidate too; give one of the two",
        ),
    ],
    ids=lambda value: " ".join(value[2:]) or "nothing" if isinstance(value, tuple) else None,
)
def test_bad_questions_are_one_sentence(run, saved, arguments, words):
    refused(run(*(saved if a == "FIT" else a for a in arguments)), words)


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
        ("next", path, "--target", "1e23", "--budget", "1e21", "--runs", "1"),
    ):
        code, out, _ = run(*arguments)
        assert code == 0
        assert out.startswith("THIS FIT FAILED ITS GATES"), arguments
    assert json.loads(run("allocate", path, "--budget", "1e21", "--json")[1])["passed"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fit", "chinchilla", "--model", "chinchila"), "Did you mean 'chinchilla'"),
        (("fit", "chinchila", "--model", "chinchilla"), "no dataset called 'chinchila'"),
        (("fit", "nothing.csv", "--model", "chinchilla"), "no such file"),
        (("fit", "chinchilla", "--model", "nothing.toml"), "no such card"),
        (("fit", "chinchilla", "--model", "chinchilla", "--budget", "lots"), "found 'lots'"),
        (
            ("fit", "chinchilla", "--model", "chinchilla", "--budget=-1e21"),
            "expected a positive amount",
        ),
        (("fit", "chinchilla", "--model", "chinchilla", "--prob", "1.5"), "expected a probability"),
        (
            ("fit", "chinchilla", "--model", "chinchilla", "--out", "no/such/fit.nc"),
            "does not exist",
        ),
        (("fit", "chinchilla", "--model", "chinchilla", "--out", "."), "is a folder"),
        (
            ("fit", "chinchilla", "--model", "chinchilla", "--report", "r.html"),
            "also give --budget",
        ),
        (
            (
                "fit",
                "chinchilla",
                "--model",
                "chinchilla",
                "--budget",
                "1e21",
                "--report",
                "r.pdf",
            ),
            "found the suffix '.pdf', expected one of .html",
        ),
        (("fit", "chinchilla", "--model", "chinchilla", "--draws", "0"), "draws: found '0'"),
        (("fit",), "required"),
        (("allocate", "nothing.nc", "--budget", "1e21"), "no such file"),
        (("predict", "nothing.nc", "--n-params", "7B", "--n-tokens", "2T"), "no such file"),
        (("dance",), "invalid choice"),
        ((), "required"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, tuple) else None,
)
def test_bad_input_is_one_sentence_and_exit_code_2(run, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(run(*arguments), words)
    assert list(tmp_path.iterdir()) == []


def test_bad_plans_and_budgets_of_a_saved_fit(run, saved, tmp_path):
    refused(run("allocate", saved, "--budget", "0"), "found '0'")
    refused(run("predict", saved, "--n-params", "x", "--n-tokens", "2T"), "n_params: found 'x'")
    refused(run("predict", saved, "--n-params", "7B"), "expected n_params, n_tokens")
    refused(run("allocate", saved, "--budget", "1e21", "--prob", "0"), "prob: found '0'")
    page = tmp_path / "r.html"
    refused(run("report", saved, "--budget", "x", "--out", str(page)), "found 'x'")
    assert not page.exists()


def test_a_full_disk_is_one_sentence(run, saved, tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    page = tmp_path / "r.html"
    refused(
        run("report", saved, "--budget", "1e21", "--out", str(page), "--quiet"),
        "No space left on device",
    )
    assert list(tmp_path.iterdir()) == []


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
        # However long it takes to start and to compile on this machine.
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
    import numpy as np
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


@pytest.mark.parametrize(
    "command",
    [
        ("compare", "{a}.nc", "{b}.nc"),
        ("speedup", "{a}.nc", "{b}.nc", "--baseline", "same", "--budget", "1e22"),
        ("mixture", "{a}.nc", "{b}.nc"),
        (
            "first-sweep",
            *("--budget", "1e20", "--target", "1e22"),
            *("--design", "{a}.csv", "--design", "{b}.csv"),
        ),
    ],
    ids=lambda command: command[0],
)
def test_files_that_are_told_apart_by_name_need_different_ones(run, tmp_path, command):
    a, b = tmp_path / "one" / "same", tmp_path / "two" / "same"
    for path in (a, b):
        path.parent.mkdir()
        for suffix in (".nc", ".csv"):
            path.with_suffix(suffix).write_text("n_params,n_tokens\n1e8,2e9\n")
    asked = run(*(part.format(a=a, b=b) for part in command))
    refused(asked, "expected files of different names")
