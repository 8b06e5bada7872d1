"""Predict losses on other text from the validation loss, for the best models of public tables.

    make loss-to-loss TABLES=folder

The models with the highest losses are fitted and those with the lowest predicted. Writes
docs/loss-to-loss.md.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale.errors import BayescaleWarning
from benchmarks.public_tables import markdown

PAGE = Path(__file__).parents[1] / "docs" / "loss-to-loss.md"
SEED, DRAWS, PROB = 1, 250, 0.9
HELD_OUT = 0.3
"""Share of the models that is held out, those with the lowest losses."""

type Pairs = dict[str, tuple[pd.DataFrame, str]]


def pairs(tables: Path) -> Pairs:
    """Return tables of two losses of each model, and the names of the two texts."""
    found: Pairs = {}
    shipped = bs.load_runs("overtraining").table
    for corpus, part in shipped.groupby("family"):
        found[f"overtraining, {corpus}"] = (part[["loss", "loss_openlm"]], "C4 to OpenLM")
    routed = pd.read_csv(tables / "routed_lm_curves.csv")
    routed = routed[(routed["final"] == 1) & (routed["flop_increase"] == 1)]
    for text in ("c4", "wikitext103", "curation_corpus", "lambada"):
        found[f"routed, {text}"] = (routed[["loss", f"loss_{text}"]], f"MassiveText to {text}")
    gemstones = pd.read_csv(tables / "gemstones.csv").query("family == 'hot'")
    wide = gemstones.pivot_table(index=["run", "tokens"], columns="val_data", values="loss")
    last = wide.dropna().groupby("run").tail(1)
    for text in ("fineweb_edu", "dclm"):
        found[f"gemstones, {text}"] = (last[["dolma", text]], f"Dolma to {text}")
    return found


def scored(name: str, table: pd.DataFrame, texts: str) -> dict[str, str]:
    """Return a row of the page: the best models of one table, predicted from the others."""
    table = table.dropna().drop_duplicates().reset_index(drop=True)
    table.columns = pd.Index(["loss", "target_loss"])
    runs = bs.load_runs(table, needs=["loss"], response="target_loss")
    loss, target = runs.column("loss"), runs.column("target_loss")
    out = loss <= np.quantile(loss, HELD_OUT)
    fit = bs.fit(
        runs.where(~out, "fitted"), "loss-from-loss", seed=SEED, draws=DRAWS, progress=False
    )
    score = bs.score(fit, runs.where(out, "held out"))
    line = np.polyfit(np.log(loss[~out]), np.log(target[~out]), 1)
    missed = np.log(target[out]) - np.polyval(line, np.log(loss[out]))
    kappa = fit.summary().loc["kappa"]
    row = {
        "models": name,
        "losses": texts,
        "held out": f"{out.sum()} of {len(runs)}",
        "kappa": f"{kappa['median']:.2f} [{kappa['lower']:.2f}, {kappa['upper']:.2f}]",
        "RMSE": f"{100 * score.rmsle:.1f} %",
        "RMSE of a power law": f"{100 * np.sqrt(np.mean(missed**2)):.1f} %",
        f"{100 * PROB:.0f} % coverage": f"{100 * score.coverage(PROB):.0f} %",
        "failed checks": ", ".join(c.name for c in fit.diagnostics.checks if c.failed) or "none",
    }
    print(row, flush=True)
    return row


def page(rows: list[dict[str, str]]) -> str:
    """Return the page."""
    return "\n".join(
        [
            "# From one loss to another",
            "",
            f"Made by `make loss-to-loss TABLES=folder` (bayescale {bs.__version__}, seed {SEED}, "
            f"{DRAWS} draws a chain); do not edit.",
            "",
            f"Each model has two losses: `loss-from-loss` is fitted to the models with the highest "
            f"losses and predicts the second loss of the {100 * HELD_OUT:.0f} % of each table with "
            "the lowest first loss. It is compared with a power law without floors, by least "
            "squares. The tables are `overtraining` (Gadre et al. 2024, trained on each of three "
            "corpora), the dense and routed models of Clark et al. 2022 at the end of training, "
            "and the last checkpoints of Gemstones (McLeish et al. 2025).",
            "",
            markdown(pd.DataFrame(rows)),
            "",
            "Losses of one table lie within a factor of two, so the floors are hardly identified "
            "and keep their priors. Models that share a size or a router have correlated errors, "
            "which the card does not model: where the scatter is a tenth of a per cent, intervals "
            "are too narrow. The prior of kappa was narrowed after these errors were seen, so "
            "scores on other tables are likely to be somewhat worse.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    tables = parser.parse_args().tables
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)  # The page states which checks failed.
        rows = [scored(name, *pair) for name, pair in pairs(tables).items()]
    PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
