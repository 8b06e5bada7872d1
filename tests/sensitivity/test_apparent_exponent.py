"""The exponent that a study measures if a law is true."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

import bayescale as bs
from bayescale.costs import ShapeFamily, pearce2024
from bayescale.costs.counting import COUNTINGS
from bayescale.sensitivity.apparent_exponent import STUDIES, Study

close = pytest.approx
UNTIED = ShapeFamily(aspect=100.0, vocab_size=50_000, n_ctx=1024, tied=False)
names = st.sampled_from(sorted(COUNTINGS))


def some_runs(size, tokens=1e9) -> bs.Runs:
    size = np.atleast_1d(np.asarray(size, dtype=float))
    tokens = np.broadcast_to(tokens, size.shape)
    loss = 3.0 + 0.01 * np.arange(len(size))
    table = pd.DataFrame({"n_params": size, "n_tokens": tokens, "loss": loss})
    return bs.load_runs(
        table, units={"n_tokens": "tokens"}
    )  # stated, since so few tokens for such large models are implausible


@pytest.mark.parametrize(
    ("constants", "reported"), [("besiroglu2024-log", 0.78), ("hoffmann2022", 0.74)]
)
def test_kaplans_study_under_chinchillas_law(constants, reported):
    """Pearce and Song 2024, who read curves of twenty models; here the frontier is exact."""
    law = bs.published(constants)
    table = bs.apparent_exponents(law)
    kaplan = table.loc[("non-embedding", "kaplan2020"), "median"]
    assert kaplan == close(reported, abs=0.01)
    # Against their closed form for C of N, and the exponent that they derive from it.
    p, w = law.parameters, pearce2024.w
    n = np.geomspace(*STUDIES["kaplan2020"].sizes, 4001)
    alpha, beta = p["alpha"], p["beta"]
    frontier = (beta * p["B"] / (alpha * p["A"])) * (n + w * np.cbrt(n)) ** (1 + alpha)
    log_c = np.log(6 * n) + np.log(frontier / (n + w / 3 * np.cbrt(n))) / beta
    local = pearce2024.local_exponent(n, alpha=alpha, beta=beta)
    np.testing.assert_allclose(np.gradient(np.log(n), log_c)[1:-1], local[1:-1], rtol=1e-4)
    even = np.linspace(log_c[0], log_c[-1], 4001)
    slope = np.polynomial.polynomial.polyfit(even, np.interp(even, log_c, np.log(n)), 1)[1]
    assert kaplan == close(slope, abs=0.003)
    # Total counts at every range, and large models in both counts, give the exponent of the law.
    truth = beta / (alpha + beta)
    assert table.loc["total", "median"].to_numpy() == close(np.full(2, truth), abs=1e-6)
    far = {"far": Study(sizes=(1e14, 1e17), counting="total", source="beyond anyone")}
    large = bs.apparent_exponents(law, countings=["non-embedding"], ranges=far)
    assert large["median"].iloc[0] == close(truth, abs=0.001)
    tiny = {"tiny": Study(sizes=(1e-3, 1.0), counting="non-embedding", source="no one")}
    small = bs.apparent_exponents(law, countings=["non-embedding"], ranges=tiny)
    assert small["median"].iloc[0] == close(beta / (beta + alpha / 3), abs=0.005)


def test_leaving_more_out_biases_more():
    table = bs.apparent_exponents(bs.published("besiroglu2024"), countings=list(COUNTINGS))
    kaplan = table.xs("kaplan2020", level="sizes_of")["median"]
    hoffmann = table.xs("hoffmann2022", level="sizes_of")["median"]
    assert kaplan["non-embedding, attention"] > kaplan["non-embedding"] > kaplan["total"]
    # Kaplan's convention over Hoffmann's range is nearly harmless.
    assert (hoffmann - hoffmann["total"]).abs().max() < 0.04
    assert kaplan["non-embedding"] - kaplan["total"] > 0.2


def test_exponents_of_a_posterior_have_intervals(fit):
    table = bs.apparent_exponents(fit, draws=200)
    assert (table["lower"] < table["median"]).all() and (table["median"] < table["upper"]).all()
    a = fit.quantities["a"]
    total = table.loc[("total", "hoffmann2022")]
    assert total["median"] == close(float(a.median()), abs=0.003)
    assert total["upper"] - total["lower"] == close(
        float(a.quantile(0.95) - a.quantile(0.05)), rel=0.25
    )
    # The exponent in Kaplan's convention lies above that of every draw in total parameters.
    assert table.loc[("non-embedding", "kaplan2020"), "lower"] > total["upper"] + 0.2


def test_kaplans_law_in_total_parameters():
    """The converse: a law of parameters without embeddings, measured in total parameters."""
    kaplan = bs.published("kaplan2020-nd")
    table = bs.apparent_exponents(kaplan, given="non-embedding")
    own = table.loc[("non-embedding", "kaplan2020"), "median"]
    assert table.loc[("non-embedding", "hoffmann2022"), "median"] == close(own, abs=1e-6)
    assert table.loc[("total", "kaplan2020"), "median"] < own
