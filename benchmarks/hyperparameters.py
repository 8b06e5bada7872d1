"""Predict the best learning rate and batch size of held-out settings of StepLaw.

    make hyperparameters TABLES=folder

Writes docs/hyperparameters.md.
"""

import argparse
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayescale as bs
from bayescale.errors import BayescaleWarning
from bayescale.laws.hyperparameters import RULES
from benchmarks.public_tables import markdown
from benchmarks.surfaces import Surface

PAGE = Path(__file__).parents[1] / "docs" / "hyperparameters.md"
SEED, DRAWS, PROB = 1, 250, 0.9
CARD, SETTINGS = "learning-rate-batch", "n_params+n_tokens"
OPTIMUM = bs.LogNormal(
    median=0.1,
    log_sd=0.6,
    why="90 % between 0.04 and 0.27: best pairs scatter by a third of a step of their grids",
)
EFFECTS = {
    "loss": bs.HalfNormal(scale=0.005, why="one size and number of tokens share shape and data"),
    "lr_0": OPTIMUM,
    "batch_0": OPTIMUM,
}
"""Priors of the standard deviations of level and optimum between settings."""

OF_ALL = "with effects of settings on level and optimum"

PAIR = ("learning_rate", "batch_tokens")
NEAR = 0.01
"""Runs are fitted whose loss is at most this share above the best of their setting."""
SURFACE = 0.02
"""Runs whose log loss is at most this above the best give the surface of a held-out setting."""

type Array = NDArray[np.float64]
type Pair = tuple[float, float]


class Setting:
    """The runs of one size and number of tokens, and a surface fitted to their log loss."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self.n_params = float(table["params"].iloc[0])
        self.n_tokens = float(table["tokens"].iloc[0])
        self.excess = np.log(table["loss"] / table["loss"].min()).to_numpy()
        self.logs = np.log(table[["lr", "batch_tokens"]].to_numpy())
        near = self.excess < SURFACE
        self.surface = Surface(self.logs[near], self.excess[near])

    def lost(self, pair: Pair) -> float:
        """Return the relative increase of the loss by a learning rate and batch size."""
        excess = self.surface.mean(np.log([pair]))[0] - self.surface.minimum
        return float(np.expm1(excess))

    def parabola(self) -> Array:
        """Return ln of the best pair, from a least-squares quadratic of the runs within 3 %."""
        near = self.excess < 0.03
        u, v = self.logs[near].T
        columns = np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], axis=1)
        c = np.linalg.lstsq(columns, self.excess[near])[0]
        bend = np.array([[2 * c[3], c[5]], [c[5], 2 * c[4]]])
        if np.linalg.eigvalsh(bend).min() <= 0:
            return self.logs[self.excess.argmin()]
        ends = self.logs[near]
        return np.clip(-np.linalg.solve(bend, c[1:3]), ends.min(axis=0), ends.max(axis=0))

    def mean(self) -> Array:
        """Return the mean of ln of the pairs within 0.25 % of the best, as StepLaw's code does."""
        return self.logs[self.excess < 0.0025].mean(axis=0)


def two_step(fitted: list[Setting], optimum: str, held_out: list[Setting]) -> list[Pair]:
    """Return pairs by a linear regression of the settings' optima on ln of size and tokens."""

    def columns(settings: list[Setting]) -> Array:
        return np.array([[1.0, np.log(s.n_params), np.log(s.n_tokens)] for s in settings])

    optima = np.array([getattr(s, optimum)() for s in fitted])
    slopes = np.linalg.lstsq(columns(fitted), optima)[0]
    return [(float(r), float(b)) for r, b in np.exp(columns(held_out) @ slopes)]


def predicted(source: object, settings: list[Setting]) -> list[Pair]:
    """Return the pairs of a fit or of a published rule."""
    found = bs.hyperparameters(
        source,  # type: ignore[arg-type]
        n_params=[s.n_params for s in settings],
        n_tokens=[s.n_tokens for s in settings],
    )
    return list(zip(found["learning_rate"], found["batch_tokens"], strict=True))


