"""The commands doctor and completion, and the option --quiet."""

import json
import shutil
import subprocess
import sys

import pytest

from bayescale.cli import doctor as installation
from bayescale.cli.commands.completion import SHELLS
from bayescale.cli.main import main


def script(shell, capsys) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def test_a_good_installation(capsys):
    assert main(["doctor", "--no-fit"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", name] for name in ("python", "packages", "compiler", "cache", "catalogue")
    ]


@pytest.mark.slow
def test_the_small_fit(capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert found["checks"][-1]["check"] == "fit"
    assert "all gates passed" in found["checks"][-1]["found"]


def test_problems_are_printed_and_fail(capsys, monkeypatch):
    requirements = ["numpy>=999", "no-such-package-here>=1", "scipy>=1; extra == 'other'"]
    monkeypatch.setattr(installation.metadata, "requires", lambda name: requirements)
    monkeypatch.setattr(installation, "OLDEST_PYTHON", (99, 0))
    assert main(["doctor", "--no-fit"]) == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 2
    assert "expected 3.12 or newer" in failed[0]
    assert "numpy is" in failed[1] and "expected >=999" in failed[1]
    assert "no-such-package-here is missing" in failed[1]
    assert "scipy" not in failed[1]


def test_a_cache_that_cannot_be_written_fails(monkeypatch, tmp_path):
    from pytensor.configdefaults import config

    monkeypatch.setattr(type(config), "compiledir", tmp_path / "not there", raising=False)
    with pytest.raises(RuntimeError, match="is not writable"):
        installation._cache()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("doc",), ["doctor"]),
        (("completion", "z"), ["zsh"]),
        (("fit", "overtr"), ["overtraining"]),
        (
            ("fit", "runs.csv", "--model", "kaplan-n"),
            ["kaplan-nd", "kaplan-nd-floor", "kaplan-ns", "kaplan-ns-min"],
        ),
        (("allocate", "--max-p"), ["--max-params"]),
        (("check", "overtr"), ["overtraining"]),
    ],
)
def test_bash_completes(words, offered, capsys, tmp_path):
    asked = (
        script("bash", capsys)
        + f"COMP_WORDS=(bayescale {' '.join(words)}); COMP_CWORD={len(words)}; _shtab_bayescale\n"
        + 'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-u", "-c", asked], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_hold_every_command_and_are_whole(shell, capsys):
    text = script(shell, capsys)
    for command in ("datasets", "fit", "allocate", "decide", "next", "report", "doctor"):
        assert command in text
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=text, text=True, check=True)


@pytest.mark.slow
def test_quiet_hides_warnings_and_not_errors(capsys, tmp_path):
    path = tmp_path / "runs.csv"
    rows = [
        f"{n:g},{d:g},{4 - 0.1 * i},{7 * n * d:g}"
        for i, (n, d) in enumerate(
            [
                (7e7, 1e9),
                (1e8, 3e9),
                (2e8, 2e9),
                (4e8, 9e9),
                (1e9, 5e9),
                (2e9, 4e10),
                (3e9, 9e9),
                (5e9, 8e10),
            ]
        )
    ]
    path.write_text("\n".join(["N,D,loss,C", *rows]), encoding="utf-8")
    code = (
        "import sys, warnings; warnings.simplefilter('always'); from bayescale.cli.main import main; "
        "sys.exit(main(sys.argv[1:]))"
    )

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )

    loud, quiet = run("check", str(path)), run("check", str(path), "--quiet")
    # Caveats are the result of `check`: each is printed once, on standard output only.
    assert loud.stderr == quiet.stderr == ""
    assert loud.stdout == quiet.stdout
    assert loud.stdout.count("differs from 6ND") == 1
    facts = run("check", str(path), "--json")
    assert facts.stderr == "" and facts.stdout.count("differs from 6ND") == 1
    # Other commands warn of them, unless --quiet is given.
    refused = ("reconcile", str(path), "--by", "corpus")
    loud, quiet = run(*refused), run(*refused, "--quiet")
    assert "warning: runs.csv: compute differs from 6ND" in loud.stderr
    assert "differs from 6ND" not in quiet.stderr
    assert quiet.stderr.count("\n") == 1 and "found no column 'corpus'" in quiet.stderr
    assert "there is no such file" in run("check", "missing.csv", "--quiet").stderr


def test_what_goes_to_a_file_has_no_colours(capsys):
    assert main(["models"]) == 0
    assert "\x1b" not in capsys.readouterr().out
