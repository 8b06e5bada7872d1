"""Every command that writes: inputs and files of another kind are never replaced."""

import argparse
import os
from itertools import product
from pathlib import Path

import pytest

import bayescale as bs
from bayescale import _outputs as outputs
from bayescale._outputs import SEAL, Output
from bayescale.cli.files import Reads, Writes
from bayescale.cli.main import main
from bayescale.cli.parser import make_parser
from bayescale.posterior.export import export_fit

COMMANDS: dict[str, tuple[str, ...]] = {
    "fit": ("runs.csv", "--model", "card.toml", "--budget", "1e21"),
    "plan": ("runs.csv", "--model", "card.toml", "--budget", "1e21"),
    "report": ("fit.nc", "--budget", "1e21"),
    "export": ("fit.nc",),
    "compare": ("card.toml", "--runs", "runs.csv"),
    "reconcile": ("runs.csv",),
    "expanding-window": ("runs.csv", "--model", "card.toml", "--cut", "1e20", "--budget", "1e22"),
    "multiverse": ("runs.csv", "--model", "card.toml", "--budget", "1e22"),
    "forecast-by-floor": ("runs.csv", "--model", "card.toml", "--floor", "2", "--budget", "1e22"),
    "forecast-run": ("runs.csv", "--name", "big", "--schedule", "constant:peak=1,steps=9"),
    "learn-prior": ("runs.csv",),
    "calibrate": ("runs.csv", "card.toml", "--cut", "1e20"),
    "backtest": ("runs.csv", "--model", "card.toml"),
    "speedup": ("fit.nc", "--baseline", "c4", "--budget", "1e21"),
    "first-sweep": ("--model", "card.toml", "--budget", "1e20", "--target", "1e22"),
    "preregister": ("fit.nc", "--name", "big", "--n-params", "1B", "--n-tokens", "20B"),
}
"""A command line of each verb that writes, without its outputs."""

OTHERS = {
    "README.md": b"# A page of my own\n",
    "page.html": b"<p>mine</p>",
    "facts.json": b'{"mine": 1}',
    "nested.json": b"[" * 100_000,
    "tree.nc": b"CDF, not HDF5",
    "draws.parquet": b"PAR1 and no more",
    "notes.csv": b"when,what\n1,2\n",
    "lines.jsonl": b'{"N": 1, "D": 2, "loss": 3}\n',
    "long.draws": b"something else\n",
}


