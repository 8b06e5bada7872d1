"""The page of laws on the laboratory's runs: measured critical batches, and runs of a new corpus."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.laboratory.batches import critical_at, hyperbola, measure
from benchmarks.laboratory.pooled import _few
from benchmarks.laboratory.tables import CASES, CORPORA, FEW, recipes

BATCHES = 2.0 ** np.arange(6, 13)
TOKENS = np.array([2.0**18, 2.0**19])


def losses(critical, batches=BATCHES, tokens=TOKENS):
    """Return losses of runs whose tokens are divided by 1 + B / B_crit relative to small batches."""
    return np.log(9.0 * (tokens / (1 + batches[:, None] / critical)) ** -0.1)


@pytest.mark.parametrize("critical", [300.0, 1000.0, 3000.0])
def test_the_critical_batch_of_exact_runs_is_found(critical):
    logs = losses(critical)
    found = critical_at(np.log(2.6), BATCHES, TOKENS, logs)
    assert found == pytest.approx(critical, rel=1e-3)
    assert hyperbola(BATCHES, np.log1p(BATCHES / critical)) == pytest.approx(critical, rel=1e-3)


def test_batches_that_are_too_small_for_the_tuning_are_left_out():
    logs = losses(1000.0)
    logs[:2] += 0.05
    assert critical_at(np.log(2.6), BATCHES, TOKENS, logs) == pytest.approx(1000.0, rel=1e-3)


def test_a_loss_that_few_batches_reach_gives_nan():
    assert np.isnan(critical_at(np.log(1.5), BATCHES, TOKENS, losses(1000.0)))


def test_intervals_of_the_measurement_contain_the_truth():
    table = pd.DataFrame(
        [
            (7168.0, batch, tokens, np.exp(log))
            for batch, row in zip(BATCHES, losses(1000.0), strict=True)
            for tokens, log in zip(TOKENS, row, strict=True)
        ],
        columns=["n_params", "batch_tokens", "n_tokens", "loss"],
    )
    found = list(measure(table, 0.005, "exact"))
    assert found
    for row in found:
        low, middle, high = row.critical
        assert low < 1000.0 < high
        assert low < middle < high


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.card)
def test_the_fitted_runs_of_a_new_corpus_are_its_smallest_settings(case):
    runs = case.runs()
    assert set(runs.families) == set(CORPORA)
    amount = runs.table[case.along].to_numpy(float)
    for corpus in CORPORA:
        new = runs.table["family"].to_numpy() == corpus
        few = _few(runs, new, amount)
        assert few.sum() == FEW
        assert np.all(new[few])
        assert amount[few].max() <= np.median(amount[new])


def test_recipes_contain_corpora():
    table = recipes().table
    assert table.groupby("recipe")["family"].nunique().min() >= 2
    assert table["recipe"].nunique() == 6
