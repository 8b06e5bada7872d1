"""Functions of loops give the results of PyTensor, operation by operation."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

from bayescale.inference.kernel import one_function

RNG = np.random.default_rng(1)
VECTOR, MATRIX = RNG.uniform(0.5, 2.0, 4), RNG.uniform(0.5, 2.0, (3, 4))
CODES = np.array([2, 0, 2, 1])


def _cases(v, m, k):
    """Return expressions of a vector, a matrix with as many columns, and indices of its rows."""
    rows = m.sum(axis=1)
    return {
        "scalars": pt.exp(v[1]) * v[3] - pt.log1p(v[0]) / pt.sqrt(v[2]),
        "powers and functions": pt.sigmoid(v) + pt.gammaln(v) + v**1.7 + pt.erf(v) + pt.tanh(v),
        "choices": pt.switch(v > 1.0, pt.maximum(v, 1.5), -pt.expm1(v)),
        "a broadcast vector": m * v + v[None, :] / rows[:, None],
        "a broadcast scalar": m - v[0],
        "sums over either axis and both": [m.sum(axis=0), m.sum(axis=1), (m * v).sum()],
        "a sum that is also kept": [pt.exp(m), pt.exp(m).sum(axis=0)],
        "the largest": [m.max(), pt.logsumexp(m, axis=0)],
        "slices": [m[1], m[1:, 2], v[2:], v[::2], v[::-1]],
        "gathered": [rows[k], m[k], m[:, k], v[k] * rows[k]],
        "scattered": [
            pt.zeros(3)[k].inc(v),
            pt.full((3,), -1, dtype="int64")[k].set(pt.arange(v.shape[0])),
            pt.zeros((3, 4))[:, k].inc(m),
        ],
        "set in a slice": [v[1:3].inc(rows[:2]), m[0].set(v)],
        "joined": pt.concatenate([v, m.ravel(), rows, v[:1]]),
        "stacked": pt.stack([v[0], v[1], rows[0]]),
        "filled": pt.alloc(v[0], 3, v.shape[0]) * m,
        "constants": m * np.arange(12.0).reshape(3, 4) + np.array([np.inf, 1.0, -np.inf, 2.0]),
        "products of matrices": [m.dot(v), pt.linalg.cholesky(m.dot(m.T) + 3.0 * pt.eye(3))],
        "a gradient": pytensor.grad(
            pt.log1p(pt.exp(v[k][:3] - rows) ** 2).sum() + (m / v).sum(), [v, m]
        ),
        "nowhere": v[:0].sum(),
        "divided by zero": v / (v - v),
    }


@pytest.fixture(scope="module")
def results():
    """Return the results of all cases in one function, and those of PyTensor's own."""
    pytensor_vector, matrix, codes = pt.dvector("v"), pt.dmatrix("m"), pt.lvector("k")
    cases = _cases(pytensor_vector, matrix, codes)
    flat = {
        f"{name}, {i}": variable
        for name, case in cases.items()
        for i, variable in enumerate(case if isinstance(case, list) else [case])
    }
    inputs = [pytensor_vector, matrix, codes]
    theirs = pytensor.function(inputs, list(flat.values()), mode=Mode("py", None))
    ours = one_function(inputs, list(flat.values()))
    given = (VECTOR, MATRIX, CODES)
    with np.errstate(divide="ignore"):
        expected = theirs(*given)
    return dict(zip(flat, zip(ours(*given), expected, strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(_cases(pt.dvector(), pt.dmatrix(), pt.lvector())))
def test_results_are_those_of_pytensor(results, name):
    of_case = {key: pair for key, pair in results.items() if key.startswith(f"{name}, ")}
    assert of_case
    for found, expected in of_case.values():
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=0.0)


def test_tables_of_any_length_have_one_function():
    v, m = pt.dvector("v"), pt.matrix("m", shape=(3, None))
    function = one_function([v, m], [(m * v).sum(axis=0), m[1].sum()])
    for columns in (1, 2, 7):
        vector, matrix = np.arange(1.0, columns + 1.0), np.ones((3, columns))
        by_column, of_row = function(vector, matrix)
        np.testing.assert_array_equal(by_column, 3.0 * vector)
        assert of_row == columns
