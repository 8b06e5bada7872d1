import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import bayescale as bs
from bayescale.errors import CardError, UnknownNameError
from bayescale.model.card import Model, load_model
from bayescale.model.noise import Noise
from bayescale.model.priors import Gamma, HalfNormal, LogNormal, prior_from_dict

CARD = load_model("chinchilla").to_toml()


def refused(tmp_path, text: str, match: str) -> None:
    path = tmp_path / "card.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CardError, match=match):
        load_model(path)


def test_a_model_built_in_python_round_trips(tmp_path):
    base = load_model("chinchilla")
    model = Model(
        law="chinchilla",
        id="mine",
        title='A "quoted" title, with \\ and é',
        priors={**base.priors, "alpha": LogNormal(median=0.5, log_sd=0.2, why="a reason")},
        noise=Noise(kind="normal", priors={"sigma": HalfNormal(scale=0.01, why="a reason")}),
        references=("someone 2026",),
    )
    path = tmp_path / "mine.toml"
    path.write_text(model.to_toml(), encoding="utf-8")
    assert load_model(path) == model
    assert load_model(model) is model
    assert model.n_free == 6


def test_default_card():
    assert load_model().id == "coupled-discrepancy"


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("[priors.alpha]", "[priors.alhpa]", "prior on 'alhpa', which the law chinchilla does not have.*Did you mean 'alpha'"),
        ("[priors.alpha]", "[priors.k]", "prior on 'k', which the law chinchilla does not have"),
        ("[noise]", "[nosie]", "unknown key 'nosie'.*Did you mean 'noise'"),
        ("log_sd = 0.45", "logsd = 0.45", "unknown key 'logsd'.*Did you mean 'log_sd'"),
        ("log_sd = 0.45", "log_sd = -1", "expected a positive finite number"),
        ("log_sd = 0.45", "log_sd = nan", "expected a positive finite number"),
        ("log_sd = 0.45", 'log_sd = "wide"', "expected a number"),
        ("log_sd = 0.45", "", "log_sd missing"),
        ('distribution = "lognormal"', 'distribution = "lognorm"', "distribution 'lognorm'.*Did you mean 'lognormal'"),
        ('kind = "student-t"', 'kind = "cauchy"', "noise: found kind 'cauchy'"),
        ("[noise.nu]", "[noise.mu]", "unknown key 'mu'.*Did you mean 'nu'"),
        ('relative_to = "observed"', 'relative_to = "nats"', "expected 'observed'"),
        ('relative_to = "observed"', "", "relative_to = '', expected 'observed'"),
        ('law = "chinchilla"', "law = 3", "found law = 3, expected a name"),
        ("[priors.beta]", "[elsewhere.beta]", "unknown key 'elsewhere'"),
        ('title = "', 'title = 3 # "', "found title = 3, expected text"),
        ("references = [", "references = 1 # [", "not valid TOML|expected a list of texts"),
        ('kind = "student-t"', "kind = []", "noise: found kind"),
        ("=", "", "not valid TOML"),
    ],
)  # fmt: skip
def test_bad_cards_are_refused_with_their_place(tmp_path, old, new, match):
    assert old in CARD
    refused(tmp_path, CARD.replace(old, new), match)


def test_a_prior_without_a_reason_is_refused():
    with pytest.raises(CardError, match="without a reason"):
        LogNormal(median=1.0, log_sd=1.0, why=" ")


def test_a_missing_prior_is_refused():
    model = load_model("chinchilla")
    priors = {name: prior for name, prior in model.priors.items() if name != "beta"}
    with pytest.raises(CardError, match="no prior on beta; the law chinchilla needs one on each"):
        replace(model, priors=priors)
    with pytest.raises(CardError, match=r"priors\.beta: found 0\.4, expected a prior"):
        replace(model, priors={**priors, "beta": 0.4})


def test_unknown_names_suggest_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="no model card called 'chinchila'"):
        load_model("chinchila")
    with pytest.raises(
        UnknownNameError, match="no law called 'chinchlla'.*Did you mean 'chinchilla'"
    ):
        replace(load_model("chinchilla"), law="chinchlla")
    with pytest.raises(UnknownNameError, match="no published set"):
        bs.published("hoffman")
    with pytest.raises(CardError, match="no such card"):
        load_model(tmp_path / "nothing.toml")
    with pytest.raises(CardError, match="expected a table"):
        prior_from_dict(0.3, "priors.alpha")


@pytest.mark.parametrize(
    ("prior", "reference"),
    [
        (LogNormal(median=0.4, log_sd=0.45, why="w"), stats.lognorm(0.45, scale=0.4)),
        (HalfNormal(scale=0.02, why="w"), stats.halfnorm(scale=0.02)),
        (Gamma(shape=2.0, rate=0.1, why="w"), stats.gamma(2.0, scale=10.0)),
    ],
    ids=["lognormal", "halfnormal", "gamma"],
)
def test_draws_and_densities_agree_with_scipy(prior, reference):
    draws = prior.draw(np.random.default_rng(0), 4000)
    assert stats.kstest(draws, reference.cdf).pvalue > 1e-3
    values = reference.ppf([0.1, 0.5, 0.9])
    found = [float(prior.log_density(v).eval()) for v in values]
    np.testing.assert_allclose(found, reference.logpdf(values), rtol=1e-9)
    assert reference.cdf(prior.typical) == pytest.approx(0.5, abs=0.2)


def test_a_bounded_gamma_stays_above_its_bound():
    prior = Gamma(shape=2.0, rate=0.1, lower=1.0, why="w")
    draws = prior.draw(np.random.default_rng(0), 4000)
    assert draws.min() > 1.0
    whole = stats.gamma(2.0, scale=10.0)

    def truncated(x):
        return (whole.cdf(x) - whole.cdf(1.0)) / whole.sf(1.0)

    assert stats.kstest(draws, truncated).pvalue > 1e-3
    assert str(prior) == "gamma(shape 2, rate 0.1, lower 1)"
    with pytest.raises(CardError):
        Gamma(shape=2.0, rate=0.1, lower=-1.0, why="w")
    with pytest.raises(CardError):
        Gamma(shape=math.inf, rate=0.1, why="w")


def test_constants_must_name_their_laws_parameters():
    with pytest.raises(CardError, match="missing E"):
        bs.Constants(name="x", law="chinchilla", parameters={"A": 1.0}, source="s")
