"""Every option of every command changes what is done or shown, or is refused by its name."""

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

import bayescale as bs
from bayescale.cli.main import main
from bayescale.cli.parser import make_parser
from bayescale.cli.rules import OF_DRAWS, RULES

pytestmark = pytest.mark.usefixtures("loaded_once")

EVERYWHERE = {"--help", "--json", "--quiet"}
CLUSTER = ("--gpus", "512", "--gpu", "H100-SXM", "--utilisation", "0.4")
FEW = ("--gpus", "8", *CLUSTER[2:])
SHAPES = ("--vocabulary", "50000")
HARDWARE = (
    *("--gpus", "--gpu", "--utilisation", "--price", "--max-days", "--deadline", "--start"),
    *("--overhead", "--speed", "--throughput", "--recorded-costs"),
)
COSTS = {
    "--serving-tokens": ("--serving-tokens", "5T", "--lifetime"),
    "--lifetime": ("--lifetime", "--serving-tokens", "5T"),
    "--gpus": CLUSTER,
    "--gpu": CLUSTER,
    "--utilisation": CLUSTER,
    "--price": (*CLUSTER, "--price", "$2"),
    "--vocabulary": SHAPES,
    "--context": (*SHAPES, "--context", "65536"),
    "--aspect": (*SHAPES, "--aspect", "8"),
    "--max-params": ("--max-params", "100M"),
    "--min-params": ("--min-params", "100B"),
    "--max-tokens": ("--max-tokens", "1B"),
    "--max-steps": ("--max-steps", "100", "--batch-tokens", "1M"),
    "--batch-tokens": ("--batch-tokens", "1M", "--max-steps", "100"),
    "--max-days": ("--max-days", "0.001", *CLUSTER),
    "--deadline": ("--deadline", "2027-01-02", "--start", "2027-01-01", *CLUSTER),
    "--start": ("--start", "2099-01-01", "--deadline", "2099-01-02", *FEW),
    "--overhead": ("--overhead", "5-12 %", *CLUSTER),
    "--speed": ("--speed", "1.4", *CLUSTER),
    "--throughput": ("--throughput", "THROUGHPUT", *CLUSTER),
    "--recorded-costs": ("--recorded-costs", "RECORDED"),
    "--at": ("--at", "n_unique_tokens=1B"),
}
HOLDS = ("allocate", "decide", "next", "requirements", "report")
"""Commands whose ``--at`` is of inputs that are held fixed while a budget is split."""
LEVELS = {"--group": ("--group", "family=c4"), "--new-level": ("--new-level", "family")}
READING = {
    "--column": ("--column", "loss=other"),
    "--unit": ("--unit", "loss=bits/token"),
    "--keep-outliers": ("--keep-outliers",),
    "--where": ("--where", "n_params > 1e9"),
    "--vocabulary-size": ("--vocabulary-size", "20"),
}

