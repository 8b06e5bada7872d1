"""Project files agree with the package, the Makefile and each other."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import bayescale as bs

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_citation_is_of_this_version_and_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == bs.__version__.split("+")[0]
    assert citation["license"] == PROJECT["license"]
    assert citation["keywords"] == PROJECT["keywords"]
    assert citation["type"] == "software"
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def test_the_hooks_run_what_make_lint_runs():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert [entry["repo"] for entry in hooks] == ["local"]
    found = {tool_of(hook["entry"]) for hook in hooks[0]["hooks"]}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    recipe = makefile.split("\nlint:")[1].split("\n\n")[0]
    commands = re.findall(r"@\$\(BIN\)/(.*)", recipe)
    assert found == {tool_of(command) for command in commands}


def test_every_name_of_a_slow_or_quick_example_is_that_of_a_test(unknown_names):
    """The lists of conftest.py name tests by text, which renamed tests would no longer match."""
    if unknown_names is None:
        pytest.skip("only some of the tests were collected")
    assert unknown_names == []


def tool_of(command: str) -> str:
    """Return the program and its subcommand."""
    program, *rest = command.split()
    words = [word for word in rest if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]
    return " ".join([program.rsplit("/", 1)[-1], *words])
