"""Simulated regret after the runs that next_runs chooses, against other runs of the same cost.

    make next-runs

Every study draws a true law, Chinchilla's with parameters from the priors of the card, simulates a
first sweep of small runs and fits it. Four strategies then spend the same compute on further runs:
the batch that `bayescale.next_runs` chooses; an isoFLOP sweep of five sizes around the posterior
optimum; runs drawn at random from the same candidates; and one large run at the posterior optimum.
Each batch is simulated under the true law, all runs are refitted, and the plan that minimises
expected regret at the target is chosen. It is scored by its regret under the true law, which has a
closed form. Writes docs/next-runs.md and benchmarks/next_runs.json.
"""

import argparse
import json
import warnings
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale.costs import six_nd
from bayescale.decision.decide import least_regret
from bayescale.decision.regret import Regrets
from bayescale.errors import BayescaleWarning
from bayescale.experiment_design.candidates import pool_of
from bayescale.inference.parallel import Task, run_tasks
from bayescale.units import format_compute, format_scientific

PAGE = Path(__file__).parents[1] / "docs" / "next-runs.md"
FACTS = Path(__file__).with_suffix(".json")
LAW = bs.law("chinchilla")

FIRST_BUDGETS = (1e18, 3e18, 1e19)
FIRST_SIZES, FIRST_RATIO = 5, 20.0
"""Number of sizes at each budget, from a quarter to four times the size with this many tokens per
parameter. The optimum of the true law may lie well outside."""

BUDGET = 2e20
TARGET = 1e23
MOST_RUNS = 6
SCATTER, DEGREES = 0.005, 4.0
"""Scale of the Student-t scatter of log loss, and its degrees of freedom."""

