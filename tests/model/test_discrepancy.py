"""The discrepancy of a law: its process, its modes and its effect on predictions."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayescale as bs
from bayescale.data.levels import Levels, padded
from bayescale.errors import CardError, RunsError
from bayescale.model.card import load_model
from bayescale.model.discrepancy import CELLS, DECAY, MODES, SCALES, SLOPES, Discrepancy


@pytest.fixture(scope="module")
def discrepancy() -> Discrepancy:
    found = load_model("coupled-discrepancy").discrepancy
    assert found is not None
    return found


@pytest.fixture(scope="module")
def departing(chinchilla_runs) -> bs.Fit:
    return bs.fit(chinchilla_runs, "coupled-discrepancy", draws=500, seed=1, progress=False)


def drawn(of: Discrepancy, draws: int, rough: float = 1.0, smooth: float = 0.0) -> xr.DataArray:
    scales = (np.full(draws, rough), np.full(draws, smooth))
    slopes = of.draw(*scales, np.random.default_rng(3))
    shape = (draws, len(of.axes), 2 * CELLS)
    return xr.DataArray(slopes.reshape(shape), dims=("draw", "axis", "cell"))


def spread_along(axis: str, distance: float, rough: float, smooth: float) -> float:
    """Standard deviation of the integral of slopes that are linear between knots."""
    knots = np.arange(0, CELLS + 1)
    # The mean log of the inputs of the axis, one e-fold along it.
    mean = {"n_params": 1.0, "compute": np.sqrt(0.5), "tokens_per_param": 0.0}[axis]
    rate = DECAY * mean * np.sign(distance)
    fine = np.linspace(0.0, abs(distance), 4001)
    of_knot = [
        np.trapezoid(np.interp(fine, knots, (knots == k) * np.exp(-rate * knots)), fine)
        for k in knots[1:]
    ]
    covariance = rough**2 * np.eye(CELLS) + smooth**2 * np.minimum.outer(knots[1:], knots[1:])
    return float(np.sqrt(of_knot @ covariance @ np.array(of_knot)))


@pytest.mark.parametrize(("rough", "smooth"), [(1.0, 0.0), (0.0, 1.0), (0.7, 0.4)])
@pytest.mark.parametrize("axis", ["n_params", "compute", "tokens_per_param"])
def test_the_departure_along_an_axis_is_a_local_linear_trend(discrepancy, axis, rough, smooth):
    distance = np.array([0.0, 1.0, 3.4, 8.0, -3.4, -8.0])
    along = xr.DataArray(distance, dims="plan")
    only = dataclasses.replace(discrepancy, axes=(axis,))
    slopes = drawn(only, 40_000, rough, smooth)
    size, tokens = {
        "n_params": (along, 0.0 * along),
        "compute": (along / np.sqrt(2.0), along / np.sqrt(2.0)),
        "tokens_per_param": (-along / np.sqrt(2.0), along / np.sqrt(2.0)),
    }[axis]
    found = only.departure({"n_params": size, "n_tokens": tokens}, slopes)
    expected = [spread_along(axis, h, rough, smooth) for h in distance]
    assert float(found.isel(plan=0).std()) == 0.0
    np.testing.assert_allclose(found.std("draw")[1:], expected[1:], rtol=0.03)
    # The sides of the centre are independent.
    assert abs(float(xr.corr(found.isel(plan=3), found.isel(plan=5), "draw"))) < 0.03


@pytest.mark.parametrize("scales", [(1.0, 0.0), (0.0, 1.0)])
def test_the_field_is_alike_in_all_directions_of_growth(discrepancy, scales):
    angle = np.linspace(0.0, np.pi / 2, 7)
    size = xr.DataArray(5.0 * np.cos(angle), dims="plan")
    tokens = xr.DataArray(5.0 * np.sin(angle), dims="plan")
    slopes = drawn(discrepancy, 20_000, *scales)
    spread = discrepancy.departure({"n_params": size, "n_tokens": tokens}, slopes).std("draw")
    assert float(spread.max() / spread.min()) < 1.3
    np.testing.assert_allclose(spread, spread[::-1], rtol=0.04)


def test_slopes_change_without_a_jump(discrepancy):
    along = xr.DataArray(np.linspace(-16.0, 16.0, 3201), dims="plan")
    only = dataclasses.replace(discrepancy, axes=("compute",))
    found = only.departure({"n_params": along, "n_tokens": 0.5 * along}, drawn(only, 3))
    bend = np.diff(found.transpose("draw", "plan"), n=2) / 0.01**2
    assert np.abs(bend).max() < 2.0 * np.abs(drawn(only, 3)).max() * np.exp(DECAY * CELLS)


def test_an_axis_of_two_inputs_depends_on_their_product_or_ratio(discrepancy):
    along = xr.DataArray([-3.0, 0.0, 3.0], dims="plan")
    ratio = dataclasses.replace(discrepancy, axes=("tokens_per_param",))
    same = {"n_params": along, "n_tokens": along}
    assert np.all(ratio.departure(same, drawn(ratio, 10)) == 0.0)
    compute = dataclasses.replace(discrepancy, axes=("compute",))
    opposite = {"n_params": along, "n_tokens": -along}
    assert np.all(compute.departure(opposite, drawn(compute, 10)) == 0.0)


@pytest.fixture(scope="module")
def logs(chinchilla_runs) -> dict[str, np.ndarray]:
    found = {name: np.log(chinchilla_runs.column(name)) for name in ("n_params", "n_tokens")}
    return {name: x - x.mean() for name, x in found.items()}


def test_modes_reproduce_the_effects_of_slopes_at_the_runs(discrepancy, logs, chinchilla_runs):
    modes = discrepancy.modes(logs)
    assert modes.rows.shape == (MODES, len(chinchilla_runs))
    size = 2 * CELLS * len(discrepancy.axes)
    assert modes.turn.shape == (size, MODES)
    # Directions that do not affect the runs are left out.
    seen = (modes.rows != 0.0).any(axis=1)
    assert 20 < seen.sum() < MODES
    np.testing.assert_allclose(modes.turn.T @ modes.turn, np.diag(1.0 * seen), atol=1e-12)
    np.testing.assert_allclose(modes.factor @ modes.factor.T, modes.rows @ modes.rows.T, atol=1e-3)
    slopes = np.random.default_rng(4).standard_normal(size)
    whole = slopes @ discrepancy.effects(logs)
    # Up to the directions left out, which hardly affect the runs.
    np.testing.assert_allclose(slopes @ modes.turn @ modes.rows, whole, atol=0.02)


def test_coordinates_of_modes_are_independent_a_priori(discrepancy, logs):
    modes = discrepancy.modes(logs)
    rough, smooth, draws = 0.6, 0.3, 40_000
    slopes = drawn(discrepancy, draws, rough, smooth).to_numpy().reshape(draws, -1)
    coordinates = slopes @ modes.turn
    variance = rough**2 + smooth**2 * modes.growth
    scaled = coordinates / np.sqrt(variance)
    seen = 1.0 * (modes.growth > 0.0)
    np.testing.assert_allclose(scaled.T @ scaled / draws, np.diag(seen), atol=0.04)


def test_all_slopes_given_those_that_the_runs_see(discrepancy, logs):
    """With coordinates from their prior, slopes follow their prior and have these coordinates."""
    modes = discrepancy.modes(logs)
    rng = np.random.default_rng(5)
    rough, smooth = np.full(40_000, 0.6), np.full(40_000, 0.3)
    coordinates = rng.standard_normal((40_000, MODES))
    slopes = discrepancy.given(modes, coordinates, rough, smooth, rng)
    spread = np.sqrt(0.36 + 0.09 * modes.growth)
    expected = coordinates * spread * (modes.growth > 0.0)
    np.testing.assert_allclose(slopes @ modes.turn, expected, atol=1e-4)
    cells = np.arange(1, CELLS + 1)
    variance = np.tile(0.36 + 0.09 * cells, 2 * len(discrepancy.axes))
    np.testing.assert_allclose(slopes.var(axis=0), variance, rtol=0.05)
    together = np.cov(slopes[:, CELLS - 2], slopes[:, CELLS - 1])[0, 1]
    assert together == pytest.approx(0.09 * (CELLS - 1), rel=0.05)


def test_departures_at_places_of_each_draws_own_are_the_same(discrepancy):
    rng = np.random.default_rng(5)
    dims = ("draw", "axis", "cell")
    shape = (3, len(discrepancy.axes), 2 * CELLS)
    slopes = xr.DataArray(rng.standard_normal(shape), dims=dims)
    places = np.concatenate([[0.0, 1e-9, -30.0, 30.0], rng.uniform(-16, 16, 40)])
    for_all = {
        name: xr.DataArray(rng.permutation(places), dims="run") for name in ("n_params", "n_tokens")
    }
    own = {name: x.expand_dims(draw=3) for name, x in for_all.items()}
    together = discrepancy.departure(for_all, slopes)
    xr.testing.assert_allclose(discrepancy.departure(own, slopes), together, rtol=1e-9)
    flat = slopes.to_numpy().reshape(3, -1) @ discrepancy.effects(
        {n: x.to_numpy() for n, x in for_all.items()}
    )
    np.testing.assert_allclose(flat, together.transpose("draw", "run"), rtol=1e-9)
    nowhere = {name: x.where(x["run"] != 2) for name, x in own.items()}
    found = discrepancy.departure(nowhere, slopes)
    assert np.array_equal(np.isnan(found).any("draw"), np.arange(len(places)) == 2)


def test_intervals_grow_away_from_the_runs(fit, departing):
    assert departing.diagnostics.ok, departing.diagnostics.status
    plans = {"n_params": ["1B", "70B"], "n_tokens": ["20B", "1.4T"]}

    def width(posterior: bs.Fit) -> np.ndarray:
        low, high = bs.predict(posterior, **plans)["loss"].quantile([0.05, 0.95], ("chain", "draw"))
        return np.log(high / low).to_numpy()

    iid, wide = width(fit), width(departing)
    assert wide[1] > 3 * iid[1]
    assert wide[1] > 10 * wide[0]


def test_optimum_is_the_least_loss_of_each_draw(departing):
    budget = 1e22
    plan = bs.allocate(departing, budget=budget)
    log_n = xr.DataArray(np.linspace(np.log(3e9), np.log(2.5e10), 4001), dims="size")
    loss = departing.curve.response({"n_params": log_n, "n_tokens": np.log(budget / 6) - log_n})
    least = loss.min("size")
    found = plan.draws["loss_opt"].isel(budget=0)
    # Near the optimum of the law: some draws decrease again where tokens per parameter are far from
    # those of all runs; the search excludes these spurious optima.
    inside = (plan.draws["n_opt"].isel(budget=0) > 3.1e9) & (
        plan.draws["n_opt"].isel(budget=0) < 2.4e10
    )
    assert float(inside.mean()) > 0.9
    assert float(np.abs(np.log(found / least)).where(inside).max()) < 1e-4


def test_fit_survives_its_file(departing, tmp_path):
    departing.save(tmp_path / "fit.nc")
    again = bs.load_fit(tmp_path / "fit.nc")
    xr.testing.assert_identical(
        bs.allocate(again, budget=1e24).draws, bs.allocate(departing, budget=1e24).draws
    )
    assert SLOPES in again.posterior
    assert set(SCALES) <= set(again.summary().index)


def test_levels_are_told_apart_by_half_a_per_cent():
    table = pd.DataFrame({"n_params": [1e9, 1.001e9, 1.005e9, 2e9], "loss": 2.0, "tokens": 1e10})
    levels = Levels.of(bs.load_runs(table), "n_params")
    assert len(levels) == 3
    np.testing.assert_array_equal(levels.codes([1.0005e9, 1.005e9, 2e9, 3e9]), [0, 1, 2, -1])


def test_levels_of_texts_and_room_for_them():
    table = pd.DataFrame(
        {"n_params": [1e9, 2e9], "loss": 2.0, "tokens": 1e10, "shape": ["wide", "deep"]}
    )
    levels = Levels.of(bs.load_runs(table), "shape")
    np.testing.assert_array_equal(levels.codes(["wide", "deep", "odd"]), [1, 0, -1])
    assert [padded(n) for n in (1, 8, 9, 44, 64)] == [8, 8, 16, 64, 64]
    with pytest.raises(RunsError, match="found no column 'curve'"):
        Levels.of(bs.load_runs(table), "curve")


def test_axes_must_be_of_the_law(discrepancy):
    model = load_model("power-law-floor")
    with pytest.raises(CardError, match="axis of n_params, but the law power-law"):
        dataclasses.replace(model, discrepancy=discrepancy)
    with pytest.raises(CardError, match="each once"):
        dataclasses.replace(discrepancy, axes=())
    with pytest.raises(CardError, match=r"discrepancy.rough: found .*positive quantity"):
        dataclasses.replace(discrepancy, rough=bs.Normal(mean=0.0, sd=1.0, why="a test"))
    content = discrepancy.to_dict()
    assert Discrepancy.from_dict(content, "discrepancy") == discrepancy
    with pytest.raises(CardError, match="unknown key 'scales'"):
        Discrepancy.from_dict({**content, "scales": {}}, "discrepancy")
    with pytest.raises(CardError, match="discrepancy.smooth"):
        Discrepancy.from_dict({n: x for n, x in content.items() if n != "smooth"}, "discrepancy")
