"""Ranks along a chain through a draw are uniform for the right density, however slowly it mixes."""

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.validation.sbc_chain import ReversibleChain

SCALES = np.array([1.0, 0.01])
RANKED = 40


def normal(position: np.ndarray, scales: np.ndarray = SCALES) -> tuple[float, np.ndarray]:
    """Independent normals, of which one is narrow."""
    slope = -position / scales**2
    return float(0.5 * position @ slope), slope


def ranks(chain: ReversibleChain, count: int, seed: int) -> bs.Sbc:
    """Return ranks of draws of the density, by their first entry and by the density."""
    rng = np.random.default_rng(seed)
    found = []
    for truth in SCALES * rng.standard_normal((count, 2)):
        among = chain.path(truth, RANKED, rng)
        values = np.array([truth, *among])
        of_each = {
            "wide": values[:, 0],
            "narrow": values[:, 1],
            "density": -0.5 * ((values / SCALES) ** 2).sum(axis=1),
        }
        found.append({name: (v[1:] < v[0]).mean() for name, v in of_each.items()})
    sampler = pd.DataFrame({"divergences": np.zeros(count)})
    return bs.Sbc(pd.DataFrame(found), sampler, RANKED)


def learnt(density=normal, seed: int = 1) -> ReversibleChain:
    rng = np.random.default_rng(seed)
    return ReversibleChain.learnt(density, SCALES * rng.standard_normal((200, 2)), rng)


@pytest.mark.slow
def test_ranks_are_uniform_however_slowly_the_chain_moves():
    swift = learnt()
    assert 0.1 < swift.step < 3.0
    # Narrow proposals move the chain slowly, in trajectories of few steps.
    slow = ReversibleChain(normal, np.diag([1e-3, 1e-3]), 1.0)
    for chain in (swift, slow):
        assert ranks(chain, 300, seed=2).ok(), chain
    path = slow.path(np.zeros(2), RANKED, np.random.default_rng(3))
    assert np.ptp(path[:, 0]) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.7, 1.5])
def test_a_density_of_another_width_is_detected(factor):
    found = ranks(learnt(lambda x: normal(x, factor * SCALES)), 300, seed=2)
    assert not found.ok()
    assert found.table().loc["density", "p_value"] < 1e-3


def test_a_path_stays_where_there_is_density():
    """Half of it is missing, and so are some values."""

    def half(position: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = normal(position)
        return (value if position[0] > 0 else np.nan), slope

    rng = np.random.default_rng(5)
    draws = np.abs(SCALES * rng.standard_normal((200, 2)))
    path = ReversibleChain.learnt(half, draws, rng).path(draws[0], 100, rng)
    assert path.shape == (100, 2)
    assert (path[:, 0] > 0).all()
    assert np.ptp(path[:, 0]) > 0.5


def test_a_path_is_the_same_for_the_same_random_numbers():
    one, other = (learnt().path(np.zeros(2), 10, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
