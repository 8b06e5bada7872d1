"""Wrong commands print one sentence, exit with code 2 and write nothing."""

from pathlib import Path

import pytest
from end_to_end.cli.refusals import refused

BUDGET = ("--budget", "5.76e23")


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
            "found --candidate too; give one of them",
        ),
    ],
    ids=lambda value: " ".join(value[2:]) or "nothing" if isinstance(value, tuple) else None,
)
def test_bad_questions_are_one_sentence(run, saved, arguments, words):
    refused(run(*(saved if a == "FIT" else a for a in arguments)), words)


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
    page = tmp_path / "r.md"
    refused(
        run("report", saved, "--budget", "1e21", "--out", str(page), "--quiet"),
        "No space left on device",
    )
    assert list(tmp_path.iterdir()) == []


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
