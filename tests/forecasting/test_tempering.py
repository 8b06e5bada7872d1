"""Sequential Monte Carlo against posteriors and evidences in closed form."""

import numpy as np
import pytest
from scipy import stats

from bayescale.forecasting.tempering import temper


@pytest.mark.parametrize("size", [1, 3, 9])
@pytest.mark.parametrize("sd", [1.0, 0.01])
def test_a_gaussian_likelihood_has_its_known_posterior_and_evidence(size, sd):
    observed = np.linspace(-1.0, 1.0, size) if size > 1 else np.array([0.7])

    def log_likelihood(z):
        return stats.norm.logpdf(observed, z, sd).sum(axis=1)

    # Independent runs give the Monte Carlo error.
    runs = [temper(log_likelihood, size, np.random.default_rng(seed)) for seed in range(6)]
    exact = stats.norm.logpdf(observed, 0.0, np.hypot(1.0, sd)).sum()
    evidence = np.array([run.log_evidence for run in runs])
    assert evidence.mean() == pytest.approx(exact, abs=0.25)
    assert evidence.std() < 0.5
    means = np.array([run.draws.mean(axis=0) for run in runs])
    posterior_sd = sd / np.hypot(1.0, sd)
    assert np.abs(means.mean(axis=0) - observed / (1.0 + sd**2)).max() < 0.2 * posterior_sd
    spread = np.array([run.draws.std(axis=0) for run in runs]).mean(axis=0)
    assert spread == pytest.approx(np.full(size, posterior_sd), rel=0.2)


@pytest.mark.slow
def test_both_of_two_modes_are_found_with_their_weights():
    def log_likelihood(z):
        return np.logaddexp(
            np.log(0.75) + stats.norm.logpdf(z[:, 0], -1.5, 0.05),
            np.log(0.25) + stats.norm.logpdf(z[:, 0], 1.5, 0.05),
        )

    shares = [
        (temper(log_likelihood, 1, np.random.default_rng(seed)).draws < 0).mean()
        for seed in range(8)
    ]
    assert np.mean(shares) == pytest.approx(0.75, abs=0.08)


def test_a_flat_likelihood_leaves_the_prior_in_one_step():
    found = temper(lambda z: np.full(len(z), 3.0), 2, np.random.default_rng(1))
    assert found.temperatures == 1
    assert found.log_evidence == pytest.approx(3.0)


def test_positions_of_zero_likelihood_have_no_posterior():
    def log_likelihood(z):
        return np.where(z[:, 0] > 0, 0.0, np.nan)

    found = temper(log_likelihood, 1, np.random.default_rng(1))
    assert found.draws.min() > 0
    assert found.log_evidence == pytest.approx(np.log(0.5), abs=0.1)
