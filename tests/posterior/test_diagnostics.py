import math

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter

from bayescale._progress import Stages
from bayescale.inference.adaptive import LONGEST, Sampled, enough_draws
from bayescale.inference.base import Settings
from bayescale.model.checks import Check
from bayescale.posterior.diagnostics import (
    ESS,
    R_HAT,
    Diagnostics,
    diagnose_quantities,
    diagnose_sampling,
    gate,
    greatest_r_hat,
    measured,
    samples_beyond_chance,
)


def of_x(values: np.ndarray) -> xr.Dataset:
    return xr.Dataset({"x": (("chain", "draw"), values)})


def correlated(shape: tuple[int, ...], correlation: float) -> np.ndarray:
    """Return stationary chains along the second axis, with this lag-one autocorrelation."""
    noise = np.random.default_rng(2).standard_normal(shape)
    for i in range(1, shape[1]):
        noise[:, i] = correlation * noise[:, i - 1] + np.sqrt(1 - correlation**2) * noise[:, i]
    return noise


def chains(shift: float = 0.0, correlation: float = 0.0) -> xr.Dataset:
    noise = correlated((4, 1000), correlation)
    noise[3] += shift
    return xr.Dataset({"x": (("chain", "draw"), noise)})


def stats(diverging: int = 0, deep: int = 0, drift: float = 0.0) -> xr.Dataset:
    rng = np.random.default_rng(3)
    flags = np.zeros((2, 4000), dtype=bool)
    flags[0, :diverging] = True
    depth = np.zeros((2, 4000), dtype=bool)
    depth[1, :deep] = True
    energy = rng.standard_normal((2, 4000))
    energy[1] += drift * np.arange(4000)
    dims = ("chain", "draw")
    return xr.Dataset(
        {"diverging": (dims, flags), "maxdepth_reached": (dims, depth), "energy": (dims, energy)}
    )


def test_independent_draws_pass():
    found = diagnose_quantities(chains())
    assert found.ok
    assert found.status.startswith("All gates passed: R-hat at most 1.00")
    assert [check.status for check in diagnose_sampling(stats())] == ["passed"] * 3


def test_a_chain_elsewhere_fails_r_hat():
    found = diagnose_quantities(chains(shift=1.0))
    assert not found.ok
    assert "R-hat of x is 1." in found.status


@pytest.mark.parametrize(("draws", "correlation"), [(250, 0.0), (250, 0.45), (1000, 0.8)])
def test_short_chains_that_agree_seldom_fail_by_chance(draws, correlation):
    names = ("chain", "draw", "quantity")
    many = xr.Dataset({"x": (names, correlated((4, draws, 600), correlation))})
    many = many.assign_coords(quantity=np.arange(600))
    found = diagnose_quantities(many, by_chance=True)
    assert sum(message.startswith("R-hat") for message in found.failures) <= 3
    # Without `by_chance` the gate fails many of the autocorrelated quantities.
    above = int((found.table["r_hat"] >= R_HAT).sum())
    assert correlation == 0 or above > 60
    strict = diagnose_quantities(many)
    assert sum(message.startswith("R-hat") for message in strict.failures) == above
    assert not strict.remarks
    # A remark says that the limit of chance was used.
    if above > 3:
        assert f"above {R_HAT}, and passes as chance" in found.remarks[0]


def alike_or_not(shift: float, seed: int, draws: int, correlation: float) -> np.ndarray:
    """Return four chains of one quantity, the last of them off by `shift` standard deviations."""
    found = lfilter(
        [np.sqrt(1 - correlation**2)],
        [1.0, -correlation],
        np.random.default_rng([seed, draws]).standard_normal((4, draws + 100)),
    )[:, 100:]
    found[3] += shift
    return found


def sampled_until_enough(
    monkeypatch,
    shift: float,
    seed: int,
    settings: Settings,
    correlation: float,
    calm: float = 0.0,
) -> tuple[Sampled, int]:
    """Return the result of `enough_draws` for such chains, and the total number of draws per chain.

    One draw in a hundred diverges where the target acceptance rate is below `calm`.
    """
    asked = []

    def draw(model, compiled, design, settings, *others):
        asked.append(settings.draws)
        chains = {"x": alike_or_not(shift, seed, settings.draws, correlation)}
        diverging = np.zeros(chains["x"].shape, dtype=bool)
        diverging[:, ::100] = settings.target_accept < calm
        return chains, xr.Dataset({"diverging": (("chain", "draw"), diverging)}), None

    monkeypatch.setattr("bayescale.inference.adaptive.draw_posterior", draw)
    monkeypatch.setattr(
        "bayescale.inference.adaptive.parameters_from_draws", lambda *parts: parts[-1]
    )
    found = enough_draws(
        None, None, None, settings, Stages(), to_gate=lambda found: of_x(found["x"])
    )
    return found, sum(asked)


