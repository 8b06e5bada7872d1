"""Fits with each kind of noise: known parameters are recovered and intervals cover them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from model.noises import (
    LINKED,
    NOISES,
    REDUCIBLE,
    VALUES,
    WHY,
    WORSE,
    curves,
    grid,
    noise_of,
    normal,
    simulated,
    student,
    surface,
    with_noise,
)
from scipy import stats

import bayescale as bs
from bayescale._seeds import Stream, generator
from bayescale.errors import BayescaleWarning


@pytest.mark.slow
def test_scale_grows_with_what_the_card_says():
    model = with_noise(normal(growth=REDUCIBLE))
    law = model.law
    fit = bs.fit(curves(), model, draws=50, tune=100, chains=2, seed=1, progress=False)
    plans = {"n_params": [1e8, 1e10], "n_tokens": [2e9, 2e11]}
    drawn = bs.predict(fit, **plans, seed=3)
    again = bs.predict(fit, **plans, seed=3)
    assert drawn.identical(again)
    reducible = law.evaluate(
        n_params=np.array(plans["n_params"]),
        n_tokens=np.array(plans["n_tokens"]),
        **{name: float(x.median()) for name, x in fit.parameters.items()},
    ) - float(fit.posterior["E"].median())
    ratio = np.log(reducible[1] / reducible[0])
    # With fixed random numbers at each plan, only the scale differs.
    standard = np.concatenate(
        [generator(3, Stream.RUN_NOISE, plan).standard_normal((2, 50, 1)) for plan in range(2)], -1
    )
    scale = np.log(drawn["loss_run"] / drawn["loss"]).to_numpy() / standard
    grown = np.log(scale[..., 1] / scale[..., 0])
    expected = fit.posterior["growth"].to_numpy() * ratio
    np.testing.assert_allclose(grown, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.slow
def test_runs_that_do_not_identify_the_noise_are_warned_of():
    alone = grid(20).assign(diverged=1)
    model = with_noise(normal(checkpoints=LINKED, censored="diverged"))
    with pytest.warns(BayescaleWarning) as caught:
        bs.fit(alone, model, draws=20, tune=50, chains=1, seed=1, progress=False)
    texts = " ".join(str(warning.message) for warning in caught)
    assert "No two rows are checkpoints of one run" in texts
    assert "Every run diverged" in texts


@pytest.mark.slow
def test_later_checkpoints_of_a_fitted_run_go_on_from_its_last():
    table = curves(10, 12)
    runs = bs.load_runs(table)
    noise = noise_of(normal(checkpoints=LINKED), runs, VALUES | {"correlation_length": 3.0})
    drawn = noise.draw(np.random.default_rng(7), (1, 1, len(table)))[0, 0]
    table["loss"] *= np.exp(drawn)
    runs = bs.load_runs(table)
    early = np.arange(len(table)) % 12 < 8
    model = with_noise(normal(checkpoints=LINKED))
    seen, unseen = runs.where(early), runs.where(~early)
    fit = bs.fit(seen, model, seed=1, progress=False)
    going_on = bs.score(fit, unseen)
    table.loc[~early, "run"] += " again"
    others = bs.score(fit, bs.load_runs(table).where(~early))
    # The next checkpoint is more correlated with the last one than the fourth is.
    width = going_on.pointwise["width_90"].to_numpy().reshape(10, 4)
    assert np.all(np.diff(width.mean(axis=0)) > 0)
    assert width[:, 0].mean() < 0.7 * others.pointwise["width_90"].mean()
    assert going_on.rmsle < others.rmsle
    assert going_on.elpd > others.elpd + 5
    assert going_on.joint_elpd > going_on.elpd + 5
    assert going_on.coverage(0.9) > 0.75


@pytest.mark.slow
def test_a_diverged_run_is_scored_by_the_probability_of_more(chinchilla_runs):
    model = with_noise(student(censored="diverged"))
    table = chinchilla_runs.table.assign(diverged=0)
    fit = bs.fit(table, model, draws=200, seed=1, progress=False)
    likely, unlikely = table.head(2).assign(diverged=1), table.head(2).assign(diverged=1)
    likely["loss"] *= 0.9
    unlikely["loss"] *= 1.2
    known = bs.load_runs(pd.concat([table.tail(3), likely]))
    scored = bs.score(fit, known)
    np.testing.assert_allclose(scored.pointwise["elpd"][3:], 0.0, atol=1e-2)
    assert scored.pointwise["pit"].isna().tolist() == [False] * 3 + [True] * 2
    assert 0.0 <= scored.coverage(0.9) <= 1.0
    assert np.isfinite(scored.summary()["crps"])
    assert bs.score(fit, bs.load_runs(unlikely)).elpd < -5


@pytest.mark.slow
def test_rounding_is_separated_from_noise():
    """With `rounding` in the card, sigma is the scatter before losses were rounded; without it, sigma also
    holds the rounding error."""
    card = bs.load_model("chinchilla-digitised")
    table = grid(200)
    clean = np.log(table["loss"]) + 0.0008 * np.random.default_rng(1).standard_normal(200)
    table["loss"] = np.exp(0.004 * np.round(clean / 0.004))
    fits = {
        name: bs.fit(table, model, seed=1, progress=False)
        for name, model in (("levels", card), ("plain", bs.load_model("chinchilla")))
    }
    sigma = {name: fit.summary(0.98).loc["sigma"] for name, fit in fits.items()}
    assert fits["levels"].diagnostics.ok
    assert sigma["levels"]["lower"] < 0.0008 < sigma["levels"]["upper"]
    assert sigma["plain"]["lower"] > 0.00085


@pytest.mark.slow
def test_the_card_of_digitised_losses_on_those_runs(chinchilla_runs, fit):
    found = bs.fit(chinchilla_runs, "chinchilla-digitised", seed=1, progress=False)
    assert found.diagnostics.ok
    assert 0.85 < float(found.posterior["sigma"].median() / fit.posterior["sigma"].median()) < 0.99
    moved = float(found.quantities["a"].mean() - fit.quantities["a"].mean())
    assert abs(moved) < 0.3 * float(fit.quantities["a"].std())


@pytest.mark.slow
def test_inefficiency_leaves_the_law_to_runs_that_are_tuned_well():
    noise = normal(inefficiency=WORSE)
    table = simulated(noise, grid(), 2, sigma=0.002, inefficiency=0.02)
    plan = {"n_params": 1e9, "n_tokens": 5e10}
    truth = float(surface(1e9, 5e10))
    fit = bs.fit(table, with_noise(noise), seed=1, progress=False)
    low, high = bs.predict(fit, **plan)["loss"].quantile([0.005, 0.995]).to_numpy()
    assert low < truth < high
    assert high - low < 0.03
    typical = bs.fit(table, with_noise(normal()), seed=1, progress=False)
    assert float(bs.predict(typical, **plan)["loss"].quantile(0.005)) > 1.005 * truth
    run = np.log(bs.predict(fit, **plan)["loss_run"] / truth).to_numpy().ravel()
    assert stats.skew(run) > 0.5


@pytest.mark.slow
def test_diverged_runs_are_lower_bounds():
    """Here large models with few tokens diverge early, at a loss below their final one. Fitted as final
    losses, they bias the predicted loss of such models downwards."""
    noise = normal(censored="diverged")
    table = simulated(normal(), grid(), 3)
    starved = table["n_tokens"] < 8 * table["n_params"]
    table["diverged"] = starved.astype(int)
    table.loc[starved, "loss"] *= 0.93
    plan = {"n_params": 2e9, "n_tokens": 4e9}
    truth = float(surface(2e9, 4e9))
    losses = {}
    for name, model, rows in (
        ("bounds", with_noise(noise), table),
        ("as they are", with_noise(normal()), table),
    ):
        fit = bs.fit(rows, model, seed=1, progress=False)
        losses[name] = bs.predict(fit, **plan)["loss"].quantile([0.01, 0.99]).to_numpy()
    assert losses["bounds"][0] < truth < losses["bounds"][1]
    assert losses["as they are"][1] < 0.98 * truth


@pytest.mark.slow
def test_repeats_separate_noise_from_misfit():
    from bayescale.model.pooling import Pooling

    rng = np.random.default_rng(8)
    settings = grid(40, seed=4)
    off = 0.01 * rng.standard_normal(40)
    repeated = pd.concat([settings.assign(seed=i) for i in range(4)])
    scatter = np.tile(off, 4) + 0.002 * rng.standard_normal(160)
    repeated["loss"] *= np.exp(scatter)
    misfit = Pooling(
        of="loss", over="n_params+n_tokens", kind="partial", sd=bs.HalfNormal(scale=0.02, why=WHY)
    )
    model = replace(with_noise(normal()), pooling=(misfit,))
    fit = bs.fit(repeated, model, draws=2000, tune=1000, seed=1, target_accept=0.97, progress=False)
    table = fit.summary(0.99)
    assert table.loc["sigma", "lower"] < 0.002 < table.loc["sigma", "upper"] < 0.003
    assert table.loc[misfit.spread, "lower"] < 0.01 < table.loc[misfit.spread, "upper"]
    assert table.loc[misfit.spread, "lower"] > 0.005


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tuned", "linked-censored", "rounded", "reducible"])
def test_simulated_truths_rank_uniformly(name):
    design = curves(6, 5).drop(columns="loss").assign(step=0.01)
    design["se"] = 0.004
    design.loc[::5, "diverged"] = 1 if name == "tuned" else 0
    result = bs.sbc(with_noise(NOISES[name]), design, n=40, seed=2, progress=False)
    assert result.ok(), result
    assert set(NOISES[name].all_priors) <= set(result.ranks.columns)


@pytest.mark.slow
def test_correlated_checkpoints_taken_as_independent_are_overconfident():
    """Compare the coverage of 90 % intervals of the optimal size over simulated tables."""
    linked = normal(checkpoints=LINKED)
    budget = 1e22
    inside: dict[str, list[bool]] = {"linked": [], "independent": []}
    truth = bs.allocate(bs.published("besiroglu2024"), budget=budget).draws["n_opt"].item()
    for seed in range(24):
        table = simulated(linked, curves(10, 20), seed, sigma=0.01, correlation_length=2.0)
        for name, noise in (("linked", linked), ("independent", normal())):
            fit = bs.fit(table, with_noise(noise), draws=250, seed=seed, progress=False)
            low, high = bs.allocate(fit, budget=budget).draws["n_opt"].quantile([0.05, 0.95])
            inside[name].append(bool(low < truth < high))
    assert np.mean(inside["linked"]) > 0.75
    assert np.mean(inside["independent"]) < 0.6
