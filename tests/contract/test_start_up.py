"""Imports of commands: a verb on saved draws imports neither samplers nor figures."""

import json
import subprocess
import sys

import pytest
from contract.fits import few_draws, fit_of_card

HEAVY = {
    *("pymc", "pytensor", "nutpie", "numba", "llvmlite", "jax", "numpyro"),
    *("matplotlib", "arviz_stats", "scipy.stats"),
}
"""Packages that are slow to import and not needed for saved draws: compilers, figures."""

OF_RUNS = (
    ["--version"],
    ["models"],
    ["laws"],
    ["published"],
    ["datasets"],
    ["check", "chinchilla"],
    ["predict", "hoffmann2022", "--n-params", "7B", "--n-tokens", "2T"],
)
OF_DRAWS = (
    ["predict", "FIT", "--n-params", "7B", "--n-tokens", "2T"],
    ["allocate", "FIT", "--budget", "1e22"],
    ["decide", "FIT", "--budget", "1e22"],
    ["requirements", "FIT", "--n-params", "1B"],
    ["next", "FIT", "--target", "1e22", "--budget", "1e21", "--n-runs", "1"],
    ["speedup", "FIT", "FIT", "--budget", "1e22"],
    ["export", "FIT"],
)

IMPORTED = """
import contextlib, io, json, sys
from bayescale.cli.main import main
found = []
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        code = main(command)
        assert not code, (command, code)
    found.append(sorted(set(sys.modules) & set(json.loads(sys.argv[2]))))
print(json.dumps(found))
"""


def imported(commands: list[list[str]], names: set[str]) -> dict[str, list[str]]:
    """Return which of these modules are imported after each command, run one after another."""
    found = subprocess.run(
        [sys.executable, "-c", IMPORTED, json.dumps(commands), json.dumps(sorted(names))],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    return dict(zip(map(" ".join, commands), json.loads(found.stdout), strict=True))


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("start-up") / "fit.nc"
    few_draws(fit_of_card("coupled-discrepancy")).save(path)
    return str(path)


def test_catalogues_and_tables_import_no_xarray_either():
    found = imported(list(OF_RUNS), HEAVY | {"xarray"})
    models = {command: names for command, names in found.items() if names}
    # Predictions are labelled arrays, also for published constants.
    assert models == {" ".join(OF_RUNS[-1]): ["xarray"]}


@pytest.mark.slow
def test_answers_from_draws_import_no_sampler_or_figure(saved):
    commands = [[saved if word == "FIT" else word for word in command] for command in OF_DRAWS]
    assert not any(imported(commands, HEAVY).values())
