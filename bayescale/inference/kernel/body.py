"""The function while it is written: its lines, its arrays, and the elements of each variable."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np

from bayescale.inference.kernel.elements import Elements, at, element, literal
from bayescale.inference.native import numba_function


class Body:
    """The body of the function of a graph.

    Attributes
    ----------
    graph
        The graph, a ``FunctionGraph``.
    scope
        Modules, constant arrays and PyTensor's functions that the body uses, by name.
    """

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.scope: dict[str, Any] = {"np": np, "math": math}
        self._lines: list[str] = []
        self._depth = 1
        self._numbers = count()
        self._elements: dict[Any, Elements] = {}
        self._functions: dict[Any, str] = {}
        self._lengths: dict[str, str] = {}
        self._workspace: dict[str, str] = {}
        self._inputs = [self.new_name("given") for _ in graph.inputs]
        for name, variable in zip(self._inputs, graph.inputs, strict=True):
            # Lengths are read once, so that they are names and numbers.
            lengths = [
                n if n.isdigit() else self._lengths.setdefault(n, self.new_name("n"))
                for n in _lengths_of(name, variable)
            ]
            self[variable] = Elements.of_array(name, lengths)

    def function(self) -> str:
        """Return the source of the function, named ``kernel``."""
        results = [self.whole(out) for out in self.graph.outputs]
        lines = [f"def kernel({', '.join(self._inputs)}):"]
        lines += [f"    {length} = {expression}" for expression, length in self._lengths.items()]
        end = "0"
        for start, size in self._workspace.items():
            lines.append(f"    {start} = {end}")
            end = f"{start} + {size}"
        lines.append(f"    work = np.empty({end}, np.float64)")
        return "\n".join([*lines, *self._lines, f"    return ({', '.join(results)},)", ""])

    # Lines.

    def new_name(self, of: str = "x") -> str:
        """Return a new unique name."""
        return f"{of}{next(self._numbers)}"

    def write_line(self, line: str) -> None:
        """Write a line."""
        self._lines.append("    " * self._depth + line)

    def assign(self, expression: str, of: str = "x") -> str:
        """Write an expression, and return the name of the local variable that holds it."""
        name = self.new_name(of)
        self.write_line(f"{name} = {expression}")
        return name

    @contextmanager
    def loops(self, lengths: Sequence[str]) -> Iterator[list[str]]:
        """Write loops over all places of an array, in its order; the body is written inside."""
        places = [self.new_name("i") for _ in lengths]
        for place, length in zip(places, lengths, strict=True):
            self.write_line(f"for {place} in range({length}):")
            self._depth += 1
        yield places
        self._depth -= len(lengths)

    # Arrays.

    def new_array(self, lengths: Sequence[str], dtype: str) -> str:
        """Write an empty array, and return its name."""
        stored = "bool_" if dtype == "bool" else dtype
        return self.assign(f"np.empty(({', '.join(lengths)},), np.{stored})")

    def new_elements(self, lengths: Sequence[str], dtype: str) -> str:
        """Return how elements of a new variable are referred to.

        All variables of floats whose lengths are known at the start share one array, the
        workspace: Numba takes longer for each array than for many statements.
        """
        known = all(n.isdigit() or n in self._lengths.values() for n in lengths)
        if dtype != "float64" or not known:
            return element(self.new_array(lengths, dtype), len(lengths))
        start = self.new_name("at")
        self._workspace[start] = " * ".join(lengths)
        strides = [" * ".join(["", *lengths[axis + 1 :]]) for axis in range(len(lengths))]
        steps = [f"{{{axis}}}{stride}" for axis, stride in enumerate(strides)]
        return f"work[{' + '.join([start, *steps])}]"

    def copy(self, variable: Any) -> str:
        """Write a new array with the elements of a variable, and return its name."""
        elements = self[variable]
        name = self.new_array(elements.lengths, variable.type.dtype)
        with self.loops(elements.lengths) as places:
            self.write_line(f"{at(name, places)} = {elements.at(places)}")
        return name

    # Variables.

    def __getitem__(self, variable: Any) -> Elements:
        """Return the elements of a variable; one that was not written is a constant."""
        if variable not in self._elements:
            value = np.asarray(variable.data)
            if value.size and np.all(value == value.flat[0]):
                expression = literal(value.flat[0])
            else:
                name = self.new_name("constant")
                self.scope[name] = np.ascontiguousarray(value)
                expression = element(name, value.ndim)
            self[variable] = Elements(expression, tuple(map(str, value.shape)))
        return self._elements[variable]

    def __setitem__(self, variable: Any, elements: Elements) -> None:
        self._elements[variable] = elements

    def has_all(self, variables: Iterable[Any]) -> bool:
        """Return whether the elements of variables are known."""
        return all(variable in self._elements for variable in variables)

    def set_array(self, variable: Any, name: str) -> None:
        """Set the array that holds a variable, by name."""
        self[variable] = Elements.of_array(name, _lengths_of(name, variable))

    def whole(self, variable: Any) -> str:
        """Return the name of a variable as a scalar, or as an array in C order."""
        elements = self[variable]
        if not elements.lengths:
            return elements.expression
        return elements.array or self.copy(variable)

    # Operations compiled by PyTensor.

    def pytensor_function(self, op: Any, node: Any) -> str:
        """Return the name of PyTensor's function of an operation."""
        if node not in self._functions:
            name = self._functions[node] = self.new_name("call")
            self.scope[name] = numba_function(op, node)
        return self._functions[node]


def _lengths_of(name: str, variable: Any) -> list[str]:
    """Return the lengths of a variable that is the array, or scalar, of a name."""
    shape = getattr(variable.type, "shape", ())
    return [
        f"{name}.shape[{axis}]" if length is None else str(length)
        for axis, length in enumerate(shape)
    ]
