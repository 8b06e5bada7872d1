"""Numbers that papers print or that follow from them by arithmetic; 1e-5 relative."""

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import brentq, elementwise

import bayescale as bs
from bayescale.costs import Lifetime, RecountedCost, Serving, pearce2024, six_nd
from bayescale.errors import AmountError

close = pytest.approx


def optimum(constants: str | bs.Constants, compute: float) -> dict[str, float]:
    source = bs.published(constants) if isinstance(constants, str) else constants
    table = bs.allocate(source, budget=compute).table()
    return {name: float(value) for name, value in table.iloc[0].items()}


@pytest.mark.parametrize(
    ("constants", "compute", "n_opt", "d_opt", "ratio", "loss"),
    [
        ("hoffmann2022", 1e21, 1.82422e9, 9.13634e10, 50.0836, 2.32888),
        ("hoffmann2022", 5.76e23, 3.21899e10, 2.98231e12, 92.6474, 1.93075),
        ("hoffmann2022", 1e25, 1.16823e11, 1.42666e13, 122.122, 1.84532),
        ("besiroglu2024", 1e21, 2.77846e9, 5.99853e10, 21.5894, 2.30553),
        ("besiroglu2024", 5.76e23, 7.22487e10, 1.32874e12, 18.3912, 1.97444),
        ("besiroglu2024", 1e25, 3.12070e11, 5.34068e12, 17.1137, 1.91173),
    ],
)
def test_optimum_of_published_chinchilla_constants(
    constants, compute, n_opt, d_opt, ratio, loss
):  # checks 1 and 3
    found = optimum(constants, compute)
    assert found["n_opt"] == close(n_opt, rel=1e-5)
    assert found["d_opt"] == close(d_opt, rel=1e-5)
    assert found["tokens_per_param"] == close(ratio, rel=1e-5)
    assert found["loss_opt"] == close(loss, rel=1e-5)


def test_exponents_of_published_constants():
    law = bs.law("chinchilla")
    printed = law.derived(bs.published("hoffmann2022").parameters)
    assert printed["a"] == close(0.4516129, rel=1e-6)
    replicated = law.derived(bs.published("besiroglu2024").parameters)
    assert replicated["a"] == close(0.5126121, rel=1e-6)


def test_tex_exponents_move_tokens_per_parameter_by_more_than_a_third():
    printed = optimum("hoffmann2022", 5.76e23)["tokens_per_param"]
    unrounded = optimum("hoffmann2022-tex", 5.76e23)["tokens_per_param"]
    assert abs(np.log(printed / unrounded)) > np.log(4 / 3)


@pytest.mark.parametrize("compute", [1e18, 1e21, 5.76e23, 1e27])
def test_size_term_share_of_reducible_loss_at_the_optimum(compute):  # check 5
    p = bs.published("besiroglu2024").parameters
    n_opt = optimum("besiroglu2024", compute)["n_opt"]
    loss = optimum("besiroglu2024", compute)["loss_opt"]
    share = p["A"] * n_opt ** -p["alpha"] / (loss - p["E"])
    assert share == close(0.5126121, rel=1e-6)


@pytest.mark.parametrize(
    ("constants", "coefficient", "exponent"),
    [("hoffmann2022", 1071.36, 0.1535484), ("besiroglu2024", 2708.50, 0.1782865)],
)
def test_frontier_coefficient_and_exponent(constants, coefficient, exponent):  # check 6
    p = bs.published(constants).parameters
    g = bs.law("chinchilla").derived(p)["g"]
    assert g == close(exponent, rel=1e-6)
    for compute in (1e19, 1e24):
        reducible = optimum(constants, compute)["loss_opt"] - p["E"]
        assert reducible * compute**g == close(coefficient, rel=1e-5)


def test_equal_exponents_make_tokens_per_parameter_independent_of_compute():  # check 9
    symmetric = bs.Constants(
        name="symmetric",
        law="chinchilla",
        parameters={"E": 1.8, "A": 400.0, "B": 400.0, "alpha": 0.31, "beta": 0.31},
        source="arithmetic",
    )
    assert optimum(symmetric, 1e24)["d_opt"] == close(4.08248e11, rel=1e-5)
    ratios = [optimum(symmetric, c)["tokens_per_param"] for c in (1e18, 1e21, 1e24)]
    assert ratios == close([ratios[0]] * 3, rel=1e-12)


