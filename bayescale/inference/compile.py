"""Compile the log density of a PyMC model: to machine code, or to a JAX function.

`nutpie.compile_pymc_model` wraps the log density generically, and compiling its wrappers takes
most of the start-up time. Here the data are one matrix and only the unconstrained position is
stored, so the wrappers are a few lines and compile in a fraction of that time.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bayescale.backend.unconstrained import slices_of
from bayescale.inference.compile_cache import Density
from bayescale.inference.kernel import one_function
from bayescale.inference.native import Code, inner_function
from bayescale.inference.preconditioner import Frame

if TYPE_CHECKING:
    import pymc as pm


def compile_logp(built: "pm.Model", start: Mapping[str, ArrayLike], data_name: str) -> Density:
    """Compile the log density of a PyMC model whose only data is one matrix of floats.

    Parameters
    ----------
    built
        The PyMC model.
    start
        Unconstrained starting value of each free variable, by variable name.
    data_name
        Name of the `pymc.Data` container.
    """
    import numba
    import pytensor.tensor as pt
    from numba import types
    from pytensor.configdefaults import config
    from pytensor.graph.replace import clone_replace

    values = _values_of(built)
    position, entries = _entries_of_position(values, start)
    n, rows = int(position.type.shape[0]), int(built[data_name].get_value().shape[0])
    data = pt.matrix(data_name, shape=(rows, None))
    outputs = clone_replace(_with_gradient(built, values), {**entries, built[data_name]: data})
    # With fastmath, sums are reordered and fused depending on the processor. Without it results
    # are reproducible to the last digit, and so is every draw, at no measurable cost.
    with config.change_flags(numba__fastmath=False):
        evaluate = one_function([position, data], outputs)
    scalars = sum(not np.shape(start[name]) for name in values)
    head = 1 + Frame.room(n, scalars)

    pointer = types.CPointer(types.double)

    # Loops instead of slices or matrix products, which take Numba seconds to compile.
    @numba.njit
    def place(position, facts):  # type: ignore[no-untyped-def]
        x = np.empty(n)
        for i in range(n):
            x[i] = facts[1 + i]
            if i >= scalars:
                x[i] += position[i]
        for i in range(scalars):
            for j in range(scalars):
                x[i] += facts[1 + n + i * scalars + j] * position[j]
        return x

    @numba.cfunc(types.int64(types.uint64, pointer, pointer, pointer, types.voidptr))
    def logp(dim, position, gradient, value, packed):  # type: ignore[no-untyped-def]
        columns = int(numba.carray(packed, (1,), np.float64)[0])
        facts = numba.carray(packed, (head + rows * columns,), np.float64)
        result, slope = evaluate(place(position, facts), facts[head:].reshape((rows, columns)))
        value[0] = result
        finite = np.isfinite(value[0])
        for i in range(n):
            gradient[i] = slope[i] if i >= scalars else 0.0
            finite = finite and np.isfinite(slope[i])
        for i in range(scalars):
            for j in range(scalars):
                gradient[j] += facts[1 + n + i * scalars + j] * slope[i]
        return 0 if finite else 3

    @numba.cfunc(types.int64(types.uint64, types.uint64, pointer, pointer, types.voidptr))
    def expand(dim, n_out, position, out, packed):  # type: ignore[no-untyped-def]
        x = place(position, numba.carray(packed, (head,), np.float64))
        for i in range(n):
            out[i] = x[i]
        return 0

    return Density(tuple(values), Code.of(logp), Code.of(expand))


def compile_function(
    built: "pm.Model", start: Mapping[str, ArrayLike], data_name: str
) -> tuple[tuple[str, ...], Any]:
    """Compile the log density of such a model to a function of Python, by public names alone.

    Parameters
    ----------
    built, start, data_name
        As for `compile_logp`.

    Returns
    -------
    order
        The variables in the order of the position vector.
    function
        Function of a position and the matrix, which returns the log density and its gradient.
    """
    import pytensor.tensor as pt
    from pymc.pytensorf import compile as compile_graph
    from pytensor.configdefaults import config
    from pytensor.graph.replace import clone_replace

    values = _values_of(built)
    position, entries = _entries_of_position(values, start)
    data = pt.matrix(data_name, shape=(built[data_name].get_value().shape[0], None))
    outputs = clone_replace(_with_gradient(built, values), {**entries, built[data_name]: data})
    with built, config.change_flags(numba__fastmath=False):
        return tuple(values), compile_graph([position, data], outputs, mode="NUMBA")


def lower_logp(
    built: "pm.Model", start: Mapping[str, ArrayLike], data_name: str
) -> tuple[tuple[str, ...], Callable[[Any, Any], Any]]:
    """Return the log density of such a model as a function that JAX can trace.

    Parameters
    ----------
    built, start, data_name
        As for `compile_logp`.

    Returns
    -------
    order
        The variables in the order of the position vector.
    log_density
        Function of a position and the matrix, in 64 bits.
    """
    import jax
    import pytensor.tensor as pt
    from pymc.pytensorf import compile as compile_graph
    from pytensor.graph.replace import clone_replace

    from bayescale.backend import conditional, filtering

    values = _values_of(built)
    position, entries = _entries_of_position(values, start)
    data = pt.matrix(data_name, shape=(built[data_name].get_value().shape[0], None))
    outputs = clone_replace([built.logp()], {**entries, built[data_name]: data})
    found = jax.config.jax_enable_x64
    filtering.register_in_jax()
    conditional.register_in_jax()
    # Constants must be 64-bit, whatever precision the rest of the process uses.
    with built, jax.enable_x64(True):
        function = compile_graph([position, data], outputs, mode="JAX")
    # PyTensor's JAX backend enables 64 bits for the whole process on import; restore the setting.
    jax.config.update("jax_enable_x64", found)
    evaluate = inner_function(function)
    return tuple(values), lambda x, matrix: evaluate(x, matrix)[0]


def _with_gradient(built: "pm.Model", values: Mapping[str, Any]) -> list[Any]:
    """Return the log density and its gradient, as one vector in the order of the variables."""
    import pytensor.tensor as pt
    from pytensor.gradient import grad

    log_density = built.logp()
    slopes: Any = grad(log_density, list(values.values()))
    return [log_density, pt.concatenate([slope.ravel() for slope in slopes])]  # type: ignore[no-untyped-call]


def _values_of(built: "pm.Model") -> dict[str, Any]:
    """Return the unconstrained variable of each free variable by name, scalars first."""
    in_order = sorted(built.free_RVs, key=lambda variable: bool(variable.ndim))
    return {str(v.name): built.rvs_to_values[v] for v in in_order}


def _entries_of_position(
    values: Mapping[str, Any], start: Mapping[str, ArrayLike]
) -> tuple[Any, dict[Any, Any]]:
    """Return a vector of all variables, and each variable as an expression of it."""
    import pytensor.tensor as pt

    shapes = {name: np.shape(start[name]) for name in values}
    slices = slices_of(shapes)
    position = pt.vector("position", shape=(slices[-1].stop,))
    entries = {
        value: position[part].reshape(shape) if shape else position[part.start]
        for value, shape, part in zip(values.values(), shapes.values(), slices, strict=True)
    }
    return position, entries
