"""Any command line succeeds, or fails with exit code 2 and one message; no file is lost."""

import argparse
import json
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from contract.fits import fit_of_card
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from modules import import_all

import bayescale as bs
from bayescale.cli.files import Reads, Writes
from bayescale.cli.main import main
from bayescale.cli.parser import make_parser
from bayescale.errors import SamplingError
from bayescale.reports import report as reporting

FILES = ("runs.csv", "card.toml", "fit.nc", "pooled.nc", "notes.txt", "lines.jsonl", "nested.json")
NAMES = [*FILES, ".", "none.csv", "none/none.nc", "new.nc", "new.html", "new.png", "new.json", ""]
NUMBERS = [
    *("0", "1", "-1", "2", "3.5", "nan", "inf", "1e400", "1e-400", "1e300", "9" * 5000, "0x10"),
    *("18446744073709551616", "1e22", "70B", "1.4T", "100 PF-days", "0,125B", "$2M", "1_000", "½"),
]
WORDS = [
    *("chinchilla", "kaplan-nd", "chinchilla-pooled", "overtraining", "hoffmann2022", "kaplan2020"),
    *("family", "family=c4", "family=none", "n_params=size", "n_params=loss", "=", "a=b=c", "loss"),
    *("compute", "1B,20B", "1e300,1e300", "-1,1", "a=1B,20B", "n_params", "H100-SXM", "total"),
    *(
        "compute < 1e20",
        "@pd.io",
        "regret",
        "bash",
        "x" * 10_000,
        "é",
        "\0",
        "-",
        "--",
        "n_params=1B",
    ),
]
VALUES = st.sampled_from([*NUMBERS, *NAMES, *WORDS]) | st.text(max_size=4)


def _verbs() -> dict[str, argparse.ArgumentParser]:
    (choices,) = (
        action.choices
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return {name: parser for name, parser in choices.items() if name not in ("doctor", "explore")}


VERBS = _verbs()
LIKELY = {
    "fit": ["fit.nc", "pooled.nc", "hoffmann2022", "kaplan2020"],
    "runs": ["runs.csv", "chinchilla", "overtraining"],
    "model": ["chinchilla", "kaplan-nd", "card.toml"],
    "cards": ["chinchilla", "kaplan-nd", "fit.nc"],
    "compute": ["1e21", "100 PF-days", "1e24"],
    "n_params": ["1B", "7e9"],
    "n_tokens": ["20B", "1.4T"],
    "plan": ["7B,2T", "mine=1B,20B"],
    "target": ["1e22"],
    "to": ["1B", "2e9"],
    "x": ["N", "D"],
    "by": ["family"],
    "budget": ["1e21"],
    "group": ["family=c4"],
    "cut": ["1e20", "1e21"],
    "out": ["new.nc", "new.json", "new.html", "fit.nc"],
}
"""Plausible values, so that commands get beyond their first argument."""


@st.composite
def command_lines(draw):
    name = draw(st.sampled_from(sorted(VERBS)))
    given_words = [name]
    for action in VERBS[name]._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        wanted = action.required or not action.option_strings
        if draw(st.integers(0, 9)) >= (9 if wanted else 2):
            continue
        if action.option_strings:
            given_words.append(action.option_strings[-1])
        if action.nargs == 0:
            continue
        likely = [*(action.choices or ()), *LIKELY.get(action.dest, ())]
        usual = likely and draw(st.integers(0, 9)) < 7
        given_words.append(str(draw(st.sampled_from(likely) if usual else VALUES)))
    return given_words


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    for name, card in (("fit.nc", "chinchilla"), ("pooled.nc", "chinchilla-pooled")):
        whole = fit_of_card(card)
        some = {"draw": slice(0, 12)}
        fit = replace(
            whole,
            _posterior=whole.posterior.isel(some),
            _sample_stats=whole.sample_stats.isel(some),
        )
        fit.save(folder / name)
    rows = "\n".join(f"{n}e6,{20 * n}e6,{4 - n / 100},c{n % 2}" for n in range(1, 30))
    (folder / "runs.csv").write_text(f"N,D,loss,family\n{rows}\n")
    (folder / "card.toml").write_text(bs.load_model("chinchilla").to_toml())
    (folder / "notes.txt").write_text("mine\n")
    (folder / "lines.jsonl").write_text(json.dumps({"N": 1, "D": 2, "loss": 3}) + "\n")
    (folder / "nested.json").write_text("[" * 5000)
    import_all()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Functions that sample or draw for seconds are replaced.
        for name in (
            "bayescale.inference.fit.enough_draws",
            "bayescale.experiment_design.next_runs.next_runs",
            "bayescale.sensitivity.reconcile.reconcile_exponents",
        ):
            patch.setattr(name, _not_now)
        of_fits = replace(reporting.KINDS[bs.Fit], assemble=_not_now)
        patch.setitem(reporting.KINDS, bs.Fit, of_fits)
        patch.setattr("bayescale.inference.fit.compiled_logp", _not_now)
        # Other processes would not have these replacements, and sample for minutes.
        patch.setattr("concurrent.futures.ProcessPoolExecutor", _threads)
        yield folder


def _not_now(*_: object, **__: object) -> None:
    raise SamplingError("It is not worked out here.")


def _threads(workers: int, **_: object) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(workers, 2))


