"""Densities and random draws of each kind of noise, against SciPy and against each other."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from model.noises import ALIKE, NOISES, VALUES, curves, every_noise, noise_of, normal, student
from scipy import stats

import bayescale as bs
from bayescale.backend.distributions import Scatter
from bayescale.model.measurement import links_of


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
    """To 1e-8 for intervals of up to one scale, and to 2e-3 for intervals of ten scales."""
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
    """With Normal residuals, their joint density is that of a multivariate Normal."""
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
    """Shuffled checkpoints of a few runs; some rows have the same run and the same tokens."""
    table = curves(4, 5)
    table.loc[[3, 12], "n_tokens"] = table.loc[[2, 11], "n_tokens"].to_numpy()
    return table.sample(frac=1.0, random_state=4).reset_index(drop=True)


def correlations(runs: bs.Runs, alike: float) -> np.ndarray:
    """Return the correlation matrix of the rows, from the gap between each two of them."""
    log, label = np.log(runs.n_tokens), runs.table["run"].to_numpy()
    apart = np.abs(log[:, None] - log) / VALUES["correlation_length"]
    shared = alike * np.exp(-apart) * (label[:, None] == label)
    return shared + (1.0 - alike) * np.eye(len(runs))


@pytest.mark.parametrize("alike", [0.001, 0.4, 0.999])
def test_rows_that_are_partly_alike_are_a_process(alike):
    """The density of a subset of rows is the marginal of the density of all rows."""
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
    """To Monte Carlo error, also with heavy tails and for a subset of the rows."""
    values = VALUES | {"nu": 9.0, "growth": 0.0}
    for table in (repeated(), repeated().drop(index=[0, 5, 7, 11])):
        runs = bs.load_runs(table)
        drawn = noise_of(NOISES[name], runs, values).draw(
            np.random.default_rng(3), (40, 1000, len(runs))
        )
        found = np.corrcoef(drawn.reshape(40_000, -1), rowvar=False)
        # Five standard errors of normal rows, the size of the largest of 200; heavy tails add to it.
        np.testing.assert_allclose(found, correlations(runs, 0.7), atol=5.0 / np.sqrt(40_000) * 1.3)


def test_rows_that_follow_known_ones_are_drawn_given_all_of_them():
    """The last known row alone does not suffice: each row also has independent noise."""
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
                # A first row has no predecessor, independent of the given distance.
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
    # Without censoring the derivative of the probability is the density.
    if "censored" not in NOISES[name].rows:
        step = 1e-6
        rows = drawn[:1, :5]
        slope = (noise.cdf(rows + step) - noise.cdf(rows - step)) / (2 * step)
        if NOISES[name].checkpoints is None:
            tolerance = 1e-4 if not NOISES[name].rounding else 0.02
            np.testing.assert_allclose(
                slope, np.exp(noise.log_density(rows)), rtol=tolerance, atol=1e-3
            )


def test_components_of_zero_size_change_nothing():
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
