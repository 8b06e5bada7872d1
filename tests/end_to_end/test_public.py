"""The public names: quick to import, complete and documented."""

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Unpack

import pytest

import bayescale as bs

ROOT = Path(__file__).parents[2]


def test_import_is_quick_and_does_not_import_pymc():
    code = "import bayescale, sys; print(*sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in out.stdout.split()}
    assert loaded.isdisjoint({"pymc", "pytensor", "nutpie", "numba", "arviz_stats", "matplotlib"})
    # The package and its version; everything else is imported on first use.
    assert {name for name in out.stdout.split() if name.startswith("bayescale.")} <= {
        "bayescale._version"
    }


def test_light_modules_do_not_import_pymc():
    code = """
import importlib, sys
for name in ("laws", "costs", "units", "data.load", "model.card", "cli.main"):
    importlib.import_module(f"bayescale.{name}")
    print(name, *({"pymc", "numba"} & set(sys.modules)))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = out.stdout.splitlines()
    assert len(lines) == 6
    assert not [line for line in lines if " " in line], "a module, and what it imports"


def test_every_public_name_resolves_and_is_documented():
    for name in bs.__all__:
        value = getattr(bs, name)
        assert name == "__version__" or inspect.getdoc(value), name
    assert set(bs.__all__) <= set(dir(bs))
    with pytest.raises(AttributeError, match="fitt"):
        bs.fitt  # noqa: B018


def test_no_module_hides_a_public_function():
    modules = {path.stem for path in (ROOT / "bayescale").iterdir()}
    functions = {name for name in bs.__all__ if not inspect.ismodule(getattr(bs, name))}
    assert modules.isdisjoint(functions - {"__version__"})


def test_catalogues_are_calls():
    assert {"chinchilla", "coupled", "kaplan-nd"} <= set(bs.list_laws().index)
    assert {"chinchilla", "coupled", "kaplan-nd"} <= set(bs.list_models().index)
    assert {"chinchilla", "overtraining"} <= set(bs.list_datasets().index)
    assert bs.laws.LAWS["chinchilla"] is bs.law("chinchilla")


def test_public_functions_take_no_unnamed_extras():
    for name in bs.__all__:
        value = getattr(bs, name)
        if inspect.isfunction(value):
            for parameter in inspect.signature(value).parameters.values():
                if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    assert parameter.annotation == Unpack[bs.RefitOptions], name


def test_version_is_one():
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in metadata["project"]["dynamic"]
    from importlib.metadata import version

    assert version("bayescale") == bs.__version__
