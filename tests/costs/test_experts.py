"""Parameters and FLOP of experts and routers, against counts by hand and papers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bayescale as bs
from bayescale.costs import ExpertFamily, ExpertShape, Shape, ShapedCost, ShapeFamily, six_nd
from bayescale.errors import AmountError

DENSE = {"n_layer": 3, "d_model": 10, "vocab_size": 100, "n_ctx": 7}
SPARSE = ExpertShape(
    **DENSE, d_ff=40, d_kv=5, n_experts=16, n_active_experts=4, d_expert=8, n_shared_experts=1
)


def test_parameters_counted_by_hand():
    # Of a layer: queries and output 10 x 10 each, keys and values 10 x 5 each; experts of two
    # matrices 10 x 8, 16 routed and 1 shared, of which 4 + 1 are active; a router 10 x 16.
    attention, expert, router = 2 * 100 + 2 * 50, 2 * 80, 160
    assert SPARSE.params_non_embedding == 3 * (attention + 17 * expert + router)
    assert SPARSE.params_active_non_embedding == 3 * (attention + 5 * expert + router)
    assert SPARSE.params_router == 3 * router
    assert SPARSE.params_total == SPARSE.params_non_embedding + 1000
    assert SPARSE.params_active == SPARSE.params_active_non_embedding + 1000


def test_flop_counted_by_hand():
    attention, expert, router = 300, 160, 160
    products = 3 * (attention + 5 * expert + router)
    # Two operations for each parameter of a product forward, and twice that backward.
    assert SPARSE.flop_per_token(attention="none", head=False) == 6 * products
    assert SPARSE.flop_per_token(attention="none", head=False, backward=False) == 2 * products
    assert SPARSE.flop_per_token(attention="none") == 6 * (products + 1000)
    # Scores and weighted sums of a context of seven, half of them masked.
    assert SPARSE.flop_per_token(head=False) == 6 * products + 6 * 3 * 7 * 10
    routed = replace(SPARSE, router_flop=14.0)
    more = routed.flop_per_token() - SPARSE.flop_per_token()
    assert more == pytest.approx((14 - 6) * 3 * router, rel=1e-12)


def test_gated_experts_in_some_of_the_layers():
    shape = replace(SPARSE, gated=True, layer_share=1 / 3, n_shared_experts=0)
    assert shape.params_non_embedding == pytest.approx(
        3 * 300 + 1 * (16 * 3 * 80 + 160) + 2 * 3 * 400, rel=1e-12
    )


def test_one_expert_is_a_dense_model():
    dense, sparse = Shape(**DENSE), ExpertShape(**DENSE)
    assert sparse.params_total == sparse.params_active == dense.params_total
    assert sparse.flop_per_token() == dense.flop_per_token()
    kinds = {"aspect": 64, "vocab_size": 50257, "n_ctx": 2048}
    cost = ShapedCost(family=ExpertFamily(**kinds))
    same = ShapedCost(family=ShapeFamily(**kinds))
    assert cost(3e8, 7e9) == pytest.approx(same(3e8, 7e9), rel=1e-12)


@pytest.mark.parametrize("counts", ["total", "active"])
@pytest.mark.parametrize("embeddings", [True, False])
@given(log_n=st.floats(12, 30), experts=st.integers(1, 512))
def test_shapes_have_the_size_that_was_asked_for(counts, embeddings, log_n, experts):
    family = ExpertFamily(
        aspect=64, vocab_size=50257, n_ctx=2048, n_experts=experts, counts=counts, granularity=2
    )
    size = np.exp(log_n)
    shape = family.of_size(size, total=embeddings)
    name = {
        ("total", True): "params_total",
        ("total", False): "params_non_embedding",
        ("active", True): "params_active",
        ("active", False): "params_active_non_embedding",
    }[counts, embeddings]
    assert float(getattr(shape, name)) == pytest.approx(size, rel=1e-9)


@pytest.mark.parametrize(
    ("active", "granularity", "tokens", "flop"),
    [
        (100e6, 8, 4.37e9, 2.95e18),
        (1e9, 16, 28.94e9, 1.93e20),
        (7e9, 32, 137.60e9, 6.46e21),
        (1e12, 64, 7.94e12, 4.97e25),
    ],
)
def test_compute_of_fine_grained_experts(active, granularity, tokens, flop):
    """Table 2 of Krajewski et al. 2024, of 64 times the feed-forward block and width 64 per layer."""
    family = ExpertFamily(
        **{"aspect": 64, "vocab_size": 50257, "n_ctx": 256, "router_flop": 14.0},
        **{"n_experts": 64 * granularity, "n_active_experts": granularity},
        granularity=granularity,
    )
    # Their active parameters are 12 width^2 per layer, without routers.
    shape = family.of_width(np.cbrt(active * 64 / 12))
    found = shape.flop_per_token(attention="none", head=False) * tokens
    assert found == pytest.approx(flop, rel=0.01)


def test_a_plan_by_exact_flop_of_experts():
    """Under a law of all parameters, 6ND is of models that use all of them for each token."""
    paper = bs.published("abnar2025")
    family = ExpertFamily(
        aspect=64, vocab_size=50432, n_ctx=2048, gated=True, n_experts=64, n_active_experts=4
    )
    fixed = {"activation_ratio": family.activation_ratio}
    cost = ShapedCost(family=family)
    plan = bs.allocate(paper, budget=1e22, cost=cost, fixed=fixed)
    found = plan.table().iloc[0]
    shape = family.of_size(found["n_opt"])
    assert float(cost(found["n_opt"], found["d_opt"])) == pytest.approx(1e22, rel=1e-6)
    # The head, scores and routers are on top of the products with active parameters.
    ratio = 1e22 / six_nd(float(shape.params_active), found["d_opt"])
    assert 1.0 < ratio < 1.2
    held = bs.allocate(
        paper, budget=1e22, cost=cost, fixed=fixed, limits=bs.Limits(max_params="10B")
    ).table()
    assert found["n_opt"] > 1e10 and held["n_opt"].iloc[0] == pytest.approx(1e10)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_experts": 0}, "n_experts: found 0, expected at least 1"),
        (
            {"n_experts": 8, "n_active_experts": 9},
            "n_active_experts: found 9, expected from 1 to 8",
        ),
        ({"granularity": 0.5}, "granularity: found 0.5, expected at least 1"),
        ({"layer_share": 2}, "layer_share: found 2, expected from 0 to 1"),
        ({"counts": "all"}, "counts: found 'all', expected 'total' or 'active'"),
    ],
)
def test_bad_families_are_refused(change, said):
    with pytest.raises(AmountError, match=said):
        ExpertFamily(aspect=64, vocab_size=50257, n_ctx=2048, **change)
