"""Costs: counts of operations, and the inverse of the cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.costs import (
    PEAKS,
    Cluster,
    FunctionCost,
    Lifetime,
    Money,
    ProductCost,
    RecountedCost,
    Serving,
    Shape,
    ShapedCost,
    ShapeFamily,
    TokenPrice,
    as_cost,
    pearce2024,
    six_nd,
    two_nd,
)
from bayescale.errors import AmountError

close = pytest.approx
CLUSTER = Cluster(n_gpus=2048, peak="989 TFLOP/s", utilisation=0.4, price="$2")
FAMILY = ShapeFamily(aspect=128, vocab_size=50257, n_ctx=2048)


def with_head(n_params, n_tokens):
    return 6 * (n_params + 40 * np.sqrt(n_params)) * n_tokens + 1e12 * n_tokens**0.5


COSTS = {
    "6ND": six_nd,
    "12ND": ProductCost(12.0, "12ND"),
    "shapes": ShapedCost(family=FAMILY),
    "shapes, full": ShapedCost(family=FAMILY, attention="full", embedding=True, total=False),
    "recounted": RecountedCost(six_nd, pearce2024.non_embedding, "6ND without embeddings"),
    "lifetime": Lifetime(Serving(n_tokens="100B")),
    "money": Money(cluster=CLUSTER, serving=Serving(n_tokens="1B")),
    "token prices": Money(price=TokenPrice("$0.06", n_params="7B")),
    "own": as_cost(with_head),
}
by_cost = pytest.mark.parametrize("cost", COSTS.values(), ids=list(COSTS))


@by_cost
@settings(max_examples=30)
@given(
    log_n=st.floats(np.log(1e6), np.log(1e12)),
    log_d=st.floats(np.log(1e8), np.log(1e14)),
)
def test_what_a_budget_buys_costs_the_budget(cost, log_n, log_d):
    size, tokens = np.exp(log_n), np.exp(log_d)
    assert float(cost.tokens_for(cost(size, tokens), size)) == close(tokens, rel=1e-6)


@by_cost
def test_costs_are_vectorised_and_rise_in_both(cost):
    size, tokens = np.geomspace(1e7, 1e12, 6), np.geomspace(1e9, 1e13, 5)[:, None]
    spent = cost(size, tokens)
    assert spent.shape == (5, 6)
    assert (np.diff(spent, axis=0) > 0).all() and (np.diff(spent, axis=1) > 0).all()
    assert spent[2, 3] == close(float(cost(size[3], tokens[2, 0])), rel=1e-12)
    assert cost.name and cost.unit in ("FLOP", "$")
    # Training FLOP, without prices or serving.
    assert cost.training.unit == "FLOP"
    assert (cost.training(size, tokens) <= spent * (1 + 1e-12)).all() or cost.unit == "$"


def test_attention_of_gpt3_by_convention():
    gpt3 = Shape(n_layer=96, d_model=12288, vocab_size=50257, n_ctx=2048)
    assert gpt3.params_non_embedding == 12 * 96 * 12288**2
    linear = gpt3.flop_per_token(attention="none", head=False)
    assert linear == 6 * gpt3.params_non_embedding
    for convention, per_layer, share in (("causal", 6, 0.0139), ("full", 12, 0.0278)):
        extra = gpt3.flop_per_token(attention=convention, head=False) - linear
        assert extra == per_layer * 96 * 2048 * 12288
        assert extra / linear == close(share, abs=6e-5)
    head = gpt3.flop_per_token() - gpt3.flop_per_token(head=False)
    assert head == 6 * 50257 * 12288
    assert gpt3.flop_per_token(backward=False) == close(gpt3.flop_per_token() / 3, rel=1e-12)


def test_other_shapes_count_their_own_matrices():
    llama = Shape(
        **{"n_layer": 80, "d_model": 8192, "vocab_size": 128256, "n_ctx": 8192},
        **{"d_ff": 28672, "d_kv": 1024, "gated": True, "tied": False},
    )
    # Llama 3 70B: 70.55e9 parameters by its configuration, all but the norms' 1.3e6.
    assert llama.params_total == 70_552_387_584
    learned = Shape(n_layer=2, d_model=4, vocab_size=10, n_ctx=6, learned_positions=True)
    assert learned.params_embedding == 16 * 4


@given(log_n=st.floats(np.log(1e4), np.log(1e13)), w=st.floats(1.0, 1e6))
def test_counts_translate_both_ways(log_n, w):
    embeddings = bs.costs.Embeddings(w)
    size = np.exp(log_n)
    assert float(embeddings.non_embedding(embeddings.total(size))) == close(size, rel=1e-9)


def test_embeddings_of_a_family_agree_with_its_shapes():
    shape = FAMILY.of_size(1e9)
    assert float(shape.params_total) == close(1e9, rel=1e-12)
    inner = FAMILY.of_size(1e9, total=False)
    assert float(inner.params_non_embedding) == close(1e9, rel=1e-12)
    assert float(inner.params_total) == close(float(FAMILY.embeddings.total(1e9)), rel=1e-12)
    assert float(shape.d_model / shape.n_layer) == close(128)


def test_terms_outside_6nd_shrink_with_size():
    """Terms outside 6ND dominate the cost of small models."""
    cost, size = ShapedCost(family=FAMILY, total=False), np.geomspace(1e7, 1e13, 7)
    excess = cost(size, 1.0) / six_nd(size, 1.0)
    assert (np.diff(excess) < 0).all()
    assert excess[0] > 1.2 and excess[-1] < 1.01


def test_a_lifetime_without_serving_is_training():
    served = Lifetime(Serving(n_tokens=1e-30))
    assert served(7e9, 2e12) == six_nd(7e9, 2e12)
    assert Lifetime(Serving(n_tokens="2T"))(7e9, 2e12) == 8.4e22 + 2.8e22
    assert Lifetime(Serving(n_tokens="2T"), weight=0.5)(7e9, 2e12) == 8.4e22 + 1.4e22
    exact = ShapedCost(family=FAMILY)
    forward = ShapedCost(family=FAMILY, backward=False)
    assert Serving(n_tokens=1e9, forward=forward).compute(7e9) == close(exact(7e9, 1e9) / 3)


def test_clusters_in_hours_days_and_money():
    flop = 2.9e24
    hours = flop / (989e12 * 0.4 * 3600)
    assert CLUSTER.gpu_hours(flop) == close(hours)
    assert CLUSTER.days(flop) == close(hours / 2048 / 24)
    assert CLUSTER.money(flop) == close(2 * hours)
    for what, amount in (
        ("days", CLUSTER.days(flop)),
        ("gpu_hours", CLUSTER.gpu_hours(flop)),
        ("money", CLUSTER.money(flop)),
    ):
        assert CLUSTER.compute(**{what: amount}) == close(flop)
    assert Cluster(n_gpus=8, peak="A100", utilisation=0.5).peak == PEAKS["A100"]
    assert str(CLUSTER) == "2,048 GPUs at 40 %"


def test_money_counts_serving_at_its_own_price():
    cheap = Cluster(n_gpus=64, peak="A100", utilisation=0.2, price=0.5)
    cost = Money(cluster=CLUSTER, serving=Serving(n_tokens="1T", cluster=cheap))
    served = cheap.money(two_nd(7e9, 1e12))
    assert cost(7e9, 2e12) == close(CLUSTER.money(six_nd(7e9, 2e12)) + served)
    assert cost.unit == "$" and cost.training is six_nd


def test_prices_of_tokens():
    price = TokenPrice("$0.06", n_params="7B")
    assert price(14e9) == close(2 * 0.06e-6)
    served = Serving(n_tokens="1T", price=TokenPrice("$0.20", n_params="7B"))
    cost = Money(price=price, serving=served)
    assert cost(7e9, 2e12) == close(0.06e-6 * 2e12 + 0.20e-6 * 1e12)
    assert cost.of_training(7e9, 2e12) == close(1.2e5)
    assert cost.tokens_for(cost(7e9, 2e12), 7e9) == close(2e12)
    assert cost.unit == "$" and Money(price=price).name == "training"
    # A price of tokens, or a cluster with one of hours: one of them, and for serving too.
    free = Cluster(n_gpus=8, peak=1e15, utilisation=0.4)
    for wrong, words in (
        ({}, "found neither"),
        ({"cluster": free}, "found neither"),
        ({"cluster": CLUSTER, "price": price}, "found both"),
        ({"price": price, "serving": Serving(n_tokens=1e12)}, "serving without a price"),
    ):
        with pytest.raises(AmountError, match=words):
            Money(**wrong)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"utilisation": 40}, "utilisation: found 40"),
        ({"peak": "fast"}, "peak: found 'fast'"),
        ({"n_gpus": 0}, "n_gpus: found 0"),
        ({"price": "free"}, "price: found 'free'"),
    ],
)
def test_bad_clusters_are_refused(change, words):
    good = {"n_gpus": 8, "peak": 1e15, "utilisation": 0.4}
    with pytest.raises(AmountError, match=words):
        Cluster(**{**good, **change})


def test_a_cluster_without_a_price_says_so():
    free = Cluster(n_gpus=8, peak=1e15, utilisation=0.4)
    with pytest.raises(AmountError, match="price: found none"):
        free.money(1e21)
    with pytest.raises(AmountError, match="found nothing, expected one of days"):
        free.compute()
    with pytest.raises(AmountError, match="found days and gpu_hours"):
        free.compute(days=3, gpu_hours=4)


def test_functions_are_costs_and_other_things_are_not():
    named = as_cost(with_head)
    assert isinstance(named, FunctionCost) and named.name == "with_head"
    assert as_cost(six_nd) is six_nd
    with pytest.raises(TypeError, match="cost: found 6"):
        as_cost(6)
    priced = FunctionCost(function=lambda n, d: 1e-18 * n * d, unit="$", train=six_nd)
    assert priced.training(1e9, 1e10) == 6e19
    # Even one token exceeds the budget.
    assert np.isnan(named.tokens_for(1.0, 1e9))
