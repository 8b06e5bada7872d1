"""Replay public sweeps budget by budget, with a forecast record of each budget before its runs.

    make forecast-records TABLES=folder

Once a few budgets of a sweep are finished, all runs so far are fitted and predictions of the runs
of the next budget are preregistered in a file; then that budget joins the fitted runs, and so on.
At the end the files are scored against the whole sweep. Writes docs/forecast-records.md.
"""

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayescale as bs
from bayescale.errors import BayescaleWarning
from bayescale.units import format_compute
from benchmarks.public_tables import Tables, markdown

PAGE = Path(__file__).parents[1] / "docs" / "forecast-records.md"
CARDS = ("coupled-discrepancy", "chinchilla")
SEED, DRAWS = 1, 500
FEWEST_BUDGETS, FEWEST_RUNS = 3, 20
"""Budgets and runs that are finished before the first forecast."""


type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sweep:
    """A finished sweep, with the budget of each run."""

    runs: bs.Runs
    budgets: Array

    def stages(self) -> Iterator[tuple[float, bs.Runs, bs.Runs]]:
        """Yield each further budget, the runs of all smaller budgets, and its own runs."""
        for place, budget in enumerate(np.unique(self.budgets)):
            seen = self.budgets < budget
            if place >= FEWEST_BUDGETS and seen.sum() >= FEWEST_RUNS:
                yield float(budget), self.runs.where(seen), self.runs.where(self.budgets == budget)


def sweeps(tables: Tables) -> dict[str, Sweep]:
    chinchilla = bs.load_runs("chinchilla")
    porian, marin = tables.porian("rw-tuned-short-const"), tables.marin("marin-nemotron")
    return {
        "Chinchilla": Sweep(chinchilla, half_decades(chinchilla.compute)),
        "Porian": Sweep(porian, three_digits(porian.compute)),
        "Marin": Sweep(marin, three_digits(marin.compute)),
    }


def half_decades(compute: Array) -> Array:
    return three_digits(10.0 ** (np.floor(2.0 * np.log10(compute)) / 2.0))


def three_digits(compute: Array) -> Array:
    return np.array([float(f"{x:.3g}") for x in compute])


def replay(card: str, sweep: Sweep, folder: Path) -> bs.ForecastScores:
    """Return the scores of forecasts of each budget from the smaller ones."""
    files = []
    for budget, seen, following in sweep.stages():
        fit = bs.fit(seen, card, seed=SEED, draws=DRAWS, progress=False)
        table = following.table.set_index("run")[["n_params", "n_tokens"]]
        files.append(folder / f"{format_compute(budget)} after {len(seen)} runs.json")
        bs.preregister(fit, table.to_dict("index"), files[-1])
    return bs.score_forecasts(files, sweep.runs)


def row_of(scores: "pd.Series[float]") -> dict[str, str]:
    def share(name: str) -> str:
        error = scores[f"{name}_se"]
        text = f"{100 * scores[name]:.0f} %"
        return f"{text} ± {100 * error:.0f}" if np.isfinite(error) else text

    return {
        "forecasts": str(int(scores["n_test"])),
        "in 50 %": share("coverage_50"),
        "in 90 %": share("coverage_90"),
        "bias": f"{100 * scores['bias']:+.2f} %",
        "error (RMS)": f"{100 * scores['rmsle']:.2f} %",
        "90 % interval": f"{100 * scores['width_90']:.2f} %",
        "CRPS": f"{100 * scores['crps']:.3f} %",
    }


def page(found: dict[tuple[str, str], bs.ForecastScores]) -> str:
    """Return the page of replays by sweep and card."""
    totals, parts = [], []
    for (sweep, card), scores in found.items():
        history = scores.history()
        totals.append({"sweep": sweep, "card": f"`{card}`", **row_of(history.loc["all"])})
        rows = []
        for name, row in history.drop(index="all").iterrows():
            budget, runs = Path(str(name)).stem.split(" after ")
            passed = bool(scores.table().loc[str(name), "passed"].all())
            checks = "passed" if passed else "failed"
            rows.append({"next budget": budget, "fitted": runs, "checks": checks, **row_of(row)})
        parts += ["", f"## {sweep}, `{card}`", "", markdown(pd.DataFrame(rows))]
    files = sum(len(scores.history()) - 1 for scores in found.values())
    return "\n".join(
        [
            "# Forecast records of three sweeps",
            "",
            f"Made by `make forecast-records TABLES=folder` (bayescale {bs.__version__}, seed "
            f"{SEED}, {DRAWS} draws a chain); do not edit.",
            "",
            "Three public sweeps are replayed in the order of their budgets: the shipped "
            "`chinchilla` (digitised from a figure, in half decades of compute), `porian_isoflop` "
            "(RefinedWeb, tuned, constant learning rate) and `marin_isoflop` (Nemotron). From "
            f"{FEWEST_BUDGETS} budgets and {FEWEST_RUNS} runs on, all runs so far are fitted and "
            "predictions of the runs of the next budget are preregistered "
            "([how](how-to/keep-forecasts.md)); then those runs join the fit. "
            f"{files} files of forecasts are scored at the end. The priors of the default card "
            "were learnt from these sweeps among others; [calibration](calibration.md) leaves out "
            "the source that is predicted.",
            "",
            "The bias is the mean log of observed over predicted median, the error its root mean "
            "square, and the CRPS the continuous ranked probability score, all of the log loss; "
            "lower is better. ± is the standard error over files, taken as independent. It is too "
            "small, because the posteriors of a growing sweep share errors.",
            "",
            "## All budgets",
            "",
            markdown(pd.DataFrame(totals)),
            *parts,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    options = parser.parse_args()
    found = {}
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", BayescaleWarning)  # The page states which checks failed.
        for name, sweep in sweeps(Tables(options.tables)).items():
            for card in CARDS:
                place = Path(folder) / f"{name}, {card}"
                place.mkdir()
                found[name, card] = replay(card, sweep, place)
                print(name, card, found[name, card], sep="\n", flush=True)
    PAGE.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
