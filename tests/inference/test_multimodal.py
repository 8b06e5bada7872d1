"""Multimodal posteriors: modes are found, weighted, and reported."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayescale as bs
from bayescale.errors import BayescaleWarning
from bayescale.inference.multimodal import (
    Exploration,
    _bridge,
    _highest,
    _log_evidence,
    _merge,
    mixed,
)
from bayescale.posterior.diagnostics import describe_modes

KAPLANS = {"N_c": 1e16, "S_c": 600.0, "alpha_N": 0.06, "alpha_S": 0.76}
SWAPPED = {"N_c": 3.6e8, "S_c": 9e7, "alpha_N": 0.166, "alpha_S": 0.066}


def curves(truth, n_params, n_steps) -> pd.DataFrame:
    size, steps = (a.ravel() for a in np.meshgrid(n_params, n_steps))
    loss = bs.law("kaplan-ns-min").evaluate(n_params=size, n_steps_min=steps, **truth)
    noise = 0.003 * np.random.default_rng(1).standard_normal(len(size))
    return pd.DataFrame({"n_params": size, "n_steps": steps, "loss": loss * np.exp(noise)})


@pytest.mark.parametrize(
    ("truth", "won"),
    [(KAPLANS, "alpha_S above alpha_N"), (SWAPPED, "alpha_N above alpha_S")],
    ids=["kaplans", "swapped"],
)
def test_the_mode_that_is_true_wins(truth, won, tmp_path):
    runs = curves(truth, np.geomspace(1e7, 2e9, 6), np.geomspace(2e3, 1e5, 12))
    fit = bs.fit(runs, "kaplan-ns-min", seed=1, progress=False)
    assert fit.diagnostics.ok, fit.diagnostics.messages
    table = fit.summary(prob=0.99)
    for name, value in truth.items():
        assert table.loc[name, "lower"] < value < table.loc[name, "upper"], name
    assert any(won in remark for remark in fit.diagnostics.remarks)
    fit.save(tmp_path / "fit.nc")
    assert bs.load_fit(tmp_path / "fit.nc").diagnostics.remarks == fit.diagnostics.remarks


def test_the_highest_mode_is_found_along_a_curved_ridge():
    """Two modes, each on a curved ridge, and a region of zero density."""

    def log_density(at):
        side = 1.0 if at[0] > 0 else -1.0
        x, y = at - np.array([3.0 * side, 0.0])
        bend = y - x**2
        value = 2.0 * side - 0.5 * x**2 - 50.0 * bend**2
        slope = np.array([-x + 200.0 * bend * x, -100.0 * bend])
        return (-np.inf if at[1] > 1e3 else value), slope

    nowhere, low, high = np.array([0.0, 1e4]), np.array([-1.0, 4.0]), np.array([6.0, 9.0])
    (summit,) = _highest(log_density, [nowhere, low, high])
    np.testing.assert_allclose(summit, [3.0, 0.0], atol=0.01)
    assert _highest(log_density, [nowhere]) == []


def test_modes_that_the_runs_cannot_tell_apart_are_both_in_the_draws():
    """With steps proportional to size, the two terms are exchangeable."""
    size = np.geomspace(1e7, 2e9, 24)
    truth = {"N_c": 1e13, "S_c": 1e3, "alpha_N": 0.08, "alpha_S": 0.6}
    loss = bs.law("kaplan-ns-min").evaluate(n_params=size, n_steps_min=size / 1e4, **truth)
    noise = 0.003 * np.random.default_rng(1).standard_normal(len(size))
    runs = pd.DataFrame({"n_params": size, "n_steps": size / 1e4, "loss": loss * np.exp(noise)})
    fit = bs.fit(runs, "kaplan-ns-min", seed=1, progress=False)
    assert fit.diagnostics.ok, fit.diagnostics.messages
    assert "the draws are of each by its weight" in fit.diagnostics.remarks[0]
    evidence = fit.provenance["modes"]
    assert set(evidence) == {"alpha_S above alpha_N", "alpha_N above alpha_S"}
    share = float((fit.posterior["alpha_S"] > fit.posterior["alpha_N"]).mean())
    log_odds = evidence["alpha_S above alpha_N"] - evidence["alpha_N above alpha_S"]
    assert share == pytest.approx(1 / (1 + np.exp(-log_odds)), abs=0.03)


@pytest.mark.slow
def test_swapped_terms_of_kaplans_law_are_both_in_the_draws():
    """At twenty tokens per parameter throughout; otherwise the law has one mode."""
    size = np.geomspace(3e7, 1e10, 20)
    truth = {"N_c": 8.8e13, "D_c": 5.4e13, "alpha_N": 0.076, "alpha_D": 0.095}
    law, rng = bs.law("kaplan-nd"), np.random.default_rng(1)

    def places(tokens):
        runs = pd.DataFrame({"n_params": size, "n_tokens": tokens})
        runs["loss"] = law.evaluate(n_params=size, n_tokens=tokens, **truth)
        return runs.assign(loss=runs["loss"] * np.exp(0.003 * rng.standard_normal(len(size))))

    with pytest.warns(BayescaleWarning, match=r"[Tt]okens per parameter"):
        one_ratio = bs.fit(
            places(20 * size), "kaplan-nd", seed=1, unidentified="warn", progress=False
        )
    above = one_ratio.posterior["alpha_N"] > one_ratio.posterior["alpha_D"]
    assert 0.1 < float(above.mean()) < 0.9
    assert above.mean("draw").std() < 0.05
    various = bs.fit(
        places(size * rng.permutation(np.geomspace(5, 500, 20))),
        "kaplan-nd",
        seed=1,
        progress=False,
    )
    assert "modes" not in various.provenance


def test_the_sentence_on_modes():
    assert describe_modes({"left": 0.0}, 0.0) == (
        "Chains from every mode of the law ended in one: left.",
        True,
    )
    assert describe_modes({"right": 0.0, "left": -40.0}, 0.0) == (
        "Chains were started in every mode of the law: right won, ahead of left by 40.0 in log "
        "evidence.",
        True,
    )
    assert describe_modes({"right": 0.0, "left": -1.0}, 0.1) == (
        "More than one mode of the law is supported, and the draws are of each by its weight "
        "(right 0.73, left 0.27, to within a factor 1.11).",
        True,
    )
    sentence, known = describe_modes({"right": 0.0, "left": -1.0}, 1.0)
    assert not known
    assert sentence.endswith("but the weights are not known: the log evidence is uncertain by 1.0.")


class Gaussian:
    """A Normal density of known integral, with the interface that `_log_evidence` needs."""

    scalars = 6

    def __init__(self, dim: int) -> None:
        rng = np.random.default_rng(1)
        mixing = np.eye(dim)
        mixing[:6, :6] = rng.normal(size=(6, 6)) + 2 * np.eye(6)
        self.mixing, self.precision = mixing, np.linalg.inv(mixing @ mixing.T)
        self.log_integral = 3.0 + 0.5 * dim * np.log(2 * np.pi)
        self.log_integral += np.linalg.slogdet(mixing)[1]

    def log_density(self, position, data):
        return 3.0 - 0.5 * position @ self.precision @ position, None

    def draws(self, count):
        return np.random.default_rng(2).normal(size=(count, len(self.mixing))) @ self.mixing.T


@pytest.mark.parametrize("dim", [6, 46])
def test_the_evidence_of_a_normal_is_its_integral(dim):
    """With forty steps of levels and six scalars, from as few draws as short chains have."""
    density = Gaussian(dim)
    found, error = _log_evidence(density, None, density.draws(400), np.random.default_rng(3))
    assert error < 0.1
    assert found == pytest.approx(density.log_integral, abs=5 * error)


def test_the_error_of_a_bridge_is_that_of_repeats():
    rng = np.random.default_rng(4)
    repeats = []
    for _ in range(200):
        # A Normal with a wider Normal proposal: both density ratios are known.
        of_posterior, of_proposal = rng.normal(size=400), 1.5 * rng.normal(size=400)
        ratios = [
            -0.5 * x**2 + 0.5 * (x / 1.5) ** 2 + np.log(1.5) for x in (of_posterior, of_proposal)
        ]
        repeats.append(_bridge(*ratios))
    values, errors = np.array(repeats).T
    assert values.mean() == pytest.approx(0.0, abs=4 * values.std() / np.sqrt(200))
    assert errors.mean() == pytest.approx(values.std(), rel=0.3)


def test_modes_differ_in_scalars_and_those_that_overlap_are_one():
    rng = np.random.default_rng(5)
    here, there = rng.normal(size=(2, 200, 3))
    there[:, 1] += 20.0  # in a step of a level, which is not part of a mode
    assert len(_merge([here, there], 1)) == 1
    assert len(_merge([here, there], 2)) == 2

    def sampled(shift):
        draws = {"x": shift + rng.normal(size=(2, 50)), "step": rng.normal(size=(2, 50, 3))}
        dims = ("chain", "draw")
        return draws, xr.Dataset({"energy": (dims, np.full((2, 50), shift))})

    exploration = Exploration(
        starts=(here, here, here),
        weights=np.array([0.5, 0.3, 0.2]),
        log_evidence={"one": 0.0, "one (2)": -0.5, "other": -0.9, "far": -50.0},
        error=0.1,
    )
    draws, stats, known = mixed([sampled(0.0), sampled(0.1), sampled(50.0)], exploration, seed=1)
    assert list(known.log_evidence) == ["one", "other", "far"]
    np.testing.assert_allclose(known.weights, [5 / 7, 2 / 7])
    assert len(known.starts) == 2
    of_other = draws["x"] > 25
    np.testing.assert_array_equal(of_other, stats["energy"] == 50.0)
    assert 0.1 < of_other.mean() < 0.5
