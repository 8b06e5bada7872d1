"""Numbers that papers print for laws of repeated data, transfer, experts, over-training and decoders."""

import numpy as np
import pytest
from published.allocations import close

import bayescale as bs


@pytest.mark.parametrize(
    ("size", "tokens", "unique", "loss"),
    [
        (6.34e9, 242e9, 25e9, 2.2256440889984477),
        (8.67e9, 178e9, 25e9, 2.2269634075087867),
    ],
)
def test_data_constrained_losses(size, tokens, unique, loss):  # check 19
    constants = bs.published("muennighoff2023")
    found = bs.law(constants.law).evaluate(
        n_params=size, n_tokens=tokens, n_unique_tokens=unique, **constants.parameters
    )
    assert found == close(loss, rel=1e-7)


def test_fresh_data_and_few_parameters_are_chinchilla():
    p = dict(bs.published("muennighoff2023").parameters)
    chinchilla = {name: p[name] for name in ("E", "A", "B", "alpha", "beta")}
    at = {"n_params": np.geomspace(1e7, 4e8, 7), "n_tokens": 1e10}
    for unique in (1e10, 5e10):
        repeated = bs.law("data-constrained").evaluate(**at, n_unique_tokens=unique, **p)
        fresh = bs.law("chinchilla").evaluate(**at, **chinchilla)
        np.testing.assert_allclose(repeated, fresh, rtol=1e-12)


@pytest.mark.parametrize(
    ("epochs", "efficiency"), [(2, 0.984), (4, 0.931), (8, 0.828), (16, 0.661), (40, 0.379)]
)
def test_worth_of_repeated_tokens(epochs, efficiency):
    """Effective tokens per token after some epochs, solved from the loss."""
    p = bs.published("muennighoff2023").parameters
    law, unique = bs.law("data-constrained"), 1e10
    at = {"n_params": 1e8, "n_unique_tokens": unique}
    loss = law.evaluate(**at, n_tokens=epochs * unique, **p)
    size_term = p["A"] * 1e8 ** -p["alpha"]
    effective = ((loss - p["E"] - size_term) / p["B"]) ** (-1 / p["beta"])
    assert effective / unique / epochs == close(efficiency, abs=6e-4)


@pytest.mark.parametrize(("source", "amount"), [("text", 4.93649e8), ("text-and-code", 1.05878e9)])
def test_effective_data_transferred(source, amount):  # check 36
    constants = bs.published(f"hernandez2021-{source}")
    found = bs.law(constants.law).evaluate(
        n_finetuning_tokens=3e8, n_params=4e7, **constants.parameters
    )
    assert found == close(amount, rel=1e-5)


@pytest.mark.parametrize("corpus", ["c4", "redpajama", "refinedweb"])
def test_over_training_is_chinchilla_with_one_exponent(corpus):
    p = bs.published(f"gadre2024-{corpus}").parameters
    law = bs.law("over-training")
    size, tokens = np.geomspace(1e7, 1e11, 9), np.geomspace(1e9, 1e13, 9)[:, None]
    compute, ratio = 6 * size * tokens, tokens / size
    printed = (
        p["E"] + (p["a"] * ratio ** p["eta"] + p["b"] * ratio ** -p["eta"]) * compute ** -p["eta"]
    )
    own = law.evaluate(n_params=size, n_tokens=tokens, **p)
    np.testing.assert_allclose(own, printed, rtol=1e-12)
    chinchilla = {
        "E": p["E"],
        "A": p["a"] * 6 ** -p["eta"],
        "B": p["b"] * 6 ** -p["eta"],
        **{"alpha": 2 * p["eta"], "beta": 2 * p["eta"]},
    }
    same = bs.law("chinchilla").evaluate(n_params=size, n_tokens=tokens, **chinchilla)
    np.testing.assert_allclose(own, same, rtol=1e-12)
    # The best ratio is sqrt(b / a)^(1 / eta) at every budget.
    for budget in (1e20, 1e24):
        log_n = law.optimal_log_params(p, np.log(budget / 6))
        assert np.exp(np.log(budget / 6) - 2 * log_n) == close(
            (p["b"] / p["a"]) ** (1 / (2 * p["eta"])), rel=1e-10
        )


