"""Forecast public curves and write their scores to docs/forecasts.md.

    python -m benchmarks.forecasts TABLES [--most 10]

TABLES is a folder with the larger public tables that the page names. Each curve is fitted up to
half of its largest x (or to the split of the table) and forecast beyond. Results are stored in a
file, from which an interrupted study resumes.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayescale as bs
from bayescale.forecasting.beyond import NOTHING, Beyond
from bayescale.forecasting.curves import FEWEST, Curve
from bayescale.forecasting.ends import FALL_SD, LAWS, SIGNED, EndsLaw
from bayescale.forecasting.posterior import CurvePosterior, Prediction, average, sample
from benchmarks.public_tables import Tables, markdown
from benchmarks.resumable import map_stored

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
    Beyond(break_rate=rate, slope_change=change)
    for rate, change in itertools.product((0.1, 0.2, 0.3, 0.5), (0.5, 1.0, 2.0))
]
MONOTONE, AVERAGE, TEMPERED, DISCREPANT, WITH_BREAKS, LEARNT_ELSEWHERE = (
    "average of the monotone laws",
    "average of the laws",
    "average with discrepancy, square root of the evidence",
    "average with discrepancy",
    "average with discrepancy and future breaks (`bs.forecast`)",
    "the same, with break rates learnt from the other kinds of curves",
)


@dataclass(frozen=True)
class Known:
    """A curve split into fitted points and the held-out points beyond them."""

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


def thinned(curves: Mapping[str, Known], most: int) -> dict[str, Known]:
    """Return at most `most` curves of each kind, evenly spaced in the order of the table."""
    kept: dict[str, Known] = {}
    for kind in dict.fromkeys(known.kind for known in curves.values()):
        of_kind = [name for name, known in curves.items() if known.kind == kind]
        places = np.linspace(0, len(of_kind) - 1, min(most, len(of_kind))).round().astype(int)
        kept |= {of_kind[i]: curves[of_kind[i]] for i in places}
    return kept


def least_squares(known: Known, law: EndsLaw, rng: np.random.Generator) -> Prediction:
    """Fit a law to log loss from many starts; its forecasts scatter as its residuals do."""
    curve, names = known.curve, list(law.law.parameters)
    real = np.array([law.law.parameters[name].support == "real" for name in names])
    z = rng.standard_normal((STARTS, law.shares + 1))
    fall = curve.expected_fall * np.exp(FALL_SD * z[:, -1])
    natural = law.natural(z[:, :-1], fall, curve.span)
    starts = np.column_stack([natural[name][:, 0] for name in names])
    starts[:, ~real] = np.log(np.maximum(starts[:, ~real], 1e-12))

    def log_loss(theta: Array, log_x: Array) -> Array:
        values = np.where(real, theta[:, :-1], np.exp(np.clip(theta[:, :-1], -30, 30)))
        parameters = {name: values[:, [i]] for i, name in enumerate(names)}
        with np.errstate(all="ignore"):
            found = theta[:, -1:] + np.log(law.law.formula({"x": log_x[None, :]}, parameters))
        return np.nan_to_num(np.asarray(found), nan=1e3, posinf=1e3, neginf=-1e3)

    theta = np.column_stack([starts, np.full(STARTS, curve.ends[1])])
    theta, cost = levenberg_marquardt(lambda t: log_loss(t, curve.log_x) - curve.log_y, theta)
    best = theta[[int(cost.argmin())]]
    free = max(len(curve.x) - len(names), 1)
    sd = max(float(np.sqrt(cost.min() / free)), 1e-6)
    mean = log_loss(best, curve.relative(known.x))
    return Prediction(mean, np.full_like(mean, sd), {})


def levenberg_marquardt(
    residuals: Callable[[Array], Array], theta: Array, iterations: int = 400
) -> tuple[Array, Array]:
    """Minimise from many starts at once; return the minima and their sums of squares."""
    size, step = theta.shape[1], 1e-6
    damping, found = np.full(len(theta), 1e-2), residuals(theta)
    cost = (found**2).sum(axis=1)
    for _ in range(iterations):
        moved = (theta[:, None, :] + step * np.eye(size)).reshape(-1, size)
        slope = (residuals(moved).reshape(len(theta), size, -1) - found[:, None, :]) / step
        normal = slope @ slope.transpose(0, 2, 1)
        scale = np.einsum("sii->si", normal) + 1e-12
        normal = normal + (damping[:, None] * scale)[:, None, :] * np.eye(size)
        change = np.linalg.solve(normal, slope @ found[:, :, None])[:, :, 0]
        proposed = theta - change
        there = residuals(proposed)
        better = (there**2).sum(axis=1) < cost
        theta = np.where(better[:, None], proposed, theta)
        found = np.where(better[:, None], there, found)
        cost = (found**2).sum(axis=1)
        damping = np.clip(np.where(better, damping / 3, damping * 4), 1e-9, 1e9)
    return theta, cost


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
    """Return the scores of each method and of each candidate, and the seconds of a forecast."""
    log_x, log_y = known.curve.relative(known.x), np.log(known.y)

    def averaged(found: Sequence[CurvePosterior]) -> Prediction:
        return average(found, log_x, NOTHING, np.random.default_rng(SEED))

    def broken(prediction: Prediction, beyond: Beyond) -> Prediction:
        curve, rng = known.curve, np.random.default_rng(SEED)
        draws = len(prediction.mean)
        moved = beyond.breaks(log_x, curve.expected_fall, curve.span, draws, rng)
        return replace(prediction, mean=prediction.mean + moved)

    start = time.process_time()
    posteriors = [sample(known.curve, law, SEED) for law in LAWS.values()]
    discrepant = averaged(posteriors)
    forecast = broken(discrepant, Beyond())
    seconds = time.process_time() - start
    plain = [sample(known.curve, law, SEED, roughness=0.0) for law in LAWS.values()]
    found = {
        f"least squares, {name}": least_squares(known, LAWS[law], np.random.default_rng(SEED))
        for name, law in LEAST_SQUARES.items()
    }
    found |= {f"`{one.law.name}`": averaged([one]) for one in plain}
    found[MONOTONE] = averaged([one for one in plain if one.law.name not in SIGNED])
    found[AVERAGE] = averaged(plain)
    found[TEMPERED] = averaged([tempered(one) for one in posteriors])
    found[DISCREPANT] = discrepant
    found[WITH_BREAKS] = forecast
    scored = {name: scores(prediction, log_y) for name, prediction in found.items()}
    return scored, [scores(broken(discrepant, one), log_y) for one in CANDIDATES], seconds


def tempered(found: CurvePosterior) -> CurvePosterior:
    """Return the posterior with the square root of its evidence."""
    half = replace(found.tempered, log_evidence=found.tempered.log_evidence / 2)
    return replace(found, tempered=half)


def learnt_elsewhere(kinds: Sequence[str], tried: Sequence[list[dict[str, float]]]) -> list[int]:
    """Return, for each curve, the candidate with the best mean log score over the other kinds."""
    table = pd.DataFrame([[one["log score"] for one in row] for row in tried])
    by_kind = table.groupby(pd.Series(kinds)).mean()
    return [int(by_kind.drop(index=kind).mean().to_numpy().argmax()) for kind in kinds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--most", type=int, help="most curves of a kind; all unless given")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("build/forecasts.json"))
    options = parser.parse_args()
    every = {
        f"{i} {known.kind}": known for i, known in enumerate(known_curves(Tables(options.tables)))
    }
    curves = every if options.most is None else thinned(every, options.most)
    judged = list(map_stored(judge, curves, options.results, options.workers).values())
    kinds = [known.kind for known in curves.values()]
    chosen = learnt_elsewhere(kinds, [tried for _, tried, _ in judged])
    rows = [
        {"kind": kind, "method": method, **values}
        for kind, (found, tried, _), best in zip(kinds, judged, chosen, strict=True)
        for method, values in {**found, LEARNT_ELSEWHERE: tried[best]}.items()
    ]
    seconds = [one for *_, one in judged]
    shown = page(pd.DataFrame(rows), kinds, chosen, seconds, options.most)
    PAGE.write_text(shown, encoding="utf-8")
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
    rows: pd.DataFrame,
    kinds: Sequence[str],
    chosen: Sequence[int],
    seconds: Sequence[float],
    most: int | None,
) -> str:
    language = rows[rows["kind"].isin(LANGUAGE)]
    of_language = language.drop(columns="kind").groupby("method", sort=False).mean()
    overall = summary(rows)
    laws = [f"`{name}`" for name in LAWS]
    best = overall.loc[laws, "log score"].idxmax()
    ahead = overall.loc[LEARNT_ELSEWHERE, "log score"] - overall.loc[best, "log score"]
    learnt_rough, on_language = (
        float(of.loc[DISCREPANT, "log score"] - of.loc[AVERAGE, "log score"])
        for of in (overall, of_language)
    )
    tried = overall["log score"] - overall.loc[DISCREPANT, "log score"]
    compared = ["least squares, BNSL", best, AVERAGE, WITH_BREAKS, LEARNT_ELSEWHERE]
    shown = rows[rows["method"].isin(compared)]
    by_kind = shown.groupby(["kind", "method"], sort=False)[["RMSLE", "log score", "50 %", "90 %"]]
    picked = {kind: CANDIDATES[i] for kind, i in zip(kinds, chosen, strict=True)}
    learnt = pd.DataFrame(
        {
            "kind left out": list(picked),
            "curves": [kinds.count(kind) for kind in picked],
            "breaks per e-fold": [one.break_rate for one in picked.values()],
            "change of slope": [one.slope_change for one in picked.values()],
        }
    )
    command, thinning = "make forecasts TABLES=folder", ""
    if most is not None:
        command += f" MOST={most}"
        thinning = f"Of kinds with more than {most} curves, {most} are taken, evenly spaced. "
    return f"""# Forecasts of public curves

