"""Width of the default card's intervals on losses simulated from Chinchilla's law."""

import warnings

import numpy as np

import bayescale as bs
from bayescale.errors import BayescaleWarning
from bayescale.inference.parallel import Task
from bayescale.validation.score import fit_and_score
from benchmarks.calibration.bench import Bench
from benchmarks.calibration.cards import DEFAULT, IID, REPEATS, SEED
from benchmarks.public_tables import load


def run(bench: Bench) -> None:
    rows: list[dict] = []
    for source, tables in bench.sources.items():
        for name, runs in tables.items():
            tasks = [
                task_of(source, name, runs, repeat, card)
                for repeat in range(REPEATS)
                for card in (bs.load_model(IID), bs.load_model(DEFAULT))
            ]
            for task, row in zip(tasks, bench.tasks(score_simulated, tasks), strict=True):
                rows.append({"source": source, "table": name, "card": task.arguments[2].id, **row})
        bench.write("well_specified", rows)


def task_of(source: str, name: str, runs: bs.Runs, repeat: int, card: bs.Model) -> Task:
    return Task(f"well-specified {source} {name} {repeat} {card.id}", (runs, repeat, card))


def score_simulated(runs: bs.Runs, repeat: int, card: bs.Model) -> dict:
    warnings.simplefilter("ignore", BayescaleWarning)
    rng = np.random.default_rng([SEED, repeat])
    constants = bs.published("besiroglu2024-log")
    table = runs.table[["n_params", "n_tokens"]]
    mean = bs.law("chinchilla").evaluate(
        n_params=runs.n_params, n_tokens=runs.n_tokens, **constants.parameters
    )
    simulated_runs = load(table.assign(loss=mean * np.exp(0.004 * rng.standard_t(10, len(runs)))))
    below = simulated_runs.compute < np.quantile(simulated_runs.compute, 0.65)
    facts, _ = fit_and_score(
        card,
        simulated_runs.where(below),
        simulated_runs.where(~below),
        seed=SEED,
    )
    return facts
