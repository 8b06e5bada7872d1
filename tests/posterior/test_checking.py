"""Checks of a fit against its runs: each fails where it should and passes where it should."""

import json
import tomllib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayescale as bs
from bayescale.backend.build import draw_prior
from bayescale.errors import BayescaleWarning, RunsError
from bayescale.inference.fit import fit_quietly
from bayescale.model.checks import Check
from bayescale.posterior.checking import checks_of
from bayescale.posterior.criticism import Scores
from bayescale.posterior.overlooked import _advice

CHINCHILLA = bs.load_model("chinchilla")


def alarms(fit: bs.Fit) -> dict[str, Check]:
    """Return the checks that did not pass, by name."""
    return {check.name: check for check in checks_of(fit) if check.status != "passed"}


def with_table(fit: bs.Fit, **columns) -> bs.Fit:
    """Return a fit whose runs have other columns."""
    return replace(fit, runs=replace(fit.runs, _table=fit.runs.table.assign(**columns)))


def with_draws(fit: bs.Fit, **values) -> bs.Fit:
    """Return a fit with other draws of some quantities."""
    posterior = fit.posterior.copy(deep=True)
    for name, value in values.items():
        posterior[name] = posterior[name] * 0 + np.asarray(value).reshape(-1, 1)
    return replace(fit, _posterior=posterior)


@pytest.fixture(scope="module")
def true(fit) -> bs.Fit:
    """A fit whose runs are of its own law and noise, each at a draw of its own."""
    median = {name: x.median() for name, x in fit.posterior.data_vars.items()}
    inputs = {n: xr.DataArray(np.log(x), dims="run") for n, x in fit.inputs.items()}
    log_loss = np.log(fit.law.formula(inputs, {n: median[n] for n in fit.law.parameters}))
    drawn = np.random.default_rng(4).standard_t(float(median["nu"]), len(fit.runs))
    return with_table(fit, loss=np.exp(log_loss.to_numpy() + float(median["sigma"]) * drawn))


# Runs simulated from the law: no check fails.


def test_runs_of_the_law_itself_pass(true):
    assert not alarms(true)
    names = {check.name for check in checks_of(true)}
    assert names == {"tails", "pattern", "evenness", "priors", "learning"}
    assert all(check.sentence.endswith(".") for check in checks_of(true))


