"""Fit every law, pooled over corpora, to the runs of the laboratory: docs/laboratory.md.

    python -m benchmarks.laboratory TABLES --store FOLDER

TABLES is a folder with the public tables `steplaw` and `critical_batch`. Results that are stored in
FOLDER are not computed again.
"""

import argparse
from pathlib import Path

from bayescale._io import whole_file
from bayescale.inference.parallel import Task, run_tasks
from benchmarks.laboratory import batches, pooled, recovery
from benchmarks.laboratory.page import PAGE, page_of
from benchmarks.laboratory.tables import CASES


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, help="folder of the larger public tables")
    parser.add_argument("--store", type=Path, required=True, help="folder of stored results")
    parser.add_argument("--simulations", type=int, default=recovery.SIMULATIONS)
    options = parser.parse_args()
    options.store.mkdir(parents=True, exist_ok=True)
    tasks = pooled.tasks()
    fits = run_tasks(pooled.work, tasks, label="fits", store=options.store / "pooled.store")
    critical = run_tasks(
        batches.work,
        [Task("laboratory", ()), Task("steplaw", (str(options.tables),))],
        label="critical batches",
        store=options.store / "batches.store",
    )
    simulated = run_tasks(
        recovery.recovered,
        [
            Task(
                f"{case.card}, {options.simulations}",
                (
                    case.card,
                    str(options.store / f"recovery-{case.card}.store"),
                    options.simulations,
                ),
            )
            for case in CASES
        ],
        label="simulations",
        store=options.store / "recovery.store",
    )
    found = {task.key: result for task, result in zip(tasks, fits, strict=True)}
    recoveries = dict(zip([case.card for case in CASES], simulated, strict=True))
    with whole_file(PAGE) as part:
        part.write_text(page_of(found, critical, recoveries), encoding="utf-8")


if __name__ == "__main__":
    main()