STRATEGIES = ("next_runs", "isoFLOP sweep", "random", "one large run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=600, help="number of laws drawn")
    parser.add_argument("--store", type=Path, help="file of results, from which a study resumes")
    options = parser.parse_args()
    tasks = [Task(key=f"study {i}", arguments=(i,)) for i in range(options.studies)]
    with ProcessPoolExecutor(2) as executor:
        rows = pd.DataFrame(
            run_tasks(study, tasks, label="studies", executor=executor, store=options.store)
        )
    summary = summarise(rows)
    FACTS.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(summary), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


def study(number: int) -> dict[str, Any]:
    """Return the regret under one drawn law before further runs and after each strategy."""
    rng = np.random.default_rng([number, 20])
    truth = draw_law(rng)
    first = pd.DataFrame(
        [
            (size, budget / (6 * size))
            for budget in FIRST_BUDGETS
            for size in np.sqrt(budget / 6 / FIRST_RATIO) * np.geomspace(0.25, 4, FIRST_SIZES)
        ],
        columns=["n_params", "n_tokens"],
    )
    seen = launch(truth, first, rng)
    fit, ok = refit(seen, number)
    realised, expected = regrets_of(truth, fit)
    row: dict[str, Any] = {"nothing": realised, "expected nothing": expected}
    row["failed"] = int(not ok)
    advice = bs.next_runs(fit, target=TARGET, budget=BUDGET, n_runs=MOST_RUNS, seed=number)
    row |= {"predicted before": advice.before, "predicted after": advice.after}
    for strategy, batch in batches(fit, advice.runs, rng).items():
        assert float(six_nd(batch["n_params"], batch["n_tokens"]).sum()) <= BUDGET * (1 + 1e-9)
        together = pd.concat([seen, launch(truth, batch, rng)], ignore_index=True)
        after, ok = refit(together, number)
        row[strategy], row[f"expected {strategy}"] = regrets_of(truth, after)
        row["failed"] += int(not ok)
    return row


def draw_law(rng: np.random.Generator) -> dict[str, float]:
    """Return parameters drawn from the priors of the card, restricted to plausible models."""
    reference = {"n_params": 1e9, "n_tokens": 2e10}
    medians = {"loss_ref": 2.6, "e_n": 0.05, "e_d": 0.05, "alpha": 0.4, "beta": 0.4}
    spreads = {"loss_ref": 0.15, "e_n": 0.7, "e_d": 0.7, "alpha": 0.45, "beta": 0.45}
    while True:
        drawn = {
            name: median * np.exp(spreads[name] * rng.standard_normal())
            for name, median in medians.items()
        }
        law = {name: float(x) for name, x in LAW.from_reference(drawn, reference).items()}
        ratio = 1e21 / 6 / optimal_size(law, 1e21) ** 2
        if 0.3 < law["E"] / drawn["loss_ref"] < 0.95 and 1 < ratio < 1000:
            return law


def optimal_size(law: Mapping[str, float], budget: float) -> float:
    return float(np.exp(LAW.optimal_log_params(law, np.log(budget / 6))))


def launch(law: Mapping[str, float], runs: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    size, tokens = runs["n_params"].to_numpy(), runs["n_tokens"].to_numpy()
    loss = LAW.evaluate(n_params=size, n_tokens=tokens, **law)
    scatter = SCATTER * rng.standard_t(DEGREES, len(runs))
    return pd.DataFrame({"n_params": size, "n_tokens": tokens, "loss": loss * np.exp(scatter)})


def refit(runs: pd.DataFrame, seed: int) -> tuple[bs.Fit, bool]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        fit = bs.fit(runs, "chinchilla", draws=500, cores=1, seed=seed, progress=False)
    return fit, fit.diagnostics.ok


def regrets_of(law: Mapping[str, float], fit: bs.Fit) -> tuple[float, float]:
    """Return the true and the expected regret of the plan chosen by a fit, as target shares."""
    regrets = Regrets(fit.curve, six_nd, TARGET, {})
    decided = np.array([least_regret(regrets)])
    log_d = regrets.spending.log_tokens(decided)
    expected = float(np.nanmean(regrets.regret(regrets.log_loss(decided, log_d))))
    k = float(np.exp(decided[0])) / optimal_size(law, TARGET)
    alpha, beta = law["alpha"], law["beta"]
    r = (beta * k**-alpha + alpha * k**beta) / (alpha + beta)
    return float(1 - r ** (-(alpha + beta) / (alpha * beta))), expected


def batches(fit: bs.Fit, chosen: pd.DataFrame, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Return the batch of runs of each strategy."""
    pool = pool_of(fit, None, BUDGET, six_nd, {})
    batch, left = [], BUDGET
    for i in rng.permutation(len(pool)):
        if pool["compute"][i] <= left * (1 + 1e-9) and len(batch) < MOST_RUNS:
            batch.append(i)
            left -= pool["compute"][i]
    share = BUDGET / 5
    centre = bs.allocate(fit, budget=[share, BUDGET]).recommended["n_params"].to_numpy()
    sweep = centre[0] * np.geomspace(0.25, 4, 5)
    return {
        "next_runs": chosen[["n_params", "n_tokens"]],
        "isoFLOP sweep": pd.DataFrame({"n_params": sweep, "n_tokens": share / 6 / sweep}),
        "random": pool.loc[batch, ["n_params", "n_tokens"]],
        "one large run": pd.DataFrame(
            {"n_params": centre[1:], "n_tokens": BUDGET / 6 / centre[1:]}
        ),
    }


def summarise(rows: pd.DataFrame) -> dict[str, Any]:
    count = len(rows)

    def mean(values: pd.Series) -> dict[str, float]:
        return {"mean": float(values.mean()), "se": float(values.std(ddof=1) / np.sqrt(count))}

    return {
        "studies": count,
        "predicted": {when: mean(rows[f"predicted {when}"]) for when in ("before", "after")},
        "strategies": {
            name: {
                "realised": mean(rows[name]),
                "expected": mean(rows[f"expected {name}"]),
                "more_realised": mean(rows[name] - rows["next_runs"]),
                "more_expected": mean(rows[f"expected {name}"] - rows["expected next_runs"]),
                "better": float((rows["expected next_runs"] < rows[f"expected {name}"]).mean()),
            }
            for name in ("nothing", *STRATEGIES)
        },
        "failed_fits": int(rows["failed"].sum()),
        "fits": count * (1 + len(STRATEGIES)),
    }


def page(facts: Mapping[str, Any]) -> str:
    def percent(found: Mapping[str, float]) -> str:
        return f"{100 * found['mean']:.2f} % ± {100 * found['se']:.2f}"

    first = ", ".join(map(format_scientific, FIRST_BUDGETS))
    lines = [
        "# Regret after the runs that `next_runs` chooses",
        "",
        f"Made by `make next-runs`; do not edit. Each of {facts['studies']} studies draws a "
        f"Chinchilla law from the priors of the card, makes {FIRST_SIZES} runs at each of {first} "
        f"FLOP around {FIRST_RATIO:.0f} tokens per parameter, with a "
        f"Student-t scatter of {100 * SCATTER:.1f} % and {DEGREES:.0f} degrees of "
        f"freedom, and fits them. Then {format_compute(BUDGET)} are spent on further runs by each "
        "of four strategies, all runs are refitted, and the plan that minimises expected regret "
        f"for {format_compute(TARGET)} is chosen. Its realised regret is the share of the target "
        "budget that it wastes under the true law. Means over the studies, ± one standard error.",
        "",
        "The true laws are drawn from the priors of the fits, truncated to plausible ones. Apart "
        "from the truncation, the realised regret therefore has the same mean as the regret that a "
        "refitted posterior expects, but a standard error several times as large: a few laws with "
        "large regrets dominate it.",
        "",
        "| what the budget is spent on | realised regret | expected regret | realised, minus "
        "next_runs (paired) | expected, minus next_runs (paired) | next_runs expects less in |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in facts["strategies"].items():
        cells = [name, percent(found["realised"]), percent(found["expected"])]
        cells += (
            ["", "", ""]
            if name == "next_runs"
            else [
                percent(found["more_realised"]),
                percent(found["more_expected"]),
                f"{100 * found['better']:.0f} % of the studies",
            ]
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "next_runs predicted an expected regret of "
        f"{percent(facts['predicted']['before'])} before the runs and "
        f"{percent(facts['predicted']['after'])} after them.",
        "",
        f"{facts['failed_fits']} of {facts['fits']} fits failed their gates.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
