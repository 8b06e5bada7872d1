"""Predict larger and sparser mixtures of experts by a law of active and one of all parameters.

    make experts TABLES=folder

Checkpoints of dense and S-Base models of Clark et al. 2022 (`routed_lm_curves`) are fitted up to a
size, and up to a number of experts, and predict the others. Writes docs/mixture-of-experts.md.
"""

import argparse
import warnings
from pathlib import Path

import pandas as pd

import bayescale as bs
from bayescale.errors import BayescaleWarning
from bayescale.units import format_number
from benchmarks.public_tables import Tables, markdown

PAGE = Path(__file__).parents[1] / "docs" / "mixture-of-experts.md"
ROUTERS = ("dense", "s-base")
STEPS = (20_000, 50_000, 100_000, 150_000, 200_000, 250_000)
CARDS = {"mixture-of-experts": "active", "moe-sparsity": "all"}
HELD_OUT = {
    "over 300M active parameters": "active > 3e8",
    "over 64 experts": "n_experts > 64",
}
SEED, DRAWS, PROB = 1, 500, 0.9
PAPER = "abnar2025"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    tables = Tables(parser.parse_args().tables)
    steps = f"n_steps in {list(STEPS)}"
    sparse = tables.sparse(*ROUTERS).where(steps)
    runs = {"active": tables.routed(*ROUTERS).where(steps), "all": sparse}
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)  # The page states which checks failed.
        for name, condition in HELD_OUT.items():
            out = sparse.mask(condition)
            for card, counted in CARDS.items():
                fit = fitted(card, runs[counted].where(~out, "fitted"))
                score = bs.score(fit, runs[counted].where(out, "held out"))
                found = score.summary()
                rows.append(
                    {
                        "held out": f"{name} ({out.sum()} of {len(out)})",
                        "card": f"`{card}`",
                        "RMSE of log loss": f"{100 * score.rmsle:.1f} %",
                        "bias": f"{100 * found['bias']:+.1f} %",
                        f"{100 * PROB:.0f} % coverage": f"{100 * score.coverage(PROB):.0f} %",
                        "interval score": f"{found['interval_score_90']:.3f}",
                        "log density per run": f"{score.elpd / out.sum():.2f}",
                        "failed checks": failed(fit),
                    }
                )
                print(rows[-1], flush=True)
        everything = fitted("moe-sparsity", sparse)
    PAGE.write_text(page(len(sparse), rows, everything), encoding="utf-8")


def fitted(card: str, runs: bs.Runs) -> bs.Fit:
    return bs.fit(runs, card, seed=SEED, draws=DRAWS, progress=False)


def failed(fit: bs.Fit) -> str:
    return ", ".join(check.name for check in fit.diagnostics.checks if check.failed) or "none"


def parameters(fit: bs.Fit) -> str:
    """Return the table of parameters of a fit to all checkpoints, beside those of the paper."""
    summary, paper = fit.summary(PROB), bs.published(PAPER)
    rows = [
        {
            "parameter": f"`{name}`",
            "meaning": fit.model.law.parameters[name].meaning,
            "all checkpoints": " ".join(
                f"{before}{format_number(float(summary.loc[name, column]))}{after}"
                for column, before, after in (
                    ("median", "", ""),
                    ("lower", "[", ","),
                    ("upper", "", "]"),
                )
            ),
            f"`{PAPER}`": format_number(value),
        }
        for name, value in paper.parameters.items()
    ]
    return markdown(pd.DataFrame(rows))


def page(count: int, rows: list[dict[str, str]], everything: bs.Fit) -> str:
    """Return the page."""
    version = bs.__version__.split("+")[0]
    return "\n".join(
        [
            "# Mixtures of experts",
            "",
            f"Made by `make experts TABLES=folder` (bayescale {version}, seed {SEED}, {DRAWS} "
            "draws a chain); do not edit.",
            "",
            f"The {count} checkpoints are of the dense and S-Base models of Clark et al. 2022 "
            f"(`routed_lm_curves`, at {', '.join(f'{n // 1000}K' for n in STEPS)} steps), of six "
            "sizes and 1 to 512 experts, one of which is active. `mixture-of-experts` is a law of "
            "active parameters and the number of experts, and `moe-sparsity` one of all parameters "
            "and the share of active experts. Some are held out and predicted from the others:",
            "",
            markdown(pd.DataFrame(rows)),
            "",
            "RMSE is that of the posterior median, bias the mean log of observed over predicted "
            "loss, and the interval score the width of the interval plus twenty times the distance "
            "of runs from it, in logs: smaller is better.",
            "",
            f"Parameters of `moe-sparsity` fitted to all checkpoints, with {100 * PROB:.0f} % "
            f"intervals, beside those of Abnar et al. 2025 for other data (failed checks: "
            f"{failed(everything)}):",
            "",
            parameters(everything),
            "",
            "The checkpoints of a run are fitted as independent, and its learning rate has not "
            "decayed at most of them, so that intervals are too narrow.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
