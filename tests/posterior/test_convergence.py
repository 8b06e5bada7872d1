"""R-hat and effective sample sizes of many quantities, against ArviZ one quantity at a time."""

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy import stats

from bayescale.posterior.convergence import _ranks, bfmi, ess_of_mean, measure

TAILS = (0.05, 0.95)
AXES = {"chain_axis": -2, "draw_axis": -1}


def dependent(count: int, chains: int, draws: int, correlation: float) -> np.ndarray:
    """Return stationary autocorrelated chains, (quantity, chain, draw)."""
    x = np.random.default_rng(3).standard_normal((count, chains, draws))
    for i in range(1, draws):
        x[..., i] = correlation * x[..., i - 1] + np.sqrt(1 - correlation**2) * x[..., i]
    return x


@pytest.mark.parametrize("correlation", [0.0, -0.6, 0.4, 0.95])
@pytest.mark.parametrize("shape", [(4, 1000), (4, 37), (2, 10), (2, 51), (3, 8)])
def test_measures_are_those_of_arviz(shape, correlation):
    draws = dependent(20, *shape, correlation)
    draws[:5] = np.round(draws[:5], 1)  # tied values have equal ranks
    draws[5:10, -1] += 1.0
    found = measure(draws, TAILS)
    np.testing.assert_allclose(found.r_hat, array_stats.rhat(draws, **AXES), rtol=1e-10)
    bulk = array_stats.ess(draws, method="bulk", **AXES)
    tail = array_stats.ess(draws, method="tail", prob=TAILS, **AXES)
    np.testing.assert_allclose(found.ess_bulk, bulk, rtol=1e-9)
    np.testing.assert_allclose(found.ess_tail, tail, rtol=1e-9)
    mean = array_stats.ess(draws, method="mean", **AXES)
    np.testing.assert_allclose(ess_of_mean(draws), mean, rtol=1e-9)
    np.testing.assert_allclose(bfmi(draws[0]), array_stats.bfmi(draws[0]), rtol=1e-12)


def test_ranks_are_those_of_scipy():
    rng = np.random.default_rng(1)
    rows = np.vstack(
        [
            rng.standard_normal((3, 200)),
            np.round(rng.standard_normal((3, 200)), 1),
            np.zeros((1, 200)),
            rng.choice([-np.inf, -0.0, 0.0, 1.0, np.inf], (2, 200)),
        ]
    )
    np.testing.assert_array_equal(_ranks(rows), stats.rankdata(rows, axis=1))


def test_draws_that_are_missing_or_still_have_no_r_hat():
    draws = dependent(3, 4, 100, 0.0)
    draws[0] = 1.0
    draws[1, 0, 0] = np.nan
    found = measure(draws, TAILS)
    assert np.isnan(found.r_hat).tolist() == [True, True, False]


def test_effective_samples_within_chains_ignore_differences_between_chains():
    draws = dependent(20, 4, 500, 0.3)
    apart = draws + np.array([0.0, 0.0, 0.0, 1.0])[:, None]
    one, other = measure(draws, TAILS), measure(apart, TAILS)
    assert np.all(other.ess_bulk < 0.2 * one.ess_bulk)
    # The tails then consist of other draws, some of them from one chain only.
    np.testing.assert_allclose(other.ess_within, one.ess_within, rtol=0.35)
    assert np.all(one.ess_within <= 1.1 * np.minimum(one.ess_bulk, one.ess_tail).max())


def test_quantities_in_parts_are_those_taken_at_once(monkeypatch):
    draws = dependent(7, 4, 100, 0.2)
    whole = measure(draws, TAILS)
    monkeypatch.setattr("bayescale.posterior.convergence._AT_ONCE", 900)
    parts = measure(draws, TAILS)
    np.testing.assert_array_equal(parts.ess_tail, whole.ess_tail)
    np.testing.assert_array_equal(parts.r_hat, whole.r_hat)
