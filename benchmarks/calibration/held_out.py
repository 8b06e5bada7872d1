"""Held-out larger runs: each model is fitted below a cut in compute and predicts the runs above."""

import warnings
from collections.abc import Callable, Iterable

import numpy as np

import bayescale as bs
from bayescale.errors import BayescaleWarning
from bayescale.inference.parallel import Task
from bayescale.validation.score import fit_and_score
from bayescale.validation.scored import Score
from benchmarks.calibration.bench import Bench
from benchmarks.calibration.cards import BANDS, BOOTSTRAP, CARDS, COUPLED, DEFAULT, SEED, STACK
from benchmarks.calibration.priors import learnt
from benchmarks.calibration.tables import Sources, cuts_of
from benchmarks.least_squares import bootstrap_score

INNER_SHARES = (0.6, 0.8)
"""Shares of the fitted runs below the inner cuts, from which stacking weights are computed."""

type Split = tuple[bs.Runs, bs.Runs]
type Work = Callable[..., dict]


def run(bench: Bench) -> None:
    cards = [(card, score_card, lambda _, card=card: bs.load_model(card)) for card in CARDS]
    others = [(BOOTSTRAP, score_bootstrap, no_card), (STACK, score_stack, no_card)]
    default = (DEFAULT, score_card, lambda source: learnt(bench, source))
    bench.write("held_out", scored(bench, bench.sources, [default, *cards, *others]))


def run_elsewhere(bench: Bench) -> None:
    """Score other tables of some sources, with the source left out of the learnt priors too."""
    models = [
        (COUPLED, score_card, lambda _: bs.load_model(COUPLED)),
        (DEFAULT, score_card, lambda of: learnt(bench, of.split(",")[0])),
    ]
    bench.write("held_out_elsewhere", scored(bench, bench.other_tables, models))


def no_card(source: str) -> None:
    """Return no card, for models that need none."""


def scored(
    bench: Bench,
    sources: Sources,
    models: Iterable[tuple[str, Work, Callable[[str], bs.Model | None]]],
) -> list[dict]:
    """Return the scores of every model on each table at each cut."""
    rows: list[dict] = []
    tasks: dict[str, list[Task]] = {}
    for model, work, card_of in models:
        found = []
        for source, tables in sources.items():
            card = card_of(source)
            for table, runs in tables.items():
                for cut in cuts_of(runs):
                    rows.append({"source": source, "table": table, "model": model, "cut": cut})
                    arguments = (runs, cut) if card is None else (card, runs, cut)
                    found.append(Task(f"{model} {source} {table} {cut:g}", arguments))
        tasks[model] = bench.tasks(work, found)
    results = [row for found in tasks.values() for row in found]
    return [{**where, **result} for where, result in zip(rows, results, strict=True)]


def split(runs: bs.Runs, cut: float) -> Split:
    below = runs.compute < cut
    return runs.where(below), runs.where(~below)


def facts_of(score: Score, seen: bs.Runs, unseen: bs.Runs) -> dict:
    """Return the scores, and the coverage by distance from the largest fitted run."""
    facts = {"n_train": len(seen), **score.summary()}
    distance = np.log(unseen.compute / seen.compute.max())
    inside = score.pointwise["pit"].between(0.05, 0.95).to_numpy()
    for band, (low, high) in BANDS.items():
        there = (distance > low) & (distance <= high)
        if there.any():
            facts[f"inside_{band}"] = float(inside[there].mean())
    return facts


def score_card(model: bs.Model, runs: bs.Runs, cut: float) -> dict:
    warnings.simplefilter("ignore", BayescaleWarning)
    seen, unseen = split(runs, cut)
    facts, score = fit_and_score(model, seen, unseen, seed=SEED)
    return {**facts, **facts_of(score, seen, unseen)}


def score_bootstrap(runs: bs.Runs, cut: float) -> dict:
    seen, unseen = split(runs, cut)
    return {**facts_of(bootstrap_score(seen, unseen, seed=SEED), seen, unseen), "ok": True}


def score_stack(runs: bs.Runs, cut: float) -> dict:
    """Score a stack of laws, with weights from inner cuts and fits to all runs below the cut."""
    warnings.simplefilter("ignore", BayescaleWarning)
    seen, unseen = split(runs, cut)
    inner = [float(np.quantile(seen.compute, share)) for share in INNER_SHARES]
    weights = bs.stacking_weights(
        bs.leave_scale_out(seen, CARDS, inner, seed=SEED, draws=500, progress=False)
    )
    parts = {
        card: fit_and_score(bs.load_model(card), seen, unseen, seed=SEED)
        for card in weights.index[weights > 0.01]
    }
    found = Score.mix([score for _, score in parts.values()], [weights[card] for card in parts])
    ok = all(facts["ok"] for facts, _ in parts.values())
    return {**facts_of(found, seen, unseen), "ok": ok}
