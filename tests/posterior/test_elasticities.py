"""Elasticities, and the cross-regret of planning with the wrong law."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import bayescale as bs
from bayescale.errors import AmountError
from bayescale.laws.constants import Constants
from bayescale.laws.published import PUBLISHED
from bayescale.model.discrepancy import CELLS, DECAY
from bayescale.posterior.curve import Curve
from bayescale.posterior.elasticities import elasticity_draws

TWO_TERMS = ("hoffmann2022", "besiroglu2024-log", "kaplan2020-nd")


@given(st.sampled_from(TWO_TERMS), st.floats(1e6, 1e12), st.floats(1e8, 1e13))
def test_against_the_exact_formulas(name, n_params, n_tokens):
    """The coordinates of these laws at a point are their elasticities there."""
    constants = bs.published(name)
    exact = bs.law(constants.law).to_reference(
        constants.parameters, {"n_params": n_params, "n_tokens": n_tokens}
    )
    found = bs.elasticities(constants, n_params=n_params, n_tokens=n_tokens).iloc[0]
    assert found["e_n"] == pytest.approx(exact["e_n"], rel=1e-8, abs=1e-12)
    assert found["e_d"] == pytest.approx(exact["e_d"], rel=1e-8, abs=1e-12)


def test_at_the_reference_they_are_the_coordinates(fit):
    draws = elasticity_draws(
        fit.curve, {name: np.log([x]) for name, x in fit.scale.reference.items()}
    )
    for name in ("e_n", "e_d"):
        np.testing.assert_allclose(draws[name].isel(point=0), fit.posterior[name], rtol=1e-8)
    by_default = bs.elasticities(fit)
    assert by_default["e_n"].iloc[0] == pytest.approx(float(fit.posterior["e_n"].median()))
    assert by_default["n_params"].iloc[0] == pytest.approx(fit.scale.reference["n_params"])


def test_they_are_those_of_the_curve_not_of_the_law_alone():
    """A slope of ln L in ln N reduces the elasticity by as much."""
    constants = bs.published("besiroglu2024-log")
    law_alone = Curve.of_constants(constants)
    scale = bs.HalfNormal(scale=1.0, why="a test")
    discrepancy = bs.Discrepancy(axes=("n_params",), rough=scale, smooth=scale)
    slopes = np.zeros((1, 1, 1, 2 * CELLS))
    # Twice the reference size lies between the centre, where the slope is zero, and the first knot.
    slopes[..., 0] = 0.01 * np.exp(DECAY) / np.log(2.0)
    bent = Curve(
        law=law_alone.law,
        parameters=law_alone.parameters,
        discrepancy=discrepancy,
        reference={"n_params": 1e9, "n_tokens": 2e10},
        slopes=xr.DataArray(slopes, dims=("chain", "draw", "axis", "cell")),
    )
    at = {"n_params": np.log([2e9]), "n_tokens": np.log([2e10])}
    apart = elasticity_draws(bent, at) - elasticity_draws(law_alone, at)
    assert float(apart["e_n"].squeeze()) == pytest.approx(-0.01, rel=1e-6)
    assert float(apart["e_d"].squeeze()) == pytest.approx(0.0, abs=1e-10)


def test_several_laws_and_points(law_fits):
    table = bs.elasticities(law_fits, n_params=["100M", "10B"], n_tokens=["10B", "200B"])
    assert table.index.names == ["model", "point"]
    assert len(table) == 6
    assert (table["e_n_lower"] < table["e_n"]).all()
    # Without a floor, larger sizes still reduce the loss where they hardly do with a floor.
    assert table.loc[("kaplan-nd", 1), "e_n_lower"] > table.loc[("chinchilla", 1), "e_n_upper"]
    with pytest.raises(AmountError, match="found n_params, expected n_params, n_tokens"):
        bs.elasticities(law_fits, n_params="1B")
    mixed = bs.model_average(law_fits, {"chinchilla": 0.5, "coupled": 0.5})
    between = bs.elasticities({"average": mixed}, n_params="10B", n_tokens="200B").iloc[0]
    alone = table.xs(1, level="point")["e_n"]
    assert alone["chinchilla"] < between["e_n"] < alone["coupled"]


def test_a_law_of_one_variable():
    constants = next(
        c for c in PUBLISHED.values() if isinstance(c, Constants) and c.law == "power-law"
    )
    found = bs.elasticities(constants, inputs={"n_params": [1e6, 1e9]})
    np.testing.assert_allclose(found["e"], constants.parameters["alpha"], rtol=1e-9)


def test_cross_regret_against_the_closed_form():
    """Hoffmann's regret of missing the optimum by a factor (science of a fixed budget)."""
    papers = {name: bs.published(name) for name in ("hoffmann2022", "besiroglu2024-log")}
    found = bs.cross_regret(papers, budget="5.76e23")
    sizes = found.plans["n_params"]
    for name, constants in papers.items():
        optimum = float(bs.allocate(constants, budget="5.76e23").draws["n_opt"].squeeze())
        assert sizes[name] == pytest.approx(optimum, rel=1e-3)
        alpha, beta = constants.parameters["alpha"], constants.parameters["beta"]
        for other in papers:
            k = sizes[other] / optimum
            ratio = (beta * k**-alpha + alpha * k**beta) / (alpha + beta)
            expected = 1 - ratio ** (-(alpha + beta) / (alpha * beta))
            assert found.matrix.loc[other, name] == pytest.approx(expected, abs=2e-4)


