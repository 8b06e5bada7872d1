"""The closed loop: its page states its runs and decisions, and nothing is repeated."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("babel")

from laboratory import closed_loop
from laboratory.closed_loop import (
    FIRST_BUDGETS,
    FIRST_SHAPES,
    FOLDER,
    FURTHER,
    SHAPES,
    STRATEGIES,
    TARGET,
    Loop,
    compute_of,
    nearest,
)
from laboratory.closed_loop_page import PAGE, Truth, page_of
from laboratory.sweep import Sweep
from laboratory.texts import CORPORA
from laboratory.transformer import Shape


@pytest.fixture(scope="module")
def loop():
    return Loop()


def test_the_page_has_the_stored_runs_and_decisions(loop):
    assert page_of(loop) == PAGE.read_text(encoding="utf-8")


def test_a_finished_loop_is_not_repeated(tmp_path, monkeypatch):
    folder = tmp_path / "loop"
    shutil.copytree(FOLDER, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def refuse(*arguments):
        raise AssertionError(f"found a call with {arguments}, expected none")

    monkeypatch.setattr(closed_loop, "train", refuse)
    monkeypatch.setattr(closed_loop, "fitted", refuse)
    Loop(folder).run()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_missing_decision_is_made_from_its_own_runs(tmp_path, monkeypatch):
    """Other decisions are kept, and each strategy uses only its own runs."""
    folder = tmp_path / "loop"
    shutil.copytree(FOLDER, folder)
    file = folder / "decisions.json"
    kept = json.loads(file.read_text(encoding="utf-8"))
    lost = kept.pop("prose/random")
    file.write_text(json.dumps(kept), encoding="utf-8")
    seen = []

    def stand_in(rows):
        seen.append(set(rows["run"]))
        return "fit"

    loop = Loop(folder)
    settings = {s.run: s for s in map(setting_of(loop), loop.table.runs["run"])}
    monkeypatch.setattr(closed_loop, "fitted", stand_in)
    monkeypatch.setattr(
        loop,
        "further_runs",
        lambda name, fit: {name: [settings[r] for r in lost["runs"]] for name in STRATEGIES},
    )
    monkeypatch.setattr(loop, "decided", lambda name, fit: {"shape": [8, 1]})
    loop.decide("prose")
    first, second = seen
    assert len(first) == len(FIRST_SHAPES) * len(FIRST_BUDGETS)
    assert second == first | set(lost["runs"])
    made = json.loads(file.read_text(encoding="utf-8"))
    assert made.pop("prose/random")["runs"] == lost["runs"]
    assert made == kept


def setting_of(loop):
    """Return a function from the label of a run to its setting."""
    by_run = {
        (setting := loop.setting(name, shape, budget)).run: setting
        for name in CORPORA
        for shape in SHAPES
        for budget in (*FIRST_BUDGETS, *closed_loop.CANDIDATES, TARGET)
    }
    return by_run.__getitem__


def test_strategies_spend_the_same_and_every_run_follows_the_rule(loop):
    rule, setting = Sweep.read().rule, setting_of(loop)
    for key, made in loop.decisions.items():
        runs = [setting(run) for run in made["runs"]]
        assert sum(map(compute_of, runs)) <= FURTHER * 1.01
        if not key.endswith("nothing"):
            assert sum(map(compute_of, runs)) > 0.9 * FURTHER
        assert all(run.learning_rate == rule(run.shape) for run in runs)
        assert tuple(made["shape"]) == nearest(made["n_params"])


def test_nearest_is_nearest_in_log_size():
    sizes = [Shape(*shape).n_params for shape in SHAPES]
    assert sorted(sizes) == sizes
    assert nearest(1.0) == SHAPES[0]
    assert nearest(1e9) == SHAPES[-1]
    between = np.sqrt(sizes[3] * sizes[4])
    assert nearest(between * 0.99) == SHAPES[3]
    assert nearest(between * 1.01) == SHAPES[4]


def test_an_exact_parabola_gives_its_optimum_and_loss():
    sizes = np.geomspace(2e4, 4e5, 7)
    losses = np.exp(0.4 + 0.03 * np.log(sizes / 9e4) ** 2)
    truth = Truth(sizes, losses)
    assert truth.optimum == pytest.approx(9e4, rel=1e-9)
    assert truth.log_loss(9e4 * np.e) - truth.log_loss(9e4) == pytest.approx(0.03, rel=1e-9)
    assert truth.scatter < 1e-12
