"""Larger runs held out: each model fitted below a cut in compute predicts the runs above it."""

import warnings

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale.errors import BayescaleWarning
from bayescale.inference.parallel import Task
from bayescale.validation.score import Score, fit_and_score
from benchmarks.calibration.bench import Bench
from benchmarks.calibration.cards import (
    BOOTSTRAP,
    CARDS,
    DEFAULT,
    IID,
    POOLED,
    SEED,
    SHARES,
    STACK,
    STACKED,
)
from benchmarks.calibration.tables import cuts_of
from benchmarks.least_squares import bootstrap_score
from benchmarks.public_tables import load

INNER_SHARES = (0.6, 0.8)
"""Of the runs below a cut, those below the cuts that the weights of the stack come from."""


def run(bench: Bench) -> None:
    rows: list[dict] = []
    for data_set, tables in bench.data_sets.items():
        for name, runs in tables.items():
            where = {"data set": data_set, "table": name}
            cuts = cuts_of(runs)
            rows += [{**where, **row} for row in bench.scores(CARDS, runs, cuts).to_dict("records")]
            bootstraps = [Task(f"bootstrap {name} {cut:g}", (runs, cut)) for cut in cuts]
            stacks = [Task(f"stack {STACKED} {name} {cut:g}", (runs, cut)) for cut in cuts]
            for model, work, tasks in (
                (BOOTSTRAP, score_bootstrap, bootstraps),
                (STACK, score_stack, stacks),
            ):
                for cut, row in zip(cuts, bench.tasks(work, tasks), strict=True):
                    rows.append({**where, "model": model, "cut": cut, **row})
        if len(tables) > 1:
            tasks = [Task(f"pooled {data_set} {share}", (tables, share)) for share in SHARES]
            for task, found_by_name in zip(tasks, bench.tasks(score_pooled, tasks), strict=True):
                for name, row in found_by_name.items():
                    cut = float(np.quantile(tables[name].compute, task.arguments[1]))
                    rows.append(
                        {"data set": data_set, "table": name, "model": POOLED, "cut": cut, **row}
                    )
        bench.write("held_out", rows)


def run_elsewhere(bench: Bench) -> None:
    """On the tables that had no say in the priors of the default card."""
    rows: list[dict] = []
    for data_set, tables in bench.other_data_sets.items():
        for name, runs in tables.items():
            where = {"data set": data_set, "table": name}
            scores = bench.scores((IID, DEFAULT), runs, cuts_of(runs))
            rows += [{**where, **row} for row in scores.to_dict("records")]
        bench.write("held_out_elsewhere", rows)


def score_bootstrap(runs: bs.Runs, cut: float) -> dict:
    below = runs.compute < cut
    found = bootstrap_score(runs.where(below), runs.where(~below), seed=SEED)
    return {**found.summary(), "ok": True}


def score_stack(runs: bs.Runs, cut: float) -> dict:
    """Weigh by cuts inside the runs below, and score the mixture of fits to all of those."""
    warnings.simplefilter("ignore", BayescaleWarning)
    below = runs.compute < cut
    seen, unseen = runs.where(below), runs.where(~below)
    inner = [float(np.quantile(seen.compute, share)) for share in INNER_SHARES]
    weights = bs.stacking_weights(
        bs.leave_scale_out(STACKED, seen, inner, seed=SEED, draws=500, progress=False)
    )
    parts = {
        card: fit_and_score(bs.load_model(card), seen, unseen, seed=SEED)
        for card in weights.index[weights > 0.01]
    }
    found = Score.mix([score for _, score in parts.values()], [weights[card] for card in parts])
    return {**found.summary(), "ok": all(facts["ok"] for facts, _ in parts.values())}


def score_pooled(tables: dict[str, bs.Runs], share: float) -> dict[str, dict]:
    """Score one fit to the runs of all families below their cuts on each one's larger runs."""
    warnings.simplefilter("ignore", BayescaleWarning)
    seen, unseen = [], {}
    for name, runs in tables.items():
        below = runs.compute < np.quantile(runs.compute, share)
        seen.append((name, runs.table.loc[below]))
        unseen[name] = labelled([(name, runs.table.loc[~below])])
    fit = bs.fit(POOLED, labelled(seen), cores=1, seed=SEED, progress=False)
    ok = bool(fit.diagnostics.ok)
    return {name: {**bs.score(fit, runs).summary(), "ok": ok} for name, runs in unseen.items()}


def labelled(parts: list[tuple[str, pd.DataFrame]]) -> bs.Runs:
    columns = ["n_params", "n_tokens", "loss"]
    return load(pd.concat([table[columns].assign(family=name) for name, table in parts]))
