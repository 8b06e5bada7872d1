"""Forecast public curves and write what the forecasts were worth to docs/forecasts.md.

    python benchmarks/forecasts.py TABLES

TABLES is a folder with the larger public tables that the page names. Each curve is fitted up to
half of its largest x (or to the split of the table) and forecast beyond.
"""

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from public_tables import Tables, markdown
from scipy import optimize

import bayescale as bs
from bayescale.forecasting.beyond import NOTHING, Beyond
from bayescale.forecasting.curves import FEWEST, Curve
from bayescale.forecasting.ends import FALL_SD, LAWS, EndsLaw
from bayescale.forecasting.posterior import Prediction, average, sample

type Array = NDArray[np.float64]

PAGE = Path(__file__).parents[1] / "docs" / "forecasts.md"
SEED = 1
STARTS = 30
LEAST_SQUARES = {
    "M1": "power-law",
    "M2": "power-law-floor",
    "M3": "power-law-plateau",
    "M4": "power-law-sigmoid",
    "BNSL": "broken-power-law-1",
}
LANGUAGE = ("tasks", "language models", "translation")
NAMES = {"bb": "tasks", "lm": "language models", "nmt": "translation"}
CANDIDATES = [
    Beyond(break_rate=rate, slope_change=change, roughness=rough)
    for rate, change, rough in itertools.product((0.1, 0.3, 1.0), (0.3, 1.0), (0.01, 0.02, 0.03))
]
AVERAGE, BEYOND, ELSEWHERE = (
    "average of the laws",
    "average, breaks and departures beyond (`bs.forecast`)",
    "the same, with rates learnt from the other kinds of curves",
)


@dataclass(frozen=True)
class Known:
    """A curve whose continuation is known."""

    kind: str
    curve: Curve
    x: Array
    y: Array


def split(kind: str, table: pd.DataFrame, x: str, seen: "pd.Series[bool] | None" = None) -> Known:
    table = table.sort_values(x, kind="stable")
    kept = table[x] <= table[x].max() / 2 if seen is None else seen.loc[table.index]
    fitted, unseen = table[kept], table[~kept]
    curve = Curve("", fitted[x].to_numpy(dtype=float), fitted["loss"].to_numpy(dtype=float))
    return Known(kind, curve, unseen[x].to_numpy(dtype=float), unseen["loss"].to_numpy(dtype=float))


def known_curves(tables: Tables) -> Iterator[Known]:
    for name, part in tables.read("revisiting_lang").groupby("run", sort=False):
        yield split(NAMES[str(name).split(":")[0]], part, "examples", part["train_split"] == 1)
    gemstones = tables.read("gemstones")
    gemstones = gemstones[(gemstones["family"] != "cooldown") & (gemstones["val_data"] == "dolma")]
    for _, part in gemstones.groupby("run", sort=False):
        yield split("gemstones", part, "tokens")
    routed = tables.read("routed_lm_curves").query("seed == 42")
    for i, (_, part) in enumerate(routed.groupby("run", sort=False)):
        if i % 6 == 0:
            yield split("routed, decaying schedule", part, "tokens")
    repeats = tables.read("datablations_runs")
    repeats = repeats[
        (repeats["family"] == "c4") & repeats["seed"].isna() & repeats["variant"].isna()
    ]
    for _, part in repeats.groupby(["params", "unique_tokens"]):
        found = split("repeated data", part.drop_duplicates("tokens"), "tokens")
        if len(found.curve.x) >= FEWEST:
            yield found
    porian = tables.read("porian_isoflop").query("view == 'standard-val'")
    groups = [
        part.drop_duplicates("tokens")
        for _, part in porian.groupby(["family", "params"])
        if part["tokens"].nunique() >= 8
    ]
    yield from (split("one size, many budgets", part, "tokens") for part in groups[::3])
    constant = tables.read("schedule_curves")
    constant = constant[constant["family"].str.startswith("constant")]
    for _, part in constant.groupby(["family", "size"], sort=False):
        part = part.sort_values("step").reset_index(drop=True)
        at = np.geomspace(part["step"].iloc[0], part["step"].iloc[-1], 50)
        kept = np.unique(np.searchsorted(part["step"], at).clip(0, len(part) - 1))
        yield split("constant schedule", part.iloc[kept], "step")


