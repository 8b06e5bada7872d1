"""Noise: densities against SciPy, in graphs and on draws; what each kind is for; bad cards."""

import re
import tomllib
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayescale as bs
from bayescale._seeds import Stream, generator
from bayescale.backend.distributions import Scatter
from bayescale.backend.likelihood import NoiseOfRuns
from bayescale.errors import BayescaleWarning, CardError, RunsError
from bayescale.model.card import Model
from bayescale.model.measurement import links_of
from bayescale.model.noise import CheckpointCorrelation, Heteroscedasticity, Noise

WHY = "for a test"
SIGMA = {"sigma": bs.HalfNormal(scale=0.02, why=WHY)}
STUDENT = {**SIGMA, "nu": bs.Gamma(shape=2.0, rate=0.1, lower=1.0, why=WHY)}
GROWTH = Heteroscedasticity(along="compute", exponent=bs.Normal(mean=0.0, sd=0.2, why=WHY))
REDUCIBLE = replace(GROWTH, along="reducible")
LINKED = CheckpointCorrelation(
    run="run", along="n_tokens", length=bs.LogNormal(median=1.0, log_sd=0.7, why=WHY)
)
ALIKE = replace(LINKED, alike=bs.Beta(a=1.0, b=1.0, why=WHY))
WORSE = bs.HalfNormal(scale=0.02, why=WHY)


def normal(**more) -> Noise:
    return Noise(kind="normal", priors=SIGMA, **more)


def student(**more) -> Noise:
    return Noise(kind="student-t", priors=STUDENT, **more)


NOISES = {
    "student-t": student(),
    "growth": student(growth=GROWTH),
    "reducible": normal(growth=REDUCIBLE),
    "errors": student(standard_error="se"),
    "rounded": student(rounding=0.01),
    "rounded-share": normal(rounding="0.4 %"),
    "linked": student(checkpoints=LINKED),
    "linked-growth": normal(checkpoints=LINKED, growth=GROWTH),
    "alike": normal(checkpoints=ALIKE, growth=GROWTH),
    "alike-student-t": student(checkpoints=ALIKE),
    "censored": student(censored="diverged"),
    "inefficient": normal(inefficiency=WORSE),
    "tuned": normal(inefficiency=WORSE, growth=GROWTH, standard_error="se", censored="diverged"),
    "combined": normal(
        inefficiency=WORSE,
        growth=GROWTH,
        standard_error="se",
        rounding="step",
        censored="diverged",
    ),
    "linked-censored": student(checkpoints=LINKED, censored="diverged"),
}
VALUES = {"sigma": 0.004, "nu": 3.5, "growth": 0.15, "correlation_length": 0.6}
VALUES |= {"inefficiency": 0.01, "correlation_at_once": 0.7}
every_noise = pytest.mark.parametrize("name", NOISES)


def with_noise(noise: Noise, card: str = "chinchilla", name: str = "mine") -> Model:
    return replace(bs.load_model(card), id=name, noise=noise)


def curves(runs: int = 8, points: int = 6) -> pd.DataFrame:
    """Checkpoints of a few runs, the last of which diverged, on a Chinchilla surface."""
    size = np.repeat(np.geomspace(5e7, 5e9, runs), points)
    tokens = 20 * size * np.tile(np.geomspace(0.1, 10, points), runs)
    table = pd.DataFrame({"n_params": size, "n_tokens": tokens})
    table["run"] = np.repeat([f"curve {i}" for i in range(runs)], points)
    table["loss"] = surface(size, tokens)
    table["se"] = 0.004 + 0.001 * (np.arange(len(table)) % 5)
    table["step"] = 0.01 * (np.arange(len(table)) % 3)
    table["diverged"] = (np.arange(len(table)) == len(table) - 1).astype(int)
    return table


def surface(size, tokens) -> np.ndarray:
    truth = bs.published("besiroglu2024").parameters
    return bs.law("chinchilla").evaluate(n_params=size, n_tokens=tokens, **truth)


def noise_of(noise: Noise, runs: bs.Runs, values=VALUES, *, axis: bool = True) -> NoiseOfRuns:
    known = {name: values[name] for name in noise.all_priors}
    if axis:
        known = {name: np.full((1, 1, 1), x) for name, x in known.items()}
    amount = np.log(runs.compute / np.exp(np.log(runs.compute).mean()))
    return NoiseOfRuns(noise=noise, values=known, amount=amount, facts=noise.facts(runs))


