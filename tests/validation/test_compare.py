"""Comparison of laws by predictive density on the same runs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import bayescale as bs
from bayescale.errors import RunsError
from bayescale.validation.ranking import Ranking

QUICK = {"seed": 1, "progress": False}


def curve(loss, x=None, family=None) -> bs.Runs:
    x = np.geomspace(1e6, 1e11, len(loss)) if x is None else x
    table = pd.DataFrame({"examples": x, "loss": loss})
    if family is not None:
        table["family"] = family
    return bs.load_runs(table, needs=["examples"])


def model(card: str) -> bs.Model:
    return replace(bs.load_model(card), inputs={"x": "examples"})


def floored(n: int = 40, noise: float = 0.005, seed: int = 0) -> np.ndarray:
    x = np.geomspace(1e6, 1e11, n)
    loss = 1.2 + 60 * x**-0.3
    return loss * np.exp(noise * np.random.default_rng(seed).standard_normal(n))


@pytest.fixture(scope="module")
def floor_and_none() -> dict[str, bs.Fit]:
    """The true law of a curve with a floor, and one without."""
    runs = curve(floored())
    cards = ("power-law", "power-law-floor")
    return {card: bs.fit(runs, model(card), **QUICK) for card in cards}


@pytest.fixture(scope="module")
def of_curves(floor_and_none) -> bs.Comparison:
    return bs.compare(floor_and_none, **QUICK)


def test_the_true_law_wins(of_curves):
    assert of_curves.scale == "examples"
    assert of_curves.by_scale.best == of_curves.by_unit.best == "power-law-floor"
    assert not of_curves.by_scale.ties("power-law")
    assert not of_curves.by_unit.ties("power-law")
    assert of_curves.weights.sum() == pytest.approx(1)
    assert of_curves.weights["power-law-floor"] > 0.95
    assert of_curves.table().index[0] == "power-law-floor"
    assert of_curves.sentences[0].startswith(
        "Larger scales support power-law-floor within the range"
    )
    assert ", not power-law." in of_curves.sentences[0]
    assert "power-law is worse (-" in of_curves.sentences[1]


def test_identical_models_tie(floor_and_none):
    fit = floor_and_none["power-law-floor"]
    twins = bs.compare({"one": fit, "two": fit}, cuts=[1e9, 1e10], **QUICK)
    for ranking in (twins.by_scale, twins.by_unit):
        assert (ranking.table["diff"] == 0).all()
        assert (ranking.table["se"] == 0).all()
        assert ranking.ties("one")
        assert ranking.ties("two")
    np.testing.assert_allclose(twins.weights, 0.5)
    assert "do not separate one and two" in twins.sentences[0]
    assert "support" not in twins.sentences[0]
    alone = bs.compare({"one": fit}, cuts=[1e10], **QUICK)
    assert any(
        "All runs above one cut share the error of one forecast" in sentence
        for sentence in alone.sentences
    )


def test_neither_order_nor_families_matter(floor_and_none, of_curves):
    turned = bs.compare(dict(reversed(floor_and_none.items())), **QUICK)
    pd.testing.assert_frame_equal(turned.table(), of_curves.table())
    assert turned.sentences == of_curves.sentences
    labels = ["b", "a"] * 20
    renamed = {
        name: bs.fit(curve(floored(), family=labels), fit.model, **QUICK)
        for name, fit in floor_and_none.items()
    }
    pd.testing.assert_frame_equal(bs.compare(renamed, **QUICK).table(), of_curves.table())


def test_rows_may_lie_in_any_order(floor_and_none):
    """The rows of all fits are aligned."""
    fit = floor_and_none["power-law"]
    turned = curve(fit.runs.loss[::-1], fit.runs.column("examples")[::-1])
    other = bs.fit(turned, model("power-law-floor"), **QUICK)
    found = bs.compare({"power-law": fit, "power-law-floor": other}, cuts=[1e10], **QUICK)
    assert found.by_unit.best == "power-law-floor"
    assert not found.by_unit.ties("power-law")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.iloc[:-2], r"a has 40 runs, b has 38\. Only a has row 38 .* row 39 "),
        (
            lambda t: t.assign(loss=t["loss"].where(t.index != 3, 2.5)),
            r"Only b has row 3 \(.*loss 2\.5\)\. Row by row, they differ in loss\.",
        ),
        (lambda t: t.assign(family="c"), "They differ in the family of runs"),
    ],
)
def test_different_runs_are_refused(floor_and_none, change, words):
    fit = floor_and_none["power-law"]
    changed = bs.load_runs(change(fit.runs.table), needs=["examples"])
    other = replace(fit, runs=changed.for_law(("examples",), "loss"))
    with pytest.raises(RunsError, match=words):
        bs.compare({"a": fit, "b": other}, **QUICK)
    with pytest.raises(RunsError, match="a and b were not fitted to the same runs"):
        bs.model_average({"a": fit, "b": other}, {"a": 1.0})


def test_laws_of_other_columns_are_refused(floor_and_none, fit):
    with pytest.raises(RunsError, match="have no column"):
        bs.compare({"a": floor_and_none["power-law"], "b": fit}, **QUICK)


def test_a_law_that_cannot_be_identified_does_not_win():
    """Along one ratio of tokens to size the terms of Chinchilla's law can be swapped."""
    size = np.geomspace(1e7, 1e10, 30)
    noise = np.exp(0.004 * np.random.default_rng(1).standard_normal(30))
    table = pd.DataFrame({"n_params": size, "n_tokens": 20 * size, "loss": 9 * size**-0.06 * noise})
    runs = bs.load_runs(table.assign(compute=120 * size**2))
    found = bs.compare(["chinchilla", "power-law"], runs, **QUICK)
    assert list(found.fits) == ["power-law"]
    assert "tokens per parameter" in found.unfitted["chinchilla"]
    assert found.table().loc["chinchilla", "status"].startswith("not identified: ")
    assert any(s.startswith("chinchilla cannot win: not identified") for s in found.sentences)
    assert found.sentences[0] == "power-law is the only law that can be judged on these runs."
    with pytest.raises(RunsError, match="no law that could be fitted: .* tokens per parameter"):
        bs.compare(["chinchilla"], runs, **QUICK)


