"""Coverage of the speedup between simulated pairs of recipes.

    make speedup TABLES=folder [SIMULATIONS=53]

Pairs of recipes are simulated with a shared floor or two floors, and both recipes are fitted as
levels of one model. Measured is the coverage of 90 % intervals of the speedup, within the runs and
beyond them. A real pair of architectures is compared with and without a shared floor. Writes
docs/speedup.md. SIMULATIONS is the number of pairs of each kind, 53 by default. Results are stored,
so that a study with more simulations computes only the additional ones.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import bayescale as bs
from bayescale._seeds import Stream, generator
from bayescale.inference.fit import fit_quietly
from bayescale.laws import law as find_law
from bayescale.laws.constants import Constants
from bayescale.laws.published import PUBLISHED
from bayescale.units import format_compute, format_share
from benchmarks.public_tables import markdown

PAGE = Path(__file__).parents[1] / "docs" / "speedup.md"
CARDS = {"one floor": "chinchilla-recipes", "two floors": "chinchilla-pooled"}
TRUTHS = ("besiroglu2024", "hoffmann2022-tex")
BUDGETS = np.geomspace(1e18, 1e21, 5)
SIZES = np.geomspace(0.3, 3.3, 5)
COMPARED_AT = (1e20, 1e21, 1e22, 1e23)
"""Budgets within the runs, at the largest of them, and ten and a hundred times beyond."""

NOISE, PROB, SEED, DRAWS = 0.004, 0.9, 1, 250
MOST = 2.0
ENOUGH = 50
"""Number of pairs of each kind that gives coverage within a few per cent."""

FLOORS = 0.02
"""Standard deviation of the log ratio of two floors."""


def pair(number: int, floors: str) -> tuple[Constants, Constants]:
    """Return the true laws of a baseline and a recipe of one simulation."""
    rng = generator(SEED, Stream.SIMULATION, number, list(CARDS).index(floors))
    base = PUBLISHED[TRUTHS[number % len(TRUTHS)]]
    in_all, share = np.log(MOST) * rng.uniform(), rng.uniform()
    other = dict(base.parameters)
    other["A"] *= np.exp(-other["alpha"] * in_all * share)
    other["B"] *= np.exp(-other["beta"] * in_all * (1.0 - share))
    if floors == "two floors":
        other["E"] *= np.exp(FLOORS * rng.standard_normal())
    return base, replace(base, name="recipe", parameters=other)


def simulated(laws: tuple[Constants, Constants], number: int, floors: str) -> bs.Runs:
    """Return a sweep of both recipes: at each budget, sizes around the baseline's optimum."""
    rng = generator(SEED, Stream.SIMULATION, number, list(CARDS).index(floors), 1)
    middle = bs.allocate(laws[0], budget=BUDGETS).recommended["n_params"].to_numpy()
    size = (middle[:, None] * SIZES).ravel()
    tokens = np.repeat(BUDGETS, len(SIZES)) / (6.0 * size)
    tables = []
    for family, law in zip(("baseline", "recipe"), laws, strict=True):
        loss = find_law(law.law).evaluate(n_params=size, n_tokens=tokens, **law.parameters)
        noisy = loss * np.exp(NOISE * rng.standard_normal(len(size)))
        columns = {"family": family, "n_params": size, "n_tokens": tokens, "loss": noisy}
        tables.append(pd.DataFrame(columns))
    return bs.load_runs(pd.concat(tables, ignore_index=True))


def simulate(number: int, floors: str) -> dict[str, Any]:
    """Fit one simulated pair, and return the true speedup and its posterior interval."""
    laws = pair(number, floors)
    fit = fit_quietly(
        simulated(laws, number, floors), bs.load_model(CARDS[floors]), seed=number, draws=DRAWS
    )
    found = bs.speedup(fit, baseline="baseline", budget=COMPARED_AT)
    of_truth = bs.speedup(
        dict(zip(("baseline", "recipe"), laws, strict=True)),
        baseline="baseline",
        budget=COMPARED_AT,
    )
    truth = of_truth.draws.squeeze().to_numpy()
    table = found.numbers(PROB)
    return {
        "floors": floors,
        "number": number,
        "compute": list(COMPARED_AT),
        "truth": truth.tolist(),
        "median": table["speedup"].tolist(),
        "lower": table["speedup_lower"].tolist(),
        "upper": table["speedup_upper"].tolist(),
        "p_better": table["p_better"].tolist(),
        "unreachable": table["unreachable"].tolist(),
        "ok": bool(fit.gates.ok),
    }


def simulations(count: int, store: Path) -> list[dict[str, Any]]:
    """Return the results of `count` simulations of each kind; stored ones are reused."""
    done = [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []
    known = {(row["floors"], row["number"]) for row in done}
    for number in range(count):
        for floors in CARDS:
            if (floors, number) in known:
                continue
            done.append(simulate(number, floors))
            with store.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[-1]) + "\n")
            print(floors, number, flush=True)
    return [row for row in done if row["number"] < count]


REAL = ("llama-ctx16384", "mlstm-ctx16384")
"""A baseline and a recipe of a public table: transformers and xLSTMs with a context of 16,384."""

REAL_BUDGETS = (1e19, 1e20, 1e21)