# Densities.


@pytest.mark.parametrize("nu", [1.0, 1.1, 1.5, 2.5, 7.0, 30.0, 200.0])
def test_survival_of_a_student_t(nu):
    z = np.linspace(-10.0, 30.0, 161)
    found = Scatter(scale=1.0, nu=nu).log_survival(z)
    np.testing.assert_allclose(found, stats.t(nu).logsf(z), rtol=0, atol=2e-8)


@pytest.mark.parametrize("skew", [0.1, 1.0, 5.0, 40.0])
def test_skew_normal_agrees_with_scipy(skew):
    z = np.linspace(-3.0, 30.0, 100)
    scatter, reference = Scatter(scale=1.3, skew=skew), stats.skewnorm(skew, scale=1.3)
    inside = z[z > -4.0 / (1 + skew)]
    np.testing.assert_allclose(scatter.log_density(inside), reference.logpdf(inside), rtol=1e-9)
    np.testing.assert_allclose(scatter.log_survival(z), reference.logsf(z), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(scatter.cdf(z), reference.cdf(z), atol=1e-9)
    tail = Scatter(scale=1.0).log_survival(z)
    np.testing.assert_allclose(tail, stats.norm.logsf(z), rtol=1e-12)


@pytest.mark.parametrize(
    ("scatter", "reference"),
    [
        (Scatter(scale=1.0, nu=1.3), stats.t(1.3)),
        (Scatter(scale=1.0, nu=60.0), stats.t(60.0)),
        (Scatter(scale=1.0), stats.norm()),
        (Scatter(scale=1.0, skew=3.0), stats.skewnorm(3.0)),
    ],
    ids=["heavy", "light", "normal", "skew"],
)
def test_interval_density_is_a_difference_of_probabilities(scatter, reference):
    """To 1e-8 up to an interval of one scale, 1e-3 up to ten: losses rounded beyond use."""
    centre = np.linspace(-1.0, 4.0, 41)
    for half, exact in ((0.01, 1e-8), (0.5, 1e-8), (1.5, 1e-5), (5.0, 2e-3)):
        inside = reference.cdf(centre + half) - reference.cdf(centre - half)
        found = scatter.log_mean_density(centre, half)
        np.testing.assert_allclose(found, np.log(inside / (2 * half)), atol=exact)
        mean = scatter.mean_cdf(centre, half)
        steps = centre[:, None] + half * np.linspace(-1, 1, 1001)
        np.testing.assert_allclose(mean, reference.cdf(steps).mean(axis=1), atol=4e-4 * half**1.2)
    np.testing.assert_allclose(
        scatter.log_mean_density(centre, 1e-7), scatter.log_density(centre), atol=1e-7
    )


def test_checkpoints_are_an_ornstein_uhlenbeck_process():
    """The product of the densities of Normal residuals is that of a multivariate Normal."""
    runs = bs.load_runs(curves().sample(frac=1.0, random_state=1))
    noise = noise_of(NOISES["linked-growth"], runs)
    log, label = np.log(runs.n_tokens), runs.table["run"].to_numpy()
    scale = VALUES["sigma"] * np.exp(VALUES["growth"] * noise.amount)
    apart = np.abs(log[:, None] - log) / VALUES["correlation_length"]
    correlation = np.exp(-apart) * (label[:, None] == label)
    covariance = np.outer(scale, scale) * correlation
    residual = 0.004 * np.random.default_rng(2).standard_normal((1, 1, len(runs)))
    expected = stats.multivariate_normal(cov=covariance).logpdf(residual[0, 0])
    assert noise.log_density(residual).sum() == pytest.approx(expected, rel=1e-9)
    drawn = noise.draw(np.random.default_rng(3), (40, 500, len(runs))).reshape(20_000, -1)
    np.testing.assert_allclose(np.corrcoef(drawn, rowvar=False), correlation, atol=0.035)
    np.testing.assert_allclose(drawn.std(axis=0), scale, rtol=0.03)


def repeated() -> pd.DataFrame:
    """Checkpoints of a few runs in no order, some of them of the same tokens."""
    table = curves(4, 5)
    table.loc[[3, 12], "n_tokens"] = table.loc[[2, 11], "n_tokens"].to_numpy()
    return table.sample(frac=1.0, random_state=4).reset_index(drop=True)


def correlations(runs: bs.Runs, alike: float) -> np.ndarray:
    """Return the correlation of any two rows, which depends on these two alone."""
    log, label = np.log(runs.n_tokens), runs.table["run"].to_numpy()
    apart = np.abs(log[:, None] - log) / VALUES["correlation_length"]
    shared = alike * np.exp(-apart) * (label[:, None] == label)
    return shared + (1.0 - alike) * np.eye(len(runs))


@pytest.mark.parametrize("alike", [0.001, 0.4, 0.999])
def test_rows_that_are_partly_alike_are_a_process(alike):
    """Any rows have the multivariate Normal density that they have among more rows."""
    table, values = repeated(), VALUES | {"correlation_at_once": alike}
    residual = 0.004 * np.random.default_rng(2).standard_normal(len(table))
    for left_out in ([], [2], [0, 5, 7, 11]):
        runs = bs.load_runs(table.drop(index=left_out))
        found = noise_of(normal(checkpoints=ALIKE), runs, values)
        left = np.delete(residual, left_out)
        covariance = VALUES["sigma"] ** 2 * correlations(runs, alike)
        expected = stats.multivariate_normal(cov=covariance).logpdf(left)
        assert found.log_density(left[None, None]).sum() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["alike", "alike-student-t"])