BASE = {
    "allocate": ("FIT", "--budget", "1e22"),
    "decide": ("FIT", "--budget", "1e22"),
    "next": ("FIT", "--target", "1e22", "--budget", "1e21", "--runs", "2", "--candidate", "1B,1B"),
    "predict": ("FIT", "--n-params", "7B", "--n-tokens", "2T"),
    "export": ("FIT",),
    "check": ("RUNS",),
    "requirements": ("FIT", "--loss", "2.3"),
    "speedup": ("POOLED", "--baseline", "c4", "--budget", "1e22"),
    "mixture": ("WEB", "CODE"),
    "score": ("FIT", "RUNS"),
    "preregister": (
        *("FIT", "--name", "big", "--n-params", "7B", "--n-tokens", "2T", "--out", "NEW.json"),
    ),
    "score-forecast": ("FORECASTS", "--runs", "RUNS"),
}
CASES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "allocate": {
        **COSTS,
        **LEVELS,
        "--budget": ("--budget", "1e23"),
        "--prob": ("--prob", "0.5"),
    },
    "decide": {
        **COSTS,
        **LEVELS,
        "--serving-tokens": ("--serving-tokens", "5T"),
        "--budget": (*CLUSTER, "--price", "$2", "--budget", "$1M"),
        "--plan": ("--plan", "7B,200B"),
        "--quantile": ("--quantile", "0.95"),
        "--seed": ("--seed", "5", "--json"),
        "--prob": ("--prob", "0.5"),
    },
    "next": {
        **COSTS,
        **LEVELS,
        "--target": ("--target", "1e24"),
        "--target-plan": ("--target-plan", "70B,1T"),
        "--budget": ("--budget", "1e18"),
        "--runs": ("--runs", "1", "--candidate", "2B,2B"),
        "--repeats": ("--repeats", "2"),
        "--objective": ("--objective", "size"),
        "--candidate": ("--candidate", "2B,20B"),
        "--candidates": ("--candidates", "CANDIDATES"),
        "--seed": ("--seed", "5", "--json"),
    },
    "predict": {
        **LEVELS,
        "--n-params": ("--n-params", "1B"),
        "--n-tokens": ("--n-tokens", "1T"),
        "--at": ("--at", "n_params=1B"),
        "--task": ("--task", "gadre2024-refinedweb-error"),
        "--prob": ("--prob", "0.5"),
    },
    "export": {**LEVELS, "--out": ("--out", "NEW.csv")},
    "check": {**READING, "--model": ("--model", "kaplan-nd"), "--backtest": ("--backtest",)},
    "requirements": {
        **{option: given for option, given in COSTS.items() if option not in HARDWARE},
        **LEVELS,
        "--loss": ("--loss", "2.1"),
        "--n-params": ("--n-params", "1B"),
        "--n-tokens": ("--n-tokens", "1T"),
        "--prob": ("--prob", "0.5"),
    },
    "speedup": {
        **{option: given for option, given in COSTS.items() if option not in HARDWARE},
        **LEVELS,
        "--baseline": ("--baseline", "redpajama"),
        "--by": ("--by", "recipe"),
        "--recipe": ("--recipe", "redpajama"),
        "--next": ("--next", "1e20"),
        "--budget": ("--budget", "1e23"),
        "--prob": ("--prob", "0.5"),
        "--figure": ("--figure", "NEW.png"),
    },
    "mixture": {
        "--domain": ("--domain", "pages", "--domain", "programs", "--domain", "books"),
        "--weight": ("--weight", "web=3", "--weight", "code=1"),
        "--most": ("--most", "domain_1=0.2"),
        "--prob": ("--prob", "0.5"),
        **LEVELS,
    },
    "score": {
        **READING,
        "--new-level": ("--new-level", "family"),
    },
    "preregister": {
        **LEVELS,
        "--name": ("--name", "small"),
        "--n-params": ("--n-params", "1B", "--name", "small"),
        "--n-tokens": ("--n-tokens", "1T", "--name", "small"),
        "--at": ("--at", "n_params=1B", "--name", "small"),
        "--out": ("--out", "OTHER.json"),
        "--force": ("--force", "--out", "OLD"),
    },
    "score-forecast": {
        **{option: given for option, given in READING.items() if option != "--where"},
        "--runs": ("--runs", "OTHER"),
    },
}
"""Of every option an example, with the options that it needs."""

CALLS = {
    "plan": "bayescale.inference.fit.fit",
    "fit": "bayescale.inference.fit.fit",
    "report": "bayescale.reports.report.report",
    "compare": "bayescale.validation.compare.compare",
    "forecast": "bayescale.forecasting.forecast.forecast",
    "forecast-run": "bayescale.schedules.forecast.forecast_run",
    "reconcile": "bayescale.sensitivity.reconcile.reconcile_exponents",
    "backtest": "bayescale.validation.backtest.backtest",
    "expanding-window": "bayescale.sensitivity.expanding_window.expanding_window",
    "multiverse": "bayescale.sensitivity.multiverse.multiverse",
    "forecast-by-floor": "bayescale.sensitivity.floors.forecast_by_floor",
    "learn-prior": "bayescale.inference.learn_prior.learn_prior",
    "first-sweep": "bayescale.experiment_design.first_sweep.first_sweep",
    "calibrate": "bayescale.validation.leave_scale_out.leave_scale_out",
    "calibrate --simulations": "bayescale.validation.sbc.sbc",
    "explore": "bayescale.explore.serve.serve",
}
"""Commands that sample for long, or serve a page: what they ask the library for is what must differ."""