Made by `{command}` (bayescale {bs.__version__}, seed {SEED}); do not edit.

{len(kinds)} curves of {len(set(kinds))} kinds are fitted up to half of their largest x and \
forecast beyond; the language curves (Alabdulmohsin et al. 2022, `revisiting_lang`) by their \
own split. {thinning}RMSLE is the root mean squared error of the log of the median; the log \
score is the mean log density of the log loss, larger is better; 50 % and 90 % are the shares of \
points inside the intervals of that probability. All are means over the points of a curve, then \
over curves. Least squares is on log loss from {STARTS} starts; its forecasts have the standard \
deviation of its residuals. A forecast of one curve takes {np.median(seconds):.1f} s (median), \
{np.max(seconds):.1f} s at most, of CPU time.

## All kinds

Mean over the {len(set(kinds))} kinds of curves, each with the same weight. With break rates \
learnt from the other kinds, the log score of the average is {ahead:+.2f} relative to {best}, the \
best single law.

{markdown(text(overall))}

## Language curves

{markdown(text(of_language))}

## By kind

{markdown(text(by_kind.mean()))}

The routed curves end in a decay of the learning rate, of which their first half gives no sign. \
Models on repeated data over-fit: their loss rises, which monotone laws cannot describe. Where \
least squares interpolates all points, its residual scale is set to 1e-6, hence its log scores.

