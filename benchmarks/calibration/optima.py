"""Coverage of the optimal size at budgets above a cut, estimated by parabolas of their runs."""

import warnings

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale.errors import BayescaleWarning, RunsError
from bayescale.inference.fit import fit_quietly
from bayescale.inference.parallel import Task
from benchmarks.calibration.bench import Bench
from benchmarks.calibration.cards import COUPLED, DEFAULT, IID, SEED
from benchmarks.calibration.held_out import split
from benchmarks.calibration.priors import learnt
from benchmarks.calibration.tables import cuts_of

OPTIMA_CARDS = (IID, COUPLED, DEFAULT)
ISOFLOP = ("chinchilla", "porian_isoflop", "marin_isoflop", "xlstm_llama_isoflop")
"""Sources that swept sizes at fixed compute; the others have too few sizes for parabolas."""

WIDTH = 4.0
"""A parabola is fitted to the sizes within this factor of the best one."""


def run(bench: Bench) -> None:
    rows: list[dict] = []
    for source in ISOFLOP:
        cards = [bs.load_model(IID), bs.load_model(COUPLED), learnt(bench, source)]
        for table, runs in bench.sources[source].items():
            estimates = parabola_optima(runs)
            tasks, places = [], []
            for card, name in zip(cards, OPTIMA_CARDS, strict=True):
                for cut in cuts_of(runs):
                    beyond = estimates[estimates["compute"] > cut]
                    if len(beyond):
                        tasks.append(Task(f"optima {source} {table} {cut:g}", (card, runs, cut)))
                        places.append({"source": source, "table": table, "model": name, "cut": cut})
            found = bench.tasks(score_optima, tasks)
            for place, result in zip(places, found, strict=True):
                rows += [{**place, "ok": result["ok"], **row} for row in result["optima"]]
    bench.write("optima", rows)


def parabola_optima(runs: bs.Runs) -> pd.DataFrame:
    """Return the optimum of every budget that has one, from a parabola through its runs.

    A row has ``compute``, six times the product of the optimal size and its tokens, ``log_n`` and
    its standard error ``error``. Budgets are grouped by the compute column of the table, which may
    count more than 6ND.
    """
    try:
        frontier = bs.isoflop_parabolas(runs, width=WIDTH, drop_edges=True, seed=SEED)
    except RunsError:
        return pd.DataFrame(columns=["compute", "log_n", "error"])
    log_n, log_d, log_c = (np.log(x) for x in (runs.n_params, runs.n_tokens, runs.compute))
    rows = []
    for budget, row in frontier.budgets.iterrows():
        near = np.flatnonzero(np.abs(log_c - np.log(float(budget))) < 0.2)
        near = near[np.argsort(log_n[near])]
        best = np.log(row["n_opt"])
        tokens = np.interp(best, log_n[near], log_d[near])
        width = np.log(row["n_opt_upper"] / row["n_opt_lower"])
        rows.append({"compute": 6.0 * np.exp(best + tokens), "log_n": best, "error": width / 3.29})
    return pd.DataFrame(rows)


def score_optima(model: bs.Model, runs: bs.Runs, cut: float) -> dict:
    """Return the posterior rank of the parabola optimum of each budget above a cut."""
    warnings.simplefilter("ignore", BayescaleWarning)
    below, _ = split(runs, cut)
    beyond = parabola_optima(runs).query("compute > @cut")
    fit = fit_quietly(below, model, seed=SEED)
    log_n_opt = bs.allocate(fit, budget=beyond["compute"].tolist()).log_n
    rng = np.random.default_rng(SEED)
    rows = []
    for _, estimate in beyond.iterrows():
        log_n = log_n_opt.sel(budget=estimate["compute"]).to_numpy().ravel()
        there = log_n[np.isfinite(log_n)]
        low, middle, high = np.quantile(there, [0.05, 0.5, 0.95])
        noise = estimate["error"] * rng.standard_normal(len(there))
        rows.append(
            {
                "distance": float(np.log(estimate["compute"] / below.compute.max())),
                "rank": float(np.mean(there + noise < estimate["log_n"])),
                "error": float(middle - estimate["log_n"]),
                "width": float(high - low),
                "error_of_estimate": float(estimate["error"]),
                "no_optimum": float(1.0 - len(there) / len(log_n)),
            }
        )
    return {"ok": bool(fit.gates.ok), "optima": rows}