def real_pair(tables: Path) -> list[str]:
    """Return a section on a real pair."""
    table = pd.read_csv(tables / "xlstm_llama_isoflop.csv")
    table = table[table["family"].isin(REAL) & (table["suspect"] == 0)]
    runs = bs.load_runs(table[["family", "params", "tokens", "loss"]])
    largest = (6.0 * table["params"] * table["tokens"]).groupby(table["family"]).max()
    rows, statuses = [], []
    for floors, card in CARDS.items():
        fit = fit_quietly(runs, bs.load_model(card), seed=SEED, draws=2 * DRAWS)
        found = bs.speedup(fit, baseline=REAL[0], budget=REAL_BUDGETS)
        for (_, budget), row in found.numbers(PROB).iterrows():
            rows.append(
                {
                    "card": f"`{card}`",
                    "floors": floors,
                    "budget": format_compute(float(budget)),
                    "speedup": f"{row['speedup']:.2f} [{row['speedup_lower']:.2f}, "
                    f"{row['speedup_upper']:.2f}]",
                    "P(better)": f"{row['p_better']:.2f}",
                }
            )
        failed = [check.name for check in fit.diagnostics.checks if check.failed]
        statuses.append(f"`{card}` failed {', '.join(failed)}" if failed else f"`{card}` passed")
    return [
        "## A real pair",
        "",
        f"{len(runs)} runs of {REAL[0]} (transformers) and {REAL[1]} (xLSTMs) at isoFLOP budgets "
        f"up to {format_compute(largest[REAL[0]])} and {format_compute(largest[REAL[1]])}, "
        "compute counted as 6 N D for both, which leaves out attention. Checks of the fits: "
        f"{'; '.join(statuses)}.",
        "",
        markdown(pd.DataFrame(rows)),
        "",
        "Within the runs the cards agree. Beyond them the assumption on the floor decides: if the "
        "two architectures may have different irreducible losses, a small advantage within the "
        "runs becomes a large one. The intervals of one card do not include this choice; state "
        "which floor is assumed, or compare both cards.",
        "",
    ]


def page(found: list[dict[str, Any]], real: list[str]) -> str:
    """Return the page of simulations, and of the real pair."""
    rows = []
    for floors, card in CARDS.items():
        mine = [row for row in found if row["floors"] == floors]
        truth, lower, upper, median = (
            np.array([row[name] for row in mine]) for name in ("truth", "lower", "upper", "median")
        )
        inside = (lower <= truth) & (truth <= upper)
        for i, compute in enumerate(COMPARED_AT):
            low, high = stats.beta(inside[:, i].sum() + 0.5, (~inside[:, i]).sum() + 0.5).interval(
                PROB
            )
            with np.errstate(divide="ignore"):
                error = np.log(median[:, i] / truth[:, i])
            rows.append(
                {
                    "pairs": floors,
                    "card": f"`{card}`",
                    "budget": format_compute(compute),
                    "relative to the largest run": f"{compute / BUDGETS[-1]:g}",
                    "true speedups": f"{truth[:, i].min():.2f} to {truth[:, i].max():.2f}",
                    "in 90 % interval": f"{inside[:, i].sum()} of {len(mine)} "
                    f"({100 * low:.0f} to {100 * high:.0f} %)",
                    "median error": f"{100 * np.median(np.abs(error)):.0f} %",
                    "interval, upper over lower": f"{np.median(upper[:, i] / lower[:, i]):.2f}",
                }
            )
    count = len(found) // len(CARDS)
    passed = sum(bool(row["ok"]) for row in found)
    return "\n".join(
        [
            "# Coverage of the speedup",
            "",
            f"Made by `make speedup TABLES=folder SIMULATIONS={count}` (bayescale "
            f"{bs.__version__}, {count} pairs of each kind, seed {SEED}, {DRAWS} draws a chain); "
            "do not edit.",
            "",
            f"Two recipes are simulated at {len(BUDGETS)} budgets from "
            f"{format_compute(BUDGETS[0])} to {format_compute(BUDGETS[-1])} and {len(SIZES)} sizes "
            f"each, with {format_share(NOISE)} of noise about a law ({', '.join(TRUTHS)}). "
            "The recipe uses parameters and tokens more efficiently, so that with one floor its "
            f"speedup is between 1 and {MOST:g} at every budget. With two floors, which differ by "
            f"{format_share(FLOORS)} (standard deviation), it changes with the budget. Both are "
            "fitted as levels of one model ([how](how-to/compare-recipes.md)).",
            "",
            f"The range after each count is the {format_share(PROB)} Jeffreys interval of the "
            "coverage. Budgets of one pair share its fit. "
            f"{passed} of {len(found)} fits passed every convergence gate, with few draws each."
            + (" So few pairs reveal gross faults only." if count < ENOUGH else ""),
            "",
            markdown(pd.DataFrame(rows)),
            "",
            *real,
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--simulations", type=int, default=53, help="pairs of each kind (53)")
    parser.add_argument("--store", type=Path, default=Path("build/speedup.jsonl"))
    options = parser.parse_args()
    options.store.parent.mkdir(exist_ok=True)
    simulated_pairs = simulations(options.simulations, options.store)
    PAGE.write_text(page(simulated_pairs, real_pair(options.tables)), encoding="utf-8")
