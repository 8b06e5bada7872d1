"""Every other file that a command reads is accepted, or refused in one sentence with its name.

A reader is added by a line of `WAYS`: valid files, and the command that reads them.
"""

import argparse
import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from contract.fits import fit_of_card
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.cli.files import Reads
from bayescale.cli.main import main
from bayescale.cli.parser import make_parser
from bayescale.errors import SamplingError
from bayescale.experiment_design.candidates import pool_of

FUZZ = settings.get_profile("fuzz")
FUZZ = settings(
    FUZZ,
    max_examples=max(1, FUZZ.max_examples // 100),
    suppress_health_check=[*FUZZ.suppress_health_check, HealthCheck.function_scoped_fixture],
)
"""The many readers share the number of inputs."""

CLUSTER = ("--gpus", "8", "--gpu", "H100-SXM", "--utilisation", "0.4")
AT = "AT"
"""Placeholder of the file, or the folder of files, in a command."""


@dataclass(frozen=True)
class Way:
    """Valid files by name, the command that reads them, and whether the command succeeds."""

    files: Mapping[str, bytes]
    command: tuple[str, ...]
    answers: bool = False


def _csv(header: str, *rows: str) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


POINTS = [
    f"{run},{step},{3.5 - 0.2 * run + 40 / step:.4f},0.0003"
    for run in (1, 2)
    for step in range(100, 1100, 50)
]
STEPS = range(10, 60, 10)
TRAINER = {
    "log_history": [{"eval_loss": 3 + 9 / s, "loss": 3 + 8 / s, "step": s} for s in STEPS],
    "global_step": 50,
    "num_input_tokens_seen": 2_000_000_000,
    "total_flos": 1.2e18,
}
METRIC = _csv(*(f"1795961978934 {3 + 9 / s} {s}" for s in STEPS))
TOKENS = _csv(*(f"1795961978934 {s}e8 {s}" for s in STEPS))
META = b"lifecycle_stage: active\nrun_id: a\nrun_name: small\nstatus: 3\ntags: []\n"
SCHEDULE = ("--name", "1", "--step", "step", "--loss", "loss", "--rate", "lr", "--by", "run")
ALLOCATE = ("allocate", "fit.nc", "--budget", "1e22")
FIND = ("--column", "n_params=n_params", "--column", "n_tokens=tokens", "--column", "loss=val_loss")
WAYS: Mapping[str, Way] = {
    "throughput": Way(
        {"f.csv": _csv("n_params,tokens_per_second,n_gpus", "1B,400K,8", "7B,72K,8")},
        (*ALLOCATE, "--throughput", AT, *CLUSTER),
        answers=True,
    ),
    "recorded costs": Way(
        {
            "f.csv": _csv(
                "n_params,n_tokens,compute",
                *(f"{n}B,{d}B,{6.3e18 * n * d}" for n in (1, 3, 9) for d in (20, 70)),
            )
        },
        (*ALLOCATE, "--recorded-costs", AT),
        answers=True,
    ),
    "candidates": Way(
        {"f.csv": _csv("n_params,n_tokens", "1B,20B", "2B,40B")},
        ("next", "fit.nc", "--target", "1e22", "--budget", "1e21", "--candidates", AT),
    ),
    "designs": Way(
        {
            "f.csv": _csv(
                "n_params,n_tokens", *(f"{n}M,{n * (n % 7 + 5)}M" for n in range(40, 400, 30))
            )
        },
        ("first-sweep", "--budget", "1e20", "--target", "1e22", "--design", AT),
    ),
    "schedules": Way(
        {"f.csv": _csv("step,lr", "1,0.0003", "1100,0.0003", "2000,3e-05")},
        ("forecast-run", "points.csv", "--schedule", AT, *SCHEDULE),
    ),
    "curves under schedules": Way(
        {"f.csv": _csv("run,step,loss,lr", *POINTS)},
        ("forecast-run", AT, "--schedule", "constant:peak=3e-4,steps=2k", *SCHEDULE),
    ),
    "curves": Way(
        {"f.csv": _csv("x,loss", *(f"{x},{2 + 3 / x:.5f}" for x in range(1, 30)))},
        ("forecast", AT, "--to", "100"),
    ),
    "forecasts": Way({"f.json": b"SEALED"}, ("score-forecast", AT, "--runs", "runs.csv"), True),
    "sealed forecasts": Way(
        {"f.json": b"CONTENT"}, ("score-forecast", AT, "--runs", "runs.csv"), True
    ),
    "store of draws": Way(
        {"f.draws": b"bayescale draws 1\n" + b"0" * 64 + b'{"model": {}, "size": 4}\nabcd'},
        ("fit", "runs.csv", "--model", "chinchilla", "--store", AT),
    ),
    "store of results": Way(
        {"f.jsonl": b'{"key": "a", "result": {"n_opt": [1.0]}}\n' * 3},
        (
            *("expanding-window", "runs.csv", "--model", "chinchilla", "--cut", "2e16"),
            *("--budget", "1e22", "--store", AT),
        ),
        answers=True,
    ),
    "sweep to replace": Way(
        {"f.csv": _csv("run,budget,n_params,n_tokens,seed,compute", "0,1,1e8,2e9,1,1.2e18")},
        ("first-sweep", "--budget", "1e20", "--target", "1e22", "--out", AT),
    ),
    "logs of MLflow": Way(
        {
            "1/a/meta.yaml": META,
            "1/a/metrics/val_loss": METRIC,
            "1/a/metrics/tokens": TOKENS,
            "1/a/params/n_params": b"70000000",
        },
        ("check", AT, *FIND),
    ),
    "logs of a Trainer": Way(
        {
            "small/checkpoint-50/trainer_state.json": json.dumps(TRAINER).encode(),
            "small/config.json": b'{"n_layer": 4, "n_params": 7e7}',
        },
        ("check", AT, *FIND[:2], "--column", "loss=eval_loss"),
    ),
    "tables of logs": Way(
        {
            "small/metrics.csv": _csv("step,tokens,val_loss", "10,1e9,3.2", "20,,", "20,2e9,3.1"),
            "small/hparams.yaml": b"n_params: 7e7\nbetas:\n- 0.9\n- 0.95\n",
        },
        ("check", AT, *FIND),
    ),
    "lines of logs": Way(
        {
            "small/log.jsonl": b'{"step": 1, "tokens": 1e9, "val_loss": 3.2}\n' * 2,
            "small/config.json": b'{"model": {"n_params": 7e7}, "n_params": 7e7}',
        },
        ("check", AT, *FIND),
    ),
    "event files": Way({"small/events.out.tfevents.1.host": b"EVENTS"}, ("check", AT, *FIND)),
}

NOT_FUZZED = {
    "fit": "test_fit_files",
    "fits": "test_fit_files",
    "task": "test_fit_files",
    "hyperparameters": "test_fit_files",
    "critical_batch": "test_fit_files",
    "model": "test_model_cards",
    "base": "test_model_cards",
    "cards": "test_model_cards",
    "sweeps": "test_tables",
}
"""Tests of files of other options."""

CELLS = [
    *(b"", b"nan", b"inf", b"-1", b"0", b"1e400", b"1e-400", b"0,125B", b"1_000", b"x", b"\xff"),
    *(b"9" * 400, b"9" * 5000, b"null", b"true", b"[]", b"{}", b"[[]]", b'"', b"\x00", b"1;2"),
    *(b"!!python/object:os.system", b"&a [*a]", b"(" * 500, b"[" * 5000, b"n_params", b"loss"),
]
_CELL = re.compile(rb"[^\s,;:{}\[\]\"]+")


@st.composite
def changed(draw, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return files, one of which has a changed cell, line or bytes, or is missing."""
    name = draw(st.sampled_from(sorted(files)))
    content = files[name]
    how = draw(st.sampled_from(["cell", "cell", "cell", "line", "bytes", "end", "coded", "gone"]))
    if how == "cell" and (cells := list(_CELL.finditer(content))):
        at = draw(st.sampled_from(cells))
        cell = draw(st.sampled_from(CELLS) | st.binary(max_size=4))
        content = content[: at.start()] + cell + content[at.end() :]
    elif how == "line":
        lines = content.split(b"\n")
        at = draw(st.integers(0, len(lines) - 1))
        lines[at : at + 1] = draw(st.sampled_from([[], [lines[at]] * 2, [b""], [b",,,,,,"]]))
        content = b"\n".join(lines)
    elif how == "end":
        content = content[: draw(st.integers(0, len(content)))]
    elif how == "coded":
        content = content.decode("latin-1").encode(draw(st.sampled_from(["utf-16", "utf-8-sig"])))
    elif how == "gone":
        return {other: text for other, text in files.items() if other != name}
    else:
        at = draw(st.integers(0, len(content)))
        cut = draw(st.sampled_from([0, 1, 4, 50]))
        content = content[:at] + draw(st.binary(max_size=8)) + content[at + cut :]
    return {**files, name: content}


def _not_now(*_: object, **__: object) -> None:
    raise SamplingError("It is not worked out here.")


def _only_pool(fit, *, candidates, **_: object) -> None:
    pool_of(fit, candidates, 1e21, bs.costs.six_nd, {})
    _not_now()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the other inputs of the commands; sampling is disabled."""
    folder = tmp_path_factory.mktemp("other")
    whole = fit_of_card("chinchilla")
    some = {"draw": slice(0, 12)}
    fit = replace(
        whole, _posterior=whole.posterior.isel(some), _sample_stats=whole.sample_stats.isel(some)
    )
    fit.save(folder / "fit.nc")
    rows = [f"r{n},{n}e6,{20 * n}e6,{4 - n / 100}" for n in range(1, 30)]
    (folder / "runs.csv").write_bytes(_csv("run,N,D,loss", *rows))
    (folder / "points.csv").write_bytes(_csv("run,step,loss,lr", *POINTS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in (
            "bayescale.inference.fit.enough_draws",
            "bayescale.inference.fit.compiled_logp",
            "bayescale.schedules.forecast.fit_curves",
            "bayescale.forecasting.forecast._each",
            "bayescale.experiment_design.prior_laws.PriorLaws.about",
        ):
            patch.setattr(name, _not_now)
        patch.setattr("bayescale.experiment_design.next_runs.next_runs", _only_pool)
        yield folder


@pytest.fixture(scope="module")
def made(folder) -> Mapping[str, bytes]:
    """Return the contents of files that programs generate."""
    fit = bs.load_fit(folder / "fit.nc")
    bs.preregister(fit, {"r5": {"n_params": "5M", "n_tokens": "100M"}}, folder / "made.json")
    sealed = (folder / "made.json").read_bytes()
    found = {b"SEALED": sealed, b"CONTENT": json.dumps(json.loads(sealed)["content"]).encode()}
    if writer := getattr(_module("tensorboardX"), "SummaryWriter", None):
        with writer(str(folder / "events")) as events:
            for step in STEPS:
                events.add_scalar("val_loss", 3.0 + 9 / step, step)
                events.add_scalar("tokens", 1e8 * step, step)
        found[b"EVENTS"] = next((folder / "events").iterdir()).read_bytes()
    return found


def _module(name: str) -> object:
    try:
        return __import__(name)
    except ImportError:
        return None


def _sealed_again(content: bytes) -> bytes:
    """Return changed content as a forecast file with a valid digest."""
    try:
        whole = json.dumps(
            json.loads(content), sort_keys=True, separators=(",", ":"), allow_nan=False
        )
    except (ValueError, RecursionError):
        return content
    digest = hashlib.sha256(whole.encode()).hexdigest()
    record = {"format": "bayescale forecasts 1", "content": json.loads(whole), "sha256": digest}
    return json.dumps(record).encode()


def _placed(root: Path, files: Mapping[str, bytes]) -> str:
    """Write files below an emptied folder, and return the path for the command."""
    for old in sorted(root.rglob("*"), reverse=True):
        old.unlink() if old.is_file() else old.rmdir()
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    alone = next(iter(files), "f.csv")
    return f"way/{alone}" if "/" not in alone else "way"


def _said(command: tuple[str, ...], capsys) -> tuple[int, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = main([*command, "--quiet"])
    except SystemExit as stop:
        code = stop.code
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {str(error)[:200]}") from error
    return code, capsys.readouterr().err


@pytest.fixture
def files_of(made, request):
    """Return the valid files of a reader, or skip it if the program that makes them is missing."""

    def find(way: Way) -> dict[str, bytes]:
        if b"EVENTS" in way.files.values() and b"EVENTS" not in made:
            pytest.skip("tensorboardX is not installed")
        return {name: made.get(content, content) for name, content in way.files.items()}

    return find


@pytest.mark.parametrize("name", WAYS)
def test_what_is_right_is_read(folder, capsys, files_of, name):
    way = WAYS[name]
    files = files_of(way)
    if name == "sealed forecasts":
        files = {at: _sealed_again(content) for at, content in files.items()}
    (folder / "way").mkdir(exist_ok=True)
    at = _placed(folder / "way", files)
    code, err = _said(tuple(at if word == AT else word for word in way.command), capsys)
    assert code == (0 if way.answers else 2), err
    if not way.answers and name not in OTHERWISE:
        assert "It is not worked out here." in err


OTHERWISE = {
    "store of draws": "a store of another fit is refused",
    **dict.fromkeys(
        ["logs of MLflow", "logs of a Trainer", "tables of logs", "lines of logs", "event files"],
        "one run is too few to fit",
    ),
}
"""Readers whose valid files are refused after reading, with the reason."""


@pytest.mark.parametrize("name", WAYS)
@FUZZ
@given(data=st.data())
def test_any_file(folder, capsys, files_of, name, data):
    way = WAYS[name]
    files = data.draw(changed(files_of(way)))
    if name == "sealed forecasts":
        files = {at: _sealed_again(content) for at, content in files.items()}
    (folder / "way").mkdir(exist_ok=True)
    at = _placed(folder / "way", files)
    code, err = _said(tuple(at if word == AT else word for word in way.command), capsys)
    assert code in (0, 2)
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("bayescale: ")]
    assert len(lines) == (1 if code else 0)
    assert all(len(line) < 2500 and line.endswith((".", "?")) for line in lines)
    for other, content in files.items():
        stored = name.startswith("store of")
        assert stored or (folder / "way" / other).read_bytes() == content


def test_every_option_that_names_a_file_is_fuzzed():
    (choices,) = (
        action.choices
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    read = {
        action.dest
        for parser in choices.values()
        for action in parser._actions
        if isinstance(action.type, Reads)
    }
    given_here = {
        word.removeprefix("--").replace("-", "_")
        for way in WAYS.values()
        for word in way.command
        if word.startswith("--")
    }
    assert read - {"runs", "records"} <= given_here | set(NOT_FUZZED)
    for module in NOT_FUZZED.values():
        assert (Path(__file__).parent / f"{module}.py").is_file()
