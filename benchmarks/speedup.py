"""Coverage of the speedup between simulated pairs of recipes, and speedups of public pairs.

    make speedup TABLES=folder

Pairs of recipes are simulated whose true speedup lies between 1 and 2, on one floor or on two, and
both are fitted as levels of one model. Counted is how often the 90 % interval holds the true
speedup, inside the runs and beyond them. Writes docs/speedup.md. Results are kept in a store, so that
a run with more simulations makes only the further ones.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale._seeds import Stream, generator
from bayescale.inference.fit import fit_quietly
from bayescale.laws import law as find_law
from bayescale.laws.published import PUBLISHED, Constants
from bayescale.units import format_share
from benchmarks.public_tables import Tables, markdown

PAGE = Path(__file__).parents[1] / "docs" / "speedup.md"
FIGURE = PAGE.parent / "images" / "speedup.png"
CARDS = {"one floor": "chinchilla-recipes", "two floors": "chinchilla-pooled"}
TRUTHS = ("besiroglu2024", "hoffmann2022-tex")
BUDGETS = np.geomspace(1e18, 1e21, 5)
SIZES = np.geomspace(0.3, 3.3, 5)
ASKED = (1e20, 1e21, 1e22, 1e23)
"""Within the runs, at the largest of them, and ten and a hundred times beyond."""

NOISE, PROB, SEED, DRAWS = 0.004, 0.9, 1, 100
MOST = 2.0
FLOORS = 0.02
"""Standard deviation of the log of the ratio of two floors."""


def pair(number: int, floors: str) -> tuple[Constants, Constants]:
    """Return the laws of a baseline and of a recipe, of one simulation."""
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
    """Return a sweep of both recipes: budgets with sizes about the optimum of the baseline."""
    rng = generator(SEED, Stream.SIMULATION, number, list(CARDS).index(floors), 1)
    middle = bs.allocate(laws[0], compute=BUDGETS).recommended["n_params"].to_numpy()
    size = (middle[:, None] * SIZES).ravel()
    tokens = np.repeat(BUDGETS, len(SIZES)) / (6.0 * size)
    tables = []
    for family, law in zip(("baseline", "recipe"), laws, strict=True):
        loss = find_law(law.law).evaluate(n_params=size, n_tokens=tokens, **law.parameters)
        noisy = loss * np.exp(NOISE * rng.standard_normal(len(size)))
        columns = {"family": family, "n_params": size, "n_tokens": tokens, "loss": noisy}
        tables.append(pd.DataFrame(columns))
    return bs.load_runs(pd.concat(tables, ignore_index=True))


def simulate(number: int, floors: str) -> dict[str, object]:
    """Fit one simulated pair, and return where the true speedup lies in its posterior."""
    laws = pair(number, floors)
    fit = fit_quietly(
        simulated(laws, number, floors), bs.load_model(CARDS[floors]), seed=number, draws=DRAWS
    )
    found = bs.speedup(fit, baseline="baseline", compute=ASKED)
    of_truth = bs.speedup(
        dict(zip(("baseline", "recipe"), laws, strict=True)), baseline="baseline", compute=ASKED
    )
    truth = of_truth.draws.squeeze().to_numpy()
    table = found.numbers(PROB)
    return {
        "floors": floors,
        "number": number,
        "compute": list(ASKED),
        "truth": truth.tolist(),
        "median": table["speedup"].tolist(),
        "lower": table["speedup_lower"].tolist(),
        "upper": table["speedup_upper"].tolist(),
        "p_better": table["p_better"].tolist(),
        "unreachable": table["unreachable"].tolist(),
        "ok": bool(fit.gates.ok),
    }


def simulations(count: int, store: Path) -> list[dict[str, object]]:
    """Return the results of `count` simulations of each kind, from the store where they are."""
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
    return [row for row in done if row["number"] < count]  # type: ignore[operator]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, help="folder of the public tables")
    parser.add_argument("--simulations", type=int, default=20, help="pairs of each kind (20)")
    parser.add_argument("--store", type=Path, default=Path("build/speedup.jsonl"))
    options = parser.parse_args()
    simulations(options.simulations, options.store)
