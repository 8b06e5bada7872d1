"""Runs left out: by importance sampling, by refits, and in groups."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayescale as bs
from bayescale.errors import RunsError
from bayescale.posterior.contraction import contraction, weakly_identified
from bayescale.posterior.likelihood import log_densities
from bayescale.validation.leave_one_out import importance_sampled, score_left_out, units_of
from bayescale.validation.score import fit_and_score

OPTIONS = {"folds": 5, "seed": 1, "draws": 300, "target_accept": None}


def curve(n: int = 12, runs: int = 1, **columns) -> bs.Runs:
    x = np.tile(np.geomspace(1e6, 1e11, n), runs)
    noise = np.exp(0.01 * np.random.default_rng(2).standard_normal(len(x)))
    table = pd.DataFrame({"examples": x, "loss": 5 * (x / 1e6) ** -0.1 * noise, **columns})
    return bs.load_runs(table, needs=["examples"])


def power_law(**noise) -> bs.Model:
    card = bs.load_model("power-law")
    return replace(card, inputs={"x": "examples"}, noise=replace(card.noise, **noise))


def normal(**noise) -> bs.Model:
    sigma = bs.load_model("power-law").noise.priors["sigma"]
    return power_law(kind="normal", priors={"sigma": sigma}, **noise)


LENGTH = bs.LogNormal(median=1.0, log_sd=0.5, why="a test")


def test_importance_sampling_against_the_exact_answer():
    """The mean of a normal of known variance under a flat prior, which has a closed form."""
    rng = np.random.default_rng(3)
    y = rng.normal(0.0, 1.0, 30)
    draws = rng.normal(y.mean(), 1 / np.sqrt(30), (4, 2000))
    elpd, shape = importance_sampled(stats.norm.logpdf(y, draws[..., None], 1.0))
    rest = (y.sum() - y) / 29
    exact = stats.norm.logpdf(y, rest, np.sqrt(1 + 1 / 29))
    np.testing.assert_allclose(elpd, exact, atol=0.01)
    assert shape.max() < 0.5
    # A run that dominates the posterior.
    y[0] = 40.0
    draws = rng.normal(y.mean(), 1 / np.sqrt(30), (4, 2000))
    assert importance_sampled(stats.norm.logpdf(y, draws[..., None], 1.0))[1][0] > 0.7


@pytest.mark.slow
def test_an_influential_run_is_left_out_by_refit(monkeypatch):
    """Normal noise and one outlier, whose k is high."""
    runs = curve()
    table = runs.table
    table.loc[11, "loss"] *= 1.6
    runs = bs.load_runs(table, needs=["examples"])
    model = normal()
    fit = bs.fit(runs, model, seed=1, progress=False)
    found = score_left_out({"a": fit}, runs, units_of(runs, {"a": model}), **OPTIONS)
    assert found.pareto_k["a"].iloc[11] > 0.7
    assert found.exact["a"].iloc[11]
    assert not found.exact["a"].iloc[:8].any()
    others = np.arange(12) != 11
    scored = fit_and_score(model, runs.where(others), runs.where(~others), seed=1, draws=300)[1]
    assert found.elpd["a"].iloc[11] == pytest.approx(scored.pointwise["elpd"].iloc[0])
    assert "refitted" in found.how
    assert found.failed == {"a": 0}
    # More such runs than folds: all runs are predicted by cross-validation.
    monkeypatch.setattr("bayescale.validation.leave_one_out.HIGHEST_K", -9.0)
    folded = score_left_out({"a": fit}, runs, units_of(runs, {"a": model}), **OPTIONS)
    assert folded.exact.all(axis=None)
    assert "5 folds" in folded.how
    assert "importance sampling fails for many runs" in folded.how


@pytest.mark.slow
def test_densities_of_checkpoints_are_joint():
    """The sum over a run is the density of a multivariate normal, draw by draw."""
    runs = curve(n=6, runs=3, run=np.repeat(["a", "b", "c"], 6))
    linked = bs.CheckpointCorrelation(run="run", along="examples", length=LENGTH)
    model = normal(checkpoints=linked)
    fit = bs.fit(runs, model, draws=50, seed=1, progress=False)
    units = units_of(runs, {"a": model})
    joint = units.sums(log_densities(fit, runs))
    assert joint.shape == (4, 50, 3)
    log_x, log_y = np.log(runs.column("examples"))[:6], np.log(runs.loss)
    at = {name: float(fit.posterior[name][0, 0]) for name in fit.posterior.data_vars}
    gap = np.abs(log_x[:, None] - log_x)
    covariance = at["sigma"] ** 2 * np.exp(-gap / at["correlation_length"])
    mean = at["alpha"] * (np.log(at["x_c"]) - log_x)
    for i in range(3):
        expected = stats.multivariate_normal.logpdf(log_y[6 * i : 6 * i + 6], mean, covariance)
        assert joint[0, 0, i] == pytest.approx(expected)


def test_groups_are_chosen_with_a_reason():
    alone = units_of(curve(), {"a": power_law()})
    assert (alone.by, len(alone)) == ("", 12)
    several = curve(n=6, runs=2, run=np.repeat(["a", "b"], 6))
    whole = units_of(several, {"a": power_law()})
    assert (whole.by, whole.labels) == ("run", ("a", "b"))
    assert "checkpoints" in whole.why
    linked = bs.CheckpointCorrelation(run="seed", along="examples", length=LENGTH)
    seeds = curve(n=6, runs=2, seed=["x", "y"] * 6)
    related = units_of(seeds, {"a": power_law(), "b": power_law(checkpoints=linked)})
    assert related.by == "seed"
    assert "the noise of b correlates" in related.why
    with pytest.raises(RunsError, match="splits runs of one seed"):
        units_of(seeds, {"b": power_law(checkpoints=linked)}, by="run")
    with pytest.raises(RunsError, match="found one level of place"):
        units_of(curve(place="here"), {"a": power_law()}, by="place")
    np.testing.assert_array_equal(
        whole.sums(np.arange(12.0)), [np.arange(6).sum(), np.arange(6, 12).sum()]
    )


def test_a_card_whose_sizes_share_errors_leaves_out_whole_sizes(chinchilla_runs):
    plain = bs.load_model("chinchilla")
    why = "for a test"
    linked = bs.CheckpointCorrelation(
        run="n_params",
        along="n_tokens",
        length=bs.LogNormal(median=1.0, log_sd=0.7, why=why),
        alike=bs.Beta(a=1.0, b=1.0, why=why),
    )
    shared = replace(plain, noise=replace(plain.noise, checkpoints=linked))
    units = units_of(chinchilla_runs, {"shared": shared, "plain": plain})
    assert units.by == "n_params"
    assert 30 < len(units) < 60


def test_groups_are_predicted_in_folds():
    runs = curve(n=8, runs=4, run=np.repeat(list("abcd"), 8))
    linked = bs.CheckpointCorrelation(run="run", along="examples", length=LENGTH)
    models = {"plain": normal(), "linked": normal(checkpoints=linked)}
    fits = {name: bs.fit(runs, m, draws=200, seed=1, progress=False) for name, m in models.items()}
    found = score_left_out(fits, runs, units_of(runs, models), **{**OPTIONS, "folds": 2})
    assert found.elpd.shape == (4, 2)
    assert found.elpd.notna().all(axis=None)
    assert found.exact.all(axis=None)
    assert "2 folds" in found.how
    others = runs.where("run in ['a', 'b', 'c']")
    assert len(others) == 24


def test_contraction_of_the_posterior(fit):
    assert (contraction(fit) > 0.95).all()
    assert set(contraction(fit).index) == {"e_n", "e_d", "alpha", "beta"}
    assert weakly_identified(fit) == ()
    # Draws of the prior have no contraction.
    from bayescale.backend.build import draw_prior

    drawn = draw_prior(fit.model, np.random.default_rng(5), 4000)
    blank = fit.posterior.copy(deep=True)
    for name in ("e_n", "alpha"):
        blank[name] = (("chain", "draw"), drawn[name].reshape(4, 1000))
    untaught = replace(fit, _posterior=blank)
    assert weakly_identified(untaught) == ("e_n", "alpha")
    assert contraction(untaught)["alpha"] == pytest.approx(0.0, abs=0.1)
    # Runs along one ratio identify no exponents, however narrow the posterior is.
    table = fit.runs.table
    along = replace(fit.runs, _table=table.assign(n_tokens=20 * table["n_params"]))
    assert weakly_identified(replace(fit, runs=along)) == ("e_n", "e_d", "alpha", "beta")
