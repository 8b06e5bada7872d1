"""Draws stored during sampling: recovery after a kill, and resumption."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.cli.main import main
from bayescale.errors import FitFileError
from bayescale.inference import nutpie as sampler
from bayescale.inference.checkpoint import DrawStore, Place
from bayescale.inference.nutpie import CompiledLogp

FEW = {"draws": 750, "tune": 200, "chains": 2, "cores": 2, "seed": 3, "progress": False}
MANY = {**FEW, "draws": 16_000}
COMMAND = (
    *(sys.executable, "-m", "bayescale", "fit", "chinchilla", "--model", "chinchilla"),
    *("--draws", "30000", "--chains", "2", "--cores", "2", "--seed", "3"),
)
ENOUGH_TO_STOP = 20
"""Draws per chain after which a fit is interrupted."""


def same(one: bs.Fit, two: bs.Fit) -> bool:
    return one.posterior.identical(two.posterior) and one.sample_stats.identical(two.sample_stats)


def interrupt_after(patched: pytest.MonkeyPatch, times: int = 0, chain: int | None = None) -> None:
    """Inspect often, and interrupt after a number of additions, or after one to a chain."""
    add, left = DrawStore.add, iter(range(times))

    def interrupting(self, place, added, *rest):
        add(self, place, added, *rest)
        if added == chain or (chain is None and next(left, None) is None):
            raise KeyboardInterrupt

    patched.setattr(sampler, "_LOOK_EVERY", 0.05)
    patched.setattr(DrawStore, "add", interrupting)


@pytest.fixture
def calls(monkeypatch):
    """Record the settings of every call of the storing sampler, and interrupt one."""
    sample, seen = CompiledLogp.sample, Calls()

    def noted(self, data, settings, progress=None, starts=None, keep=None):
        if keep:
            seen.append(settings)
            if len(seen) == seen.interrupted:
                raise KeyboardInterrupt
        return sample(self, data, settings, progress, starts, keep)

    monkeypatch.setattr(CompiledLogp, "sample", noted)
    return seen


class Calls(list):
    interrupted = 0
    """Number of the call that is interrupted before its first draw, from one; none if zero."""


def interrupted(path: Path, model="chinchilla", runs="chinchilla", **options) -> None:
    with pytest.raises(KeyboardInterrupt, match="its draws so far are in"):
        bs.fit(runs, model, store=path, **options)


def least_draws(path: Path) -> int:
    """Return the smaller number of draws of two chains that another process samples."""
    return min(DrawStore(path).lengths(Place(1, 0), 2)) if path.exists() else 0


def killed(path: Path, how: int) -> subprocess.CompletedProcess[str]:
    """Start the fit in a subprocess, and kill it when there are draws."""
    with subprocess.Popen(
        [*COMMAND, "--store", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 300
        while least_draws(path) < ENOUGH_TO_STOP:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(how)
        printed, said = process.communicate(timeout=300)
    return subprocess.CompletedProcess(COMMAND, process.returncode, printed, said)


def test_a_kept_fit_is_the_same_fit(tmp_path, chinchilla_runs, calls):
    path = tmp_path / "fit.draws"
    plain = bs.fit(chinchilla_runs, "chinchilla", **FEW)
    stored = bs.fit(chinchilla_runs, "chinchilla", store=path, **FEW)
    assert same(stored, plain)
    back = bs.load_fit(path, law="chinchilla")
    assert same(back, plain)
    assert back.provenance == stored.provenance
    assert back.diagnostics.messages == plain.diagnostics.messages
    with pytest.raises(FitFileError, match="a fit of the law chinchilla, expected kaplan-nd"):
        bs.load_fit(path, law="kaplan-nd")
    before = path.read_bytes()
    assert same(bs.fit(chinchilla_runs, "chinchilla", store=path, **FEW), plain)
    assert len(calls) == 1
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_fit_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    path = tmp_path / "fit.draws"
    with monkeypatch.context() as patched:
        interrupt_after(patched, times=3)
        interrupted(path, **MANY)
    before = bs.load_fit(path)
    made = before.provenance["unfinished"]
    assert 10 <= made["draws"] < made["all_draws"] == 16_000
    after = bs.fit("chinchilla", "chinchilla", store=path, **MANY)
    assert after.posterior.sizes == {"chain": 2, "draw": 16_000}
    assert after.seed == 3
    assert after.diagnostics.ok, after.diagnostics.status
    assert "unfinished" not in after.diagnostics.status
    assert after.provenance["taken_up"] == 1
    first = after.posterior.isel(draw=slice(made["draws"]))
    assert first.equals(before.posterior)
    alpha = after.posterior["alpha"].to_numpy()
    # Draws after the interruption differ from those without it.
    assert len(np.unique(alpha)) > 0.9 * alpha.size
    assert same(bs.load_fit(path), after)


@pytest.mark.slow
def test_chains_that_are_done_are_not_sampled_again(tmp_path, calls, monkeypatch):
    path = tmp_path / "fit.draws"
    options = {**MANY, "chains": 3, "cores": 1}
    with monkeypatch.context() as patched:
        interrupt_after(patched, chain=2)
        interrupted(path, **options)
    one, two, three = DrawStore(path).lengths(Place(1, 0), 3)
    assert one == two == 16_000 > three > 0
    so_far = bs.load_fit(path)
    # Two complete chains have more draws than three truncated ones, unless the third is long.
    assert so_far.posterior.sizes == (
        {"chain": 2, "draw": 16_000} if three < 10_667 else {"chain": 3, "draw": three}
    )
    assert ("of 2 of 3 chains" in so_far.diagnostics.status) == (three < 10_667)
    whole = bs.fit("chinchilla", "chinchilla", store=path, **options)
    assert [(again.chains, again.draws) for again in calls[1:]] == [(1, 16_000 - three)]
    assert whole.posterior.sizes == {"chain": 3, "draw": 16_000}
    assert whole.diagnostics.ok, whole.diagnostics.status


def test_a_longer_attempt_is_kept_apart(tmp_path, calls, monkeypatch):
    """With too small an effective sample size, sampling is repeated with thinning."""
    # So few draws would be thinned from more at once.
    monkeypatch.setattr("bayescale.inference.adaptive._WORTH", 100.0)
    path = tmp_path / "fit.draws"
    options = {**FEW, "draws": 60}
    calls.interrupted = 2
    interrupted(path, **options)
    so_far = bs.load_fit(path)
    assert so_far.posterior.sizes["draw"] == 60
    assert f"60 of {calls[1].draws} draws a chain" in so_far.diagnostics.status
    stored = bs.fit("chinchilla", "chinchilla", store=path, **options)
    assert same(stored, bs.fit("chinchilla", "chinchilla", **options))
    factor = stored.provenance["sampler"]["kept_one_draw_in"]
    assert factor == calls[1].draws / 60 > 1
    assert DrawStore(path).factors == (1, factor)
    assert same(bs.load_fit(path), stored)


@pytest.mark.slow
def test_every_mode_is_kept(tmp_path, calls):
    size = np.geomspace(1e7, 2e9, 24)
    truth = {"N_c": 1e13, "S_c": 1e3, "alpha_N": 0.08, "alpha_S": 0.6}
    loss = bs.law("kaplan-ns-min").evaluate(n_params=size, n_steps_min=size / 1e4, **truth)
    noise = 0.003 * np.random.default_rng(1).standard_normal(len(size))
    runs = pd.DataFrame({"n_params": size, "n_steps": size / 1e4, "loss": loss * np.exp(noise)})
    path = tmp_path / "fit.draws"
    calls.interrupted = 2
    interrupted(path, "kaplan-ns-min", runs, **FEW)
    with pytest.raises(FitFileError, match="found 0 draws a chain"):
        bs.load_fit(path)
    stored = bs.fit(runs, "kaplan-ns-min", store=path, **FEW)
    assert len(stored.provenance["modes"]) == 2
    # The second mode has no draws yet, so its draws are those without the interruption.
    assert same(stored, bs.fit(runs, "kaplan-ns-min", **FEW))
    back = bs.load_fit(path)
    assert same(back, stored)
    assert back.diagnostics.messages == stored.diagnostics.messages


@pytest.mark.slow
def test_a_killed_fit_leaves_its_draws(tmp_path):
    path = tmp_path / "fit.draws"
    assert killed(path, signal.SIGKILL).returncode == -signal.SIGKILL
    so_far = bs.load_fit(path)
    count = so_far.posterior.sizes["draw"]
    assert 10 <= count < 30000
    assert all(np.isfinite(x).all() for x in so_far.posterior.data_vars.values())
    assert f"unfinished: {count} of 30000 draws a chain" in so_far.diagnostics.status
    assert so_far.diagnostics.table["r_hat"].notna().all()


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(tmp_path, capsys):
    path = tmp_path / "fit.draws"
    done = killed(path, signal.SIGINT)
    assert done.returncode == 130
    assert done.stdout == ""
    assert f"finished work is kept in {path}. Repeat the command to continue." in done.stderr
    assert "Traceback" not in done.stderr
    count = bs.load_fit(path).posterior.sizes["draw"]
    assert main([*COMMAND[3:], "--store", str(path), "--quiet"]) == 0
    assert "All gates passed" in capsys.readouterr().out
    whole = bs.load_fit(path)
    assert count < whole.posterior.sizes["draw"] == 30000
    assert "unfinished" not in whole.diagnostics.status


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "fit.draws"
    bs.fit("chinchilla", "chinchilla", store=path, **FEW)
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"draws": 751}, "draws: found 750, expected 751"),
        ({"seed": 4, "target_accept": 0.8}, "seed: found 3, expected 4; target_accept: found 0.9"),
        ({"model": "coupled"}, "law of the card: found 'chinchilla', expected 'coupled'"),
        ({"runs": "overtraining"}, "runs: found those of chinchilla .240 runs., expected others"),
    ],
)
def test_another_fit_is_refused(store, changes, words):
    before = store.read_bytes()
    with pytest.raises(
        FitFileError, match=f"the draws of another fit .*{words}.*continued by repeating it"
    ):
        bs.fit(**{"model": "chinchilla", "runs": "chinchilla", "store": store, **FEW, **changes})
    assert store.read_bytes() == before


def test_changed_runs_are_refused_and_other_cores_are_not(store, chinchilla_runs):
    fewer = chinchilla_runs.where("compute < 1e21")
    with pytest.raises(FitFileError, match="runs: found other values in chinchilla"):
        bs.fit(fewer, "chinchilla", store=store, **FEW)
    bs.fit(chinchilla_runs, "chinchilla", store=store, **{**FEW, "cores": 1})


def test_other_files_are_left_as_they_are(tmp_path, fit):
    path = tmp_path / "fit.nc"
    fit.save(path)
    before = path.read_bytes()
    with pytest.raises(FitFileError, match="expected the stored draws of a fit"):
        bs.fit("chinchilla", "chinchilla", store=path, **FEW)
    assert path.read_bytes() == before
    with pytest.raises(FileNotFoundError, match="does not exist; make it first"):
        bs.fit("chinchilla", "chinchilla", store=tmp_path / "no" / "fit.draws", **FEW)


def test_an_interruption_in_the_warm_up_leaves_too_little(tmp_path, calls):
    path = tmp_path / "fit.draws"
    calls.interrupted = 1
    interrupted(path, **FEW)
    with pytest.raises(FitFileError, match="found 0 draws a chain, expected at least 10"):
        bs.load_fit(path)
    stored = bs.fit("chinchilla", "chinchilla", store=path, **FEW)
    assert same(stored, bs.fit("chinchilla", "chinchilla", **FEW))


def test_draws_before_damage_are_kept(store, tmp_path, caplog):
    whole = store.read_bytes()
    path = tmp_path / "fit.draws"
    for cut in (1, 400):
        path.write_bytes(whole[:-cut])
        assert bs.load_fit(path).posterior.sizes["draw"] == 750
        assert "left out a damaged end" in caplog.text
    path.write_bytes(whole[:20] + b"x" + whole[21:])
    with pytest.raises(FitFileError, match="the beginning of this file of draws is damaged"):
        bs.load_fit(path)


def test_two_processes_do_not_add_to_one_store(store, tmp_path):
    path = tmp_path / "fit.draws"
    path.write_bytes(store.read_bytes())
    one, two = DrawStore(path), DrawStore(path)
    one.finish(1, {})
    with pytest.raises(FitFileError, match="another process also adds draws to this file"):
        two.finish(1, {})


def test_a_full_disk_keeps_what_there_was(tmp_path, monkeypatch, capsys):
    path = tmp_path / "fit.draws"
    fsync, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == 3:
            os.write(handle, b"half of a record")
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    arguments = (
        "fit",
        "chinchilla",
        "--model",
        "chinchilla",
        "--draws",
        "300",
        "--tune",
        "200",
        "--quiet",
    )
    asked = [*arguments, "--chains", "2", "--seed", "3", "--store", str(path)]
    assert main(asked) == 2
    said = capsys.readouterr().err
    assert "draws could not be added (No space left on device)" in said
    assert said.count("\n") == 1
    assert main(asked) == 0
    assert bs.load_fit(path).posterior.sizes["draw"] == 300
