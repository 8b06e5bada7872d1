"""Priors learnt from sweeps: of sweeps whose posteriors are Normal, the answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from contract.fits import laplace_fit, table_for
from scipy import optimize, stats

import bayescale as bs
from bayescale.errors import BayescaleWarning, SamplingError
from bayescale.inference.learn_prior import estimate

FOUND = np.array([-1.2, -0.9, -1.0, -0.7, -1.3])
ERRORS = np.array([0.1, 0.3, 0.05, 0.2, 0.1])
PRIOR_MEAN, PRIOR_SD = -0.5, 0.6


def posteriors(found: np.ndarray, errors: np.ndarray) -> tuple[list, list]:
    """Posteriors of a Normal quantity under the base prior, at equal steps of probability."""
    drawn, base = [], []
    for value, error in zip(found, errors, strict=True):
        precision = 1 / error**2 + 1 / PRIOR_SD**2
        centre = (value / error**2 + PRIOR_MEAN / PRIOR_SD**2) / precision
        steps = (np.arange(20_000) + 0.5) / 20_000
        x = stats.norm(centre, precision**-0.5).ppf(steps)
        drawn.append(x[:, None])
        base.append(stats.norm(PRIOR_MEAN, PRIOR_SD).logpdf(x))
    return drawn, base


def mode(found: np.ndarray, errors: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Mean and spread of largest posterior density, from the marginal likelihood."""

    def density(at: np.ndarray) -> float:
        mean, spread = at[0], np.exp(at[1])
        likelihood = stats.norm(mean, np.hypot(spread, errors)).logpdf(found)
        guess = 0.5 * PRIOR_SD
        of_spread = -np.log(spread) - 0.5 * (guess / spread) ** 2
        return -(shares @ likelihood + stats.norm(PRIOR_MEAN, PRIOR_SD).logpdf(mean) + of_spread)

    found = optimize.minimize(density, [-1.0, -1.5], method="Nelder-Mead", tol=1e-10)
    return np.array([found.x[0], np.exp(found.x[1])])


def test_mean_and_spread_are_those_of_the_marginal_likelihood():
    drawn, base = posteriors(FOUND, ERRORS)
    prior = np.array([PRIOR_MEAN]), np.array([PRIOR_SD])
    mean, spread, effective = estimate(drawn, base, np.ones(5), *prior)
    expected = mode(FOUND, ERRORS, np.ones(5))
    np.testing.assert_allclose([mean[0], spread[0]], expected, rtol=2e-3)
    assert min(effective) > 2000


def test_a_table_that_is_given_twice_as_one_source_changes_nothing():
    prior = np.array([PRIOR_MEAN]), np.array([PRIOR_SD])
    once = estimate(*posteriors(FOUND, ERRORS), np.ones(5), *prior)
    again = posteriors(np.append(FOUND, FOUND[-1]), np.append(ERRORS, ERRORS[-1]))
    shared = estimate(*again, np.array([1, 1, 1, 1, 0.5, 0.5]), *prior)
    np.testing.assert_allclose(shared[:2], once[:2], rtol=1e-9)
    alone = estimate(*again, np.ones(6), *prior)
    assert abs(alone[0][0] - once[0][0]) > 0.01


def test_without_sweeps_that_say_something_the_mean_is_that_of_the_base():
    drawn, base = posteriors(FOUND, np.full(5, 50.0))
    mean, spread, _ = estimate(
        drawn, base, np.ones(5), np.array([PRIOR_MEAN]), np.array([PRIOR_SD])
    )
    assert mean[0] == pytest.approx(PRIOR_MEAN, abs=0.01)
    assert spread[0] == pytest.approx(0.5 * PRIOR_SD, rel=0.02)


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
    # Simulated from one truth: the population is close to it, and narrower than the base.
    for name in ("alpha", "beta"):
        truth = np.median([fit.posterior[name].median() for fit in sweeps])
        assert card.priors[name].median == pytest.approx(truth, rel=0.1)
        assert card.priors[name].log_sd < 0.75 * base.priors[name].log_sd
    path = tmp_path / "ours.toml"
    path.write_text(card.to_toml(), encoding="utf-8")
    assert bs.load_model(path).to_dict() == card.to_dict()


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
    with pytest.raises(TypeError, match=r"expected a list of tables of runs"):
        bs.learn_prior("chinchilla", base=base)


def test_a_base_far_from_a_sweep_is_warned_of(base):
    narrow = replace(base.priors["alpha"], median=0.9, log_sd=0.02, why="far away")
    far = replace(base, priors={**base.priors, "alpha": narrow})
    fits = [laplace_fit(far, table_for(base), seed=seed) for seed in (1, 2)]
    with pytest.warns(BayescaleWarning, match=r"draws carry what it says"):
        bs.learn_prior(fits, base=far)
