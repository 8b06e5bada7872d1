"""Do the intervals cover? Larger runs held out of public tables, and simulations from the models.

    python benchmarks/calibration.py TABLES

Writes docs/calibration.md. TABLES is a folder with the larger public tables. Every table has the
same cuts: the compute below which half, 65 % and 80 % of its runs lie.
"""

import argparse
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from public_tables import Tables, markdown

import bayescale as bs
from bayescale.errors import BayescaleWarning

PAGE = Path(__file__).parents[1] / "docs" / "calibration.md"
SHARES = (0.5, 0.65, 0.8)
SEED = 1
SIMULATIONS = 200
CARDS = ("chinchilla", "coupled", "over-training", "kaplan-nd-floor")
SIMULATED_CARDS = ("chinchilla", "coupled", "kaplan-nd")


def tables_of(tables: Tables) -> dict[str, bs.Runs]:
    over_trained = bs.load_runs("overtraining")
    return {
        "chinchilla": bs.load_runs("chinchilla"),
        **{
            f"overtraining, {family}": over_trained.where(f"family == '{family}'")
            for family in over_trained.families
        },
        **{
            f"porian_isoflop, {family}": tables.porian(family)
            for family in (
                "rw-base-short-chinchilla",
                "owt2-base-short-chinchilla",
                "rw-tuned-short-const",
                "owt2-tuned-short-const",
            )
        },
        "gemstones, cooled down": tables.cooled(),
        "routed_lm_curves, dense": tables.routed(dense=True),
        "datablations_runs, one epoch": tables.one_epoch(),
    }


def designs() -> dict[str, pd.DataFrame]:
    names = ["n_params", "n_tokens"]
    isoflop = [
        (size, budget / (6 * size))
        for budget in np.geomspace(1e19, 1e21, 5)
        for size in np.sqrt(budget / 120) * np.geomspace(0.3, 3, 7)
    ]
    corner = [(size, 2e10) for size in np.geomspace(5e7, 5e9, 12)]
    corner += [(2e8, tokens) for tokens in np.geomspace(1e9, 5e11, 12)]
    diagonal = [(size, 20 * size) for size in np.geomspace(3e7, 1e10, 20)]
    return {
        "isoFLOP": pd.DataFrame(isoflop, columns=names),
        "L-shaped": pd.DataFrame(corner, columns=names),
        "diagonal, D = 20 N": pd.DataFrame(diagonal, columns=names),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, help="folder of the larger public tables")
    parser.add_argument("--store", type=Path, help="a file that keeps what is done, to go on from")
    options = parser.parse_args()
    tables = Tables(options.tables)
    warnings.simplefilter("ignore", BayescaleWarning)
    with ProcessPoolExecutor(2) as executor:
        scores = []
        for name, runs in tables_of(tables).items():
            cuts = [float(np.quantile(runs.compute, share)) for share in SHARES]
            found = bs.leave_scale_out(
                CARDS,
                runs,
                cuts,
                seed=SEED,
                executor=executor,
                store=options.store,
                progress=False,
            )
            print(name, found["coverage_90"].round(2).to_dict(), flush=True)
            scores.append(found.reset_index().assign(table=name))
        simulated = []
        for card in SIMULATED_CARDS:
            for name, design in designs().items():
                # A set that does not look uniform though it mixes well is asked again, with more
                # simulations of another seed; both are shown.
                for seed, count in ((SEED, SIMULATIONS), (SEED + 1, 4 * SIMULATIONS)):
                    result = bs.sbc(
                        card,
                        design,
                        count,
                        seed=seed,
                        executor=executor,
                        store=options.store,
                        progress=False,
                    )
                    print(card, name, result.ok(), flush=True)
                    simulated.append(simulated_row(card, name, result))
                    if result.ok() or too_slow(result) > 0.05 * len(result.ranks):
                        break
    text = page(pd.concat(scores, ignore_index=True), pd.DataFrame(simulated))
    PAGE.write_text(text, encoding="utf-8")