@pytest.mark.slow
def test_cross_regret_of_posteriors(law_fits):
    found = bs.cross_regret(law_fits, budget="1e23")
    matrix = found.matrix
    assert list(matrix.index) == list(matrix.columns) == list(law_fits)
    # The optimal plan of a law has the least loss under that law.
    for name in law_fits:
        assert matrix[name].idxmin() == name
        decided = bs.decide(law_fits[name], budget="1e23")
        assert matrix.loc[name, name] == pytest.approx(decided.plan["regret"], rel=1e-6)
    table = found.table(prob=0.5)
    assert (table["regret_lower"] <= table["regret_upper"]).all()
    np.testing.assert_allclose(table["wasted"], table["regret"] * 1e23)
    assert "the costliest error" in found.sentences[0]
    assert "if coupled holds" in str(found)
    reordered = bs.cross_regret(dict(reversed(law_fits.items())), budget="1e23").matrix
    np.testing.assert_allclose(reordered.loc[matrix.index, matrix.columns], matrix)
    with pytest.raises(ValueError, match="found 1 laws"):
        bs.cross_regret({"a": law_fits["coupled"]}, budget="1e23")
    with pytest.raises(AmountError, match="found 2 budgets"):
        bs.cross_regret(law_fits, budget=["1e22", "1e23"])


def test_what_the_runs_do_not_support_is_never_the_minimax_plan():
    papers = {n: bs.published(n) for n in ("hoffmann2022", "besiroglu2024", "besiroglu2024-log")}
    every = bs.cross_regret(papers, budget="5.76e23")
    believed = {name: every.matrix.loc[name] for name in papers}
    for kept in (["hoffmann2022"], ["hoffmann2022", "besiroglu2024"]):
        found = bs.cross_regret(papers, budget="5.76e23", supported=kept)
        costliest, minimax, unsupported = found.sentences
        least = min(kept, key=lambda name: believed[name][kept].max())
        assert f"The plan of {least} is the minimax one" in minimax
        assert "the laws that the runs support" in minimax
        assert any(f"where {name} holds" in costliest for name in kept)
        assert all(name in unsupported for name in papers if name not in kept)
    assert len(every.sentences) == 2
    with pytest.raises(
        ValueError, match="supported: found another, expected one at least of hoffm"
    ):
        bs.cross_regret(papers, budget="5.76e23", supported=["another"])