@pytest.mark.parametrize(
    ("compute_min", "n_params", "batch", "steps", "tokens", "loss"),
    [
        ("1 PF-days", 1.3e9, 2.0e6, 5400.0, 2.0e10, 2.65808),
        (1e21, 7.76763e9, 3.59970e6, 5811.63, 3.87410e10, 2.35176),
        (5.76e23, 8.04260e11, 1.65489e7, 7032.52, 2.15519e11, 1.71148),
        (1e25, 6.46083e12, 3.28297e7, 7661.23, 4.65770e11, 1.48386),
    ],
)
def test_kaplan_empirical_power_laws(compute_min, n_params, batch, steps, tokens, loss):  # check 10
    found = bs.published("kaplan2020-frontier").at(compute_min=compute_min)
    assert found == {
        "n_params": close(n_params, rel=1e-5),
        "batch_tokens": close(batch, rel=1e-5),
        "n_steps": close(steps, rel=1e-5),
        "n_tokens": close(tokens, rel=1e-5),
        "loss": close(loss, rel=1e-5),
    }


def test_kaplan_joint_law_and_its_limits():  # check 15
    law, p = bs.law("kaplan-nd"), bs.published("kaplan2020-nd").parameters
    assert law.evaluate(n_params=1e9, n_tokens=2.2e10, **p) == close(2.369316, rel=1e-6)
    assert law.evaluate(n_params=1e9, n_tokens=1e60, **p) == close(2.318834, rel=1e-6)
    assert law.evaluate(n_params=1e60, n_tokens=2.2e10, **p) == close(1.995370, rel=1e-6)


def as_coupled(constants: bs.Constants) -> dict[str, float]:
    p = constants.parameters
    if constants.law == "chinchilla":
        return {**p, "k": 1.0}
    return {
        "E": 0.0,
        "A": p["N_c"] ** (p["alpha_N"] / p["alpha_D"]),
        "B": p["D_c"],
        "alpha": p["alpha_N"] / p["alpha_D"],
        "beta": 1.0,
        "k": p["alpha_D"],
    }


@pytest.mark.parametrize("name", ["kaplan2020-nd", "hoffmann2022", "besiroglu2024-log"])
def test_kaplan_and_chinchilla_are_corners_of_the_coupled_law(name):  # check 31
    constants = bs.published(name)
    size, tokens = np.meshgrid(np.geomspace(1e6, 1e13, 15), np.geomspace(1e8, 1e14, 15))
    own = bs.law(constants.law).evaluate(n_params=size, n_tokens=tokens, **constants.parameters)
    coupled = bs.law("coupled").evaluate(n_params=size, n_tokens=tokens, **as_coupled(constants))
    np.testing.assert_allclose(coupled, own, rtol=1e-12)
    for compute in (1e19, 1e24):
        log_product = np.log(compute / 6)
        np.testing.assert_allclose(
            bs.law("coupled").optimal_log_params(as_coupled(constants), log_product),
            bs.law(constants.law).optimal_log_params(constants.parameters, log_product),
            rtol=1e-12,
        )


def test_coupled_optimum_does_not_depend_on_k():  # check 31
    base = as_coupled(bs.published("besiroglu2024"))
    found = [
        bs.law("coupled").optimal_log_params({**base, "k": k}, np.log(1e23)) for k in (0.3, 1, 2)
    ]
    assert found[0] == found[1] == found[2]


def test_kaplan_joint_law_optimum_grows_as_compute_to_the_0_575():
    p = bs.published("kaplan2020-nd").parameters
    assert bs.law("kaplan-nd").derived(p)["a"] == close(0.5754, abs=5e-5)


@pytest.mark.parametrize("factor", [1 / np.log(2), 0.29, 1000.0])
def test_a_change_of_loss_unit_leaves_the_allocation_alone(factor):  # check 34
    law, p = bs.law("chinchilla"), dict(bs.published("besiroglu2024").parameters)
    changed = p | {name: factor * p[name] for name in ("E", "A", "B")}
    before = law.optimal_log_params(p, np.log(1e23))
    assert law.optimal_log_params(changed, np.log(1e23)) == close(before, rel=1e-12)
    assert law.derived(changed) == close(law.derived(p), rel=1e-12)
    assert law.evaluate(n_params=1e9, n_tokens=2e10, **changed) == close(
        factor * law.evaluate(n_params=1e9, n_tokens=2e10, **p), rel=1e-12
    )


