"""Priors learnt from sweeps: exact for Normal posteriors."""

from dataclasses import replace

import numpy as np
import pytest
from contract.fits import laplace_fit, table_for
from scipy import integrate, stats

import bayescale as bs
from bayescale.errors import BayescaleWarning, SamplingError
from bayescale.inference.learn_prior import predictive

FOUND = np.array([-1.2, -0.9, -1.0, -0.7, -1.3])
ERRORS = np.array([0.1, 0.3, 0.05, 0.2, 0.1])
PRIOR_MEAN, PRIOR_SD = -0.5, 0.6


STEPS = (np.arange(20_000) + 0.5) / 20_000
BASE = stats.norm(PRIOR_MEAN, PRIOR_SD).ppf(STEPS)


def posteriors(found: np.ndarray, errors: np.ndarray) -> list[np.ndarray]:
    """Return posteriors of a Normal quantity under the base prior, as equally spaced quantiles."""
    precision = 1 / errors**2 + 1 / PRIOR_SD**2
    centre = (found / errors**2 + PRIOR_MEAN / PRIOR_SD**2) / precision
    return [stats.norm(m, p**-0.5).ppf(STEPS) for m, p in zip(centre, precision, strict=True)]


def learnt(found: np.ndarray, errors: np.ndarray, shares: np.ndarray) -> tuple[float, float]:
    return predictive(posteriors(found, errors), BASE, shares)


def exact(found: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of a new source: the mean is Normal given tau."""

    def given(spread: float) -> tuple[float, float, float]:
        covariance = np.diag(spread**2 + errors**2) + PRIOR_SD**2
        density = stats.multivariate_normal(np.full(len(found), PRIOR_MEAN), covariance).pdf(found)
        precision = (1 / (spread**2 + errors**2)).sum() + 1 / PRIOR_SD**2
        mean = ((found / (spread**2 + errors**2)).sum() + PRIOR_MEAN / PRIOR_SD**2) / precision
        return density * stats.halfnorm(0, PRIOR_SD / 2).pdf(spread), mean, 1 / precision

    def integral(of) -> float:
        return integrate.quad(lambda spread: of(spread, *given(spread)), 0, 8 * PRIOR_SD)[0]

    total = integral(lambda _, weight, mean, variance: weight)
    first = integral(lambda _, weight, mean, variance: weight * mean) / total
    second = integral(
        lambda spread, weight, mean, variance: weight * (spread**2 + variance + mean**2)
    )
    return first, np.sqrt(second / total - first**2)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_learnt_prior_is_the_predictive_distribution_of_a_new_source(count):
    found, errors = FOUND[:count], ERRORS[:count]
    np.testing.assert_allclose(
        learnt(found, errors, np.ones(count)), exact(found, errors), rtol=5e-3
    )


def test_a_table_that_is_given_twice_as_one_source_changes_nothing():
    once = learnt(FOUND, ERRORS, np.ones(5))
    again = np.append(FOUND, FOUND[-1]), np.append(ERRORS, ERRORS[-1])
    shared = learnt(*again, np.array([1, 1, 1, 1, 0.5, 0.5]))
    np.testing.assert_allclose(shared, once, rtol=1e-9)
    assert abs(learnt(*again, np.ones(6))[0] - once[0]) > 0.01


def test_uninformative_sweeps_leave_the_base_prior():
    mean, sd = learnt(FOUND, np.full(5, 50.0), np.ones(5))
    assert mean == pytest.approx(PRIOR_MEAN, abs=0.01)
    assert sd == pytest.approx(np.hypot(PRIOR_SD, 0.5 * PRIOR_SD), rel=0.02)


@pytest.fixture(scope="module")
def base() -> bs.Model:
    return bs.load_model("chinchilla")


@pytest.fixture(scope="module")
def sweeps(base) -> list[bs.Fit]:
    return [laplace_fit(base, table_for(base), seed=seed) for seed in (1, 2, 3)]


def test_the_card_is_the_base_with_other_priors(base, sweeps, tmp_path):
    card = bs.learn_prior(sweeps, base=base, id="ours")
    assert card.id == "ours" and "learnt from 3 sources" in card.title
    learnt = {"e_n", "e_d", "alpha", "beta", "sigma"}
    for name, prior in card.all_priors.items():
        before = base.all_priors[name]
        if name in learnt:
            assert isinstance(prior, bs.LogNormal) and "learnt from 3 sources" in prior.why
        else:
            assert prior == before
    # Sweeps are simulated from one truth: the population is near it, and narrower than the base.
    for name in ("alpha", "beta"):
        truth = np.median([fit.posterior[name].median() for fit in sweeps])
        assert card.priors[name].median == pytest.approx(truth, rel=0.1)
        assert card.priors[name].log_sd < 0.75 * base.priors[name].log_sd
    path = tmp_path / "ours.toml"
    path.write_text(card.to_toml(), encoding="utf-8")
    assert bs.load_model(path).to_dict() == card.to_dict()


# A quantity of the simulated losses may be far from a card's prior, as the scale of a discrepancy is
# that they do not have.
@pytest.mark.filterwarnings("ignore:.* lie outside 99 %")
@pytest.mark.parametrize(
    "name", ["coupled-discrepancy", "kaplan-nd", "power-law-floor", "broken-power-law-1"]
)
def test_every_kind_of_law(name):
    base = bs.load_model(name)
    fits = [laplace_fit(base, table_for(base), seed=seed) for seed in (1, 2)]
    card = bs.learn_prior({"a": fits[0], "b": fits[1]}, base=base)
    changed = {n for n, prior in card.all_priors.items() if prior != base.all_priors[n]}
    scales = set(base.discrepancy.scales) if base.discrepancy else set()
    assert changed and changed >= scales
    assert base.law.level not in changed
    assert card.to_dict() == bs.Model.from_dict(card.to_dict(), card.id).to_dict()


def test_what_cannot_be_learnt_from_is_refused(base, sweeps, failed_fit):
    with pytest.raises(SamplingError, match=r"have not converged"):
        bs.learn_prior([failed_fit], base=failed_fit.model)
    with pytest.raises(ValueError, match=r"found a fit of chinchilla, expected fits of coupled"):
        bs.learn_prior(sweeps, base="coupled")
    with pytest.raises(ValueError, match=r"found none, expected one or more"):
        bs.learn_prior([], base=base)
    with pytest.raises(ValueError, match=r"found none for ours"):
        bs.learn_prior({"ours": []}, base=base)


def test_a_base_far_from_a_sweep_is_warned_of(base):
    narrow = replace(base.priors["alpha"], median=0.9, log_sd=0.02, why="far away")
    far = replace(base, priors={**base.priors, "alpha": narrow})
    fits = [laplace_fit(far, table_for(base), seed=seed) for seed in (1, 2)]
    with pytest.warns(BayescaleWarning, match=r"draws of alpha lie outside 99 %"):
        bs.learn_prior(fits, base=far)
