"""Every law, fitted to runs simulated from it, finds what they were simulated from."""

import itertools

import numpy as np
import pandas as pd
import pytest
from contract.test_laws import TYPICAL

import bayescale as bs
from bayescale.catalogue import model_cards
from bayescale.recorded import share_of

SIZES = np.geomspace(2e7, 1e10, 7)
TOKENS = np.geomspace(5e8, 5e11, 8)
AXES = {
    "n_params": SIZES,
    "n_tokens": TOKENS,
    "n_unique_tokens": np.geomspace(5e8, 5e11, 4),
    "n_steps": np.geomspace(2e3, 3e5, 7),
    "n_steps_min": np.geomspace(2e3, 3e5, 9),
    "batch_tokens": 2.0 ** np.array([17, 20, 23]),
    "n_experts": np.array([1.0, 4.0, 16.0, 64.0, 256.0]),
    "n_encoder_params": SIZES,
    "n_decoder_params": 1.5 * SIZES,
    "n_finetuning_tokens": np.geomspace(1e5, 1e8, 6),
    "loss": np.linspace(2.0, 4.5, 40),
    "x": np.geomspace(1e6, 1e13, 90),
}
AXES_OF = {
    "broken-power-law-1": {"x": np.geomspace(50.0, 5e3, 80)},
    "broken-power-law-2": {"x": np.geomspace(1e4, 1e14, 150)},
    "broken-power-law-3": {"x": np.geomspace(1e2, 1e16, 200)},
}
"""Where to put runs: a grid over all inputs of a law."""

TRUTH = TYPICAL | {
    # Breaks far enough apart that each leaves its mark.
    "broken-power-law-2": {
        **{"a": 0.5, "b": 9.0, "c0": 0.05, "c1": 0.3, "c2": -0.25},
        **{"d1": 1e7, "d2": 1e10, "f1": 0.3, "f2": 0.3},
    },
    "broken-power-law-3": {
        **{"a": 0.1, "b": 9.0, "c0": 0.02, "c1": 0.25, "c2": -0.22, "c3": 0.25},
        **{"d1": 1e6, "d2": 1e9, "d3": 1e12, "f1": 0.3, "f2": 0.3, "f3": 0.3},
    },
}

NOISE = 0.003


@pytest.mark.slow
@pytest.mark.parametrize("card", sorted(model_cards()))
def test_a_law_recovers_its_truth(card):
    model = bs.load_model(card)
    law, truth = model.formula, TRUTH[model.law]
    axes = [AXES_OF.get(law.name, AXES)[name] for name in law.inputs]
    grid = np.array(list(itertools.product(*axes))).T
    inputs = dict(zip(law.inputs, grid, strict=True))
    if "n_unique_tokens" in inputs:
        inputs["n_unique_tokens"] = np.minimum(inputs["n_unique_tokens"], inputs["n_tokens"])
    mean = law.evaluate(**inputs, **truth)
    noise = NOISE * np.random.default_rng(7).standard_normal(len(mean))
    table = pd.DataFrame({model.columns[name]: values for name, values in inputs.items()})
    table[law.response] = mean * np.exp(noise)
    if step := share_of(str(model.noise.rounding)):
        table[law.response] = np.exp(step * np.round(np.log(table[law.response]) / step))
    if "family" in model.groupings:
        # Families that do not differ: pooling must find that, too.
        table["family"] = np.array(["one", "two", "three"])[np.arange(len(table)) % 3]
    # Where families do not differ, spreads near zero mix slowly.
    fit = bs.fit(
        model,
        table.drop_duplicates(),
        draws=3000 if model.effects else 1000,
        seed=1,
        target_accept=0.95,
        progress=False,
    )
    assert fit.diagnostics.ok, fit.diagnostics.messages
    found = fit.summary(prob=0.999)
    for name, value in truth.items():
        assert found.loc[name, "lower"] < value < found.loc[name, "upper"], name
    assert found.loc["sigma", "median"] == pytest.approx(NOISE, rel=0.25)
    # What was learnt is the curve itself, to a fraction of the scatter of one run.
    at = law.formula({n: np.log(v) for n, v in inputs.items()}, medians(fit))
    assert np.sqrt(np.mean(np.log(at / mean) ** 2)) < NOISE


def medians(fit: bs.Fit) -> dict[str, float]:
    return {name: float(draws.median()) for name, draws in fit.parameters.items()}
