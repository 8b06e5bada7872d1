"""Counts of parameters and compute: translations both ways, and the exponents they make."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.costs import Shape, ShapeFamily, pearce2024, six_nd
from bayescale.errors import RunsError, UnknownNameError
from bayescale.sensitivity.apparent_exponent import (
    BODY,
    COUNTINGS,
    STUDIES,
    Study,
    chinchilla_shapes,
)

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


@settings(deadline=None, max_examples=60)
@given(
    log_n=st.floats(np.log(1e5), np.log(1e12)),
    there=names,
    back=names,
    family=st.sampled_from([chinchilla_shapes, UNTIED]),
)
def test_counts_translate_there_and_back(log_n, there, back, family):
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


def test_a_recount_to_the_same_counting_keeps_compute_as_it_was(chinchilla_runs):
    table = chinchilla_runs.table
    measured = bs.load_runs(table.assign(compute=1.03 * table["compute"]), keep_outliers=True)
    same = bs.recount(measured, "total")
    np.testing.assert_array_equal(same.compute, measured.compute)
    assert same.fingerprint == measured.fingerprint


def test_shapes_that_are_given_need_no_guess():
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
    # The family would have guessed otherwise.
    guessed = bs.recount(runs, "non-embedding")
    assert np.abs(np.log(guessed.n_params / body.n_params)).max() > 0.1
    with pytest.raises(RunsError, match="row 0: found .* its shape has"):
        bs.recount(some_runs(3 * shape.params_total), "non-embedding", shapes=shape)
    with pytest.raises(RunsError, match="found shapes of 3 models for 2 runs"):
        bs.recount(some_runs([1e8, 1e9]), "non-embedding", shapes=shape)
    with pytest.raises(UnknownNameError, match="'total'"):
        bs.recount(runs, "totl")


def test_shapes_of_a_public_table_are_its_own_counts(shared_table):
    """Every view's count of Porian et al. 2024 follows from the one of bodies and the width."""
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


@pytest.mark.parametrize(
    ("constants", "reported"), [("besiroglu2024-log", 0.78), ("hoffmann2022", 0.74)]
)
def test_kaplans_study_under_chinchillas_law(constants, reported):
    """Pearce and Song 2024, who read curves of twenty models; here the frontier is exact."""
    law = bs.published(constants)
    table = bs.apparent_exponents(law)
    kaplan = table.loc[("non-embedding", "kaplan2020"), "median"]
    assert kaplan == close(reported, abs=0.01)
    # Against their closed form for C of N, and the exponent that they derive from it.
    p, w = law.parameters, pearce2024.w
    n = np.geomspace(*STUDIES["kaplan2020"].sizes, 4001)
    alpha, beta = p["alpha"], p["beta"]
    frontier = (beta * p["B"] / (alpha * p["A"])) * (n + w * np.cbrt(n)) ** (1 + alpha)
    log_c = np.log(6 * n) + np.log(frontier / (n + w / 3 * np.cbrt(n))) / beta
    local = pearce2024.local_exponent(n, alpha=alpha, beta=beta)
    np.testing.assert_allclose(np.gradient(np.log(n), log_c)[1:-1], local[1:-1], rtol=1e-4)
    even = np.linspace(log_c[0], log_c[-1], 4001)
    slope = np.polynomial.polynomial.polyfit(even, np.interp(even, log_c, np.log(n)), 1)[1]
    assert kaplan == close(slope, abs=0.003)
    # In total parameters any range has the law's own exponent, and so have large models.
    truth = beta / (alpha + beta)
    assert table.loc["total", "median"].to_numpy() == close(np.full(2, truth), abs=1e-6)
    far = {"far": Study(sizes=(1e14, 1e17), counting="total", source="beyond anyone")}
    large = bs.apparent_exponents(law, countings=["non-embedding"], ranges=far)
    assert large["median"].iloc[0] == close(truth, abs=0.001)
    tiny = {"tiny": Study(sizes=(1e-3, 1.0), counting="non-embedding", source="no one")}
    small = bs.apparent_exponents(law, countings=["non-embedding"], ranges=tiny)
    assert small["median"].iloc[0] == close(beta / (beta + alpha / 3), abs=0.005)


def test_leaving_more_out_biases_more():
    table = bs.apparent_exponents(bs.published("besiroglu2024"), countings=list(COUNTINGS))
    kaplan = table.xs("kaplan2020", level="sizes_of")["median"]
    hoffmann = table.xs("hoffmann2022", level="sizes_of")["median"]
    assert kaplan["non-embedding, attention"] > kaplan["non-embedding"] > kaplan["total"]
    # Kaplan's convention over Hoffmann's range is nearly harmless.
    assert (hoffmann - hoffmann["total"]).abs().max() < 0.04
    assert kaplan["non-embedding"] - kaplan["total"] > 0.2


def test_exponents_of_a_posterior_have_intervals(fit):
    table = bs.apparent_exponents(fit, draws=200)
    assert (table["lower"] < table["median"]).all() and (table["median"] < table["upper"]).all()
    a = fit.quantities["a"]
    total = table.loc[("total", "hoffmann2022")]
    assert total["median"] == close(float(a.median()), abs=0.003)
    assert total["upper"] - total["lower"] == close(
        float(a.quantile(0.95) - a.quantile(0.05)), rel=0.25
    )
    # What Kaplan would have found of this law lies above what any draw has in total parameters.
    assert table.loc[("non-embedding", "kaplan2020"), "lower"] > total["upper"] + 0.2


def test_kaplans_law_in_total_parameters():
    """The other way: a law of parameters without embeddings, looked at in all of them."""
    kaplan = bs.published("kaplan2020-nd")
    table = bs.apparent_exponents(kaplan, given="non-embedding")
    own = table.loc[("non-embedding", "kaplan2020"), "median"]
    assert table.loc[("non-embedding", "hoffmann2022"), "median"] == close(own, abs=1e-6)
    assert table.loc[("total", "kaplan2020"), "median"] < own