def runs_of(settings: list[Setting]) -> bs.Runs:
    """Return the runs near the best of each setting."""
    table = pd.concat([s.table[s.excess < np.log1p(NEAR)] for s in settings])
    columns = ["params", "tokens", "lr", "batch_tokens", "loss"]
    needs = bs.load_model("learning-rate-batch").law.inputs
    return bs.load_runs(table[columns], needs=needs)


def models() -> dict[str, bs.Model]:
    """Return the card, and the card with effects of settings on the optimum and the level."""
    card = bs.load_model(CARD)
    level, *optimum = (bs.Pooling(of=of, over=SETTINGS, sd=sd) for of, sd in EFFECTS.items())
    return {
        f"`{CARD}`": card,
        OF_ALL: replace(card, pooling=(level, *optimum)),
        "with effects of settings on the optimum alone": replace(card, pooling=tuple(optimum)),
    }


def coverage(fit: bs.Fit, settings: list[Setting]) -> dict[str, Array]:
    """Return whether intervals of a fit contain the optima and losses of held-out settings.

    An optimum is estimated from the surface of the setting, and its standard error is added to the
    interval.
    """
    law, parameters = fit.curve.law, fit.curve.parameters
    rng = np.random.default_rng(SEED)
    inside: dict[str, list[float]] = {name: [] for name in (*PAIR, *map(width_of, PAIR))}
    for setting in settings:
        at = {"n_params": np.log(setting.n_params), "n_tokens": np.log(setting.n_tokens)}
        best, estimate = law.log_optimum(at, parameters), setting.surface.optimum
        for i, name in enumerate(PAIR):
            draws = best[name].to_numpy().ravel()
            errors = setting.surface.optima(draws.size, rng)[:, i] - estimate[i]
            low, high = np.quantile(draws + errors, [(1 - PROB) / 2, (1 + PROB) / 2])
            inside[name].append(low <= estimate[i] <= high)
            low, high = np.quantile(draws, [(1 - PROB) / 2, (1 + PROB) / 2])
            inside[width_of(name)].append(np.exp((high - low) / 2))
    ends = bs.score(fit, runs_of(settings)).pointwise["pit"]
    losses = ends.between((1 - PROB) / 2, (1 + PROB) / 2)
    return {name: np.array(x) for name, x in inside.items()} | {"loss": losses.to_numpy()}


def width_of(name: str) -> str:
    """Return the column of the factor between the ends of an interval and its midpoint."""
    return f"width_{name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    table = pd.read_csv(parser.parse_args().tables / "steplaw.csv")
    dense = table[table["family"] == "dense"]
    settings = [Setting(group) for _, group in dense.groupby(["params", "tokens"])]
    lost: dict[str, list[float]] = {}
    exponents: list[pd.DataFrame] = []
    checks: dict[str, list[str]] = {name: [] for name in models()}
    covered: dict[str, dict[str, list[float]]] = {name: {} for name in models()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)  # The page states whether checks passed.
        for first in (0, 1):
            fitted, held_out = settings[first::2], settings[1 - first :: 2]
            pairs = {}
            for card, model in models().items():
                fit = bs.fit(runs_of(fitted), model, seed=SEED, draws=DRAWS, progress=False)
                checks[card] += [c.name for c in fit.diagnostics.checks if c.failed]
                pairs[f"{card}, one posterior"] = predicted(fit, held_out)
                for name, values in coverage(fit, held_out).items():
                    covered[card].setdefault(name, []).extend(values)
                print(first, card, {n: f"{sum(x):.4g}/{len(x)}" for n, x in covered[card].items()})
                if card == OF_ALL:
                    exponents.append(fit.summary().loc[["lr_N", "lr_D", "batch_N", "batch_D"]])
            pairs |= {
                "two steps, parabola of each setting": two_step(fitted, "parabola", held_out),
                "two steps, mean of runs within 0.25 %": two_step(fitted, "mean", held_out),
                **{f"`{name}`, published": predicted(name, held_out) for name in RULES},
            }
            for name, found in pairs.items():
                values = [s.lost(p) for s, p in zip(held_out, found, strict=True)]
                lost.setdefault(name, []).extend(values)
            print(first, {name: np.mean(x) for name, x in lost.items()}, flush=True)
    PAGE.write_text(page(settings, lost, exponents, checks, covered), encoding="utf-8")