@pytest.mark.parametrize(("draws", "correlation"), [(250, 0.0), (250, 0.45), (1000, 0.6)])
def test_a_chain_off_by_less_than_half_a_standard_deviation_is_found(
    monkeypatch, draws, correlation
):
    """Of 60 fits of one quantity, count those that pass by chance at once and after more draws."""
    settings = Settings(draws=draws, tune=10, chains=4, cores=1, seed=1)
    at_once = passed = good = 0
    cost = []
    for seed in range(60):
        table = measured(of_x(alike_or_not(0.4, seed, draws, correlation)))
        # At once: the limit of chance at the effective sample size of chains that differ.
        at_once += bool((table["r_hat"] < greatest_r_hat(table["ess_tail"], 4)).all())
        off, _ = sampled_until_enough(monkeypatch, 0.4, seed, settings, correlation)
        passed += not gate(off.table, 4, by_chance=off.factor == LONGEST)
        alike, made = sampled_until_enough(monkeypatch, 0.0, seed, settings, correlation)
        good += not gate(alike.table, 4, by_chance=alike.factor == LONGEST)
        cost.append(made / draws)
    # At once, half of them pass; after more draws about one in ten, with a binomial error of 4 %.
    assert draws == 1000 or at_once > 18
    assert passed < 18
    assert good >= 58
    # Chains that agree need twice the draws if 250 are requested, and rarely more than at first.
    at_first = math.ceil(samples_beyond_chance(4) / (0.75 * 4 * draws))
    assert at_first == (2 if draws == 250 else 1)
    assert np.median(cost) == at_first
    assert np.mean(cost) < at_first + 0.5


def test_after_divergences_steps_are_smaller(monkeypatch):
    settings = Settings(draws=1000, tune=10, chains=4, cores=1, seed=1, target_accept=0.9)
    drawn = {
        calm: sampled_until_enough(monkeypatch, 0.0, 1, settings, 0.0, calm)
        for calm in (0.0, 0.95, 0.98, 1.0)
    }
    targets = {calm: found.target_accept for calm, (found, _) in drawn.items()}
    assert targets == {0.0: 0.9, 0.95: 0.96, 0.98: 0.984, 1.0: 0.984}
    # The longest attempt is the last one, even if it has divergences.
    assert [made for _, made in drawn.values()] == [1000, 3000, 19000, 19000]
    found, _ = drawn[0.95]
    assert found.settings == {"target_accept": 0.96, "kept_one_draw_in": 2}


def test_the_limit_of_r_hat_is_the_gate_where_samples_are_many():
    assert greatest_r_hat(2000.0, 4) == R_HAT
    assert R_HAT < greatest_r_hat(1000.0, 4) < greatest_r_hat(ESS, 4) < 1.035
    assert greatest_r_hat(10.0, 4) == greatest_r_hat(ESS, 4)
    assert np.isnan(greatest_r_hat(np.nan, 4))


def test_measures_are_those_of_arviz():
    import arviz_stats as azs

    draws = chains(correlation=0.5).assign(y=np.square(chains()["x"]))
    table = diagnose_quantities(draws).table
    for name in ("x", "y"):
        tail = azs.ess(draws, method="tail", prob=(0.05, 0.95))[name]
        expected = [azs.rhat(draws)[name], azs.ess(draws, method="bulk")[name], tail]
        np.testing.assert_allclose(table.loc[name].iloc[:3], expected, rtol=1e-12)


def test_sticky_chains_fail_effective_samples():
    found = diagnose_quantities(chains(correlation=0.98))
    assert any(message.startswith("Effective samples of x:") for message in found.failures)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_draws_that_are_not_numbers_or_never_move_fail(value):
    draws = chains()
    draws["x"] = draws["x"] * 0 + value
    with np.errstate(invalid="ignore"):
        assert not diagnose_quantities(draws).ok


def said(status: str, **found) -> list[str]:
    """Return the messages of the checks of sampling with one status."""
    return [c.sentence for c in diagnose_sampling(stats(**found)) if c.status == status]


def test_sampling_gates():
    assert said("failed", diverging=3) == []
    assert said("remark", diverging=3) == ["3 of 8000 draws diverged."]
    assert said("failed", diverging=9) == ["9 of 8000 draws diverged."]
    assert said("failed", deep=1) == ["1 of 8000 draws reached the greatest tree depth."]
    (energy,) = said("failed", drift=0.01)
    assert energy.startswith("E-BFMI is 0.0")


def test_e_bfmi_is_the_ratio_that_betancourt_defines():
    """Squared steps of the energy over its squared deviations, in the worst chain (arXiv:1604.00695)."""
    energy = np.random.default_rng(4).normal(size=(3, 50)).cumsum(axis=1)
    steps = (np.diff(energy, axis=1) ** 2).sum(axis=1)
    deviations = ((energy - energy.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    flags = xr.zeros_like(xr.DataArray(energy, dims=("chain", "draw")), dtype=bool)
    found = xr.Dataset(
        {"diverging": flags, "maxdepth_reached": flags, "energy": (("chain", "draw"), energy)}
    )
    (check,) = (c for c in diagnose_sampling(found) if c.name == "energy")
    assert check.statistic == pytest.approx((steps / deviations).min(), rel=1e-12)


def test_statuses_derive_from_checks():
    good, odd, bad = (
        Check(name=name, status=name, statistic=1.0, sentence=f"This {name}.")
        for name in ("passed", "remark", "failed")
    )
    table = diagnose_quantities(chains()).table
    found = Diagnostics(table, (good, odd, bad))
    assert not found.ok
    assert (found.failures, found.remarks) == (("This failed.",), ("This remark.",))
    assert found.status.endswith("This failed. This remark.")
    assert Diagnostics(table, (good, odd)).ok
    assert Diagnostics(table, (good, odd)).status.endswith("This remark.")
    assert [check["name"] for check in found.records] == ["passed", "remark", "failed"]


def test_each_element_of_a_variable_is_gated_by_name():
    draws = chains()["x"] + xr.DataArray([0.0, 1.0], dims="budget", coords={"budget": [1e21, 1e24]})
    found = diagnose_quantities(draws.to_dataset(name="y"))
    assert list(found.table.index) == ["y[1e+21]", "y[1e+24]"]