def _verbs() -> dict[str, argparse.ArgumentParser]:
    (choices,) = (
        action.choices
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(choices)


WRITES = [
    (verb, action.option_strings[-1], action.type.output)
    for verb, parser in _verbs().items()
    for action in parser._actions
    if isinstance(action.type, Writes)
]
FILES = [entry for entry in WRITES if entry[2] is not None]


def _ids(entries: list[tuple[str, str, Output | None]]) -> list[str]:
    return [f"{verb} {option}" for verb, option, _ in entries]


def test_every_command_that_writes_is_tried() -> None:
    assert set(COMMANDS) == {verb for verb, _, _ in WRITES}
    assert len(WRITES) >= 10


@pytest.mark.parametrize("verb", _verbs())
def test_options_say_whether_they_name_files(verb: str) -> None:
    for action in _verbs()[verb]._actions:
        inputs = {
            "runs",
            "fit",
            "fits",
            "task",
            "model",
            "cards",
            "candidates",
            "records",
            "sweeps",
            "base",
            "hyperparameters",
            "critical_batch",
            "design",
            "throughput",
            "recorded_costs",
        }
        count = verb in ("next", "first-sweep") and action.dest == "runs"
        named = action.dest in inputs and not count
        assert isinstance(action.type, Reads) == named, action.dest
        assert action.type is not Path, f"{verb} {action.dest}: say whether it reads or writes"
        if any(word in (action.help or "") for word in ("file to", "file of", "to save", "write")):
            assert isinstance(action.type, Reads | Writes), action.dest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder of inputs; sampling fails, and no file may change."""
    table = "\n".join(f"{n}e6,{20 * n}e6,{4 - n / 100}" for n in range(1, 30))
    (tmp_path / "runs.csv").write_text(f"N,D,loss\n{table}\n")
    (tmp_path / "card.toml").write_text(bs.load_model("chinchilla").to_toml())
    (tmp_path / "fit.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + SEAL + b"0" * 64 + b"\n")
    for name, content in OTHERS.items():
        (tmp_path / name).write_bytes(content)
    for name in ("runs.csv", "card.toml", "fit.nc"):
        (tmp_path / f"soft-{name}").symlink_to(name)
        os.link(tmp_path / name, tmp_path / f"hard-{name}")
    os.mkfifo(tmp_path / "pipe.nc")
    monkeypatch.chdir(tmp_path)

    def sampled(*_: object, **__: object) -> None:
        raise AssertionError("something was sampled")

    monkeypatch.setattr("bayescale.inference.fit.enough_draws", sampled)
    before = _contents(tmp_path)
    yield tmp_path
    assert _contents(tmp_path) == before


def _contents(folder: Path) -> dict[str, object]:
    return {
        path.name: (path.is_symlink(), path.read_bytes() if path.is_file() else path.stat().st_mode)
        for path in folder.iterdir()
    }


def _refused(capsys, path: str, *arguments: str) -> None:
    code = main(arguments)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert path in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("verb", "option", "output"), WRITES, ids=_ids(WRITES))
def test_what_is_read_is_never_written(folder, capsys, verb, option, output) -> None:
    read = [name for name in COMMANDS[verb] if "." in name and not name.startswith("-")]
    for name, link in product(read, ["", "soft-", "hard-", "./", f"{folder}/"]):
        _refused(capsys, name, verb, *COMMANDS[verb], option, f"{link}{name}")


@pytest.mark.parametrize(("verb", "option", "output"), FILES, ids=_ids(FILES))
def test_files_of_other_kinds_are_left_as_they_are(folder, capsys, verb, option, output) -> None:
    places = ["pipe.nc", "/dev/null", ".", "no/folder.nc", *OTHERS]
    allowed = [n for n in OTHERS if output is outputs.FIGURE and Path(n).suffix in output.forms]
    for name in places:
        assert name not in allowed
        _refused(
            capsys, name if name != "no/folder.nc" else "no", verb, *COMMANDS[verb], option, name
        )


@pytest.mark.parametrize("verb", COMMANDS)
def test_one_file_is_not_written_twice(folder, capsys, verb) -> None:
    written = [option for v, option, _ in WRITES if v == verb]
    if verb == "report":
        return
    for one, other in product(written, written):
        if one < other:
            _refused(capsys, "new.nc", verb, *COMMANDS[verb], one, "new.nc", other, "./new.nc")


def test_a_folder_of_inputs_is_an_input(folder, capsys) -> None:
    inputs = folder / "mine"
    inputs.mkdir()
    try:
        (inputs / "runs.json").write_text("[]")
        _refused(
            capsys,
            "mine/runs.json",
            *(
                "fit",
                "mine",
                "--model",
                "chinchilla",
                "--budget",
                "1e21",
                "--report",
                "mine/runs.json",
            ),
        )
    finally:
        (inputs / "runs.json").unlink()
        inputs.rmdir()


def test_included_files_are_inputs(folder, capsys) -> None:
    from bayescale.data.catalog import find_model_card

    card = str(find_model_card("chinchilla"))
    _refused(capsys, card, "fit", "chinchilla", "--model", "chinchilla", "--out", card)


@pytest.mark.slow
def test_commands_replace_their_own_outputs(fit, tmp_path) -> None:
    """Check that the refusals above are specific: commands may replace their own outputs."""
    for _ in range(2):
        fit.save(tmp_path / "fit.nc")
        for suffix in outputs.EXPORT.forms:
            export_fit(fit, tmp_path / f"export{suffix}")
        for suffix in outputs.REPORT.forms:
            bs.report(fit, tmp_path / f"report{suffix}", budget="1e21", progress=False)
    with pytest.raises(
        ValueError, match="found the suffix '.csv', expected one of .nc for a saved fit"
    ):
        fit.save(tmp_path / "export.csv")
    for suffix in outputs.EXPORT.forms:
        saved = tmp_path / f"fit{suffix}"
        if suffix != ".nc":
            saved.write_bytes((tmp_path / "fit.nc").read_bytes())
        with pytest.raises(FileExistsError, match="found a file that is not an export"):
            export_fit(fit, saved)
    assert bs.load_fit(tmp_path / "fit.nc").posterior.equals(fit.posterior)


def test_links_are_followed_and_stay(tmp_path) -> None:
    from bayescale._io import whole_file

    (tmp_path / "there").mkdir()
    (tmp_path / "link.txt").symlink_to("there/text.txt")
    for text in ("one", "two"):
        with whole_file(tmp_path / "link.txt") as part:
            part.write_text(text)
        assert (tmp_path / "link.txt").is_symlink()
        assert (tmp_path / "there" / "text.txt").read_text() == text