def test_elasticities_of_published_constants_at_the_usual_reference():
    reference = {"n_params": 1e9, "n_tokens": 2e10}
    for name, e_n, e_d in (
        ("besiroglu2024", 0.0491, 0.0514),
        ("hoffmann2022-tex", 0.0483, 0.0537),
        ("kaplan2020-nd", 0.0605, 0.0210),
    ):
        constants = bs.published(name)
        at = bs.law(constants.law).to_reference(constants.parameters, reference)
        assert at["e_n"] == close(e_n, abs=6e-5)
        assert at["e_d"] == close(e_d, abs=6e-5)


def test_loss_of_the_70b_plan():
    law = bs.law("chinchilla")
    for name, loss in (("hoffmann2022", 1.93665), ("besiroglu2024", 1.97388)):
        found = law.evaluate(n_params="70B", n_tokens="1.4T", **bs.published(name).parameters)
        assert found == close(loss, abs=6e-6)


@pytest.mark.parametrize("name", ["hoffmann2022-tex", "besiroglu2024", "kaplan2020-nd"])
def test_closed_form_agrees_with_a_numerical_optimum(name):
    constants = bs.published(name)
    law = bs.law(constants.law)
    compute = np.geomspace(1e18, 1e26, 9)
    log_product = np.log(compute / 6)

    def loss(log_n, log_product):
        return law.formula(
            {"n_params": log_n, "n_tokens": log_product - log_n}, constants.parameters
        )

    bracket = elementwise.bracket_minimum(loss, 0.5 * log_product, args=(log_product,))
    found = elementwise.find_minimum(loss, bracket.bracket, args=(log_product,))
    assert found.success.all()
    closed = law.optimal_log_params(constants.parameters, log_product)
    # Near a minimum the loss is flat, so a search on it sees half the digits at best.
    np.testing.assert_allclose(found.x, closed, atol=1e-6)
    np.testing.assert_allclose(found.f_x, loss(closed, log_product), rtol=1e-12)


def test_every_draw_gets_its_own_optimum(handmade_draws):
    law = bs.law("chinchilla")
    natural = law.from_reference(handmade_draws, {"n_params": 1e9, "n_tokens": 2e10})
    axis = xr.DataArray(np.log([1e21 / 6, 1e25 / 6]), dims="budget")
    closed = law.optimal_log_params(natural, axis)
    nearby = closed + xr.DataArray([-1e-3, 0.0, 1e-3], dims="step")
    loss = law.formula({"n_params": nearby, "n_tokens": axis - nearby}, natural)
    assert bool((loss.argmin("step") == 1).all())


@pytest.mark.parametrize(
    ("x", "loss"), [(100, 2.180981023), (928, 0.5625980687), (2000, 0.415728005)]
)
def test_broken_power_law_of_the_released_example(x, loss):  # check 24
    constants = bs.published("caballero2022-toy")
    found = bs.law(constants.law).evaluate(x=x, **constants.parameters)
    assert found == close(loss, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "x", "loss"),
    [
        ("kaplan2020-n", 8.8e13, 1.0),
        ("kaplan2020-n", 1e9, 2.37564),
        ("kaplan2020-d", 2.2e10, 2.09917),
        ("kaplan2020-c-min", 8.64e19, 2.65808),
    ],
)
def test_kaplan_one_variable_laws(name, x, loss):
    constants = bs.published(name)
    found = bs.law(constants.law).evaluate(x=x, **constants.parameters)
    assert found == close(loss, rel=1e-5)
    scale, exponent = constants.parameters["x_c"], constants.parameters["alpha"]
    assert found == close((scale / x) ** exponent, rel=1e-12)


def test_kaplan_batch_adjusted_law_and_frontier_agree():
    law = bs.law("power-law")
    parameters = bs.published("kaplan2020-c-min").parameters
    for compute in (1e18, 1e21, 1e25):
        frontier = bs.published("kaplan2020-frontier").at(compute_min=compute)["loss"]
        assert law.evaluate(x=compute, **parameters) == close(frontier, rel=1e-12)


def test_kaplan_with_a_floor_is_the_coupled_law_with_beta_one():
    p = {"E": 1.5, "N_c": 2e9, "D_c": 9e9, "alpha_N": 0.35, "alpha_D": 0.4}
    ratio = p["alpha_N"] / p["alpha_D"]
    coupled = {
        "E": 1.5,
        "A": p["N_c"] ** ratio,
        "B": p["D_c"],
        "alpha": ratio,
        "beta": 1.0,
        "k": 0.4,
    }
    at = {"n_params": np.geomspace(1e7, 1e11, 9), "n_tokens": 2e10}
    np.testing.assert_allclose(
        bs.law("kaplan-nd-floor").evaluate(**at, **p),
        bs.law("coupled").evaluate(**at, **coupled),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        bs.law("kaplan-nd-floor").optimal_log_params(p, np.log(1e22)),
        bs.law("coupled").optimal_log_params(coupled, np.log(1e22)),
        rtol=1e-12,
    )


