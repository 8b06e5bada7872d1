"""Every option of every command changes the result or the output, or is refused by name."""

import argparse
import io
import json
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from contract.fits import few_draws, fit_of_card, laplace_fit
from contract.option_examples import (
    AFTERWARDS,
    ASKED,
    ASKED_BASE,
    BASE,
    CALLS,
    CASES,
    CLUSTER,
    COSTS,
    HOLDS,
    LEVELS,
    OTHERS,
    READING,
)
from modules import import_all

import bayescale as bs
from bayescale.cli.main import main
from bayescale.cli.parser import make_parser
from bayescale.cli.rules import OF_DRAWS, RULES

pytestmark = pytest.mark.usefixtures("loaded_once")

EVERYWHERE = {"--help", "--json", "--quiet"}


@cache
def verbs() -> Mapping[str, argparse.ArgumentParser]:
    (found,) = (a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return found.choices


def options_of(verb: str) -> set[str]:
    return {a.option_strings[-1] for a in verbs()[verb]._actions if a.option_strings} - EVERYWHERE


def test_every_option_has_its_example():
    known = {**CASES, **ASKED}
    assert set(verbs()) == set(known) | OTHERS
    for verb, examples in known.items():
        assert options_of(verb) == set(examples), verb
    assert {o for verb in OTHERS for o in options_of(verb)} == {"--no-fit"}, "of doctor"
    every = {option for verb in verbs() for option in options_of(verb)}
    assert {rule.option for rule in RULES} | set(OF_DRAWS) <= every


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Mapping[str, str]:
    folder = tmp_path_factory.mktemp("options")
    runs = bs.load_runs("chinchilla", keep_outliers=True)
    table = runs.table.assign(other=runs.loss * 1.01, family="one", outlier=runs.table.index == 3)
    table.to_csv(folder / "runs.csv", index=False)
    fit_of_card("chinchilla").save(folder / "fit.nc")
    pooled = laplace_fit(bs.load_model("chinchilla-pooled"), bs.load_runs("overtraining").table)
    pooled.save(folder / "pooled.nc")
    fit_of_card("data-constrained").save(folder / "unique.nc")
    for text in ("web", "code"):
        mixed = few_draws(fit_of_card("data-mixing-3"), 100)
        mixed.save(folder / f"{text}.nc")
    other = bs.load_runs("overtraining").table.replace({"family": {"c4": "c5"}})
    other.to_csv(folder / "other.csv", index=False)
    (folder / "candidates.csv").write_text("n_params,n_tokens\n2B,20B\n", encoding="utf-8")
    (folder / "sweep.csv").write_text(
        "n_params,n_tokens\n" + "".join(f"{n}M,{d}B\n" for n in (50, 100, 200) for d in (1, 4, 9)),
        encoding="utf-8",
    )
    (folder / "throughput.csv").write_text(
        "n_params,tokens_per_second,n_gpus\n100M,2M,8\n1B,400K,8\n7B,72K,8\n", encoding="utf-8"
    )
    (folder / "recorded.csv").write_text(
        "n_params,n_tokens,compute\n"
        + "".join(f"{n}M,{d}B,{7.0 * n * d * 1e15}\n" for n in (50, 100, 200) for d in (1, 4)),
        encoding="utf-8",
    )
    names = {
        "WEB": "web.nc",
        "CODE": "code.nc",
        "FIT": "fit.nc",
        "POOLED": "pooled.nc",
        "UNIQUE": "unique.nc",
        "RUNS": "runs.csv",
    }
    found = {name: str(folder / file) for name, file in names.items()}
    rows = table.iloc[[0, 3]].set_index("run")[["n_params", "n_tokens"]]
    planned = rows.to_dict("index")
    for name in ("forecasts.json", "old.json"):
        bs.preregister(fit_of_card("chinchilla"), planned, folder / name)
    return {
        **found,
        "FORECASTS": str(folder / "forecasts.json"),
        "OLD": str(folder / "old.json"),
        "CANDIDATES": str(folder / "candidates.csv"),
        "OTHER": str(folder / "other.csv"),
        "SWEEP": str(folder / "sweep.csv"),
        "THROUGHPUT": str(folder / "throughput.csv"),
        "RECORDED": str(folder / "recorded.csv"),
    }


@pytest.fixture(scope="module")
def remembered() -> dict[object, object]:
    """Outcomes of commands without the option; many options are compared with the same one."""
    return {}


def asked(files: Mapping[str, str], verb: str, arguments: tuple[str, ...]) -> list[str]:
    return [verb, *(files.get(argument, argument) for argument in arguments)]


def outcome(arguments: list[str], folder: Path) -> tuple[int, str, str, dict[str, int]]:
    """Run a command; return its exit code, output, errors, and the size of each new file."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
    made = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    for path in folder.iterdir():
        path.unlink()
    return code, out.getvalue(), err.getvalue(), made


def without(base: tuple[str, ...], given: tuple[str, ...]) -> tuple[str, ...]:
    """Return a base command without the options that may be given once and are in `given`."""
    once = {"--target", "--budget", "--runs", "--n-runs", "--out"}
    once |= {"--model", "--simulations"}
    out = {
        "--target-plan": "--target",
        "--candidates": "--candidate",
        "--simulations": "--cut",
    }
    dropped = (once & set(given)) | {out[name] for name in given if name in out}
    kept, skip = [], False
    for argument in base:
        if skip:
            skip = False
        elif argument in dropped:
            skip = True
        else:
            kept.append(argument)
    return tuple(kept)


def examples(known: Mapping[str, Mapping[str, tuple[str, ...]]]):
    return [(verb, option) for verb, options in known.items() for option in options]


def said(verb: str, option: str, base: tuple[str, ...]) -> tuple[str, ...]:
    """Return a base command with the fit and the table to which the option applies."""
    held = option == "--at" and verb in HOLDS
    fit = (
        "UNIQUE"
        if held
        else "POOLED"
        if option in ("--group", "--new-level", "--baseline")
        else "FIT"
    )
    # A new level is one that is spelt as if it were not.
    table = "OTHER" if option == "--new-level" else "RUNS"
    files = {"FIT": fit, "RUNS": table}
    return tuple(files.get(argument, argument) for argument in base)


SHARED = ((COSTS, "allocate"), (LEVELS, "predict"), (READING, "check"))
"""Options that several commands share, and a command that has them."""

ACTING = [
    pytest.param(
        verb,
        option,
        # The quick suite has options that several commands share in one of them.
        marks=()
        if next((home for shared, home in SHARED if option in shared), verb) == verb
        else pytest.mark.slow,
    )
    for verb, option in examples(CASES)
    # Both texts have their optimum at a corner; tests/allocation has one inside.
    if (verb, option) != ("mixture", "--prob")
]


@pytest.mark.parametrize(("verb", "option"), ACTING)
def test_an_option_acts_or_is_refused(verb, option, files, tmp_path, monkeypatch, remembered):
    monkeypatch.chdir(tmp_path)
    # A preregistration contains the time, which differs with and without the option.
    monkeypatch.setattr("bayescale.records.preregister.now", lambda: "2026-03-01T12:00:00+00:00")
    # These commands would fit the runs many times.
    blank = pd.DataFrame({"ok": [], "inside": []})
    none = bs.Backtest(blank, "coupled", "runs.csv", "0", "compute", 0.9)
    monkeypatch.setattr("bayescale.validation.backtest.backtest", lambda *_, **__: none)
    given = CASES[verb][option]
    base = said(verb, option, BASE[verb])
    # Only the options that it needs, so that differences are due to this option.
    rest = given[: given.index(option)] + after(given, option, verb)
    plain = tuple(asked(files, verb, (*without(base, rest), *rest)))
    if plain not in remembered:
        remembered[plain] = outcome([*plain], tmp_path)
    found = outcome(asked(files, verb, (*without(base, given), *given)), tmp_path)
    if found[0] == 2:
        assert found[1] == "" and word(option) in found[2], found[2]
        return
    assert found[0] == 0, found[2]
    assert found != remembered[plain], f"{verb} {option} changes nothing"


def word(option: str) -> str:
    """Return the word by which an error message names the option."""
    return {"--vocabulary-size": "ln(20)"}.get(option, option.lstrip("-").split("-")[0])


def after(given: tuple[str, ...], option: str, verb: str) -> tuple[str, ...]:
    """Return the arguments after an option and its value."""
    place = given.index(option) + 1
    takes = next(a for a in verbs()[verb]._actions if option in a.option_strings).nargs != 0
    return given[place + takes :]


@pytest.mark.parametrize(("verb", "option"), examples(ASKED))
def test_an_option_of_a_long_command_reaches_the_library(
    verb, option, files, tmp_path, monkeypatch, remembered
):
    if (verb, option) in AFTERWARDS:
        pytest.skip("of what is done with the answer")
    monkeypatch.chdir(tmp_path)
    import_all()

    class Reached(Exception):
        """Raised in place of the library function, with its arguments."""

    def ask(arguments):
        def reached(*positional, **named):
            raise Reached(repr(positional) + repr(sorted(named.items(), key=str)))

        with monkeypatch.context() as patch:
            for call in {verb, *(name for name in CALLS if name.split()[0] == verb)}:
                patch.setattr(CALLS[call], reached)
            try:
                return outcome(asked(files, verb, arguments), tmp_path)
            except Reached as what:
                return str(what)

    given = ASKED[verb][option]
    base = said(verb, option, ASKED_BASE[verb])
    if (verb, base) not in remembered:
        remembered[verb, base] = ask(base)
    found = ask((*without(base, given), *given))
    if isinstance(found, tuple):
        assert found[0] == 2, found
        assert word(option) in found[2], found[2]
    else:
        assert found != remembered[verb, base], f"{verb} {option} changes nothing"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.option + " ".join(rule.verbs))
def test_an_option_without_what_it_needs_is_refused(rule, files, tmp_path):
    for verb in rule.verbs or [v for v in verbs() if rule.option in options_of(v)]:
        given = {**CASES, **ASKED}[verb][rule.option]
        base = without({**BASE, **ASKED_BASE}[verb], given)
        if verb == "compare":
            base = ("a.nc", "b.nc")
        start = given.index(rule.option)
        alone = given[start : len(given) - len(after(given, rule.option, verb))]
        code, out, err, made = outcome(asked(files, verb, (*base, *alone)), tmp_path)
        assert (code, out, made) == (2, "", {}), (verb, err)
        assert err.startswith(f"bayescale: {rule.option}: "), err
        assert err.count("\n") == 1 and "; also give --" in err


def test_options_of_cuts_are_refused_of_simulations(files, tmp_path):
    base = ("RUNS", "chinchilla", "--simulations", "3")
    for option in ("--scale", "--draws"):
        given = asked(files, "calibrate", (*base, *ASKED["calibrate"][option]))
        code, out, err, made = outcome(given, tmp_path)
        assert (code, out, made) == (2, "", {})
        assert err.startswith(f"bayescale: {option}: found --simulations") and "--cut" in err


@pytest.mark.parametrize("verb", ["allocate", "decide", "predict"])
def test_options_of_draws_are_refused_with_published_constants(verb, files, tmp_path):
    base = tuple("hoffmann2022" if a == "FIT" else a for a in BASE[verb])
    assert outcome(asked(files, verb, base), tmp_path)[0] == 0
    for option in set(OF_DRAWS) & options_of(verb):
        given = CASES[verb][option]
        code, out, err, _ = outcome(asked(files, verb, (*base, *given)), tmp_path)
        assert (code, out) == (2, "")
        assert err.startswith(f"bayescale: {option}: found hoffmann2022, published constants")


def test_days_and_money_are_in_the_answer(files, tmp_path):
    base = ("FIT", "--budget", "1e22", *CLUSTER)
    out = outcome(asked(files, "allocate", (*base, "--price", "$2")), tmp_path)[1]
    assert "days" in out and "training cost" in out and "$" in out
    rows = json.loads(outcome(asked(files, "allocate", (*base, "--json")), tmp_path)[1])
    (row,) = rows["allocation"]
    assert row["days"] == pytest.approx(1e22 / (512 * 989.4e12 * 0.4) / 86400, rel=0.01)
    assert "training_money" not in row


def test_an_option_of_one_value_is_given_once() -> None:
    """By default argparse keeps the last of several values and ignores the others."""
    (choices,) = (
        action.choices
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    of_one_value = [
        (verb, action)
        for verb, parser in choices.items()
        for action in parser._actions
        if action.option_strings and isinstance(action, argparse._StoreAction)
    ]
    assert len(of_one_value) > 100
    for verb, action in of_one_value:
        given = argparse.Namespace()
        action(choices[verb], given, "one", action.option_strings[-1])
        action(choices[verb], given, "one", action.option_strings[-1])
        with pytest.raises(argparse.ArgumentError, match="found twice, as one and as other"):
            action(choices[verb], given, "other", action.option_strings[-1])
