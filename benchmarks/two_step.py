"""Coverage of two-step predictions of accuracy, and detection of unpredictable tasks.

    make two-step

Ladders of small runs are simulated with a task of each kind, and predictions of larger runs are
compared with their simulated accuracies. Writes docs/two-step.md. Results are stored, so that a
study with more simulations computes only the additional ones.
"""

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

import bayescale as bs
from bayescale._seeds import Stream, generator
from bayescale.errors import BayescaleWarning
from bayescale.inference.fit import fit_quietly
from bayescale.units import format_count, format_share
from benchmarks.public_tables import markdown

PAGE = Path(__file__).parents[1] / "docs" / "two-step.md"
SIZES = np.geomspace(1.9e8, 1.3e9, 5)
RATIOS = np.array([20.0, 50.0, 100.0, 200.0])
LARGER = {"3B": 3e9, "7B": 7e9, "13B": 13e9}
LARGER_RATIO = 200.0
QUESTIONS, NOISE = 1000, 0.005
PROB, SEED, DRAWS = 0.9, 1, 250
KINDS = ("logistic", "unrelated", "inverse", "late")

type Array = NDArray[np.float64]


def accuracy_of(kind: str, loss: Array, ladder: Array, choices: int, ceiling: float) -> Array:
    """Return the accuracy at losses on a task of one kind, scaled to the losses of the ladder."""
    law, chance = bs.law("accuracy-from-loss"), 1.0 / choices
    best, low, middle = np.quantile(ladder, [0.0, 0.3, 0.5])
    at = {"a": chance, "b": ceiling, "k": 8.0 / middle}
    if kind == "unrelated":
        return np.full_like(loss, chance)
    if kind == "late":
        return law.evaluate(loss=loss, **{**at, "k": 60.0 / middle, "L_0": 0.93 * best})
    rises = law.evaluate(loss=loss, **at, L_0=0.95 * middle)
    if kind == "logistic":
        return rises
    falls = law.evaluate(loss=loss, **{**at, "k": 30.0 / middle, "L_0": low})
    return chance + (rises - chance) * (1.0 - (falls - chance) / (ceiling - chance))


def simulate(number: int, kind: str) -> dict[str, Any]:
    """Fit one simulated ladder, and return predictions and true values of larger runs."""
    rng = generator(SEED, Stream.SIMULATION, number, KINDS.index(kind))
    sizes = np.concatenate([np.repeat(SIZES, len(RATIOS)), list(LARGER.values())])
    tokens = sizes * np.concatenate(
        [np.tile(RATIOS, len(SIZES)), np.full(len(LARGER), LARGER_RATIO)]
    )
    loss = bs.law("chinchilla").evaluate(
        n_params=sizes,
        n_tokens=tokens,
        E=rng.uniform(0.3, 0.5),
        A=rng.uniform(12.0, 22.0),
        B=rng.uniform(60.0, 120.0),
        alpha=rng.uniform(0.23, 0.29),
        beta=rng.uniform(0.25, 0.31),
    )
    loss *= np.exp(NOISE * rng.standard_normal(len(loss)))
    ladder = np.arange(len(loss)) < len(SIZES) * len(RATIOS)
    choices = int(rng.choice([2, 4, 5]))
    exact = accuracy_of(kind, loss, loss[ladder], choices, rng.uniform(0.85, 0.99))
    accuracy = rng.binomial(QUESTIONS, exact) / QUESTIONS
    table = pd.DataFrame(
        {"n_params": sizes, "n_tokens": tokens, "loss": loss, "accuracy": accuracy}
    )
    mine, units = table[ladder], {"loss": "bits/byte"}
    first = fit_quietly(
        bs.load_runs(mine, units=units), bs.load_model("chinchilla"), seed=number, draws=DRAWS
    )
    runs = bs.load_runs(mine, units=units, needs=["loss"], response="accuracy")
    second = fit_quietly(runs, with_chance(choices), seed=number, draws=DRAWS)
    larger = table[~ladder]
    found = bs.two_step(
        first, second, n_params=larger["n_params"].tolist(), n_tokens=larger["n_tokens"].tolist()
    )
    fixed = predicted_at(second, found.draws["loss"].median(("chain", "draw")).to_numpy())
    return {
        "kind": kind,
        "number": number,
        "p_unpredictable": found.p_unpredictable,
        "shapes": found.shapes.tolist() if found.shapes is not None else [],
        "share_of_loss": found.share_of_loss.tolist(),
        "accuracy": larger["accuracy"].tolist(),
        "loss": larger["loss"].tolist(),
        "loss_ends": ends(by_plan(found.draws["loss_run"])),
        "ends": ends(by_plan(found.draws["accuracy_run"])),
        "ends_without_loss": ends(fixed),
        "ok": bool(first.gates.ok and second.gates.ok),
    }


def with_chance(choices: int) -> bs.Model:
    """Return the card with a prior of the chance level within a few per cent."""
    model = bs.load_model("accuracy-from-loss")
    known = bs.Beta(a=400.0 / choices, b=400.0 - 400.0 / choices, why=f"{choices} choices")
    return replace(model, priors={**model.priors, "a": known})


def predicted_at(fit: bs.Fit, losses: Array) -> Array:
    """Return draws of the accuracy of runs at known losses."""
    return by_plan(bs.predict(fit, inputs={"loss": losses.tolist()})["accuracy_run"])


def by_plan(draws: xr.DataArray) -> Array:
    """Return draws with one row per plan."""
    return draws.transpose("plan", "chain", "draw").to_numpy().reshape(draws.sizes["plan"], -1)


def ends(draws: Array) -> list[list[float]]:
    """Return lower end, median and upper end, by plan."""
    found = np.quantile(draws, [(1 - PROB) / 2, 0.5, (1 + PROB) / 2], axis=1)
    return found.T.tolist()  # type: ignore[no-any-return]


