"""Gaussian coordinates conditional on the runs, as one PyTensor `Op` with its gradient.

In a graph of standard operations the Cholesky factor would be from LAPACK, whose last digits depend
on the processor.
"""

from typing import Any, override

import numpy as np
from numpy.typing import NDArray
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from bayescale.backend.filtering import compile_plainly


# Plain loops, compiled by Numba; they also run as ordinary Python.
def _forward(scale, score, steps, factor):  # type: ignore[no-untyped-def]
    """Return the outputs of `Conditional`."""
    size = len(scale)
    width = min(factor.shape[1], size)
    gram, lower = np.zeros((size, size)), np.zeros((size, size))
    half, found = np.zeros(size), np.zeros(size)
    log_sharper = 0.0
    for i in range(size):
        for j in range(i + 1):
            total = 0.0
            for k in range(min(j + 1, width)):
                total += factor[i, k] * factor[j, k]
            gram[i, j] = total
            total *= scale[i] * scale[j]
            if i == j:
                total += 1.0
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            lower[i, j] = np.sqrt(total) if i == j else total / lower[j, j]
        log_sharper += np.log(lower[i, i])
        rest = scale[i] * score[i]
        for k in range(i):
            rest -= lower[i, k] * half[k]
        half[i] = rest / lower[i, i]
    for i in range(size - 1, -1, -1):
        rest = half[i] + steps[i]
        for k in range(i + 1, size):
            rest -= lower[k, i] * found[k]
        found[i] = rest / lower[i, i]
    return found, np.asarray(log_sharper), gram, lower, half


def _backward(  # type: ignore[no-untyped-def]
    scale, score, steps, factor, found, log_sharper, gram, lower, half, of_found, of_log
):
    """Return the gradients with respect to scale, score and steps, by reverse accumulation."""
    size = len(scale)
    # found = lower.T^-1 (half + steps) and half = lower^-1 (scale score).
    of_steps, of_scaled = np.zeros(size), np.zeros(size)
    for i in range(size):
        rest = of_found[i]
        for k in range(i):
            rest -= lower[i, k] * of_steps[k]
        of_steps[i] = rest / lower[i, i]
    for i in range(size - 1, -1, -1):
        rest = of_steps[i]
        for k in range(i + 1, size):
            rest -= lower[k, i] * of_scaled[k]
        of_scaled[i] = rest / lower[i, i]
    of_lower = np.zeros((size, size))
    for i in range(size):
        for j in range(i + 1):
            of_lower[i, j] = -found[i] * of_steps[j] - of_scaled[i] * half[j]
        of_lower[i, i] += of_log / lower[i, i]
    # Reverse of the Cholesky factorisation, row by row (Murray 2016, arXiv:1602.07527); afterwards
    # `of_lower` is the gradient with respect to the lower triangle of the precision.
    for i in range(size - 1, -1, -1):
        for j in range(i, -1, -1):
            if i == j:
                of_lower[i, i] = 0.5 * of_lower[i, i] / lower[i, i]
            else:
                of_lower[i, j] = of_lower[i, j] / lower[j, j]
                of_lower[j, j] -= of_lower[i, j] * lower[i, j]
            for k in range(j):
                if i == j:
                    of_lower[i, k] -= 2.0 * of_lower[i, i] * lower[i, k]
                else:
                    of_lower[i, k] -= of_lower[i, j] * lower[j, k]
                    of_lower[j, k] -= of_lower[i, j] * lower[i, k]
    of_scale = of_scaled * score
    for i in range(size):
        for j in range(i + 1):
            part = of_lower[i, j] * gram[i, j]
            of_scale[i] += part * scale[j]
            of_scale[j] += part * scale[i]
    return of_scale, of_scaled * scale, of_steps


