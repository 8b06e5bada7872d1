"""Conventions of counting parameters and compute."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.costs import ShapeFamily, pearce2024
from bayescale.costs.counting import COUNTINGS, chinchilla_shapes
from bayescale.data.recount import BODY

close = pytest.approx
UNTIED = ShapeFamily(aspect=100.0, vocab_size=50_000, n_ctx=1024, tied=False)
names = st.sampled_from(sorted(COUNTINGS))


def some_runs(size, tokens=1e9) -> bs.Runs:
    size = np.atleast_1d(np.asarray(size, dtype=float))
    tokens = np.broadcast_to(tokens, size.shape)
    loss = 3.0 + 0.01 * np.arange(len(size))
    table = pd.DataFrame({"n_params": size, "n_tokens": tokens, "loss": loss})
    return bs.load_runs(table, units={"n_tokens": "tokens"})  # so few for so large models


def test_chinchillas_shapes_are_pearce_and_songs_rule():
    assert chinchilla_shapes.embeddings.w == close(pearce2024.w, rel=1e-12)


@settings(max_examples=60)
@given(
    log_n=st.floats(np.log(1e5), np.log(1e12)),
    there=names,
    back=names,
    family=st.sampled_from([chinchilla_shapes, UNTIED]),
)
def test_recounts_are_inverse(log_n, there, back, family):
    runs = bs.recount(some_runs(np.exp(log_n)), back, shapes=family)
    moved = bs.recount(runs, there, given=back, shapes=family)
    again = bs.recount(moved, back, given=there, shapes=family)
    assert again.n_params[0] == close(runs.n_params[0], rel=1e-9)
    if there != back:
        assert again.compute[0] == close(
            COUNTINGS[back].cost(family)(runs.n_params[0], 1e9), rel=1e-9
        )
    assert moved.table[BODY][0] == close(again.table[BODY][0], rel=1e-9)


@given(log_n=st.floats(np.log(1e5), np.log(1e12)))
def test_what_is_counted_adds_up(log_n):
    shape = chinchilla_shapes.of_size(np.exp(log_n))
    flop = {name: float(c.flop_per_token(shape)) for name, c in COUNTINGS.items()}
    body = float(shape.params_non_embedding)
    assert flop["non-embedding"] == close(6 * body)
    # With a tied embedding the head is what N has beside the body, so that C is 6ND again.
    assert flop["total"] == close(6 * float(shape.params_total))
    attention = flop["non-embedding, attention"] - flop["non-embedding"]
    assert attention == close(6 * float(shape.n_layer * shape.d_model) * 2048)
    assert flop["total, attention"] - flop["total"] == close(attention)
    embedding = 6 * 32_000 * float(shape.d_model)
    assert flop["everything"] == close(flop["total"] + 2 * attention + embedding)
