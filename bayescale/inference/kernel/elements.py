"""How the source of a function refers to the elements of a variable."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Elements:
    """The elements of a variable, as an expression of their place.

    Attributes
    ----------
    expression
        An element, with ``{0}``, ``{1}``, ... for its place along each axis.
    lengths
        The length of each axis: a number, a name, or an expression.
    """

    expression: str
    lengths: tuple[str, ...] = ()

    @classmethod
    def of_array(cls, name: str, lengths: Sequence[str]) -> "Elements":
        """Return the elements of the array of a name; without axes, the scalar."""
        return cls(element(name, len(lengths)), tuple(lengths))

    @property
    def array(self) -> str | None:
        """The name of the array that has these elements in its order; None if there is none."""
        name, _, _ = self.expression.partition("[")
        is_array = bool(self.lengths) and self.expression == element(name, len(self.lengths))
        return name if is_array else None

    def at(self, places: Sequence[str]) -> str:
        """Return the element at given places; along an axis of length one, at the only one."""
        there = ["0" if n == "1" else place for n, place in zip(self.lengths, places, strict=True)]
        return self.expression.format(*there)

    def view(self, places: Sequence[str], lengths: Sequence[str]) -> "Elements":
        """Return the elements at given places, which refer to the places of the view."""
        return Elements(self.at(places), tuple(lengths))


def element(name: str, axes: int) -> str:
    """Return the element of an array at the places ``{0}``, ``{1}``, ..."""
    return at(name, [f"{{{axis}}}" for axis in range(axes)])


def at(name: str, places: Sequence[str]) -> str:
    """Return the element of an array at given places."""
    return f"{name}[{', '.join(places)}]" if places else name


def literal(value: Any) -> str:
    """Return a number as it is written in a function for Numba."""
    plain = np.asarray(value).item()
    if isinstance(plain, float) and not math.isfinite(plain):
        return (
            "np.nan" if math.isnan(plain) else f"math.copysign(np.inf, {math.copysign(1, plain)})"
        )
    return repr(plain)