ASKED = {
    "explore": {
        **LEVELS,
        "--budget": ("--budget", "1e23"),
        "--plan": ("--plan", "1B,20B"),
        "--prob": ("--prob", "0.5"),
        "--at": ("--at", "n_unique_tokens=1B"),
        "--port": ("--port", "8765"),
        "--browser": ("--browser",),
    },
    "plan": {
        "--model": ("--model", "coupled"),
        **READING,
        "--budget": ("--budget", "1e23"),
        "--plan": ("--plan", "1B,20B"),
        "--out": ("--out", "NEW.html"),
        "--save": ("--save", "NEW.nc"),
        "--hyperparameters": ("--hyperparameters", "steplaw2025"),
        "--critical-batch": ("--critical-batch", "critical.nc"),
        "--backtest": ("--backtest",),
        "--prob": ("--prob", "0.5"),
        "--seed": ("--seed", "5"),
    },
    "fit": {
        "--model": ("--model", "coupled"),
        **READING,
        "--out": ("--out", "NEW.nc"),
        "--store": ("--store", "NEW.draws"),
        "--report": ("--report", "NEW.html", "--budget", "1e22"),
        "--budget": ("--budget", "1e22"),
        "--prob": ("--prob", "0.5"),
        "--seed": ("--seed", "5"),
        "--draws": ("--draws", "50"),
        "--tune": ("--tune", "50"),
        "--chains": ("--chains", "2"),
        "--cores": ("--cores", "1"),
        "--sampler": ("--sampler", "numpyro"),
        "--floor": ("--floor", "1.7 +- 0.1"),
        "--backtest": ("--backtest",),
        "--anyway": ("--anyway",),
    },
    "report": {
        **COSTS,
        **LEVELS,
        "--out": ("--out", "OTHER.html"),
        "--budget": ("--budget", "1e23"),
        "--prob": ("--prob", "0.5"),
        "--plan": ("--plan", "7B,200B"),
        "--baseline": ("--baseline", "c4"),
        "--full": ("--full",),
    },
    "compare": {
        **READING,
        "--data": ("--data", "chinchilla"),
        "--cut": ("--cut", "1e20"),
        "--scale": ("--scale", "n_params"),
        "--leave-out": ("--leave-out", "n_params"),
        "--folds": ("--folds", "3"),
        "--draws": ("--draws", "50"),
        "--refit-draws": ("--refit-draws", "50"),
        "--seed": ("--seed", "5"),
        "--budget": ("--budget", "1e24"),
        "--figures": ("--figures", "NEW"),
        "--prob": ("--prob", "0.5"),
    },
    "forecast": {
        "--to": ("--to", "2M"),
        "--x": ("--x", "n_params"),
        "--y": ("--y", "other"),
        "--by": ("--by", "family"),
        "--ceiling": ("--ceiling", "9"),
        "--seed": ("--seed", "5"),
        "--workers": ("--workers", "2"),
        "--prob": ("--prob", "0.5"),
    },
    "forecast-run": {
        "--schedule": ("--schedule", "cosine:peak=1,steps=9"),
        "--name": ("--name", "big"),
        "--to": ("--to", "8"),
        "--of": ("--of", "small=constant:peak=1,steps=9"),
        "--step": ("--step", "n_tokens"),
        "--loss": ("--loss", "other"),
        "--rate": ("--rate", "other"),
        "--by": ("--by", "family"),
        "--sweep": ("--sweep", "FIT"),
        "--at": ("--at", "n_params=1B"),
        "--out": ("--out", "NEW.json"),
        "--force": ("--force",),
        "--seed": ("--seed", "5"),
        "--prob": ("--prob", "0.5"),
    },
    "reconcile": {
        **READING,
        "--by": ("--by", "family"),
        "--curve": ("--curve", "family"),
        "--way": ("--way", "law"),
        "--counted": ("--counted", "body"),
        "--seed": ("--seed", "5"),
        "--prob": ("--prob", "0.5"),
        "--figure": ("--figure", "NEW.png"),
    },
    "backtest": {
        "--model": ("--model", "coupled"),
        **READING,
        "--scale": ("--scale", "n_params"),
        "--seed": ("--seed", "5"),
        "--draws": ("--draws", "50"),
        "--store": ("--store", "NEW.jsonl"),
        "--workers": ("--workers", "2"),
        "--prob": ("--prob", "0.5"),
        "--figure": ("--figure", "NEW.png"),
    },
    "expanding-window": {
        "--model": ("--model", "coupled"),
        **READING,
        "--cut": ("--cut", "1e21"),
        "--scale": ("--scale", "n_params"),
        "--budget": ("--budget", "1e24"),
        "--seed": ("--seed", "5"),
        "--draws": ("--draws", "50"),
        "--store": ("--store", "NEW.jsonl"),
        "--workers": ("--workers", "2"),
        "--prob": ("--prob", "0.5"),
        "--figure": ("--figure", "NEW.png"),
    },
    "multiverse": {
        "--model": ("--model", "coupled"),
        **{option: given for option, given in READING.items() if option != "--keep-outliers"},
        "--question": ("--question", "law"),
        "--budget": ("--budget", "1e24"),
        "--seed": ("--seed", "5"),
        "--draws": ("--draws", "50"),
        "--store": ("--store", "NEW.jsonl"),
        "--workers": ("--workers", "2"),
        "--prob": ("--prob", "0.5"),
        "--figure": ("--figure", "NEW.png"),
    },
    "forecast-by-floor": {
        "--model": ("--model", "coupled"),
        **READING,
        "--floor": ("--floor", "1.6"),
        "--budget": ("--budget", "1e24"),
        "--at": ("--at", "n_params=7B", "--at", "n_tokens=1T"),
        "--seed": ("--seed", "5"),
        "--draws": ("--draws", "50"),
        "--store": ("--store", "NEW.jsonl"),
        "--workers": ("--workers", "2"),
        "--prob": ("--prob", "0.5"),
        "--figure": ("--figure", "NEW.png"),
    },
    "learn-prior": {
        **READING,
        "--base": ("--base", "coupled"),
        "--id": ("--id", "ours"),
        "--out": ("--out", "OTHER.toml"),
        "--seed": ("--seed", "5"),
        "--draws": ("--draws", "50"),
    },
    "calibrate": {
        **READING,
        "--cut": ("--cut", "1e21"),
        "--simulations": ("--simulations", "3"),
        "--scale": ("--scale", "n_params"),
        "--seed": ("--seed", "5"),
        "--draws": ("--draws", "50"),
        "--store": ("--store", "NEW.jsonl"),
        "--workers": ("--workers", "2"),
    },
    "first-sweep": {
        **COSTS,
        "--model": ("--model", "coupled"),
        "--budget": ("--budget", "1e19"),
        "--target": ("--target", "1e23"),
        "--runs": ("--runs", "9"),
        "--tokens-per-param": ("--tokens-per-param", "40"),
        "--run-min-params": ("--run-min-params", "50M"),
        "--run-max-params": ("--run-max-params", "300M"),
        "--run-max-tokens": ("--run-max-tokens", "3B"),
        "--design": ("--design", "SWEEP"),
        "--hyperparameters": ("--hyperparameters", "steplaw2025"),
        "--simulations": ("--simulations", "60"),
        "--out": ("--out", "NEW.csv"),
        "--seed": ("--seed", "5"),
    },
}
ASKED_BASE = {
    "explore": ("FIT",),
    "calibrate": ("RUNS", "chinchilla", "--cut", "1e20"),
    "plan": ("RUNS", "--model", "chinchilla", "--budget", "1e22"),
    "fit": ("RUNS", "--model", "chinchilla"),
    "report": ("FIT", "--out", "NEW.html", "--budget", "1e22"),
    "compare": ("chinchilla", "kaplan-nd", "--data", "RUNS"),
    "forecast": ("RUNS", "--to", "1M"),
    "forecast-run": ("RUNS", "--schedule", "constant:peak=1,steps=9"),
    "reconcile": ("RUNS",),
    "backtest": ("RUNS",),
    "expanding-window": ("RUNS", "--model", "chinchilla", "--cut", "1e20", "--budget", "1e22"),
    "multiverse": ("RUNS", "--model", "chinchilla", "--budget", "1e22"),
    "forecast-by-floor": ("RUNS", "--model", "chinchilla", "--floor", "1.7", "--budget", "1e22"),
    "learn-prior": ("RUNS", "--base", "chinchilla", "--out", "NEW.toml"),
    "first-sweep": ("--model", "chinchilla", "--budget", "1e20", "--target", "1e22"),
}
AFTERWARDS = {
    *(
        ("plan", option)
        for option in (
            *("--budget", "--plan", "--out", "--save", "--prob"),
            *("--backtest", "--hyperparameters", "--critical-batch"),
        )
    ),
    ("fit", "--backtest"),
    ("backtest", "--figure"),
    ("fit", "--out"),
    ("fit", "--report"),
    ("fit", "--budget"),
    ("fit", "--prob"),
    ("compare", "--budget"),
    ("compare", "--figures"),
    ("compare", "--prob"),
    ("reconcile", "--figure"),
    ("expanding-window", "--figure"),
    ("multiverse", "--figure"),
    ("forecast-by-floor", "--figure"),
    ("learn-prior", "--out"),
    ("first-sweep", "--out"),
    ("forecast-run", "--out"),
    ("forecast-run", "--force"),
}
"""Options of what is done with the answer; the tests of these commands are of them."""