def test_a_plateau_of_zero_is_a_power_law():
    plain = bs.law("power-law").evaluate(x=1e9, x_c=1e13, alpha=0.1)
    level = 1e13**0.1
    assert bs.law("power-law-plateau").evaluate(x=1e9, b=level, gamma=1e-30, c=0.1) == close(plain)


def test_a_break_of_no_change_is_no_break():
    p = {"a": 1.5, "b": 40.0, "c0": 0.2, "c1": 0.0, "d1": 1e9, "f1": 0.3}
    floor = {"E": 1.5, "x_c": 40.0 ** (1 / 0.2), "alpha": 0.2}
    for x in (1e6, 1e9, 1e13):
        broken = bs.law("broken-power-law-1").evaluate(x=x, **p)
        assert broken == close(bs.law("power-law-floor").evaluate(x=x, **floor), rel=1e-12)


def test_slopes_far_from_a_break():
    law, p = bs.law("broken-power-law-1"), dict(bs.published("caballero2022-toy").parameters)
    p["a"] = 0.0
    for x, slope in ((1e-4, p["c0"]), (1e8, p["c0"] + p["c1"])):
        drop = np.log(law.evaluate(x=x, **p) / law.evaluate(x=x * np.e, **p))
        assert drop == close(slope, rel=1e-6)


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
    """Of the repeated tokens, this share counts: measured through the loss itself."""
    p = bs.published("muennighoff2023").parameters
    law, unique = bs.law("data-constrained"), 1e10
    at = {"n_params": 1e8, "n_unique_tokens": unique}
    loss = law.evaluate(**at, n_tokens=epochs * unique, **p)
    size_term = p["A"] * 1e8 ** -p["alpha"]
    effective = ((loss - p["E"] - size_term) / p["B"]) ** (-1 / p["beta"])
    assert effective / unique / epochs == close(efficiency, abs=6e-4)


KAPLAN_NS = bs.published("kaplan2020-ns").parameters
kaplan_ns = bs.law("kaplan-ns")
BATCH = 2.0**19


def test_stopping_early_against_training_to_convergence():  # check 13
    """The frontier beside a run of the same loss that ends 2 % above the loss of convergence."""
    p = KAPLAN_NS
    point = kaplan_ns.efficient_frontier(p, compute_min=1e21)
    converged = point["loss"] / 1.02
    n_params = p["N_c"] * converged ** (-1 / p["alpha_N"])
    n_steps = p["S_c"] * (point["loss"] - converged) ** (-1 / p["alpha_S"])
    size, steps = point["n_params"] / n_params, point["n_steps"] / n_steps
    assert size == close(2.70782, rel=1e-5)
    assert steps == close(0.130817, rel=1e-5)
    assert size * steps == close(0.354228, rel=1e-5)


def batch_adjusted(p: dict[str, float], run: dict[str, float]) -> dict[str, float]:
    """Return the loss of a run, and equations 5.4 and 5.5: its steps and compute, adjusted."""
    loss = kaplan_ns.evaluate(**run, **p)
    ratio = p["B_star"] / loss ** (1 / p["alpha_B"]) / run["batch_tokens"]
    compute = 6 * run["n_params"] * run["batch_tokens"] * run["n_steps"]
    return {
        "loss": loss,
        "n_steps_min": run["n_steps"] / (1 + ratio),
        "compute": compute,
        "compute_min": compute / (1 + 1 / ratio),
    }


def test_critical_batch_and_what_it_makes_of_steps_and_compute():  # check 17
    rounded = {**KAPLAN_NS, "B_star": 2e8}
    assert kaplan_ns.critical_batch(3.0, rounded) == close(1_069_114, rel=1e-6)
    # The size at which this many steps end at a loss of three.
    size = brentq(
        lambda n: kaplan_ns.evaluate(n_params=n, n_steps=1e5, batch_tokens=BATCH, **rounded) - 3.0,
        1e6,
        1e10,
        xtol=1e-3,
    )
    found = batch_adjusted(rounded, {"n_params": size, "n_steps": 1e5, "batch_tokens": BATCH})
    assert found["loss"] == close(3.0, rel=1e-9)
    assert found["n_steps_min"] / 1e5 == close(0.329037, abs=5e-7)
    assert found["compute_min"] / found["compute"] == close(0.670963, abs=5e-7)


