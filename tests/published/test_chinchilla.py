"""Numbers that papers print for the Chinchilla law, or that follow by arithmetic; 1e-5 relative."""

import numpy as np
import pytest
import xarray as xr
from published.allocations import close, optimum
from scipy.optimize import elementwise

import bayescale as bs
from bayescale.costs import Lifetime, Serving


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
    # The loss is flat near its minimum, so a numerical search finds half of the digits.
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


@pytest.mark.parametrize("name", ["hoffmann2022", "besiroglu2024", "hoffmann2022-tex"])
def test_compute_for_a_loss_inverts_the_frontier(name):
    """The inverse is C(L) = (K / (L - E))^(1 / g)."""
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
    # The first-order condition, which without inference is that of Chinchilla.
    p, served = constants.parameters, 2e12
    weight = 1 + served / (3 * float(found["n_tokens"]))
    data = p["beta"] * p["B"] * float(found["n_tokens"]) ** -p["beta"]
    size = p["alpha"] * p["A"] * float(found["n_params"]) ** -p["alpha"]
    assert weight * data == close(size, rel=1e-5)


def test_a_single_epoch_leaves_the_rest_to_size():
    constants = bs.published("besiroglu2024")
    free = optimum("besiroglu2024", 5.76e23)
    capped = bs.allocate(constants, budget=5.76e23, limits=bs.Limits(max_tokens="1T"))
    found = capped.table().iloc[0]
    assert found["d_opt"] == close(1e12, rel=1e-12) and free["d_opt"] > 1e12
    assert found["n_opt"] == close(5.76e23 / 6e12, rel=1e-12)
    assert capped.at_limit.to_list() == [1.0]
    assert "at most 1.00T tokens" in capped.caveats[-1]
