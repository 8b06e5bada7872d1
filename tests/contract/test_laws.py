"""Properties of every law."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.errors import AmountError, CardError
from bayescale.laws import LAWS, Law
from bayescale.testing import check_law

REFERENCE = {"n_params": 1e9, "n_tokens": 2e10}

TYPICAL = {
    "chinchilla": bs.published("besiroglu2024").parameters,
    "coupled": {"E": 1.7, "A": 1700.0, "B": 6900.0, "alpha": 0.41, "beta": 0.41, "k": 0.8},
    "kaplan-nd": bs.published("kaplan2020-nd").parameters,
    "kaplan-nd-floor": {
        **{"E": 1.5, "N_c": 2e9, "D_c": 9e9},
        **{"alpha_N": 0.35, "alpha_D": 0.4},
    },
    "kaplan-ns-min": bs.published("kaplan2020-ns-min").parameters,
    "kaplan-ns": bs.published("kaplan2020-ns").parameters,
    "over-training": bs.published("gadre2024-refinedweb").parameters,
    "data-constrained": bs.published("muennighoff2023").parameters,
    "over-fitting": {
        **{"E": 1.8, "L_0": 10.8, "a": 20.0, "b": 150.0, "c": 3e3},
        **{"alpha": 0.3, "beta": 0.33, "gamma": 0.4, "delta": 0.9},
    },
    "mixture-of-experts": bs.published("ludziejewski2025").parameters,
    "moe-sparsity": bs.published("abnar2025").parameters,
    "moe-granularity": bs.published("krajewski2024").parameters,
    "learning-rate-batch": {
        **bs.published("besiroglu2024").parameters,
        **{"lr_0": 40.0, "lr_N": -0.7, "lr_D": 0.2, "batch_0": 0.6, "batch_N": 0.05},
        **{"batch_D": 0.55, "k": 0.15, "s": 0.5, "w": 0.9},
    },
    "critical-batch": {"D_1": 40.0, "a": 0.6},
    "power-law": bs.published("kaplan2020-c").parameters,
    "power-law-floor": {"E": 1.8, "x_c": 3e18, "alpha": 0.18},
    "power-law-plateau": {"b": 90.0, "gamma": 3e-10, "c": 0.2},
    "power-law-sigmoid": {"E": 0.3, "L_0": 1.0, "b": 90.0, "c": 0.25, "alpha": 0.7},
    "power-law-saturating": {"E": 1.8, "x_c": 3e7, "x_0": 1e8, "alpha": 0.3},
    "broken-power-law-1": bs.published("caballero2022-toy").parameters,
    "broken-power-law-2": {
        **{"a": 1.0, "b": 9.0, "c0": 0.1, "c1": 0.2, "c2": -0.25},
        **{"d1": 3e8, "d2": 4e9, "f1": 0.3, "f2": 0.5},
    },
    "broken-power-law-3": {
        **{"a": 1.0, "b": 9.0, "c0": 0.1, "c1": 0.2, "c2": -0.25, "c3": 0.1},
        **{"d1": 3e8, "d2": 2e9, "d3": 4e9, "f1": 0.3, "f2": 0.5, "f3": 0.2},
    },
    "broken-power-law-4": {
        **{"a": 1.0, "b": 9.0, "c0": 0.1, "c1": 0.2, "c2": -0.25, "c3": 0.1, "c4": -0.05},
        **{"d1": 3e8, "d2": 8e8, "d3": 2e9, "d4": 4e9},
        **{"f1": 0.3, "f2": 0.5, "f3": 0.2, "f4": 0.4},
    },
    "broken-power-law-1-signed": {"b": 9.0, "c0": 0.1, "c1": -0.2, "d1": 3e9, "f1": 0.5},
    "broken-power-law-2-signed": {
        **{"b": 9.0, "c0": 0.1, "c1": -0.2, "c2": 0.25},
        **{"d1": 3e8, "d2": 3e10, "f1": 0.3, "f2": 0.5},
    },
    "encoder-decoder": {"E": 1.2, "A": 900.0, "p_e": 0.15, "p_d": 0.2},
    "effective-data-transferred": bs.published("hernandez2021-text").parameters,
    "error-from-loss": bs.published("gadre2024-refinedweb-error").parameters,
    "accuracy-from-loss": {"a": 0.25, "b": 0.9, "L_0": 3.0, "k": 2.0},
    "bleu-from-loss": {"C": 80.0, "k": 0.5},
    "loss-from-loss": {"E_1": 1.5, "K": 1.1, "kappa": 0.95, "E_0": 1.7},
    **{
        f"data-mixing-{k}": {"c": 1.6, **{f"b_{j}": 0.4 + 0.3 * j for j in range(1, k + 1)}}
        for k in (2, 3, 4, 5)
    },
}
"""Typical parameters of each law, from a paper where there is one."""

TYPICAL_INPUTS = {
    "broken-power-law-1": {"x": 500.0},
    "kaplan-ns-min": {"n_params": 1e9, "n_steps_min": 1e5},
    "kaplan-ns": {"n_params": 1e9, "n_steps": 1e5, "batch_tokens": 2.0**19},
    # So few parameters that the law equals Chinchilla's at the reference.
    "data-constrained": {"n_params": 1e8, "n_tokens": 1e10, "n_unique_tokens": 1e10},
    "over-fitting": {"n_params": 1e8, "n_tokens": 1e10, "n_unique_tokens": 1e10},
    "mixture-of-experts": {"n_params": 1e9, "n_tokens": 2e10, "n_experts": 1.0},
    "moe-sparsity": {"n_params": 1e9, "n_tokens": 2e10, "activation_ratio": 0.1},
    "moe-granularity": {"n_params": 1e9, "n_tokens": 2e10, "granularity": 1.0},
    "learning-rate-batch": {
        **{"n_params": 1e9, "n_tokens": 2e10},
        **{"learning_rate": 1e-3, "batch_tokens": 5e5},
    },
    "error-from-loss": {"loss": 3.0},
    "accuracy-from-loss": {"loss": 2.5},
    "bleu-from-loss": {"loss": 2.0},
    "loss-from-loss": {"loss": 3.0},
    **{f"data-mixing-{k}": {f"domain_{j}": 1.0 for j in range(1, k + 1)} for k in (2, 3, 4, 5)},
}
"""Inputs at which to evaluate laws whose inputs are not around a billion."""

each = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
of_size_and_tokens = {name: law for name, law in LAWS.items() if law.takes_size_and_tokens}
every_law = pytest.mark.parametrize(
    "law", of_size_and_tokens.values(), ids=of_size_and_tokens.keys()
)


def positive(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(np.log(low), np.log(high)).map(np.exp).map(float)


@st.composite
def coordinates(draw, law: Law) -> dict[str, float]:
    """Return coordinates within the constraint of the law: shares with a positive remainder."""
    values = {name: draw(positive(0.3, 3.0)) for name in law.coordinates}
    weights = {name: draw(positive(0.02, 5.0)) for name in law.shares}
    total = 1.0 + sum(weights.values())
    # Without a floor the remainder is the data term, and e_d is its exponent times its share.
    values["e_d"] = draw(positive(0.1, 1.0)) / total
    for exponent, elasticities in law.shares.items():
        values[exponent] = draw(positive(0.1, 1.0))
        for elasticity in elasticities:
            part = values[exponent] * weights[exponent] / total
            values[elasticity] = part / len(elasticities)
    return values


@each
def test_the_public_battery(law):
    check_law(law, TYPICAL[law.name], reference=TYPICAL_INPUTS.get(law.name))


def test_the_public_battery_finds_faults():
    class Wrong(type(LAWS["chinchilla"])):
        name = "wrong"

        def to_reference(self, parameters, reference):
            found = super().to_reference(parameters, reference)
            return found | {"e_n": 2 * found["e_n"]}

    with pytest.raises(AssertionError, match="there and back"):
        check_law(Wrong(), TYPICAL["chinchilla"])

    class Backwards(type(LAWS["chinchilla"])):
        rises_in = frozenset({"n_tokens"})

    with pytest.raises(AssertionError, match="does not rise in n_tokens"):
        check_law(Backwards(), TYPICAL["chinchilla"])

    class Lost(type(LAWS["chinchilla"])):
        def optimal_log_params(self, parameters, log_product):
            return 0.5 * log_product + 1.0

    with pytest.raises(AssertionError, match="not the least loss"):
        check_law(Lost(), TYPICAL["chinchilla"])


@every_law
def test_round_trip_of_the_reference_parametrisation(law):
    @settings(max_examples=60)
    @given(coordinates(law), positive(1e6, 1e12), positive(1e8, 1e14))
    def check(values, n_params, n_tokens):
        reference = {"n_params": n_params, "n_tokens": n_tokens}
        natural = law.from_reference(values, reference)
        back = law.to_reference(natural, reference)
        for name, value in values.items():
            assert back[name] == pytest.approx(value, rel=1e-7), name
        at_reference = {name: np.log(amount) for name, amount in reference.items()}
        assert law.formula(at_reference, natural) == pytest.approx(values["loss_ref"], rel=1e-8)

    check()


@every_law
def test_the_reference_point_does_not_matter(law):
    @settings(max_examples=40)
    # Not further: the share of a term that has nearly vanished is lost to rounding.
    @given(coordinates(law), positive(5e8, 2e9), positive(1e10, 4e10))
    def check(values, n_params, n_tokens):
        natural = law.from_reference(values, REFERENCE)
        moved = {"n_params": n_params, "n_tokens": n_tokens}
        again = law.from_reference(law.to_reference(natural, moved), moved)
        inputs = {"n_params": np.log(3e9), "n_tokens": np.log(7e10)}
        assert law.formula(inputs, again) == pytest.approx(law.formula(inputs, natural), rel=1e-7)
        centred = law.from_reference(values, law.unit_reference)
        shifted = {name: value - np.log(REFERENCE[name]) for name, value in inputs.items()}
        assert law.formula(shifted, centred) == pytest.approx(
            law.formula(inputs, natural), rel=1e-7
        )

    check()


@every_law
def test_elasticities_are_slopes_of_log_loss(law):
    values = typical(law)
    natural = law.from_reference(values, REFERENCE)
    step = 1e-5
    for name, elasticity in (("n_params", "e_n"), ("n_tokens", "e_d")):
        at = {key: np.log(amount) for key, amount in REFERENCE.items()}
        up = np.log(law.formula(at | {name: at[name] + step}, natural))
        down = np.log(law.formula(at | {name: at[name] - step}, natural))
        assert -(up - down) / (2 * step) == pytest.approx(values[elasticity], rel=1e-6)


@every_law
def test_monotone_in_size_and_tokens(law):
    @settings(max_examples=40)
    @given(coordinates(law))
    def check(values):
        natural = law.from_reference(values, REFERENCE)
        grid = np.linspace(np.log(1e6), np.log(1e12), 30)
        along_size = law.formula({"n_params": grid, "n_tokens": np.log(2e10)}, natural)
        along_tokens = law.formula({"n_params": np.log(1e9), "n_tokens": grid + 3}, natural)
        rounding = 1e-13 * values["loss_ref"]
        assert np.all(np.diff(along_size) <= rounding)
        assert np.all(np.diff(along_tokens) <= rounding)
        assert np.all(along_size >= natural.get("E", 0.0) - rounding)

    check()


@every_law
def test_optimum_is_least_and_on_the_budget(law):
    @settings(max_examples=60)
    @given(coordinates(law), positive(1e18, 1e27))
    def check(values, compute):
        natural = law.from_reference(values, REFERENCE)
        log_product = np.log(compute / 6)
        log_n = law.optimal_log_params(natural, log_product)
        around = log_n + np.array([-0.3, -0.05, 0.0, 0.05, 0.3])
        loss = law.formula({"n_params": around, "n_tokens": log_product - around}, natural)
        assert loss[2] <= loss.min() * (1 + 1e-12)
        # A law whose exponents are one half by construction does not list them.
        exponents = {"a": 0.5, "b": 0.5} | law.derived(natural)
        assert exponents["a"] + exponents["b"] == pytest.approx(1.0, abs=1e-12)
        slope = (law.optimal_log_params(natural, log_product + 1.0) - log_n) / 1.0
        assert slope == pytest.approx(exponents["a"], rel=1e-9)

    check()


@every_law
def test_frontier_exponent_is_the_slope_of_the_reducible_loss(law):
    natural = law.from_reference(typical(law), REFERENCE)
    reducible = []
    for log_product in (50.0, 51.0):
        log_n = law.optimal_log_params(natural, log_product)
        loss = law.formula({"n_params": log_n, "n_tokens": log_product - log_n}, natural)
        reducible.append(loss - natural.get("E", 0.0))
    g = law.derived(natural)["g"]
    assert np.log(reducible[0] / reducible[1]) == pytest.approx(g, rel=1e-9)


@every_law
def test_loss_reads_amounts_and_refuses_nonsense(law):
    natural = law.from_reference(typical(law), REFERENCE)
    expected = law.evaluate(n_params=7e10, n_tokens=1.4e12, **natural)
    assert law.evaluate(n_params="70B", n_tokens="1.4T", **natural) == expected
    listed = law.evaluate(n_params=["70B", 1e9], n_tokens=1.4e12, **natural)
    assert listed.shape == (2,)
    assert listed[0] == expected
    for wrong in ("many", 0, -1.0, np.array([1e9, np.nan])):
        with pytest.raises(AmountError, match="n_params"):
            law.evaluate(n_params=wrong, n_tokens=1e9, **natural)
    first, *rest = natural
    with pytest.raises(CardError, match=f"missing {first}"):
        law.evaluate(n_params=1e9, n_tokens=1e9, **{name: natural[name] for name in rest})
    with pytest.raises(CardError, match="unknown gamma"):
        law.evaluate(n_params=1e9, n_tokens=1e9, **natural, gamma=1.0)


def typical(law: Law) -> dict[str, float]:
    values = dict.fromkeys(law.coordinates, 1.0) | {
        "loss_ref": 2.6,
        "e_n": 0.05,
        "e_d": 0.045,
    }
    return values | {
        name: sum(values[e] for e in elasticities) / (0.15 * len(elasticities))
        for name, elasticities in law.shares.items()
    }


FAR = 1e90
"""An extremely large amount, within the range of floats."""


@pytest.mark.parametrize(
    ("name", "inputs", "limit"),
    [
        ("chinchilla", {"n_params": FAR, "n_tokens": FAR}, lambda p: p["E"]),
        ("coupled", {"n_params": FAR, "n_tokens": FAR}, lambda p: p["E"]),
        ("kaplan-nd", {"n_params": FAR, "n_tokens": 1e10}, lambda p: (p["D_c"] / 1e10) ** 0.103),
        ("kaplan-nd-floor", {"n_params": FAR, "n_tokens": FAR}, lambda p: p["E"]),
        (
            "kaplan-ns",
            {"n_params": 1e9, "n_steps": FAR, "batch_tokens": 1e6},
            lambda p: (p["N_c"] / 1e9) ** p["alpha_N"],
        ),
        (
            "kaplan-ns",
            {"n_params": 1e9, "n_steps": 1e5, "batch_tokens": FAR},
            lambda p: (p["N_c"] / 1e9) ** p["alpha_N"] + (p["S_c"] / 1e5) ** p["alpha_S"],
        ),
        ("over-training", {"n_params": FAR, "n_tokens": FAR}, lambda p: p["E"]),
        (
            # The effective tokens of infinite repetition are 1 + R_D times the unique ones.
            "data-constrained",
            {"n_params": 1e8, "n_tokens": FAR, "n_unique_tokens": 1e10},
            lambda p: (
                p["E"]
                + p["A"] * 1e8 ** -p["alpha"]
                + p["B"] * (1e10 * (1 + p["R_D"])) ** -p["beta"]
            ),
        ),
        (
            "mixture-of-experts",
            {"n_params": FAR, "n_tokens": FAR, "n_experts": 8.0},
            lambda p: p["c"],
        ),
        (
            # A dense model of any size and tokens.
            "moe-sparsity",
            {"n_params": FAR, "n_tokens": FAR, "activation_ratio": 1.0},
            lambda p: p["c"] + p["e"],
        ),
        (
            # The finest experts remove g.
            "moe-granularity",
            {"n_params": 1e9, "n_tokens": FAR, "granularity": FAR},
            lambda p: p["c"] + p["a"] * 1e9 ** -p["alpha"],
        ),
        ("power-law-floor", {"x": FAR}, lambda p: p["E"]),
        ("power-law-plateau", {"x": FAR}, lambda p: p["b"] * p["gamma"] ** p["c"]),
        ("power-law-sigmoid", {"x": FAR}, lambda p: p["E"]),
        ("power-law-sigmoid", {"x": 1 / FAR}, lambda p: p["L_0"]),
        ("power-law-saturating", {"x": FAR}, lambda p: p["E"]),
        (
            "power-law-saturating",
            {"x": 1 / FAR},
            lambda p: p["E"] + (p["x_c"] / p["x_0"]) ** p["alpha"],
        ),
        ("broken-power-law-1", {"x": FAR}, lambda p: p["a"]),
        ("broken-power-law-2", {"x": FAR}, lambda p: p["a"]),
        ("broken-power-law-3", {"x": FAR}, lambda p: p["a"]),
        ("broken-power-law-4", {"x": FAR}, lambda p: p["a"]),
        (
            "encoder-decoder",
            {"n_encoder_params": 1e8, "n_decoder_params": FAR},
            lambda p: p["E"],
        ),
        ("error-from-loss", {"loss": FAR}, lambda p: p["epsilon"]),
        ("accuracy-from-loss", {"loss": FAR}, lambda p: p["a"]),
        ("bleu-from-loss", {"loss": 1 / FAR}, lambda p: p["C"]),
        ("loss-from-loss", {"loss": 1.7}, lambda p: p["E_1"]),
        ("loss-from-loss", {"loss": 2.7}, lambda p: p["E_1"] + p["K"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_limits(name, inputs, limit):
    p = TYPICAL[name]
    found = LAWS[name].evaluate(**inputs, **p)
    assert found == pytest.approx(limit(p), rel=2e-3)
    assert np.isfinite(found)


@pytest.mark.parametrize("name", [name for name, law in LAWS.items() if law.floor])
def test_the_floor_is_the_limit_of_the_response(name):
    law, p = LAWS[name], TYPICAL[name]
    far = {n: 1.0 if n in law.rises_in else FAR for n in law.inputs}
    # Numbers of experts at which exponents change sign are excluded.
    # Over-fitting grows with size, so that unique tokens must outgrow it.
    far |= {"n_params": 1e30} if name == "over-fitting" else {}
    far |= {"n_experts": 8.0} if "n_experts" in far else {}
    # Ever sparser models, of which the active parameters grow without bound all the same.
    far |= {"activation_ratio": 1e-40} if "activation_ratio" in far else {}
    if "learning_rate" in far:
        # These laws have an interior minimum of the loss.
        best = law.log_optimum({n: np.log(far[n]) for n in ("n_params", "n_tokens")}, p)
        far |= {n: float(np.exp(x)) for n, x in best.items()}
    assert law.evaluate(**far, **p) == pytest.approx(p[law.floor], rel=2e-3)


@each
def test_the_formula_and_the_symbols_can_be_typeset(law):
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("path")
    for latex in (law.latex, *(p.symbol for p in {**law.parameters, **law.coordinates}.values())):
        assert parser.parse(f"${latex}$").width > 0