@pytest.mark.parametrize(
    ("experts", "size_level", "size_slope", "data_level", "data_slope"),
    [(1, 30.3640, -0.1817, 53.9838, -0.1965), (32, 16.5424, -0.1557, 234.6726, -0.2652)],
)
def test_mixture_of_experts_for_a_number_of_experts(
    experts, size_level, size_slope, data_level, data_slope
):
    """Table 4 of Ludziejewski et al., to the precision of the constants in their table 3."""
    constants = bs.published("ludziejewski2025")
    law, p = bs.law(constants.law), constants.parameters

    def term(n_params: float, n_tokens: float) -> float:
        return law.evaluate(n_params=n_params, n_tokens=n_tokens, n_experts=experts, **p) - p["c"]

    for at, level, slope in (
        (lambda v: term(v, 1e300), size_level, size_slope),
        (lambda v: term(1e300, v), data_level, data_slope),
    ):
        assert np.log(at(np.e * 1e9) / at(1e9)) == close(slope, abs=2e-4)
        assert at(1.0) == close(level, rel=3e-3)


@pytest.mark.parametrize(
    ("active", "tokens", "granularity", "loss"),
    [
        (100e6, 4.37e9, 8, 3.133),
        (1e9, 28.94e9, 16, 2.491),
        (7e9, 137.60e9, 32, 2.076),
        (70e9, 941.07e9, 32, 1.694),
        (1e12, 7.94e12, 64, 1.367),
    ],
)
def test_losses_of_fine_grained_experts(active, tokens, granularity, loss):
    """Table 2 of Krajewski et al., from the rounded constants of their table 1.

    Of 64 times the feed-forward block, with attention of half a block, N is 43 times as large.
    """
    constants = bs.published("krajewski2024")
    total = (8 * 64 + 4) / (8 + 4) * active
    found = bs.law(constants.law).evaluate(
        n_params=total, n_tokens=tokens, granularity=granularity, **constants.parameters
    )
    assert found == close(loss, rel=0.01)


def test_the_best_sparsity_rises_with_size_and_falls_with_compute():
    """Abnar et al., section 2 and figure 4; with size free, sparser is better."""
    constants = bs.published("abnar2025")
    law, p = bs.law(constants.law), constants.parameters
    ratio = np.array([1.0, 0.5, 0.25, 0.1, 0.05])

    def loss(size, budget):
        return law.evaluate(
            n_params=size, n_tokens=budget / (6 * ratio * size), activation_ratio=ratio, **p
        )

    of_sizes = [ratio[np.argmin(loss(size, 1e20))] for size in (5e7, 2e8, 1e9, 3e10)]
    assert of_sizes == [1.0, 0.5, 0.1, 0.05]
    assert ratio[np.argmin(loss(1e9, 1e21))] == 0.5
    best = np.min([loss(size, 1e20) for size in np.geomspace(1e7, 1e12, 400)], axis=0)
    assert np.all(np.diff(best) < 0)


def test_the_decoders_share_is_where_the_loss_is_least():
    p = {"E": 1.2, "A": 900.0, "p_e": 0.15, "p_d": 0.2}
    law = bs.law("encoder-decoder")
    share = law.derived(p)["decoder_share"]
    assert share == close(0.2 / 0.35)

    def loss(s: float) -> float:
        return law.evaluate(n_encoder_params=(1 - s) * 1e9, n_decoder_params=s * 1e9, **p)

    assert all(loss(share) < loss(share + step) for step in (-0.2, -0.01, 0.01, 0.2))


def test_optimum_with_repeated_data():  # check 20
    plan = bs.allocate(
        bs.published("muennighoff2023"), budget=1e22, fixed={"n_unique_tokens": "25B"}
    )
    found = plan.table().iloc[0]
    assert found["n_opt"] == close(7.02616e9, rel=1e-4)
    assert found["d_opt"] / 25e9 == close(9.48835, rel=1e-4)
    assert found["loss_opt"] == close(2.222129, rel=1e-6)
