"""Forecasts: exact identities, recovery of simulated curves, and refusals."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

import bayescale as bs
from bayescale.cli.main import main
from bayescale.errors import RunsError
from bayescale.forecasting.beyond import NOTHING
from bayescale.forecasting.curves import Curve
from bayescale.forecasting.ends import FALL_SD, LAWS, SIGNED
from bayescale.forecasting.posterior import (
    LEVEL_SD,
    NOISE,
    NOISE_SD,
    ROUGHNESS_SD,
    CurvePosterior,
    Likelihood,
    average,
    sample,
)
from bayescale.forecasting.tempering import Tempered

QUICK = ["power-law", "power-law-floor"]


def curve(points: int = 14, noise: float = 0.003, seed: int = 1, floor: float = 0.3) -> Curve:
    x = np.geomspace(1e3, 1e5, points)
    scatter = noise * np.random.default_rng(seed).standard_normal(points)
    return Curve("", x, (floor + 8 * x**-0.4) * np.exp(scatter))


def table(**columns: object) -> pd.DataFrame:
    one = curve()
    return pd.DataFrame({"examples": one.x, "loss": one.y, **columns})


@pytest.mark.parametrize("roughness", [0.0, 0.03])
def test_the_level_and_the_departures_are_summed_out_exactly(roughness):
    one, law = curve(), LAWS["power-law-floor"]
    likelihood = Likelihood(one, law, roughness)
    z = np.random.default_rng(2).standard_normal((5, likelihood.unknowns))
    found = likelihood.given(z)
    back = -one.log_x / one.span
    for i, row in enumerate(z):
        fall = np.array([one.expected_fall * np.exp(FALL_SD * row[1])])
        mean = one.ends[1] + law.log_loss(row[None, :1], fall, one.span, one.log_x)[0]
        cov = (NOISE * np.exp(NOISE_SD * row[2])) ** 2 * np.eye(len(mean))
        if roughness:
            sd = roughness * np.exp(ROUGHNESS_SD * row[3]) * one.expected_fall
            cov = cov + sd**2 * np.minimum.outer(back, back)
            assert found.departure[i] == pytest.approx(sd)
        expected = stats.multivariate_normal(mean, cov + LEVEL_SD**2).logpdf(one.log_y)
        assert found.log[i] == pytest.approx(expected)
        # The conditional level given the curve, from the same Normal.
        gain = LEVEL_SD**2 * np.linalg.solve(cov + LEVEL_SD**2, np.ones(len(mean)))
        assert found.level[i] == pytest.approx(one.ends[1] + gain @ (one.log_y - mean))
        assert found.variance[i] == pytest.approx(LEVEL_SD**2 * (1 - gain.sum()), rel=1e-6)


def test_the_evidence_is_that_of_quadrature():
    one, law = curve(noise=0.02), LAWS["power-law"]
    grid = np.linspace(-6, 6, 601)
    fall, noise = np.meshgrid(grid, grid, indexing="ij")
    z = np.column_stack([fall.ravel(), noise.ravel()])
    log_joint = Likelihood(one, law, 0.0).given(z).log + stats.norm.logpdf(z).sum(axis=1)
    most = log_joint.max()
    joint = np.exp(log_joint - most).reshape(fall.shape)
    exact = np.log(integrate.trapezoid(integrate.trapezoid(joint, grid), grid)) + most
    runs = [sample(one, law, seed, 0.0).tempered for seed in range(5)]
    assert np.mean([run.log_evidence for run in runs]) == pytest.approx(exact, abs=0.2)
    mean = (joint.ravel() @ z) / joint.sum()
    sd = np.sqrt((joint.ravel() @ (z - mean) ** 2) / joint.sum())
    found = np.mean([run.draws.mean(axis=0) for run in runs], axis=0)
    assert np.abs(found - mean).max() < 0.2 * sd.max()


def test_laws_weigh_by_their_evidence():
    one = curve()
    parts = [
        CurvePosterior(
            Likelihood(one, LAWS[name], 0.0),
            Tempered(np.zeros((50, LAWS[name].shares + 2)), log_z, 1),
        )
        for name, log_z in (("power-law", -1.0), ("power-law-floor", 1.0))
    ]
    found = average(parts, np.array([0.5]), NOTHING, np.random.default_rng(1), draws=4000)
    assert list(found.weights.values()) == pytest.approx(special.softmax([-1.0, 1.0]))
    assert found.mean.shape == (4000, 1)
    shares = np.unique(found.mean, return_counts=True)[1] / 4000
    assert sorted(shares) == pytest.approx(sorted(found.weights.values()), abs=0.03)


def test_the_log_density_integrates_to_one():
    one = curve()
    found = average([sample(one, LAWS["power-law"], 1)], np.array([0.7]), bs.Beyond(),
                    np.random.default_rng(1), draws=300)  # fmt: skip
    grid = np.linspace(found.mean.min() - 0.2, found.mean.max() + 0.2, 4001)
    density = np.exp(found.log_density(grid[None, :]))
    assert integrate.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-3)


def test_nothing_breaks_inside_the_data():
    beyond = bs.Beyond(break_rate=0.5, slope_change=1.0)
    at = np.array([-1.0, 0.0, 1.0, 2.0])
    moved = beyond.breaks(at, 0.5, 3.0, 2000, np.random.default_rng(1))
    assert not moved[:, :2].any()
    # Where a break came before, the curve differs.
    assert (moved[:, 2] != 0).mean() == pytest.approx(1 - np.exp(-0.5), abs=0.05)
    np.testing.assert_allclose(
        beyond.break_probability(at), [0, 0, 1 - np.exp(-0.5), 1 - np.exp(-1.0)]
    )
    assert not NOTHING.breaks(at, 0.5, 3.0, 10, np.random.default_rng(1)).any()


def test_departures_grow_beyond_the_data_as_they_did_within():
    at = np.array([-1.0, 0.0, 1.0, 2.0])
    smooth, rough = (curve(points=40, noise=0.0005), curve(points=40, noise=0.0005))
    walk = np.cumsum(np.random.default_rng(2).standard_normal(40))
    rough = Curve("", rough.x, rough.y * np.exp(0.01 * walk))
    found = []
    for one in (smooth, rough):
        posterior = sample(one, LAWS["power-law-floor"], 1)
        _, variance = posterior.predict(at, posterior.tempered.draws)
        np.testing.assert_allclose(variance[:, 0], variance[:, 1])
        further = variance[:, 2:] - variance[:, 1:2]
        np.testing.assert_allclose(further[:, 1], 2 * further[:, 0])
        found.append(np.sqrt(np.median(further[:, 0])))
    # A random walk of 40 steps over the range, with a standard deviation of 0.01 per step.
    assert found[1] == pytest.approx(0.01 * np.sqrt(39 / rough.span), rel=0.4)
    assert found[0] < 0.3 * found[1]


def test_the_table_has_the_exact_probability_of_a_break():
    found = bs.forecast(table(), to=[5e4, 2e5, 1e6], laws=QUICK)
    rate = bs.Beyond().break_rate
    expected = [0.0, 1 - 2.0**-rate, 1 - 10.0**-rate]
    assert list(found.table()["break_before"]) == pytest.approx(expected)
    assert f"{expected[-1]:.2f}" in found.caveats[0]


def test_units_do_not_matter():
    plain = bs.forecast(table(), to=2e5, laws=QUICK).table()
    scaled = table().assign(examples=lambda t: t.examples * 1e3, loss=lambda t: t.loss * 50)
    other = bs.forecast(scaled, to=2e8, laws=QUICK).table()
    names = ["median", "lower", "upper"]
    np.testing.assert_allclose(other[names] / 50, plain[names], rtol=1e-3)


def test_a_response_below_a_ceiling_is_forecast_as_the_distance_to_it():
    plain = bs.forecast(table(), to=2e5, laws=QUICK).table().iloc[0]
    rising = table().assign(accuracy=lambda t: 1.5 - t.loss).drop(columns="loss")
    found = bs.forecast(rising, to=2e5, y="accuracy", ceiling=1.5, laws=QUICK).table().iloc[0]
    for one, other in (("median", "median"), ("lower", "upper"), ("upper", "lower")):
        assert 1.5 - found[one] == pytest.approx(plain[other], rel=1e-5)


@pytest.mark.slow
def test_a_forecast_does_not_depend_on_its_neighbours_or_the_executor():
    two = pd.concat([
        table(task="a"),
        table(task="b").assign(loss=lambda t: t.loss**2).sample(frac=1, random_state=1),
    ])  # fmt: skip
    asked = {"to": ["200k"], "by": "task", "laws": QUICK}
    together = bs.forecast(two, **asked)
    alone = bs.forecast(two[two.task == "b"], **asked)
    pd.testing.assert_frame_equal(together.draws["b"], alone.draws["b"])
    with ThreadPoolExecutor(2) as executor:
        again = bs.forecast(two.iloc[::-1], **asked, executor=executor)
    for name in "ab":
        pd.testing.assert_frame_equal(together.draws[name], again.draws[name])
    each = bs.forecast(two, to={"a": 2e5, "b": [3e5, 4e5]}, by="task", laws=QUICK)
    assert list(each.table().loc["b"].index) == [3e5, 4e5]
    assert each.to_record()["table"][0]["curve"] == "a"


@pytest.mark.slow
def test_a_known_curve_is_recovered_by_all_laws():
    at = 4e5
    truth = 0.3 + 8 * at**-0.4
    found = bs.forecast(table(), to=at)
    row = found.table(0.99).iloc[0]
    assert row["lower"] < truth < row["upper"]
    assert found.weights.to_numpy().sum() == pytest.approx(1.0)
    assert found.weights["power-law"].iloc[0] < 0.01, "the curve has a floor"


@pytest.mark.slow
def test_a_known_break_is_found():
    x = np.geomspace(1e2, 1e6, 40)
    law = bs.law("broken-power-law-1")
    truth = {"a": 0.05, "b": 2.0, "c0": 0.02, "c1": 0.4, "d1": 1e4, "f1": 0.2}
    y = law.formula({"x": np.log(x)}, truth)
    y = y * np.exp(0.002 * np.random.default_rng(1).standard_normal(40))
    found = bs.forecast(pd.DataFrame({"x": x, "loss": y}), to=2e6, beyond=NOTHING)
    assert found.weights.filter(like="broken").to_numpy().sum() > 0.9
    expected = law.formula({"x": np.log(2e6)}, truth)
    row = found.table(0.99).iloc[0]
    assert row["lower"] < expected < row["upper"]


@pytest.mark.slow
def test_intervals_cover_simulated_curves():
    """Curves of random laws of the average, without breaks beyond the data."""
    rng = np.random.default_rng(7)
    inside, count = 0, 40
    for number in range(count):
        law = list(LAWS.values())[number % len(LAWS)]
        span, fall, noise = rng.uniform(3, 6), np.exp(rng.normal(-1, 0.5)), 0.005
        log_x = np.append(np.linspace(-span, 0, 20), 0.7)
        z = rng.standard_normal((1, law.shares))
        y = law.log_loss(z, np.array([fall]), span, log_x)[0] + noise * rng.standard_normal(21)
        points = pd.DataFrame({"x": np.exp(log_x[:-1]), "loss": np.exp(y[:-1])})
        row = bs.forecast(points, to=float(np.exp(0.7)), beyond=NOTHING, seed=number).table(0.9)
        inside += int(row["lower"].iloc[0] < np.exp(y[-1]) < row["upper"].iloc[0])
    # Four standard errors about 0.9.
    assert inside / count > 0.9 - 4 * np.sqrt(0.09 / count)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["power-law-floor", "power-law-plateau"])
def test_nuts_finds_the_same_posterior(name):
    """The same model in PyMC, with its formulas written out independently."""
    import pymc as pm
    import pytensor.tensor as pt

    one, law = curve(noise=0.01), LAWS[name]
    with pm.Model():
        z = pm.Normal("z", shape=3)
        share = 0.5 * (1 + pt.erf(z[0] / np.sqrt(2)))
        fall = one.expected_fall * pt.exp(FALL_SD * z[1])
        if name == "power-law-floor":
            slope = pt.log((pt.exp(fall) - share) / (1 - share)) / one.span
            shape = pt.log(share + (1 - share) * pt.exp(-slope * one.log_x))
            ahead = pt.log(share + (1 - share) * pt.exp(-slope * 1.0))
        else:
            exponent = fall / pt.log(share * np.exp(one.span) + 1 - share)
            shape = exponent * pt.log(share * pt.exp(-one.log_x) + 1 - share)
            ahead = exponent * pt.log(share * np.exp(-1.0) + 1 - share)
        level = pm.Normal("level", one.ends[1], LEVEL_SD)
        pm.Normal("y", level + shape, NOISE * pt.exp(NOISE_SD * z[2]), observed=one.log_y)
        pm.Deterministic("ahead", level + ahead)
        found = pm.sample(1000, tune=1000, chains=4, cores=2, random_seed=1, progressbar=False,
                          target_accept=0.95)  # fmt: skip
    nuts = np.sort(np.asarray(found["posterior"]["ahead"]).ravel())
    parts = [sample(one, law, seed, 0.0) for seed in range(4)]
    mean = np.concatenate([p.predict(np.array([1.0]), p.tempered.draws)[0][:, 0] for p in parts])
    # The level is sampled by NUTS and integrated out here.
    spread = np.concatenate([p.likelihood.given(p.tempered.draws).variance for p in parts])
    ours = mean + np.sqrt(spread) * np.random.default_rng(1).standard_normal(len(mean))
    probs = [0.05, 0.25, 0.5, 0.75, 0.95]
    apart = np.quantile(ours, probs) - np.quantile(nuts, probs)
    assert np.abs(apart).max() < 0.2 * nuts.std()


@pytest.mark.parametrize(
    ("changed", "asked", "message"),
    [
        ({"loss": -1.0}, {}, "row 0, column loss: found -1.0, expected a positive number"),
        ({"loss": "n/a"}, {}, "row 0, column loss: found 'n/a', expected a finite number"),
        ({"examples": 0.0}, {}, "column examples: found 0.0, expected a positive amount"),
        ({"examples": 7.0}, {}, "found 1 distinct examples in the curve, expected at least 5"),
        ({"other": 1.0}, {}, "expected to know which is x of the curve"),
        ({}, {"x": "exmples"}, "found no column 'exmples' for x.*Did you mean 'examples'"),
        ({}, {"by": "task"}, "found no column 'task' for by"),
        ({}, {"x": "loss", "y": "loss"}, "found loss for x, loss for y, expected a column of its"),
        ({}, {"x": "examples", "by": "examples"}, "found examples for x, examples for by"),
        ({"task": None}, {"by": "task"}, "column task: found no name"),
        ({"task": "a"}, {"by": "task", "to": {"b": 1e6}}, "found the curves b, expected those"),
        ({}, {"ceiling": 0.2}, "expected a number below the ceiling, 0.2"),
    ],
)
def test_what_is_no_curve_is_refused(changed, asked, message):
    with pytest.raises(RunsError, match=message):
        bs.forecast(table(**changed), **{"to": 1e6, **asked})


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"to": -1}, bs.AmountError, "to: found -1, expected"),
        ({"to": []}, bs.AmountError, "to: found none"),
        ({"laws": ["power"]}, bs.UnknownNameError, "Did you mean 'power-law'"),
        ({"laws": []}, ValueError, "expected at least one"),
        ({"prob": 1.0}, ValueError, "prob"),
        ({"seed": -1}, ValueError, "seed"),
        ({"ceiling": np.inf}, ValueError, "ceiling"),
    ],
)
def test_invalid_arguments_are_refused(asked, error, message):
    with pytest.raises(error, match=message):
        bs.forecast(table(), **{"to": 1e6, **asked})


def test_rates_below_zero_are_refused():
    with pytest.raises(ValueError, match="break_rate: found -1"):
        bs.Beyond(break_rate=-1)


def test_a_curve_that_rises_is_followed_and_said():
    one = curve()
    rising = pd.DataFrame({"examples": one.x, "loss": 2 * (one.x / 1e5) ** 0.3 * one.y**0.01})
    found = bs.forecast(rising, to=2e5, laws=[*QUICK, "broken-power-law-1-signed"])
    assert found.weights["broken-power-law-1-signed"].iloc[0] > 0.99
    assert found.table()["median"].iloc[0] == pytest.approx(2 * 2**0.3, rel=0.02)
    assert "does not fall" in found.caveats[1] and "ceiling" in found.caveats[1]


@pytest.mark.parametrize(("x", "said"), [("steps", True), ("Global Step", True), ("tokens", False)])
def test_along_a_run_the_forecast_by_its_schedule_is_named(x, said):
    one = curve()
    found = bs.forecast(pd.DataFrame({x: one.x, "loss": one.y}), to=1e6, laws=["power-law"])
    assert any("forecast_run" in caveat for caveat in found.caveats) == said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("truth", "turns"),
    [
        # Over-fitting, and double descent.
        ({"c0": 0.3, "c1": -0.6, "d1": 1e5, "f1": 0.3}, 1),
        ({"c0": 0.3, "c1": -0.6, "d1": 2e3, "f1": 0.2, "c2": 0.8, "d2": 6e4, "f2": 0.2}, 2),
    ],
)
def test_curves_that_turn_are_forecast_by_laws_of_either_sign(truth, turns):
    law = bs.law(f"broken-power-law-{turns}")
    x = np.geomspace(1e2, 1e6, 40)
    y = law.formula({"x": np.log(x)}, {"a": 0.0, "b": 2.0, **truth})
    y = y * np.exp(0.003 * np.random.default_rng(1).standard_normal(40))
    found = bs.forecast(pd.DataFrame({"x": x, "loss": y}), to=2e6, beyond=NOTHING)
    assert found.weights[list(SIGNED)].to_numpy().sum() > 0.99
    row = found.table(0.99).iloc[0]
    assert row["lower"] < law.formula({"x": np.log(2e6)}, {"a": 0.0, "b": 2.0, **truth})
    assert row["upper"] > law.formula({"x": np.log(2e6)}, {"a": 0.0, "b": 2.0, **truth})


@pytest.mark.slow
def test_the_command_prints_the_forecast(tmp_path, capsys):
    path = tmp_path / "curve.csv"
    pd.concat([table(task="a"), table(task="b")]).to_csv(path, index=False)
    asked = ["forecast", str(path), "--by", "task", "--to", "200k", "--to", "1M", "--quiet"]
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["examples"] for row in found["forecasts"]] == [2e5, 1e6] * 2
    assert sum(v for k, v in found["weights"][0].items() if k != "task") == pytest.approx(1.0)
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert "Forecast of loss against examples for 2 curves" in out and "200k" in out.lower()
    assert main([*asked, "--x", "exmples"]) == 2
    assert "Did you mean 'examples'" in capsys.readouterr().err
