"""A graph as one function of loops, for Numba to compile.

PyTensor's linker makes a function of each operation of a graph. Numba takes tens of milliseconds
for each function, however short, so that most of the time of a first fit went into compiling
hundreds of them. Here the operations that graphs of log densities mostly consist of (elementwise
ones, sums, slices, gathers) become statements and loops of a single function; for all others
PyTensor's own function is called. Results are the same to the last digit.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from bayescale.inference.native import numba_function

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

_CASTS = {"b": "bool", "i": "int", "u": "int", "f": "float"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """How the function refers to the elements of a variable.

    Attributes
    ----------
    expression
        An element, with ``{0}``, ``{1}``, ... for its place along each axis.
    lengths
        The length of each axis.
    """

    expression: str
    lengths: tuple[str, ...] = ()

    def at(self, places: Sequence[str]) -> str:
        """Return the element at given places; along an axis of length one, at the only one."""
        there = ["0" if n == "1" else place for n, place in zip(self.lengths, places, strict=True)]
        return self.expression.format(*there)

    def view(self, places: Sequence[str], lengths: Sequence[str]) -> "_Entry":
        """Return the elements at given places, which refer to the places of the view."""
        return _Entry(self.at(places), tuple(lengths))

    @property
    def is_array(self) -> bool:
        """Whether the elements are those of one array, in its order."""
        name, _, _ = self.expression.partition("[")
        return bool(self.lengths) and self.expression == _element(name, len(self.lengths))


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
    # Loops are fused here, and nothing is overwritten.
    mode: Any = NUMBA
    mode.excluding("inplace", "fuse_elemwise", "scalarize").optimizer.rewrite(graph)
    writer = _Writer(graph)
    scope = writer.scope
    # The source is written here, from operations alone; names of variables are not in it.
    exec(compile(writer.source(), "<kernel>", "exec"), scope)
    # As PyTensor compiles: dividing by zero gives infinity.
    return numba.njit(error_model="numpy")(scope["kernel"])


class _Writer:
    """Writes the function of a graph."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.scope: dict[str, Any] = {"np": np, "math": math}
        self._lines: list[str] = []
        self._depth = 1
        self._numbers = count()
        self._entries: dict[Any, _Entry] = {}
        self._functions: dict[Any, str] = {}
        self._lengths: dict[str, str] = {}
        self._places: dict[str, str] = {}

    def source(self) -> str:
        """Return the source of the function."""
        names = [self._name("given") for _ in self.graph.inputs]
        for name, variable in zip(names, self.graph.inputs, strict=True):
            entry = self._array(name, variable)
            # Named once, so that lengths are names and numbers.
            lengths = [
                n if n.isdigit() else self._lengths.setdefault(n, self._name("n"))
                for n in entry.lengths
            ]
            self._entries[variable] = _Entry(entry.expression, tuple(lengths))
        for node in self.graph.toposort():
            if all(out in self._entries for out in node.outputs):
                continue
            write = getattr(self, f"_{type(node.op).__name__}", self._call)
            if write(node) is NotImplemented:
                self._call(node)
        found = [self._whole(out) for out in self.graph.outputs]
        head = f"def kernel({', '.join(names)}):"
        self._lines, body = [], self._lines
        for name, length in self._lengths.items():
            self._say(f"{length} = {name}")
        end = "0"
        for place, size in self._places.items():
            self._say(f"{place} = {end}")
            end = f"{place} + {size}"
        self._say(f"work = np.empty({end}, np.float64)")
        return "\n".join([head, *self._lines, *body, f"    return ({', '.join(found)},)", ""])

    # What is written, and how it is referred to.

    def _name(self, of: str = "x") -> str:
        return f"{of}{next(self._numbers)}"

    def _say(self, line: str) -> None:
        self._lines.append("    " * self._depth + line)

    def _local(self, expression: str, of: str = "x") -> str:
        """Return the name of a new local variable."""
        name = self._name(of)
        self._say(f"{name} = {expression}")
        return name

    @contextmanager
    def _loops(self, lengths: Sequence[str]) -> Iterator[list[str]]:
        """Write loops over all places of an array, in its order; the body is written inside."""
        places = [self._name("i") for _ in lengths]
        for place, length in zip(places, lengths, strict=True):
            self._say(f"for {place} in range({length}):")
            self._depth += 1
        yield places
        self._depth -= len(lengths)

    def _array(self, name: str, variable: Any) -> _Entry:
        """Return the entry of a variable that is the array, or scalar, of a name."""
        shape = getattr(variable.type, "shape", ())
        lengths = [
            f"{name}.shape[{axis}]" if length is None else str(length)
            for axis, length in enumerate(shape)
        ]
        return _Entry(_element(name, len(lengths)), tuple(lengths))

    def _new(self, lengths: Sequence[str], dtype: str) -> str:
        """Return the name of a new array."""
        return self._local(f"np.empty(({', '.join(lengths)},), np.{_stored(dtype)})")

    def _room(self, lengths: Sequence[str], dtype: str) -> str:
        """Return how elements of a new variable are referred to: in one array for all of floats.

        Numba takes longer for each array than for many statements.
        """
        known = all(n.isdigit() or n in self._lengths.values() for n in lengths)
        if dtype != "float64" or not known:
            return _element(self._new(lengths, dtype), len(lengths))
        place = self._name("at")
        self._places[place] = " * ".join(lengths)
        strides = [" * ".join(["", *lengths[axis + 1 :]]) for axis in range(len(lengths))]
        steps = [f"{{{axis}}}{stride}" for axis, stride in enumerate(strides)]
        return f"work[{' + '.join([place, *steps])}]"

    def _entry(self, variable: Any) -> _Entry:
        if variable not in self._entries:
            # All others are constants.
            value = np.asarray(variable.data)
            if value.size and np.all(value == value.flat[0]):
                expression = _literal(value.flat[0])
            else:
                name = self._name("constant")
                self.scope[name] = np.ascontiguousarray(value)
                expression = _element(name, value.ndim)
            self._entries[variable] = _Entry(expression, tuple(map(str, value.shape)))
        return self._entries[variable]

    def _whole(self, variable: Any) -> str:
        """Return the name of a variable as a scalar, or as an array in C order."""
        entry = self._entry(variable)
        if not entry.lengths:
            return entry.expression
        return entry.expression.partition("[")[0] if entry.is_array else self._copy(variable)

    def _copy(self, variable: Any) -> str:
        """Return the name of a new array with the elements of a variable."""
        entry = self._entry(variable)
        name = self._new(entry.lengths, variable.type.dtype)
        with self._loops(entry.lengths) as places:
            self._say(f"{_at(name, places)} = {entry.at(places)}")
        return name

    def _length(self, variable: Any, axis: int, inputs: Sequence[Any]) -> str:
        """Return the length of an elementwise result along an axis."""
        known = variable.type.shape[axis]
        if known is not None:
            return str(known)
        lengths = [self._entry(x).lengths[axis] for x in inputs]
        return next((length for length in lengths if length != "1"), "1")

    # Operations.

    def _Elemwise(self, node: Any) -> None:
        inputs = [self._entry(x) for x in node.inputs]
        lengths = [
            self._length(node.outputs[0], axis, node.inputs) for axis in range(node.outputs[0].ndim)
        ]
        several, arrays, sums = any(n != "1" for n in lengths), {}, {}
        for out in node.outputs:
            clients = self.graph.clients[out]
            summed = [client for client, _ in clients if _is_sum(client)] if lengths else []
            sums[out] = [(client, self._sum_starts(client, lengths)) for client in summed]
            if several and len(summed) < len(clients):
                arrays[out] = self._room(lengths, out.type.dtype)
        with self._loops(lengths if several else []) as places:
            places = places or ["0"] * len(lengths)
            found = self._scalars(node.op.scalar_op, node, [x.at(places) for x in inputs])
            for out, value in zip(node.outputs, found, strict=True):
                if not several:
                    self._entries[out] = _Entry(value, tuple(lengths))
                elif out in arrays:
                    self._say(f"{arrays[out].format(*places)} = {value}")
                for client, total in sums[out]:
                    self._add(client, total, places, value)
        if several:
            for out in node.outputs:
                # What is only summed has no elements.
                self._entries[out] = _Entry(arrays.get(out, ""), tuple(lengths))

    def _scalars(self, op: Any, node: Any, values: Sequence[str]) -> list[str]:
        """Write a scalar operation, and return the names of its results."""
        if not hasattr(op, "fgraph"):
            return [self._local(self._scalar(op, node, values))]
        known = dict(zip(op.fgraph.inputs, map(self._simple, values), strict=True))

        def of(variable: Any) -> str:
            return known.get(variable) or _literal(variable.data)

        for inner in op.fgraph.toposort():
            found = self._scalars(inner.op, inner, [of(x) for x in inner.inputs])
            known |= zip(inner.outputs, found, strict=True)
        return [of(out) for out in op.fgraph.outputs]

    def _simple(self, value: str) -> str:
        """Return a value that may be used several times."""
        return value if value.isidentifier() or "[" not in value else self._local(value)

    def _scalar(self, op: Any, node: Any, values: Sequence[str]) -> str:
        kind = type(op).__name__
        if kind in _STATEMENTS:
            return _STATEMENTS[kind](*values)
        dtype = np.dtype(node.outputs[0].type.dtype)
        if kind == "Cast" and dtype.kind in _CASTS:
            return f"{_CASTS[dtype.kind]}({values[0]})"
        return f"{self._pytensor(op, node)}({', '.join(values)})"

    def _Sum(self, node: Any) -> None:
        entry = self._entry(node.inputs[0])
        total = self._sum_starts(node, entry.lengths)
        with self._loops(entry.lengths) as places:
            self._add(node, total, places, entry.at(places))

    def _sum_starts(self, node: Any, lengths: Sequence[str]) -> str:
        """Write the start of a sum, and return its name."""
        of_total = [lengths[axis] for axis in _kept(node, len(lengths))]
        dtype = node.outputs[0].type.dtype
        nothing = "0.0" if np.dtype(dtype).kind == "f" else "0"
        if all(n == "1" for n in of_total):
            total = self._local(nothing)
        else:
            total = self._room(of_total, dtype)
            with self._loops(of_total) as places:
                self._say(f"{total.format(*places)} = {nothing}")
        self._entries[node.outputs[0]] = _Entry(total, tuple(of_total))
        return total

    def _add(self, node: Any, total: str, places: Sequence[str], value: str) -> None:
        kept = [places[axis] for axis in _kept(node, len(places))]
        self._say(f"{total.format(*kept)} += {value}")

    def _DimShuffle(self, node: Any) -> None:
        entry, order = self._entry(node.inputs[0]), node.op.new_order
        places = ["0"] * len(entry.lengths)
        for axis, source in enumerate(order):
            if source != "x":
                places[source] = f"{{{axis}}}"
        lengths = ["1" if source == "x" else entry.lengths[source] for source in order]
        self._entries[node.outputs[0]] = entry.view(places, lengths)

    _Squeeze = _ExpandDims = _Transpose = _DimShuffle

    def _ScalarFromTensor(self, node: Any) -> None:
        self._entries[node.outputs[0]] = self._entry(node.inputs[0])

    _TensorFromScalar = _SpecifyShape = _ScalarFromTensor

    def _Shape_i(self, node: Any) -> None:
        self._entries[node.outputs[0]] = _Entry(self._entry(node.inputs[0]).lengths[node.op.i])

    def _Alloc(self, node: Any) -> None:
        entry, shape = self._entry(node.inputs[0]), [self._entry(x) for x in node.inputs[1:]]
        first = len(shape) - len(entry.lengths)
        places = [f"{{{first + axis}}}" for axis in range(len(entry.lengths))]
        self._entries[node.outputs[0]] = entry.view(places, [x.expression for x in shape])

    def _ARange(self, node: Any) -> Any:
        start, stop, step = (self._entry(x).expression for x in node.inputs)
        if (start, step) != ("0", "1"):
            return NotImplemented
        self._entries[node.outputs[0]] = _Entry("{0}", (f"max(0, {stop})",))
        return None

    def _MakeVector(self, node: Any) -> None:
        name = self._new([str(len(node.inputs))], node.outputs[0].type.dtype)
        for place, x in enumerate(node.inputs):
            self._say(f"{name}[{place}] = {self._entry(x).expression}")
        self._entries[node.outputs[0]] = self._array(name, node.outputs[0])

    def _Join(self, node: Any) -> Any:
        parts = [self._entry(x) for x in node.inputs]
        if any(len(part.lengths) != 1 for part in parts):
            return NotImplemented
        total = " + ".join(part.lengths[0] for part in parts)
        name, done = self._new([total], node.outputs[0].type.dtype), self._local("0")
        for part in parts:
            with self._loops(part.lengths) as (place,):
                self._say(f"{name}[{done} + {place}] = {part.at([place])}")
            done = self._local(f"{done} + {part.lengths[0]}")
        self._entries[node.outputs[0]] = self._array(name, node.outputs[0])
        return None

    def _Subtensor(self, node: Any) -> Any:
        entry = self._entry(node.inputs[0])
        found = self._sliced(node.op.idx_list, node.inputs[1:], entry)
        if found is None:
            return NotImplemented
        self._entries[node.outputs[0]] = entry.view(*found)
        return None

    def _sliced(
        self, indices: Sequence[Any], given: Sequence[Any], entry: _Entry
    ) -> tuple[list[str], list[str]] | None:
        """Return the places of a slice and its lengths, or None where they are not constant."""
        places: list[str] = []
        lengths: list[str] = []
        for axis, length in enumerate(entry.lengths):
            index = indices[axis] if axis < len(indices) else slice(None)
            if isinstance(index, slice):
                bounds = [
                    default if part is None else self._entry(given[part]).expression
                    for part, default in zip(
                        (index.start, index.stop, index.step), ("0", length, "1"), strict=True
                    )
                ]
                start, stop, step = bounds
                if (start, stop, step) == ("0", length, "1"):
                    places.append(f"{{{len(lengths)}}}")
                    lengths.append(length)
                    continue
                if not all(part.isdigit() for part in (*bounds, length)) or step != "1":
                    return None
                stop = str(min(int(stop), int(length)))
                places.append(f"{start} + {{{len(lengths)}}}")
                lengths.append(str(max(0, int(stop) - int(start))))
            else:
                at = self._entry(given[index]).expression
                if not at.isdigit():
                    return None
                places.append(at)
        return places, lengths

    def _AdvancedSubtensor(self, node: Any) -> Any:
        x, *indices = node.inputs
        axis = _gathered(node.op.idx_list, indices)
        if axis is None:
            return NotImplemented
        name, index = self._whole(x), self._entry(indices[0])
        lengths = list(self._entry(x).lengths)
        places = [f"{{{i}}}" for i in range(len(lengths))]
        places[axis], lengths[axis] = index.at([f"{{{axis}}}"]), index.lengths[0]
        self._entries[node.outputs[0]] = _Entry(_at(name, places), tuple(lengths))
        return None

    def _AdvancedIncSubtensor(self, node: Any) -> Any:
        x, y, *indices = node.inputs
        axis = _gathered(node.op.idx_list, indices)
        if axis is None:
            return NotImplemented
        entry, index = self._entry(x), self._entry(indices[0])
        name, lengths = self._copy(x), list(entry.lengths)
        lengths[axis] = index.lengths[0]
        with self._loops(lengths) as places:
            there = list(places)
            there[axis] = index.at([places[axis]])
            self._put(node, name, there, self._broadcast(y, places))
        self._entries[node.outputs[0]] = _Entry(_element(name, x.ndim), entry.lengths)
        return None

    def _IncSubtensor(self, node: Any) -> Any:
        x, y, *given = node.inputs
        entry = self._entry(x)
        found = self._sliced(node.op.idx_list, given, entry)
        if found is None:
            return NotImplemented
        name, (there, lengths) = self._copy(x), found
        with self._loops(lengths) as places:
            self._put(node, name, [at.format(*places) for at in there], self._broadcast(y, places))
        self._entries[node.outputs[0]] = _Entry(_element(name, x.ndim), entry.lengths)
        return None

    def _broadcast(self, variable: Any, places: Sequence[str]) -> str:
        entry = self._entry(variable)
        return entry.at(places[len(places) - len(entry.lengths) :])

    def _put(self, node: Any, name: str, places: Sequence[str], value: str) -> None:
        sign = "=" if node.op.set_instead_of_inc else "+="
        self._say(f"{_at(name, places)} {sign} {value}")

    def _call(self, node: Any) -> None:
        """Write a call of PyTensor's own function."""
        function = self._pytensor(node.op, node)
        given = []
        for x in node.inputs:
            value = self._whole(x)
            given.append(f"np.asarray({value})" if _is_array_of_one(x) else value)
        names = [self._name() for _ in node.outputs]
        self._say(f"{', '.join(names)} = {function}({', '.join(given)})")
        for name, out in zip(names, node.outputs, strict=True):
            self._entries[out] = (
                _Entry(f"{name}.item()") if _is_array_of_one(out) else self._array(name, out)
            )

    def _pytensor(self, op: Any, node: Any) -> str:
        """Return the name of PyTensor's function of an operation."""
        if node not in self._functions:
            name = self._functions[node] = self._name("call")
            self.scope[name] = numba_function(op, node)
        return self._functions[node]


