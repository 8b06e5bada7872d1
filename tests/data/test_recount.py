"""Recounting runs by another convention."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

import bayescale as bs
from bayescale.costs import Shape, ShapeFamily, six_nd
from bayescale.costs.counting import COUNTINGS
from bayescale.errors import RunsError, UnknownNameError

close = pytest.approx
UNTIED = ShapeFamily(aspect=100.0, vocab_size=50_000, n_ctx=1024, tied=False)
names = st.sampled_from(sorted(COUNTINGS))


def some_runs(size, tokens=1e9) -> bs.Runs:
    size = np.atleast_1d(np.asarray(size, dtype=float))
    tokens = np.broadcast_to(tokens, size.shape)
    loss = 3.0 + 0.01 * np.arange(len(size))
    table = pd.DataFrame({"n_params": size, "n_tokens": tokens, "loss": loss})
    return bs.load_runs(table, units={"n_tokens": "tokens"})  # so few for so large models


def test_a_recount_to_the_same_counting_keeps_compute_as_it_was(chinchilla_runs):
    table = chinchilla_runs.table
    measured = bs.load_runs(table.assign(compute=1.03 * table["compute"]), keep_outliers=True)
    same = bs.recount(measured, "total")
    np.testing.assert_array_equal(same.compute, measured.compute)
    assert same.fingerprint == measured.fingerprint


def test_given_shapes_are_used_for_recounts():
    shape = Shape(
        n_layer=np.array([4, 8, 24]),
        d_model=np.array([256, 512, 2048]),
        vocab_size=50432,
        n_ctx=2048,
    )
    runs = some_runs(shape.params_total)
    body = bs.recount(runs, "non-embedding", shapes=shape)
    np.testing.assert_allclose(body.n_params, 12 * shape.n_layer * shape.d_model**2)
    np.testing.assert_allclose(body.compute, six_nd(body.n_params, 1e9))
    assert "non-embedding" in body.notes[-1]
    # The shapes of the family would give another count.
    guessed = bs.recount(runs, "non-embedding")
    assert np.abs(np.log(guessed.n_params / body.n_params)).max() > 0.1
    with pytest.raises(RunsError, match="row 0: found .* its shape has"):
        bs.recount(some_runs(3 * shape.params_total), "non-embedding", shapes=shape)
    with pytest.raises(RunsError, match="found shapes of 3 models for 2 runs"):
        bs.recount(some_runs([1e8, 1e9]), "non-embedding", shapes=shape)
    with pytest.raises(UnknownNameError, match="'total'"):
        bs.recount(runs, "totl")


def test_shapes_of_a_public_table_are_its_own_counts(shared_table):
    """Every counting of Porian et al. 2024 follows from that of the body and the width."""
    table = pd.read_csv(shared_table("porian_isoflop"))
    table = table[table["view"] == "standard-val"].drop_duplicates("params")
    shape = Shape(
        n_layer=table["params_nonembed"].to_numpy() / (12 * table["width"].to_numpy() ** 2.0),
        d_model=table["width"].to_numpy(dtype=float),
        vocab_size=50432,
        n_ctx=2048,
    )
    runs = some_runs(table["params_nonembed"])
    total = bs.recount(runs, "total", given="non-embedding", shapes=shape)
    np.testing.assert_allclose(total.n_params, table["params"].to_numpy(), rtol=1e-12)
