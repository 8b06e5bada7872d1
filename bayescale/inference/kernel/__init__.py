"""A graph as one function of loops, for Numba to compile.

PyTensor's linker makes a function of each operation of a graph. Numba takes tens of milliseconds
for each function, however short, so that compiling hundreds of them dominates the time of a first
fit. Here the operations that graphs of log densities mostly consist of (elementwise
ones, sums, slices, gathers) become statements and loops of a single function; for all others
PyTensor's own function is called. Results are the same to the last digit.

`elements` defines how the function refers to the elements of a variable; `body` holds the lines,
arrays and variables of the function; `elementwise` and `operations` write the operations.
"""

from collections.abc import Sequence
from typing import Any

from bayescale.inference.kernel.body import Body
from bayescale.inference.kernel.operations import write

_NOT_REWRITTEN = ("inplace", "fuse_elemwise", "scalarize", "local_greedy_distributor")
"""Rewrites of PyTensor that are left out: loops are fused here, nothing is overwritten, and
distributing products over sums takes two thirds of the time of all rewrites, for more statements
than without."""


def one_function(inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """Return a Numba function of the inputs of a graph that returns its outputs.

    Parameters
    ----------
    inputs, outputs
        Variables of PyTensor. The inputs, and what follows from them, are scalars and arrays.
    """
    import numba
    from pytensor.compile.mode import NUMBA
    from pytensor.graph.fg import FunctionGraph

    graph = FunctionGraph(list(inputs), list(outputs), clone=True)
    mode: Any = NUMBA
    mode.excluding(*_NOT_REWRITTEN).optimizer.rewrite(graph)
    source, scope = source_of(graph)
    # The source is written here, from operations alone; names of variables are not in it.
    exec(compile(source, "<kernel>", "exec"), scope)
    # As PyTensor compiles: dividing by zero gives infinity.
    return numba.njit(error_model="numpy")(scope["kernel"])


def source_of(graph: Any) -> tuple[str, dict[str, Any]]:
    """Return the source of the function ``kernel`` of a graph, and the names that it uses."""
    body = Body(graph)
    for node in graph.toposort():
        # Skip operations already written: a sum is accumulated in the loops over its terms.
        if not body.has_all(node.outputs):
            write(body, node)
    return body.function(), body.scope
