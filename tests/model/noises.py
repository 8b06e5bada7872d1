"""Every kind of noise, and tables of simulated runs, for the tests of noise."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.backend.likelihood import NoiseOfRuns
from bayescale.model.card import Model
from bayescale.model.noise import CheckpointCorrelation, Heteroscedasticity, Noise

WHY = "for a test"
SIGMA = {"sigma": bs.HalfNormal(scale=0.02, why=WHY)}
STUDENT = {**SIGMA, "nu": bs.Gamma(shape=2.0, rate=0.1, lower=1.0, why=WHY)}
GROWTH = Heteroscedasticity(along="compute", exponent=bs.Normal(mean=0.0, sd=0.2, why=WHY))
REDUCIBLE = replace(GROWTH, along="reducible")
LINKED = CheckpointCorrelation(
    run="run", along="n_tokens", length=bs.LogNormal(median=1.0, log_sd=0.7, why=WHY)
)
ALIKE = replace(LINKED, alike=bs.Beta(a=1.0, b=1.0, why=WHY))
WORSE = bs.HalfNormal(scale=0.02, why=WHY)


def normal(**more) -> Noise:
    return Noise(kind="normal", priors=SIGMA, **more)


def student(**more) -> Noise:
    return Noise(kind="student-t", priors=STUDENT, **more)


NOISES = {
    "student-t": student(),
    "growth": student(growth=GROWTH),
    "reducible": normal(growth=REDUCIBLE),
    "errors": student(standard_error="se"),
    "rounded": student(rounding=0.01),
    "rounded-share": normal(rounding="0.4 %"),
    "linked": student(checkpoints=LINKED),
    "linked-growth": normal(checkpoints=LINKED, growth=GROWTH),
    "alike": normal(checkpoints=ALIKE, growth=GROWTH),
    "alike-student-t": student(checkpoints=ALIKE),
    "censored": student(censored="diverged"),
    "inefficient": normal(inefficiency=WORSE),
    "tuned": normal(inefficiency=WORSE, growth=GROWTH, standard_error="se", censored="diverged"),
    "combined": normal(
        inefficiency=WORSE,
        growth=GROWTH,
        standard_error="se",
        rounding="step",
        censored="diverged",
    ),
    "linked-censored": student(checkpoints=LINKED, censored="diverged"),
}
VALUES = {"sigma": 0.004, "nu": 3.5, "growth": 0.15, "correlation_length": 0.6}
VALUES |= {"inefficiency": 0.01, "correlation_at_once": 0.7}
every_noise = pytest.mark.parametrize("name", NOISES)


def with_noise(noise: Noise, card: str = "chinchilla", name: str = "mine") -> Model:
    return replace(bs.load_model(card), id=name, noise=noise)


def curves(runs: int = 8, points: int = 6) -> pd.DataFrame:
    """Checkpoints of a few runs, the last of which diverged, on a Chinchilla surface."""
    size = np.repeat(np.geomspace(5e7, 5e9, runs), points)
    tokens = 20 * size * np.tile(np.geomspace(0.1, 10, points), runs)
    table = pd.DataFrame({"n_params": size, "n_tokens": tokens})
    table["run"] = np.repeat([f"curve {i}" for i in range(runs)], points)
    table["loss"] = surface(size, tokens)
    table["se"] = 0.004 + 0.001 * (np.arange(len(table)) % 5)
    table["step"] = 0.01 * (np.arange(len(table)) % 3)
    table["diverged"] = (np.arange(len(table)) == len(table) - 1).astype(int)
    return table


def surface(size, tokens) -> np.ndarray:
    truth = bs.published("besiroglu2024").parameters
    return bs.law("chinchilla").evaluate(n_params=size, n_tokens=tokens, **truth)


def noise_of(noise: Noise, runs: bs.Runs, values=VALUES, *, axis: bool = True) -> NoiseOfRuns:
    known = {name: values[name] for name in noise.all_priors}
    if axis:
        known = {name: np.full((1, 1, 1), x) for name, x in known.items()}
    amount = np.log(runs.compute / np.exp(np.log(runs.compute).mean()))
    return NoiseOfRuns(noise=noise, values=known, amount=amount, facts=noise.facts(runs))


def simulated(noise: Noise, table: pd.DataFrame, seed: int, **values) -> pd.DataFrame:
    runs = bs.load_runs(table)
    rng = np.random.default_rng(seed)
    drawn = noise_of(noise, runs, VALUES | values).draw(rng, (1, 1, len(table)))[0, 0]
    return table.assign(loss=table["loss"] * np.exp(drawn))


def grid(n: int = 96, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size, ratio = np.exp(rng.uniform(np.log(5e7), np.log(5e9), n)), np.exp(rng.uniform(0, 5, n))
    return pd.DataFrame(
        {"n_params": size, "n_tokens": size * ratio, "loss": surface(size, size * ratio)}
    )
