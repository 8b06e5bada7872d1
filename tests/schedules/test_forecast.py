"""Runs under a schedule: fitted data, recovery on simulated curves, records and refusals."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from contract.fits import fit_of_card
from scipy import stats

import bayescale as bs
from bayescale.cli.main import main
from bayescale.errors import RunsError, UnsuitableLawError
from bayescale.schedules.curves import RunCurve, read_run_curves
from bayescale.schedules.density import EFFECTS, build, log_loss
from bayescale.schedules.design import POINTS, ROWS, Design, rows_of
from bayescale.schedules.laws import LAWS
from bayescale.schedules.sweep import weights_of

COSINE = bs.Schedule.cosine(3e-4, 4_000, final=3e-5, warmup=200)
DECAYED = bs.Schedule.wsd(3e-4, 4_000, decay_from=3_000, final=3e-5, warmup=200)
CONSTANT = bs.Schedule.constant(3e-4, 6_000, warmup=200)
LONGER = bs.Schedule.cosine(3e-4, 8_000, final=3e-5, warmup=200)
TRUTH = {"E": 2.5, "A": 0.4, "alpha": 0.5, "C": 0.5, "decay": 0.998}


def loss(schedule: bs.Schedule, step: np.ndarray) -> np.ndarray:
    return LAWS["annealing"].evaluate(schedule, step, **TRUTH)


def curve(name: str, schedule: bs.Schedule, seed: int, until: int | None = None) -> RunCurve:
    step = np.arange(240, (until or schedule.steps) + 1, 40).astype(float)
    scatter = np.exp(1e-3 * np.random.default_rng(seed).standard_normal(len(step)))
    return RunCurve(name, schedule, step, loss(schedule, step) * scatter)


def table(*curves: RunCurve) -> pd.DataFrame:
    return pd.concat(
        pd.DataFrame(
            {
                "run": c.run,
                "step": c.step,
                "lr": c.schedule.rates[c.step.astype(int) - 1],
                "loss": c.loss,
            }
        )
        for c in curves
    )


CURVES = (curve("cosine", COSINE, 1), curve("decayed", DECAYED, 2), curve("constant", CONSTANT, 3))


@pytest.fixture(scope="module")
def found() -> bs.RunForecast:
    return bs.forecast_run(
        table(*CURVES, curve("longer", LONGER, 4, until=3_000)),
        LONGER,
        run="longer",
        to=[4_000, 8_000],
        schedules={"cosine": COSINE, "decayed": DECAYED, "constant": CONSTANT},
        laws=["annealing"],
        seed=1,
        cores=2,
    )


def test_branches_share_their_stem():
    stem = CURVES[2]
    branch = RunCurve(
        "branch", DECAYED, stem.step[:90], np.append(stem.loss[:70], stem.loss[70:90] - 0.1)
    )
    design = Design.of([stem, branch])
    rows = rows_of(design.matrix)
    assert np.sum(rows["run"] == 0) == POINTS
    own = np.exp(rows["log_area"][rows["run"] == 1]) * design.centre.area
    assert own.min() > DECAYED.area(stem.step[69])
    assert own.max() == pytest.approx(DECAYED.area(stem.step[89]))
    only = Design.of([stem, RunCurve("copy", CONSTANT, stem.step, stem.loss)])
    assert only.matrix.shape == (ROWS, POINTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_the_graph_is_the_law_and_its_card(name):
    law, design = LAWS[name], Design.of(CURVES)
    built = build(law, design.matrix, design.room)
    rng = np.random.default_rng(1)
    values = {n: p.typical for n, p in law.all_priors.items()}
    effects = rng.standard_normal(design.room)
    point = built.initial_point()
    for n, prior in law.all_priors.items():
        (key,) = (k for k in point if k.removesuffix("_interval__").removesuffix("_logodds__") == n)
        point[key] = np.asarray(prior.unconstrain(values[n]))
    point[EFFECTS] = effects
    found = built.compile_logp()(point)
    rows = rows_of(design.matrix)
    mean = log_loss(law, rows, values, effects[rows["run"].astype(int)])
    expected = stats.norm.logpdf(rows["log_loss"], mean, values["sigma"]).sum()
    expected += stats.norm.logpdf(effects).sum()
    for n, prior in law.all_priors.items():
        expected += float(prior.log_density(values[n]).eval()) + prior.log_jacobian(values[n])
    assert found == pytest.approx(expected)


@pytest.mark.slow
def test_what_was_simulated_is_recovered(found):
    assert found.ok
    parameters = found.fits[0].parameters()
    for name, true in TRUTH.items():
        lower, upper = parameters[name].quantile([0.005, 0.995])
        assert lower < true < upper, name
    intervals = found.table(0.99)
    for step, row in intervals.iterrows():
        assert row["lower"] < loss(LONGER, np.array([step]))[0] < row["upper"]
    assert (intervals["upper"] - intervals["lower"]).is_monotonic_increasing
    assert found.last == 3_000
    assert "longer" in str(found)
    assert "step 3" in found.sentences[0]
    unknown = replace(found, run="lnger")
    assert "None of the points is of lnger" in unknown.sentences[1]


@pytest.mark.slow
def test_the_forecast_of_one_step_is_a_record(found, tmp_path):
    with pytest.raises(ValueError, match="2 steps"):
        found.preregister()
    path = tmp_path / "forecast.json"
    arguments = [
        *("forecast-run", str(tmp_path / "curves.csv"), "--name", "longer", "--json"),
        *("--schedule", "cosine:peak=3e-4,steps=8k,final=3e-5,warmup=200"),
        *("--out", str(path)),
    ]
    table(*CURVES).to_csv(tmp_path / "curves.csv", index=False)
    assert main(arguments) == 0
    done = pd.DataFrame({"run": ["longer"], "n_steps": [8_000], "loss": loss(LONGER, [8_000])})
    scored = bs.score_forecasts(path, done).table().iloc[0]
    assert scored["lower"] < scored["observed"] < scored["upper"]
    assert scored["beyond"] == pytest.approx(np.log(8 / 6))


def test_a_sweep_multiplies_densities():
    rng = np.random.default_rng(1)
    here, there = 1.0 + 0.02 * rng.standard_normal(4000), 1.02 + 0.01 * rng.standard_normal(4000)
    weights, effective = weights_of(here, there)
    precision = 1 / 0.02**2 + 1 / 0.01**2
    assert weights.sum() == pytest.approx(1.0)
    mean = weights @ here
    assert mean == pytest.approx((1 / 0.02**2 + 1.02 / 0.01**2) / precision, abs=0.001)
    assert np.sqrt(weights @ (here - mean) ** 2) == pytest.approx(precision**-0.5, rel=0.1)
    assert 100 < effective < 4000
    with pytest.raises(UnsuitableLawError, match="One of them does not hold"):
        weights_of(here, there + 1.0)


@pytest.mark.slow
def test_a_run_in_progress_is_forecast_from_its_curve_and_a_sweep_together(found, monkeypatch):
    """The forecast from both is narrower than from each alone, and each contains the loss."""
    monkeypatch.setattr("bayescale.schedules.forecast.fit_curves", lambda *_, **__: found.fits[0])
    sweep, last = fit_of_card("chinchilla"), float(loss(LONGER, np.array([8_000]))[0])
    sizes = np.geomspace(1e7, 1e11, 400)
    predicted = bs.predict(sweep, n_params=sizes.tolist(), n_tokens="20B")["loss"]
    place = np.abs(predicted.median(("chain", "draw")).to_numpy() - 1.001 * last).argmin()
    at = {"n_params": float(sizes[place]), "n_tokens": "20B"}
    both = bs.forecast_run(
        table(*CURVES, curve("longer", LONGER, 4, until=3_000)),
        LONGER,
        run="longer",
        schedules={"cosine": COSINE, "decayed": DECAYED, "constant": CONSTANT},
        laws=["annealing"],
        sweep=sweep,
        at=at,
        seed=1,
    )
    own = bs.predict(sweep, inputs={name: [amount] for name, amount in at.items()})["loss_run"]
    parts = [np.log(both.alone), np.log(own.to_numpy().ravel())]
    joint = np.log(both.draws[8_000.0].to_numpy())
    precision = [1.0 / x.var() for x in parts]
    mean = sum(p * x.mean() for p, x in zip(precision, parts, strict=True)) / sum(precision)
    assert joint.std() < min(x.std() for x in parts)
    assert joint.std() == pytest.approx(sum(precision) ** -0.5, rel=0.2)
    assert joint.mean() == pytest.approx(mean, abs=0.3 * joint.std())
    lower, upper = np.exp(np.quantile(joint, [0.005, 0.995]))
    assert lower < last < upper


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"step": 0.5}, "whole step"),
        ({"loss": -1.0}, "positive loss"),
        ({"loss": "x"}, "finite number"),
        ({"step": 240.0}, "step 240 twice"),
        ({"step": 9_000.0}, "at most the 4,000 steps"),
        ({"lr": 1.0}, "found the rate 1 at step"),
    ],
)
def test_points_that_cannot_be_used_are_refused(change, said):
    wrong = table(CURVES[0]).reset_index(drop=True)
    for column, value in change.items():
        wrong[column] = wrong[column].astype(object)
        wrong.loc[wrong.index[2:] if column == "lr" else [5], column] = value
    with pytest.raises(RunsError, match=said):
        read_run_curves(wrong, {"cosine": COSINE}, {})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"schedules": {"cosin": COSINE}}, "found cosin"),
        ({"laws": ["anealing"]}, "annealing"),
        ({"laws": []}, "at least one"),
        ({"to": 9_000}, "found 9000"),
        ({"rate": "rate"}, "no column 'rate'"),
        ({"loss": "losses"}, "Did you mean"),
        ({"schedule": "cosine"}, "peak"),
        ({"at": {"n_params": "1B"}}, "found n_params, the inputs of the run in a sweep, and no"),
    ],
)
def test_calls_that_cannot_be_answered_are_refused(arguments, said):
    call = {"schedule": LONGER, "run": "longer", **arguments}
    with pytest.raises((ValueError, KeyError), match=said):
        bs.forecast_run(table(*CURVES), **call)


@pytest.mark.parametrize("what", ["loss", "rate", "by"])
def test_one_column_is_not_two_quantities(what):
    said = "found the column 'step' for both the step and the"
    with pytest.raises(RunsError, match=said):
        bs.forecast_run(table(*CURVES), LONGER, run="longer", **{what: "step"})


def test_schedules_without_a_column_of_rates_are_asked_for():
    with pytest.raises(RunsError, match="found no learning rate at step 240"):
        read_run_curves(table(CURVES[0]).drop(columns="lr"), {}, {})
    without = table(CURVES[0]).drop(columns=["lr", "run"])
    (one,) = read_run_curves(without, {"": COSINE}, {})
    assert one.run == ""
    assert one.schedule is COSINE


def test_a_bad_schedule_on_the_command_line_is_one_sentence(tmp_path, capsys):
    table(*CURVES).to_csv(tmp_path / "curves.csv", index=False)
    code = main(["forecast-run", str(tmp_path / "curves.csv"), "--schedule", "cosine:peak=1"])
    assert code == 2
    assert "steps" in capsys.readouterr().err
