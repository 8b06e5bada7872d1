"""The critical batch size under Kaplan's L(N, S), and measured from steps against examples."""

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayescale as bs
from bayescale.errors import BayescaleWarning
from bayescale.laws.kaplan_ns import KaplanNS
from benchmarks.laboratory.tables import CASES, DRAWS, SEED, best_of_batches, with_batches

SCATTER = 0.0076
"""Standard deviation of log loss between seeds of the laboratory's runs."""

SCATTER_STEPLAW = 0.002
"""The same for the runs of steplaw, which are far larger."""

BOOTSTRAP = 400
FEWEST = 5
"""Number of batch sizes that must reach a loss for the hyperbola of steps against examples."""

LEVELS = 2
"""Number of losses at which each model size is measured."""


@dataclass(frozen=True)
class Measured:
    """The critical batch of one model at one loss, from the tokens that each batch size needs."""

    name: str
    n_params: float
    loss: float
    batches: int
    critical: tuple[float, float, float]


def measure(table: pd.DataFrame, scatter: float, name: str) -> Iterator[Measured]:
    """Yield the critical batch of each size in a table of best runs, at losses that all reach.

    At a fixed loss the tokens that a batch B needs are E_min (1 + B / B_crit) (McCandlish et al.
    2018, arXiv:1812.06162, equation 2.11, in tokens). The tokens are interpolated in log loss
    between the amounts that were trained; intervals are by a parametric bootstrap.
    """
    rng = np.random.default_rng(1)
    for size, part in table.groupby("n_params"):
        grid = part.pivot_table(index="batch_tokens", columns="n_tokens", values="loss").dropna()
        if grid.shape[1] < 2 or len(grid) < FEWEST:
            continue
        logs = np.log(grid.to_numpy())
        low, high = logs[:, -1].min(), np.median(logs[:, 0])
        for level in np.linspace(low, high, LEVELS + 2)[1:-1]:
            found = [
                critical_at(level, grid.index.to_numpy(float), grid.columns.to_numpy(float), noisy)
                for noisy in logs + scatter * rng.standard_normal((BOOTSTRAP, *logs.shape))
            ]
            kept = np.array([x for x in found if np.isfinite(x)])
            if len(kept) > 0.5 * BOOTSTRAP:
                ends = np.quantile(kept, [0.05, 0.5, 0.95])
                loss = float(np.exp(level))
                yield Measured(name, float(size), loss, len(grid), tuple(map(float, ends)))


def critical_at(
    level: float, batches: NDArray[Any], tokens: NDArray[Any], logs: NDArray[Any]
) -> float:
    """Return the critical batch at a log loss; NaN if too few batch sizes reach it.

    Batch sizes that need more tokens than a larger one are too small for the learning rates that
    were tried, and are left out: the hyperbola begins at the one that needs the fewest tokens.
    """
    needed = np.array([_tokens_to(level, np.log(tokens), row) for row in logs])
    there = np.isfinite(needed)
    if there.sum() < FEWEST - 1:
        return np.nan
    batch, cost = batches[there], needed[there]
    cost, batch = cost[np.argmin(cost) :], batch[np.argmin(cost) :]
    if len(batch) < FEWEST - 2:
        return np.nan
    return hyperbola(batch, cost)


def hyperbola(batch: NDArray[Any], log_tokens: NDArray[Any]) -> float:
    """Return B_crit of E_min (1 + B / B_crit), by least squares of log tokens."""
    from scipy.optimize import minimize_scalar

    def misfit(log_critical: float) -> float:
        return float(np.var(log_tokens - np.log1p(batch / np.exp(log_critical))))

    ends = (np.log(batch[0]) - 3.0, np.log(batch[-1]) + 3.0)
    return float(np.exp(minimize_scalar(misfit, bounds=ends, method="bounded").x))


def _tokens_to(level: float, log_tokens: NDArray[Any], logs: NDArray[Any]) -> float:
    """Return ln of the tokens to a log loss at one batch size, up to twice those trained."""
    slope, _ = np.polyfit(log_tokens, logs, 1)
    if slope >= 0:
        return np.nan
    middle = float(log_tokens.mean() + (level - logs.mean()) / slope)
    room = np.log(2.0)
    inside = log_tokens[0] - room <= middle <= log_tokens[-1] + room
    return middle if inside else np.nan


def laboratory() -> dict[str, Any]:
    """Return the critical batch on the laboratory's runs, from the law and measured, by corpus."""
    model = next(case for case in CASES if case.card == "kaplan-ns").plain
    table, runs = best_of_batches(), with_batches()
    rows, gates, count = [], [], 0
    used = time.process_time()
    for family, part in table.groupby("family"):
        own = runs.where(f"family == '{family}'")
        fit = fitted(own, model)
        gates.append(bool(fit.gates.ok))
        count += len(own)
        rows += [
            {**vars(found), "law": by_law(fit, found.loss)}
            for found in measure(part, SCATTER, str(family))
        ]
    used = time.process_time() - used
    return {"rows": rows, "seconds": used, "gates": all(gates), "runs": count}


def fitted(runs: bs.Runs, model: bs.Model | str) -> bs.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        return bs.fit(runs, model, seed=SEED, draws=DRAWS, cores=1, progress=False)


def by_law(fit: bs.Fit, loss: float) -> list[float]:
    """Return the interval of B_crit at a loss under the law."""
    law = fit.law
    assert isinstance(law, KaplanNS)
    draws = {name: fit.curve.parameters[name].to_numpy() for name in law.parameters}
    found = law.critical_batch(np.asarray(loss), draws)
    return [float(x) for x in np.quantile(found, [0.05, 0.5, 0.95])]


def steplaw(tables: Path) -> dict[str, Any]:
    """Return the critical batch on steplaw and critical_batch, from the law and measured."""
    table = pd.read_csv(tables / "steplaw.csv").rename(
        columns={"params": "n_params", "tokens": "n_tokens", "steps": "n_steps"}
    )
    table = table[table["family"] == "dense"]
    best = table.loc[table.groupby(["n_params", "n_tokens", "batch_tokens"])["loss"].idxmin()]
    columns = ["run", "n_params", "n_steps", "batch_tokens", "loss"]
    used = time.process_time()
    runs = bs.load_runs(best[columns].reset_index(drop=True), needs=("n_params",))
    fit = fitted(runs, "kaplan-ns")
    used = time.process_time() - used
    rows = [
        {**vars(found), "law": by_law(fit, found.loss)}
        for found in measure(best, SCATTER_STEPLAW, "steplaw")
    ]
    direct = pd.read_csv(tables / "critical_batch.csv")
    for (label, loss), part in direct.groupby(["n_params_label", "goal_loss"]):
        part = part.sort_values("batch_tokens")
        batch = part["batch_tokens"].to_numpy(float)
        cost = np.log(part["tokens_to_goal"].to_numpy(float))
        rows.append(
            {
                "name": f"critical_batch, {label}",
                "n_params": float("nan"),
                "loss": float(loss),
                "batches": len(part),
                "critical": [float("nan"), hyperbola(batch, cost), float("nan")],
                "law": by_law(fit, float(loss)),
            }
        )
    return {"rows": rows, "seconds": used, "gates": bool(fit.gates.ok), "runs": len(fit.runs)}


def work(*tables: str) -> dict[str, Any]:
    """Return the results on the laboratory's runs, or on the public tables in a folder."""
    return steplaw(Path(tables[0])) if tables else laboratory()
