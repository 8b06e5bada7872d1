"""Tasks of a study in parallel, with stored results from which an interrupted study resumes."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from bayescale._io import whole_file


def map_stored[T](
    work: Callable[[T], Any], tasks: Mapping[str, T], store: Path, workers: int
) -> dict[str, Any]:
    """Return the result of each task by name; results in the store are not computed again.

    Parameters
    ----------
    work
        Function of a task; its result is JSON-serialisable.
    tasks
        The tasks, by name.
    store
        A JSON file, written after each task. Remove it when the study changes.
    workers
        Number of processes.
    """
    done = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    missing = {name: task for name, task in tasks.items() if name not in done}
    store.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        for name, result in zip(missing, pool.map(work, missing.values()), strict=True):
            done[name] = result
            with whole_file(store) as unfinished:
                unfinished.write_text(json.dumps(done), encoding="utf-8")
    return {name: done[name] for name in tasks}
