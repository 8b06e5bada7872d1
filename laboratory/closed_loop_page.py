"""The page of the closed loop: decisions, and their realised regret."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale.units import format_compute, format_count
from laboratory.closed_loop import (
    FIRST_BUDGETS,
    FIRST_SHAPES,
    FURTHER,
    LARGEST,
    STRATEGIES,
    TARGET,
    Loop,
)
from laboratory.texts import CORPORA

PAGE = Path(__file__).parents[1] / "docs" / "closed-loop.md"

NEAR = 4.0
"""The parabola is fitted to runs within this factor of the size with the lowest loss."""

DRAWS = 4000
BELOW = 3e11
"""FLOP of a shipped budget; its lowest loss and that of the target give the slope between them."""


class Truth:
    """The loss at one budget: a parabola of log loss in log size through its runs."""

    def __init__(self, sizes: NDArray[np.float64], losses: NDArray[np.float64]) -> None:
        best = sizes[np.argmin(losses)]
        near = (sizes <= NEAR * best) & (sizes >= best / NEAR)
        x, y = np.log(sizes[near] / best), np.log(losses[near])
        self.scale, self.count = best, int(near.sum())
        self.curve = np.polyfit(x, y, 2)
        design = np.vander(x, 3)
        self.scatter = float(np.sqrt(np.sum((design @ self.curve - y) ** 2) / (len(x) - 3)))
        covariance = np.linalg.inv(design.T @ design) * self.scatter**2
        drawn = np.random.default_rng(1).multivariate_normal(self.curve, covariance, DRAWS)
        drawn = drawn[drawn[:, 0] > 0]
        self.optima = best * np.exp(-drawn[:, 1] / (2 * drawn[:, 0]))

    @property
    def optimum(self) -> float:
        return float(self.scale * np.exp(-self.curve[1] / (2 * self.curve[0])))

    def log_loss(self, size: float) -> float:
        return float(np.polyval(self.curve, np.log(size / self.scale)))


def page_of(loop: Loop) -> str:
    """Return the page."""
    rows, summary = [], {strategy: Counts() for strategy in STRATEGIES}
    truths = {name: truth_of(loop, name) for name in CORPORA}
    for name, (truth, slope) in truths.items():
        for strategy in STRATEGIES:
            rows.append(row_of(loop, name, strategy, truth, slope, summary[strategy]))
    first = ", ".join(format_compute(budget) for budget in FIRST_BUDGETS)
    return "\n".join(
        [
            "# A closed loop on real runs",
            "",
            "Made by `python -m laboratory closed-loop`; do not edit. Small transformers on bytes "
            "of three corpora, trained by the program in `laboratory/`; runs and decisions are in "
            "`laboratory/loop/`.",
            "",
            f"A first sweep of each corpus has {len(FIRST_SHAPES)} sizes at each of {first}. Three "
            f"strategies spend at most {format_compute(FURTHER)} on further runs of at most "
            f"{format_compute(LARGEST)}: those that `next_runs` chooses, the three sizes around "
            "the posterior optimum at the largest budget, and runs drawn at random from the same "
            "candidates. All runs are fitted with the default card, and the plan that minimises "
            f"expected regret is chosen for {format_compute(TARGET)}, {TARGET / LARGEST:.0f} times "
            "the largest run. Only then were the chosen plans trained, at the nearest size of the "
            "ladder, with the sizes next to them.",
            "",
            "The observed optimum is that of a parabola of log loss in log size through the runs "
            "of the target budget, since the loss of one run has a standard deviation of "
            f"{percent(scatter_of_seeds(loop))} between seeds, as much as the loss increases at "
            f"{off_by(loop, truths):.1f} times the optimal size. Regret is the share of the budget "
            "that is wasted, computed from the excess of the log loss over its minimum and the "
            "slope of the minimum in log compute.",
            "",
            "| corpus | further runs | chosen N | N_opt, 90 % | observed N_opt | expected regret | "
            "realised regret | losses inside 90 % | gates |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            "| further runs | mean expected regret | mean realised regret | N_opt inside 90 % | "
            "losses inside 90 % | log loss observed over predicted, mean | root mean square |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(counts.line(strategy) for strategy, counts in summary.items()),
            "",
            *notes(loop, truths),
            "",
        ]
    )


class Counts:
    """The results of one strategy over the corpora."""

    def __init__(self) -> None:
        self.expected: list[float] = []
        self.realised: list[float] = []
        self.optimum: list[bool] = []
        self.loss: list[bool] = []
        self.error: list[float] = []

    def line(self, strategy: str) -> str:
        error = np.sqrt(np.mean(np.square(self.error)))
        return (
            f"| {strategy} | {percent(np.mean(self.expected))} | {percent(np.mean(self.realised))} "
            f"| {sum(self.optimum)} of {len(self.optimum)} | {sum(self.loss)} of {len(self.loss)} "
            f"| {percent(np.mean(self.error))} | {percent(error)} |"
        )


def truth_of(loop: Loop, name: str) -> tuple[Truth, float]:
    """Return the loss at the target budget, and the slope of the lowest log loss in log compute."""
    there = loop.trained(loop.test_settings(name))
    truth = Truth(there["n_params"].to_numpy(), there["loss"].to_numpy())
    table = loop.shipped.runs
    kept = (table["family"] == name) & table["design"].str.contains("isoflop")
    kept &= np.abs(np.log(table["compute"].astype(float) / BELOW)) < 0.05
    below = Truth(
        table.loc[kept, "n_params"].to_numpy(float), table.loc[kept, "loss"].to_numpy(float)
    )
    fall = below.log_loss(below.optimum) - truth.log_loss(truth.optimum)
    return truth, fall / np.log(TARGET / BELOW)


def scatter_of_seeds(loop: Loop) -> float:
    """Return the standard deviation of log loss between seeds of one setting, from shipped runs."""
    table = loop.shipped.runs
    table = table[table["design"].str.contains("seeds") & (table["off_standard"] == "0")]
    logs = np.log(table["loss"].astype(float))
    cells = [table[name] for name in ("family", "n_params", "n_tokens")]
    return float(np.sqrt(logs.groupby(cells).var().mean()))


def off_by(loop: Loop, truths: dict[str, tuple[Truth, float]]) -> float:
    """Return the factor on the optimal size that costs one standard deviation between seeds."""
    bend = np.mean([truth.curve[0] for truth, _ in truths.values()])
    return float(np.exp(np.sqrt(scatter_of_seeds(loop) / bend)))


def row_of(loop: Loop, name: str, strategy: str, truth: Truth, slope: float, counts: Counts) -> str:
    made: dict[str, Any] = loop.decisions[f"{name}/{strategy}"]
    losses = loop.trained(loop.test_settings(name)).set_index("run")["loss"]
    above = truth.log_loss(made["n_params"]) - truth.log_loss(truth.optimum)
    regret = 1.0 - np.exp(-above / slope)
    low, _, high = made["n_opt"]
    spent = f"{len(made['runs'])} runs, {format_compute(made['compute'])}"
    further = f"{strategy}: {spent}" if made["runs"] else strategy
    inside = [made["loss"][run][0] <= loss <= made["loss"][run][2] for run, loss in losses.items()]
    counts.expected.append(made["expected_regret"])
    counts.realised.append(regret)
    counts.optimum.append(low <= truth.optimum <= high)
    counts.loss += inside
    counts.error += [float(np.log(loss / made["loss"][run][1])) for run, loss in losses.items()]
    return (
        f"| {name} | {further} "
        f"| {format_count(made['n_params'])} | {format_count(low)} to {format_count(high)} "
        f"| {format_count(truth.optimum)} | {percent(made['expected_regret'])} | {percent(regret)} "
        f"| {sum(inside)} of {len(inside)} | {'passed' if made['gates'] else 'failed'} |"
    )


def notes(loop: Loop, truths: dict[str, tuple[Truth, float]]) -> list[str]:
    """Return notes on the precision of the results, with the uncertainty of the parabolas."""
    lines = []
    for name, (truth, slope) in truths.items():
        low, high = np.quantile(truth.optima, [0.05, 0.95])
        lines.append(
            f"- {name}: the parabola of {truth.count} sizes has its minimum at "
            f"{format_count(truth.optimum)} (90 %: {format_count(low)} to {format_count(high)}), "
            f"residuals of {percent(truth.scatter)}, and the lowest loss falls as the power "
            f"{slope:.3f} of compute from {format_compute(BELOW)} on."
        )
    trained = sum(loop.table.runs["compute"].astype(float))
    return [
        "Three corpora are three trials: means over them show the order of magnitude, not which "
        "strategy is better.",
        "",
        *lines,
        f"- {len(loop.table.runs)} runs, {format_compute(trained)} in all.",
    ]


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"
