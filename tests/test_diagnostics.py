import numpy as np
import pytest
import xarray as xr

from bayescale.diagnostics import diagnose_quantities, diagnose_sampling


def chains(shift: float = 0.0, correlation: float = 0.0) -> xr.Dataset:
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((4, 1000))
    for i in range(1, 1000):
        noise[:, i] = correlation * noise[:, i - 1] + np.sqrt(1 - correlation**2) * noise[:, i]
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
    assert diagnose_sampling(stats()) == ((), ())


def test_a_chain_elsewhere_fails_r_hat():
    found = diagnose_quantities(chains(shift=1.0))
    assert not found.ok
    assert "R-hat of x is 1." in found.status


def test_sticky_chains_fail_effective_samples():
    found = diagnose_quantities(chains(correlation=0.98))
    assert any(message.startswith("Effective samples of x:") for message in found.failures)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_draws_that_are_not_numbers_or_never_move_fail(value):
    draws = chains()
    draws["x"] = draws["x"] * 0 + value
    with np.errstate(invalid="ignore"):
        assert not diagnose_quantities(draws).ok


def test_sampling_gates():
    assert diagnose_sampling(stats(diverging=3)) == ((), ("3 of 8000 draws diverged.",))
    failures, _ = diagnose_sampling(stats(diverging=9))
    assert failures == ("9 of 8000 draws diverged.",)
    failures, _ = diagnose_sampling(stats(deep=1))
    assert failures == ("1 of 8000 draws reached the greatest tree depth.",)
    failures, _ = diagnose_sampling(stats(drift=0.01))
    assert failures[0].startswith("E-BFMI is 0.0")


def test_each_element_of_a_variable_is_gated_by_name():
    draws = chains()["x"] + xr.DataArray(
        [0.0, 1.0], dims="compute", coords={"compute": [1e21, 1e24]}
    )
    found = diagnose_quantities(draws.to_dataset(name="y"))
    assert list(found.table.index) == ["y[1e+21]", "y[1e+24]"]