def _is_sum(node: Any) -> bool:
    return type(node.op).__name__ == "Sum"


def _kept(node: Any, axes: int) -> list[int]:
    """Return the axes along which a sum has elements."""
    summed = range(axes) if node.op.axis is None else node.op.axis
    return [axis for axis in range(axes) if axis not in summed]


def _gathered(indices: Sequence[Any], given: Sequence[Any]) -> int | None:
    """Return the axis that a vector of indices selects from, if no other axis is indexed."""
    axes = [axis for axis, index in enumerate(indices) if not isinstance(index, slice)]
    whole = all(i == slice(None) for i in indices if isinstance(i, slice))
    return axes[0] if len(axes) == 1 and whole and given[0].ndim == 1 else None


def _is_array_of_one(variable: Any) -> bool:
    """Return whether PyTensor holds a scalar in an array without axes."""
    from pytensor.tensor.type import TensorType

    return isinstance(variable.type, TensorType) and variable.type.ndim == 0


def _element(name: str, axes: int) -> str:
    return _at(name, [f"{{{axis}}}" for axis in range(axes)])


def _at(name: str, places: Sequence[str]) -> str:
    return f"{name}[{', '.join(places)}]" if places else name


def _literal(value: Any) -> str:
    plain = np.asarray(value).item()
    if isinstance(plain, float) and not math.isfinite(plain):
        return (
            "np.nan" if math.isnan(plain) else f"math.copysign(np.inf, {math.copysign(1, plain)})"
        )
    return repr(plain)


def _stored(dtype: str) -> str:
    return "bool_" if dtype == "bool" else dtype
