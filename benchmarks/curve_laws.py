"""Check laws of one variable by simulation, pool them over curves, and write docs/curve-laws.md.

    python -m benchmarks.curve_laws [--simulations 100]

Simulation-based calibration of broken power laws, forecasts of simulated double descent curves, and
predictions of public curves from their first points, alone and pooled with other curves. Results
are stored in a file, from which an interrupted study resumes and the page is rendered.
"""

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale.errors import BayescaleWarning
from bayescale.laws.broken import SignedBrokenPowerLaw
from benchmarks.public_tables import markdown
from benchmarks.resumable import map_stored

PAGE = Path(__file__).parents[1] / "docs" / "curve-laws.md"
SEED = 1
PROB = 0.9

DESIGN = pd.DataFrame({"compute": np.geomspace(1e18, 1e22, 20)})
"""Twenty points over four decades."""

CALIBRATED = ("broken-power-law-1", "broken-power-law-2")

CURVES, POINTS = 24, 40
AT = np.geomspace(1e3, 1e7, POINTS)
SCATTER = 0.005
KNOWN = {"after the peak": 0.75, "before the peak": 0.45}
"""Fractions of the points, evenly spaced in ln x, that are fitted."""

FEW = 3
"""Number of fitted points of a new curve."""

DRAWS = 500
POOLED = {"power-law-floor": ("E", "x_c")}
"""Parameters that differ between curves, by card: floor and scale."""

EVERY = 3
"""Step between the curves, sorted by name, that are held out in turn: one of each size."""


def calibration(card: str, simulations: int, store: str) -> dict[str, Any]:
    """Return whether ranks of the truth are uniform, and the quantity with the lowest p-value."""
    used = time.process_time()
    found = bs.sbc(card, DESIGN, simulations, seed=SEED, store=store, progress=False)
    used = time.process_time() - used
    table = found.table()
    inside = np.abs(found.ranks - 0.5) <= PROB / 2
    return {
        "simulations": len(found.ranks),
        "uniform": bool(found.ok()),
        "least_p": float(table["p_value"].min()),
        "least_p_of": str(table["p_value"].idxmin()),
        "spread": [float(table["spread"].min()), float(table["spread"].max())],
        "inside": [float(inside.mean().min()), float(inside.mean().max())],
        "along_chain": int(found.sampler["along_chain"].sum()),
        "seconds": used / len(found.ranks),
    }


def descent(number: int, known: float) -> dict[str, float]:
    """Simulate a loss that falls, rises and falls again, and forecast it from its first points."""
    rng = np.random.default_rng([SEED, number])
    first, last = np.sort(rng.uniform([0.3, 0.55], [0.4, 0.65]))
    places = np.exp(np.log(AT[0]) + np.log(AT[-1] / AT[0]) * np.array([first, last]))
    falls, rises, again = rng.uniform([0.1, 0.05, 0.1], [0.3, 0.2, 0.3])
    widths = rng.uniform(0.1, 0.5, 2)
    truth = SignedBrokenPowerLaw(2).formula(
        {"x": np.log(AT)},
        {
            "b": 10.0,
            "c0": falls,
            "c1": -(falls + rises),
            "c2": rises + again,
            "d1": places[0],
            "d2": places[1],
            "f1": widths[0],
            "f2": widths[1],
        },
    )
    loss = truth * np.exp(SCATTER * rng.standard_normal(POINTS))
    seen = np.arange(POINTS) < known * POINTS
    curve = pd.DataFrame({"examples": AT[seen], "loss": loss[seen]})
    later = AT[~seen]
    forecast = bs.forecast(curve, to=later, seed=SEED)
    table, observed = forecast.table(PROB), np.log(loss[~seen])
    return {
        "error": float(np.sqrt(np.mean((np.log(table["median"]) - observed) ** 2))),
        "cover": float(
            np.mean((np.log(table["lower"]) < observed) & (observed < np.log(table["upper"])))
        ),
        "signed": float(forecast.weights.filter(like="signed").to_numpy().sum()),
    }


