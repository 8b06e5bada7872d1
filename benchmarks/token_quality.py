"""Estimate the quality of tokens of each training corpus, and score it on larger runs.

    make token-quality

The runs of the shipped table `overtraining` are of three training corpora and one validation set.
Cards in which different parts of the law vary between corpora are fitted to the smaller runs and
predict the larger ones. Writes docs/token-quality.md.
"""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale.errors import BayescaleWarning
from benchmarks.public_tables import markdown

PAGE = Path(__file__).parents[1] / "docs" / "token-quality.md"
CARDS = {
    "chinchilla": "nothing",
    "chinchilla-quality": "token quality",
    "chinchilla-corpora": "the floor",
    "chinchilla-recipes": "terms and exponents",
}
KEPT = "n_params > 5e7 and n_tokens > 1e9"
SEED, DRAWS, PROB = 1, 250, 0.9
BASELINE, LARGEST = "c4", 0.3
"""The corpus whose tokens have quality one, and the share of runs held out as the largest."""


def main() -> None:
    runs = bs.load_runs("overtraining").where(KEPT)
    compute = runs.n_params * runs.n_tokens
    out = compute > np.quantile(compute, 1.0 - LARGEST)
    fitted, held_out = runs.where(~out, "fitted"), runs.where(out, "held out")
    rows, qualities = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)  # The page states which checks failed.
        for card, differs in CARDS.items():
            fit = bs.fit(fitted, card, seed=SEED, draws=DRAWS, progress=False)
            score = bs.score(fit, held_out)
            failed = [check.name for check in fit.diagnostics.checks if check.failed]
            rows.append(
                {
                    "card": f"`{card}`",
                    "varies between corpora": differs,
                    "RMSE of log loss": f"{100 * score.rmsle:.1f} %",
                    "log density per run": f"{score.elpd / out.sum():.2f}",
                    f"{100 * PROB:.0f} % coverage": f"{100 * score.coverage(PROB):.0f} %",
                    "failed checks": ", ".join(failed) or "none",
                }
            )
            print(rows[-1], flush=True)
            if card == "chinchilla-quality":
                every = bs.fit(runs, card, seed=SEED, draws=DRAWS, progress=False)
                qualities = [table_of("smaller runs", fit), table_of("all runs", every)]
                print(qualities, flush=True)
    PAGE.write_text(page(len(runs), int(out.sum()), rows, qualities), encoding="utf-8")


def table_of(which: str, fit: bs.Fit) -> dict[str, str]:
    """Return a row with the token qualities of one fit."""
    found = bs.token_quality(fit, baseline=BASELINE)
    return {
        "fitted to": which,
        **{
            str(name): f"{row['quality']:.2f} [{row['quality_lower']:.2f}, "
            f"{row['quality_upper']:.2f}]"
            for name, row in found.table(PROB).iterrows()
        },
    }


def page(count: int, out: int, rows: list[dict[str, str]], qualities: list[dict[str, str]]) -> str:
    """Return the page."""
    return "\n".join(
        [
            "# Token quality",
            "",
            f"Made by `make token-quality` (bayescale {bs.__version__}, seed {SEED}, {DRAWS} draws "
            "a chain); do not edit.",
            "",
            f"The {count} runs of the shipped table `overtraining` with {KEPT} were trained on C4, "
            f"RedPajama or RefinedWeb, and validated on C4. The {out} largest by compute are held "
            "out, and predicted by cards in which different parts of the law vary between corpora:",
            "",
            markdown(pd.DataFrame(rows)),
            "",
            f"Token quality, the number of tokens of {BASELINE} that one token of a corpus "
            f"replaces, with {100 * PROB:.0f} % intervals:",
            "",
            markdown(pd.DataFrame(qualities)),
            "",
            "Qualities that change with the range of the runs suggest that the floors differ too: "
            "more tokens of a corpus do not remove a difference in floor on this validation set.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
