"""What the studies share: public tables, an executor, and storage of results."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import bayescale as bs
from bayescale._digests import digest_of
from bayescale.inference.parallel import Task, run_tasks
from benchmarks.calibration.cards import SEED
from benchmarks.calibration.results import write_result
from benchmarks.calibration.tables import Sources, other_tables, sources
from benchmarks.public_tables import Tables


class Bench:
    """The tables, the executor that fits run on, and the folder of the results."""

    def __init__(self, tables: Path, results: Path, executor: Executor, store: Path | None) -> None:
        self.tables, self.results = Tables(tables), results
        self.executor, self.store = executor, store

    @cached_property
    def sources(self) -> Sources:
        return sources(self.tables)

    @cached_property
    def other_tables(self) -> Sources:
        return other_tables(self.tables)

    def tasks(self, work: Callable[..., dict], tasks: list[Task]) -> list[dict]:
        """Return the result of each task; its key includes the digest of its cards."""
        tasks = [replace(task, key=f"{task.key} {_cards(task)}") for task in tasks]
        return run_tasks(
            work, tasks, label="", executor=self.executor, store=self.store, progress=False
        )

    def write(self, study: str, rows: list[dict]) -> None:
        write_result(self.results, study, rows, SEED)
        print(f"{study}: {len(rows)} rows", flush=True)


def _cards(task: Task) -> str:
    """Return the digest of the cards among the arguments of a task."""
    cards = [x.to_dict() for x in task.arguments if isinstance(x, bs.Model)]
    return digest_of(*cards)[:16]