## What was tried

The last rows of the first table each add one part: the monotone laws, laws that may also rise, a \
discrepancy estimated from each curve, and breaks beyond the data. The single laws and the first \
two averages have no discrepancy, so that dense points count as independent. The discrepancy \
changes the log score by {learnt_rough:+.2f} over all kinds and by {on_language:+.2f} over the \
language curves. With it, weights by the square root of the evidence score {tried[TEMPERED]:+.2f} \
relative to weights by the evidence, with an RMSLE of {overall.loc[TEMPERED, "RMSLE"]:.4f} against \
{overall.loc[DISCREPANT, "RMSLE"]:.4f}; `bs.forecast` weights by the evidence.

## What was learnt

For each kind, the rate and size of breaks with the best mean log score over the other kinds, \
among {len(CANDIDATES)} combinations. The defaults of `bs.forecast`, {Beyond().break_rate:g} and \
{Beyond().slope_change:g}, were chosen on all kinds: among combinations with about the same log \
score, one with better coverage. Its row is therefore optimistic, and the row with rates learnt \
from the other kinds is not. The roughness of a curve has a prior median of \
{Beyond().roughness:g} of its fall, the same in all rows; its posterior comes from the points of \
the curve.

{markdown(learnt.astype(str))}
"""


if __name__ == "__main__":
    main()
