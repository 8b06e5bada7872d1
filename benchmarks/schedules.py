"""Forecast public loss curves with one schedule left out, and write docs/schedules.md.

    python -m benchmarks.schedules TABLES

TABLES is a folder with the public table `schedule_curves`: three sizes of a model, each under nine
learning rate schedules. Each curve is forecast from the eight others of its size, before its first
step and after half of its steps. Some runs of `routed_lm_curves` are forecast from their own first
half only. Finished forecasts are stored in a file, from which an interrupted study resumes and the
page is rendered.
"""

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special

import bayescale as bs
from bayescale.schedules.curves import RunCurve
from bayescale.schedules.design import Design, matrix_of, rows_of
from bayescale.schedules.fit import fit_curves
from bayescale.schedules.laws import LAWS, ScheduleLaw
from benchmarks.public_tables import Tables, markdown
from benchmarks.resumable import map_stored

type Array = NDArray[np.float64]

PAGE = Path(__file__).parents[1] / "docs" / "schedules.md"
SEED = 1
DRAWS = 500
"""Draws of each of four chains; four times as many if the gates fail."""

POINTS = 25
"""Number of points of a left-out curve that are scored."""

PEAK, WARMUP, FINAL = 3e-4, 2_160, 3e-5
SCHEDULES = {
    "constant_24000": bs.Schedule.constant(PEAK, 24_000, warmup=WARMUP),
    "constant_72000": bs.Schedule.constant(PEAK, 72_000, warmup=WARMUP),
    "cosine_24000": bs.Schedule.cosine(PEAK, 24_000, final=FINAL, warmup=WARMUP),
    "cosine_72000": bs.Schedule.cosine(PEAK, 72_000, final=FINAL, warmup=WARMUP),
    "wsd_20000_24000": bs.Schedule.wsd(
        PEAK, 24_000, decay_from=20_000, final=FINAL, warmup=WARMUP, decay="exponential"
    ),
    "wsdld_20000_24000": bs.Schedule.wsd(
        PEAK, 24_000, decay_from=20_000, final=FINAL, warmup=WARMUP
    ),
    **{
        f"wsdcon_{i}": bs.Schedule.two_stage(
            PEAK, 16_000, second=i * 1e-5, change=8_000, warmup=WARMUP
        )
        for i in (3, 9, 18)
    },
}
"""The schedules, from the code released with the curves."""

BEFORE, HALF = "before the first step", "after half of the steps"
ONE_RUN = bs.Schedule.cosine(1.0, 250_000, final=0.1)
"""The schedule of `routed_lm_curves`, relative to its peak; its final rate is assumed a tenth."""

EVERY = 28
"""Every 28th run of that table is forecast."""

AVERAGE, WITHOUT = "average of both laws (`bs.forecast_run`)", "`bs.forecast`, without the schedule"


def curves_of(table: pd.DataFrame, size: str) -> dict[str, RunCurve]:
    found = {}
    for family, part in table[table["size"] == size].groupby("family", sort=False):
        part = part.sort_values("step")
        points = (part[name].to_numpy(dtype=float) for name in ("step", "loss"))
        found[str(family)] = RunCurve(str(family), SCHEDULES[str(family)], *points)
    return found


def least_squares(law: ScheduleLaw, curves: Sequence[RunCurve], left: RunCurve, at: Array) -> Array:
    """Return draws of ln loss from a least-squares fit with Normal residuals."""
    design, rng = Design.of(curves), np.random.default_rng(SEED)
    rows, names = rows_of(design.matrix), list(law.priors)
    start = np.array([law.priors[n].unconstrain(law.priors[n].typical) for n in names])

    def mean(theta: Array, of: Mapping[str, Array]) -> Array:
        found = {n: law.priors[n].constrain(x) for n, x in zip(names, theta, strict=True)}
        with np.errstate(all="ignore"):
            fallen = (of["drop"] * law.reached(of, found)).sum(axis=0)
            log_loss = np.log(law.loss(of["log_area"], fallen, found))
        return np.nan_to_num(np.asarray(log_loss), nan=1e3, posinf=1e3, neginf=-1e3)

    fits = [
        optimize.least_squares(
            lambda theta: mean(theta, rows) - rows["log_loss"],
            start + 0.5 * rng.standard_normal(len(start)),
        )
        for _ in range(10)
    ]
    best = min(fits, key=lambda fit: float(fit.cost))
    sd = np.sqrt(2.0 * best.cost / (len(rows["log_loss"]) - len(names)))
    there = mean(best.x, rows_of(matrix_of(left.schedule, at, design.centre)))
    return there + np.log(design.centre.loss) + sd * rng.standard_normal((4000, len(at)))


