"""Hoffmann's approaches 1 and 2, on surfaces with known optima."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.baselines.isoflop import parabola_bias
from bayescale.baselines.lines import line_through
from bayescale.errors import NoMinimumError, RunsError

LAW = bs.law("chinchilla")
TRUTH = bs.published("besiroglu2024-log").parameters
BUDGETS = np.array([6e18, 3e19, 1e20, 3e20, 1e21, 3e21])


def surface(size, tokens, noise=0.0, seed=1, **more) -> bs.Runs:
    loss = LAW.evaluate(n_params=size, n_tokens=tokens, **TRUTH)
    scatter = noise * np.random.default_rng(seed).standard_normal(len(loss))
    table = pd.DataFrame({"n_params": size, "n_tokens": tokens, "loss": loss * np.exp(scatter)})
    return bs.load_runs(table.assign(**more))


def isoflops(width: float = 3.0, points: int = 9, off: float = 1.0, noise=0.0, seed=1) -> bs.Runs:
    best = np.exp(LAW.optimal_log_params(TRUTH, np.log(BUDGETS / 6)))
    steps = np.geomspace(off / width, off * width, points)
    size = (best[:, None] * steps).ravel()
    return surface(size, np.repeat(BUDGETS, points) / (6 * size), noise, seed)


@pytest.mark.parametrize(("width", "missed"), [(2, -0.0033), (4, -0.0130)])
def test_bias_of_the_printed_surface(width, missed):
    """Reproduce the published bias of the token optimum on grids of two and four times either way."""
    grid = np.linspace(-np.log(width), np.log(width), 15)
    bias = parabola_bias(grid, 0.0, alpha=0.34, beta=0.28)
    assert np.expm1(-bias) == pytest.approx(missed, abs=1e-4)
    t2, t4 = np.mean(grid**2), np.mean(grid**4)
    assert bias == pytest.approx((0.34 - 0.28) * t4 / (6 * t2), rel=0.05)


def test_equal_exponents_and_a_centred_grid_have_no_bias():
    assert parabola_bias(np.linspace(-1, 1, 9), 0.0, 0.3, 0.3) == pytest.approx(0.0, abs=1e-12)
    assert abs(parabola_bias(np.linspace(-0.2, 1.8, 9), 0.0, 0.3, 0.3)) > 0.003


@pytest.mark.parametrize("off", [1.0, 1.8])
def test_parabolas_have_the_stated_bias(off):
    runs = isoflops(off=off)
    frontier = bs.isoflop_parabolas(runs)
    best = LAW.optimal_log_params(TRUTH, np.log(BUDGETS / 6))
    missed = np.log(frontier.budgets["n_opt"].to_numpy()) - best
    np.testing.assert_allclose(frontier.budgets["bias"], missed, rtol=0.06, atol=1e-4)
    assert frontier.exponents().loc["a", "median"] == pytest.approx(
        LAW.derived(TRUTH)["a"], abs=1e-4
    )
    assert f"{np.expm1(frontier.budgets['bias'].min()):+.2%}" in frontier.caveats[0]


def test_parabolas_cover_the_exponent():
    """Over noisy sweeps the coverage of nominal 90 % intervals is about 90 %."""
    a = LAW.derived(TRUTH)["a"]
    inside = []
    for seed in range(60):
        row = bs.isoflop_parabolas(isoflops(noise=0.003, seed=seed)).exponents().loc["a"]
        inside.append(row["lower"] < a < row["upper"])
    # 60 trials at 0.9: fewer than 46 has probability below 0.001.
    assert sum(inside) >= 46


def test_excluded_budgets_are_named():
    runs = isoflops().table
    flat = runs["compute"] < 1e19
    runs.loc[flat, "loss"] = 5.0 + 0.01 * np.log(runs.loc[flat, "n_params"]) ** 0.5
    frontier = bs.isoflop_parabolas(bs.load_runs(runs), drop_edges=True)
    assert len(frontier.budgets) == len(BUDGETS) - 1
    assert any(caveat.startswith("Left out: 6e18 FLOP: the loss") for caveat in frontier.caveats)


def test_budgets_without_a_minimum_are_refused_by_name():
    """A parabola with its minimum outside the sizes gives neither an exponent nor a loss."""
    for off, side in ((6.0, "below"), (1 / 6.0, "above")):
        with pytest.raises(NoMinimumError, match=f"6 of 6 budgets .*minimum lies {side}") as found:
            bs.isoflop_parabolas(isoflops(width=2.0, off=off))
        assert found.value.budgets == pytest.approx(BUDGETS)
        with pytest.raises(RunsError, match="found 0 budgets"):
            bs.isoflop_parabolas(isoflops(width=2.0, off=off), drop_edges=True)
    # If one of several has none, the others suffice on request.
    table = isoflops().table
    best = np.exp(LAW.optimal_log_params(TRUTH, np.log(BUDGETS[0] / 6)))
    small = np.isclose(table["n_params"] * table["n_tokens"] * 6, BUDGETS[0])
    runs = bs.load_runs(table[~small | (table["n_params"] > 1.05 * best)])
    with pytest.raises(NoMinimumError, match=r"1 of 6 budgets \(6e18 FLOP") as found:
        bs.isoflop_parabolas(runs)
    assert found.value.budgets == pytest.approx(BUDGETS[:1])
    kept = bs.isoflop_parabolas(runs, drop_edges=True)
    named = bs.isoflop_parabolas(runs, budgets=list(BUDGETS[1:]))
    assert len(kept.budgets) == len(named.budgets) == 5


def test_public_cases_of_parabolas():
    """A synthetic sweep of exponent 0.51261, and one with all sizes beyond the minimum."""
    cases = Path(__file__).parents[3] / "shared" / "cases"
    if not cases.is_dir():
        pytest.skip("the public cases are not beside the checkout")
    names = {"C": "compute", "N": "n_params", "D": "n_tokens"}
    whole, edge = (
        bs.load_runs(pd.read_csv(cases / f"{name}.csv").rename(columns=names))
        for name in ("12-synthetic", "12b-edge")
    )
    a = bs.isoflop_parabolas(whole).exponents().loc["a", "median"]
    assert a == pytest.approx(0.51261, abs=1e-4)
    with pytest.raises(NoMinimumError, match="5 of 5 budgets"):
        bs.isoflop_parabolas(edge)


def test_a_sweep_that_cannot_be_read_is_refused(chinchilla_runs):
    with pytest.raises(RunsError, match="found 0 budgets"):
        bs.isoflop_parabolas(isoflops(points=3))
    with pytest.raises(RunsError, match="found 1 budgets"):
        bs.isoflop_parabolas(isoflops(), budgets=["1e21", "7e25"])
    with pytest.raises(TypeError, match="found 'kaplan2020-nd'"):
        bs.isoflop_parabolas(isoflops(), surface="kaplan2020-nd")
    with pytest.raises(RunsError, match="no column 'curve_id'"):
        bs.envelope(chinchilla_runs, curve="curve_id")
    with pytest.raises(RunsError, match="found 0 curves"):
        bs.envelope(chinchilla_runs)


def curves(noise: float = 0.0) -> bs.Runs:
    size = np.geomspace(5e7, 5e9, 25)
    tokens = np.geomspace(2e9, 5e11, 40)
    all_sizes, all_tokens = (grid.ravel() for grid in np.meshgrid(size, tokens))
    return surface(all_sizes, all_tokens, noise, run=[f"{n:.3g}" for n in all_sizes])


def test_the_envelope_of_curves_finds_the_exponent():
    frontier = bs.envelope(curves(), resamples=100)
    truth = LAW.derived(TRUTH)["a"]
    row = frontier.exponents().loc["a"]
    assert row["lower"] < truth < row["upper"]
    assert row["median"] == pytest.approx(truth, abs=0.05)
    inner = frontier.budgets
    assert "left out" in frontier.caveats[1]
    best = np.exp(LAW.optimal_log_params(TRUTH, np.log(inner.index.to_numpy() / 6)))
    np.testing.assert_allclose(inner["n_opt"], best, rtol=0.25)
    noisy = bs.envelope(curves(noise=0.01), resamples=20)
    # The minimum of several noisy curves lies below the frontier.
    at = noisy.budgets.index.intersection(frontier.budgets.index)
    assert len(at) > 15
    least, exact = (found.budgets.loc[at, "loss_opt"] for found in (noisy, frontier))
    assert (least < exact).mean() > 0.9


def test_text_of_a_frontier():
    frontier = bs.isoflop_parabolas(isoflops(noise=0.002))
    text = str(frontier)
    assert "approach 2" in text
    assert "a = 0.5" in text
    assert "90 % intervals" in text
    assert "&lt;" not in frontier._repr_html_()
    at = frontier.at(["1e21", 5.76e23])
    np.testing.assert_allclose(6 * at["n_opt"] * at["d_opt"], [1e21, 5.76e23], rtol=1e-12)
    assert (at["n_opt_lower"] < at["n_opt"]).all()
    widths = np.log(at["n_opt_upper"] / at["n_opt_lower"]).to_numpy()
    assert widths[1] > 2 * widths[0]
    again = bs.isoflop_parabolas(isoflops(noise=0.002))
    pd.testing.assert_frame_equal(again.draws, frontier.draws)


def test_a_width_keeps_sizes_to_both_sides_of_the_best():
    wide = isoflops(width=40.0, points=25, off=2.0)
    narrow = bs.isoflop_parabolas(wide, width=3.0)
    every = bs.isoflop_parabolas(wide)
    assert (narrow.budgets["n_runs"] < every.budgets["n_runs"]).all()
    best = np.exp(LAW.optimal_log_params(TRUTH, np.log(BUDGETS / 6)))
    missed = [np.abs(np.log(f.budgets["n_opt"] / best)).max() for f in (narrow, every)]
    assert missed[0] < 0.1 * missed[1]
    assert np.abs(narrow.budgets["bias"]).max() < 0.1 * np.abs(every.budgets["bias"]).max()
    # One-sided sweeps still have the four sizes that a parabola needs.
    few = bs.isoflop_parabolas(isoflops(width=3.0, points=5, off=2.5), width=1.01)
    assert (few.budgets["n_runs"] == 4).all()


def test_weights_of_a_line_include_standard_errors_and_excess_variance():
    rng = np.random.default_rng(3)
    log_c = np.linspace(40.0, 50.0, 8)
    spread = np.array([0.3, 0.02, 0.1, 0.02, 0.1, 0.02, 0.1, 0.3])
    noise = spread * rng.standard_normal((4000, 8))
    on_the_line = 0.5 * log_c + noise
    exact = line_through(log_c, on_the_line, rng)
    design = np.stack([np.ones(8), log_c - log_c.mean()], axis=1)
    covariance = np.linalg.inv((design / spread[:, None] ** 2).T @ design)
    # Without excess scatter it is generalised least squares.
    assert exact["a"].mean() == pytest.approx(0.5, abs=0.001)
    assert exact["a"].std() == pytest.approx(np.sqrt(covariance[1, 1]), rel=0.05)
    apart = on_the_line + 0.2 * rng.standard_normal(8)
    scattered = line_through(log_c, apart, rng)
    assert scattered["a"].std() > 2 * exact["a"].std()


def test_lines_have_coverage_with_excess_variance():
    inside = []
    log_c = np.linspace(40.0, 50.0, 10)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        known = rng.uniform(0.005, 0.2, 10)
        truth = 0.5 * log_c + 0.08 * rng.standard_normal(10) + known * rng.standard_normal(10)
        drawn = truth + known * rng.standard_normal((1000, 10))
        low, high = line_through(log_c, drawn, rng)["a"].quantile([0.05, 0.95])
        inside.append(low < 0.5 < high)
    # 200 trials at 0.9: fewer than 165 has probability below 0.001.
    assert sum(inside) >= 165