def test_loss_of_a_run_of_fixed_batch():
    loss = kaplan_ns.evaluate(n_params=1e9, n_steps=2.5e5, batch_tokens=BATCH, **KAPLAN_NS)
    assert loss == close(2.457596, rel=1e-6)
    # It solves the equation as printed, with the loss on both sides.
    p = KAPLAN_NS
    steps_min = 2.5e5 / (1 + p["B_star"] / loss ** (1 / p["alpha_B"]) / BATCH)
    size_term, step_term = (p["N_c"] / 1e9) ** p["alpha_N"], (p["S_c"] / steps_min) ** p["alpha_S"]
    assert loss == close(size_term + step_term, rel=1e-13)


@pytest.mark.parametrize("compute_min", [1e18, 1e21, 1e24])
def test_efficient_frontier(compute_min):
    """Appendix B: its identities, and that it is where the loss is least."""
    p = KAPLAN_NS
    point = kaplan_ns.efficient_frontier(p, compute_min=compute_min)
    spent = 6 * point["n_params"] * point["batch_tokens"] * point["n_steps"]
    assert spent == close(compute_min, rel=1e-10)
    converged = (p["N_c"] / point["n_params"]) ** p["alpha_N"]
    assert point["loss"] == close((1 + p["alpha_N"] / p["alpha_S"]) * converged, rel=1e-10)
    # At B = B_crit twice the steps are taken; the formula must give this loss.
    run = {**point, "n_steps": 2 * point["n_steps"]}
    again = kaplan_ns.evaluate(**{name: run[name] for name in kaplan_ns.inputs}, **p)
    assert again == close(point["loss"], rel=1e-10)

    def compute_for_this_loss(n_params: float) -> float:
        left = point["loss"] - (p["N_c"] / n_params) ** p["alpha_N"]
        steps = p["S_c"] * left ** (-1 / p["alpha_S"])
        return 6 * n_params * kaplan_ns.critical_batch(point["loss"], p) * steps

    for factor in (0.5, 0.95, 1.05, 2.0):
        assert compute_for_this_loss(factor * point["n_params"]) > compute_min
    slope = kaplan_ns.derived(p)
    ten = kaplan_ns.efficient_frontier(p, compute_min=10 * compute_min)
    assert np.log10(ten["n_params"] / point["n_params"]) == close(slope["a_min"], rel=1e-10)
    assert np.log10(point["loss"] / ten["loss"]) == close(slope["g_min"], rel=1e-10)


def test_fixed_batch_frontier_is_in_compute_as_spent():
    frontier = bs.published("kaplan2020-fixed-batch")
    assert frontier.at(compute="1 PF-days") == {"n_params": close(1.6e9)}
    with pytest.raises(AmountError, match="found compute_min, expected compute alone"):
        frontier.at(compute_min="1 PF-days")
    with pytest.raises(AmountError, match="expected compute_min alone"):
        bs.published("kaplan2020-frontier").at(compute=1e21)


def test_henighan_frontier():  # check 35
    found = bs.published("henighan2020-frontier").at(compute=1.0)["n_params"]
    assert found == close(9.01906e-7, rel=1e-6)


@pytest.mark.parametrize(("compute", "error"), [(0.2, 0.538949), (10, 0.206097), (1e4, 0.100351)])
def test_zhai(compute, error):  # check 35
    constants = bs.published("zhai2022")
    found = bs.law(constants.law).evaluate(x=compute, **constants.parameters)
    assert found == close(error, abs=5e-7)


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


def test_error_from_loss():
    p = bs.published("gadre2024-refinedweb-error").parameters
    law = bs.law("error-from-loss")
    assert law.evaluate(loss=3.0, **p) == close(0.865 - 2.21 * np.exp(-0.707 * 3.0), rel=1e-12)
    assert law.evaluate(loss=100.0, **p) == close(0.865, rel=1e-12)


def test_accuracy_from_loss():
    """The second step of Bhagia et al., as their code has it: a / (1 + exp(-k (x - x0))) + b."""
    law = bs.law("accuracy-from-loss")
    p = {"a": 0.25, "b": 0.95, "L_0": 0.8, "k": 6.0}
    assert law.evaluate(loss=0.8, **p) == close(0.6, rel=1e-12)
    theirs = 0.7 / (1.0 + np.exp(6.0 * (0.5 - 0.8))) + 0.25
    assert law.evaluate(loss=0.5, **p) == close(theirs, rel=1e-12)
    assert law.to_reference(p, law.unit_reference)["reach"] == close(0.7 / 0.75, rel=1e-12)


