"""Every kind of model with every command that takes a saved fit: strict JSON or a refusal."""

import json
import shutil

import numpy as np
import pytest
from contract.fits import few_draws, fit_of_card, models
from json_outputs import check_json

import bayescale as bs
from bayescale.cli.main import main
from bayescale.data.column_units import BASES

NAMES = list(models())
COMMANDS = (
    "predict",
    "allocate",
    "requirements",
    "decide",
    "speedup",
    "next",
    "export",
    "report",
    "score",
    "preregister",
)

OF_PLANS = {"allocate", "decide", "speedup", "next"}
"""Commands that split a budget, which are refused for laws that do not."""


def traits_of(name: str) -> set[tuple[str, object]]:
    """Return the features of a model that commands may treat differently."""
    model = models()[name]
    noise = [part for part, value in model.noise.to_dict().items() if value]
    found = {
        "groupings": len(model.groupings),
        "groups by an input": any(
            set(c.split("+")) & set(model.columns.values()) for c in model.groupings
        ),
        "inputs": len(model.columns),
        "splits compute": model.law.splits_compute,
        "response": model.law.response,
        "noise": model.noise.kind,
        "discrepancy": model.discrepancy is not None,
        "floor": model.floor is not None,
        **dict.fromkeys(noise, True),
    }
    return set(found.items())


def covering() -> list[tuple[str, str]]:
    """Return pairs of model and command: every trait under every command, every model under two.

    The answers themselves are worked out for every model by `test_verbs`; a command reads options,
    calls its verb and prints.
    """
    pairs, traits = set(), {name: traits_of(name) for name in NAMES}
    for i, command in enumerate(COMMANDS):
        # If several models have a trait, commands take different ones.
        names = NAMES[4 * i :] + NAMES[: 4 * i]
        left = set().union(*traits.values())
        while left:
            best = max(names, key=lambda name: len(traits[name] & left))
            pairs.add((best, command))
            left -= traits[best]
    for i, name in enumerate(NAMES):
        while len([pair for pair in pairs if pair[0] == name]) < 2:
            pairs.add((name, COMMANDS[i % len(COMMANDS)]))
            i += 3
    return sorted(pairs)


# Fits of few draws, which are quick, fail the gate on effective sample size.
pytestmark = [
    pytest.mark.filterwarnings("ignore:THIS FIT FAILED ITS GATES"),
    pytest.mark.usefixtures("loaded_once"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    paths = {}

    def save(name: str) -> str:
        if name not in paths:
            paths[name] = folder / f"{name}.nc"
            few_draws(fit_of_card(name)).save(paths[name])
        return str(paths[name])

    return save


def arguments_of(command: str, fit: bs.Fit, path: str, folder: str) -> list[str]:
    """Return a command on a saved fit: at the centre of its runs, or at one budget."""
    centre = {fit.columns[n]: float(np.exp(np.log(x).mean())) for n, x in fit.inputs.items()}
    own = {"n_params", "n_tokens", "n_steps"}
    # Amounts in tests may be implausible, so units are stated.
    named = (*fit.columns.values(), fit.response)
    units = [word for c in named if c in BASES for word in ("--unit", f"{c}={BASES[c]}")]
    if command == "score":
        fit.runs.table.to_csv(f"{folder}/runs.csv", index=False)
    fixed = [
        word
        for name in fit.law.inputs
        if name not in own and fit.law.splits_compute
        for word in ("--at", f"{name}={centre[name]:g}")
    ]
    at = [word for column, x in centre.items() for word in ("--at", f"{column}={x:g}")]
    if command == "requirements" and not fit.law.splits_compute:
        typical = float(np.median(fit.runs.column(fit.response)))
        return ["requirements", path, "--loss", f"{typical:g}", *at[2:]]
    if command == "speedup":
        shutil.copy(path, f"{folder}/other.nc")
    if command == "report":
        asked = ["--budget", "1e22", *fixed] if fit.law.splits_compute else at
        return ["report", path, "--out", f"{folder}/report.json", *asked]
    return {
        "predict": ["predict", path, *at],
        "allocate": ["allocate", path, "--budget", "1e22", *fixed],
        "requirements": ["requirements", path, "--n-params", "1B", *fixed],
        "score": ["score", path, f"{folder}/runs.csv", *units],
        "decide": ["decide", path, "--budget", "1e22", "--plan", "1B,20B", *fixed],
        "speedup": [
            *("speedup", path, f"{folder}/other.nc", "--baseline", "other"),
            *("--budget", "1e22", *fixed),
        ],
        "next": ["next", path, "--target", "1e22", "--budget", "1e20", "--n-runs", "2", *fixed],
        "export": ["export", path],
        "preregister": [
            *("preregister", path, "--name", "big", *at),
            *("--out", f"{folder}/big.json", "--force"),
        ],
    }[command]


def levels_of(fit: bs.Fit, command: str) -> list[str]:
    """Return the options that name a level of every column by which a model groups runs."""
    if command == "score":
        return []  # the levels of the table
    named = [c for c in fit.groupings if not set(fit.columns.values()) & set(c.split("+"))]
    return [word for c in named for word in ("--group", f"{c}={fit.levels(c).labels[0]}")]


@pytest.mark.parametrize(("name", "command"), covering())
def test_a_command_prints_json_or_is_refused(name, command, saved, tmp_path, capsys):
    fit = fit_of_card(name)
    arguments = arguments_of(command, fit, saved(name), str(tmp_path))
    for levels in filter(None, ([*arguments, "--json"], levels_of(fit, command) and arguments)):
        asked = (
            levels if levels is not arguments else [*arguments, *levels_of(fit, command), "--json"]
        )
        code = main([*asked, "--quiet"])
        out, err = capsys.readouterr()
        if command in OF_PLANS and not fit.law.splits_compute:
            assert code == 2 and not out
            assert err.startswith(f"bayescale: The law {fit.law.name} is one of")
            continue
        linked = fit.model.noise.checkpoints
        if command == "score" and linked and linked.alike is None:
            assert code == 2 and "two checkpoints of the run" in err, "they were fitted"
            continue
        assert code == 0, err
        check_json(command, out)
        if command == "report":
            check_json("report.json", (tmp_path / "report.json").read_text())
        if command == "preregister":
            check_json("forecasts.json", (tmp_path / "big.json").read_text())


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["chinchilla-pooled", "nested", "power-law"])
def test_a_command_prints_what_people_read(name, command, saved, tmp_path, capsys):
    fit = fit_of_card(name)
    arguments = arguments_of(command, fit, saved(name), str(tmp_path))
    code = main([*arguments, *levels_of(fit, command), "--quiet"])
    out, err = capsys.readouterr()
    if code == 0:
        assert fit.model.id in out
        assert "nan" not in out.lower().split()
    else:
        assert code == 2 and not out and err.count("\n") == 1


def test_a_number_that_is_not_finite_is_null(capsys):
    from bayescale.cli.render import print_json

    print_json({"a": float("nan"), "b": [float("inf"), np.float64(1.5), np.int64(2)]})
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found == {"a": None, "b": [None, 1.5, 2]}
