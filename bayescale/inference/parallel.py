"""Run many independent tasks on any executor, resumably, and with isolated failures."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayescale._digests import digest_of
from bayescale._outputs import RESULTS
from bayescale._progress import stages
from bayescale._version import __version__
from bayescale.data.runs import Runs
from bayescale.errors import BayescaleError
from bayescale.model.card import Model

logger = logging.getLogger(__name__)

type Outcome = dict[str, Any]
"""Result of a task: a JSON-serialisable mapping of names to numbers or texts."""


@dataclass(frozen=True, slots=True)
class Task:
    """One independent call.

    Attributes
    ----------
    key
        Identifies the task across sessions, so that finished tasks are found in the store.
    arguments
        Arguments of the call.
    """

    key: str
    arguments: tuple[Any, ...]


def task_key(model: Model, runs: Runs, *settings: object) -> str:
    """Return a key for a task that is unique and the same in every session.

    It covers the card and its law, including a user-defined formula, the runs in row order, since
    results may refer to rows, and the version of the package.
    """
    observed = runs.digest(model.grouped_and_noted)
    parts = (__version__, model.to_dict(), model.law, observed, *settings)
    return f"{model.id} on {runs.name}: {digest_of(*parts)[:32]}"


def run_tasks(
    work: Callable[..., Outcome],
    tasks: Sequence[Task],
    *,
    label: str,
    executor: Executor | None = None,
    store: str | Path | None = None,
    progress: bool = True,
) -> list[Outcome]:
    """Call `work` on every task and return the results in the order of the tasks.

    Parameters
    ----------
    work
        A module-level function, so that it can be pickled.
    tasks
        The calls, with distinct keys.
    label
        Label of the progress bar.
    executor
        Any PEP 3148 executor, including that of a cluster; sequential in this process unless
        given.
    store
        A file to which each result is appended as one line. Tasks with stored results are not
        run again.
    progress
        Show a progress bar on standard error.

    Returns
    -------
    list of dict
        A failed task has the single entry ``status``, which describes the error; it is not
        stored, so that it is retried.

    Raises
    ------
    TypeError
        If the executor is not one.
    KeyboardInterrupt
        If interrupted; finished results are in `store`, if given.
    """
    _refuse_other_than_executors(executor)
    if store is not None:
        RESULTS.check(store)
    done = _read(store)
    todo = [task for task in tasks if task.key not in done]
    with stages(progress and bool(tasks)) as shown:
        shown.stage(label)
        shown.count(len(tasks) - len(todo), len(tasks))
        for task, result in _results(work, todo, executor):
            done[task.key] = result
            if "status" not in result or len(result) > 1:
                _append(store, task.key, result)
            shown.count(len(done), len(tasks))
    return [done[task.key] for task in tasks]


def _results(
    work: Callable[..., Outcome], tasks: Sequence[Task], executor: Executor | None
) -> Iterator[tuple[Task, Outcome]]:
    if executor is None:
        for task in tasks:
            yield task, _attempt(work, task)
        return
    waiting: dict[Future[Outcome], Task] = {
        executor.submit(_attempt, work, task): task for task in tasks
    }
    try:
        for future in as_completed(waiting):
            task = waiting[future]
            try:
                yield task, future.result()
            except Exception as error:  # a worker that died, or a result that does not travel
                yield task, _failure(task, error)
    except BaseException:
        for future in waiting:
            future.cancel()
        raise


def _refuse_other_than_executors(executor: object) -> None:
    # A Dask client has `submit` too, but its futures cannot be waited for as those of PEP 3148.
    if not isinstance(executor, Executor | None):
        hint = "its get_executor()" if hasattr(executor, "get_executor") else "one of these"
        raise TypeError(
            f"executor: found a {type(executor).__name__}, expected a concurrent.futures.Executor. "
            f"Pass {hint}."
        )


def _attempt(work: Callable[..., Outcome], task: Task) -> Outcome:
    try:
        return work(*task.arguments)
    except BayescaleError as error:
        return {"status": str(error)}
    except Exception as error:
        return _failure(task, error)


def _failure(task: Task, error: Exception) -> Outcome:
    logger.warning("%s failed: %s", task.key, error)
    return {"status": f"failed: {type(error).__name__}: {error}"}


def _read(store: str | Path | None) -> dict[str, Outcome]:
    if store is None or not Path(store).is_file():
        return {}
    found: dict[str, Outcome] = {}
    for line in Path(store).read_bytes().splitlines():
        try:
            entry: Mapping[str, Any] = json.loads(line)
            found[entry["key"]] = entry["result"]
        except (ValueError, KeyError, TypeError, RecursionError):
            # A line truncated by a crash.
            logger.warning("%s: left out a damaged line", store)
    return found


def _append(store: str | Path | None, key: str, result: Outcome) -> None:
    if store is None:
        return
    line = json.dumps({"key": key, "result": result}).encode() + b"\n"
    with Path(store).open("a+b") as file:
        # Start on a new line after a damaged last one.
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(line)
