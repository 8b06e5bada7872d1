"""Many tasks: order, resumption, isolated failures."""

import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from bayescale.errors import RunsError
from bayescale.inference.parallel import Task, run_tasks

calls: list[float] = []


def half(number: float) -> dict[str, float]:
    calls.append(number)
    if number == 13:
        raise RunsError("thirteen is refused")
    if number == 99:
        raise ZeroDivisionError("no")
    return {"half": number / 2}


def interrupted(number: float) -> dict[str, float]:
    if number == 3:
        raise KeyboardInterrupt
    return half(number)


def die(number: float) -> dict[str, float]:
    import os

    os._exit(1)


def tasks(*numbers: float) -> list[Task]:
    return [Task(f"half of {number}", (number,)) for number in numbers]


def run(work, todo, **options):
    return run_tasks(work, todo, label="halving", progress=False, **options)


@pytest.fixture(autouse=True)
def fresh_calls():
    calls.clear()


@pytest.mark.parametrize("kind", [None, ThreadPoolExecutor, ProcessPoolExecutor], ids=str)
def test_results_come_in_order_on_any_executor(kind):
    expected = [{"half": n / 2} for n in (4, 2, 8, 6)]
    if kind is None:
        assert run(half, tasks(4, 2, 8, 6)) == expected
    else:
        with kind(2) as executor:
            assert run(half, tasks(4, 2, 8, 6), executor=executor) == expected


def test_a_failure_affects_no_other_task_and_is_retried(tmp_path, caplog):
    store = tmp_path / "done.jsonl"
    found = run(half, tasks(2, 13, 99, 4), store=store)
    assert found == [
        {"half": 1},
        {"status": "thirteen is refused"},
        {"status": "failed: ZeroDivisionError: no"},
        {"half": 2},
    ]
    assert "half of 99 failed" in caplog.text
    calls.clear()
    assert run(half, tasks(2, 13, 99, 4), store=store) == found
    assert calls == [13, 99]


def test_what_was_finished_is_kept_when_interrupted(tmp_path):
    store = tmp_path / "done.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(interrupted, tasks(1, 2, 3, 4), store=store)
    assert calls == [1, 2]
    calls.clear()
    assert len(run(half, tasks(1, 2, 3, 4), store=store)) == 4
    assert calls == [3, 4]


def test_a_damaged_last_line_is_the_only_one_lost(tmp_path, caplog):
    store = tmp_path / "done.jsonl"
    run(half, tasks(1, 2), store=store)
    torn = store.read_text(encoding="utf-8")[:-9]
    store.write_text(torn, encoding="utf-8")
    calls.clear()
    assert run(half, tasks(1, 2, 3), store=store) == [{"half": 0.5}, {"half": 1}, {"half": 1.5}]
    assert calls == [2, 3]
    assert "left out a damaged line" in caplog.text
    whole = [line for line in store.read_text(encoding="utf-8").splitlines() if line.endswith("}}")]
    assert len([json.loads(line) for line in whole]) == 3


def test_a_worker_that_dies_is_reported():
    with ProcessPoolExecutor(1) as executor:
        (found,) = run(die, tasks(1), executor=executor)
    assert found["status"].startswith("failed: BrokenProcessPool")
