"""Columns of mixtures of experts, as people name them."""

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import MissingColumnError, RunsError

RUNS = pd.DataFrame(
    {"n_params": [1e8, 2e8, 4e8], "n_tokens": [1e9, 2e9, 4e9], "loss": [3.0, 2.9, 2.8]}
).assign(compute=lambda table: 6 * table["n_params"] * table["n_tokens"])
SPARSE = ("n_params", "n_tokens", "activation_ratio")
GRANULAR = ("n_params", "n_tokens", "granularity")


@pytest.mark.parametrize(
    "columns",
    [
        {"activation_ratio": [1.0, 0.25, 0.125]},
        {"activation_ratio": ["100 %", "25 %", "12.5%"]},
        {"sparsity": [0.0, 0.75, 0.875]},
        {"Expert sparsity": ["0 %", "75 %", 0.875]},
        {"n_experts": [2, 8, 16], "n_active_experts": [2, 2, 2]},
        {"num_experts": [1, 8, 8], "top_k": [1, 2, 1]},
        {"num_local_experts": [1, 8, 8], "num_experts_per_tok": [1, 2, 1]},
        {"n_experts": [1, 8, 8], "top_k": [1, 2, 1], "sparsity": [0, 0.75, 0.875]},
    ],
)
def test_the_activation_ratio_is_read_or_derived(columns):
    runs = bs.load_runs(RUNS.assign(**columns), needs=SPARSE)
    assert runs.column("activation_ratio") == pytest.approx([1.0, 0.25, 0.125], rel=1e-12)


def test_the_rule_by_which_it_was_derived_is_said():
    runs = bs.load_runs(RUNS.assign(num_experts=8, top_k=[8, 2, 1]), needs=SPARSE)
    assert runs.derived["activation_ratio"] == "n_active_experts / n_experts"
    assert "activation_ratio derived as n_active_experts / n_experts" in runs.notes
    assert "activation_ratio is derived as n_active_experts / n_experts." in runs.account


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"sparsity": [0.0, 0.5, 1.0]},
            r"row 2, column 'sparsity': found 1\.0, expected the share",
        ),
        ({"sparsity": [-0.1, 0.5, 0.9]}, r"row 0, column 'sparsity': found -0\.1"),
        ({"sparsity": ["most", 0.5, 0.9]}, r"found 'most', .* such as 0\.875 or '87\.5 %'"),
        ({"activation_ratio": [0.5, 1.5, 2.0]}, r"at most 1 \(2 of 3 rows are above\)"),
        ({"activation_ratio": [0.5, 0.0, 0.1]}, r"a share above 0 and up to 1"),
        ({"n_experts": [8, 8, 8], "top_k": [1, 9, 1]}, r"row 1.* found 9 active of 8 experts"),
        ({"n_experts": [8, 8, 8], "top_k": [1, 0.5, 1]}, r"found 0\.5 active of 8 experts"),
        (
            {"n_experts": [8, 8, 8], "top_k": [1, 1, 2], "sparsity": [0.875, 0.875, 0.875]},
            r"row 2.* found 0\.875, but by the numbers of experts it is 0\.75 \(1 of 3 rows",
        ),
    ],
)
def test_impossible_ratios_are_refused(columns, said):
    with pytest.raises(RunsError, match=said):
        bs.load_runs(RUNS.assign(**columns), needs=SPARSE)


def test_a_missing_ratio_is_said_with_what_gives_it():
    with pytest.raises(MissingColumnError, match="derived from sparsity, .* or from n_experts and"):
        bs.load_runs(RUNS.assign(n_experts=8), needs=SPARSE)


def test_granularity_is_at_least_one():
    table = RUNS.assign(**{"Expert granularity": [1, 2.5, 8]})
    assert bs.load_runs(table, needs=GRANULAR).column("granularity").tolist() == [1.0, 2.5, 8.0]
    with pytest.raises(RunsError, match=r"found 0\.5, expected at least 1 \(1 of 3 rows are below"):
        bs.load_runs(RUNS.assign(granularity=[0.5, 1, 2]), needs=GRANULAR)


def test_columns_of_experts_keep_their_names_for_other_laws():
    table = RUNS.assign(num_experts=8, top_k=1, sparsity=0.875)
    assert {"num_experts", "top_k", "sparsity"} <= set(bs.load_runs(table).table)
    needs = ("n_params", "n_tokens", "n_experts")
    assert bs.load_runs(table, needs=needs).column("n_experts").tolist() == [8.0, 8.0, 8.0]


def test_a_law_of_all_parameters_takes_all_of_them():
    sizes = {"total_params": [4e8, 8e8, 16e8], "active_params": [1e8, 2e8, 4e8]}
    table = RUNS.drop(columns="n_params").assign(sparsity=0.75, **sizes)
    assert bs.load_runs(table, needs=SPARSE).n_params.tolist() == sizes["total_params"]
    with pytest.raises(RunsError, match="could each be n_params"):
        bs.load_runs(table)


def test_compute_derived_of_all_parameters_is_noted():
    table = RUNS.drop(columns="compute").assign(sparsity=[0.0, 0.75, 0.875])
    (note,) = bs.load_runs(table, needs=SPARSE).notes_of("counting")
    assert note.startswith("compute is derived by C = 6ND of all parameters")
    spent = table["n_params"] * table["n_tokens"]  # of active parameters, a sixth of 6ND
    assert bs.load_runs(table.assign(compute=spent), needs=SPARSE).notes_of("counting") == ()


def test_shares_of_plans_are_read_too():
    paper = bs.published("abnar2025")
    at = {"n_params": "1B", "n_tokens": "20B"}
    by = [
        float(bs.predict(paper, inputs={**at, "activation_ratio": ratio})["loss"].squeeze())
        for ratio in (0.125, "12.5 %")
    ]
    assert by[0] == by[1]
    with pytest.raises(bs.AmountError, match="expected a share above 0 and up to 1"):
        bs.allocate(paper, budget=1e21, fixed={"activation_ratio": 8})
    assert np.isfinite(by[0])
