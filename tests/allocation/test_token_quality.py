"""Token quality: exact if corpora differ only in the data term."""

from dataclasses import replace

import numpy as np
import pytest
from contract.fits import few_draws, fit_of_card, laplace_fit, table_for

import bayescale as bs
from bayescale.errors import UnknownNameError, UnsuitableLawError

# Fits of few draws, which are quick, fail the gate on effective sample size.
pytestmark = pytest.mark.filterwarnings("ignore:THIS FIT FAILED ITS GATES")


@pytest.fixture(scope="module")
def fit() -> bs.Fit:
    return few_draws(fit_of_card("chinchilla-quality"), 50)


def test_the_loss_of_a_corpus_is_that_of_the_baseline_at_so_many_more_tokens(fit):
    found = bs.token_quality(fit, baseline="c4")
    assert found.corpora == ("pile", "web")
    log_n, log_d = np.log(3e9), np.log(7e10)
    for name in found.corpora:
        quality = found.draws.sel(corpus=name, drop=True)
        own = fit.sel(family=name).curve.response({"n_params": log_n, "n_tokens": log_d})
        at = {"n_params": log_n, "n_tokens": log_d + np.log(quality)}
        base = fit.sel(family="c4").curve.response(at)
        np.testing.assert_allclose(own.to_numpy(), base.to_numpy(), rtol=1e-10)


def test_the_other_way_round_it_is_the_inverse_and_of_itself_it_is_one(fit):
    there = bs.token_quality(fit, baseline="c4", corpora=["pile"])
    back = bs.token_quality(fit, baseline="pile", corpora=["c4"])
    product = there.draws.to_numpy() * back.draws.to_numpy()
    np.testing.assert_allclose(product, 1.0, rtol=1e-10)
    assert there.p_better["pile"] == pytest.approx(1.0 - back.p_better["c4"])


def test_unique_tokens_count_as_many_times(fit):
    """In the law of repeated data, both tokens and unique tokens are multiplied by q."""
    law = bs.law("data-constrained")
    p, q = dict(bs.published("muennighoff2023").parameters), 1.7
    better = {**p, "B": p["B"] * q ** -p["beta"]}
    for tokens, unique in ((1e11, 2e10), (1e10, 1e10), (1e12, 1e10)):
        at = {"n_params": np.geomspace(1e7, 1e11, 9)}
        own = law.evaluate(**at, n_tokens=tokens, n_unique_tokens=unique, **better)
        base = law.evaluate(**at, n_tokens=q * tokens, n_unique_tokens=q * unique, **p)
        np.testing.assert_allclose(own, base, rtol=1e-10)


def test_weakly_identified_quality_is_a_caveat():
    model = bs.load_model("chinchilla-quality")
    table = table_for(model)
    rich = laplace_fit(model, table)
    # The runs with the most tokens, at which the data term is negligible.
    poor = laplace_fit(model, table[table["n_tokens"] > 0.5 * table["n_tokens"].max()])
    told = [bs.token_quality(few_draws(f, 50), baseline="c4") for f in (rich, poor)]
    assert (told[0].sd_ratio < told[1].sd_ratio).all()
    assert not any("hardly identify" in said for said in told[0].caveats)


def test_fits_without_token_quality_are_refused(fit):
    with pytest.raises(UnsuitableLawError, match="alpha and beta differ between levels of family"):
        bs.token_quality(few_draws(fit_of_card("chinchilla-recipes"), 20), baseline="c4")
    with pytest.raises(UnsuitableLawError, match="does not let B differ"):
        bs.token_quality(few_draws(fit_of_card("chinchilla-corpora"), 20), baseline="c4")
    with pytest.raises(UnknownNameError, match="expected one of c4"):
        bs.token_quality(fit, baseline="c5")
    with pytest.raises(ValueError, match="found 'c4' alone"):
        bs.token_quality(fit, baseline="c4", corpora=["c4"])


def test_token_quality_under_a_law_of_repeated_data():
    model = bs.load_model("data-constrained")
    pooled = bs.load_model("chinchilla-quality").pooling
    model = replace(model, pooling=pooled, id="repeated-quality")
    found = bs.token_quality(few_draws(laplace_fit(model, table_for(model)), 50), baseline="c4")
    assert found.table()["quality"].between(0.5, 2.0).all()
    assert "is worth" in str(found)
