"""The preconditioner at a mode, and the search for the mode."""

import numpy as np
import pytest

from bayescale.inference.preconditioner import Frame, nearer_the_mode

RNG = np.random.default_rng(5)
WIDTHS = np.array([1e-3, 0.1, 1.0, 1.0])
TURN = np.linalg.qr(RNG.standard_normal((4, 4)))[0]
COVARIANCE = TURN @ np.diag(WIDTHS**2) @ TURN.T
MEAN = np.array([1.0, -2.0, 0.5, 3.0])


def normal(position):
    """Four dependent scalars, and two standard normal steps."""
    pull = np.linalg.solve(COVARIANCE, position[:4] - MEAN)
    value = -0.5 * (position[:4] - MEAN) @ pull - 0.5 * (position[4:] ** 2).sum()
    return float(value), np.concatenate([-pull, -position[4:]])


def test_a_normal_is_standard_in_its_frame():
    frame = Frame.about_mode(normal, np.zeros(6), 4)
    np.testing.assert_allclose(frame.axes @ frame.axes.T, COVARIANCE, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(frame.centre[:4], MEAN, atol=0.01)
    assert not np.any(frame.centre[4:])


def test_a_position_goes_through_the_frame_and_back():
    frame = Frame.about_mode(normal, np.zeros(6), 4)
    position = RNG.standard_normal(6)
    there = frame.seen(position)
    placed = frame.centre + np.concatenate([frame.axes @ there[:4], there[4:]])
    np.testing.assert_allclose(placed, position, atol=1e-10)
    assert frame.packed().shape == (Frame.room(6, 4),)


@pytest.mark.parametrize("value", [np.nan, -np.inf, np.inf])
def test_a_density_without_a_value_has_the_plain_frame(value):
    frame = Frame.about_mode(lambda x: (value, np.full(6, np.nan)), np.ones(6), 4)
    np.testing.assert_array_equal(frame.packed(), Frame.plain(6, 4).packed())


def test_an_undetermined_direction_has_a_finite_scale():
    frame = Frame.about_mode(lambda x: (0.0, np.zeros(3)), np.zeros(3), 2)
    np.testing.assert_allclose(np.abs(frame.axes).max(), 4.0)


def test_a_chain_does_not_start_thousands_of_nats_below_the_mode():
    wild = MEAN + TURN @ np.full(4, 0.5)
    start = np.concatenate([wild, [3.0, -3.0]])
    assert normal(start)[0] < -1e5
    found = nearer_the_mode(normal, start)
    assert -100.0 < normal(found)[0] < 0.0


def test_a_start_is_no_worse_than_where_the_search_began_and_rounded():
    start = np.concatenate([MEAN, [1.5, -1.5]])
    found = nearer_the_mode(normal, start)
    assert normal(start)[0] <= normal(found)[0]
    np.testing.assert_array_equal(found, found.round(6))


@pytest.mark.parametrize("value", [np.nan, -np.inf, np.inf])
def test_a_start_without_a_density_stays(value):
    start = np.ones(6)
    found = nearer_the_mode(lambda x: (value, np.full(6, np.nan)), start)
    np.testing.assert_array_equal(found, start)