def page(
    settings: list[Setting],
    lost: dict[str, list[float]],
    exponents: list[pd.DataFrame],
    checks: dict[str, list[str]],
    covered: dict[str, dict[str, list[float]]],
) -> str:
    rows = [
        {
            "method": name,
            "mean excess loss": f"{100 * np.mean(x):.3f} %",
            "worst": f"{100 * max(x):.3f} %",
        }
        for name, x in lost.items()
    ]
    headings = {"learning_rate": "best rate", "batch_tokens": "best batch", "loss": "loss"}
    coverage_rows = [
        {
            "card": card,
            **{
                heading: f"{sum(shown[n]):.0f} of {len(shown[n])} ({100 * np.mean(shown[n]):.0f} %)"
                for n, heading in headings.items()
            },
            **{
                f"ends of {headings[n]}": f"x {np.mean(shown[width_of(n)]):.2f}, / "
                f"{np.mean(shown[width_of(n)]):.2f}"
                for n in PAIR
            },
        }
        for card, shown in covered.items()
    ]
    found = [
        {
            "parameter": f"`{name}`",
            **{
                f"half {i + 1}": f"{t.loc[name, 'median']:.2f} "
                f"({t.loc[name, 'lower']:.2f} to {t.loc[name, 'upper']:.2f})"
                for i, t in enumerate(exponents)
            },
        }
        for name in exponents[0].index
    ]
    return "\n".join(
        [
            "# Learning rate and batch size of held-out settings",
            "",
            f"Made by `make hyperparameters TABLES=folder` (bayescale {bs.__version__}, seed "
            f"{SEED}, {DRAWS} draws a chain); do not edit.",
            "",
            f"The public grid of StepLaw (arXiv:2503.04715) has {len(settings)} dense settings of "
            "size and tokens, each with about 120 pairs of learning rate and batch size. Every "
            "other setting is fitted and the rest predicted, then the other way round. The excess "
            "loss is that of the predicted pair over the lowest loss on the surface of the "
            "setting: a Gaussian process with a quadratic mean, fitted to its runs within "
            f"{100 * SURFACE:.0f} % of the best. It interpolates between runs, so that differences "
            "of a few hundredths of a per cent are within its error.",
            "",
            markdown(pd.DataFrame(rows)),
            "",
            "The published rules of StepLaw were fitted to all of these settings, including the "
            "held-out ones. The cards are fitted to runs whose loss is within "
            f"{100 * NEAR:.0f} % of the best of their setting; that share, and the form of the "
            "excess, were selected on these settings, so the rows of the cards are somewhat "
            "optimistic too. Failed checks: "
            + "; ".join(
                f"{card}: {', '.join(dict.fromkeys(names)) or 'none'}"
                for card, names in checks.items()
            )
            + ".",
            "",
            f"How many {100 * PROB:.0f} % intervals contain the optimum of the held-out settings, "
            "the minimum of their surface, with its standard error added to the interval, and the "
            "loss of their runs:",
            "",
            markdown(pd.DataFrame(coverage_rows)),
            "",
            "In the second card the level and the optimum of each setting vary about the law, in "
            "the third the optimum only; their intervals are for a new setting. In the third, "
            "errors that the runs of a setting share can only move its optimum, so its intervals "
            "of the optimum are the widest. Without effects of settings, the runs of one setting "
            "are treated as independent although they share an optimum. The prior of the standard "
            "deviation of optima between settings was chosen after these settings were seen.",
            "",
            "Exponents of the optimum under the second card, with 90 % intervals. Where the halves "
            "disagree by more than their intervals, the power law in size and tokens is only "
            "approximate:",
            "",
            markdown(pd.DataFrame(found)),
            "",
        ]
    )


if __name__ == "__main__":
    main()
