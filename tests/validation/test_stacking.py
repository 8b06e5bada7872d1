"""Stacking weights: closed forms, the condition of the maximum, and refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayescale.errors import BayescaleError
from bayescale.validation import stacking
from bayescale.validation.stacking import best_weights


def test_one_model_has_all_the_weight():
    assert best_weights(np.array([[-3.0], [2.0]])) == pytest.approx([1.0])


def test_a_model_that_is_better_everywhere_has_all_the_weight():
    log_density = np.random.default_rng(1).normal(size=(40, 1))
    assert best_weights(np.hstack([log_density - 0.5, log_density])) == pytest.approx([0.0, 1.0])


def test_equal_models_have_equal_weights():
    log_density = np.random.default_rng(2).normal(size=(40, 1))
    assert best_weights(np.hstack(3 * [log_density])) == pytest.approx([1 / 3] * 3)


def test_models_of_separate_runs_have_their_shares_as_weights():
    """If each run has a density under one model only, weights are the shares of the runs."""
    log_density = np.full((10, 3), -np.inf)
    log_density[:5, 0], log_density[5:8, 1], log_density[8:, 2] = 1.0, -2.0, 3.0
    assert best_weights(log_density) == pytest.approx([0.5, 0.3, 0.2], abs=1e-5)


def test_two_models_and_two_runs_by_hand():
    """Densities (a, 1) and (1, b): the derivative of the log score is zero at a weight."""
    a, b = 3.0, 2.0
    # (a - 1) / (1 + (a - 1) w) = (b - 1) / (b - (b - 1) w) for the first weight w.
    weight = ((a - 1) * b - (b - 1)) / (2 * (a - 1) * (b - 1))
    expected = min(weight, 1.0)
    assert best_weights(np.log([[a, 1.0], [1.0, b]]))[0] == pytest.approx(expected, abs=1e-5)


@given(
    seed=st.integers(0, 2**32 - 1),
    runs=st.integers(1, 60),
    models=st.integers(1, 5),
    spread=st.floats(-3.0, 2.5),
)
def test_no_other_weights_do_better(seed, runs, models, spread):
    """Models from nearly equal to very different, against the corners and random mixtures."""
    rng = np.random.default_rng(seed)
    log_density = 10**spread * rng.normal(size=(runs, models)) + rng.normal(size=models)
    weights = best_weights(log_density)
    assert (weights >= 0.0).all() and weights.sum() == pytest.approx(1.0)

    def mean_score(w):
        with np.errstate(divide="ignore"):
            return np.logaddexp.reduce(log_density + np.log(w), axis=1).mean()

    others = [*np.eye(models), *rng.dirichlet(np.ones(models), size=20)]
    assert all(mean_score(other) <= mean_score(weights) + 1e-6 for other in others)


def test_runs_without_any_density_are_refused():
    log_density = np.zeros((3, 2))
    log_density[1] = -np.inf
    with pytest.raises(ValueError, match="found log densities -inf, -inf of the held-out run 2"):
        best_weights(log_density)
    log_density[1] = np.nan, 0.0
    with pytest.raises(ValueError, match="run 2, expected a finite one"):
        best_weights(log_density)


def test_a_search_that_ends_too_early_is_refused(monkeypatch):
    monkeypatch.setattr(stacking, "_ITERATIONS", 1)
    log_density = np.random.default_rng(3).normal(size=(50, 4))
    with pytest.raises(BayescaleError, match=r"ended .* nats a run below the best mixture"):
        best_weights(log_density)