def test_drawn_rows_have_the_correlations_of_the_process(name):
    """To Monte Carlo error, of heavy tails too, and whatever other rows there are."""
    values = VALUES | {"nu": 9.0, "growth": 0.0}
    for table in (repeated(), repeated().drop(index=[0, 5, 7, 11])):
        runs = bs.load_runs(table)
        drawn = noise_of(NOISES[name], runs, values).draw(
            np.random.default_rng(3), (40, 1000, len(runs))
        )
        found = np.corrcoef(drawn.reshape(40_000, -1), rowvar=False)
        # Five standard errors of Normal rows, at which the largest of 200 is; tails widen them.
        np.testing.assert_allclose(found, correlations(runs, 0.7), atol=5.0 / np.sqrt(40_000) * 1.3)


def test_rows_that_follow_known_ones_are_drawn_given_all_of_them():
    """Not the last alone: it has an error of its own."""
    table = curves(1, 6)
    runs = bs.load_runs(table)
    noise = noise_of(normal(checkpoints=ALIKE), runs)
    known = np.append(0.004 * np.array([1.0, 2.0, -1.0, 0.5, 3.0]), np.nan)
    drawn = noise.draw(np.random.default_rng(1), (4, 20_000, 6), np.tile(known, (4, 20_000, 1)))
    c = correlations(runs, 0.7)
    weights = np.linalg.solve(c[:5, :5], c[:5, 5])
    mean, variance = weights @ known[:5], 0.004**2 * (1.0 - weights @ c[:5, 5])
    assert np.array_equal(drawn[0, 0, :5], known[:5])
    error = np.sqrt(variance / 80_000)
    assert drawn[..., 5].mean() == pytest.approx(mean, abs=4.5 * error)
    assert drawn[..., 5].var() == pytest.approx(variance, rel=4.5 * np.sqrt(2 / 80_000))


@pytest.mark.parametrize("mode", ["NUMBA", "JAX", "FAST_COMPILE"])
def test_the_filter_and_its_slopes_in_every_backend(mode):
    import jax
    import pytensor
    import pytensor.tensor as pt

    from bayescale.backend.filtering import Filter, register_in_jax
    from bayescale.model.measurement import order_of

    register_in_jax()
    facts = links_of(bs.load_runs(repeated()), "run", "n_tokens", apart=False)
    previous = facts["previous"].astype(int)
    kept = np.exp(-facts["gap"] / 0.6)
    rng = np.random.default_rng(7)
    x, weigh_m, weigh_v = rng.standard_normal((3, len(kept)))
    inputs = [pt.dvector(), pt.dvector(), pt.dvector(), pt.dscalar()]
    means, variances = Filter()(*inputs, order_of(facts["previous"]).astype(int), previous)
    total = (means * weigh_m).sum() + (variances * weigh_v).sum()
    slopes = pytensor.grad(total, inputs)
    at = [x, kept, 1.0 - kept**2, np.float64(0.6)]
    # The default precision of JAX is single, and other tests may have set it.
    with jax.enable_x64(True) if mode == "JAX" else nullcontext():
        function = pytensor.function(inputs, [total, *slopes], mode=mode)
        _, *found = function(*at)
        for i, slope in enumerate(found):
            for j in np.ndindex(np.shape(at[i])):
                ahead, behind = ([np.array(value) for value in at] for _ in range(2))
                ahead[i][j] += 1e-6
                behind[i][j] -= 1e-6
                numerical = float(function(*ahead)[0] - function(*behind)[0]) / 2e-6
                first = previous[j] == j[0] if i == 1 else False
                # Of a first row nothing is kept, whatever is said.
                expected = 0.0 if first else numerical
                assert np.asarray(slope)[j] == pytest.approx(expected, abs=1e-6)


