"""From a PyMC model to machine code that a sampler can call.

`nutpie.compile_pymc_model` wraps the log density generically, and compiling its wrappers takes
most of the time of a start. All our data are one matrix and nothing but the unconstrained position
is stored, so the wrappers here are a few lines and compile in a fraction of that.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bayescale.compile_cache import Code, Density
from bayescale.sampler import slices_of

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
    from pymc.pytensorf import compile as compile_graph
    from pytensor.gradient import grad
    from pytensor.graph.replace import clone_replace

    values = {str(v.name): built.rvs_to_values[v] for v in built.free_RVs}
    shapes = {name: np.shape(start[name]) for name in values}
    slices = slices_of(shapes)
    log_density = built.logp()
    slopes: Any = grad(log_density, list(values.values()))
    gradient: Any = pt.concatenate([slope.ravel() for slope in slopes])  # type: ignore[no-untyped-call]
    position = pt.vector("position", shape=(slices[-1].stop,))
    entries = {
        value: position[part].reshape(shape) if shape else position[part.start]
        for value, shape, part in zip(values.values(), shapes.values(), slices, strict=True)
    }
    outputs = clone_replace([log_density, gradient], entries)
    with built:
        function = compile_graph([position], outputs, mode="NUMBA")
    shared = [variable.name for variable in function.get_shared()]
    if shared != [data_name]:
        raise ValueError(f"expected the data {data_name} alone, found {shared}")
    evaluate = function.vm.jit_fn
    n, rows = slices[-1].stop, int(built[data_name].get_value().shape[0])

    pointer = types.CPointer(types.double)

    @numba.cfunc(types.int64(types.uint64, pointer, pointer, pointer, types.voidptr))
    def logp(dim, position, gradient, value, packed):  # type: ignore[no-untyped-def]
        columns = int(numba.carray(packed, (1,), np.float64)[0])
        flat = numba.carray(packed, (1 + rows * columns,), np.float64)
        result, slope = evaluate(numba.carray(position, (n,)), flat[1:].reshape((rows, columns)))
        value[0] = result[()]
        finite = np.isfinite(value[0])
        # Loops, not slices: Numba spends seconds compiling the error branch of an assignment.
        for i in range(n):
            gradient[i] = slope[i]
            finite = finite and np.isfinite(slope[i])
        return 0 if finite else 3

    @numba.cfunc(types.int64(types.uint64, types.uint64, pointer, pointer, types.voidptr))
    def expand(dim, n_out, position, out, packed):  # type: ignore[no-untyped-def]
        for i in range(n):
            out[i] = position[i]
        return 0

    return Density(tuple(values), Code.of(logp), Code.of(expand))
