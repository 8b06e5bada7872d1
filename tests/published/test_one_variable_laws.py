"""Numbers that papers print for laws of one variable, and their limits; 1e-5 relative."""

import numpy as np
import pytest
from published.allocations import close

import bayescale as bs


@pytest.mark.parametrize(
    ("x", "loss"), [(100, 2.180981023), (928, 0.5625980687), (2000, 0.415728005)]
)
def test_broken_power_law_of_the_released_example(x, loss):  # check 24
    constants = bs.published("caballero2022-toy")
    found = bs.law(constants.law).evaluate(x=x, **constants.parameters)
    assert found == close(loss, rel=1e-9)


def test_a_plateau_of_zero_is_a_power_law():
    plain = bs.law("power-law").evaluate(x=1e9, x_c=1e13, alpha=0.1)
    level = 1e13**0.1
    assert bs.law("power-law-plateau").evaluate(x=1e9, b=level, gamma=1e-30, c=0.1) == close(plain)


def test_a_break_of_no_change_is_no_break():
    p = {"a": 1.5, "b": 40.0, "c0": 0.2, "c1": 0.0, "d1": 1e9, "f1": 0.3}
    floor = {"E": 1.5, "x_c": 40.0 ** (1 / 0.2), "alpha": 0.2}
    for x in (1e6, 1e9, 1e13):
        broken = bs.law("broken-power-law-1").evaluate(x=x, **p)
        assert broken == close(bs.law("power-law-floor").evaluate(x=x, **floor), rel=1e-12)


def test_slopes_far_from_a_break():
    law, p = bs.law("broken-power-law-1"), dict(bs.published("caballero2022-toy").parameters)
    p["a"] = 0.0
    for x, slope in ((1e-4, p["c0"]), (1e8, p["c0"] + p["c1"])):
        drop = np.log(law.evaluate(x=x, **p) / law.evaluate(x=x * np.e, **p))
        assert drop == close(slope, rel=1e-6)


def test_henighan_frontier():  # check 35
    found = bs.published("henighan2020-frontier").at(compute=1.0)["n_params"]
    assert found == close(9.01906e-7, rel=1e-6)


@pytest.mark.parametrize(("compute", "error"), [(0.2, 0.538949), (10, 0.206097), (1e4, 0.100351)])
def test_zhai(compute, error):  # check 35
    constants = bs.published("zhai2022")
    found = bs.law(constants.law).evaluate(x=compute, **constants.parameters)
    assert found == close(error, abs=5e-7)


def test_error_from_loss():
    p = bs.published("gadre2024-refinedweb-error").parameters
    law = bs.law("error-from-loss")
    assert law.evaluate(loss=3.0, **p) == close(0.865 - 2.21 * np.exp(-0.707 * 3.0), rel=1e-12)
    assert law.evaluate(loss=100.0, **p) == close(0.865, rel=1e-12)


def test_accuracy_from_loss():
    """The second step of Bhagia et al., as in their code: a / (1 + exp(-k (x - x0))) + b."""
    law = bs.law("accuracy-from-loss")
    p = {"a": 0.25, "b": 0.95, "L_0": 0.8, "k": 6.0}
    assert law.evaluate(loss=0.8, **p) == close(0.6, rel=1e-12)
    theirs = 0.7 / (1.0 + np.exp(6.0 * (0.5 - 0.8))) + 0.25
    assert law.evaluate(loss=0.5, **p) == close(theirs, rel=1e-12)
    assert law.to_reference(p, law.unit_reference)["reach"] == close(0.7 / 0.75, rel=1e-12)


def test_loss_from_loss():
    """Brandfonbrener et al.: one reducible loss is a power of the other, and floor maps to floor."""
    law = bs.law("loss-from-loss")
    p = {"E_1": 1.5, "K": 1.1, "kappa": 0.95, "E_0": 1.7}
    loss = np.array([2.0, 2.7, 4.0])
    np.testing.assert_allclose(law.evaluate(loss=loss, **p), 1.5 + 1.1 * (loss - 1.7) ** 0.95)
    assert law.evaluate(loss=1.7, **p) == close(1.5, rel=1e-4)
    # If both losses are Chinchilla's laws whose terms differ by one factor, kappa is one.
    chinchilla, at = bs.law("chinchilla"), {"alpha": 0.3, "beta": 0.3}
    size, tokens = np.geomspace(1e7, 1e10, 9), np.geomspace(2e11, 1e9, 9)
    one = chinchilla.evaluate(n_params=size, n_tokens=tokens, E=1.7, A=400.0, B=500.0, **at)
    other = chinchilla.evaluate(n_params=size, n_tokens=tokens, E=1.5, A=440.0, B=550.0, **at)
    found = law.evaluate(loss=one, E_1=1.5, K=1.1, kappa=1.0, E_0=1.7)
    np.testing.assert_allclose(found, other, rtol=1e-12)
    coordinates = law.to_reference(p, {"loss": 3.0})
    step = 1e-6
    ends = law.evaluate(loss=3.0 * np.exp([-step, step]), **p)
    assert coordinates["e_l"] == close(np.diff(np.log(ends))[0] / (2 * step), rel=1e-6)
    ends = np.log(ends - 1.5)
    assert coordinates["kappa_l"] == close(np.diff(ends)[0] / (2 * step), rel=1e-6)


def test_the_sigmoid_law_solves_its_equation():
    p = {"E": 0.3, "L_0": 1.0, "b": 90.0, "c": 0.25, "alpha": 0.7}
    x = np.geomspace(1e3, 1e14, 23)
    loss = bs.law("power-law-sigmoid").evaluate(x=x, **p)
    left = (loss - p["E"]) / (p["L_0"] - loss) ** p["alpha"]
    np.testing.assert_allclose(left, p["b"] * x ** -p["c"], rtol=1e-8)
    # With alpha near zero it is M2, below chance level.
    flat = bs.law("power-law-sigmoid").evaluate(x=x[-6:], **{**p, "alpha": 1e-4})
    np.testing.assert_allclose(flat, p["E"] + p["b"] * x[-6:] ** -p["c"], rtol=1e-4)


def test_henighan_one_variable_laws():
    for name, x, loss in (
        ("henighan2020-language-n", 1.47e14, 1.0),
        ("henighan2020-image-32x32-n", 63.0, 3.20),
        ("henighan2020-video-n", 3.7e4, 2.01),
    ):
        constants = bs.published(name)
        found = bs.law(constants.law).evaluate(x=x, **constants.parameters)
        assert found == close(loss, rel=1e-12)
