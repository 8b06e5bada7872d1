"""Many fits on a process pool and a real Dask cluster: identical results, isolated failures."""

import os
import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.inference.parallel import Task, run_tasks

QUICK = {"seed": 1, "draws": 200, "progress": False}
README = Path(__file__).parents[2] / "README.md"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client():
    """A scheduler and two worker processes. A task that killed its worker is not tried again."""
    distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as connected,
    ):
        yield connected


@pytest.fixture
def executor(client):
    return client.get_executor(pure=False)


@pytest.fixture(scope="module")
def cuts(chinchilla_runs) -> list[float]:
    """Three scales, below the first of which are too few runs to fit."""
    return [float(np.sort(chinchilla_runs.compute)[4]), 3e20, 1e21]


@pytest.fixture(scope="module")
def alone(chinchilla_runs, cuts) -> pd.DataFrame:
    return bs.leave_scale_out(chinchilla_runs, ["chinchilla"], cuts, **QUICK).table


def test_two_worker_processes_give_the_same_numbers(client, executor, chinchilla_runs, cuts, alone):
    found = bs.leave_scale_out(chinchilla_runs, ["chinchilla"], cuts, executor=executor, **QUICK)
    pd.testing.assert_frame_equal(found.table, alone)
    workers = client.run(os.getpid)
    assert len(set(workers.values()) - {os.getpid()}) == 2


def test_a_process_pool_gives_the_same_numbers(chinchilla_runs, cuts, alone):
    with ProcessPoolExecutor(2) as pool:
        found = bs.leave_scale_out(chinchilla_runs, ["chinchilla"], cuts, executor=pool, **QUICK)
    pd.testing.assert_frame_equal(found.table, alone)


def test_a_fit_that_fails_is_reported_and_holds_up_no_other(executor, chinchilla_runs, cuts):
    found = bs.leave_scale_out(
        chinchilla_runs, ["chinchilla"], cuts[:2], executor=executor, **QUICK
    )
    assert "expected at least 7" in found.table.loc[("chinchilla", cuts[0]), "status"]
    assert np.isfinite(found.table.loc[("chinchilla", cuts[1]), "elpd"])


def test_a_cluster_goes_on_where_another_stopped(executor, chinchilla_runs, cuts, alone, tmp_path):
    store = tmp_path / "scores.jsonl"
    bs.leave_scale_out(chinchilla_runs, ["chinchilla"], cuts[1:2], store=store, **QUICK)
    (first,) = store.read_text(encoding="utf-8").splitlines()
    found = bs.leave_scale_out(
        chinchilla_runs, ["chinchilla"], cuts, store=store, executor=executor, **QUICK
    )
    pd.testing.assert_frame_equal(found.table, alone)
    again, second = store.read_text(encoding="utf-8").splitlines()
    assert again == first != second


def test_simulations_on_a_cluster(executor):
    design = pd.DataFrame({"compute": np.geomspace(1e18, 1e21, 7)})
    expected = bs.sbc("power-law", design, n=4, progress=False)
    found = bs.sbc("power-law", design, n=4, executor=executor, progress=False)
    pd.testing.assert_frame_equal(found.ranks, expected.ranks)


def test_a_worker_that_dies_is_reported_and_the_cluster_goes_on(client, executor, tmp_path):
    """The process is killed without an exception, as by an out-of-memory killer."""
    options = {"label": "exiting", "executor": executor, "progress": False}
    dies, *live = (Task(f"exit with {n}", (n,)) for n in (1, -3, -4))
    store = tmp_path / "done.jsonl"
    (lost,) = run_tasks(_exit_or_double, [dies], store=store, **options)
    assert lost["status"].startswith("failed: KilledWorker")
    assert not store.exists()
    client.wait_for_workers(2, timeout=300)
    assert run_tasks(_exit_or_double, live, store=store, **options) == [
        {"double": -6},
        {"double": -8},
    ]


def _exit_or_double(number: int) -> dict[str, int]:
    if number > 0:
        os._exit(number)
    return {"double": 2 * number}


def test_a_client_is_not_an_executor(client, chinchilla_runs, cuts):
    with pytest.raises(TypeError, match=r"found a Client, .* Pass its get_executor\(\)"):
        bs.leave_scale_out(chinchilla_runs, ["chinchilla"], cuts, executor=client, **QUICK)


def test_the_readme_shows_the_call(client, tmp_path, monkeypatch):
    """As in the README, except for the address of the scheduler and the number of simulations."""
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(
        r"```python\n(import bayescale as bs\nfrom distributed.*?)```",
        README.read_text(encoding="utf-8"),
        re.S,
    )
    assert block.count('"scheduler:8786"') == block.count("n=1000") == 1
    here = block.replace("scheduler:8786", client.scheduler.address).replace("n=1000", "n=3")
    names: dict[str, object] = {}
    exec(compile(here, "README.md", "exec"), names)
    assert len((tmp_path / "simulations.jsonl").read_text("utf-8").splitlines()) == 3
    names["client"].close()
