"""Fit every law to real runs and write the results to docs/real-data.md.

    python -m benchmarks.real_data TABLES [--laws | --curves]

TABLES is a folder with the larger public tables that the page names; shipped tables are read from
the package. Laws without a public table are listed as such.
"""

import argparse
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale.errors import BayescaleWarning
from bayescale.laws import LAWS
from benchmarks.public_tables import Tables, load, markdown

SUITS = r"fit a simpler law: ([a-z0-9-]+)"
"""Words of an error by which it recommends a law that the runs identify."""

PAGE = Path(__file__).parents[1] / "docs" / "real-data.md"
SEED = 1

CURVE_CARDS = (
    "power-law",
    "power-law-floor",
    "power-law-plateau",
    "power-law-sigmoid",
    "power-law-saturating",
    "broken-power-law-1",
    "broken-power-law-2",
    "broken-power-law-1-signed",
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A law, a table of runs, and the condition of those that are fitted; the rest is held out."""

    card: str
    data: str
    runs: Callable[["Tables"], bs.Runs]
    train: str


def chinchilla(_: Tables) -> bs.Runs:
    return bs.load_runs("chinchilla")


def over_trained(_: Tables) -> bs.Runs:
    return bs.load_runs("overtraining").where("family == 'c4'")


BELOW = "compute < 1e21"
CASES = (
    *(
        Case(card=card, data="chinchilla (ships)", runs=chinchilla, train=BELOW)
        for card in ("chinchilla", "coupled", "kaplan-nd", "kaplan-nd-floor")
    ),
    Case(
        card="chinchilla",
        data="cs336_synthetic_isoflop (exact surface)",
        runs=lambda t: load(t.read("cs336_synthetic_isoflop")),
        train=BELOW,
    ),
    *(
        Case(
            card=card,
            data="overtraining, c4 (ships)",
            runs=over_trained,
            train="compute < 1e20",
        )
        for card in ("over-training", "chinchilla")
    ),
    Case(
        card="kaplan-nd",
        data="datablations_runs, c4, one epoch",
        runs=lambda t: t.datablations("epochs == 1"),
        train="compute < 3e20",
    ),
    Case(
        card="kaplan-nd",
        data="datablations_runs, c4, best duration, D = unique tokens",
        runs=Tables.best_of_unique,
        train="n_params < 2e9",
    ),
    Case(
        card="data-constrained",
        data="datablations_runs, c4, 1e9 unique tokens or more",
        runs=lambda t: t.datablations("n_unique_tokens >= 1e9"),
        train="compute < 1e21",
    ),
    *(
        Case(
            card=card,
            data="gemstones, constant learning rate, to 350B tokens",
            runs=Tables.gemstones,
            train="n_tokens < 1.01e11",
        )
        for card in ("kaplan-ns-min", "kaplan-ns")
    ),
    *(
        Case(
            card=card,
            data="routed_lm_curves, dense",
            runs=lambda t: t.routed("dense"),
            train="n_steps <= 150000",
        )
        for card in ("kaplan-ns-min", "kaplan-ns")
    ),
    Case(
        card="mixture-of-experts",
        data="routed_lm_curves, dense and s-base",
        runs=lambda t: t.routed("dense", "s-base"),
        train="n_steps <= 150000",
    ),
    Case(
        card="learning-rate-batch",
        data="steplaw, dense, within 1 % of the best of each size and tokens",
        runs=Tables.steplaw,
        train="n_params < 1e9",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, help="folder of the larger public tables")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--laws", action="store_true", help="write only the first table")
    only.add_argument("--curves", action="store_true", help="write only the section of curves")
    options = parser.parse_args()
    tables = Tables(options.tables)
    before, after = PAGE.read_text(encoding="utf-8").split(CURVES)
    if not options.curves:
        before = page([fitted_row(case, tables) for case in CASES])
    of_curves = CURVES + after if options.laws else curves_section(*curve_scores(tables))
    PAGE.write_text(before + of_curves, encoding="utf-8")


def fitted_row(case: Case, tables: Tables) -> dict[str, str]:
    runs = case.runs(tables)
    seen = runs.where(case.train)
    unseen = runs.where(~runs.table.eval(case.train).to_numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        fit = bs.fit(seen, case.card, seed=SEED, tune=1000, progress=False)
        summary = fit.summary(prob=0.9)
    inside, beyond = bs.score(fit, seen), bs.score(fit, unseen)
    print(case.card, case.data, fit.gates.ok, beyond, flush=True)
    diagnostics = fit.gates
    parameters = [
        f"{name} {row['median']:.3g} [{row['lower']:.3g}, {row['upper']:.3g}]"
        for name, row in summary.loc[list(fit.law.parameters)].iterrows()
    ]
    status = "; ".join(diagnostics.remarks) if diagnostics.ok else diagnostics.status
    return {
        "law": f"`{case.card}`",
        "runs": f"{case.data}; `{case.train}` fitted",
        "n": f"{len(seen)} / {len(unseen)}",
        "parameters, 90 % intervals": "<br>".join(parameters),
        "R-hat": f"{diagnostics.table['r_hat'].max():.3f}",
        "ESS": f"{diagnostics.worst_ess:.0f}",
        "RMSE": f"{inside.rmsle:.4f}",
        "held-out RMSE": f"{beyond.rmsle:.4f}",
        "held-out bias": f"{beyond.summary()['bias']:+.4f}",
        "50 % / 90 % coverage": f"{beyond.coverage(0.5):.2f} / {beyond.coverage(0.9):.2f}",
        "status of the fit": status or "all gates passed",
    }


def curve_scores(tables: Tables) -> tuple[list[str], dict[str, dict[str, pd.Series]]]:
    """Return the names of the curves, and the scores of each card on their held-out part."""
    scores: dict[str, dict[str, pd.Series]] = {card: {} for card in CURVE_CARDS}
    names = []
    for name, runs in tables.curves():
        names.append(name)
        models = [replace(bs.load_model(card), inputs={"x": "examples"}) for card in CURVE_CARDS]
        table = bs.hold_out(runs, models, "train_split == 1", seed=SEED, target_accept=0.95)
        for card in CURVE_CARDS:
            scores[card][name] = table.loc[card]
        print(name, table["rmsle"].round(4).to_dict(), flush=True)
    return names, scores


CURVES = "## Curves of one variable"
"""Heading of the section of curves."""

ELSEWHERE = {"over-fitting": "repetition.md", "loss-from-loss": "loss-to-loss.md"}
ELSEWHERE["moe-sparsity"] = "mixture-of-experts.md"
ELSEWHERE |= {f"data-mixing-{k}": "data-mixtures.md" for k in (2, 3, 4, 5)}
ELSEWHERE["critical-batch"] = "how-to/choose-learning-rate-and-batch.md"
"""Laws that are scored on another page."""


def page(rows: list[dict[str, str]]) -> str:
    """Return the page up to the section of curves."""
    fitted = {row["law"].strip("`") for row in rows} | set(CURVE_CARDS)
    without = [name for name in LAWS if name not in fitted and name not in ELSEWHERE]
    parts = [
        "# Every law on real runs",
        "",
        "Made by `make real-data TABLES=folder` "
        f"(bayescale {bs.__version__.split('+')[0]}, seed {SEED}); do not edit.",
        "",
        "`make real-data TABLES=folder ONLY=laws` writes only this table.",
        "",
        "Each law is fitted to part of a public table with its shipped card, and predicts the "
        "rest. RMSE is that of the posterior median of log loss; coverage is the share of held-out "
        "runs inside the predictive interval of that probability; bias is the mean log of observed "
        "over predicted. R-hat is the highest and ESS the lowest over all reported quantities. "
        "Fits that fail their gates are reported as they are.",
        "",
        markdown(pd.DataFrame(rows)),
        "",
        "No public table is available for "
        + ", ".join(f"`{name}`" for name in without)
        + ": the tests recover their parameters from simulated runs. "
        + " ".join(f"`{name}` is scored in [{page}]({page})." for name, page in ELSEWHERE.items()),
        "",
        "",
    ]
    return "\n".join(parts)


def curves_section(names: list[str], scores: dict[str, dict[str, pd.Series]]) -> str:
    parts = [
        CURVES,
        "",
        "`make real-data TABLES=folder ONLY=curves` writes only this section.",
        "",
        "The language part of the benchmark of Alabdulmohsin et al. 2022 (`revisiting_lang`): "
        "RMSE of log loss on the extrapolation part / share of it inside the 90 % predictive "
        "interval. A star marks a fit that failed its gates. A curve with fewer points than a law "
        "with breaks needs is refused, and the error recommends a simpler law. The last row is "
        "over the curves that were fitted.",
        "",
        markdown(curve_table(names, scores)),
        "",
    ]
    return "\n".join(parts)


def curve_table(names: list[str], scores: dict[str, dict[str, pd.Series]]) -> pd.DataFrame:
    table = pd.DataFrame({"curve": names})
    for card, found in scores.items():
        table[f"`{card}`"] = [curve_cell(found[name]) for name in names]
    medians = {"curve": "median RMSE / mean coverage"}
    for card, found in scores.items():
        rmsle = np.nanmedian([found[name]["rmsle"] for name in names])
        cover = np.nanmean([found[name]["coverage_90"] for name in names])
        medians[f"`{card}`"] = f"{rmsle:.4f} / {cover:.2f}"
    return pd.concat([table, pd.DataFrame([medians])], ignore_index=True).fillna("")


def curve_cell(row: pd.Series) -> str:
    if np.isnan(row["rmsle"]):
        return f"refused: {re.findall(SUITS, str(row['status']))[0]}"
    star = "" if row["ok"] else "\\*"
    return f"{row['rmsle']:.4f} / {row['coverage_90']:.2f}{star}"


if __name__ == "__main__":
    main()