def test_p_values_are_uniform_for_scores_that_are_normal():
    rng = np.random.default_rng(0)
    logs = rng.standard_normal((2, 60))
    scores = Scores(np.zeros((1, 60)), np.zeros((1, 60)), logs, np.ones(60, dtype=bool))
    basis = scores.smooth()
    assert basis.shape == (60, 6)
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-12)
    one_draw = [replace(scores, normal=rng.standard_normal((1, 60))) for _ in range(2000)]
    chance = np.array([each.explained(basis)[0] for each in one_draw])
    # Of 2,000 uniform values; the standard errors are 0.005 and 0.011.
    assert np.mean(chance < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean(chance < 0.5) == pytest.approx(0.5, abs=0.045)
    share = np.array([each.explained(basis)[1] for each in one_draw])
    assert share.mean() == pytest.approx(6 / 60, abs=0.005)


def test_fitting_does_not_compute_checks(fit, chinchilla_runs):
    """Refits are judged by convergence alone; other checks are computed on demand."""
    quick = fit_quietly(chinchilla_runs, CHINCHILLA, seed=2, draws=50)
    assert "gates" in vars(quick)
    assert not {"criticism", "diagnostics"} & set(vars(quick))
    assert set(fit.gates.checks) < set(fit.diagnostics.checks)


# Residuals that the model does not predict.


def test_curvature_that_the_law_lacks_is_found(fit, true):
    log_n = np.log(fit.runs.n_params)
    bend = (log_n - log_n.mean()) ** 2
    sigma = float(fit.posterior["sigma"].median())
    for size, status in ((0.03, "passed"), (0.6, "remark"), (5.0, "failed")):
        bent = with_table(true, loss=true.runs.loss * np.exp(size * sigma * (bend - bend.mean())))
        found = {check.name: check for check in checks_of(bent)}["pattern"]
        assert found.status == status, found.sentence
    assert "coupled-discrepancy" in found.sentence
    assert not bent.diagnostics.ok
    assert "Residuals follow a pattern" in bent.diagnostics.status
    assert "pattern" in bs.allocate(bent, budget="1e21").headline


def test_a_scatter_that_changes_along_compute_is_found(true):
    log_c = np.log(true.runs.n_params * true.runs.n_tokens)
    along = (log_c - log_c.mean()) / log_c.std()
    scores = Scores.of(true)
    off = np.median(scores.residuals, axis=0)
    uneven = with_table(true, loss=true.runs.loss * np.exp(off * np.expm1(along)))
    found = alarms(uneven)["evenness"]
    assert found.status == "remark"
    assert "in the first decade" in found.sentence
    assert "noise.growth" in found.sentence


def test_tails_at_their_bound_fail(true):
    prior = true.model.noise.priors["nu"]
    found = alarms(with_draws(true, nu=1.2))["tails"]
    assert found.status == "failed"
    assert "lower bound of 1" in found.sentence
    assert 1.0 - prior.above(1.2) < 0.005 < 1.0 - prior.above(1.6)
    assert "tails" not in alarms(with_draws(true, nu=1.6))


# Columns that are not used.


def test_levels_that_explain_the_scatter_are_named(true):
    rng = np.random.default_rng(8)
    corpus = rng.choice(["pile", "web", "books"], len(true.runs))
    shift = pd.Series({"pile": 0.0, "web": 0.02, "books": -0.02})
    apart = with_table(true, corpus=corpus, loss=true.runs.loss * np.exp(shift[corpus].to_numpy()))
    found = alarms(apart)["corpus"]
    assert found.status == "failed"
    assert "3 levels of corpus (books, pile, web)" in found.sentence
    assert "chinchilla-pooled" in found.sentence
    assert "with columns={'family': 'corpus'} (--column family=corpus), or fit" in found.sentence
    assert bs.load_runs(apart.runs.table, columns={"family": "corpus"}).families == (
        "books",
        "pile",
        "web",
    )
    # A model with effects of the levels gives no message about them.
    assert "family" not in alarms(with_table(true, family="one"))


def test_levels_that_differ_in_more_than_what_is_pooled_are_said(true):
    """All gates passed where exponents alone were pooled, and losses differed by a constant."""
    rng = np.random.default_rng(8)
    corpus = rng.choice(["pile", "web", "books"], len(true.runs))
    shift = pd.Series({"pile": 0.0, "web": 0.02, "books": -0.02})[corpus].to_numpy()
    nothing = xr.zeros_like(true.posterior["alpha"])
    levels = xr.DataArray(np.zeros(3), {"level_corpus": ["books", "pile", "web"]})
    draws = true.posterior.assign(
        {
            f"{prefix}{of}_by_corpus": nothing + other
            for of in ("alpha", "E")
            for prefix, other in (("sd_", 0.1), ("", levels))
        }
    )

    def pooled(of: list[str], loss: np.ndarray) -> bs.Fit:
        model = true.model.pool("corpus", of=of)
        return replace(with_table(true, corpus=corpus, loss=loss), model=model, _posterior=draws)

    apart = true.runs.loss * np.exp(shift)
    found = alarms(pooled(["alpha"], apart))["corpus"]
    assert found.status == "failed"
    assert "3 levels of corpus (books, pile, web) differ in alpha alone" in found.sentence
    assert 'model.pool("corpus", of=["E"]) (--pool corpus=alpha,E)' in found.sentence
    assert (
        "Let loss differ between them too"
        in alarms(pooled(["alpha", "E"], apart))["corpus"].sentence
    )
    # No message if nothing is left to explain, although a corpus is always reported if not pooled.
    assert "corpus" not in alarms(pooled(["alpha"], true.runs.loss))


def test_levels_that_explain_nothing_are_not_named_unless_they_are_other_experiments(true):
    rng = np.random.default_rng(9)
    several = with_table(
        true,
        optimizer=rng.choice(["adam", "sgd"], len(true.runs)),
        seed=rng.integers(1, 4, len(true.runs)),
        note="same",
        label=[f"run {i}" for i in range(len(true.runs))],
    )
    assert not alarms(several)
    arms = with_table(true, arm=rng.choice(["base", "new"], len(true.runs)))
    assert alarms(arms)["arm"].status == "remark"
    assert "2 levels of arm (base, new) are fitted as one." in alarms(arms)["arm"].sentence


@pytest.mark.parametrize("column", ["recipe", "Arch family (v2)", 'the "new" ones'])
def test_the_advice_can_be_typed_whatever_the_name_of_the_column(column):
    model = bs.load_model("coupled-discrepancy")
    said = _advice(SimpleNamespace(model=model, law=model.law, response="loss"), column)
    table = said[said.index("[pooling.") : said.index(" in the card")]
    assert tomllib.loads(table) == {"pooling": {"E": {column: {}}}}
    assert f"model.pool({json.dumps(column)}, of=" in said


def test_missing_labels_are_a_level_of_their_own(true):
    labels = np.resize(np.array(["a", None, "b", "a", None], dtype=object), len(true.runs))
    shift = pd.Series(labels).isna().to_numpy() * 0.02
    found = alarms(with_table(true, batch=labels, loss=true.runs.loss * np.exp(shift)))
    assert found["batch"].status == "failed"
    assert "3 levels of batch (" in found["batch"].sentence


def test_misfit_too_small_to_matter_is_not_said(true):
    """Runs with many digits have only rounding errors, which do not follow the noise model."""
    median = {str(name): float(x.median()) for name, x in true.posterior.data_vars.items()}
    known = with_draws(true, **{**median, "sigma": 1e-7, "nu": 1.1})
    off = Scores.of(known).residuals[0]
    bend = np.linspace(-1, 1, len(off)) ** 2
    for size, said in ((1e-6, set()), (1e-2, {"pattern", "tails"})):
        bent = with_table(known, loss=true.runs.loss * np.exp(-off + size * bend))
        assert set(alarms(bent)) & {"pattern", "tails"} == said


def test_names_of_sizes_are_not_taken_for_levels(fit, true):
    log_n = np.log(fit.runs.n_params)
    size = pd.cut(log_n, 6, labels=list("abcdef")).astype(str)
    bent = true.runs.loss * np.exp(0.02 * (log_n - log_n.mean()) ** 2)
    found = alarms(with_table(true, size=size, loss=bent))
    assert "pattern" in found
    assert "size" not in found


# Contraction of the posterior relative to the prior.


def test_a_posterior_that_is_the_prior_fails(true):
    drawn = draw_prior(true.model, np.random.default_rng(5), 4000)
    blank = true.posterior.copy(deep=True)
    for name in ("alpha", "beta"):
        blank[name] = (("chain", "draw"), drawn[name].reshape(4, 1000))
    found = alarms(replace(true, _posterior=blank))["learning"]
    assert found.status == "failed"
    assert "exponent of N_opt" in found.sentence
    blank["beta"] = true.posterior["beta"]
    found = alarms(replace(true, _posterior=blank))["learning"]
    assert (found.status, "only weakly identify alpha" in found.sentence) == ("remark", True)


def test_what_a_narrow_prior_states_need_not_be_learnt(true):
    exact = bs.LogNormal(median=0.35, log_sd=0.02, why="a published value")
    priors = {**true.model.priors, "alpha": exact, "beta": exact}
    drawn = exact.draw(np.random.default_rng(1), 4000).reshape(4, 1000)
    posterior = true.posterior.assign(dict.fromkeys(("alpha", "beta"), (("chain", "draw"), drawn)))
    pinned = replace(true, model=replace(true.model, priors=priors), _posterior=posterior)
    assert "learning" not in alarms(pinned)


def test_posteriors_in_the_tail_of_the_prior_are_reported(true):
    found = alarms(with_draws(true, sigma=0.3))["priors"]
    assert found.status == "failed"
    assert "halfnormal(scale 0.02)" in found.sentence
    # A large sigma or an unusual exponent is a remark, not a failure.
    assert alarms(with_draws(true, sigma=0.068))["priors"].status == "remark"
    assert "priors" not in alarms(with_draws(true, sigma=1e-9))
    odd = alarms(with_draws(true, alpha=3.0))["priors"]
    assert (odd.status, "posterior median of alpha, 3.0" in odd.sentence) == ("remark", True)


@pytest.mark.parametrize(
    ("prior", "values"),
    [
        (bs.LogNormal(median=2.0, log_sd=0.5, why="test"), [0.5, 2.0, 4.0]),
        (bs.HalfNormal(scale=2.0, why="test"), [0.1, 2.0, 5.0]),
        (bs.HalfCauchy(scale=2.0, why="test"), [0.1, 2.0, 50.0]),
        (bs.Gamma(shape=2.0, rate=0.5, lower=1.0, why="test"), [1.1, 4.0, 12.0]),
        (bs.Normal(mean=-1.0, sd=2.0, why="test"), [-4.0, -1.0, 3.0]),
        (bs.Beta(a=2.0, b=3.0, why="test"), [0.1, 0.4, 0.9]),
    ],
)
def test_probabilities_of_more_are_those_of_draws(prior, values):
    drawn = prior.draw(np.random.default_rng(3), 100_000)
    for value in values:
        # The standard error of such a share is at most 0.0016.
        assert prior.above(value) == pytest.approx(float(np.mean(drawn > value)), abs=0.008)


# End to end, with the sampler.


def isoflop(sd: float, seed: int, floor: float = 0.0) -> pd.DataFrame:
    budget = np.repeat(np.geomspace(1e18, 1e21, 6), 7)
    ratio = np.tile(np.geomspace(4, 100, 7), 6)
    n = np.sqrt(budget / 6 / ratio)
    loss = floor + bs.law("chinchilla").evaluate(
        n_params=n, n_tokens=n * ratio, **bs.published("besiroglu2024").parameters
    )
    noise = np.exp(sd * np.random.default_rng(seed).standard_normal(len(n)))
    return pd.DataFrame({"N": n, "D": n * ratio, "loss": loss * noise})


@pytest.mark.slow
def test_noise_of_thirty_per_cent_fails_the_checks():
    found = bs.fit(isoflop(0.3, 3), "chinchilla", seed=1, progress=False)
    assert not found.diagnostics.ok
    assert "learning" in {c.name for c in found.diagnostics.checks if c.status == "failed"}
    clean = bs.fit(isoflop(0.005, 3), "chinchilla", seed=1, progress=False)
    assert clean.diagnostics.ok, clean.diagnostics.messages


@pytest.mark.slow
def test_three_corpora_in_one_table_are_named():
    parts = [
        isoflop(0.005, seed, floor).assign(corpus=name)
        for seed, (name, floor) in enumerate({"a": -0.3, "b": 0.0, "c": 0.35}.items())
    ]
    found = bs.fit(pd.concat(parts, ignore_index=True), "chinchilla", seed=1, progress=False)
    assert not found.diagnostics.ok
    said = " ".join(found.diagnostics.failures)
    assert "3 levels of family (a, b, c)" in said
    assert "chinchilla-corpora" in said


CASES = {
    "08-so-power.csv": ("power-law-floor", {"r": "x", "y": "loss"}, "lower bound of 1"),
    "09-three-rising.csv": ("power-law", {"ss": "x", "conc": "loss"}, "rises with x"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_cases_from_public_threads(name, case):
    card, names, said = CASES[name]
    table = pd.read_csv(case(name)).rename(columns=names)
    # These outputs are not losses: a law of one variable fits any column named loss.
    runs = bs.load_runs(table, needs=("x",), units={"loss": "nats/token"})
    model = replace(bs.load_model(card), inputs={"x": "x"})
    if len(runs) < model.n_free:
        with pytest.raises(RunsError, match=said):
            bs.fit(runs, model, progress=False)
        return
    found = bs.fit(runs, model, seed=1, progress=False)
    assert not found.diagnostics.ok
    assert said in " ".join(found.diagnostics.failures)
    assert "pattern in ln x" in " ".join(found.diagnostics.failures)


@pytest.mark.slow
def test_arms_in_one_table_are_named(case):
    runs = bs.load_runs(case("13-speedup.csv"), needs=("compute",))
    model = replace(bs.load_model("power-law"), inputs={"x": "compute"})
    with pytest.warns(BayescaleWarning, match="runs of 3 settings|distinct values"):
        found = bs.fit(runs, model, seed=1, progress=False)
    assert any("2 levels of arm (base, kv)" in said for said in found.diagnostics.remarks)