@every_noise
def test_graph_and_draws_have_one_density(name):
    noise = NOISES[name]
    runs = bs.load_runs(curves())
    arrays, graph = noise_of(noise, runs), noise_of(noise, runs, axis=False)
    rng = np.random.default_rng(4)
    observed, mean = 0.01 * rng.standard_normal((2, len(runs)))
    import pytensor.tensor as pt

    facts = {name: pt.constant(row) for name, row in graph.facts.items()}
    values = {name: pt.constant(np.float64(x)) for name, x in VALUES.items()}
    symbols = replace(graph, values=values, amount=pt.constant(graph.amount), facts=facts)
    found = symbols.log_density(pt.constant(observed) - pt.constant(mean)).sum()
    expected = arrays.log_density((observed - mean)[None, None]).sum()
    assert float(found.eval()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("nu", [0.3, 1.0, 4.0, 17.0, 2e4])
def test_the_student_t_density_is_scipys(nu):
    z = np.array([0.0, 0.3, -2.0, 40.0])
    found = Scatter(scale=0.7, nu=nu).log_density(z)
    np.testing.assert_allclose(found, stats.t(nu, scale=0.7).logpdf(z), rtol=1e-10)


@every_noise
def test_draws_follow_the_density(name):
    noise = noise_of(NOISES[name], bs.load_runs(curves()))
    drawn = noise.draw(np.random.default_rng(5), (8, 250, 48))
    below = noise.cdf(drawn)
    assert stats.kstest(below[..., ::7].ravel(), "uniform").pvalue > 1e-3
    # A derivative of the probability is the density, where nothing was cut off.
    if "censored" not in NOISES[name].rows:
        step = 1e-6
        rows = drawn[:1, :5]
        slope = (noise.cdf(rows + step) - noise.cdf(rows - step)) / (2 * step)
        if NOISES[name].checkpoints is None:
            tolerance = 1e-4 if not NOISES[name].rounding else 0.02
            np.testing.assert_allclose(
                slope, np.exp(noise.log_density(rows)), rtol=tolerance, atol=1e-3
            )


def test_what_is_nothing_changes_nothing():
    table = curves().assign(se=0.0, step=0.0, diverged=0)
    runs = bs.load_runs(table)
    residual = 0.005 * np.random.default_rng(6).standard_normal((1, 1, len(runs)))
    plain = noise_of(normal(), runs).log_density(residual)
    nothing = VALUES | {"growth": 0.0, "inefficiency": 1e-12, "correlation_length": 1e-3}
    for name in ("reducible", "combined", "linked-growth"):
        found = noise_of(NOISES[name], runs, nothing).log_density(residual)
        np.testing.assert_allclose(found, plain, atol=1e-5, err_msg=name)
    errors = noise_of(student(standard_error="se"), runs.where("se == 0")).log_density(residual)
    np.testing.assert_allclose(errors, noise_of(student(), runs).log_density(residual))
    large = bs.load_runs(table.assign(se=0.5))
    scale = noise_of(normal(standard_error="se"), large).scale
    np.testing.assert_allclose(scale[0, 0], 0.5 / large.loss, rtol=1e-3)


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
    # Known random numbers at each plan: what is left is the scale.
    standard = np.concatenate(
        [generator(3, Stream.RUN_NOISE, plan).standard_normal((2, 50, 1)) for plan in range(2)], -1
    )
    scale = np.log(drawn["loss_run"] / drawn["loss"]).to_numpy() / standard
    grown = np.log(scale[..., 1] / scale[..., 0])
    expected = fit.posterior["growth"].to_numpy() * ratio
    np.testing.assert_allclose(grown, expected, atol=0.05 * np.abs(expected).max())


# Cards and columns.


@every_noise
def test_cards_round_trip(name, tmp_path):
    model = with_noise(NOISES[name])
    path = tmp_path / "mine.toml"
    path.write_text(model.to_toml(), encoding="utf-8")
    assert bs.load_model(path) == model
    assert set(model.noise.all_priors) == set(model.noise.meanings)
    assert str(model.noise).startswith(model.noise.kind)


def test_every_fragment_of_the_page_of_noise_makes_a_card():
    page = (Path(__file__).parents[2] / "docs" / "noise.md").read_text(encoding="utf-8")
    fragments = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", page, re.S)]
    assert len(fragments) == 8
    said = set()
    for fragment in fragments:
        card = bs.load_model("chinchilla").to_dict()
        noise = card["noise"] | fragment.get("noise", {})
        if noise["kind"] == "normal":
            del noise["nu"]
        model = Model.from_dict({**card, **fragment, "noise": noise})
        said |= set(model.noise.to_dict())
        assert model.pooling or "pooling" not in fragment
    assert said == {f.name for f in fields(Noise)} - {"priors"} | {"sigma", "nu"}


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"kind": "normall"}, "found kind 'normall'.*Did you mean 'normal'"),
        ({"nu": STUDENT["nu"].to_dict()}, "unknown key 'nu'"),
        ({"rouding": 0.01}, "unknown key 'rouding'.*Did you mean 'rounding'"),
        ({"rounding": -1}, "rounding = -1, expected a step, a share such as '0.4 %'"),
        ({"rounding": "120 %"}, "rounding = '120 %', expected a step"),
        ({"rounding": True}, "rounding = True, expected a step"),
        ({"standard_error": 3}, "standard_error = 3, expected the name of a column"),
        ({"growth": "compute"}, "growth: found 'compute', expected a table of along, exponent"),
        ({"growth": {"along": "compute"}}, "growth: exponent missing"),
        ({"growth": {"along": "flops", "exponent": GROWTH.exponent.to_dict()}}, "along = 'flops'"),
        ({"growth": {"with": "compute"}}, "unknown key 'with'"),
        (
            {"checkpoints": {"run": "run", "along": "n_tokens", "length": GROWTH.exponent.to_dict()}},
            "checkpoints.length: .*positive",
        ),
        ({"inefficiency": {"distribution": "halfnormal", "scale": 1.0}}, "why missing"),
    ],
)  # fmt: skip
def test_bad_cards_are_refused_with_their_place(more, match):
    card = with_noise(normal()).to_dict()
    with pytest.raises(CardError, match=match):
        Model.from_dict({**card, "noise": {**card["noise"], **more}})


