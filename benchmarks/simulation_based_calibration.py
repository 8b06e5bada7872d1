"""Check cards by simulation-based calibration, and write docs/sbc.md.

    python -m benchmarks.simulation_based_calibration

Cards of laws of size and tokens, without and with pooling, on four designs. Results are stored by
the digest of the card, so that a set is simulated again when its card changes.
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale._digests import digest_of
from bayescale.errors import BayescaleWarning
from benchmarks.public_tables import markdown
from benchmarks.resumable import map_stored

PAGE = Path(__file__).parents[1] / "docs" / "sbc.md"
RESULTS = PAGE.parent / "evidence" / "sbc.json"
SEED = 1

DEFAULT = "coupled-discrepancy"
CARDS = ("chinchilla", "coupled", "kaplan-nd", "chinchilla-pooled")
GRIDS = ("isoFLOP", "L-shaped", "grid")
DIAGONAL = "diagonal, D = 20 N"
SIMULATIONS = {DEFAULT: 200, **dict.fromkeys(CARDS, 200), f"{DEFAULT}-by-family": 100}

type Set = tuple[str, str]
"""A model, by its id, and a design."""


def models() -> dict[str, bs.Model]:
    """Return the models that are simulated, by id."""
    default = bs.load_model(DEFAULT)
    found = [default, *map(bs.load_model, CARDS), default.pool("family", of=["loss"])]
    return {model.id: model for model in found}


def designs() -> dict[str, pd.DataFrame]:
    """Return designs of sizes and tokens, with a quarter of the runs in each of four families."""
    isoflop = [
        (size, budget / (6 * size))
        for budget in np.geomspace(1e19, 1e21, 5)
        for size in np.sqrt(budget / 120) * np.geomspace(0.3, 3, 7)
    ]
    corner = [(size, 2e10) for size in np.geomspace(5e7, 5e9, 12)]
    corner += [(2e8, tokens) for tokens in np.geomspace(1e9, 5e11, 12)]
    grid = [(n, d) for n in np.geomspace(5e7, 5e9, 8) for d in np.geomspace(1e9, 1e11, 4)]
    diagonal = [(size, 20 * size) for size in np.geomspace(3e7, 1e10, 20)]
    found = dict(zip((*GRIDS, DIAGONAL), (isoflop, corner, grid, diagonal), strict=True))
    four = np.array(["one", "two", "three", "four"])
    return {
        name: pd.DataFrame(rows, columns=["n_params", "n_tokens"]).assign(
            family=four[np.arange(len(rows)) % 4]
        )
        for name, rows in found.items()
    }


def sets() -> dict[str, Set]:
    """Return every set by the key of its result: card, design, and the digest of the card."""
    return {
        f"{card} on {name}, {digest_of(model.to_dict())[:12]}": (card, name)
        for card, model in models().items()
        for name in designs()
        # Pooled by family, the default card is only run on designs that separate size from tokens.
        if not (card.endswith("-by-family") and name == DIAGONAL)
    }


def simulate(of: Set) -> list[dict[str, Any]]:
    """Return results of a set; if its ranks are not uniform, it is repeated with twice as many."""
    warnings.simplefilter("ignore", BayescaleWarning)
    card, design = of
    found: list[dict[str, Any]] = []
    for seed, times in ((SEED, 1), (SEED + 1, 2)):
        count = times * SIMULATIONS[card]
        result = bs.sbc(models()[card], designs()[design], count, seed=seed, progress=False)
        found.append({"card": card, "design": design, **facts_of(result)})
        if result.ok():
            break
    return found


def facts_of(result: bs.Sbc) -> dict[str, Any]:
    table = result.table()
    return {
        "simulations": len(result.ranks),
        "uniform": bool(result.ok()),
        "least_p": float(table["p_value"].min()),
        "least_p_of": str(table["p_value"].idxmin()),
        "spread_min": float(table["spread"].min()),
        "spread_max": float(table["spread"].max()),
        "along_chain": int(result.sampler["along_chain"].sum()),
    }


def render(rows: list[dict[str, Any]]) -> str:
    version = bs.__version__.split("+")[0]
    return "\n".join(
        [
            "# Simulation-based calibration",
            "",
            f"Made by `make sbc` (bayescale {version}, seed {SEED}); do not edit.",
            "",
            "Parameters are drawn from the prior, runs are simulated from them and fitted: the "
            "ranks of the true parameters among posterior draws are uniform if model and sampler "
            "agree. Spread is the standard deviation of ranks relative to that of a uniform "
            "distribution. A set whose ranks are not uniform is repeated with twice as many "
            "simulations and another seed. On the diagonal the two terms are exchangeable; `fit` "
            "refuses such a design, and `sbc` warns of it before sampling. Where draws remain too "
            "autocorrelated for a rank among them, the truth is ranked along a reversible chain "
            "through it. This is exact however slowly the chain mixes, but has less power to "
            "detect a wrong model the slower it mixes. "
            f"`{DEFAULT}-by-family` is the default card with effects of four families on the loss.",
            "",
            markdown(pd.DataFrame([row_of(row) for row in rows])),
            "",
        ]
    )


def row_of(row: dict[str, Any]) -> dict[str, str]:
    least = f"{row['least_p']:.4f}" if row["least_p"] > 0 else "below 0.0003"
    return {
        "card": f"`{row['card']}`",
        "design": row["design"],
        "simulations": str(row["simulations"]),
        "uniform": "yes" if row["uniform"] else "**no**",
        "lowest p-value": f"{least} ({row['least_p_of']})",
        "spread of ranks": f"{row['spread_min']:.2f} to {row['spread_max']:.2f}",
        "ranked along a chain": str(row["along_chain"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulation_based_calibration",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workers", type=int, default=2, help="number of processes")
    options = parser.parse_args()
    found = map_stored(simulate, sets(), RESULTS, options.workers)
    PAGE.write_text(render([row for rows in found.values() for row in rows]), encoding="utf-8")


if __name__ == "__main__":
    main()
