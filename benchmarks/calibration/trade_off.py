"""What a narrower or wider prior on the drift would trade, held out and where the law is right."""

from dataclasses import replace

import numpy as np

import bayescale as bs
from benchmarks.calibration.bench import Bench
from benchmarks.calibration.cards import DEFAULT, IID, TRADED_REPEATS, TRADED_SHARE
from benchmarks.calibration.well_specified import score_simulated, task_of

MEDIANS = (0.00007, 0.0002, 0.0007, 0.0021)
"""Of the prior on the drift."""


def run(bench: Bench) -> None:
    default = bs.load_model(DEFAULT)
    own = default.discrepancy.scale.median
    rows: list[dict] = []
    for median in MEDIANS:
        drift = replace(
            default.discrepancy, scale=replace(default.discrepancy.scale, median=median)
        )
        card = replace(default, id=f"{DEFAULT}, {median:g}", discrepancy=drift)
        card = default if median == own else card
        for data_set, tables in bench.data_sets.items():
            for name, runs in tables.items():
                where = {"median": median, "own": own, "data set": data_set, "table": name}
                cut = float(np.quantile(runs.compute, TRADED_SHARE))
                scores = bench.scores([card], runs, [cut]).to_dict("records")
                rows += [{**where, "of": "held out", **row} for row in scores]
                for of, model in (("simulated, iid", bs.load_model(IID)), ("simulated", card)):
                    tasks = [
                        task_of(data_set, name, runs, repeat, model)
                        for repeat in range(TRADED_REPEATS)
                    ]
                    rows += [
                        {**where, "of": of, "model": model.id, **row}
                        for row in bench.tasks(score_simulated, tasks)
                    ]
        bench.write("trade_off", rows)