def scores(draws: Array, observed: Array) -> dict[str, float]:
    """Return the scores of draws of ln loss, draws x points, over all points and at the last."""
    lower, quarter, median, above, upper = np.quantile(draws, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    width = 1.06 * draws.std(axis=0) * len(draws) ** -0.2
    apart = (observed - draws) / width
    density = special.logsumexp(-0.5 * apart**2, axis=0) - np.log(
        len(draws) * width * np.sqrt(2.0 * np.pi)
    )
    return {
        "RMSE": float(np.sqrt(np.mean((median - observed) ** 2))),
        "log score": float(density.mean()),
        "50 %": float(np.mean((quarter < observed) & (observed < above))),
        "90 %": float(np.mean((lower < observed) & (observed < upper))),
        "final error": float(median[-1] - observed[-1]),
        "final score": float(density[-1]),
        "final 50 %": float(quarter[-1] < observed[-1] < above[-1]),
        "final 90 %": float(lower[-1] < observed[-1] < upper[-1]),
        "final rank": float((draws[:, -1] < observed[-1]).mean()),
    }


def judge(task: tuple[pd.DataFrame, str, str, str]) -> list[dict[str, object]]:
    """Forecast one schedule of one size from the others, and score every method."""
    table, size, family, stage = task
    curves = curves_of(table, size)
    left = curves.pop(family)
    half = left.schedule.steps / 2
    seen = left.step <= half if stage == HALF else np.zeros(len(left.step), dtype=bool)
    known = list(curves.values())
    if seen.any():
        known.append(replace(left, step=left.step[seen], loss=left.loss[seen]))
    places = np.unique(np.linspace(seen.sum(), len(seen) - 1, POINTS).astype(int))
    at, observed = left.step[places], np.log(left.loss[places])
    drawn: dict[str, Array] = {}
    passed = True
    for name, law in LAWS.items():
        drawn[f"least squares, {name}"] = least_squares(law, known, left, at)
        fit = fit_curves(known, law, draws=DRAWS, cores=1, seed=SEED)
        passed = passed and fit.diagnostics.ok
        drawn[f"`{name}`"] = np.log(fit.predict(left.schedule, at, family))
    drawn[AVERAGE] = np.concatenate([drawn[f"`{name}`"] for name in LAWS])
    if seen.any():
        points = np.unique(np.searchsorted(left.step[seen], np.geomspace(left.step[0], half, 40)))
        points = points[points < seen.sum()]
        start = pd.DataFrame({"step": left.step[points], "loss": left.loss[points]})
        found = bs.forecast(start, to=at, seed=SEED).draws[""]
        drawn[WITHOUT] = np.log(found[at].to_numpy())
    return [
        {"stage": stage, "size": size, "schedule": family, "method": method, "passed": passed}
        | scores(draws, observed)
        for method, draws in drawn.items()
    ]


def judge_alone(part: pd.DataFrame) -> list[dict[str, object]]:
    """Forecast the second half of a run from its first half, with and without its schedule."""
    curve = part[["steps", "loss"]].rename(columns={"steps": "step"}).sort_values("step")
    seen = curve["step"] <= ONE_RUN.steps / 2
    at, observed = (curve.loc[~seen, name].to_numpy(dtype=float) for name in ("step", "loss"))
    found = bs.forecast_run(curve[seen], ONE_RUN, to=at, draws=DRAWS, cores=1, seed=SEED)
    without = bs.forecast(curve[seen], to=at, seed=SEED).draws[""]
    return [
        {"method": method, "passed": found.ok}
        | scores(np.log(draws[at].to_numpy()), np.log(observed))
        for method, draws in ((AVERAGE, found.draws), (WITHOUT, without))
    ]


type Task = tuple[Callable[[Any], list[dict[str, object]]], object]


def work(task: Task) -> list[dict[str, object]]:
    of, argument = task
    return of(argument)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("build/schedules.json"))
    options = parser.parse_args()
    table = Tables(options.tables).read("schedule_curves")
    routed = Tables(options.tables).read("routed_lm_curves").query("seed == 42")
    tasks: dict[str, Task] = {
        f"{stage}, {size}, {family}": (judge, (table, size, family, stage))
        for stage, size, family in itertools.product(
            (BEFORE, HALF), table["size"].unique(), SCHEDULES
        )
    }
    for run in routed["run"].unique()[::EVERY]:
        tasks[f"alone, {run}"] = judge_alone, routed[routed["run"] == run]
    done = map_stored(work, tasks, options.results, options.workers)
    alone, others = (
        pd.DataFrame(
            itertools.chain.from_iterable(
                rows for name, rows in done.items() if name.startswith("alone") == of_one
            )
        )
        for of_one in (True, False)
    )
    PAGE.write_text(page(others, alone), encoding="utf-8")
    print(f"Wrote {PAGE}.")


