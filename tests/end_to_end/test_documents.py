"""README, notebooks, docs and the Makefile are correct."""

import os
import re
import runpy
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from pages import blocks, run_notebook, run_page

import bayescale as bs
from bayescale.cli.main import main
from bayescale.laws import LAWS
from bayescale.units import parse_amount

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_generated" not in path.parts)
RUN = [
    path
    for path in PAGES
    if any(b.language in ("pycon", "console", "python") for b in blocks(path.read_text("utf-8")))
]


def tool(name: str) -> dict[str, object]:
    return runpy.run_path(str(ROOT / "tools" / f"{name}.py"))


def test_the_page_of_laws_is_what_the_laws_say():
    """Regenerate it with `make docs`."""
    found = (ROOT / "docs" / "laws.md").read_text(encoding="utf-8")
    assert found == tool("write_law_page")["page"]()


def test_the_page_of_real_data_has_every_law():
    """Regenerate it with `make real-data`."""
    found = (ROOT / "docs" / "real-data.md").read_text(encoding="utf-8")
    for name in bs.list_laws().loc[list(LAWS)].index:
        assert f"`{name}`" in found


def table_rows() -> list[list[str]]:
    block = README.split("<!-- demo table -->")[1].split("<!-- end -->")[0]
    lines = [line for line in block.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.slow
def test_the_readme_table_is_the_demo(drawn_once):
    """Compare medians and ends with a new fit, within Monte Carlo error."""
    fit = bs.fit("chinchilla", seed=1, progress=False)
    header, _, *rows = table_rows()
    assert len(rows) == 3
    plan = bs.allocate(fit, budget=[row[0] for row in rows])
    fresh = plan.text_table().reset_index()
    assert header == list(fresh.columns)
    for row, now in zip(rows, fresh.to_numpy().tolist(), strict=True):
        assert row[0] == now[0]
        for cell, expected in zip(row[1:], now[1:], strict=True):
            read, made = (
                np.log([parse_amount(x, "count") for x in re.findall(r"[\d.]+[KMBT]?", text)])
                for text in (cell, expected)
            )
            # The ends of an interval are quantiles, of which two fits differ by their draws'
            # worth; and texts are rounded to three or four figures.
            sd = (made[2] - made[1]) / (2 * 1.645)
            of_quantile = np.sqrt(0.05 * 0.95) / 0.103
            error = np.sqrt(2.0 / plan.diagnostics.worst_ess) * of_quantile * sd
            rounding = 0.0005 if "." in cell and made[0] < 1.0 else 0.005
            np.testing.assert_allclose(read, made, rtol=0, atol=4.5 * error + rounding)


@pytest.mark.slow
def test_the_readme_python_runs(tmp_path, monkeypatch, capsys, drawn_once):
    monkeypatch.chdir(tmp_path)
    # Code for a cluster is tested in test_parallel_on_a_cluster.
    block, _ = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert "All gates passed" in capsys.readouterr().out
    assert (tmp_path / "report.html").is_file()


@pytest.mark.slow
def test_the_readme_commands_run(tmp_path, monkeypatch, capsys, drawn_once):
    monkeypatch.chdir(tmp_path)
    runs = bs.load_runs("chinchilla").table
    runs[["n_params", "n_tokens", "loss"]].to_csv("my_runs.csv", index=False)
    lines = re.findall(r"^    \.venv/bin/bayescale (.*)$", README, flags=re.MULTILINE)
    assert len(lines) == 8
    import shlex

    for line in lines:
        assert main(shlex.split(line)) == 0, line
    assert (tmp_path / "report.html").is_file()


def test_files_the_documents_link_to_exist():
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES):
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            made = "_generated" in target
            assert made or (document.parent / target).exists(), (document.name, target)


@pytest.mark.slow
@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_the_code_of_pages_runs_and_prints_what_they_show(
    path, tmp_path, monkeypatch, capsys, drawn_once
):
    monkeypatch.chdir(tmp_path)
    # Pages may set this to their own folders; it is restored afterwards.
    monkeypatch.setenv("BAYESCALE_PATH", "")
    assert run_page(path, main, lambda: capsys.readouterr().out) > 0


def test_the_checker_of_pages_sees_what_is_wrong(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```pycon\n>>> 1 + 1\n3\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="Expected"):
        run_page(page, main, str)
    page.write_text("```console\n$ bayescale check nothing.csv\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"page\.md, line 1: bayescale check"):
        run_page(page, main, str)


def test_the_reference_has_every_public_name():
    found = set((ROOT / "docs" / "reference" / "python.md").read_text("utf-8").split())
    # `laws` is a module, not a function.
    documented = set(bs.__all__) - {"__version__", "costs", "laws", "plots"}
    assert documented | set(bs.plots.__all__) | set(bs.costs.__all__) <= found


def test_make_targets_in_the_documents_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"`make ([a-z]+)", README + contributing))
    targets |= set(re.findall(r"^ {4}make ([a-z]+)", README + contributing, flags=re.MULTILINE))
    assert {"demo", "test", "quick", "lint"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_conda_recipe_requires_what_the_package_requires():
    recipe = yaml.safe_load((ROOT / "tools" / "conda" / "recipe.yaml").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert recipe["context"]["version"] == bs.__version__.split("+")[0]
    python, *found = recipe["requirements"]["run"]
    assert python == f"python {project['requires-python']}"
    expected = {"h5netcdf": SpecifierSet()}  # an extra of arviz-base
    for requirement in map(Requirement, project["dependencies"]):
        name = {"matplotlib": "matplotlib-base"}.get(requirement.name, requirement.name)
        expected[name] = requirement.specifier
    assert {r.name: r.specifier for r in map(Requirement, found)} == expected


@pytest.mark.skipif(os.name != "posix", reason="the bootstrap is a POSIX shell script")
def test_without_a_new_enough_python_the_bootstrap_says_so_and_stops(tmp_path):
    """Run in another checkout, with a PATH on which every Python is too old."""
    (tmp_path / "tools").mkdir()
    script = tmp_path / "tools" / "venv.sh"
    script.write_bytes((ROOT / "tools" / "venv.sh").read_bytes())
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "find", "rm", "sh"):
        found = subprocess.run(
            ["sh", "-c", f"command -v {name}"], capture_output=True, text=True, check=True
        )
        (tools / name).symlink_to(found.stdout.strip())
    for name in ("python3", "python3.12", "python"):
        (tools / name).write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    done = subprocess.run(
        [str(tools / "sh"), str(script)],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "needs Python 3.12 or newer and found none" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.slow
def test_a_notebook_executes_in_jupyter():
    code = (
        "import sys; sys.path.insert(0, 'tools'); from pathlib import Path; "
        "from execute_notebooks import execute; execute(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(NOTEBOOKS[0])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda path: path.stem)
def test_notebooks_execute(path, monkeypatch, drawn_once):
    """Run notebooks in this process, where they share fits; one runs in a kernel above."""
    monkeypatch.chdir(path.parent)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as in a kernel
        run_notebook(path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_executed(path):
    import json

    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not any(out["output_type"] == "error" for cell in code for out in cell["outputs"])
    shown = [data for cell in code for out in cell["outputs"] for data in out.get("data", ())]
    drawn = sum("bs.plots." in "".join(cell["source"]) for cell in code)
    assert shown.count("image/png") == drawn > 0
    assert "**Question.**" in "".join(cells[0]["source"])
    assert "What was learnt" in "".join(cells[-1]["source"])
