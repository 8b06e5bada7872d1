"""Train small language models for the dataset `laboratory`.

python -m laboratory train                # train the missing runs of sweep.toml
python -m laboratory plan                 # list finished and missing runs, and their cost
python -m laboratory rerun --runs 5       # train runs again, and compare with the table
python -m laboratory closed-loop          # decide from small runs, train the plans, write the page
"""

import argparse
import os
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from bayescale._io import whole_file
from laboratory.closed_loop import FOLDER as LOOP
from laboratory.closed_loop import Loop
from laboratory.closed_loop_page import PAGE, page_of
from laboratory.sweep import FILE, Sweep
from laboratory.table import FOLDER, Table
from laboratory.texts import CORPORA, corpus
from laboratory.training import Setting, train

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
"""Flags that fix the order of sums, so that runs are deterministic. JAX reads them on import."""

TOLERANCE = 1e-6
"""Largest difference of losses when a run is trained again on the same machine."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder of the table")
    parser.add_argument("--sweep", type=Path, default=FILE, help="file of designs")
    verbs = parser.add_subparsers(dest="verb", required=True)
    to_train = verbs.add_parser("train", help="train the runs that are not in the table yet")
    to_train.add_argument("--design", action="append", help="only runs of this design; repeatable")
    to_train.add_argument("--largest", type=float, default=np.inf, help="limit on 6ND of a run")
    to_train.add_argument("--hours", type=float, default=np.inf, help="start no run after this")
    verbs.add_parser("plan", help="list finished and missing runs")
    again = verbs.add_parser("rerun", help="train runs of the table again and compare losses")
    again.add_argument("--runs", type=int, default=5, help="number of runs, drawn at random")
    again.add_argument("--seed", type=int, default=1)
    again.add_argument("--largest", type=float, default=np.inf, help="limit on 6ND of a run")
    loop = verbs.add_parser("closed-loop", help="decide from small runs and train the chosen plans")
    loop.add_argument("--page", type=Path, default=PAGE, help="page to write")
    options = parser.parse_args(arguments)
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD}".strip()
    if options.verb == "closed-loop":
        return closed_loop(LOOP if options.folder == FOLDER else options.folder, options.page)
    table, sweep = Table(options.folder), Sweep.read(options.sweep)
    if options.verb == "train":
        with table.locked():
            return extend(table, sweep, options.design, options.largest, options.hours)
    if options.verb == "plan":
        print(planned(table, sweep).to_string())
        return 0
    return rerun(table, options.runs, options.seed, options.largest)


def extend(
    table: Table,
    sweep: Sweep,
    designs: list[str] | None = None,
    largest: float = np.inf,
    hours: float = np.inf,
) -> int:
    """Train the missing runs of the sweep, cheapest first; return 1 if one diverged."""
    known = {name for names in sweep.designs.values() for name in names}
    if unknown := set(designs or ()) - known:
        raise ValueError(f"--design: found {sorted(unknown)}, expected some of {sorted(known)}.")
    began = time.monotonic()
    diverged = 0
    finished = table.finished
    left = [
        setting
        for setting in sweep.settings
        if setting.run not in finished
        and (designs is None or set(designs) & set(sweep.designs[setting]))
        and 6 * setting.shape.n_params * setting.n_tokens <= largest
    ]
    for number, setting in enumerate(left, start=1):
        if time.monotonic() - began > 3600 * hours:
            print(f"{len(left) - number + 1} runs are missing.")
            break
        # Every run is measured on the validation set of every corpus.
        texts = {name: corpus(name) for name in CORPORA}
        for name, text in texts.items():
            table.accept(name, text.origin)
        own = texts.pop(setting.corpus)
        try:
            row, curve = train(setting, own, tuple(texts.values()))
        except ArithmeticError as error:
            # A diverged run is not a row of the table, and the sweep continues.
            print(f"{number}/{len(left)} {error}", flush=True)
            diverged += 1
            continue
        row["design"] = "+".join(sweep.designs[setting])
        row["off_standard"] = int(not sweep.is_standard(setting))
        table.add(row, curve)
        print(f"{number}/{len(left)} {setting.run}: {row['loss']:.4f}", flush=True)
    return int(diverged > 0)


def closed_loop(folder: Path, page: Path) -> int:
    """Run the missing parts of the closed loop, and write its page."""
    loop = Loop(folder)
    loop.run()
    with whole_file(page) as part:
        part.write_text(page_of(loop), encoding="utf-8")
    print(f"Wrote {page}")
    return 0


def planned(table: Table, sweep: Sweep) -> pd.DataFrame:
    """Return the runs and FLOP of each design, in all and missing; shared runs count in each."""
    finished = table.finished
    rows = [
        (design, setting.training_flop, setting.run in finished)
        for setting, designs in sweep.designs.items()
        for design in designs
    ]
    frame = pd.DataFrame(rows, columns=["design", "flop", "finished"])
    left = frame[~frame["finished"]].groupby("design")["flop"]
    total = frame.groupby("design")["flop"]
    return pd.DataFrame(
        {
            "runs": total.size(),
            "FLOP": total.sum().astype(float),
            "runs missing": left.size(),
            "FLOP missing": left.sum().astype(float),
        }
    ).fillna({"runs missing": 0, "FLOP missing": 0.0})


def rerun(table: Table, count: int, seed: int, largest: float) -> int:
    """Train finished runs again; return 1 if a loss differs."""
    if not table.finished:
        raise ValueError(f"{table.folder}: found no runs, expected those of `train`.")
    those = table.runs[table.runs["compute"].astype(float) <= largest]
    chosen = those.sample(min(count, len(those)), random_state=seed)
    worst = 0.0
    for row in chosen.rename(columns={"family": "corpus"}).to_dict("records"):
        setting = Setting(**{field.name: field.type(row[field.name]) for field in fields(Setting)})
        text = corpus(setting.corpus)
        table.accept(setting.corpus, text.origin)
        _, curve = train(setting, text)
        before = table.curves.loc[table.curves["run"] == setting.run, "loss"].to_numpy(float)
        difference = float(np.max(np.abs(before - [point["loss"] for point in curve])))
        worst = max(worst, difference)
        print(f"{setting.run}: {difference:.1e}", flush=True)
    print(f"{len(chosen)} runs, largest difference {worst:.1e} (at most {TOLERANCE:g} expected)")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    raise SystemExit(main())
