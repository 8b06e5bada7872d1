"""Scores of the default card without one of its parts, or with other priors or laws."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

import bayescale as bs
from bayescale.inference.parallel import Task
from benchmarks.calibration.bench import Bench
from benchmarks.calibration.cards import IID, SEED, TRADED_SHARE
from benchmarks.calibration.held_out import score_card
from benchmarks.calibration.priors import learnt

NEGLIGIBLE = 1e-3
"""Factor on the median of a scale that removes its part of the discrepancy."""


def scaled(name: str, factor: float) -> Callable[[bs.Model], bs.Model]:
    def change(card: bs.Model) -> bs.Model:
        discrepancy = card.discrepancy
        old = discrepancy.scales[name]
        log_sd = 0.1 if factor == NEGLIGIBLE else old.log_sd
        new = replace(old, median=factor * old.median, log_sd=log_sd)
        return replace(card, discrepancy=discrepancy.scaled({name: new}))

    return change


def additive(card: bs.Model) -> bs.Model:
    """Use Chinchilla's law as the mean, with the priors of k alpha and k beta as its exponents'."""
    priors = {name: card.priors[name] for name in ("loss_ref", "e_n", "e_d")}
    priors |= {"alpha": card.priors["k_alpha"], "beta": card.priors["k_beta"]}
    return replace(card, law=bs.load_model(IID).law, priors=priors)


CHANGES: Mapping[str, Callable[[bs.Model], bs.Model]] = {
    "as it is": lambda card: card,
    "no effects of sizes": lambda card: replace(card, pooling=()),
    "no rough part": scaled("rough", NEGLIGIBLE),
    "no smooth part": scaled("smooth", NEGLIGIBLE),
    "additive law": additive,
    "rough part a third": scaled("rough", 1 / 3),
    "rough part threefold": scaled("rough", 3.0),
    "smooth part a third": scaled("smooth", 1 / 3),
    "smooth part threefold": scaled("smooth", 3.0),
}


def run(bench: Bench) -> None:
    rows: list[dict] = []
    for change, make in CHANGES.items():
        tasks, places = [], []
        for source, tables in bench.sources.items():
            card = replace(make(learnt(bench, source)), id=f"{change}, without {source}")
            for table, runs in tables.items():
                cut = float(np.quantile(runs.compute, TRADED_SHARE))
                places.append({"change": change, "source": source, "table": table})
                tasks.append(Task(f"{change} {source} {table} {SEED}", (card, runs, cut)))
        found = bench.tasks(score_card, tasks)
        rows += [{**place, **row} for place, row in zip(places, found, strict=True)]
        bench.write("trade_off", rows)
