"""Broken power laws: the meaning of coordinates, and conversion to natural parameters and back."""

import numpy as np
import pytest

import bayescale as bs
from bayescale.laws import LAWS
from bayescale.laws.base import ends_of

BROKEN = [law for law in LAWS.values() if law.breaks]
FIRST, LAST = ends_of("x")
REFERENCE = {"x": 3e6, FIRST: 1e3, LAST: 1e10}

each = pytest.mark.parametrize("law", BROKEN, ids=[law.name for law in BROKEN])


def parameters_of(law, rng) -> dict[str, float]:
    """Return natural parameters with breaks in order among the runs."""
    breaks, numbers = law.breaks, range(1, law.breaks + 1)
    falling = "a" in law.parameters
    slopes = (
        np.exp(rng.normal(-1.5, 0.7, breaks + 1)) if falling else rng.normal(0, 0.3, breaks + 1)
    )
    positions = np.exp(np.sort(rng.uniform(np.log(1e4), np.log(1e9), breaks)))
    found = {"a": rng.lognormal()} if falling else {}
    found |= {"b": 1e3 * rng.lognormal(), "c0": slopes[0]}
    found |= {f"c{i}": slopes[i] - slopes[i - 1] for i in numbers}
    found |= {f"d{i}": positions[i - 1] for i in numbers}
    return found | {f"f{i}": 0.3 * rng.lognormal() for i in numbers}


@each
def test_natural_parameters_come_back_from_the_ends_of_the_runs(law):
    rng = np.random.default_rng(1)
    for _ in range(50):
        natural = parameters_of(law, rng)
        back = law.from_reference(law.to_reference(natural, REFERENCE), REFERENCE)
        assert set(back) == set(law.parameters)
        for name, value in natural.items():
            assert back[name] == pytest.approx(value, rel=1e-6), name


@each
def test_coordinates_say_what_is_at_the_ends(law):
    natural = parameters_of(law, np.random.default_rng(2))
    c = law.to_reference(natural, REFERENCE)
    first, last = (law.evaluate(x=REFERENCE[end], **natural) for end in (FIRST, LAST))
    assert c["loss_ref"] == pytest.approx(last)
    assert c["fall"] == pytest.approx(np.log(first / last))
    # A twentieth of the range lies outside either end, and each break between the one before
    # and the last end.
    low, high = np.log(1e3) - 0.05 * np.log(1e7), np.log(1e10) + 0.05 * np.log(1e7)
    for i in range(1, law.breaks + 1):
        low = low + (high - low) * c[f"break{i}"]
        assert np.exp(low) == pytest.approx(natural[f"d{i}"])
        assert 0.0 < c[f"break{i}"] < 1.0


@each
def test_coordinates_do_not_depend_on_the_unit_of_x(law):
    natural = parameters_of(law, np.random.default_rng(3))
    c = law.to_reference(natural, REFERENCE)
    in_thousands = {name: amount / 1e3 for name, amount in REFERENCE.items()}
    other = law.from_reference(c, in_thousands)
    x = np.geomspace(1e2, 1e12, 7)
    np.testing.assert_allclose(
        law.evaluate(x=x / 1e3, **other), law.evaluate(x=x, **natural), rtol=1e-9
    )


def test_equal_elasticities_at_a_floor_of_half_the_loss():
    law = bs.law("broken-power-law-1")
    c = {"loss_ref": 1.0, "fall": np.log(2.0), "floor_share": 0.5, "ratio1": 1.0}
    natural = law.from_reference({**c, "break1": 0.5, "f1": 0.01}, REFERENCE)
    # At the first x a quarter of the loss is floor, at the last a half: for the loss itself to fall
    # as steeply, what is above the floor falls (3/4) / (1/2) times as steeply.
    assert (natural["c0"] + natural["c1"]) / natural["c0"] == pytest.approx(1.5)
    log_x = np.log([1e3, 1e10])[:, None] + np.array([-1e-5, 1e-5])
    slope = np.diff(np.log(law.formula({"x": log_x}, natural)), axis=1)
    assert slope[0] == pytest.approx(slope[1], rel=1e-6)


def test_a_law_of_either_sign_without_changes_is_a_power_law():
    law = bs.law("broken-power-law-2-signed")
    c = {"loss_ref": 2.0, "fall": -0.7, "change1": 0.0, "change2": 0.0}
    natural = law.from_reference(
        {**c, "break1": 0.3, "break2": 0.5, "f1": 0.3, "f2": 0.3}, REFERENCE
    )
    assert natural["c0"] == pytest.approx(-0.7 / np.log(1e7))
    x = np.geomspace(1e3, 1e12, 5)
    expected = 2.0 * (x / 1e10) ** (0.7 / np.log(1e7))
    np.testing.assert_allclose(law.evaluate(x=x, **natural), expected, rtol=1e-12)


def test_breaks_outside_the_runs_are_said_to_be_there():
    law = bs.law("broken-power-law-1")
    draws = {"d1": np.array([1e2, 1e5, 1e5, 1e11])}
    beyond, before = law.remarks(draws, {"x": (1e3, 1e10)})
    assert beyond.startswith("Break 1 lies beyond the data with probability 0.25")
    assert before.startswith("Break 1 lies before the data with probability 0.25")
    assert law.remarks(draws, {"x": (1e2, 1e11)}) == ()
