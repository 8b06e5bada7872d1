"""Larger runs of a new corpus, predicted from a few small ones with and without pooling."""

import warnings
from dataclasses import replace

import numpy as np

import bayescale as bs
from bayescale.errors import BayescaleWarning, RunsError, SamplingError
from bayescale.inference.parallel import Task
from bayescale.validation.score import fit_and_score
from benchmarks.calibration.bench import Bench
from benchmarks.calibration.cards import CORPORA, POOLED, SEED

FEW = (3, 4, 5, 6)
"""Numbers of small runs of a new family that are fitted."""


def run(bench: Bench) -> None:
    runs = bs.load_runs("overtraining")
    tasks = [
        Task(f"new corpus {family} {count} {kind}", (runs, family, count, kind))
        for family in runs.families
        for count in FEW
        for kind in ("none", "complete", POOLED, CORPORA)
    ]
    rows = [
        {
            "family": task.arguments[1],
            "runs": task.arguments[2],
            "pooling": task.arguments[3],
            **row,
        }
        for task, row in zip(tasks, bench.tasks(score_new_corpus, tasks), strict=True)
    ]
    bench.write("new_corpora", rows)


def score_new_corpus(runs: bs.Runs, family: str, count: int, kind: str) -> dict:
    warnings.simplefilter("ignore", BayescaleWarning)
    new = runs.table["family"].to_numpy() == family
    smallest = np.argsort(np.where(new, runs.compute, np.inf), kind="stable")[:count]
    known = ~new
    known[smallest] = True
    large = new & (runs.compute > np.median(runs.compute[new]))
    model = bs.load_model(kind if kind in (POOLED, CORPORA) else POOLED)
    if kind != model.id:
        why = "for comparison"
        sd = {"none": 1.0, "complete": None}[kind]
        pooling = tuple(replace(p, kind=kind, sd=sd, why=why) for p in model.pooling)
        model = replace(model, pooling=pooling, id=f"{POOLED}-{kind}")
    try:
        facts, _ = fit_and_score(model, runs.where(known), runs.where(large), seed=SEED)
    except (RunsError, SamplingError) as error:
        return {"ok": False, "status": str(error)}
    return facts
