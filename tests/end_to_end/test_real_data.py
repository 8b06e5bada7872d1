"""Laws on larger public tables, which are not part of the repository: skipped where absent."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import AmountError, BayescaleWarning


@pytest.mark.slow
def test_chinchilla_on_an_exact_surface(shared_table):
    """A table without noise gives the truth to five digits, or a failed fit."""
    runs = bs.load_runs(shared_table("cs336_synthetic_isoflop"))
    fit = bs.fit(runs, "chinchilla", seed=1, tune=1000, progress=False)
    truth = {"E": 2.69, "A": 1606.4, "B": 3210.7, "alpha": 0.34, "beta": 0.36}
    assert fit.diagnostics.ok, fit.diagnostics.messages
    for name, value in truth.items():
        assert float(fit.posterior[name].median()) == pytest.approx(value, rel=1e-4), name


@pytest.mark.slow
def test_repeated_epochs_on_real_runs(shared_table):
    """Muennighoff's runs on a billion unique tokens or more: repeats have diminishing returns."""
    runs = bs.load_runs(
        shared_table("datablations_runs"),
        columns={"n_unique_tokens": "unique_tokens"},
        needs=("n_params", "n_tokens", "n_unique_tokens"),
    ).where("family == 'c4' and n_unique_tokens >= 1e9")
    fit = bs.fit(runs, "data-constrained", seed=1, progress=False)
    assert fit.gates.ok, fit.gates.messages
    # A quarter of these runs lies far off the law, which heavy tails absorb.
    with pytest.warns(BayescaleWarning, match="at their lower bound"):
        table = fit.summary(prob=0.9)
    # The published 15 and 5 are from a selection of these runs and from another objective; R_D
    # moves with the selection by more than its interval.
    assert 5 < table.loc["R_D", "lower"] < table.loc["R_D", "upper"] < 200
    assert 1 < table.loc["R_N", "lower"] < 5.31 < table.loc["R_N", "upper"] < 20
    assert 0.2 < table.loc["alpha", "median"] < 0.5
    with pytest.raises(AmountError, match="also takes n_unique_tokens"):
        bs.allocate(fit, budget=1e22)
    plan = bs.allocate(fit, budget=1e22, fixed={"n_unique_tokens": "25B"})
    assert 1e9 < float(plan.draws["n_opt"].median()) < 1e11


def load(table: pd.DataFrame, *needs: str) -> bs.Runs:
    return bs.load_runs(table.reset_index(drop=True), needs=needs)


def gemstones(shared_table) -> bs.Runs:
    """Return Gemstones at a constant learning rate, to 100B tokens, N without embeddings."""
    table = pd.read_csv(shared_table("gemstones"))
    kept = (table["family"] == "hot") & (table["val_data"] == "dolma") & (table["tokens"] < 1.01e11)
    table = table[kept].rename(columns={"params_nonembed": "n_params"})
    columns = ["run", "n_params", "steps", "tokens", "batch_tokens", "loss"]
    return load(table[columns], "n_params", "n_steps", "batch_tokens")


def routed(shared_table) -> bs.Runs:
    """Dense models only."""
    table = pd.read_csv(shared_table("routed_lm_curves"))
    kept = (table["family"] == "dense") & (table["flop_increase"] == 1)
    columns = ["run", "seed", "params", "steps", "tokens", "batch_tokens", "loss"]
    return load(table.loc[kept, columns], "n_params", "n_steps", "batch_tokens")


@pytest.mark.slow
def test_learning_curves_at_a_constant_rate_are_kaplans(shared_table):
    """The exponents are Kaplan's 0.077 and 0.76, in his mode."""
    fit = bs.fit(gemstones(shared_table), "kaplan-ns-min", seed=1, progress=False)
    assert fit.gates.ok, fit.gates.messages
    # Rows of a run have correlated errors, which independent noise does not model.
    with pytest.warns(BayescaleWarning, match="Residuals follow a pattern"):
        table = fit.summary(prob=0.9)
    assert 0.05 < table.loc["alpha_N", "lower"] < table.loc["alpha_N", "upper"] < 0.08
    assert 0.65 < table.loc["alpha_S", "lower"] < 0.76 < table.loc["alpha_S", "upper"] < 0.85
    # An independent point fit gave 0.0615, 0.761, 595 steps.
    assert table.loc["alpha_N", "median"] == pytest.approx(0.0615, abs=0.002)
    assert table.loc["S_c", "median"] == pytest.approx(595, rel=0.05)
    assert any("alpha_S above alpha_N" in remark for remark in fit.diagnostics.remarks)


