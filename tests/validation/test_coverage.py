"""Pooled scores and the standard error of a coverage, against closed forms."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayescale.validation.coverage import coverage_se, pooled_scores
from bayescale.validation.scored import Score, pointwise_scores

SCORES = pd.DataFrame(
    {
        "source": ["a", "a", "b", "b"],
        "n_test": [10, 30, 10, 10],
        "coverage_50": [0.5, 0.5, 0.5, 0.5],
        "coverage_90": [1.0, 0.8, 0.9, 0.5],
        "rmsle": [0.3, 0.1, 0.2, 0.2],
        "bias": [0.1, -0.1, 0.0, 0.0],
        "width_90": [1.0, 2.0, 3.0, 4.0],
        "ok": [True, False, True, True],
    }
)


def test_each_held_out_run_counts_once():
    found = pooled_scores(SCORES).loc["all"]
    assert found["n_fits"] == 4 and found["n_failed"] == 1 and found["n_test"] == 60
    assert found["coverage_90"] == pytest.approx((10 + 24 + 9 + 5) / 60)
    assert found["rmsle"] == pytest.approx(np.sqrt((10 * 0.09 + 30 * 0.01 + 20 * 0.04) / 60))
    assert found["bias"] == pytest.approx((1 - 3) / 60)
    assert found["width_90"] == pytest.approx((10 + 60 + 30 + 40) / 60)
    assert found["coverage_50_se"] == 0.0


def test_groups_are_the_pooled_scores_of_their_rows():
    by_source = pooled_scores(SCORES, by="source")
    assert list(by_source.index) == ["a", "b"] and by_source.index.name == "source"
    for source, row in by_source.iterrows():
        alone = pooled_scores(SCORES[SCORES["source"] == source]).loc["all"]
        pd.testing.assert_series_equal(row, alone, check_names=False)
    two = pooled_scores(SCORES.assign(table=[1, 2, 1, 2]), by=["source", "table"])
    assert two.index.names == ["source", "table"]
    np.testing.assert_allclose(two["coverage_90"], SCORES["coverage_90"])
    assert two["coverage_90_se"].isna().all()


def test_levels_of_the_index_are_columns():
    indexed = SCORES.assign(cut=[1.0, 2.0, 1.0, 2.0]).set_index(["source", "cut"])
    plain = SCORES.assign(cut=[1.0, 2.0, 1.0, 2.0])
    pd.testing.assert_frame_equal(
        pooled_scores(indexed, by="source", clusters="cut"),
        pooled_scores(plain, by="source", clusters="cut"),
    )
    assert coverage_se(indexed, clusters="cut") == coverage_se(plain, clusters="cut")


def test_pooling_scores_is_scoring_the_pooled_runs():
    rng = np.random.default_rng(3)
    drawn, observed = rng.standard_normal((200, 24)), 2.0 * rng.standard_normal(24)
    elpd, below = np.zeros(24), (drawn < observed).mean(axis=0)

    def scored(part: slice) -> Score:
        table = pointwise_scores(drawn[:, part], observed[part], elpd[part], below[part])
        return Score(table, 0.0, drawn[:, part], observed[part])

    parts = pd.DataFrame([scored(slice(0, 5)).summary(), scored(slice(5, 24)).summary()])
    found, whole = pooled_scores(parts).loc["all"], scored(slice(0, 24)).summary()
    shared = [name for name in whole if name in found]
    assert len(shared) >= 9
    np.testing.assert_allclose(found[shared].to_numpy(float), [whole[name] for name in shared])


def test_the_error_of_clusters_of_one_size_is_that_of_their_mean():
    shares = np.array([0.9, 1.0, 0.7, 0.85, 0.95])
    scores = pd.DataFrame({"n_test": 20, "coverage_90": shares})
    assert coverage_se(scores) == pytest.approx(shares.std(ddof=1) / np.sqrt(5))


def test_the_error_of_a_ratio_is_that_of_cochran():
    count, share = np.array([10.0, 30.0, 20.0]), np.array([1.0, 0.8, 0.5])
    covered, pooled = count * share, (count * share).sum() / count.sum()
    residual = covered - pooled * count
    expected = np.sqrt(residual @ residual / 2 / 3) / count.mean()
    scores = pd.DataFrame({"n_test": count, "coverage_90": share})
    assert coverage_se(scores) == pytest.approx(expected)
    assert pooled_scores(scores).loc["all", "coverage_90_se"] == pytest.approx(expected)


@pytest.mark.slow
def test_intervals_of_pooled_coverage_have_their_level():
    """Overdispersed shares of clusters: the interval of the coverage has its nominal level."""
    rng = np.random.default_rng(5)
    inside, repeats = 0, 400
    for _ in range(repeats):
        count = rng.integers(5, 40, size=30)
        covered = rng.binomial(count, rng.beta(9, 1, size=30))
        scores = pd.DataFrame({"n_test": count, "coverage_90": covered / count})
        found = pooled_scores(scores).loc["all"]
        inside += abs(found["coverage_90"] - 0.9) < 1.96 * found["coverage_90_se"]
    # With so few clusters the coverage of the normal interval is slightly below 0.95.
    assert 0.89 < inside / repeats < 0.98


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), min_size=2, max_size=8))
def test_rows_of_one_cluster_are_one_part(rows):
    """Splitting a cluster into equal rows changes neither share nor error."""
    scores = pd.DataFrame(rows, columns=["n_test", "coverage_90"]).assign(table=range(len(rows)))
    twice = pd.concat([scores, scores], ignore_index=True)
    found = pooled_scores(twice, clusters="table").loc["all"]
    once = pooled_scores(scores).loc["all"]
    for name in ("coverage_90", "coverage_90_se"):
        assert found[name] == pytest.approx(once[name], abs=1e-12)


def test_one_cluster_has_no_error():
    assert coverage_se(SCORES, clusters="source") > 0.0
    assert np.isnan(coverage_se(SCORES[:2], clusters="source"))


def test_fits_without_scores_count_as_fits_alone():
    failed = pd.DataFrame({"source": ["a"], "ok": [False], "status": ["too few runs"]})
    both = pd.concat([SCORES, failed], ignore_index=True)
    found, without = (pooled_scores(table).loc["all"] for table in (both, SCORES))
    assert found["n_fits"] == 5 and found["n_failed"] == 2
    rest = [name for name in without.index if name not in ("n_fits", "n_failed")]
    pd.testing.assert_series_equal(found[rest], without[rest])
    nothing = pooled_scores(failed.assign(n_test=np.nan, coverage_90=np.nan)).loc["all"]
    assert nothing["n_test"] == 0 and np.isnan(nothing["coverage_90"])


def test_a_score_that_is_missing_leaves_the_others():
    """A group of diverged runs has no coverage; others use the runs that did not diverge."""
    scores = SCORES.assign(coverage_90=[np.nan, 0.8, 0.9, 0.5])
    assert pooled_scores(scores).loc["all", "coverage_90"] == pytest.approx((24 + 9 + 5) / 50)


def test_what_is_missing_is_said():
    with pytest.raises(ValueError, match="expected place too"):
        pooled_scores(SCORES, by="place")
    with pytest.raises(ValueError, match="expected coverage_80 too"):
        coverage_se(SCORES, prob=0.8)
    with pytest.raises(ValueError, match="found no row"):
        pooled_scores(SCORES[:0])
