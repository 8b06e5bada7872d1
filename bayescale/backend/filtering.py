"""A Kalman filter along rows as one PyTensor `Op`, with its gradient.

`pytensor.scan` has the same result at fifteen times the cost of a gradient and several times that
of compilation: a row takes a dozen scalar operations, which scan wraps in arrays.
"""

from hashlib import sha256
from typing import Any, override

import numpy as np
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch import basic


# Plain loops, compiled by Numba; they also run as ordinary Python.
def _forward(x, kept, fresh, shared, order, previous):  # type: ignore[no-untyped-def]
    """Return the conditional mean and variance of each row given the earlier ones."""
    count = len(x)
    own = 1.0 - shared
    means, variances = np.empty(count), np.empty(count)
    state_means, state_variances = np.zeros(count), np.zeros(count)
    for i in range(count):
        row = order[i]
        before = previous[row]
        means[row] = kept[row] * state_means[before]
        variances[row] = kept[row] ** 2 * state_variances[before] + shared * fresh[row] + own
        gain = 1.0 - own / variances[row]
        state_means[row] = means[row] + gain * (x[row] - means[row])
        state_variances[row] = gain * own
    return means, variances


def _backward(x, kept, fresh, shared, order, previous, means, variances, of_means, of_variances):  # type: ignore[no-untyped-def]
    """Return the gradients with respect to the four float inputs, by reverse accumulation."""
    count = len(x)
    own = 1.0 - shared
    of_x, of_kept, of_fresh = np.zeros(count), np.zeros(count), np.zeros(count)
    later_mean, later_variance = np.zeros(count), np.zeros(count)
    of_shared, of_own = 0.0, 0.0
    for i in range(count - 1, -1, -1):
        row = order[i]
        before = previous[row]
        gain = 1.0 - own / variances[row]
        of_gain = later_mean[row] * (x[row] - means[row]) + later_variance[row] * own
        of_x[row] = later_mean[row] * gain
        of_mean = of_means[row] + later_mean[row] * (1.0 - gain)
        of_own += later_variance[row] * gain - of_gain / variances[row]
        of_variance = of_variances[row] + of_gain * own / variances[row] ** 2
        of_own += of_variance
        of_shared += of_variance * fresh[row]
        of_fresh[row] = of_variance * shared
        if before != row:
            state = 1.0 - own / variances[before]
            state_mean = means[before] + state * (x[before] - means[before])
            of_kept[row] = of_mean * state_mean + 2.0 * of_variance * kept[row] * state * own
            later_mean[before] += of_mean * kept[row]
            later_variance[before] += of_variance * kept[row] ** 2
    return of_x, of_kept, of_fresh, np.asarray(of_shared - of_own)


class Filter(Op):
    """Conditional mean and variance of each row given the earlier ones, for `Correlated`."""

    __props__ = ()

    @override
    def make_node(self, *inputs: Any) -> Any:
        import pytensor.tensor as pt

        floats = [pt.cast(x, "float64") for x in inputs[:4]]
        rows = [pt.cast(x, "int64") for x in inputs[4:]]
        return Apply(self, [*floats, *rows], [floats[0].type(), floats[0].type()])

    @override
    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        for storage, found in zip(output_storage, _forward(*inputs), strict=True):  # type: ignore[no-untyped-call]
            storage[0] = found

    @override
    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        from pytensor.gradient import DisconnectedType

        given = [
            0.0 * out if isinstance(x.type, DisconnectedType) else x
            for x, out in zip(cotangents, outputs, strict=True)
        ]
        slopes: Any = FilterSlopes()(*inputs, *outputs, *given)
        return [*slopes, DisconnectedType()(), DisconnectedType()()]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """Return that the integer inputs are disconnected from the gradient."""
        return [[True, True]] * 4 + [[False, False]] * 2


class FilterSlopes(Op):
    """The gradient of `Filter`."""

    __props__ = ()

    @override
    def make_node(self, *inputs: Any) -> Any:
        return Apply(self, list(inputs), [x.type() for x in inputs[:4]])

    @override
    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        for storage, found in zip(output_storage, _backward(*inputs), strict=True):  # type: ignore[no-untyped-call]
            storage[0] = found


def compile_plainly(op: type[Op], function: Any) -> None:
    """Let Numba compile an operation from a function of plain loops."""
    # PyTensor caches machine code on disk by the name of the operation and this version.
    code = function.__code__
    parts = repr((code.co_code, code.co_consts, code.co_names)).encode()
    version = int.from_bytes(sha256(parts).digest()[:8])

    def funcify(op: Op, **kwargs: Any) -> Any:
        return basic.numba_njit(function), version

    basic.register_funcify_default_op_cache_key(op)(funcify)  # type: ignore[no-untyped-call]


compile_plainly(Filter, _forward)
compile_plainly(FilterSlopes, _backward)


def register_in_jax() -> None:
    """Register the JAX implementation; called only where JAX is installed."""
    import jax
    from pytensor.link.jax.dispatch.basic import jax_funcify

    def slopes(*inputs: Any) -> Any:
        floats, rows, given = inputs[:4], inputs[4:6], inputs[8:]
        _, back = jax.vjp(lambda *x: _scanned(*x, *rows), *floats)
        return back(tuple(given))

    jax_funcify.register(Filter)(lambda op, **kwargs: _scanned)
    jax_funcify.register(FilterSlopes)(lambda op, **kwargs: slopes)


def _scanned(x: Any, kept: Any, fresh: Any, shared: Any, order: Any, previous: Any) -> Any:
    import jax
    from jax import numpy as jnp

    own = 1.0 - shared

    def step(states: Any, row: Any) -> Any:
        means, variances = states
        before = previous[row]
        mean = kept[row] * means[before]
        variance = kept[row] ** 2 * variances[before] + shared * fresh[row] + own
        gain = 1.0 - own / variance
        means = means.at[row].set(mean + gain * (x[row] - mean))
        return (means, variances.at[row].set(gain * own)), (mean, variance)

    blank = jnp.zeros_like(x)
    _, (means, variances) = jax.lax.scan(step, (blank, blank), order)
    return blank.at[order].set(means), blank.at[order].set(variances)
