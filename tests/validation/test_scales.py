"""Scores of held-out scales: a table with the density of every run, which copies keep."""

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.validation.scales import ScalesLeftOut

CUTS = (1e20, 1e21)


def left_out(models, seed=0, counts=(30, 20)):
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([models, CUTS], names=["model", "cut"])
    densities = {
        (model, cut): rng.normal(1.0 + len(model) / 10, 0.3, size=count)
        for model in models
        for cut, count in zip(CUTS, counts, strict=True)
    }
    table = pd.DataFrame({"elpd": [d.sum() for d in densities.values()]}, index=index)
    return ScalesLeftOut(table, densities)


def test_joined_results_keep_their_densities():
    """Joined tables keep the densities of the runs."""
    first, second = left_out(["a"]), left_out(["bbbb"], seed=1)
    both = first.join(second)
    assert both.models == ("a", "bbbb") and both.cuts == CUTS
    weights = bs.stacking_weights(both)
    assert weights.sum() == pytest.approx(1.0)
    # Against a grid search over weights.
    density = np.array(
        [np.concatenate([both.pointwise[m, c] for c in CUTS]) for m in ("a", "bbbb")]
    )
    grid = np.linspace(0.0, 1.0, 2001)
    score = np.log(np.exp(density).T @ np.array([grid, 1.0 - grid])).sum(axis=0)
    assert weights["a"] == pytest.approx(grid[score.argmax()], abs=2e-3)
    assert bs.stacking_weights(first)["a"] == 1.0


def test_a_part_and_a_copy_keep_their_densities():
    both = left_out(["a", "bbbb"])
    alone = both.of(["bbbb"])
    assert alone.models == ("bbbb",)
    assert set(alone.pointwise) == {("bbbb", cut) for cut in CUTS}
    with pytest.raises(ValueError, match="read-only"):
        alone.pointwise["bbbb", 1e20][0] = 0.0


def test_scores_that_do_not_belong_together_are_refused():
    first = left_out(["a"])
    with pytest.raises(ValueError, match=r"found a at the cut 1e\+20 in both"):
        first.join(first)
    with pytest.raises(ValueError, match="found 29 runs above the cut .* of b and 30 of another"):
        first.join(left_out(["b"], counts=(29, 20)))
    with pytest.raises(ValueError, match="found no model with log densities at every cut"):
        bs.stacking_weights(first.of([]))