class Conditional(Op):
    """Standard normal coordinates conditional on the runs, from whitened steps.

    The inputs are, for each coordinate, its effect ``scale`` on the residuals in units of their
    standard deviation, the ``score`` of the residuals for a unit effect, and the whitened
    ``steps``; and a lower triangular ``factor`` of the Gram matrix of the effects, padded with
    columns of zeros.
    The first two outputs are the coordinates and half the log determinant of their precision. The
    others are for the gradient: the Gram matrix and the Cholesky factor of the precision, in their
    lower triangles, and the solution of the first triangular system.
    """

    __props__ = ()

    @override
    def make_node(self, *inputs: Any) -> Any:
        import pytensor.tensor as pt

        vector, matrix = pt.dvector, pt.dmatrix
        floats = [pt.cast(x, "float64") for x in inputs]
        return Apply(self, floats, [vector(), pt.dscalar(), matrix(), matrix(), vector()])

    @override
    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        for storage, found in zip(output_storage, _forward(*inputs), strict=True):  # type: ignore[no-untyped-call]
            storage[0] = found

    @override
    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        from pytensor.gradient import DisconnectedType

        given = [
            0.0 * out if isinstance(x.type, DisconnectedType) else x
            for x, out in zip(cotangents[:2], outputs[:2], strict=True)
        ]
        slopes: Any = ConditionalSlopes()(*inputs, *outputs, *given)
        return [*slopes, DisconnectedType()()]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """Return that only the first two outputs have a gradient, and the factor has none."""
        return [[True, True, False, False, False]] * 3 + [[False] * 5]


class ConditionalSlopes(Op):
    """The gradient of `Conditional`, from its inputs, its outputs, and the gradients of those."""

    __props__ = ()

    @override
    def make_node(self, *inputs: Any) -> Any:
        return Apply(self, list(inputs), [x.type() for x in inputs[:3]])

    @override
    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        for storage, found in zip(output_storage, _backward(*inputs), strict=True):  # type: ignore[no-untyped-call]
            storage[0] = found


compile_plainly(Conditional, _forward)
compile_plainly(ConditionalSlopes, _backward)


def conditional(
    scale: NDArray[np.float64],
    score: NDArray[np.float64],
    steps: NDArray[np.float64],
    factor: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coordinates and the log determinant, for draws with the coordinate last.

    Columns of the factor beyond its rows are padding.
    """
    factor = factor[:, : len(factor)]
    gram = factor @ factor.T
    precision = np.eye(len(factor)) + scale[..., :, None] * scale[..., None, :] * gram
    lower = np.linalg.cholesky(precision)
    half = np.linalg.solve(lower, (scale * score)[..., None])
    upper = np.swapaxes(lower, -1, -2)
    found = np.linalg.solve(upper, half + steps[..., None])[..., 0]
    return found, np.log(np.diagonal(lower, axis1=-2, axis2=-1)).sum(axis=-1)


def conditional_in_graph(*inputs: Any) -> tuple[Any, Any]:
    """Return the coordinates and the log determinant as variables of a graph."""
    coordinates, log_sharper, *_ = Conditional()(*inputs)  # type: ignore[misc]
    return coordinates, log_sharper


def register_in_jax() -> None:
    """Register the JAX implementation; called only where JAX is installed."""
    import jax
    from jax import numpy as jnp
    from jax.scipy.linalg import solve_triangular
    from pytensor.link.jax.dispatch.basic import jax_funcify

    def forward(scale: Any, score: Any, steps: Any, factor: Any) -> Any:
        precision = jnp.eye(len(scale)) + jnp.outer(scale, scale) * (factor @ factor.T)
        lower = jnp.linalg.cholesky(precision)
        half = solve_triangular(lower, scale * score, lower=True)
        found = solve_triangular(lower.T, half + steps, lower=False)
        return found, jnp.log(jnp.diag(lower)).sum(), factor @ factor.T, lower, half

    def slopes(*inputs: Any) -> Any:
        floats, factor, given = inputs[:3], inputs[3], inputs[-2:]

        def of_floats(scale: Any, score: Any, steps: Any) -> Any:
            return forward(scale, score, steps, factor)[:2]

        _, back = jax.vjp(of_floats, *floats)
        return back(tuple(given))

    jax_funcify.register(Conditional)(lambda op, **kwargs: forward)
    jax_funcify.register(ConditionalSlopes)(lambda op, **kwargs: slopes)