def test_what_does_not_go_together_is_refused():
    with pytest.raises(CardError, match="inefficiency: found student-t noise, expected normal"):
        student(inefficiency=WORSE)
    with pytest.raises(CardError, match="checkpoints and rounding, expected one of the two"):
        normal(checkpoints=LINKED, rounding=0.01)
    with pytest.raises(CardError, match="law kaplan-nd has no floor"):
        replace(bs.load_model("kaplan-nd"), noise=normal(growth=REDUCIBLE))
    with pytest.raises(CardError, match="along = 'compute'.*n_encoder_params"):
        replace(bs.load_model("encoder-decoder"), noise=normal(growth=GROWTH))
    by_compute = replace(bs.load_model("power-law-floor"), noise=normal(growth=GROWTH))
    assert GROWTH.inputs(by_compute.law, by_compute.columns) == ("x",)


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("errors", {"se": None}, "no column 'se', which the noise"),
        ("errors", {"se": -0.1}, "row 0, column 'se': found -0.1, expected a standard error"),
        ("errors", {"se": "small"}, "row 0, column 'se': found 'small', expected"),
        ("errors", {"se": np.nan}, "row 0, column 'se': found nothing, expected .*47 more"),
        ("combined", {"step": 9.0}, "row 0, column 'step': found 9.0, expected a step"),
        ("censored", {"diverged": "perhaps"}, "row 0, column 'diverged': found 'perhaps'.*1 for"),
        ("linked", {"run": "one"}, r"column 'n_tokens': found .* for two checkpoints .* 'one'"),
        ("linked-censored", {"diverged": 1}, "found a divergence, but row 1 is a later"),
    ],
)
def test_bad_columns_are_refused_with_their_place(name, change, match):
    table = curves()
    table.loc[6:11, "n_tokens"] = table.loc[0:5, "n_tokens"].to_numpy()
    gone = [column for column, value in change.items() if value is None]
    table = table.drop(columns=gone).assign(**{c: v for c, v in change.items() if c not in gone})
    with pytest.raises(RunsError, match=match):
        bs.fit(table, with_noise(NOISES[name]), progress=False)


