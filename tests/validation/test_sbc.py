"""Simulation-based calibration: ranks of known truths, and problems that it detects."""

import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import BayescaleWarning, RunsError
from bayescale.inference.nutpie import CompiledLogp
from bayescale.validation import sbc as ranks
from bayescale.validation.sbc_chain import ReversibleChain

QUICK = {"seed": 1, "draws": 300, "progress": False}


@pytest.mark.slow
def test_scales_are_left_out_one_after_the_other(chinchilla_runs, tmp_path):
    store = tmp_path / "scores.jsonl"
    cuts = ["3e20", 1e21]
    table = bs.leave_scale_out(
        chinchilla_runs, ["chinchilla", "kaplan-nd"], cuts, store=store, **QUICK
    ).table
    assert list(table.index.names) == ["model", "cut"]
    assert len(table) == 4
    for (_, cut), row in table.iterrows():
        below = chinchilla_runs.compute < cut
        assert (row["n_train"], row["n_test"]) == (below.sum(), (~below).sum())
        assert row["distance"] > 0
        assert row["coverage_50"] <= row["coverage_90"] <= row["coverage_95"] <= 1
        assert row["interval_score_90"] >= row["width_90"]
    by_model = table.groupby("model")["rmsle"].mean()
    assert by_model["chinchilla"] < by_model["kaplan-nd"]
    lines = store.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    again = bs.leave_scale_out(
        chinchilla_runs, ["chinchilla", "kaplan-nd"], cuts, store=store, **QUICK
    ).table
    pd.testing.assert_frame_equal(again, table)
    assert store.read_text(encoding="utf-8").splitlines() == lines


@pytest.mark.slow
def test_a_process_pool_gives_the_same_numbers(chinchilla_runs):
    alone = bs.leave_scale_out(chinchilla_runs, ["chinchilla"], [3e20, 1e21], **QUICK).table
    with ProcessPoolExecutor(2) as executor:
        pooled = bs.leave_scale_out(
            chinchilla_runs, ["chinchilla"], [3e20, 1e21], executor=executor, **QUICK
        ).table
    pd.testing.assert_frame_equal(alone, pooled)


def test_a_model_that_cannot_be_fitted_leaves_the_others_alone(chinchilla_runs):
    cut = float(np.sort(chinchilla_runs.compute)[4])
    table = bs.leave_scale_out(chinchilla_runs, ["chinchilla"], [cut, 1e21], **QUICK).table
    status = table.loc[("chinchilla", cut), "status"]
    assert "expected at least 7" in status
    assert np.isfinite(table.loc[("chinchilla", 1e21), "elpd"])


def test_any_column_may_be_the_scale(chinchilla_runs):
    table = bs.leave_scale_out(
        chinchilla_runs, ["chinchilla"], ["2B"], scale="n_params", **QUICK
    ).table
    assert table["n_test"].iloc[0] == (chinchilla_runs.n_params >= 2e9).sum()


def test_a_cut_outside_the_runs_is_refused(chinchilla_runs):
    with pytest.raises(RunsError, match="found 240 of 240 runs with compute below 1e"):
        bs.leave_scale_out(chinchilla_runs, ["chinchilla"], [1e25], **QUICK)
    model = bs.load_model("chinchilla")
    with pytest.raises(ValueError, match="expected different ids"):
        bs.leave_scale_out(chinchilla_runs, [model, replace(model, title="x")], [1e21], **QUICK)


def design(kind: str) -> pd.DataFrame:
    size = np.geomspace(1e8, 1e10, 5)
    if kind == "diagonal":
        return pd.DataFrame({"n_params": size.repeat(3), "n_tokens": 20 * size.repeat(3)})
    sizes, tokens = (grid.ravel() for grid in np.meshgrid(size, np.geomspace(1e9, 1e12, 5)))
    return pd.DataFrame({"n_params": sizes, "n_tokens": tokens})


@pytest.mark.slow
@pytest.mark.parametrize("card", ["chinchilla", "kaplan-nd"])
def test_simulations_are_calibrated(card):
    with ProcessPoolExecutor(2) as executor:
        found = bs.sbc(card, design("grid"), 120, seed=2, executor=executor, progress=False)
    assert found.ok(), found
    assert {"ln n_opt", "loss_opt", "log likelihood", "sigma", "e_n"} <= set(found.ranks)
    assert (found.sampler["effective"] >= found.ranked).mean() > 0.95


