"""Predict larger runs on repeated data by laws with and without over-fitting.

    make repetition TABLES=folder

The runs of Muennighoff et al. 2023 (`datablations_runs`) are fitted up to a cut in compute, and up
to a cut in epochs, and predict the others. Writes docs/repetition.md.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale.errors import BayescaleWarning
from benchmarks.public_tables import Tables, markdown

PAGE = Path(__file__).parents[1] / "docs" / "repetition.md"
CARDS = ("chinchilla", "data-constrained", "over-fitting")
SEED, DRAWS, PROB = 1, 300, 0.9
LARGEST, EPOCHS = 0.25, 16.0
"""Share of the runs that are held out as the largest, and epochs above which runs are held out."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    runs = Tables(parser.parse_args().tables).datablations("epochs > 0")
    compute = runs.n_params * runs.n_tokens
    held_out = {
        "largest quarter by compute": compute > np.quantile(compute, 1.0 - LARGEST),
        f"over {EPOCHS:g} epochs": runs.column("epochs") > EPOCHS,
    }
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)  # The page states which checks failed.
        for name, out in held_out.items():
            for card in CARDS:
                fitted = runs.where(~out, "fitted")
                fit = bs.fit(fitted, card, seed=SEED, draws=DRAWS, progress=False)
                score = bs.score(fit, runs.where(out, "held out"))
                failed = [check.name for check in fit.diagnostics.checks if check.failed]
                rows.append(
                    {
                        "held out": f"{name} ({out.sum()} of {len(runs)})",
                        "card": f"`{card}`",
                        "RMSE of log loss": f"{100 * score.rmsle:.1f} %",
                        "log density per run": f"{score.elpd / out.sum():.2f}",
                        f"{100 * PROB:.0f} % coverage": f"{100 * score.coverage(PROB):.0f} %",
                        "failed checks": ", ".join(failed) or "none",
                    }
                )
                print(rows[-1], flush=True)
    PAGE.write_text(page(rows), encoding="utf-8")


def page(rows: list[dict[str, str]]) -> str:
    """Return the page."""
    return "\n".join(
        [
            "# Repeated data",
            "",
            f"Made by `make repetition TABLES=folder` (bayescale {bs.__version__}, seed {SEED}, "
            f"{DRAWS} draws a chain); do not edit.",
            "",
            "The runs on C4 of Muennighoff et al. 2023 (arXiv:2305.16264, Apache-2.0) repeat their "
            "unique tokens many times, and models over-fit small sets of them. Each card predicts "
            "the held-out runs from a fit to the others. `chinchilla` treats repeated tokens as "
            "new ones.",
            "",
            markdown(pd.DataFrame(rows)),
            "",
        ]
    )


if __name__ == "__main__":
    main()