def curves() -> pd.DataFrame:
    """Return the loss against tokens of each corpus and size of `overtraining`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        table = bs.load_runs("overtraining").table.query("n_params < 1e9")
    sizes = (table["n_params"] / 1e6).round().astype(int).astype(str) + "M"
    table = table.assign(curve=table["family"] + " " + sizes)
    return table.sort_values(["curve", "n_tokens"])[["run", "curve", "n_tokens", "loss"]]


def new_curve(card: str, curve: str, pooled: bool) -> dict[str, Any]:
    """Predict the later points of a curve from its first ones, alone or pooled with the others."""
    table = curves()
    place, own = table.groupby("curve").cumcount(), table["curve"] == curve
    model = replace(bs.load_model(card), inputs={"x": "n_tokens"})
    if pooled:
        model = model.pool("curve", POOLED[card])
    kept = (place < FEW) | ~own if pooled else (place < FEW) & own
    used = time.process_time()
    fit = bs.fit(
        runs_of(table[kept]),
        model,
        seed=SEED,
        draws=DRAWS,
        cores=1,
        unidentified="warn",
        progress=False,
    )
    used = time.process_time() - used
    found = bs.score(fit.sel(curve=curve) if pooled else fit, runs_of(table[own & ~kept]))
    return {
        "error": float(found.rmsle),
        "cover": float(found.coverage(PROB)),
        "width": float(found.summary()["width_90"]),
        "gates": bool(fit.gates.ok),
        "seconds": used,
    }


def runs_of(table: pd.DataFrame) -> bs.Runs:
    return bs.load_runs(table.reset_index(drop=True), needs=("n_tokens",))


WORK = {"calibration": calibration, "descent": descent, "new curve": new_curve}


def work(task: tuple[str, tuple[Any, ...]]) -> dict[str, Any]:
    warnings.simplefilter("ignore", BayescaleWarning)
    what, arguments = task
    return WORK[what](*arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("build/curve-laws.json"))
    options = parser.parse_args()
    tasks: dict[str, tuple[str, tuple[Any, ...]]] = {}
    for known in KNOWN.values():
        for i in range(CURVES):
            tasks[f"descent {i}, {known}"] = "descent", (i, known)
    for card in CALIBRATED:
        store = str(options.results.with_suffix(f".{card}"))
        tasks[f"calibration {card}"] = "calibration", (card, options.simulations, store)
    for card in POOLED:
        for name in list(dict.fromkeys(curves()["curve"]))[::EVERY]:
            for pooled in (True, False):
                tasks[f"{card}, {name}, {pooled}"] = "new curve", (card, name, pooled)
    done = map_stored(work, tasks, options.results, options.workers)
    found = {
        what: [(tasks[name][1], result) for name, result in done.items() if tasks[name][0] == what]
        for what in WORK
    }
    PAGE.write_text(page(found), encoding="utf-8")
    print(f"Wrote {PAGE}.")


type Found = list[tuple[tuple[Any, ...], dict[str, Any]]]


def page(found: dict[str, Found]) -> str:
    return f"""# Laws of one variable

Made by `make curve-laws` (bayescale {bs.__version__}, seed {SEED}); do not edit.

## A new curve pooled with others

The dataset `overtraining` has the loss of three corpora and four sizes of a model after seven or \
eight durations each: {len(curves()["curve"].unique())} curves against tokens. One curve of each \
size in turn is fitted to its first {FEW} points, and its later points, at up to 32 times as many \
tokens, are predicted: from these {FEW} points alone, or from a fit with partial pooling over all \
curves ([how](how-to/pool-curves.md)). Error is the root mean squared error of ln loss; coverage \
is the share of points inside 90 % intervals, whose width is in ln loss. All are means over \
curves. Alone, {FEW} points are no more than the parameters, so the posterior depends strongly on \
the priors.

{markdown(pooling(found["new curve"]))}

Curves of one corpus, and of one size, are similar; the largest size is an extrapolation.

## Double descent

{CURVES} simulated losses fall, rise and fall again, with slopes, breaks and their widths drawn at \
random, and {SCATTER:.1%} scatter at {POINTS} points over four decades. `bs.forecast` is given the \
points up to a fraction of the range of ln x, and forecasts the others. Signed is the total weight \
of the laws that may rise as well as fall.

{markdown(descents(found["descent"]))}

Points before the peak hold no information that the loss will fall again.

## Simulation-based calibration

Truths are drawn from the prior of a card, losses at {len(DESIGN)} points over four decades from \
them, and each truth is ranked among the draws of the fit: ranks are uniform if model and sampler \
agree. Spread is the standard deviation of ranks relative to that of a uniform distribution, over \
all quantities; inside is the share of truths inside 90 % intervals. Where draws remain too \
autocorrelated for a rank among them, the truth is ranked along a reversible chain.

{markdown(calibrations(found["calibration"]))}
"""


def pooling(found: Found) -> pd.DataFrame:
    rows = pd.DataFrame(
        [
            {
                "card": f"`{card}`",
                "fit": f"pooled: {', '.join(POOLED[card])}" if pooled else "separate",
                **result,
            }
            for (card, _, pooled), result in found
        ]
    )
    groups = rows.groupby(["card", "fit"], sort=False)
    means = groups.mean().reset_index()
    forms = {"error": "{:.4f}", "cover": "{:.2f}", "width": "{:.3f}", "seconds": "{:.0f}"}
    shown = means.assign(**{c: [f.format(x) for x in means[c]] for c, f in forms.items()})
    shown["gates"] = [f"{x:.2f}" for x in means["gates"]]
    shown.insert(2, "new curves", groups.size().to_numpy())
    names = {"cover": "coverage", "gates": "gates passed", "seconds": "seconds per fit"}
    return shown.rename(columns=names)


def descents(found: Found) -> pd.DataFrame:
    rows = pd.DataFrame([{"known": known, **result} for (_, known), result in found])
    means = rows.groupby("known").mean()
    return pd.DataFrame(
        [
            {
                "known": f"{known:.0%} of the range, {stage}",
                "error": f"{means.loc[known, 'error']:.4f}",
                "90 % coverage": f"{means.loc[known, 'cover']:.2f}",
                "signed": f"{means.loc[known, 'signed']:.2f}",
            }
            for stage, known in KNOWN.items()
        ]
    )


def calibrations(found: Found) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "card": f"`{card}`",
                "simulations": str(row["simulations"]),
                "uniform": "yes" if row["uniform"] else "no",
                "lowest p-value": f"{row['least_p']:.4f} ({row['least_p_of']})",
                "spread of ranks": "{:.2f} to {:.2f}".format(*row["spread"]),
                "inside 90 %": "{:.2f} to {:.2f}".format(*row["inside"]),
                "ranked along a chain": str(row["along_chain"]),
                "seconds each": f"{row['seconds']:.1f}",
            }
            for (card, *_), row in found
        ]
    )


if __name__ == "__main__":
    main()