def test_loss_from_loss():
    """Brandfonbrener et al.: reducible losses are powers of each other, floors go to floors."""
    law = bs.law("loss-from-loss")
    p = {"E_1": 1.5, "K": 1.1, "kappa": 0.95, "E_0": 1.7}
    loss = np.array([2.0, 2.7, 4.0])
    np.testing.assert_allclose(law.evaluate(loss=loss, **p), 1.5 + 1.1 * (loss - 1.7) ** 0.95)
    assert law.evaluate(loss=1.7, **p) == close(1.5, rel=1e-4)
    # If both losses are Chinchilla's laws whose terms differ by one factor, kappa is one.
    chinchilla, at = bs.law("chinchilla"), {"alpha": 0.3, "beta": 0.3}
    size, tokens = np.geomspace(1e7, 1e10, 9), np.geomspace(2e11, 1e9, 9)
    one = chinchilla.evaluate(n_params=size, n_tokens=tokens, E=1.7, A=400.0, B=500.0, **at)
    other = chinchilla.evaluate(n_params=size, n_tokens=tokens, E=1.5, A=440.0, B=550.0, **at)
    found = law.evaluate(loss=one, E_1=1.5, K=1.1, kappa=1.0, E_0=1.7)
    np.testing.assert_allclose(found, other, rtol=1e-12)
    coordinates = law.to_reference(p, {"loss": 3.0})
    step = 1e-6
    ends = law.evaluate(loss=3.0 * np.exp([-step, step]), **p)
    assert coordinates["e_l"] == close(np.diff(np.log(ends))[0] / (2 * step), rel=1e-6)
    ends = np.log(ends - 1.5)
    assert coordinates["kappa_l"] == close(np.diff(ends)[0] / (2 * step), rel=1e-6)


@pytest.mark.parametrize(
    ("experts", "size_level", "size_slope", "data_level", "data_slope"),
    [(1, 30.3640, -0.1817, 53.9838, -0.1965), (32, 16.5424, -0.1557, 234.6726, -0.2652)],
)
def test_mixture_of_experts_for_a_number_of_experts(
    experts, size_level, size_slope, data_level, data_slope
):
    """Table 4 of Ludziejewski et al., to the digits that table 3 allows."""
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


def test_the_sigmoid_law_solves_its_equation():
    p = {"E": 0.3, "L_0": 1.0, "b": 90.0, "c": 0.25, "alpha": 0.7}
    x = np.geomspace(1e3, 1e14, 23)
    loss = bs.law("power-law-sigmoid").evaluate(x=x, **p)
    left = (loss - p["E"]) / (p["L_0"] - loss) ** p["alpha"]
    np.testing.assert_allclose(left, p["b"] * x ** -p["c"], rtol=1e-8)
    # With alpha near zero it is M2, below the guess.
    flat = bs.law("power-law-sigmoid").evaluate(x=x[-6:], **{**p, "alpha": 1e-4})
    np.testing.assert_allclose(flat, p["E"] + p["b"] * x[-6:] ** -p["c"], rtol=1e-4)


def test_the_decoders_share_is_where_the_loss_is_least():
    p = {"E": 1.2, "A": 900.0, "p_e": 0.15, "p_d": 0.2}
    law = bs.law("encoder-decoder")
    share = law.derived(p)["decoder_share"]
    assert share == close(0.2 / 0.35)

    def loss(s: float) -> float:
        return law.evaluate(n_encoder_params=(1 - s) * 1e9, n_decoder_params=s * 1e9, **p)

    assert all(loss(share) < loss(share + step) for step in (-0.2, -0.01, 0.01, 0.2))


def test_henighan_one_variable_laws():
    for name, x, loss in (
        ("henighan2020-language-n", 1.47e14, 1.0),
        ("henighan2020-image-32x32-n", 63.0, 3.20),
        ("henighan2020-video-n", 3.7e4, 2.01),
    ):
        constants = bs.published(name)
        found = bs.law(constants.law).evaluate(x=x, **constants.parameters)
        assert found == close(loss, rel=1e-12)


