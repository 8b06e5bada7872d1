"""Base class of scaling laws: inputs, parameters, formula, and reference parametrisation."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bayescale.errors import (
    AmountError,
    CardError,
    NoClosedFormError,
    UnsuitableLawError,
    expect_mapping,
)
from bayescale.units import parse_amounts

type Value = Any
"""A float, a NumPy array, an xarray DataArray of draws, or a PyTensor variable."""

type Values = Mapping[str, Value]

UNSTATED = 1000.0
"""Assumed ratio of the largest to the smallest amount of an input, if a reference states no ends;
the reference point is then the largest amount."""

type LogInputs = Mapping[str, NDArray[np.float64]]
"""Logarithms of each input of a law relative to the reference point, one value per run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a law.

    Attributes
    ----------
    meaning, symbol, unit
        Its description, its symbol in LaTeX and its unit.
    support
        Its range.
    is_floor
        Whether it is the irreducible loss, the lower limit of the response.
    """

    meaning: str
    symbol: str
    unit: str = ""
    support: Literal["positive", "unit", "real"] = "positive"
    is_floor: bool = False


class Law(ABC):
    r"""A scaling law: the response, usually a loss, as a function of the inputs of a run.

    A law is metadata and a formula, independent of priors, samplers and plots. The formula uses
    operators and NumPy functions that dispatch, so that the same code runs on floats, arrays,
    xarray draws and PyTensor variables.

    Attributes
    ----------
    name, title, latex, sources
        Its name, title, formula in LaTeX and citations.
    caveat
        A caveat shown with every result of the law, if any.
    response, response_unit
        The predicted quantity, as a column name of a runs table (``loss`` by default), and its
        unit.
    inputs
        Its inputs, as column names of a runs table; ``x`` in a law of one variable, which a model
        card maps to a column.
    rises_in
        Inputs in which the response rises; it falls in the others.
    monotone
        Whether the response is monotone in every input; a broken law need not be.
    breaks
        Number of breaks between its segments.
    ends
        Inputs whose coordinates refer to the smallest and the largest amount among the runs;
        references then include these as ``first_x`` and ``last_x`` (`ends_of`), and the level of
        the response is that at the largest amount.
    scale_free
        Whether the coordinates refer to a reference point and a relative response, so that the
        same priors serve any units; a user-defined law is in its own units.
    same_scale
        Inputs that must have the same scale as another one, since the formula compares the two.
    has_critical_batch
        Whether there is a critical batch size, which `efficient_frontier` uses.
    domains
        Number of domains of a mixture whose weights are the inputs; 0 for other inputs.
    fixed_reference
        Inputs whose reference is set by the law, not by the centre of the runs. Coordinates that
        depend on them have informative priors in their unit, for tables in which they do not vary.
    identifies
        For inputs of `fixed_reference`, the parameters that only runs at several values identify.
    parameters
        Natural parameters, as in the paper.
    coordinates
        Reference parametrisation: the response at a reference point (N0, D0), called `level`,
        its elasticities there, and exponents. Priors are stated on these, because data around the
        reference point identify them almost independently.
    shares
        Exponents that are elasticities divided by a share of the response at the reference:
        ``{"alpha": ("e_n",)}`` says ``alpha = e_n / s`` with ``s`` the share of the size term;
        with several elasticities it is their sum. Shares are positive and leave a positive
        remainder; that is the law's only constraint.
    traded
        Two elasticities of which only the sum is identified by runs along one line, if any.
    exponents
        Natural parameters that affect both the size and the slope of terms, with the coordinates
        proportional to each. A group effect on one also changes these coordinates, so that every
        term keeps its size at the centre: ``(x_c / x)^alpha`` with another ``alpha`` and the same
        ``x_c`` would change the loss everywhere, by an amount that depends on its unit.
    derived_meanings
        Description of each quantity of `derived`.

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
    response: ClassVar[str] = "loss"
    response_unit: ClassVar[str] = "nats/token"
    inputs: ClassVar[tuple[str, ...]] = ("n_params", "n_tokens")
    rises_in: ClassVar[frozenset[str]] = frozenset()
    monotone: ClassVar[bool] = True
    breaks: ClassVar[int] = 0
    ends: ClassVar[tuple[str, ...]] = ()
    scale_free: ClassVar[bool] = True
    same_scale: ClassVar[Mapping[str, str]] = {}
    domains: int = 0
    has_critical_batch: ClassVar[bool] = False
    fixed_reference: ClassVar[Mapping[str, float]] = {}
    identifies: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    parameters: ClassVar[Mapping[str, Parameter]]
    coordinates: ClassVar[Mapping[str, Parameter]]
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    traded: ClassVar[tuple[str, ...]] = ()
    exponents: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    derived_meanings: ClassVar[Mapping[str, str]] = {
        "a": "exponent of N_opt in compute",
        "b": "exponent of D_opt in compute",
        "g": "exponent of the reducible loss in compute",
    }

    def __eq__(self, other: object) -> bool:
        """Compare by value, so that a copy in another process is the same law."""
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    @abstractmethod
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        """Return the response at natural logarithms of the inputs."""

    @abstractmethod
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        """Return the coordinates at a reference point, from natural parameters."""

    @abstractmethod
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        """Return the natural parameters, from coordinates at a reference point."""

    def differing(self, coordinates: Values, differences: Values) -> dict[str, Value]:
        """Return the natural parameters of a level, for inputs relative to its centre.

        Parameters
        ----------
        coordinates
            Population-level coordinates at the centre of the level.
        differences
            Group effects by natural parameter, on its logarithm if it is positive.

        Notes
        -----
        Effects on `exponents` are applied first and leave the terms at the centre unchanged;
        those on other parameters follow. The result is therefore equivariant under a change of
        the unit of the response.
        """
        factors = {name: np.exp(x) for name, x in differences.items() if name in self.exponents}
        scaled = dict(coordinates)
        for name, factor in factors.items():
            for coordinate in self.exponents[name]:
                scaled[coordinate] = scaled[coordinate] * factor
        natural = self.from_reference(scaled, self.unit_reference)
        for name, difference in differences.items():
            if name not in factors:
                on_scale = self.on_scale(name, natural[name]) + difference
                natural[name] = self.off_scale(name, on_scale)
        return natural

    def on_scale(self, name: str, value: Value) -> Value:
        """Return a natural parameter on the scale of its group effects."""
        return np.log(value) if self.parameters[name].support == "positive" else value

    def off_scale(self, name: str, value: Value) -> Value:
        """Return a natural parameter from the scale of its group effects."""
        return np.exp(value) if self.parameters[name].support == "positive" else value

    def optimal_log_params(self, parameters: Values, log_product: Value) -> Value:
        """Return ln N that minimises the loss under ``N D = exp(log_product)``, in closed form.

        Raises
        ------
        NoClosedFormError
            If there is none; allocation of a law of N and D then uses a numerical search.
        """
        raise NoClosedFormError(f"The law {self.name} has no optimum in closed form.")

    def log_optimum(self, log_inputs: Values, parameters: Values) -> dict[str, Value]:
        """Return ln of the best learning rate and batch size, at ln of size and tokens.

        Raises
        ------
        UnsuitableLawError
            If the law has none.
        """
        raise UnsuitableLawError(
            f"hyperparameters: found the law {self.name}, which has no optimum of learning rate "
            "and batch size. Give a fit of learning-rate-batch, or the name of a published rule."
        )

    def efficient_frontier(self, parameters: Values, *, compute_min: Value) -> dict[str, Value]:
        """Return the compute-efficient frontier, at the critical batch size.

        Raises
        ------
        UnsuitableLawError
            If the law has no critical batch size.
        """
        raise UnsuitableLawError(f"The law {self.name} has no critical batch size.")

    def derived(self, parameters: Values) -> dict[str, Value]:
        """Return derived quantities of interest for planning.

        For a law of size and tokens whose frontier is a power law: a, b and g, of
        N_opt ~ C^a, D_opt ~ C^b and reducible loss ~ C^-g.
        """
        return {}

    def remarks(
        self, parameters: Values, ends: Mapping[str, tuple[float, float]]
    ) -> tuple[str, ...]:
        """Return sentences on what a posterior does not determine.

        Parameters
        ----------
        parameters
            Draws of the natural parameters.
        ends
            Minimum and maximum of each input among the runs.
        """
        return ()

    def comparable(
        self, amounts: Mapping[str, NDArray[np.float64]]
    ) -> Mapping[str, NDArray[np.float64]]:
        """Return inputs to compare plans with runs by; unchanged unless only ratios matter."""
        return amounts

    def starts(self, log_inputs: LogInputs) -> Sequence[Mapping[str, float]]:
        """Return starting coordinates of chains, one set per candidate mode of the posterior.

        Parameters
        ----------
        log_inputs
            Inputs of the runs.

        Returns
        -------
        sequence of dict
            For each candidate mode, the coordinates that do not start at typical values of their
            priors; empty for a law with one mode.
        """
        return ()

    def mode_of(self, parameters: Mapping[str, float]) -> str:
        """Return the name of the mode that contains a set of natural parameters."""
        return "one mode"

    @property
    def ships(self) -> bool:
        """Whether its formula is part of bayescale, so that its version identifies the code."""
        return type(self).__module__.startswith("bayescale.")

    @property
    def level(self) -> str:
        """Name of the coordinate that is the response at the reference point."""
        return f"{self.response}_ref"

    @property
    def floor(self) -> str:
        """Name of the parameter that is the irreducible response, empty if there is none."""
        return next((name for name, p in self.parameters.items() if p.is_floor), "")

    @property
    def unit_reference(self) -> dict[str, float]:
        """The reference point at which every input is one."""
        return dict.fromkeys(self.inputs, 1.0)

    @property
    def splits_compute(self) -> bool:
        """Whether compute can be split between size and tokens, once other inputs are fixed."""
        inputs = set(self.inputs)
        return self.response == "loss" and (
            {"n_params", "n_tokens"} <= inputs or {"n_params", "n_steps", "batch_tokens"} <= inputs
        )

    @property
    def takes_size_and_tokens(self) -> bool:
        """Whether compute can be split between size and tokens, which are the only inputs."""
        return self.response == "loss" and set(self.inputs) == {"n_params", "n_tokens"}

    def evaluate(self, **values: Value) -> Value:
        """Evaluate the law at given constants.

        Parameters
        ----------
        **values
            Every input and every natural parameter of the law, by name. Inputs are amounts:
            numbers, text such as ``"70B"``, arrays, or xarray objects that broadcast.

        Returns
        -------
        float, array or DataArray
            The loss (or other response), in the unit of the law's level parameters.

        Raises
        ------
        CardError
            If an input or a parameter is missing or unknown.
        AmountError
            If an amount cannot be read or is not positive.

        Examples
        --------
        >>> from bayescale.laws import law
        >>> chinchilla = law("chinchilla")
        >>> printed = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
        >>> round(float(chinchilla.evaluate(n_params="70B", n_tokens="1.4T", **printed)), 5)
        1.93665
        """
        self._check_names(values, (*self.inputs, *self.parameters))
        log_inputs = {name: np.log(_positive(values[name], name)) for name in self.inputs}
        return self.formula(log_inputs, {name: values[name] for name in self.parameters})

    def check_parameters(self, parameters: Mapping[str, object]) -> None:
        """Raise CardError unless `parameters` names exactly the law's parameters."""
        example = f"{{{next(iter(self.parameters))!r}: 1.7, ...}}"
        expect_mapping(parameters, "parameters", example, CardError)
        self._check_names(parameters, tuple(self.parameters))

    def _check_names(self, given: Mapping[str, object], expected: tuple[str, ...]) -> None:
        missing = [name for name in expected if name not in given]
        unknown = [name for name in given if name not in expected]
        if missing or unknown:
            found = "; ".join(
                f"{label} {', '.join(names)}"
                for label, names in (("missing", missing), ("unknown", unknown))
                if names
            )
            raise CardError(f"The law {self.name}: {found}. Expected {', '.join(expected)}.")

    def __repr__(self) -> str:
        return f"<law {self.name}: {self.title}>"


def ends_of(name: str) -> tuple[str, str]:
    """Return the names of the smallest and the largest amount of an input in a reference."""
    return f"first_{name}", f"last_{name}"


def _positive(amount: Any, name: str) -> Any:
    """Parse an amount; arrays and labelled arrays keep their type."""
    # Numbers are not limited in size, so that a formula can be evaluated in its limits.
    if isinstance(amount, str | list | tuple):
        values = parse_amounts(amount, "count", name)
        return values if isinstance(amount, list | tuple) else float(values[0])
    values = np.asarray(amount)
    if values.dtype.kind not in "iuf" or not bool(np.all(np.isfinite(values) & (values > 0))):
        raise AmountError(f"{name}: found {amount!r}, expected positive finite amounts.")
    return amount