def least_squares(known: Known, law: EndsLaw, rng: np.random.Generator) -> Prediction:
    """Fit a law to log loss from many starts; the scatter of the residuals is that of forecasts."""
    curve, names = known.curve, list(law.law.parameters)
    real = np.array([law.law.parameters[name].support == "real" for name in names])
    z = rng.standard_normal((STARTS, law.shares + 1))
    fall = curve.expected_fall * np.exp(FALL_SD * z[:, -1])
    natural = law.natural(z[:, :-1], fall, curve.span)
    starts = np.column_stack([natural[name][:, 0] for name in names])
    starts[:, ~real] = np.log(np.maximum(starts[:, ~real], 1e-12))

    def log_loss(theta: Array, log_x: Array) -> Array:
        values = np.where(real, theta[:-1], np.exp(np.clip(theta[:-1], -30, 30)))
        parameters = dict(zip(names, values, strict=True))
        with np.errstate(all="ignore"):
            found = theta[-1] + np.log(law.law.formula({"x": log_x}, parameters))
        return np.nan_to_num(np.asarray(found), nan=1e3, posinf=1e3, neginf=-1e3)

    fits = [
        optimize.least_squares(
            lambda t: log_loss(t, curve.log_x) - curve.log_y,
            np.append(start, curve.ends[1]),
            method="trf",
            max_nfev=200,
        )
        for start in starts
    ]
    best = min(fits, key=lambda fit: float(fit.cost))
    free = max(len(curve.x) - len(names), 1)
    sd = max(float(np.sqrt(2.0 * best.cost / free)), 1e-6)
    mean = log_loss(best.x, curve.relative(known.x))[None, :]
    return Prediction(mean, np.full_like(mean, sd), {})