@pytest.mark.parametrize("name", ["hoffmann2022", "besiroglu2024", "hoffmann2022-tex"])
def test_compute_for_a_loss_inverts_the_frontier(name):
    """C(L) = (K / (L - E))^(1 / g)."""
    constants = bs.published(name)
    p = constants.parameters
    g = p["alpha"] * p["beta"] / (p["alpha"] + p["beta"])
    ratio = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    level = (p["A"] * ratio ** -p["alpha"] + p["B"] * ratio ** p["beta"]) * 6**g
    losses = p["E"] + np.array([0.05, 0.2, 1.0])
    found = bs.requirements(constants, loss=losses).draws.squeeze()
    np.testing.assert_allclose(found["budget"], (level / (losses - p["E"])) ** (1 / g), rtol=1e-10)
    unreachable = bs.requirements(constants, loss=p["E"])
    assert unreachable.unreachable.to_list() == [1.0]
    assert unreachable.caveats == (f"loss {p['E']:.3f}: out of reach.",)


SARDANA = bs.Constants(
    name="sardana2024",
    law="chinchilla",
    parameters={"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.336, "beta": 0.283},
    source="Sardana et al. 2024, arXiv:2401.00448",
)


@pytest.mark.parametrize(
    ("constants", "n_params", "n_tokens", "saving"),
    [
        (SARDANA, 6.96860e9, 1.24784e12, 0.174467),
        (bs.published("hoffmann2022"), 8.02278e9, 1.74890e12, 0.101101),
    ],
)
def test_smaller_models_are_cheaper_where_many_tokens_are_served(
    constants, n_params, n_tokens, saving
):  # check 21
    lifetime = Lifetime(Serving(n_tokens="2T"))
    trained = bs.requirements(constants, n_params="13B").draws.squeeze()
    found = bs.requirements(constants, loss=float(trained["loss"]), cost=lifetime).draws.squeeze()
    assert float(found["n_params"]) == close(n_params, rel=1e-5)
    assert float(found["n_tokens"]) == close(n_tokens, rel=1e-5)
    alone = lifetime(13e9, float(trained["n_tokens"]))
    assert 1 - float(found["budget"]) / alone == close(saving, rel=1e-5)
    # Its first-order condition, which without serving is Chinchilla's.
    p, served = constants.parameters, 2e12
    weight = 1 + served / (3 * float(found["n_tokens"]))
    data = p["beta"] * p["B"] * float(found["n_tokens"]) ** -p["beta"]
    size = p["alpha"] * p["A"] * float(found["n_params"]) ** -p["alpha"]
    assert weight * data == close(size, rel=1e-5)


def test_optimum_with_repeated_data():  # check 20
    plan = bs.allocate(
        bs.published("muennighoff2023"), budget=1e22, fixed={"n_unique_tokens": "25B"}
    )
    found = plan.table().iloc[0]
    assert found["n_opt"] == close(7.02616e9, rel=1e-4)
    assert found["d_opt"] / 25e9 == close(9.48835, rel=1e-4)
    assert found["loss_opt"] == close(2.222129, rel=1e-6)


def test_a_single_epoch_leaves_the_rest_to_size():
    constants = bs.published("besiroglu2024")
    free = optimum("besiroglu2024", 5.76e23)
    capped = bs.allocate(constants, budget=5.76e23, limits=bs.Limits(max_tokens="1T"))
    found = capped.table().iloc[0]
    assert found["d_opt"] == close(1e12, rel=1e-12) and free["d_opt"] > 1e12
    assert found["n_opt"] == close(5.76e23 / 6e12, rel=1e-12)
    assert capped.at_limit.to_list() == [1.0]
    assert "at most 1.00T tokens" in capped.caveats[-1]


def test_counts_without_embeddings_tilt_the_exponent():
    """Pearce and Song 2024: limits, and what a search under Kaplan's count finds between."""
    p = bs.published("besiroglu2024").parameters
    alpha, beta = p["alpha"], p["beta"]
    tilt = {"alpha": alpha, "beta": beta}
    assert pearce2024.local_exponent(1e-6, **tilt) == close(beta / (beta + alpha / 3), rel=1e-6)
    assert pearce2024.local_exponent(1e30, **tilt) == close(beta / (alpha + beta), rel=1e-6)
    kaplans = RecountedCost(six_nd, pearce2024.non_embedding, "6ND without embeddings")
    for budget in (1e16, 1e19, 1e22):
        step = 1e-2
        around = budget * np.exp([-step, 0.0, step])
        plan = bs.allocate(bs.published("besiroglu2024"), budget=around, cost=kaplans)
        log_n = np.log(pearce2024.non_embedding(plan.draws["n_opt"].squeeze().to_numpy()))
        slope = (log_n[2] - log_n[0]) / (2 * step)
        exact = pearce2024.local_exponent(np.exp(log_n[1]), **tilt)
        assert slope == close(float(exact), abs=2e-4)
        # The relation itself: C = 6 N D at the tokens that balance this size.
        n = np.exp(log_n[1])
        cube = pearce2024.w * np.cbrt(n)
        right = (beta * p["B"] / (alpha * p["A"])) * (n + cube) ** (1 + alpha) / (n + cube / 3)
        assert 6 * n * right ** (1 / beta) == close(budget, rel=1e-4)


@pytest.mark.parametrize(("name", "exponent"), [("besiroglu2024", 0.78), ("hoffmann2022", 0.74)])
def test_the_exponent_that_kaplans_range_would_show(name, exponent):
    """Most of the distance from Hoffmann's exponent to Kaplan's 0.73 is the count."""
    p = bs.published(name).parameters
    kaplans = RecountedCost(six_nd, pearce2024.non_embedding, "6ND without embeddings")
    # Kaplan's sizes, 768 to 1.5e9 without embeddings, and the budgets for which they are optimal.
    ends = (
        bs.requirements(
            bs.published(name), n_params=pearce2024.total(np.array([768.0, 1.5e9])), cost=kaplans
        )
        .draws["budget"]
        .squeeze()
        .to_numpy()
    )
    grid = np.geomspace(*ends, 50)
    plan = bs.allocate(bs.published(name), budget=grid, cost=kaplans)
    log_n = np.log(pearce2024.non_embedding(plan.draws["n_opt"].squeeze().to_numpy()))
    assert np.polyfit(np.log(grid), log_n, 1)[0] == close(exponent, abs=0.01)
    assert p["beta"] / (p["alpha"] + p["beta"]) < 0.52


def test_kaplans_frontiers_are_three_and_never_confused():  # checks 10 and 17
    printed, law = bs.published("kaplan2020-frontier"), bs.published("kaplan2020-ns")
    one = bs.frontier(printed, compute_min=[1e21, 5.76e23])
    assert one["n_params"].squeeze().to_numpy() == close([7.76763e9, 8.04260e11], rel=1e-5)
    assert one["n_steps_min"].squeeze().to_numpy() == close([5811.63, 7032.52], rel=1e-5)
    two = bs.frontier(law, compute_min=[1e21, 5.76e23])
    p = KAPLAN_NS
    for i, c in enumerate((1e21, 5.76e23)):
        point = two.isel(compute_min=i).squeeze()
        exact = kaplan_ns.efficient_frontier(p, compute_min=c)
        assert float(point["n_params"]) == close(exact["n_params"], rel=1e-12)
        # At the critical batch twice the steps are taken and twice the compute is spent.
        run = {n: float(point[n]) for n in ("n_params", "n_steps", "batch_tokens")}
        spent = batch_adjusted(p, run)
        assert spent["compute_min"] == close(c, rel=1e-9)
        assert spent["compute"] == close(float(point["compute"]), rel=1e-9) == close(2 * c)
        assert spent["loss"] == close(float(point["loss"]), rel=1e-9)
    three = bs.frontier(law, compute=1e19, batch_tokens=BATCH).squeeze()
    assert float(three["n_params"]) == close(1.00501e8, rel=1e-5)
    assert float(three["loss"]) == close(3.08560, abs=6e-6)
    assert 6 * float(three["n_params"] * three["n_steps"]) * BATCH == close(1e19, rel=1e-12)
    assert np.isnan(bs.frontier(law, compute=1e9, batch_tokens=BATCH)["n_params"]).all()
    allocated = bs.allocate(law, budget=1e19, fixed={"batch_tokens": BATCH}).draws.squeeze()
    assert float(allocated["n_opt"]) == float(three["n_params"])
    for wrong, words in (
        ({"compute": 1e19, "compute_min": 1e19}, "found both"),
        ({}, "found neither"),
        ({"compute": 1e19}, "without batch_tokens"),
    ):
        with pytest.raises(AmountError, match=words):
            bs.frontier(law, **wrong)
    with pytest.raises(AmountError, match="expected compute_min alone"):
        bs.frontier(printed, compute=1e21)
    with pytest.raises(TypeError, match="has no critical batch size"):
        bs.frontier(bs.published("besiroglu2024"), compute=1e21)
