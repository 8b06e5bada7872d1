"""Constants of papers: parameters of a law, or power laws along a frontier, with their source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bayescale.errors import AmountError, CardError, expect_mapping
from bayescale.laws import law
from bayescale.units import PF_DAY, Amount, parse_amounts


class Cited:
    """Base class of published constants, with the citation of their source."""

    __slots__ = ()

    source: str

    @property
    def citation(self) -> str:
        """Authors and year, ``Hoffmann et al. 2022``, or the name of a repository."""
        return self.source.split(",")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants(Cited):
    """A published set of natural parameters of one law.

    `bayescale.allocate` accepts it instead of a fit, as a posterior of one draw. `inputs` names
    the column of the variable of a law of one variable.
    """

    name: str
    law: str
    parameters: Mapping[str, float]
    source: str
    note: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        law(self.law).check_parameters(self.parameters)
        expect_mapping(self.inputs, "inputs", "{'x': 'compute'}", CardError)
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    @property
    def subject(self) -> str:
        """The law of the constants."""
        return f"law {self.law}"

    @property
    def remarks(self) -> str:
        """Their caveats."""
        return self.note

    @property
    def response(self) -> str:
        """The quantity that the law predicts."""
        return law(self.law).response

    @property
    def columns(self) -> dict[str, str]:
        """Column of the runs for each input of the law."""
        return {name: self.inputs.get(name, name) for name in law(self.law).inputs}

    @property
    def description(self) -> str:
        """One line: the source of the constants, and their caveats."""
        note = f" Note: {self.note}." if self.note else ""
        return f"{self.name}: {self.source}.{note}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmpiricalFrontier(Cited):
    """Published power laws in compute of the compute-optimal quantities.

    These are separate fits, not the optimum of a law. Those of Kaplan et al. are in C_min, the
    compute needed for the same loss far below the critical batch size; at the critical batch size
    the compute spent is twice C_min.

    Attributes
    ----------
    variable
        ``"compute"`` or ``"compute_min"``, which are not interchangeable.
    coefficients
        Scale and exponent of each quantity, in `unit`.
    counting
        What size and compute mean in it.
    unit
        The compute at which the scales are, in FLOP: a PF-day unless given.
    loss
        Scale and exponent of the loss, (scale / C)^exponent; None if the paper has none.
    """

    name: str
    source: str
    variable: str
    coefficients: Mapping[str, tuple[float, float]]
    counting: str
    unit: float = PF_DAY
    loss: tuple[float, float] | None = None

    @property
    def subject(self) -> str:
        """The quantities along the frontier, and the kind of compute."""
        return f"frontier of {', '.join(self.coefficients)} in {self.variable}"

    @property
    def remarks(self) -> str:
        """What size and compute mean in it."""
        return self.counting

    def at(
        self, *, compute: Amount | None = None, compute_min: Amount | None = None
    ) -> dict[str, float]:
        """Return the size, and the batch, steps, tokens and loss that the paper gives.

        Parameters
        ----------
        compute, compute_min
            Compute spent, or batch-adjusted, in FLOP or as text such as ``"1 PF-days"``: the one
            named by `variable`.

        Returns
        -------
        dict
            ``n_params``, ``batch_tokens``, ``n_steps`` (S_min), ``n_tokens`` and ``loss``
            (nats/token), or ``flop_per_token``, as far as the paper gives them.

        Raises
        ------
        AmountError
            If the other compute is given, or neither.

        Examples
        --------
        >>> from bayescale import published
        >>> frontier = published("kaplan2020-frontier")
        >>> f"{frontier.at(compute_min='1 PF-days')['n_params']:.3g}"
        '1.3e+09'
        """
        amounts = {"compute": compute, "compute_min": compute_min}
        amount = amounts[self.variable]
        if amount is None or None not in amounts.values():
            given = [name for name, value in amounts.items() if value is not None]
            found = ", ".join(given) or "nothing"
            raise AmountError(f"{self.name}: found {found}, expected {self.variable} alone.")
        c = float(parse_amounts(amount, "compute", self.variable)[0]) / self.unit
        point = {name: float(k * c**power) for name, (k, power) in self.coefficients.items()}
        if self.loss is None:
            return point
        scale, exponent = self.loss
        return {**point, "loss": float((scale / c) ** exponent)}
