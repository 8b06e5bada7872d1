"""Numbers that Kaplan et al. 2020 print, or that follow from their constants; 1e-5 relative."""

import numpy as np
import pytest
from published.allocations import close
from scipy.optimize import brentq

import bayescale as bs
from bayescale.costs import RecountedCost, pearce2024, six_nd
from bayescale.errors import AmountError


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


def test_kaplan_joint_law_optimum_grows_as_compute_to_the_0_575():
    p = bs.published("kaplan2020-nd").parameters
    assert bs.law("kaplan-nd").derived(p)["a"] == close(0.5754, abs=5e-5)


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


KAPLAN_NS = bs.published("kaplan2020-ns").parameters
kaplan_ns = bs.law("kaplan-ns")
BATCH = 2.0**19


def test_stopping_early_against_training_to_convergence():  # check 13
    """A run on the frontier against one of the same loss that stops 2 % above its converged loss."""
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
    """Return the loss of a run, its compute, and its minimum steps and compute (equations 5.4, 5.5)."""
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
    # The size for which this number of steps ends at a loss of 3.
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
    """The identities of appendix B; other sizes need more compute for the same loss."""
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


def test_counts_without_embeddings_tilt_the_exponent():
    """Pearce and Song 2024: the limits of the local exponent, and a numerical optimum between them."""
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
    """Counting without embeddings explains most of the gap between Hoffmann's exponent and Kaplan's 0.73."""
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
