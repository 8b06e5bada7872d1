"""User-defined laws: a Python function with annotated parameters."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, override

import numpy as np

from bayescale.errors import CardError
from bayescale.laws.base import Law, Parameter, Value, Values


class FunctionLaw(Law):
    """A law defined by a Python function; created by `bayescale.define_law`.

    Its coordinates are its parameters, in the units of the function: priors are stated on them
    directly, and not relative to the observed loss.
    """

    scale_free = False

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str,
        inputs: tuple[str, ...],
        parameters: Mapping[str, Parameter],
        source: str,
        response: str,
    ) -> None:
        self.function = function
        self.name = name  # type: ignore[misc]
        self.title = (inspect.getdoc(function) or name).splitlines()[0]  # type: ignore[misc]
        symbols = [_upright(given) for given in inputs] + [p.symbol for p in parameters.values()]
        self.latex = rf"{_upright(name)}({', '.join(symbols)})"  # type: ignore[misc]
        self.sources = (source,)  # type: ignore[misc]
        self.inputs = inputs  # type: ignore[misc]
        self.parameters = dict(parameters)  # type: ignore[misc]
        self.coordinates = self.parameters  # type: ignore[misc]
        self.response = response  # type: ignore[misc]
        self.response_unit = ""  # type: ignore[misc]
        self.monotone = False  # type: ignore[misc]

    @property
    @override
    def ships(self) -> bool:
        return False

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        inputs = {name: np.exp(log_inputs[name]) for name in self.inputs}
        return self.function(**inputs, **{name: parameters[name] for name in self.parameters})

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        return dict(parameters)

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        return dict(coordinates)


def _upright(name: str) -> str:
    escaped = name.replace("_", r"\_")
    return rf"\mathrm{{{escaped}}}"


def law_of_function(
    function: Callable[..., Any], name: str, source: str, response: str
) -> FunctionLaw:
    """Read inputs and parameters from the signature of a function.

    Raises
    ------
    CardError
        If an argument is neither a plain input nor a parameter annotated with a `Parameter`.
    """
    inputs: list[str] = []
    parameters: dict[str, Parameter] = {}
    for argument in inspect.signature(function).parameters.values():
        if isinstance(argument.annotation, Parameter):
            parameters[argument.name] = argument.annotation
        elif argument.annotation is inspect.Parameter.empty and not parameters:
            inputs.append(argument.name)
        else:
            raise CardError(
                f"{name}: found the argument {argument}; expected inputs first, without "
                "annotation, then parameters, each annotated with a bayescale.Parameter."
            )
    if not inputs or not parameters:
        raise CardError(f"{name}: a law needs at least one input and one parameter.")
    return FunctionLaw(
        function,
        name=name,
        inputs=tuple(inputs),
        parameters=parameters,
        source=source,
        response=response,
    )