@pytest.mark.slow
def test_a_break_that_the_runs_do_not_show_does_not_win():
    x = np.geomspace(1e6, 1e11, 40)
    noise = np.exp(0.003 * np.random.default_rng(3).standard_normal(40))
    runs = curve(5 * (x / 1e6) ** -0.05 * noise)
    found = bs.compare(
        [model("power-law"), model("broken-power-law-1")], runs, cuts=[1e10], draws=250, **QUICK
    )
    assert "break1" in found.weakly_identified["broken-power-law-1"]
    assert found.weakly_identified["power-law"] == ()
    assert found.by_scale.best == "power-law"
    assert "not identified by these runs (" in found.status("broken-power-law-1")
    assert "broken-power-law-1" not in found.weights


@pytest.mark.slow
def test_a_fit_that_failed_does_not_win_silently(fit, failed_fit):
    found = bs.compare({"good": fit, "bad": failed_fit}, cuts=[1e21], **QUICK)
    assert found.eligible == ("good",)
    assert found.by_scale.best == "good"
    assert list(found.weights.index) == ["good"]
    assert any(
        sentence.startswith("bad cannot win: failed its gates") for sentence in found.sentences
    )
    alone = bs.compare({"bad": failed_fit}, cuts=[1e21], **QUICK)
    assert alone.sentences[0].startswith("No law can be preferred")
    assert alone.weights.empty


def test_three_laws_on_the_shipped_runs(compared):
    """No floor is refuted; whether size and data are coupled is not settled by larger scales."""
    assert compared.by_scale.best in ("chinchilla", "coupled")
    assert compared.by_scale.ties("chinchilla")
    assert compared.by_scale.ties("coupled")
    assert (compared.by_scale.repeats.idxmin(axis=1) == "kaplan-nd").all()
    assert not compared.by_unit.ties("kaplan-nd")
    assert compared.by_unit.best == "coupled"
    assert compared.by_unit.table.loc["kaplan-nd", "diff"] < -150
    assert compared.clustered_by == "n_params"
    assert len(compared.cuts) == 3
    assert not any(compared.weakly_identified.values())
    assert any("early-stopped runs" in caveat for caveat in compared.caveats)
    text = str(compared)
    assert "early-stopped runs" in text
    assert "±" in text
    assert "<li>" in compared._repr_html_()


@pytest.mark.slow
@pytest.mark.parametrize("true", ["chinchilla", "kaplan-nd"])
def test_the_true_law_of_size_and_tokens_wins(law_fits, true):
    """Runs simulated from the median of each posterior, at the included sizes and tokens."""
    fit = law_fits[true]
    medians = {name: float(draws.median()) for name, draws in fit.parameters.items()}
    runs = fit.runs
    exact = fit.law.evaluate(n_params=runs.n_params, n_tokens=runs.n_tokens, **medians)
    noise = np.exp(0.004 * np.random.default_rng(6).standard_normal(len(runs)))
    simulated = bs.load_runs(runs.table.assign(loss=exact * noise))
    found = bs.compare(["kaplan-nd", "chinchilla"], simulated, **QUICK)
    (other,) = {"kaplan-nd", "chinchilla"} - {true}
    assert found.by_scale.best == found.by_unit.best == true
    assert not found.by_scale.ties(other)
    assert not found.by_unit.ties(other)


