"""What a scaling law is: inputs, parameters, one formula, and a reference parametrisation."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from bayescale.errors import AmountError, CardError
from bayescale.units import parse_amounts

type Value = Any
"""A float, a NumPy array, an xarray DataArray of draws, or a PyTensor variable."""

type Values = Mapping[str, Value]

UNIT_REFERENCE: Mapping[str, float] = {"n_params": 1.0, "n_tokens": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a law: what it means, its symbol in LaTeX, its unit and its support."""

    meaning: str
    symbol: str
    unit: str = ""
    support: Literal["positive", "unit"] = "positive"


class Law(ABC):
    r"""A scaling law for the loss as a function of model size and data.

    A law is a set of facts and a formula; it knows nothing of priors, samplers or plots. The
    formula uses operators and NumPy functions that dispatch, so that the same code runs on
    floats, arrays, xarray draws and PyTensor variables.

    Attributes
    ----------
    name, title, latex, sources
        How it is called, described, written and cited.
    caveat
        A sentence that belongs beside every result of the law, if there is one.
    inputs
        The amounts it takes, as column names of a runs table.
    parameters
        Natural parameters, as in the paper.
    coordinates
        Reference parametrisation: the loss at a reference point (N0, D0), its elasticities
        there, and exponents. Priors are stated on these, because data inside the range of the
        reference point determine them one by one.
    shares
        Exponents that are an elasticity divided by a share of the loss at the reference:
        ``{"alpha": "e_n"}`` says ``alpha = e_n / s`` with ``s`` the share of the size term.
        Shares are positive and leave a positive remainder; that is the law's only constraint.

    Notes
    -----
    Elasticities are ``e_n = -d ln L / d ln N`` and ``e_d = -d ln L / d ln D``. Moving the
    reference point rescales the inputs, so the formula on inputs divided by (N0, D0) is the
    formula itself with the natural parameters of the unit reference point.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    latex: ClassVar[str]
    sources: ClassVar[tuple[str, ...]]
    caveat: ClassVar[str] = ""
    inputs: ClassVar[tuple[str, ...]] = ("n_params", "n_tokens")
    parameters: ClassVar[Mapping[str, Parameter]]
    coordinates: ClassVar[Mapping[str, Parameter]]
    shares: ClassVar[Mapping[str, str]]

    @abstractmethod
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        """Return the loss at natural logarithms of the inputs."""

    @abstractmethod
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        """Return the coordinates at a reference point, from natural parameters."""

    @abstractmethod
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        """Return the natural parameters, from coordinates at a reference point."""

    @abstractmethod
    def optimal_log_params(self, parameters: Values, log_product: Value) -> Value:
        """Return ln N of the least loss under ``N D = exp(log_product)``."""

    @abstractmethod
    def frontier_exponents(self, parameters: Values) -> dict[str, Value]:
        """Return a, b and g of the frontier: N_opt ~ C^a, D_opt ~ C^b, reducible loss ~ C^-g."""

    def loss(self, *, n_params: object, n_tokens: object, **parameters: Value) -> Value:
        """Evaluate the law at given constants.

        Parameters
        ----------
        n_params, n_tokens
            Amounts: numbers, text such as ``"70B"``, arrays, or xarray objects that broadcast.
        **parameters
            Every natural parameter of the law, by name.

        Returns
        -------
        float, array or DataArray
            The loss, in the unit of the law's level parameters.

        Raises
        ------
        CardError
            If a parameter is missing or unknown.
        AmountError
            If an amount cannot be read or is not positive.

        Examples
        --------
        >>> from bayescale.laws import law
        >>> chinchilla = law("chinchilla")
        >>> printed = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
        >>> round(float(chinchilla.loss(n_params="70B", n_tokens="1.4T", **printed)), 5)
        1.93665
        """
        self.check_parameters(parameters)
        amounts = {"n_params": n_params, "n_tokens": n_tokens}
        return self.formula(
            {name: np.log(_positive(amount, name)) for name, amount in amounts.items()}, parameters
        )

    def check_parameters(self, parameters: Mapping[str, object]) -> None:
        """Raise CardError unless `parameters` names exactly the law's parameters."""
        missing = [name for name in self.parameters if name not in parameters]
        unknown = [name for name in parameters if name not in self.parameters]
        if missing or unknown:
            found = "; ".join(
                f"{label} {', '.join(names)}"
                for label, names in (("missing", missing), ("unknown", unknown))
                if names
            )
            raise CardError(
                f"Parameters of {self.name}: {found}. Expected {', '.join(self.parameters)}."
            )

    def __repr__(self) -> str:
        return f"<law {self.name}: {self.title}>"


def _positive(amount: Any, name: str) -> Any:
    """Read an amount; keep the type of arrays and labelled arrays."""
    if isinstance(amount, str | int | float | list | tuple):
        values = parse_amounts(amount, "count", name)
        return values if isinstance(amount, list | tuple) else float(values[0])
    values = np.asarray(amount)
    if values.dtype.kind not in "iuf" or not bool(np.all(np.isfinite(values) & (values > 0))):
        raise AmountError(f"{name}: found {amount!r}, expected positive finite amounts.")
    return amount
