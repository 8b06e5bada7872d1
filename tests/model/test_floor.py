"""A stated floor: refusals, the priors that it replaces, and the effect of a wide one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import bayescale as bs
from bayescale.backend.build import parameters_from_draws
from bayescale.backend.observed import Design
from bayescale.errors import BayescaleWarning, CardError, UnsuitableLawError
from bayescale.inference.samplers import compiled_logp
from bayescale.model.card import load_model
from bayescale.model.floor import KNOWN, assumed_floor
from bayescale.model.identifiability import design_checks
from bayescale.posterior.contraction import check_priors
from bayescale.reports.caveats import caveats_of

WHY = "as another sweep had it"
NEAR = bs.LogNormal(median=1.7, log_sd=0.05, why=WHY)
MODEL = load_model("chinchilla")


def test_a_card_states_its_floor(tmp_path):
    path = tmp_path / "card.toml"
    table = f'[floor]\ndistribution = "lognormal"\nmedian = 1.7\nlog_sd = 0.05\nwhy = "{WHY}"\n'
    path.write_text(MODEL.to_toml().replace("[noise]", f"{table}\n[noise]", 1), encoding="utf-8")
    model = load_model(path)
    assert model.floor == NEAR
    assert list(model.stated_priors) == ["E", "e_n", "e_d", "alpha", "beta", "sigma", "nu"]
    assert model.to_dict()["floor"] == NEAR.to_dict()
    path.write_text(path.read_text(encoding="utf-8").replace(f'"{WHY}"', '""'), encoding="utf-8")
    with pytest.raises(CardError, match="floor: A lognormal prior without a reason"):
        load_model(path)


@pytest.mark.parametrize(
    ("card", "floor", "match"),
    [
        ("chinchilla", 1.7, r"found 1\.7, expected a prior, such as bs\.LogNormal"),
        ("kaplan-nd", NEAR, "kaplan-nd has no parameter that is a floor"),
        ("power-law-plateau", NEAR, "power-law-plateau has no parameter that is a floor"),
        ("error-from-loss", NEAR, "error-from-loss has no parameter that is a floor"),
        ("chinchilla", replace(NEAR, relative_to="observed"), "in the unit of the loss"),
        ("chinchilla", bs.Beta(a=2.0, b=2.0, why=WHY), "ends at 1; expected a prior over all"),
        ("chinchilla", bs.Gamma(shape=2.0, rate=1.0, lower=1.5, why=WHY), r"ends at 1\.5"),
    ],
)
def test_what_is_no_prior_on_a_floor_is_refused(card, floor, match):
    with pytest.raises(CardError, match=f"floor: .*{match}"):
        replace(load_model(card), floor=floor)


def test_a_law_of_ones_own_states_its_floor_among_its_priors():
    floor = bs.Parameter(meaning="floor", symbol="E", is_floor=True)
    level = bs.Parameter(meaning="level", symbol="A")

    @bs.define_law("test-saturating", source="a test")
    def saturating(n_params, E: floor, A: level):
        return E + A / n_params

    own = bs.law("test-saturating")
    priors = {name: replace(NEAR, median=2.0) for name in own.parameters}
    model = bs.Model(law=own, priors=priors, noise=MODEL.noise)
    with pytest.raises(CardError, match=r"State it as priors\.E"):
        replace(model, floor=NEAR)


def test_an_assumed_floor():
    assert assumed_floor(1.7, why=WHY) == bs.LogNormal(median=1.7, log_sd=KNOWN, why=WHY)
    assert assumed_floor(2.0, 0.1, why=WHY).log_sd == pytest.approx(0.05)
    for value, sd in ((0.0, None), (-1.0, None), (float("nan"), None), (1.7, 0.0), (1.7, -0.1)):
        with pytest.raises(CardError, match="expected a positive number"):
            assumed_floor(value, sd, why=WHY)


def test_a_wide_floor_leaves_only_the_prior_on_the_level_out(chinchilla_runs):
    """A flat prior of ln E is flat in ln of the level, so the rest of the density is unchanged."""
    plain = load_model("power-law-floor")
    wide = replace(plain, floor=bs.LogNormal(median=1.7, log_sd=1e4, why="hardly anything"))
    densities = []
    designs = [Design.of(model, chinchilla_runs) for model in (plain, wide)]
    compiled = [compiled_logp(model) for model in (plain, wide)]
    assert compiled[0].shapes == compiled[1].shapes
    rng = np.random.default_rng(2)
    for _ in range(4):
        position = compiled[0].start + rng.uniform(-0.5, 0.5, len(compiled[0].start))
        level = plain.priors["loss_ref"]
        log_level = compiled[0].unpack(position)["loss_ref"]
        of_level = stats.norm(np.log(level.median), level.log_sd).logpdf(log_level)
        one, other = (
            c.log_density(position, d.matrix)[0] for c, d in zip(compiled, designs, strict=True)
        )
        densities.append(other - (one - of_level))
    np.testing.assert_allclose(densities, densities[0], atol=1e-6)


@pytest.mark.slow
def test_a_pooled_floor_is_that_of_a_typical_level():
    """Its levels vary as the pooling states; without pooling all levels have the stated floor."""
    runs = bs.load_runs("overtraining")
    model = replace(load_model("chinchilla-pooled"), floor=NEAR)
    design = Design.of(model, runs)
    compiled = compiled_logp(model, design.sizes)
    rng = np.random.default_rng(5)
    position = compiled.start + rng.uniform(-0.3, 0.3, len(compiled.start))
    found = parameters_from_draws(model, design, compiled.unpack(position[None, None]))
    density = [compiled.log_density(position, design.matrix)[0]]
    moved = replace(model, floor=replace(NEAR, median=1.8))
    density.append(compiled.log_density(position, Design.of(moved, runs).matrix)[0])
    change = [
        stats.lognorm(NEAR.log_sd, scale=median).logpdf(found["E"].item()) for median in (1.7, 1.8)
    ]
    assert density[1] - density[0] == pytest.approx(change[1] - change[0], rel=1e-6)


def test_a_floor_above_a_loss_is_said_before_sampling(chinchilla_runs):
    lowest = float(chinchilla_runs.loss.min())

    def checked(median, log_sd):
        floor = bs.LogNormal(median=median, log_sd=log_sd, why=WHY)
        checks = design_checks(replace(MODEL, floor=floor), chinchilla_runs)
        return {check.name: check for check in checks}.get("floor")

    assert checked(1.7, 0.05) is None
    high = checked(lowest, 0.2)
    assert high.status == "remark" or high.statistic == pytest.approx(0.5)
    above = checked(1.1 * lowest, 0.01)
    assert above.failed and above.statistic == pytest.approx(1.0)
    assert f"the lowest loss of the runs, {lowest:.4g}" in above.sentence.replace("0,", ",")
    assert "same unit" in above.sentence


def draws_with(floor: float, sd: float, fit: bs.Fit) -> bs.Fit:
    """Return a fit with other draws of the floor."""
    rng = np.random.default_rng(3)
    shape = fit.posterior["E"].shape
    logs = np.log(floor) + sd * rng.standard_normal(shape)
    posterior = fit.posterior.assign(E=xr.DataArray(np.exp(logs), dims=("chain", "draw")))
    return replace(fit, _posterior=posterior)


def test_the_posterior_of_a_floor_as_a_prior(fit):
    made = draws_with(1.5, 0.03, fit)
    logs = np.log(made.posterior["E"].to_numpy())
    prior = made.floor_prior()
    assert np.log(prior.median) == pytest.approx(logs.mean())
    assert prior.log_sd == pytest.approx(logs.std())
    assert prior.why == "the posterior of chinchilla on chinchilla"
    wider = made.floor_prior(widen=3.0, why="another tokeniser")
    assert wider.log_sd == pytest.approx(3.0 * prior.log_sd)
    assert wider.median == prior.median and wider.why == "another tokeniser"
    assert "3 times as wide" in made.floor_prior(widen=3.0).why
    assert replace(load_model("coupled"), floor=prior).stated_priors["E"] == prior
    for widen in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="widen: found"):
            made.floor_prior(widen=widen)


def test_a_law_without_a_floor_has_no_prior_for_others(law_fits):
    with pytest.raises(UnsuitableLawError, match="floor_prior: found a fit of kaplan-nd"):
        law_fits["kaplan-nd"].floor_prior()


def test_the_unit_of_a_floor_is_said_if_losses_are_converted(chinchilla_runs):
    """A floor of losses in bits is a third lower in nats, in which they are fitted."""
    table = chinchilla_runs.table.assign(loss=chinchilla_runs.loss / np.log(2.0))
    stated = replace(MODEL, floor=NEAR)
    runs = bs.load_runs(table, units={"loss": "bits/token"})
    (check,) = [check for check in design_checks(stated, runs) if check.name == "floor"]
    assert check.status == "remark"
    assert "is in nats/token, as loss is after its conversion from bits/token" in check.sentence
    as_given = bs.load_runs(chinchilla_runs.table)
    assert "floor" not in {check.name for check in design_checks(stated, as_given)}


def test_checks_and_report_know_of_a_stated_floor(fit):
    """The floor is compared with the stated prior, and the level with none."""
    stated = replace(fit, model=replace(fit.model, floor=NEAR))
    conflict = check_priors(draws_with(2.1, 0.001, stated))
    assert conflict.status == "remark" and "The posterior median of E" in conflict.sentence
    assert check_priors(draws_with(1.71, 0.001, stated)).status == "passed"
    said = " ".join(caveat.sentence for caveat in caveats_of(stated, None))
    assert f"The floor E is stated, as {NEAR} ({WHY})" in said
    assert "is stated" not in " ".join(caveat.sentence for caveat in caveats_of(fit, None))


@pytest.mark.slow
def test_a_stated_floor_is_ranked_uniformly():
    size = np.geomspace(1e8, 1e10, 5)
    design = pd.DataFrame(
        [(n, n * ratio) for n in size for ratio in (5.0, 20.0, 80.0)],
        columns=["n_params", "n_tokens"],
    )
    found = bs.sbc(replace(MODEL, floor=NEAR), design, n=24, seed=1, progress=False)
    assert "E" in found.ranks.columns
    assert found.ok(), str(found)


@pytest.mark.slow
def test_a_floor_that_the_runs_contradict_is_warned_of(chinchilla_runs):
    above = replace(MODEL, floor=bs.LogNormal(median=9.0, log_sd=0.01, why=WHY))
    with pytest.warns(BayescaleWarning, match="is above the lowest loss of the runs"):
        found = bs.fit(chinchilla_runs, above, draws=50, tune=200, seed=1, progress=False)
    assert not found.diagnostics.ok
