"""Checks that every law must pass, for authors of user-defined laws."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayescale.laws import Law
from bayescale.laws import law as find_law

_RTOL = 1e-9


def check_law(
    law: Law | str,
    parameters: Mapping[str, float],
    *,
    reference: Mapping[str, float] | None = None,
) -> None:
    """Raise AssertionError, with the reason, unless a law satisfies the contract of laws.

    At the given parameters, it checks that: the metadata are complete; the formula gives the same
    numbers on floats, NumPy arrays, xarray draws and PyTensor graphs, broadcasts by name, and has
    a finite gradient; the reference parametrisation round-trips, has the level of the response as
    a coordinate, and does not depend on the reference point; the response rises or falls in each
    input as declared; and, for a law of size and tokens with a closed-form optimum, that optimum
    minimises the loss on the budget.

    Parameters
    ----------
    law
        A law or its name.
    parameters
        Typical natural parameters.
    reference
        Typical inputs around which the law is evaluated; one billion each unless given.

    Examples
    --------
    >>> import bayescale as bs
    >>> from bayescale.testing import check_law
    >>> check_law("chinchilla", bs.published("besiroglu2024").parameters)
    """
    law = find_law(law) if isinstance(law, str) else law
    centre = dict(reference) if reference else dict.fromkeys(law.inputs, 1e9)
    centre |= {name: centre[other] for name, other in law.same_scale.items()}
    centre |= law.fixed_reference
    law.check_parameters(parameters)
    assert set(centre) == set(law.inputs), f"reference: expected {law.inputs}, found {centre}"
    _check_facts(law)
    _check_one_formula(law, parameters, centre)
    _check_gradient(law, parameters, centre)
    if law.scale_free:
        _check_reference(law, parameters, centre)
    if law.monotone:
        _check_directions(law, parameters, centre)
    if law.takes_size_and_tokens:
        _check_optimum(law, parameters, centre)


def _check_facts(law: Law) -> None:
    for attribute in ("name", "title", "latex", "sources", "inputs", "parameters", "coordinates"):
        assert getattr(law, attribute), f"{attribute} is empty"
    for exponent, elasticities in law.shares.items():
        assert {exponent, *elasticities} <= set(law.coordinates), f"shares: {exponent}"
    if law.scale_free:
        assert law.level in law.coordinates, f"there is no coordinate {law.level}"
    for name, parameter in {**law.parameters, **law.coordinates}.items():
        assert parameter.meaning, f"{name} has no meaning"
        assert parameter.symbol, f"{name} has no symbol"


def _around(centre: Mapping[str, float], points: int = 5) -> dict[str, Any]:
    steps = np.linspace(-1.5, 1.5, points)
    # A different order for each input, so that swapped inputs are detected.
    return {
        name: np.log(value) + np.roll(steps, i) for i, (name, value) in enumerate(centre.items())
    }


def _check_one_formula(
    law: Law, parameters: Mapping[str, float], centre: Mapping[str, float]
) -> None:
    import pytensor.tensor as pt
    import xarray as xr

    arrays = _around(centre)
    expected = np.array(
        [
            law.formula({name: float(v[i]) for name, v in arrays.items()}, parameters)
            for i in range(5)
        ]
    )
    assert np.all(np.isfinite(expected)), f"the formula gives {expected}"
    _same("NumPy arrays", law.formula(arrays, parameters), expected)
    draws = {
        name: xr.DataArray(np.full((2, 3), value), dims=("chain", "draw"))
        for name, value in parameters.items()
    }
    labelled = {name: xr.DataArray(values, dims="plan") for name, values in arrays.items()}
    predicted = law.formula(labelled, draws)
    sizes = {"chain": 2, "draw": 3, "plan": 5}
    assert dict(predicted.sizes) == sizes, f"xarray draws: found {predicted.sizes}"
    _same("xarray draws", predicted.isel(chain=1, draw=2), expected)
    graph = law.formula({n: pt.constant(v) for n, v in arrays.items()}, _constants(parameters))
    _same("PyTensor", graph.eval(), expected)


def _check_gradient(law: Law, parameters: Mapping[str, float], centre: Mapping[str, float]) -> None:
    import pytensor.tensor as pt
    from pytensor.gradient import grad

    symbols: dict[str, Any] = {name: pt.dscalar(name) for name in parameters}
    inputs = {name: pt.constant(values) for name, values in _around(centre).items()}
    total = law.formula(inputs, symbols).sum()
    slopes: Any = grad(total, list(symbols.values()))
    values = {symbols[name]: value for name, value in parameters.items()}
    for name, slope in zip(symbols, slopes, strict=True):
        found = slope.eval(values, on_unused_input="ignore")
        assert np.isfinite(found), f"the gradient in {name} is {found}"


def _check_reference(
    law: Law, parameters: Mapping[str, float], centre: Mapping[str, float]
) -> None:
    coordinates = law.to_reference(parameters, centre)
    assert set(coordinates) == set(law.coordinates), f"coordinates: found {set(coordinates)}"
    back = law.from_reference(coordinates, centre)
    assert set(back) == set(law.parameters), f"parameters: found {set(back)}"
    for name, value in parameters.items():
        _same(f"{name}, there and back", back[name], value)
    at_centre = {name: np.log(value) for name, value in centre.items()}
    _same("the level at the reference", law.formula(at_centre, back), coordinates[law.level])
    moved = {name: 1.7 * value for name, value in centre.items()} | dict(law.fixed_reference)
    again = law.from_reference(law.to_reference(parameters, moved), moved)
    arrays = _around(centre)
    expected = law.formula(arrays, parameters)
    _same("another reference", law.formula(arrays, again), expected)
    centred = law.from_reference(coordinates, law.unit_reference)
    shifted = {name: values - np.log(centre[name]) for name, values in arrays.items()}
    _same("centred inputs", law.formula(shifted, centred), expected)


def _check_directions(
    law: Law, parameters: Mapping[str, float], centre: Mapping[str, float]
) -> None:
    at = {name: np.log(value) for name, value in centre.items()}
    for name in law.inputs:
        response = law.formula(at | {name: at[name] + np.linspace(-1.5, 1.5, 31)}, parameters)
        word, sign = ("rise", 1.0) if name in law.rises_in else ("fall", -1.0)
        # Weakly monotone: unique tokens beyond those processed have no effect.
        steps = sign * np.diff(response)
        assert np.all(steps > -_RTOL * np.abs(response[:-1])), (
            f"the response does not {word} in {name} everywhere"
        )
        assert steps.sum() > 0, f"the response does not depend on {name}"


def _check_optimum(law: Law, parameters: Mapping[str, float], centre: Mapping[str, float]) -> None:
    from bayescale.errors import NoClosedFormError

    log_product = float(np.log(centre["n_params"] * centre["n_tokens"]))
    try:
        log_n = law.optimal_log_params(parameters, log_product)
    except NoClosedFormError:
        return
    around = log_n + np.array([0.0, -0.3, -0.03, 0.03, 0.3])
    loss = law.formula({"n_params": around, "n_tokens": log_product - around}, parameters)
    assert np.all(loss[0] <= loss[1:]), f"the optimum is not the least loss: {loss}"
    exponents = law.derived(parameters)
    if "a" in exponents:
        slope = law.optimal_log_params(parameters, log_product + 1.0) - log_n
        _same("a, the slope of the optimum", exponents["a"], slope)
        _same("a + b", exponents["a"] + exponents["b"], 1.0)


def _constants(parameters: Mapping[str, float]) -> dict[str, Any]:
    import pytensor.tensor as pt

    # PyTensor would store a float as single precision if that is exact.
    return {name: pt.constant(np.float64(value)) for name, value in parameters.items()}


def _same(what: str, found: Any, expected: Any) -> None:
    np.testing.assert_allclose(
        np.asarray(found), np.asarray(expected), rtol=_RTOL, err_msg=what, strict=False
    )
