"""Laws parametrised by their ends: properties for any parameters."""

import numpy as np
import pytest
from scipy import stats

from bayescale.forecasting.ends import LAWS, SIGNED

SPAN = 4.0


@pytest.fixture(params=LAWS)
def law(request):
    return LAWS[request.param]


@pytest.fixture
def unknowns(law):
    rng = np.random.default_rng(3)
    return rng.standard_normal((400, law.shares)), np.exp(0.5 * rng.standard_normal(400))


def test_the_ends_are_those_that_were_given(law, unknowns):
    z, fall = unknowns
    found = law.log_loss(z, fall, SPAN, np.array([-SPAN, 0.0]))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, 1], 0.0, atol=1e-6)
    share = z[:, 0] if law.name in SIGNED else 1.0
    np.testing.assert_allclose(found[:, 0], share * fall, atol=1e-6)


def test_a_law_of_either_sign_falls_and_rises():
    law = SIGNED["broken-power-law-1-signed"]
    # Total fall, change of slope, position of the break (two thirds of the way) and its width.
    z = np.tile([0.5, -1.2, stats.norm.ppf(stats.beta(1.2, 1.2).cdf(2 / 3)), -4.0], (2, 1))
    found = law.log_loss(z, np.ones(2), SPAN, np.linspace(-SPAN, 0.0, 121))
    lowest = found.argmin(axis=1)
    assert (lowest > 70).all() and (lowest < 95).all()
    assert (np.diff(found[:, :60]) < 0).all() and (np.diff(found[:, 100:]) > 0).all()
    turned = law.log_loss(z * [-1, -1, 1, 1], np.ones(2), SPAN, np.linspace(-SPAN, 0.0, 121))
    np.testing.assert_allclose(turned, -found, atol=1e-9)


def test_the_loss_falls_throughout_and_beyond(law, unknowns):
    if law.name in SIGNED:
        pytest.skip("it may rise")
    z, fall = unknowns
    if law.name == "broken-power-law-2":
        # A wide second break may begin before a sharp first one, and dominate the slope there.
        z = z.copy()
        z[:, 5:] = -2.0
    found = law.log_loss(z, fall, SPAN, np.linspace(-SPAN, SPAN, 60))
    assert np.isfinite(found).all()
    assert np.diff(found, axis=1).max() <= 1e-7


def test_natural_parameters_are_those_of_the_law(law, unknowns):
    z, fall = unknowns
    natural = law.natural(z, fall, SPAN)
    assert set(natural) == set(law.law.parameters)
    for name, value in natural.items():
        assert value.shape == (400, 1)
        assert law.law.parameters[name].support == "real" or (value >= 0).all(), name


def test_the_floor_is_a_uniform_share_of_the_last_loss():
    law = LAWS["power-law-floor"]
    probs = (np.arange(1000) + 0.5) / 1000
    floor = law.natural(stats.norm.ppf(probs)[:, None], np.ones(1000), SPAN)["E"][:, 0]
    np.testing.assert_allclose(floor, probs, rtol=1e-8)


def test_breaks_are_in_order_and_about_the_data():
    law = LAWS["broken-power-law-2"]
    z = np.random.default_rng(1).standard_normal((500, law.shares))
    natural = law.natural(z, np.ones(500), SPAN)
    first, second = (np.log(natural[name]) for name in ("d1", "d2"))
    assert (first <= second).all()
    assert first.min() > -1.05 * SPAN - 1e-9 and second.max() < 0.05 * SPAN + 1e-9


def test_a_broken_law_with_equal_slopes_is_the_one_without_breaks():
    broken, plain = LAWS["broken-power-law-2"], LAWS["power-law-floor"]
    z = np.random.default_rng(1).standard_normal((50, broken.shares))
    z[:, 1:3] = 0.0  # both ratios of slopes are one
    fall, log_x = np.full(50, 0.8), np.linspace(-SPAN, SPAN, 9)
    np.testing.assert_allclose(
        broken.log_loss(z, fall, SPAN, log_x),
        plain.log_loss(z[:, :1], fall, SPAN, log_x),
        atol=1e-12,
    )


def test_a_signed_law_without_changes_of_slope_is_a_power_law():
    signed, plain = LAWS["broken-power-law-2-signed"], LAWS["power-law"]
    z = np.random.default_rng(1).standard_normal((50, signed.shares))
    z[:, 0], z[:, 1:3] = 1.0, 0.0
    fall, log_x = np.full(50, 0.8), np.linspace(-SPAN, SPAN, 9)
    np.testing.assert_allclose(
        signed.log_loss(z, fall, SPAN, log_x),
        plain.log_loss(z[:, :0], fall, SPAN, log_x),
        atol=1e-12,
    )
