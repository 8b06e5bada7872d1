"""Elementwise operations and sums as loops over statements."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bayescale.inference.kernel.body import Body
from bayescale.inference.kernel.elements import Elements, literal

_STATEMENTS: dict[str, Callable[..., str]] = {
    "Add": lambda *x: " + ".join(x),
    "Mul": lambda *x: " * ".join(x),
    "Sub": lambda x, y: f"{x} - {y}",
    "TrueDiv": lambda x, y: f"{x} / {y}",
    "Reciprocal": lambda x: f"1.0 / {x}",
    "Neg": lambda x: f"-{x}",
    "Sqr": lambda x: f"{x} * {x}",
    "Identity": lambda x: x,
    "Second": lambda x, y: y,
    "Switch": lambda x, y, z: f"{y} if {x} else {z}",
    "Exp": lambda x: f"np.exp({x})",
    "Log": lambda x: f"np.log({x})",
    "Log1p": lambda x: f"np.log1p({x})",
    "Expm1": lambda x: f"np.expm1({x})",
    "Sqrt": lambda x: f"np.sqrt({x})",
    "Tanh": lambda x: f"np.tanh({x})",
    "Sigmoid": lambda x: f"1 / (1 + np.exp(-{x}))",
    "GammaLn": lambda x: f"math.lgamma({x})",
    "GT": lambda x, y: f"{x} > {y}",
    "GE": lambda x, y: f"{x} >= {y}",
    "LT": lambda x, y: f"{x} < {y}",
    "LE": lambda x, y: f"{x} <= {y}",
    "EQ": lambda x, y: f"{x} == {y}",
    "NEQ": lambda x, y: f"{x} != {y}",
}
"""Expressions of scalar operations, by the name of their class, with the meaning that PyTensor's
functions give them."""

_LONGEST = 200
"""Longest expression, in characters, that becomes part of another one: the parser of Python limits
nested parentheses."""

_CASTS = {"b": "bool", "i": "int", "u": "int", "f": "float"}


def write_elementwise(body: Body, node: Any) -> bool:
    """Write the loops of an elementwise operation, and in them the sums of its results."""
    inputs = [body[x] for x in node.inputs]
    lengths = [
        _length(body, node.outputs[0], axis, node.inputs) for axis in range(node.outputs[0].ndim)
    ]
    several, arrays, sums = any(n != "1" for n in lengths), {}, {}
    for out in node.outputs:
        clients = body.graph.clients[out]
        summed = [client for client, _ in clients if _is_sum(client)] if lengths else []
        sums[out] = [(client, _start_sum(body, client, lengths)) for client in summed]
        if several and len(summed) < len(clients):
            arrays[out] = body.new_elements(lengths, out.type.dtype)
    with body.loops(lengths if several else []) as places:
        places = places or ["0"] * len(lengths)
        results = _scalars(body, node.op.scalar_op, node, [x.at(places) for x in inputs])
        for out, value in zip(node.outputs, results, strict=True):
            if not several:
                body[out] = Elements(value, tuple(lengths))
            elif out in arrays:
                body.write_line(f"{arrays[out].format(*places)} = {value}")
            for client, total in sums[out]:
                _add(body, client, total, places, value)
    if several:
        for out in node.outputs:
            # Results that are only summed are not stored.
            body[out] = Elements(arrays.get(out, ""), tuple(lengths))
    return True


def _length(body: Body, variable: Any, axis: int, inputs: Sequence[Any]) -> str:
    """Return the length of an elementwise result along an axis."""
    known = variable.type.shape[axis]
    if known is not None:
        return str(known)
    lengths = [body[x].lengths[axis] for x in inputs]
    return next((length for length in lengths if length != "1"), "1")


def _scalars(body: Body, op: Any, node: Any, values: Sequence[str]) -> list[str]:
    """Write a scalar operation, and return the names of its results."""
    if not hasattr(op, "fgraph"):
        return [body.assign(_scalar(body, op, node, values))]
    simple = [value if _is_simple(value) else body.assign(value) for value in values]
    known = dict(zip(op.fgraph.inputs, simple, strict=True))

    def of(variable: Any) -> str:
        return known.get(variable) or literal(variable.data)

    for inner in op.fgraph.toposort():
        given = [of(x) for x in inner.inputs]
        # Numba takes time for each name, so that a value which is used once has none.
        if _is_used_once(op.fgraph, inner) and sum(map(len, given)) < _LONGEST:
            known[inner.outputs[0]] = f"({_scalar(body, inner.op, inner, given)})"
        else:
            known |= zip(inner.outputs, _scalars(body, inner.op, inner, given), strict=True)
    return [of(out) for out in op.fgraph.outputs]


def _is_used_once(graph: Any, node: Any) -> bool:
    """Return whether the only use of a scalar operation is one place in another expression."""
    clients = graph.clients[node.outputs[0]]
    if type(node.op).__name__ not in _STATEMENTS or len(clients) != 1:
        return False
    name = type(clients[0][0].op).__name__
    return name in _STATEMENTS and name != "Sqr"


def _is_simple(value: str) -> bool:
    """Return whether a value may be used several times: it is a name or a number."""
    return value.isidentifier() or "[" not in value


def _scalar(body: Body, op: Any, node: Any, values: Sequence[str]) -> str:
    """Return the expression of a scalar operation."""
    kind = type(op).__name__
    if kind in _STATEMENTS:
        return _STATEMENTS[kind](*values)
    dtype = np.dtype(node.outputs[0].type.dtype)
    if kind == "Cast" and dtype.kind in _CASTS:
        return f"{_CASTS[dtype.kind]}({values[0]})"
    return f"{body.pytensor_function(op, node)}({', '.join(values)})"


def write_sum(body: Body, node: Any) -> bool:
    """Write a sum over some axes or all."""
    elements = body[node.inputs[0]]
    total = _start_sum(body, node, elements.lengths)
    with body.loops(elements.lengths) as places:
        _add(body, node, total, places, elements.at(places))
    return True


def _start_sum(body: Body, node: Any, lengths: Sequence[str]) -> str:
    """Write the start of a sum, and return how its elements are referred to."""
    of_total = [lengths[axis] for axis in _kept(node, len(lengths))]
    dtype = node.outputs[0].type.dtype
    zero = "0.0" if np.dtype(dtype).kind == "f" else "0"
    if all(n == "1" for n in of_total):
        total = body.assign(zero)
    else:
        total = body.new_elements(of_total, dtype)
        with body.loops(of_total) as places:
            body.write_line(f"{total.format(*places)} = {zero}")
    body[node.outputs[0]] = Elements(total, tuple(of_total))
    return total


def _add(body: Body, node: Any, total: str, places: Sequence[str], value: str) -> None:
    kept = [places[axis] for axis in _kept(node, len(places))]
    body.write_line(f"{total.format(*kept)} += {value}")


def _is_sum(node: Any) -> bool:
    return type(node.op).__name__ == "Sum"


def _kept(node: Any, axes: int) -> list[int]:
    """Return the axes along which a sum has elements."""
    summed = range(axes) if node.op.axis is None else node.op.axis
    return [axis for axis in range(axes) if axis not in summed]