OTHERS = {"datasets", "laws", "models", "published", "doctor", "completion", "schema"}


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
    """What commands without the option gave, which many options are compared with."""
    return {}


def asked(files: Mapping[str, str], verb: str, arguments: tuple[str, ...]) -> list[str]:
    return [verb, *(files.get(argument, argument) for argument in arguments)]


def outcome(arguments: list[str], folder: Path) -> tuple[int, str, str, dict[str, int]]:
    """Return the exit code, what is printed, and the files that appear."""
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
    """Return a base command without the options that are given once and are given again."""
    once = {"--target", "--budget", "--runs", "--out", "--data"}
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
    """Return a base command on the fit that the option is for."""
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


ACTING = [
    pytest.param(
        verb,
        option,
        # What a cost is belongs to all verbs alike; `allocate` has it in the quick suite.
        marks=pytest.mark.slow if verb != "allocate" and option in COSTS else (),
    )
    for verb, option in examples(CASES)
    # Both texts have their optimum at a corner; tests/allocation has one inside.
    if (verb, option) != ("mixture", "--prob")
]


@pytest.mark.parametrize(("verb", "option"), ACTING)
def test_an_option_acts_or_is_refused(verb, option, files, tmp_path, monkeypatch, remembered):
    monkeypatch.chdir(tmp_path)
    # What is sealed has the time in it, which would differ whatever the option does.
    monkeypatch.setattr("bayescale.records.preregister.now", lambda: "2026-03-01T12:00:00+00:00")
    # Which would fit the runs many times.
    blank = pd.DataFrame({"ok": [], "inside": []})
    none = bs.Backtest(blank, "coupled", "runs.csv", "0", "compute", 0.9)
    monkeypatch.setattr("bayescale.validation.backtest.backtest", lambda *_, **__: none)
    given = CASES[verb][option]
    base = said(verb, option, BASE[verb])
    # Options that it needs, alone: what differs is to be its own doing.
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
    """Return what a refusal names: the option, or what it is of."""
    return {"--vocabulary-size": "ln(20)"}.get(option, option.lstrip("-").split("-")[0])


def after(given: tuple[str, ...], option: str, verb: str) -> tuple[str, ...]:
    """Return what follows an option and its value."""
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

    class Reached(Exception):
        """In place of the work."""

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
    """argparse keeps the last of several values: the others would be given without effect."""
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