def test_a_step_larger_than_a_loss_is_refused():
    with pytest.raises(RunsError, match="column 'loss': found .* no more than the 5"):
        bs.fit(curves(), with_noise(normal(rounding=5.0)), progress=False)


def test_checkpoints_follow_the_last_that_is_known():
    runs = bs.load_runs(curves(2, 4))
    links = links_of(runs, "run", "n_tokens")
    np.testing.assert_array_equal(links["previous"], [0, 0, 1, 2, 4, 4, 5, 6])
    known = np.array([True, True, False, False, False, False, False, False])
    links = links_of(runs, "run", "n_tokens", known=known)
    np.testing.assert_array_equal(links["previous"], [0, 0, 1, 1, 4, 5, 6, 7])
    step = np.log(100) / 3
    np.testing.assert_allclose(links["gap"][1:4], [step, step, 2 * step])


@pytest.mark.slow
def test_runs_that_say_nothing_of_the_noise_are_warned_of():
    alone = grid(20).assign(diverged=1)
    model = with_noise(normal(checkpoints=LINKED, censored="diverged"))
    with pytest.warns(BayescaleWarning) as caught:
        bs.fit(alone, model, draws=20, tune=50, chains=1, seed=1, progress=False)
    texts = " ".join(str(warning.message) for warning in caught)
    assert "No two rows are checkpoints of one run" in texts
    assert "Every run diverged" in texts


def test_kept_scores_know_of_the_columns_of_the_noise():
    runs = bs.load_runs(curves())
    changed = bs.load_runs(curves().assign(se=0.02))
    assert runs.fingerprint == changed.fingerprint
    assert runs.digest(("se",)) != changed.digest(("se",))
    assert runs.digest(("step",)) == changed.digest(("step",))
    assert runs.digest() == changed.digest(), "what was observed is in every digest"


# What each is for.


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
    # The next checkpoint owes most to the last one, the fourth less.
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


def simulated(noise: Noise, table: pd.DataFrame, seed: int, **values) -> pd.DataFrame:
    runs = bs.load_runs(table)
    rng = np.random.default_rng(seed)
    drawn = noise_of(noise, runs, VALUES | values).draw(rng, (1, 1, len(table)))[0, 0]
    return table.assign(loss=table["loss"] * np.exp(drawn))


def grid(n: int = 96, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size, ratio = np.exp(rng.uniform(np.log(5e7), np.log(5e9), n)), np.exp(rng.uniform(0, 5, n))
    return pd.DataFrame(
        {"n_params": size, "n_tokens": size * ratio, "loss": surface(size, size * ratio)}
    )


def test_losses_of_the_figure_are_levels_of_a_logarithmic_scale():
    """What the card of digitised losses rests on."""
    runs = bs.load_runs("chinchilla")
    steps = np.diff(np.log(np.unique(runs.loss)))
    # Some levels were not hit; neighbours are 0.3 or 0.45 % apart, whatever the loss.
    near = steps[steps < 0.005]
    assert len(near) > 0.8 * len(steps)
    assert np.mean(np.minimum(np.abs(near - 0.003), np.abs(near - 0.0045)) < 2e-5) == 1.0
    assert near.mean() == pytest.approx(0.004, rel=0.02)


@pytest.mark.slow
def test_rounding_is_not_scatter():
    """Of losses read off levels, the scatter beneath is found; without, it is the rounding."""
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
    """Large runs of little data diverge and stop where they are: to take that for their loss
    is to find that they do not need the data."""
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
def test_repeats_tell_their_scatter_from_misfit():
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


# Calibration.


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
def test_correlated_checkpoints_taken_as_independent_are_too_sure():
    """Coverage of the tokens per parameter of the optimum, over simulations."""
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
