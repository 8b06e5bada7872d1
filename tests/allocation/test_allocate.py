import numpy as np
import pytest

import bayescale as bs
from bayescale.costs import ProductCost
from bayescale.errors import AmountError, BayescaleWarning

BUDGETS = [1e21, "5.76e23", "1e25 FLOP"]


@pytest.fixture(scope="module")
def plan(fit):
    return bs.allocate(fit, budget=BUDGETS)


def test_dims_and_identities(plan):
    assert dict(plan.draws.sizes) == {"chain": 4, "draw": 1000, "budget": 3}
    assert plan.budgets.tolist() == [1e21, 5.76e23, 1e25]
    product = plan.draws["n_opt"] * plan.draws["d_opt"]
    np.testing.assert_allclose(product.isel(draw=0, chain=0), plan.budgets / 6, rtol=1e-12)
    ratio = plan.draws["d_opt"] / plan.draws["n_opt"]
    np.testing.assert_allclose(plan.draws["tokens_per_param"], ratio, rtol=1e-12)
    assert plan.diagnostics.ok
    assert "ln n_opt[5.76e+23]" in plan.diagnostics.table.index


def test_table_of_the_reference_problem(plan):
    row = plan.table(prob=0.95).loc[5.76e23]
    # An independent fit of the same posterior gave 7.19e10 [5.80e10, 8.88e10], loss 1.969 (0.008).
    assert row["n_opt"] == pytest.approx(7.15e10, rel=0.02)
    assert row["n_opt_lower"] == pytest.approx(5.80e10, rel=0.03)
    assert row["n_opt_upper"] == pytest.approx(8.88e10, rel=0.03)
    assert float(plan.draws["loss_opt"].sel(budget=5.76e23).std()) == pytest.approx(0.008, abs=1e-3)
    assert float(np.log(plan.draws["n_opt"].sel(budget=5.76e23)).std()) == pytest.approx(
        0.106, abs=0.012
    )


def test_three_losses_are_kept_apart(plan):
    """Losses at the optimum, of one plan and of a run: each is above, or wider than, the one before."""
    draws = plan.draws
    # The loss of a fixed plan is at least that of each draw's optimum.
    assert bool((draws["loss_plan"] >= draws["loss_opt"] - 1e-12).all())
    excess = (draws["loss_plan"] - draws["loss_opt"]).mean(("chain", "draw"))
    assert bool((excess > 0).all())
    assert bool(
        (draws["loss_run"].std(("chain", "draw")) > draws["loss_plan"].std(("chain", "draw"))).all()
    )
    medians = np.log(draws["loss_run"] / draws["loss_plan"]).median(("chain", "draw"))
    assert bool((abs(medians) < 1e-3).all())


def test_intervals_come_from_draws_and_not_from_means(fit, plan):
    means = {name: values.mean() for name, values in fit.parameters.items()}
    plugged_in = np.exp(fit.law.optimal_log_params(means, np.log(1e25 / 6)))
    # Three times the Monte Carlo error of the median.
    assert abs(float(plugged_in) / plan.table()["n_opt"].iloc[2] - 1) > 0.003


def test_recommended_plans_spend_the_budget(plan):
    spent = bs.costs.six_nd(plan.recommended["n_params"], plan.recommended["n_tokens"])
    np.testing.assert_allclose(spent, plan.budgets, rtol=1e-12)
    np.testing.assert_allclose(plan.recommended["n_params"], plan.table()["n_opt"], rtol=1e-3)


def test_extrapolation_is_stated_in_words(plan, fit):
    assert plan.extrapolation["compute"].iloc[0] < 1
    assert "5.76e23 FLOP is 44 times" in plan.caveats[0]
    inside = bs.allocate(fit, budget=1e21)
    assert inside.caveats == ()


def test_text_table_and_representations(plan):
    text = plan.text_table(prob=0.5)
    assert list(text.index) == ["1e21 FLOP", "5.76e23 FLOP", "1e25 FLOP"]
    assert text["N_opt"].iloc[1].startswith("71")
    assert "[" in text["D/N"].iloc[0]
    assert str(plan).splitlines()[-1].startswith("chinchilla law")
    assert "Far beyond the data" in plan._repr_html_()