@pytest.mark.slow
def test_learning_curves_under_a_cosine_are_in_the_other_mode(shared_table):
    fit = bs.fit(routed(shared_table), "kaplan-ns-min", seed=1, progress=False)
    assert fit.gates.ok, fit.gates.messages
    # For some draws the check of misfit fails.
    assert float(fit.posterior["alpha_N"].median()) == pytest.approx(0.164, abs=0.01)
    assert float(fit.posterior["alpha_S"].median()) == pytest.approx(0.069, abs=0.01)
    assert any("alpha_N above alpha_S" in remark for remark in fit.diagnostics.messages)


@pytest.mark.slow
def test_one_batch_size_says_that_the_critical_batch_rests_on_its_prior(shared_table):
    """It fits better, since any curvature is attributed to the critical batch."""
    runs = routed(shared_table)
    with pytest.warns(BayescaleWarning, match="Every run has batch_tokens = 524K"):
        inside = bs.fit(runs, "kaplan-ns", seed=1, progress=False)
    given = bs.fit(runs, "kaplan-ns-min", seed=1, progress=False)
    assert bs.score(inside, runs).rmsle < 0.8 * bs.score(given, runs).rmsle


@pytest.mark.slow
def test_kaplans_joint_law_on_the_data_it_is_about(shared_table):
    """With size and unique tokens at the best duration, large models over-fit and the law misfits."""
    table = pd.read_csv(shared_table("datablations_runs"))
    table = table[(table["family"] == "c4") & table["seed"].isna() & table["variant"].isna()]
    best = table.loc[table.groupby(["params", "unique_tokens"])["loss"].idxmin()]
    best = best[["run", "params", "unique_tokens", "loss"]].rename(
        columns={"params": "n_params", "unique_tokens": "n_tokens"}
    )
    runs = load(best, "n_params", "n_tokens")
    fit = bs.fit(runs, "kaplan-nd", seed=1, target_accept=0.95, progress=False)
    assert fit.gates.ok, fit.gates.messages
    assert "tails" in {check.name for check in fit.criticism if check.failed}
    assert 0.1 < bs.score(fit, runs).rmsle < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("curve", ["lm:val_loss|4.53e+08", "nmt:log_perplexity|Dec-only"])
def test_extrapolating_a_curve_of_a_language_model(curve, shared_table):
    """Fit the training part; a power law without floor mispredicts the rest, laws with one do not.

    So few runs do not identify a break, which is refused.
    """
    table = pd.read_csv(shared_table("revisiting_lang"))
    table = table[table["run"] == curve]
    runs = load(table[["examples", "loss", "train_split"]], "examples")
    cards = ["power-law", "power-law-floor", "power-law-sigmoid", "broken-power-law-1"]
    models = [replace(bs.load_model(card), inputs={"x": "examples"}) for card in cards]
    scores = bs.hold_out(runs, models, "train_split == 1", seed=1, target_accept=0.95)
    assert "expected at least 16" in scores.loc["broken-power-law-1", "status"]
    scores = scores.drop(index="broken-power-law-1")
    assert scores.index[-1] == "power-law"
    assert (scores["rmsle"] < scores.loc["power-law", "rmsle"] / 2)[:-1].all()
    # Either outcome is possible; a failure must be reported.
    failed = scores[~scores["ok"].astype(bool)]
    assert failed["status"].str.startswith("THIS FIT FAILED").all()
    assert np.isfinite(scores["elpd"]).all()