@pytest.mark.slow
def test_a_wrong_sampler_is_detected(monkeypatch):
    """Underdispersed draws."""
    from bayescale.inference import adaptive

    def narrow(*arguments):
        positions, *rest = draw_posterior(*arguments)
        middle = {name: values.mean() for name, values in positions.items()}
        half = {name: middle[name] + 0.6 * (v - middle[name]) for name, v in positions.items()}
        return half, *rest

    draw_posterior = adaptive.draw_posterior
    monkeypatch.setattr(adaptive, "draw_posterior", narrow)
    found = bs.sbc(
        "power-law",
        pd.DataFrame({"compute": np.geomspace(1e17, 1e21, 12)}),
        80,
        seed=2,
        progress=False,
    )
    assert not found.ok()
    assert found.table()["spread"].median() > 1.2
    assert "NOT UNIFORM" in repr(found)


def test_a_diagonal_design_is_warned_of_before_anything_is_simulated():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BayescaleWarning)
        found = bs.sbc("chinchilla", design("diagonal"), 2, progress=False)
    assert "Every run has about 20.0 tokens per parameter" in str(caught[0].message)
    assert found.ranks.shape[0] == 2
    few = found.sampler["effective"] < found.ranked
    assert (found.sampler["along_chain"] == few).all()


@pytest.mark.slow
@pytest.mark.parametrize("sharper", [1.0, 2.5])
def test_truths_are_ranked_along_a_chain_where_draws_are_too_few(monkeypatch, sharper):
    """Draws are always too few here; ranks along the chain detect a density that is too narrow."""
    monkeypatch.setattr(ranks, "_SETTINGS", replace(ranks._SETTINGS, draws=10))

    def given(sampler, data):
        log_density = right(sampler, data)
        return lambda position: tuple(sharper * part for part in log_density(position))

    right = CompiledLogp.log_density_given
    monkeypatch.setattr(CompiledLogp, "log_density_given", given)
    compute = pd.DataFrame({"compute": np.geomspace(1e17, 1e21, 12)})
    found = bs.sbc("power-law", compute, 120, seed=2, progress=False)
    assert found.sampler["along_chain"].mean() > 0.9
    assert found.ok() == (sharper == 1.0), found


def test_ranks_along_a_constant_chain_are_uniform(monkeypatch):
    """All states equal the truth, so that its rank is uniform by the random treatment of ties."""
    monkeypatch.setattr(ranks, "_SETTINGS", replace(ranks._SETTINGS, draws=10))
    monkeypatch.setattr(ReversibleChain, "path", lambda _, at, count, rng: np.tile(at, (count, 1)))
    found = bs.sbc("chinchilla", design("grid"), 8, progress=False)
    assert found.sampler["along_chain"].all()
    inside = (found.ranks > 0) & (found.ranks < 1)
    assert inside.to_numpy().mean() > 0.9


@pytest.mark.slow
def test_bands_hold_uniform_ranks_and_not_others():
    rng = np.random.default_rng(4)

    def made(draw) -> bs.Sbc:
        ranks = pd.DataFrame({"q": np.clip(np.round(draw * 200), 0, 200) / 200})
        return bs.Sbc(ranks, pd.DataFrame({"divergences": np.zeros(len(ranks))}), 200)

    uniform = [made(rng.integers(0, 201, 150) / 200) for _ in range(60)]
    p_values = np.array([one.table().loc["q", "p_value"] for one in uniform])
    assert 0.02 < np.mean(p_values < 0.2) < 0.4
    for wrong in (rng.beta(0.5, 0.5, 150), rng.beta(2.5, 2.5, 150), rng.beta(1, 1.8, 150)):
        assert made(wrong).table().loc["q", "p_value"] < 0.01
    band = uniform[0].bands(0.95)
    assert ((band["lower"] <= band.index) & (band.index <= band["upper"])).all()
    within = [
        (lambda ecdf: ((band["lower"] <= ecdf) & (ecdf <= band["upper"])).all())(
            np.array([(one.ranks["q"] < place).mean() for place in band.index])
        )
        for one in uniform
    ]
    assert np.mean(within) > 0.8
