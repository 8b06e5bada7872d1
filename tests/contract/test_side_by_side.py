"""The result for one item depends neither on other items nor on their order."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from contract.fits import fit_of_card, laplace_fit

import bayescale as bs
from bayescale.costs import Cluster, FunctionCost, Lifetime, Serving, six_nd

BUDGET = 1e22

SIZES = replace(
    bs.load_model("chinchilla"),
    id="sizes",
    pooling=(bs.Pooling(of="loss", over="n_params", sd=bs.HalfNormal(scale=0.01, why="a test")),),
)

PLANS = {
    "for the budget": ("7B", 1e22 / 6 / 7e9),
    "one on far more": ("7B", "1000T"),
    "small on little": ("1B", "20B"),
    "large on little": ("200B", "1B"),
    "twice": ("18B", "400B"),
    "tiny": (1e3, 1e3),
}

COSTS = {
    "6ND": six_nd,
    "lifetime": Lifetime(Serving(n_tokens="1T")),
    "searched": FunctionCost(function=lambda n, d: 6 * n * d + 1e9 * n),
}


@pytest.fixture(scope="module")
def fits() -> dict[str, bs.Fit]:
    one = fit_of_card("chinchilla")
    sizes = laplace_fit(SIZES, bs.load_runs("chinchilla").table)
    pooled = laplace_fit(bs.load_model("chinchilla-pooled"), bs.load_runs("overtraining").table)
    return {
        "one law": one,
        "sizes that err together": sizes,
        "pooled": pooled,
        "of a family": pooled.sel(family="c4"),
        "average": bs.model_average({"one": one, "two": one}, {"one": 0.5, "two": 0.5}),
    }


KINDS = ("one law", "sizes that err together", "pooled", "of a family", "average")
every_fit = pytest.mark.parametrize("kind", KINDS)
every_case = pytest.mark.parametrize(
    ("kind", "cost"),
    [*((kind, "6ND") for kind in KINDS), ("one law", "lifetime"), ("one law", "searched")],
)


@every_case
def test_a_recommendation_does_not_depend_on_plans(fits, kind, cost):
    names = list(PLANS)
    asked = {"budget": BUDGET, "cost": COSTS[cost]}
    alone = bs.decide(fits[kind], **asked)
    beside = bs.decide(fits[kind], **asked, plans={name: PLANS[name] for name in names})
    ours, theirs = (
        made.table().drop(columns=["p_best"]).loc[["recommended"]] for made in (alone, beside)
    )
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    pd.testing.assert_frame_equal(alone.bands, beside.bands, check_exact=True)
    assert alone.sentences == beside.sentences
    assert alone.caveats == beside.caveats
    # Nor do the results for a plan depend on other plans or their order.
    backwards = bs.decide(fits[kind], **asked, plans={name: PLANS[name] for name in names[::-1]})
    pd.testing.assert_frame_equal(
        beside.table(), backwards.table().loc[["recommended", *names]], check_exact=True
    )
    one = bs.decide(fits[kind], **asked, plans={names[0]: PLANS[names[0]]}).table()
    pd.testing.assert_frame_equal(
        one.drop(columns="p_best"),
        beside.table().drop(columns="p_best").loc[one.index],
        check_exact=True,
    )


@every_case
def test_an_allocation_does_not_depend_on_other_budgets(fits, kind, cost):
    budgets = [1e21, 3e22, 1e24]
    together = bs.allocate(fits[kind], budget=budgets, cost=COSTS[cost])
    for budget in budgets:
        alone = bs.allocate(fits[kind], budget=budget, cost=COSTS[cost])
        for name in alone.draws:
            np.testing.assert_array_equal(
                alone.draws[name].sel(budget=budget), together.draws[name].sel(budget=budget)
            )


@every_fit
def test_a_prediction_does_not_depend_on_plans_after_it(fits, kind):
    one = bs.predict(fits[kind], n_params="7B", n_tokens="2T")
    more = bs.predict(fits[kind], n_params=["7B", "1B", "7B"], n_tokens=["2T", "20B", "2T"])
    for name in ("loss", "loss_run"):
        np.testing.assert_array_equal(one[name].isel(plan=0), more[name].isel(plan=0))
    # Repeated plans have independent noise.
    assert bool((more["loss_run"].isel(plan=0) != more["loss_run"].isel(plan=2)).any())


def test_a_level_that_was_not_fitted_does_not_depend_on_others(fits):
    runs = bs.load_runs("overtraining")
    families = np.where(runs.table["family"] == "c4", "web", "books")
    fresh = bs.load_runs(runs.table.assign(family=families))
    both = bs.score(fits["pooled"], fresh).pointwise
    web = bs.score(fits["pooled"], fresh.where("family == 'web'")).pointwise
    np.testing.assert_allclose(
        web["elpd"], both["elpd"][families == "web"], rtol=1e-12, err_msg="densities"
    )


@pytest.mark.parametrize("name", ["needed", "needed_for_size"])
def test_an_inverse_question_does_not_depend_on_others(fits, name):
    if name == "needed":
        values = [2.2, 2.4, 2.0]

        def ask(loss):
            return bs.requirements(fits["one law"], loss=loss).draws
    else:
        values = ["7B", "1B", "70B"]

        def ask(n_params):
            return bs.requirements(fits["one law"], n_params=n_params).draws

    together = ask(values)
    for place, value in enumerate(values):
        alone = ask(value)
        for variable in alone:
            np.testing.assert_array_equal(
                alone[variable].isel(target=0), together[variable].isel(target=place)
            )


def test_elasticities_do_not_depend_on_other_points(fits):
    points = {"n_params": [1e9, 7e9], "n_tokens": [2e10, 2e12]}
    together = bs.elasticities(fits["one law"], inputs=points)
    alone = bs.elasticities(
        fits["one law"], inputs={name: values[1:] for name, values in points.items()}
    )
    np.testing.assert_array_equal(together.iloc[1:].to_numpy(), alone.to_numpy())


def test_what_runs_are_worth_does_not_depend_on_their_order(fits):
    """Compare up to Monte Carlo error, since repeated plans have independent noise."""
    runs = [("1B", "20B"), ("2B", "300B"), ("4B", "80B")]
    ours, theirs = (
        bs.value_of_runs(fits["one law"], given, target=BUDGET) for given in (runs, runs[::-1])
    )
    assert ours.before == theirs.before
    error = np.hypot(ours.mcse, theirs.mcse)
    assert abs(ours.reduction - theirs.reduction) < 5.0 * error


def test_p_best_is_of_plans_that_spend_alike(fits):
    size = 9e9
    plans = {
        "same": (2 * size, BUDGET / 6 / (2 * size)),
        "expensive": (size, 10 * BUDGET / 6 / size),
        "cheap": (size, 0.1 * BUDGET / 6 / size),
        "too large": (100 * size, BUDGET / 6 / (100 * size)),
    }
    made = bs.decide(fits["one law"], budget=BUDGET, plans=plans, limits=bs.Limits(max_params=5e11))
    table = made.table()
    assert list(table.index[table["p_best"].notna()]) == ["recommended", "same"]
    assert table["p_best"].sum() == pytest.approx(1.0)
    losses = made.candidates.loss.to_numpy()
    least = (losses[..., 0] < losses[..., 1]).mean()
    assert table.loc["recommended", "p_best"] == pytest.approx(least, abs=0.01), "of equal spend"
    assert table["note"].to_dict() == {
        "recommended": "",
        "same": "",
        "expensive": "10.0 times the budget",
        "cheap": "0.100 times the budget",
        "too large": "above 500B parameters",
    }
    # A single bad plan must not have probability one of being the best.
    lone = bs.decide(fits["one law"], budget=BUDGET, plans={"cheap": plans["cheap"]})
    assert lone.table()["p_best"].isna().all()
    assert "P(best)" not in lone.text_table()


def test_days_and_money_of_a_plan_do_not_depend_on_others(fits):
    cluster = Cluster(n_gpus=512, peak="H100-SXM", utilisation=0.4, price=2.0)
    asked = {"budget": BUDGET, "cluster": cluster}
    alone = bs.decide(fits["one law"], **asked).table()
    beside = bs.decide(fits["one law"], **asked, plans=PLANS).table()
    columns = ["days", "gpu_hours", "training_money", "regret_money"]
    pd.testing.assert_frame_equal(alone[columns], beside.loc[["recommended"], columns])