def simulations(counts: dict[str, int], store: Path) -> list[dict[str, Any]]:
    """Return the results of simulations of each kind; stored ones are reused."""
    done = [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []
    known = {(row["kind"], row["number"]) for row in done}
    for kind, count in counts.items():
        for number in range(count):
            if (kind, number) in known:
                continue
            done.append(simulate(number, kind))
            with store.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[-1]) + "\n")
            print(kind, number, flush=True)
    return [row for row in done if row["number"] < counts[row["kind"]]]


def covered(rows: list[dict[str, Any]], observed: str, bounds: str, plan: int) -> str:
    """Return how many runs of one plan are inside their intervals, with a Jeffreys interval."""
    truth = np.array([row[observed][plan] for row in rows])
    low, _, high = np.array([row[bounds][plan] for row in rows]).T
    inside = int(((low <= truth) & (truth <= high)).sum())
    ends_of_share = stats.beta(inside + 0.5, len(rows) - inside + 0.5).interval(PROB)
    return (
        f"{inside} of {len(rows)} ({100 * ends_of_share[0]:.0f} to {100 * ends_of_share[1]:.0f} %)"
    )


def scatter(accuracy: float) -> float:
    """Return the relative standard deviation of a measured accuracy."""
    return float(np.sqrt((1.0 - accuracy) / (accuracy * QUESTIONS)))


def page(found: list[dict[str, Any]]) -> str:
    """Return the page."""
    logistic = [row for row in found if row["kind"] == "logistic"]
    coverage, shapes = [], []
    for plan, name in enumerate(LARGER):
        error = np.array([row["accuracy"][plan] - row["ends"][plan][1] for row in logistic])
        width = np.array([row["ends"][plan][2] - row["ends"][plan][0] for row in logistic])
        coverage.append(
            {
                "run": name,
                "loss in 90 % interval": covered(logistic, "loss", "loss_ends", plan),
                "accuracy in 90 % interval": covered(logistic, "accuracy", "ends", plan),
                "given the median loss": covered(logistic, "accuracy", "ends_without_loss", plan),
                "median error": f"{np.median(np.abs(error)):.3f}",
                "median width": f"{np.median(width):.3f}",
            }
        )
    for kind, description in {
        "logistic": "follows the loss",
        "unrelated": "stays at chance",
        "inverse": "rises, then falls",
        "late": "at chance up to the best runs, then rises",
    }.items():
        mine = [row for row in found if row["kind"] == kind]
        doubt = np.array([row["p_unpredictable"] for row in mine])
        low, middle, high = np.quantile(doubt, [0.1, 0.5, 0.9])
        shapes.append(
            {
                "accuracy": description,
                "tasks": str(len(mine)),
                "P(unpredictable): median, 10 and 90 %": f"{middle:.2f} [{low:.2f}, {high:.2f}]",
                "above 0.5": f"{(doubt > 0.5).sum()} of {len(mine)}",
                "13B in 90 % interval": covered(mine, "accuracy", "ends", 2),
            }
        )
    passed = sum(row["ok"] for row in found)
    inside = sum(
        low <= accuracy <= high
        for row in logistic
        for accuracy, (low, _, high) in zip(row["accuracy"], row["ends"], strict=True)
    )
    joint = f"{inside} of {len(logistic) * len(LARGER)}"
    return "\n".join(
        [
            "# Two-step predictions of accuracy",
            "",
            f"Made by `make two-step` (bayescale {bs.__version__}, seed {SEED}, "
            f"{DRAWS} draws a chain); do not edit.",
            "",
            "No public table of accuracies is available, so ladders are simulated. Each has "
            f"{len(SIZES) * len(RATIOS)} runs: {len(SIZES)} sizes from "
            f"{format_count(SIZES[0])} to {format_count(SIZES[-1])} at "
            f"{', '.join(f'{r:g}' for r in RATIOS)} tokens per parameter. The task loss follows "
            f"Chinchilla's law with {format_share(NOISE)} of noise, and the accuracy is that of "
            f"{QUESTIONS} questions with two, four or five choices. Runs of "
            f"{', '.join(LARGER)} parameters at {LARGER_RATIO:g} tokens per parameter are "
            "predicted by `bs.two_step` from fits of `chinchilla` and `accuracy-from-loss`, with "
            "the number of choices stated. The range after each count is the "
            f"{format_share(PROB)} Jeffreys interval of the coverage. "
            f"{passed} of {len(found)} ladders passed every convergence gate, with few draws each.",
            "",
            "Tasks whose accuracy follows the loss:",
            "",
            markdown(pd.DataFrame(coverage)),
            "",
            f"Over all three, {joint} accuracies are inside: the intervals are slightly wide. The "
            "card has one relative noise scale at all accuracies, whereas binomial noise falls "
            f"from {100 * scatter(0.25):.1f} % of an accuracy of 0.25 to "
            f"{100 * scatter(0.8):.1f} % of one of 0.8.",
            "",
            "Tasks of each kind, from the same ladders:",
            "",
            markdown(pd.DataFrame(shapes)),
            "",
            "Runs at chance level do not identify whether the accuracy will rise: the last kind "
            "cannot be distinguished from the second.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=60, help="logistic tasks (60)")
    parser.add_argument("--others", type=int, default=15, help="tasks of each other kind (15)")
    parser.add_argument("--store", type=Path, default=Path("build/two-step.jsonl"))
    options = parser.parse_args()
    options.store.parent.mkdir(exist_ok=True)
    counts = dict.fromkeys(KINDS, options.others) | {"logistic": options.simulations}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)  # The page states how many fits passed.
        found = simulations(counts, options.store)
    PAGE.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
