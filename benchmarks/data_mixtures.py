"""Recover the law of mixtures and its optimum from simulated runs.

    make data-mixtures

Losses on three validation texts are simulated under known laws, at random mixtures of three and of
five domains. Measured is the coverage of intervals of the loss of held-out mixtures, and of the
share of each domain in the best mixture. Writes docs/data-mixtures.md.
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayescale as bs
from bayescale._seeds import Stream, generator
from bayescale.allocation.simplex import least_mixture, mixture_loss
from bayescale.errors import BayescaleWarning
from bayescale.inference.fit import fit_quietly
from bayescale.inference.parallel import Task, run_tasks
from bayescale.laws import law as find_law
from benchmarks.public_tables import markdown

PAGE = Path(__file__).parents[1] / "docs" / "data-mixtures.md"
SIMULATIONS, SEED, DRAWS, PROB = 20, 1, 250, 0.9
DESIGNS = {3: (12, 24), 5: (20, 40)}
"""Numbers of mixtures that are run, by number of domains."""
TEXTS, NOISE, UNSEEN = 3, 0.005, 10

type Array = NDArray[np.float64]


def truth(domains: int, number: int) -> tuple[Array, Array]:
    """Return floors, and logs of the reducible losses, texts x domains.

    Each text is closest to one domain: training on that domain alone leaves the lowest loss on it.
    """
    rng = generator(SEED, Stream.SIMULATION, number, domains)
    floors = rng.uniform(0.8, 2.5, TEXTS)
    logs = rng.normal(0.0, 0.3, (TEXTS, domains))
    logs[np.arange(TEXTS), rng.permutation(domains)[:TEXTS]] -= rng.uniform(0.5, 1.5, TEXTS)
    return floors, logs


def simulate(domains: int, runs: int, number: int) -> dict[str, Any]:
    """Fit every text of one simulation, and compare with the truth."""
    floors, logs = truth(domains, number)
    law = find_law(f"data-mixing-{domains}")
    rng = generator(SEED, Stream.SIMULATION, number, domains, runs)
    shares = rng.dirichlet(np.ones(domains), runs + UNSEEN)
    losses = floors + np.exp(shares @ logs.T)
    noisy = losses[:runs] * np.exp(NOISE * rng.standard_normal((runs, TEXTS)))
    fits, inside, errors = {}, [], []
    for i in range(TEXTS):
        table = pd.DataFrame(shares[:runs], columns=list(law.inputs)).assign(loss=noisy[:, i])
        fits[f"text {i + 1}"] = fit = fit_quietly(
            bs.load_runs(table, needs=law.inputs),
            bs.load_model(law.name),
            seed=10 * number + i,
            draws=DRAWS,
        )
        unseen = dict(zip(law.inputs, shares[runs:].T, strict=True))
        drawn = bs.predict(fit, inputs=unseen)["loss"].transpose("chain", "draw", "plan")
        tails = [(1.0 - PROB) / 2.0, 0.5, (1.0 + PROB) / 2.0]
        low, middle, high = np.quantile(drawn, tails, axis=(0, 1))
        inside += ((low <= losses[runs:, i]) & (losses[runs:, i] <= high)).tolist()
        errors += np.abs(middle / losses[runs:, i] - 1.0).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)  # The page states how many fits passed.
        best = bs.data_mixture(fits)
        table = best.table(PROB)
    weights, each = np.full((1, TEXTS), 1.0 / TEXTS), logs[None]
    optimum = least_mixture(weights, each, np.ones(domains))[0]
    least = mixture_loss(weights, each, optimum[None])[0]
    near = 1e-4
    return {
        "passed": [bool(fit.gates.ok) for fit in fits.values()],
        "inside": inside,
        "errors": errors,
        "shares": (
            (table["share_lower"] - near <= optimum) & (optimum <= table["share_upper"] + near)
        ).tolist(),
        "interior": ((optimum > near) & (optimum < 1.0 - near)).tolist(),
        "off": np.abs(best.recommended.to_numpy() - optimum).tolist(),
        "expected": best.expected_regret,
        "regret": float(mixture_loss(weights, each, best.recommended.to_numpy()[None])[0] - least),
        "equal": float(mixture_loss(weights, each, np.full((1, domains), 1 / domains))[0] - least),
        "run": float(mixture_loss(weights, each, shares[noisy.mean(axis=1).argmin()][None])[0])
        - float(least),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=SIMULATIONS, help="of each design")
    parser.add_argument("--store", type=Path, help="file of results, from which a study resumes")
    options = parser.parse_args()
    designs = [(domains, runs) for domains, several in DESIGNS.items() for runs in several]
    tasks = [
        Task(key=f"{domains}, {runs}, {i}", arguments=(domains, runs, i))
        for domains, runs in designs
        for i in range(options.simulations)
    ]
    found = run_tasks(simulate, tasks, label="simulations", store=options.store)
    n = options.simulations
    parts = {design: found[i * n : (i + 1) * n] for i, design in enumerate(designs)}
    PAGE.write_text(page(parts, n), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


def page(parts: dict[tuple[int, int], list[dict[str, Any]]], simulations: int) -> str:
    known = [_of_law(*design, rows) for design, rows in parts.items()]
    decided = [_of_mixture(*design, rows) for design, rows in parts.items()]
    passed = [x for rows in parts.values() for row in rows for x in row["passed"]]
    return "\n".join(
        [
            "# Mixtures of data, recovered from simulated runs",
            "",
            f"Made by `make data-mixtures` (bayescale {bs.__version__}, {simulations} simulations "
            f"of each design, seed {SEED}, {DRAWS} draws a chain); do not edit.",
            "",
            "No public table of runs on mixtures is available, so the runs are simulated from the "
            f"law that is fitted: the results assume that this law is true. Losses on {TEXTS} "
            "validation texts, each closest to one domain, are those of the exponential mixing "
            f"law, with {100 * NOISE:g} % noise; mixtures are drawn uniformly from the simplex. "
            f"Floors, and reducible losses by text and domain, differ between simulations. "
            f"{sum(passed)} of {len(passed)} fits passed every convergence gate "
            "([how to use it](how-to/choose-a-data-mixture.md)).",
            "",
            f"How many {100 * PROB:.0f} % intervals contain the noise-free loss of {UNSEEN} "
            "held-out mixtures, and the relative error of the median:",
            "",
            markdown(pd.DataFrame(known)),
            "",
            "The best mixture for all texts, equally weighted. Intervals of a share are counted "
            "where its true optimum lies strictly between 0 and 1. Regret is the mean loss over "
            "the texts minus the lowest that any mixture reaches, in nats/token: expected under "
            "the posterior, realised, of the run with the lowest mean loss, and of equal shares:",
            "",
            markdown(pd.DataFrame(decided)),
            "",
        ]
    )


def _of_law(domains: int, runs: int, rows: list[dict[str, Any]]) -> dict[str, str]:
    inside = [x for row in rows for x in row["inside"]]
    errors = [x for row in rows for x in row["errors"]]
    return {
        "domains": str(domains),
        "mixtures run": str(runs),
        "held-out losses inside": f"{sum(inside)} of {len(inside)} ({np.mean(inside):.0%})",
        "median error": f"{100 * np.median(errors):.2f} %",
    }


def _of_mixture(domains: int, runs: int, rows: list[dict[str, Any]]) -> dict[str, str]:
    interior = np.array([row["interior"] for row in rows])
    inside = np.array([row["shares"] for row in rows])[interior]
    off = np.array([row["off"] for row in rows])
    means = {name: np.mean([row[name] for row in rows]) for name in _REGRETS}
    return {
        "domains": str(domains),
        "mixtures run": str(runs),
        "best shares inside": f"{inside.sum()} of {inside.size} ({inside.mean():.0%})",
        "median error of a share": f"{np.median(off):.1%}",
        **{heading: f"{means[name]:.4f}" for name, heading in _REGRETS.items()},
    }


_REGRETS = {
    "expected": "expected regret",
    "regret": "realised",
    "run": "best run",
    "equal": "equal shares",
}

if __name__ == "__main__":
    main()
