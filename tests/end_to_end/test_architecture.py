"""The architecture page names existing packages, files and functions."""

import importlib
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TOOL = runpy.run_path(str(ROOT / "tools" / "write_architecture_page.py"))
QUOTED = set(re.findall(r"`([^`\n]+)`", PAGE))
ELSEWHERE = {"runs.csv", "card.toml"}
"""Files in folders of datasets, which the page mentions."""


def test_the_picture_is_of_the_packages_as_they_are():
    """Update it with `make docs`."""
    assert TOOL["page"](PAGE) == PAGE
    rows = re.findall(r"^(\w+)\*? +│ \S", PAGE, flags=re.MULTILINE)
    modules = {p.stem for p in (ROOT / "bayescale").iterdir() if p.suffix == ".py" or p.is_dir()}
    assert set(rows) == modules - {"__init__", "__main__", "__pycache__", "_version"}
    assert len(rows) == len(set(rows))


def test_a_picture_without_its_place_is_refused():
    with pytest.raises(SystemExit, match="markers"):
        TOOL["page"]("# Architecture\n")


def test_files_that_the_page_names_exist():
    named = {text for text in QUOTED if re.fullmatch(r"[\w./-]+(/|\.\w+)", text)}
    files = {text for text in named if "/" in text or text.endswith((".py", ".toml", ".csv"))}
    assert len(files) > 20
    for name in files - ELSEWHERE:
        assert (ROOT / name).exists(), name


def test_names_that_the_page_puts_into_files_are_defined_there():
    found = re.findall(r"`([\w.]+)` (?:of|in) `(bayescale/[\w/]+\.py)`", PAGE)
    assert len(found) >= 4
    for name, file in found:
        resolve(f"{file.removesuffix('.py').replace('/', '.').removesuffix('.__init__')}.{name}")


def test_functions_that_the_page_names_exist():
    dotted = [text for text in QUOTED if re.fullmatch(r"bayescale(\.\w+)+", text)]
    assert len(dotted) > 10
    for name in dotted:
        resolve(name)


def resolve(name: str) -> object:
    """Return the module or attribute of a dotted name."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[count:]:
            found = getattr(found, attribute)
        return found
    raise AssertionError(f"{name}: no part of it can be imported")