def _answer(arguments, capsys) -> tuple[int, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {str(error)[:200]}") from error
    return code, capsys.readouterr().err


def _one_message(code: int, err: str) -> None:
    assert code in (0, 2)
    assert "Traceback" not in err
    said = [line for line in err.splitlines() if line.startswith("bayescale: ")]
    assert len(said) == (1 if code else 0)
    assert all(len(line) < 2500 for line in said)


FUZZ = settings.get_profile("fuzz")


@settings(
    FUZZ, suppress_health_check=[*FUZZ.suppress_health_check, HealthCheck.function_scoped_fixture]
)
@given(command_lines())
def test_any_command_line(folder, loaded_once, capsys, arguments) -> None:
    before = {name: (folder / name).read_bytes() for name in FILES}
    code, err = _answer(arguments, capsys)
    _one_message(code, err)
    changed = [n for n in FILES if (folder / n).read_bytes() != before[n]]
    # A command may overwrite a saved fit if told to.
    assert not changed
    for path in folder.iterdir():
        if path.name not in FILES:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    "arguments",
    [
        ("fit", "runs.csv", "--model", "chinchilla", "--seed", "-1"),
        ("fit", "runs.csv", "--model", "chinchilla", "--seed", str(2**64)),
        ("fit", "runs.csv", "--model", "chinchilla", "--draws", "9" * 5000),
        ("decide", "hoffmann2022", "--budget", "1e22", "--plan", "1e300,1e300"),
        ("decide", "hoffmann2022", "--budget", "1e22", "--seed", "-1"),
        ("allocate", "hoffmann2022", "--budget", "1e308"),
        ("check", "runs.csv", "--column", "n_params=loss"),
        ("check", "nested.json"),
        ("explore", "fit.nc", "--port", "99999999"),
        ("next", "fit.nc", "--budget", "1e21", "--target", ""),
        ("fit", "runs.csv", "--model", " "),
        ("fit", "runs.csv", "--where", ""),
        ("explore", "fit.nc", "--budget", "9" * 5000),
    ],
)
def test_misspelt_command_lines(folder, capsys, arguments) -> None:
    code, err = _answer(arguments, capsys)
    assert code == 2
    _one_message(code, err)


def test_options_that_name_files_are_among_those_that_are_tried() -> None:
    named = {
        action.dest
        for parser in VERBS.values()
        for action in parser._actions
        if isinstance(action.type, Reads | Writes)
    }
    assert named >= {"out", "store", "report", "figure", "figures", "runs", "fit"}