def text(table: pd.DataFrame) -> pd.DataFrame:
    forms = {"RMSE": "{:.4f}", "final RMSE": "{:.4f}"}
    shown = {c: [forms.get(c, "{:.2f}").format(x) for x in table[c]] for c in table}
    return pd.DataFrame(shown, index=table.index).reset_index()


def means(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return mean scores; the error of the final loss is a root mean square."""
    rows = rows.drop(columns=["passed"]).assign(**{"final RMSE": rows["final error"] ** 2})
    found = rows.groupby(list(by), sort=False).mean(numeric_only=True)
    found["final RMSE"] = np.sqrt(found["final RMSE"])
    return found[
        [
            "RMSE",
            "log score",
            "50 %",
            "90 %",
            "final RMSE",
            "final score",
            "final 50 %",
            "final 90 %",
        ]
    ]


def page(rows: pd.DataFrame, alone: pd.DataFrame) -> str:
    ours = rows[rows["method"] == AVERAGE]
    by_stage = {stage: rows[rows["stage"] == stage] for stage in (BEFORE, HALF)}
    failed = int((~ours["passed"]).sum())
    by_schedule = means(ours, ["stage", "schedule"])
    passed = int(alone.loc[alone["method"] == AVERAGE, "passed"].sum())
    covered = means(ours, ["schedule"])["90 %"]
    return f"""# Loss curves under a schedule

Made by `make schedules TABLES=folder` (bayescale {bs.__version__}, seed {SEED}); do not edit.

The public table `schedule_curves` has the validation loss of three sizes of a model, each under \
nine learning rate schedules with one peak (Luo et al. 2025, arXiv:2503.12811). Each of the \
{len(ours) // 2} curves is forecast from the eight others of its size. Errors are of ln loss: the \
root mean square over {POINTS} points of a curve, and that of the final loss; the log score is the \
mean log density, larger is better; 50 % and 90 % are shares of points inside the intervals of \
that probability. All are means over curves. Least squares uses ten starts; its forecasts have the \
standard deviation of its residuals. In {failed} of {len(ours)} forecasts the fit of at least one \
law failed its gates.

## Before the first step

Only the schedule of the curve is known.

{markdown(text(means(by_stage[BEFORE], ["method"])))}

## After half of the steps

The second half is forecast. `bs.forecast` uses the first half of the curve only, neither the \
schedule nor the other runs.

{markdown(text(means(by_stage[HALF], ["method"])))}

## By size

{markdown(text(means(ours, ["stage", "size"])))}

## By schedule

{markdown(text(by_schedule))}

Coverage is lowest for `{covered.idxmin()}`: 90 % intervals contain {covered.min():.2f} of its \
points, over both stages.

Curves of one size are forecast from overlapping sets of runs and, where they branch from one run, \
share the points before the branch: the {len(ours) // 2} forecasts are not independent.

## From one run

One in {EVERY} of the runs of `routed_lm_curves` (Clark et al. 2022, arXiv:2202.01169), \
{len(alone) // 2} runs of different models, is forecast from the first half of its own curve only. \
All have a cosine schedule over {ONE_RUN.steps:,} steps; its final rate is assumed to be a tenth \
of the peak. {len(alone) // 2 - passed} fits failed their gates.

{markdown(text(means(alone, ["method"])))}

A single run does not identify how much schedules differ from the laws, and the intervals are far \
too narrow.
"""


if __name__ == "__main__":
    main()