def test_failed_fits_head_the_table(failed_fit):
    plan = bs.allocate(failed_fit, budget=1e21)
    assert str(plan).startswith("THIS FIT FAILED ITS GATES")
    with pytest.warns(BayescaleWarning, match="FAILED"):
        table = plan.table()
    assert "FIT FAILED ITS GATES" in table.to_string().splitlines()[0]


def test_published_constants_are_one_draw():
    plan = bs.allocate(bs.published("besiroglu2024"), budget=5.76e23)
    assert dict(plan.draws.sizes) == {"chain": 1, "draw": 1, "budget": 1}
    assert plan.diagnostics is None
    assert plan.text_table()["N_opt"].iloc[0] == "72.2B"
    assert "arXiv:2404.10102" in str(plan)
    kaplan = bs.allocate(bs.published("kaplan2020-nd"), budget=1e21)
    assert "early-stopped" in kaplan.caveats[0]


def test_batch_adjusted_compute_is_never_taken_for_compute():
    with pytest.raises(TypeError, match="batch-adjusted compute C_min"):
        bs.allocate(bs.published("kaplan2020-frontier"), budget=1e21)


def test_a_size_at_its_limit_in_every_draw_is_no_quantity_to_check(fit):
    plan = bs.allocate(fit, budget=["1e19", "1e22"], limits=bs.Limits(max_params="1B"))
    assert list(plan.at_limit) == [0.0, 1.0]
    rows = [name for name in plan.diagnostics.table.index if name.startswith("ln n_opt[")]
    assert rows == ["ln n_opt[1e+19]"]
    assert plan.diagnostics.ok == fit.diagnostics.ok


def test_another_cost_moves_along_the_frontier(fit):
    double = ProductCost(12.0, "12ND")
    doubled = bs.allocate(fit, budget=1e22, cost=double)
    plain = bs.allocate(fit, budget=5e21)
    np.testing.assert_allclose(doubled.draws["n_opt"], plain.draws["n_opt"], rtol=1e-12)


@pytest.mark.parametrize("budget", [0, -1e21, "much", "nan", [], [1e21, None], np.inf])
def test_bad_budgets_are_refused(budget):
    with pytest.raises(AmountError, match="budget: found"):
        bs.allocate(bs.published("besiroglu2024"), budget=budget)


def test_predict(fit):
    found = bs.predict(fit, n_params=["7B", "70B"], n_tokens=["2T", "1.4T"])
    assert dict(found.sizes) == {"chain": 4, "draw": 1000, "plan": 2}
    assert found["n_params"].to_numpy().tolist() == [7e9, 7e10]
    expected = fit.law.evaluate(n_params=7e9, n_tokens=2e12, **fit.parameters)
    np.testing.assert_allclose(found["loss"].isel(plan=0), expected, rtol=1e-12)
    again = bs.predict(fit, n_params=["7B", "70B"], n_tokens=["2T", "1.4T"])
    assert found.identical(again)
    other = bs.predict(fit, n_params=["7B", "70B"], n_tokens=["2T", "1.4T"], seed=99)
    assert not other["loss_run"].equals(found["loss_run"])
    one_size = bs.predict(fit, n_params="7B", n_tokens=["1T", "2T", "4T"])
    assert one_size.sizes["plan"] == 3
    for sizes, tokens in ((["7B", "70B"], ["1T", "2T", "4T"]), ("x", "1T"), ("7B", -1), ([], "1T")):
        with pytest.raises(AmountError):
            bs.predict(fit, n_params=sizes, n_tokens=tokens)


def test_run_noise_has_the_posterior_scale(fit):
    found = bs.predict(fit, n_params="1B", n_tokens="20B")
    scatter = np.log(found["loss_run"] / found["loss"])
    robust = float(scatter.quantile(0.75) - scatter.quantile(0.25))
    nu, sigma = float(fit.posterior["nu"].median()), float(fit.posterior["sigma"].median())
    from scipy import stats

    assert robust == pytest.approx(2 * stats.t.ppf(0.75, nu) * sigma, rel=0.08)
