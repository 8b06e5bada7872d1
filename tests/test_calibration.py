"""Coverage of larger runs held out."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import RunsError

QUICK = {"seed": 1, "draws": 300, "progress": False}


def test_scales_are_left_out_one_after_the_other(chinchilla_runs, tmp_path):
    store = tmp_path / "scores.jsonl"
    cuts = ["3e20", 1e21]
    table = bs.leave_scale_out(
        ["chinchilla", "kaplan-nd"], chinchilla_runs, cuts, store=store, **QUICK
    )
    assert list(table.index.names) == ["model", "cut"]
    assert len(table) == 4
    for (_, cut), row in table.iterrows():
        below = chinchilla_runs.compute < cut
        assert (row["n_train"], row["n_test"]) == (below.sum(), (~below).sum())
        assert row["distance"] > 0
        assert row["coverage_50"] <= row["coverage_90"] <= row["coverage_95"] <= 1
        assert row["interval_score_90"] >= row["width_90"]
    by_model = table.groupby("model")["rmsle"].mean()
    assert by_model["chinchilla"] < by_model["kaplan-nd"]
    lines = store.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    again = bs.leave_scale_out(
        ["chinchilla", "kaplan-nd"], chinchilla_runs, cuts, store=store, **QUICK
    )
    pd.testing.assert_frame_equal(again, table)
    assert store.read_text(encoding="utf-8").splitlines() == lines


@pytest.mark.slow
def test_a_process_pool_gives_the_same_numbers(chinchilla_runs):
    alone = bs.leave_scale_out(["chinchilla"], chinchilla_runs, [3e20, 1e21], **QUICK)
    with ProcessPoolExecutor(2) as executor:
        pooled = bs.leave_scale_out(
            ["chinchilla"], chinchilla_runs, [3e20, 1e21], executor=executor, **QUICK
        )
    pd.testing.assert_frame_equal(alone, pooled)


def test_a_model_that_cannot_be_fitted_leaves_the_others_alone(chinchilla_runs):
    cut = float(np.sort(chinchilla_runs.compute)[4])
    table = bs.leave_scale_out(["chinchilla"], chinchilla_runs, [cut, 1e21], **QUICK)
    status = table.loc[("chinchilla", cut), "status"]
    assert "expected at least 7" in status
    assert np.isfinite(table.loc[("chinchilla", 1e21), "elpd"])


def test_any_column_may_be_the_scale(chinchilla_runs):
    table = bs.leave_scale_out(["chinchilla"], chinchilla_runs, ["2B"], by="n_params", **QUICK)
    assert table["n_test"].iloc[0] == (chinchilla_runs.n_params >= 2e9).sum()


def test_a_cut_outside_the_runs_is_refused(chinchilla_runs):
    with pytest.raises(RunsError, match="found 240 of 240 runs with compute below 1e"):
        bs.leave_scale_out(["chinchilla"], chinchilla_runs, [1e25], **QUICK)
    model = bs.load_model("chinchilla")
    with pytest.raises(ValueError, match="give each a name of its own"):
        bs.leave_scale_out([model, replace(model, title="x")], chinchilla_runs, [1e21], **QUICK)
