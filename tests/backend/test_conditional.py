"""Gaussian coordinates conditional on the runs: the operation, its gradient and distribution."""

import numpy as np
import pytest

from bayescale.backend.conditional import conditional, conditional_in_graph


@pytest.fixture
def inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    effects = rng.normal(size=(6, 15))
    factor = np.zeros((6, 15))
    factor[:, :6] = np.linalg.qr(effects.T, mode="r").T
    return {
        "scale": np.exp(rng.normal(size=6)),
        "score": effects @ rng.normal(size=15),
        "steps": rng.normal(size=6),
        "factor": factor,
        "effects": effects,
    }


def called(inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    return tuple(inputs[name] for name in ("scale", "score", "steps", "factor"))


def in_graph(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    import pytensor.tensor as pt

    found = conditional_in_graph(*map(pt.as_tensor, called(inputs)))
    return [np.asarray(x.eval(mode="FAST_COMPILE")) for x in found]


def test_operation_and_arrays_agree(inputs):
    for one, other in zip(in_graph(inputs), conditional(*called(inputs)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    several = {name: np.stack([x, 2.0 * x]) for name, x in inputs.items() if x.ndim == 1}
    found, log_sharper = conditional(**several, factor=inputs["factor"])
    np.testing.assert_allclose(found[0], in_graph(inputs)[0], rtol=1e-12)
    assert log_sharper.shape == (2,)


def test_coordinates_are_of_the_conditional_normal(inputs):
    """Zero steps give the conditional mean, and unit steps span the covariance."""
    scaled = inputs["scale"][:, None] * inputs["effects"]
    precision = np.eye(6) + scaled @ scaled.T
    mean, half_log_determinant = conditional(*called(inputs | {"steps": np.zeros(6)}))
    np.testing.assert_allclose(
        mean, np.linalg.solve(precision, inputs["scale"] * inputs["score"]), rtol=1e-10
    )
    assert 2.0 * half_log_determinant == pytest.approx(np.linalg.slogdet(precision)[1])
    columns = np.array([conditional(*called(inputs | {"steps": e}))[0] - mean for e in np.eye(6)])
    np.testing.assert_allclose(columns.T @ columns, np.linalg.inv(precision), atol=1e-12)


def test_fewer_runs_than_coordinates(inputs):
    few = inputs["effects"][:, :3]
    padded = {**inputs, "factor": np.linalg.qr(few.T, mode="r").T}
    scaled = inputs["scale"][:, None] * few
    _, half_log_determinant = conditional(*called(padded))
    expected = np.linalg.slogdet(np.eye(6) + scaled @ scaled.T)[1]
    assert 2.0 * half_log_determinant == pytest.approx(expected)
    np.testing.assert_allclose(in_graph(padded)[1], half_log_determinant)


@pytest.mark.parametrize("name", ["scale", "score", "steps"])
def test_gradient(inputs, name):
    import pytensor
    import pytensor.tensor as pt

    variables = {n: pt.vector(n) for n in ("scale", "score", "steps")}
    found, log_sharper = conditional_in_graph(*variables.values(), pt.as_tensor(inputs["factor"]))
    weights = np.random.default_rng(2).normal(size=6)
    value = (found * weights).sum() + 1.3 * log_sharper
    at = {variables[n]: inputs[n] for n in variables}
    slope = pytensor.grad(value, variables[name]).eval(at, mode="FAST_COMPILE")

    def total(moved: np.ndarray) -> float:
        there, log = conditional(*called(inputs | {name: moved}))
        return float(there @ weights + 1.3 * log)

    nudges = 1e-6 * np.eye(6)
    middle = inputs[name]
    expected = [(total(middle + e) - total(middle - e)) / 2e-6 for e in nudges]
    np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-8)
