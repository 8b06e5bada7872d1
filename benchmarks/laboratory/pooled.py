"""Each law with parameters pooled over corpora, fitted to all corpora and to a new one."""

import time
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

import bayescale as bs
from bayescale.errors import BayescaleWarning, RunsError, SamplingError
from bayescale.inference.parallel import Task
from benchmarks.laboratory.tables import (
    CASES,
    CORPORA,
    DRAWS,
    FEW,
    SEED,
    Case,
    every,
    load,
    recipes,
)

KINDS = ("partial", "separate", "complete")


def tasks() -> list[Task]:
    """Return the fits of the page, grouped by law, so that compiled models are reused."""
    found = []
    for case in CASES:
        found.append(Task(key=f"all {case.card}", arguments=("all", case.card)))
        found += [
            Task(key=f"new {case.card} {corpus} {kind}", arguments=("new", case.card, corpus, kind))
            for kind in KINDS
            for corpus in CORPORA
        ]
    return [*found, *(Task(key=f"more {name}", arguments=("more", name)) for name in MORE)]


def work(what: str, *arguments: str) -> dict[str, Any]:
    """Return the results of one fit."""
    warnings.simplefilter("ignore", BayescaleWarning)
    if what == "more":
        return MORE[arguments[0]]()
    case = next(case for case in CASES if case.card == arguments[0])
    if what == "all":
        return facts_of(case.runs(), case.pooled)
    return new_corpus(case, *arguments[1:])


def facts_of(runs: bs.Runs, model: bs.Model) -> dict[str, Any]:
    """Return the gates and seconds of a fit, and the standard deviations between levels."""
    used = time.process_time()
    fit = bs.fit(runs, model, seed=SEED, draws=DRAWS, cores=1, progress=False)
    used = time.process_time() - used
    summary = fit.summary(prob=0.9)
    shown = [*fit.law.parameters, "sigma", *(x for x in summary.index if x.startswith("sd_"))]
    shown += [x for x in summary.index if x.startswith("correlation")]
    return {
        "runs": len(runs),
        "seconds": used,
        "values": {
            name: [float(summary.loc[name, end]) for end in ("median", "lower", "upper")]
            for name in shown
            if name in summary.index
        },
        "gates": bool(fit.gates.ok),
        "r_hat": float(fit.gates.table["r_hat"].max()),
        "ess": float(fit.gates.worst_ess),
        "said": list(fit.diagnostics.failures[:3]),
    }


def new_corpus(case: Case, corpus: str, kind: str) -> dict[str, Any]:
    """Return scores on the larger half of a corpus whose `FEW` smallest runs are fitted."""
    runs = case.runs()
    new = runs.table["family"].to_numpy() == corpus
    amount = runs.table["compute"] if case.along == "compute" else runs.table[case.along]
    amount = amount.to_numpy(float)
    known, own = ~new, _few(runs, new, amount)
    larger = new & (amount > np.median(amount[new]))
    model = case.pooled if kind == "partial" else case.plain
    seen = runs.where(own) if kind == "separate" else runs.where(known | own)
    used = time.process_time()
    try:
        # Five runs are fewer than the parameters of most laws: fitted alone, the priors dominate.
        fit = bs.fit(
            seen,
            model,
            seed=SEED,
            draws=DRAWS,
            cores=1,
            unidentified="warn" if kind == "separate" else "refuse",
            progress=False,
        )
    except (RunsError, SamplingError) as error:
        return {"refused": str(error)}
    used = time.process_time() - used
    found = bs.score(fit, runs.where(larger))
    return {
        "runs": len(seen),
        "larger": int(larger.sum()),
        "seconds": used,
        "rmsle": float(found.rmsle),
        "coverage_90": float(found.coverage(0.9)),
        "width_90": found.summary()["width_90"],
        "gates": bool(fit.gates.ok),
    }


def _few(runs: bs.Runs, new: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Return a mask of the smallest runs of a corpus, each at a different setting."""
    order = np.argsort(np.where(new, amount, np.inf), kind="stable")[: int(new.sum())]
    columns = [c for c in ("n_params", "n_tokens", "batch_tokens") if c in runs.table]
    table = runs.table.iloc[order]
    different = ~table[columns].duplicated().to_numpy()
    mask = np.zeros(len(new), dtype=bool)
    mask[order[different][:FEW]] = True
    return mask


def _nested() -> dict[str, Any]:
    small = bs.HalfNormal(scale=0.1, why="recipes on one corpus differ by some per cent")
    model = bs.load_model("kaplan-nd").pool("recipe", of=["D_c"])
    model = model.pool("recipe+family", of=["N_c", "D_c"])
    return facts_of(recipes(), model.pool("recipe", of=["loss"], sd=small))


def _seeds() -> dict[str, Any]:
    table = every()
    table = table[table["design"].str.contains("seeds") & (table["off_standard"] == 0)]
    small = bs.HalfNormal(scale=0.02, why="seeds of one setting scatter by less than 2 %")
    model = bs.load_model("kaplan-nd").pool("family", of=["N_c", "D_c"])
    runs = load(table, "n_params", "n_tokens", "seed")
    return facts_of(runs, model.pool("family+seed", of=["loss"], sd=small))


def _schedules() -> dict[str, Any]:
    table = every()
    table = table[table["design"].str.contains("schedule") & (table["seed"] == 1)]
    small = bs.HalfNormal(scale=0.1, why="schedules of one setting differ by some per cent")
    model = bs.load_model("kaplan-nd").pool("family", of=["N_c", "D_c"])
    runs = load(table, "n_params", "n_tokens", "schedule")
    return facts_of(runs, model.pool("schedule", of=["loss", "D_c"], sd=small))


def _correlated() -> dict[str, Any]:
    table = every()
    table = table[(table["off_standard"] == 0) & table["n_params"].isin([7168, 19968, 32768])]
    table = table.assign(family=table["family"] + " " + table["n_params"].astype(str))
    model = replace(bs.load_model("power-law-floor"), inputs={"x": "n_tokens"}).pool("family")
    beta = bs.Beta(a=2.0, b=2.0, why="either sign: the LKJ(2) prior of two")
    pooling = tuple(
        replace(p, with_="x_c", correlation=beta) if p.of == "alpha" else p for p in model.pooling
    )
    return facts_of(load(table, "n_tokens"), replace(model, pooling=pooling, id="correlated"))


MORE = {
    "recipes that contain corpora": _nested,
    "corpora that contain seeds": _seeds,
    "corpora beside schedules": _schedules,
    "correlated effects on curves": _correlated,
}
"""Groupings besides the corpus: nested, crossed, and with correlated effects."""