def test_densities_of_logs_and_of_losses_differ_by_the_jacobian(compared):
    on_log, on_level = compared.densities("log"), compared.densities()
    jacobian = np.log(compared.runs.loss)
    for name in on_log:
        np.testing.assert_allclose(on_log[name] - on_level[name], jacobian)
    # The same Jacobian for the densities of SciPy.
    z, sigma = np.log(compared.runs.loss), 0.01
    np.testing.assert_allclose(
        stats.norm.logpdf(z, 0.9, sigma) - jacobian,
        stats.lognorm.logpdf(compared.runs.loss, sigma, scale=np.exp(0.9)),
    )
    with pytest.raises(ValueError, match="on: found 'losses'"):
        compared.densities("losses")


def least_squares(loss: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Densities of each loss left out of a regression b z on the level, in closed form."""
    found = []
    for i in range(len(loss)):
        rest = np.arange(len(loss)) != i
        square = np.sum(z[rest] ** 2)
        b = np.sum(z[rest] * loss[rest]) / square
        free = len(loss) - 2
        spread = np.sqrt(np.sum((loss[rest] - b * z[rest]) ** 2) / free * (1 + z[i] ** 2 / square))
        found.append(stats.t.logpdf(loss[i], free, b * z[i], spread))
    return np.array(found)


@pytest.mark.parametrize("additive", [True, False])
def test_densities_of_least_squares_on_losses_can_be_compared(additive):
    """It wins if errors are additive in the loss, and loses if they are additive in its log."""
    x = np.geomspace(1e6, 1e11, 60)
    z = (x / 1e6) ** -0.2
    error = np.random.default_rng(4).standard_normal(60)
    loss = 8 * z + 0.05 * error if additive else 8 * z * np.exp(0.03 * error)
    fits = {"power-law": bs.fit(curve(loss), model("power-law"), **QUICK)}
    found = bs.compare(fits, cuts=[1e10], others={"least squares": least_squares(loss, z)}, **QUICK)
    assert found.by_unit.best == ("least squares" if additive else "power-law")
    assert not found.by_unit.ties("power-law" if additive else "least squares")
    assert found.table().loc["least squares", "status"] == "densities made elsewhere"
    assert "least squares" not in found.weights


def test_what_is_refused(fit, floor_and_none):
    with pytest.raises(ValueError, match="expected runs with cards only"):
        bs.compare({"a": fit}, "chinchilla")
    with pytest.raises(ValueError, match="expected those that the cards are fitted to"):
        bs.compare(["chinchilla"])
    with pytest.raises(ValueError, match="found the cards chinchilla, chinchilla"):
        bs.compare(["chinchilla", "chinchilla"], "chinchilla")
    with pytest.raises(RunsError, match="laws of error and loss"):
        bs.compare(["chinchilla", "error-from-loss"], "chinchilla")
    with pytest.raises(ValueError, match=r"densities of shape \(2,\), expected one for each of"):
        bs.compare(floor_and_none, others={"x": [0.0, 1.0]}, cuts=[1e10], **QUICK)
    with pytest.raises(ValueError, match="the name 'power-law' is that of a law"):
        bs.compare(floor_and_none, others={"power-law": np.zeros(40)}, cuts=[1e10], **QUICK)


@given(
    st.lists(
        st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.integers(1, 9)), min_size=3, max_size=20
    )
)
def test_a_ranking_is_antisymmetric(rows):
    """Differences change sign with the best; parts with equal scores per run have zero SE."""
    one, other, runs = map(np.array, zip(*rows, strict=True))
    densities = pd.DataFrame({"a": one * runs, "b": other * runs})
    shares = runs / runs.sum()
    forth = Ranking(densities, ["a"], shares).table
    back = Ranking(densities, ["b"], shares).table
    assert forth.loc["b", "diff"] == pytest.approx(-back.loc["a", "diff"], abs=1e-9)
    assert forth.loc["b", "se"] == pytest.approx(back.loc["a", "se"], abs=1e-9)
    even = Ranking(densities.assign(b=densities["a"] - 2.0 * runs), ["a", "b"], shares)
    assert even.best == "a"
    assert even.table.loc["b", "diff"] == pytest.approx(-2.0 * runs.sum())
    assert even.table.loc["b", "se"] == pytest.approx(0.0, abs=1e-9)


def test_fits_that_disagree_widen_the_error():
    """Runs agree within cuts but not between cuts: three independent forecasts, not a hundred."""
    densities = pd.DataFrame({"a": np.zeros(100), "b": np.full(100, -0.003)})
    repeats = pd.DataFrame({"a": [0.0, 0.0, 0.0], "b": [-0.9, -0.3, 0.3]})
    shares = np.full(100, 0.01)
    assert not Ranking(densities, ["a", "b"], shares).ties("b")
    wide = Ranking(densities, ["a", "b"], shares, repeats)
    assert wide.table.loc["b", "se"] == pytest.approx(0.6 / np.sqrt(3))
    assert wide.ties("b")
