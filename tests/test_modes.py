"""A posterior in several places: found, weighed, and said."""

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.modes import describe_modes

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
    fit = bs.fit("kaplan-ns-min", runs, seed=1, progress=False)
    assert fit.diagnostics.ok, fit.diagnostics.messages
    table = fit.summary(prob=0.99)
    for name, value in truth.items():
        assert table.loc[name, "lower"] < value < table.loc[name, "upper"], name
    assert any(won in remark for remark in fit.diagnostics.remarks)
    fit.save(tmp_path / "fit.nc")
    assert bs.load_fit(tmp_path / "fit.nc").diagnostics.remarks == fit.diagnostics.remarks


def test_modes_that_the_runs_cannot_tell_apart_fail_the_fit():
    """Steps in proportion to size: the two terms can trade places."""
    size = np.geomspace(1e7, 2e9, 24)
    truth = {"N_c": 1e13, "S_c": 1e3, "alpha_N": 0.08, "alpha_S": 0.6}
    loss = bs.law("kaplan-ns-min").evaluate(n_params=size, n_steps_min=size / 1e4, **truth)
    noise = 0.003 * np.random.default_rng(1).standard_normal(len(size))
    runs = pd.DataFrame({"n_params": size, "n_steps": size / 1e4, "loss": loss * np.exp(noise)})
    fit = bs.fit("kaplan-ns-min", runs, seed=1, progress=False)
    assert not fit.diagnostics.ok
    assert "none won" in fit.diagnostics.failures[0]
    assert set(fit.provenance["modes"]) == {"alpha_S above alpha_N", "alpha_N above alpha_S"}


def test_the_sentence_on_modes():
    assert describe_modes({"left": 0.0}) == (
        "Chains from every mode of the law ended in one: left.",
        True,
    )
    assert describe_modes({"right": 0.0, "left": -40.0}) == (
        "Chains were started in every mode of the law: right won, ahead of left by 40.0 in log "
        "evidence.",
        True,
    )
    assert describe_modes({"right": 0.0, "left": -1.0}) == (
        "More than one mode of the law is supported (weights: right 0.73, left 0.27); none won.",
        False,
    )