def scores(prediction: Prediction, log_y: Array) -> dict[str, float]:
    wide = Prediction(
        np.repeat(prediction.mean, 4000 // len(prediction.mean), axis=0),
        np.repeat(prediction.sd, 4000 // len(prediction.mean), axis=0),
        {},
    )
    draws = wide.draws(np.random.default_rng(SEED))
    lower, quarter, median, upper_quarter, upper = np.quantile(
        draws, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0
    )
    return {
        "RMSLE": float(np.sqrt(np.mean((log_y - median) ** 2))),
        "log score": float(prediction.log_density(log_y).mean()),
        "50 %": float(np.mean((quarter < log_y) & (log_y < upper_quarter))),
        "90 %": float(np.mean((lower < log_y) & (log_y < upper))),
    }


def judge(known: Known) -> tuple[dict[str, dict[str, float]], list[dict[str, float]], float]:
    """Return the scores of every method, those of each candidate, and the seconds of a forecast."""
    log_x, log_y = known.curve.relative(known.x), np.log(known.y)

    def averaged(found: Sequence, beyond: Beyond) -> Prediction:
        return average(found, log_x, beyond, np.random.default_rng(SEED))

    start = time.perf_counter()
    posteriors = [sample(known.curve, law, SEED) for law in LAWS.values()]
    forecast = averaged(posteriors, Beyond())
    seconds = time.perf_counter() - start
    found = {
        f"least squares, {name}": scores(
            least_squares(known, LAWS[law], np.random.default_rng(SEED)), log_y
        )
        for name, law in LEAST_SQUARES.items()
    }
    for posterior in posteriors:
        name = f"`{posterior.law.law.name}`"
        found[name] = scores(averaged([posterior], NOTHING), log_y)
    found[AVERAGE] = scores(averaged(posteriors, NOTHING), log_y)
    found[BEYOND] = scores(forecast, log_y)
    return found, [scores(averaged(posteriors, one), log_y) for one in CANDIDATES], seconds


def learnt_elsewhere(kinds: Sequence[str], tried: Sequence[list[dict[str, float]]]) -> list[int]:
    """Return, for each curve, the candidate of the best mean log score over the other kinds."""
    table = pd.DataFrame([[one["log score"] for one in row] for row in tried])
    by_kind = table.groupby(pd.Series(kinds)).mean()
    return [int(by_kind.drop(index=kind).mean().to_numpy().argmax()) for kind in kinds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    curves = list(known_curves(Tables(options.tables)))
    with ProcessPoolExecutor(options.workers) as pool:
        judged = list(pool.map(judge, curves, chunksize=2))
    kinds = [known.kind for known in curves]
    chosen = learnt_elsewhere(kinds, [tried for _, tried, _ in judged])
    rows = [
        {"kind": kind, "method": method, **values}
        for kind, (found, tried, _), best in zip(kinds, judged, chosen, strict=True)
        for method, values in {**found, ELSEWHERE: tried[best]}.items()
    ]
    PAGE.write_text(page(pd.DataFrame(rows), kinds, chosen, [s for *_, s in judged]))
    print(f"Wrote {PAGE}.")


def summary(table: pd.DataFrame) -> pd.DataFrame:
    means = table.groupby(["kind", "method"], sort=False).mean().groupby("method", sort=False)
    return means.mean()


def text(table: pd.DataFrame) -> pd.DataFrame:
    digits = {"RMSLE": "{:.4f}", "log score": "{:.2f}", "50 %": "{:.2f}", "90 %": "{:.2f}"}
    shown = table[list(digits)].copy().astype(object)
    for column, form in digits.items():
        shown[column] = [form.format(value) for value in table[column]]
    return shown.reset_index()


def page(
    rows: pd.DataFrame, kinds: Sequence[str], chosen: Sequence[int], seconds: Sequence[float]
) -> str:
    language = rows[rows["kind"].isin(LANGUAGE)]
    of_language = language.drop(columns="kind").groupby("method", sort=False).mean()
    overall = summary(rows)
    laws = [f"`{name}`" for name in LAWS]
    best = overall.loc[laws, "log score"].idxmax()
    ahead = overall.loc[ELSEWHERE, "log score"] - overall.loc[best, "log score"]
    shown = rows[rows["method"].isin([AVERAGE, BEYOND, ELSEWHERE, "least squares, BNSL", best])]
    by_kind = shown.groupby(["kind", "method"], sort=False)[["RMSLE", "log score", "50 %", "90 %"]]
    picked = {kind: CANDIDATES[i] for kind, i in zip(kinds, chosen, strict=True)}
    learnt = pd.DataFrame(
        {
            "kind left out": list(picked),
            "curves": [kinds.count(kind) for kind in picked],
            "breaks an e-fold": [one.break_rate for one in picked.values()],
            "change of slope": [one.slope_change for one in picked.values()],
            "roughness": [one.roughness for one in picked.values()],
        }
    )
    return f"""# Forecasts of public curves

Made by `make forecasts TABLES=folder` (bayescale {bs.__version__}, seed {SEED}); do not edit.

{len(kinds)} curves of {len(set(kinds))} kinds are fitted up to half of their largest x and \
forecast beyond; the 20 language curves (Alabdulmohsin et al. 2022, `revisiting_lang`) by their \
own split. RMSLE is the root mean squared error of the log of the median; the log score is the \
mean log density of the log loss, larger is better; 50 % and 90 % are the shares of points inside \
the intervals of that probability. All are means over the points of a curve, then over curves. \
Least squares is on log loss from {STARTS} starts, with the scatter of its residuals as the \
forecast's. A forecast of one curve takes {np.median(seconds):.1f} s (median), \
{np.max(seconds):.1f} s at most, on one core.

## All kinds

Mean over the {len(set(kinds))} kinds of curves, each with the same weight. With the rates learnt \
from the other kinds, the average scores {ahead:+.2f} beside {best}, the best single law.

{markdown(text(overall))}

## Language curves

{markdown(text(of_language))}

## By kind

{markdown(text(by_kind.mean()))}

The routed curves end in a decay of the learning rate that nothing in their first half shows. \
Models on repeated data over-fit: their loss rises, and every law of the average falls; least \
squares of BNSL may rise, and follows the curves that have begun to. Where it goes through all \
points, its scatter is taken as 1e-6, hence its log scores.

## What was learnt

For each kind, the rate of breaks, their size and the roughness with the best mean log score over \
the other kinds, among {len(CANDIDATES)} combinations. The defaults of `bs.forecast`, \
{Beyond().break_rate:g}, {Beyond().slope_change:g} and {Beyond().roughness:g}, were chosen with \
all kinds in view: among combinations of about the same log score, one whose intervals cover \
better. Its row is therefore optimistic, and the row with rates learnt from the other kinds is not.

{markdown(learnt.astype(str))}
"""


if __name__ == "__main__":
    main()