def simulated_row(card: str, design: str, result: bs.Sbc) -> dict[str, str]:
    table = result.table()
    worst = table["p_value"].idxmin()
    return {
        "card": f"`{card}`",
        "design": design,
        "simulations": str(len(result.ranks)),
        "uniform": "yes" if result.ok() else "**no**",
        "least p-value": f"{table['p_value'].min():.4f} ({worst})",
        "spread of ranks": f"{table['spread'].min():.2f} to {table['spread'].max():.2f}",
        "posteriors that mix too slowly": str(too_slow(result)),
    }


def too_slow(result: bs.Sbc) -> int:
    return int((result.sampler["effective"] < result.ranked).sum())


def page(scores: pd.DataFrame, simulated: pd.DataFrame) -> str:
    share = scores.groupby("model").apply(pooled, include_groups=False).loc[list(CARDS)]
    parts = [
        "# Do the intervals cover?",
        "",
        "Made by `make calibration TABLES=folder` "
        f"(bayescale {bs.__version__.split('+')[0]}, seed {SEED}); do not edit.",
        "",
        "## Larger runs held out",
        "",
        "Each card is fitted to the runs below a cut in compute and predicts those above; the "
        "cuts leave 50, 65 and 80 % of the runs below. Shares of held-out runs inside the 90 % "
        "predictive interval, at the three cuts; below, all held-out runs pooled. Scores are on "
        "log loss, in per cent; lower is better. None of these cards allows for the law being "
        "wrong outside the data, and it shows.",
        "",
        markdown(coverage_table(scores)),
        "",
        markdown(share.reset_index()),
        "",
        "## Truths drawn from the prior",
        "",
        "Simulation-based calibration: ranks of the truth among posterior draws are uniform if "
        "model and sampler agree. Spread is their standard deviation over that of a uniform. A "
        "set that does not look uniform is followed by four times as many simulations of another "
        "seed. On the diagonal the two terms can trade places, and "
        "posteriors may have two modes between which chains do not cross.",
        "",
        markdown(simulated),
        "",
    ]
    return "\n".join(parts)


def coverage_table(scores: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name, group in scores.groupby("table", sort=False):
        cells = {
            f"`{card}`": " / ".join(
                f"{row['coverage_90']:.2f}" + ("" if row["ok"] else "\\*")
                for _, row in group[group["model"] == card].sort_values("cut").iterrows()
            )
            for card in CARDS
        }
        tested = group[group["model"] == CARDS[0]].sort_values("cut")["n_test"]
        rows.append({"table": name, "held out": " / ".join(f"{n:.0f}" for n in tested), **cells})
    return pd.DataFrame(rows)


def pooled(group: pd.DataFrame) -> pd.Series:
    weight = group["n_test"]
    mean = {
        name: float((group[name] * weight).sum() / weight.sum())
        for name in ("coverage_50", "coverage_90", "interval_score_90", "crps", "width_90")
    }
    rmse = float(np.sqrt((group["rmsle"] ** 2 * weight).sum() / weight.sum()))
    least = float(
        group.groupby("table")[["coverage_90", "n_test"]]
        .apply(lambda g: (g["coverage_90"] * g["n_test"]).sum() / g["n_test"].sum())
        .min()
    )
    return pd.Series(
        {
            "50 % cover": f"{mean['coverage_50']:.2f}",
            "90 % cover": f"{mean['coverage_90']:.2f}",
            "worst table": f"{least:.2f}",
            "RMSE": f"{100 * rmse:.2f}",
            "interval score": f"{100 * mean['interval_score_90']:.2f}",
            "CRPS": f"{100 * mean['crps']:.2f}",
            "width": f"{100 * mean['width_90']:.2f}",
            "fits that failed": f"{int((~group['ok'].astype(bool)).sum())} of {len(group)}",
        }
    )


if __name__ == "__main__":
    main()
