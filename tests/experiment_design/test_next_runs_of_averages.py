"""The value of runs under an average of laws, consistent with that under fits."""

import numpy as np
import pandas as pd
import pytest
from contract.fits import fit_of_card, laplace_fit, models

import bayescale as bs
from bayescale.errors import UnsuitableLawError

ASKED = {"target": 1e22, "budget": 1e20, "n_runs": 2}


@pytest.fixture(scope="module")
def one() -> bs.Fit:
    return fit_of_card("chinchilla")


@pytest.fixture(scope="module")
def two_laws(one) -> dict[str, bs.Fit]:
    """Two laws with normal and Student-t noise on the same runs."""
    return {"t": one, "normal": laplace_fit(models()["normal"], one.runs.table)}


def test_one_law_with_all_the_weight_is_that_law(one):
    alone = bs.next_runs(bs.model_average({"a": one, "b": one}, {"a": 1.0}), **ASKED)
    found = bs.next_runs(one, **ASKED)
    # The same draws choose and evaluate; the noise of outcomes has separate random streams.
    assert alone.before == found.before
    assert alone.source.n_draws == one.n_draws
    assert alone.reduction == pytest.approx(found.reduction, abs=5 * found.mcse)


def test_a_mixture_of_a_law_with_itself_is_that_law(one):
    mixture = bs.model_average({"a": one, "b": one}, {"a": 0.5, "b": 0.5})
    runs = [("2B", "250B")] * 3
    found, halves = (
        bs.value_of_runs(source, runs, target=1e22, objective="size") for source in (one, mixture)
    )
    error = np.hypot(found.mcse, halves.mcse)
    assert halves.reduction == pytest.approx(found.reduction, abs=5 * error)
    # The same runs and number of draws, which are independent in this fit.
    assert halves.mcse == pytest.approx(found.mcse, rel=0.5)


def test_outcomes_of_each_law_have_its_own_noise(two_laws):
    """The value of given runs lies between those under each law, to Monte Carlo error."""
    runs = [("2B", "250B")] * 3
    each = [bs.value_of_runs(fit, runs, target=1e22, objective="size") for fit in two_laws.values()]
    both = bs.model_average(two_laws, {"t": 0.5, "normal": 0.5})
    mixed = bs.value_of_runs(both, runs, target=1e22, objective="size")
    error = 5 * max(f.mcse for f in (*each, mixed))
    low, high = sorted(f.reduction for f in each)
    assert low - error < mixed.reduction < high + error
    assert mixed.headline.startswith("Average of laws (t 50 %, normal 50 %)")
    assert 0 < mixed.mcse < mixed.before


def test_laws_of_which_few_draws_are_taken_count_by_their_draws(two_laws):
    """A law with one draw in a thousand moves neither the value nor its error."""
    some = bs.model_average(two_laws, {"t": 0.999, "normal": 0.001})
    assert sorted(part.n_draws for part in some.parts.values()) == [1, 999]
    runs = [("2B", "250B")] * 3
    found, alone = (
        bs.value_of_runs(source, runs, target=1e22, objective="size")
        for source in (some, two_laws["t"])
    )
    assert found.mcse == pytest.approx(alone.mcse, rel=0.5)
    assert found.before == pytest.approx(alone.before, rel=0.1)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_advice(two_laws):
    both = bs.model_average(two_laws, {"t": 0.5, "normal": 0.5})
    one, again = (bs.next_runs(both, **ASKED) for _ in range(2))
    pd.testing.assert_frame_equal(one.table(), again.table())
    assert (one.after, one.mcse) == (again.after, again.mcse)
    assert bs.next_runs(both, **ASKED, seed=5).after != one.after


def test_published_constants_are_refused():
    constants = bs.published("besiroglu2024")
    with pytest.raises(UnsuitableLawError, match="do not change published constants; give a fit"):
        bs.next_runs(constants, **ASKED)
    with pytest.raises(UnsuitableLawError, match="do not change published constants; give a fit"):
        bs.value_of_runs(constants, [("1B", "20B")], target=1e22)
