"""The study of family-specific discrepancies: its covariances, draws and page."""

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from benchmarks.family_discrepancy import ARMS, SPECIFIC, Arm, Posterior, gains, page

SIZES = np.geomspace(1e8, 1e10, 6)


@pytest.fixture(scope="module")
def runs() -> bs.Runs:
    table = pd.DataFrame({"n_params": np.tile(SIZES, 2), "n_tokens": np.tile(20 * SIZES, 2)})
    loss = bs.predict(bs.published("besiroglu2024"), **table)["loss"].to_numpy().ravel()
    return bs.load_runs(table.assign(loss=loss, family=np.repeat(["one", "two"], len(SIZES))))


def covariance(runs: bs.Runs, arm: Arm, **values: float) -> np.ndarray:
    posterior = Posterior(arm, runs, np.ones(len(runs), dtype=bool))
    typical, _ = posterior.constrain(np.zeros(len(posterior.names)))
    found = posterior.moments(typical | values)
    assert found is not None
    return found[1]


def test_the_family_specific_share_removes_covariance_between_families_only(runs):
    within, across = slice(None, len(SIZES)), slice(len(SIZES), None)
    shared = covariance(runs, Arm("shared"), spread=0.0)
    for share in (0.0, 0.3, 1.0):
        own = covariance(runs, Arm("own", specific=True), spread=0.0, share=share)
        assert own[within, within] == pytest.approx(shared[within, within])
        assert own[within, across] == pytest.approx((1 - share) * shared[within, across])
    assert shared.diagonal().min() > 0.0


def test_level_and_floor_effects_are_shared_within_a_family_only(runs):
    gap = covariance(runs, Arm("level"), spread=0.2) - covariance(runs, Arm("level"), spread=0.0)
    assert gap[: len(SIZES), : len(SIZES)] == pytest.approx(np.full((6, 6), 0.04))
    assert np.all(gap[: len(SIZES), len(SIZES) :] == 0.0)
    floors = covariance(runs, Arm("floor", differs="floor"), spread=0.2, rough=0.0, smooth=0.0)
    # A floor is a larger share of a smaller loss.
    assert np.all(np.diff(floors.diagonal()[: len(SIZES)]) > 0.0)


def test_a_fitted_run_is_predicted_within_its_noise(runs):
    posterior = Posterior(ARMS[0], runs, np.ones(len(runs), dtype=bool))
    values, _ = posterior.constrain(np.zeros(len(posterior.names)))
    held_out = np.arange(len(runs)) == 3
    drawn = posterior.conditional_draws(
        values | {"sigma": 1e-4}, held_out, 400, np.random.default_rng(1)
    )
    assert drawn.shape == (400, 1)
    assert np.abs(drawn - posterior.log_loss[3]).max() < 1e-3


def test_the_page_states_in_how_many_tables_and_families_the_score_is_lower():
    rows = pd.DataFrame(
        {
            "table": table,
            "arm": arm.name,
            "family": family,
            "runs": 3,
            "cover": 0.9,
            "score": 0.1 + less[table] * arm.name.endswith(SPECIFIC),
            "width": 0.1,
            "mse": 1e-4,
            "effective": 20.0,
        }
        for less in [{"first": -0.05, "second": 0.02}]
        for table in less
        for arm in ARMS
        for family in ("one", "two")
    )
    counts = "in 1 of 2 tables and 2 of 4 families"
    assert gains(rows) == f"with level effects, {counts}; with floor effects, {counts}"
    written = page(rows)
    assert f"| 3 | level{SPECIFIC} | 0.90 | 0.90 | 8.5 | 10.0 | 1.0 |" in written
    assert "Without `first`, which improves most, over both numbers of runs" in written
    assert f"| level{SPECIFIC} | 0.90 | 0.90 | 12.0 | 10.0 | 1.0 |" in written
    assert "Of the 24 posteriors, 0 have fewer than 10 effective draws" in written
