"""Several laws as one posterior."""

import numpy as np
import pandas as pd
import pytest
from contract.fits import fit_of_card
from hypothesis import given
from hypothesis import strategies as st

import bayescale as bs
from bayescale.errors import CardError
from bayescale.posterior.average import _whole_numbers

BUDGET = "5.76e23"


@pytest.fixture(scope="module")
def mixture(law_fits) -> bs.ModelAverage:
    return bs.model_average(law_fits, {"chinchilla": 0.6, "kaplan-nd": 0.3, "coupled": 0.1})


def test_one_law_with_all_the_weight_is_that_law(law_fits):
    alone = bs.model_average(law_fits, {"coupled": 2.0})
    assert alone.weights.to_dict() == {"chinchilla": 0.0, "kaplan-nd": 0.0, "coupled": 1.0}
    of_law, of_average = (bs.allocate(s, budget=BUDGET).draws for s in (law_fits["coupled"], alone))
    for name in ("n_opt", "loss_opt", "loss_plan"):
        np.testing.assert_array_equal(
            of_average[name].to_numpy().ravel(), of_law[name].to_numpy().ravel()
        )


def test_draws_are_in_proportion(mixture):
    counts = {name: part.posterior.sizes["draw"] for name, part in mixture.parts.items()}
    assert counts == {"chinchilla": 2400, "kaplan-nd": 1200, "coupled": 400}
    assert mixture.diagnostics.ok
    assert mixture.diagnostics.table.index.str.startswith("kaplan-nd: ").any()
    assert "chinchilla 60 %, kaplan-nd 30 %, coupled 10 %" in repr(mixture)


def test_its_distribution_is_the_mixture_of_theirs(mixture, law_fits):
    """The CDF is that of the mixture at every threshold, for the law and for a new run."""
    plans = {"n_params": ["7B", "70B"], "n_tokens": "2T"}
    mixed = bs.predict(mixture, **plans)
    single = {name: bs.predict(fit, **plans) for name, fit in law_fits.items()}
    for variable, tolerance in (("loss", 0.01), ("loss_run", 0.02)):
        for threshold in mixed[variable].quantile([0.1, 0.3, 0.5, 0.9]).to_numpy():
            expected = sum(
                weight * (single[name][variable] < threshold).mean(("chain", "draw"))
                for name, weight in mixture.weights.items()
            )
            found = (mixed[variable] < threshold).mean(("chain", "draw"))
            np.testing.assert_allclose(found, expected, atol=tolerance)


def test_plans_include_the_uncertainty_of_the_law(mixture, law_fits):
    plan = bs.allocate(mixture, budget=BUDGET)
    assert set(plan.draws.sizes.values()) == {1, 4000}
    assert plan.headline.startswith("Average of laws")
    assert any("Far beyond the data" in caveat for caveat in plan.caveats)
    assert sum("early-stopped" in caveat for caveat in plan.caveats) == 1
    spread = float(np.log(plan.draws["n_opt"]).std())
    assert spread > float(
        np.log(bs.allocate(law_fits["chinchilla"], budget=BUDGET).draws["n_opt"]).std()
    )
    made = bs.decide(mixture, budget=BUDGET, plans={"as published": ("70B", "1.4T")})
    alone = bs.decide(law_fits["chinchilla"], budget=BUDGET)
    assert made.plan["regret"] > alone.plan["regret"]
    ends = np.log([bs.decide(f, budget=BUDGET).plan["n_params"] for f in law_fits.values()])
    assert ends.min() < np.log(made.plan["n_params"]) < ends.max()
    assert str(made).splitlines()[-1].startswith("Average of laws")


def test_weights_of_a_comparison_serve(compared):
    mixed = bs.model_average(compared.fits, compared.weights)
    pd.testing.assert_series_equal(
        mixed.weights.sort_index(), compared.weights.sort_index(), check_names=False
    )


def test_a_law_that_failed_is_reported(fit, failed_fit):
    mixed = bs.model_average({"good": fit, "bad": failed_fit}, {"good": 0.5, "bad": 0.5})
    assert bs.allocate(mixed, budget=BUDGET).headline.startswith("THIS FIT FAILED")
    assert "bad: R-hat of" in mixed.diagnostics.failures[0]
    without = bs.model_average({"good": fit, "bad": failed_fit}, {"good": 1.0})
    assert without.diagnostics.ok


def test_what_is_refused(law_fits, chinchilla_runs):
    with pytest.raises(ValueError, match="weights: found other, expected chinchilla"):
        bs.model_average(law_fits, {"other": 1.0})
    for weights in ({"coupled": -1.0, "chinchilla": 2.0}, {"coupled": 0.0}, {"coupled": np.nan}):
        with pytest.raises(ValueError, match="not negative and not all zero"):
            bs.model_average(law_fits, weights)
    other = bs.fit(chinchilla_runs, "power-law", draws=50, seed=1, progress=False)
    with pytest.raises(CardError, match="power one of compute"):
        bs.model_average({"two": law_fits["coupled"], "power": other}, {"two": 1.0})


def test_levels_and_coefficients_are_those_of_its_laws():
    pooled = fit_of_card("chinchilla-pooled")
    both = bs.model_average({"a": pooled, "b": pooled}, {"a": 0.5, "b": 0.5})
    chosen = both.sel(family="c4")
    assert [part.groups for part in chosen.parts.values()] == [{"family": "c4"}] * 2
    at = {"n_params": "1B", "n_tokens": "20B"}
    loss = bs.predict(chosen, **at)["loss"]
    assert loss.to_numpy() == pytest.approx(bs.predict(both, **at, groups={"family": "c4"})["loss"])
    with pytest.raises(bs.UnknownNameError):
        both.sel(family="no such family")
    with pytest.raises(bs.UnsuitableLawError, match="each of which has coefficients of its own"):
        both.coefficients()


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=8), st.integers(1, 5000))
def test_counts_are_whole_and_sum(weights, total):
    amounts = np.array(weights) / np.sum(weights) * total
    counts = _whole_numbers(amounts)
    assert sum(counts) == total
    assert np.all(np.abs(counts - amounts) <= 1.0)


def test_an_average_fails_where_laws_that_the_runs_contradict_have_most_of_it(law_fits):
    """Kaplan's law has another curvature than these runs; its average with others need not."""
    assert [c.name for c in law_fits["kaplan-nd"].criticism if c.failed] == ["pattern"]
    for share, ok in ((0.3, True), (0.7, False)):
        weights = {"kaplan-nd": share, "chinchilla": 1.0 - share}
        found = bs.model_average(law_fits, weights).diagnostics
        assert found.ok is ok
        said = found.remarks if ok else found.failures
        first = "All gates passed but the model checks of kaplan-nd (30 % of the weight): R-hat at"
        assert found.status.startswith(first if ok else "THIS FIT FAILED ITS GATES")
        assert found.clause.startswith(first.removesuffix(": R-hat at") + ". " if ok else "THIS")
        assert any(
            sentence.startswith("kaplan-nd: Residuals follow a pattern") for sentence in said
        )
