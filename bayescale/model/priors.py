"""The prior distributions available in cards.

Each has its density as a PyMC distribution, NumPy draws, and the reason for its parameters.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal, override

import numpy as np
from numpy.typing import NDArray

from bayescale.errors import CardError, did_you_mean, expect_mapping, quoted

type RelativeTo = Literal["", "observed"]
type Support = Literal["positive", "unit", "real"]


LARGEST = 1e300
"""Upper limit on the parameters of a prior, within the range of floats."""


@dataclass(frozen=True, kw_only=True)
class Prior(ABC):
    """A prior on one quantity, with the reason for it.

    Attributes
    ----------
    why
        Reason for these parameters; required.
    relative_to
        ``"observed"`` if the quantity is a loss (or other response) in units of the typical
        observed one, so that the prior does not depend on its unit (nats, bits per byte).
    """

    kind: ClassVar[str]
    support: ClassVar[Support] = "positive"

    why: str
    relative_to: RelativeTo = ""

    def __post_init__(self) -> None:
        if not isinstance(self.why, str) or not self.why.strip():
            raise CardError(f"A {self.kind} prior without a reason; state it in `why`.")
        if self.relative_to not in ("", "observed"):
            raise CardError(
                f"relative_to: found {quoted(self.relative_to)}, expected 'observed' or nothing."
            )
        for name, value in self.numbers().items():
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise CardError(f"{self.kind} prior: {name} = {quoted(value)}, expected a number.")
            free = name in ("lower", "mean")
            if not abs(value) < LARGEST or (value <= 0 and not free):
                raise CardError(
                    f"{self.kind} prior: {name} = {quoted(value)}, expected a "
                    f"{'finite' if free else 'positive finite'} number."
                )

    @property
    def lower(self) -> float:
        """Lower bound of a positive quantity."""
        return 0.0

    @property
    @abstractmethod
    def typical(self) -> float:
        """A central value, where chains may start."""

    @abstractmethod
    def distribution(self) -> tuple[Any, dict[str, float]]:
        """Return the PyMC distribution class and its arguments."""

    def variable(self, name: str) -> Any:
        """Add the quantity to the PyMC model in context; `constrain` undoes its transform."""
        from pymc.distributions.transforms import Interval, logodds

        cls, arguments = self.distribution()
        transform = {
            # The bound only sets the transform: its normalising constant has no parameters.
            "positive": Interval(lower=self.lower, upper=None),
            "unit": logodds,
            "real": None,
        }[self.support]
        return cls(name, **arguments, default_transform=transform)

    def constrain(self, free: Any) -> Any:
        """Return the quantity from its unconstrained value: ln (x - lower), logit x, or x."""
        if self.support == "positive":
            return self.lower + np.exp(free)
        return 1.0 / (1.0 + np.exp(-free)) if self.support == "unit" else free

    def unconstrain(self, value: Any) -> Any:
        """Return the unconstrained value of the quantity; the inverse of `constrain`."""
        if self.support == "positive":
            return np.log(value - self.lower)
        return np.log(value / (1.0 - value)) if self.support == "unit" else value

    def log_jacobian(self, value: Any) -> Any:
        """Return ln |d quantity / d free|, the log Jacobian of `constrain`."""
        if self.support == "positive":
            return np.log(value - self.lower)
        return np.log(value) + np.log1p(-value) if self.support == "unit" else 0.0

    def log_density(self, value: Any, instead: Mapping[str, Any] | None = None) -> Any:
        """Return the log density of a PyTensor value, on the constrained scale.

        Parameters
        ----------
        value
            The quantity.
        instead
            Arguments of `distribution` to use instead of its own, as variables of the graph.
        """
        import pymc as pm

        cls, arguments = self.distribution()
        return pm.logp(cls.dist(**(instead or arguments)), value)

    @abstractmethod
    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """Return independent draws."""

    @abstractmethod
    def above(self, value: float) -> float:
        """Return the survival function at a value."""

    def numbers(self) -> dict[str, float]:
        """Return the parameters of the distribution."""
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in ("why", "relative_to")
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the prior as a card states it."""
        relative = {"relative_to": self.relative_to} if self.relative_to else {}
        return {"distribution": self.kind, **self.numbers(), **relative, "why": self.why}

    def __str__(self) -> str:
        inside = ", ".join(f"{name} {value:g}" for name, value in self.numbers().items())
        return f"{self.kind}({inside})" + (" x observed" if self.relative_to else "")


@dataclass(frozen=True, kw_only=True)
class LogNormal(Prior):
    """ln x ~ Normal(ln median, log_sd)."""

    kind = "lognormal"

    median: float
    log_sd: float

    @property
    @override
    def typical(self) -> float:
        return self.median

    @override
    def distribution(self) -> tuple[Any, dict[str, float]]:
        import pymc as pm

        return pm.LogNormal, {"mu": math.log(self.median), "sigma": self.log_sd}

    @override
    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        return self.median * np.exp(self.log_sd * rng.standard_normal(size))

    @override
    def above(self, value: float) -> float:
        from scipy.special import ndtr

        return float(ndtr((math.log(self.median) - math.log(value)) / self.log_sd))


@dataclass(frozen=True, kw_only=True)
class HalfNormal(Prior):
    """The absolute value of a Normal(0, scale)."""

    kind = "halfnormal"

    scale: float

    @property
    @override
    def typical(self) -> float:
        return self.scale

    @override
    def distribution(self) -> tuple[Any, dict[str, float]]:
        import pymc as pm

        return pm.HalfNormal, {"sigma": self.scale}

    @override
    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        return self.scale * np.abs(rng.standard_normal(size))

    @override
    def above(self, value: float) -> float:
        from scipy.special import ndtr

        return float(2.0 * ndtr(-value / self.scale))


@dataclass(frozen=True, kw_only=True)
class HalfCauchy(Prior):
    """The absolute value of a Cauchy(0, scale): mostly small, with a heavy tail."""

    kind = "halfcauchy"

    scale: float

    @property
    @override
    def typical(self) -> float:
        return self.scale

    @override
    def distribution(self) -> tuple[Any, dict[str, float]]:
        import pymc as pm

        return pm.HalfCauchy, {"beta": self.scale}

    @override
    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        return self.scale * np.abs(rng.standard_cauchy(size))

    @override
    def above(self, value: float) -> float:
        return math.atan2(self.scale, value) / (0.5 * math.pi)


@dataclass(frozen=True, kw_only=True)
class Gamma(Prior):
    """Gamma(shape, rate), restricted to x > lower."""

    kind = "gamma"

    shape: float
    rate: float
    lower: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lower < 0:
            raise CardError(f"gamma prior: lower = {self.lower}, expected 0 or more.")

    @property
    @override
    def typical(self) -> float:
        return self.lower + self.shape / self.rate

    @override
    def distribution(self) -> tuple[Any, dict[str, float]]:
        import pymc as pm

        return pm.Gamma, {"alpha": self.shape, "beta": self.rate}

    @override
    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        from scipy.special import gammainc, gammaincinv

        scale = 1 / self.rate
        uniform = rng.uniform(gammainc(self.shape, self.lower / scale), 1.0, size)
        return np.asarray(gammaincinv(self.shape, uniform) * scale)

    @override
    def above(self, value: float) -> float:
        from scipy.special import gammaincc

        whole = gammaincc(self.shape, self.rate * self.lower)
        return float(gammaincc(self.shape, self.rate * max(value, self.lower)) / whole)


@dataclass(frozen=True, kw_only=True)
class Normal(Prior):
    """Normal(mean, sd), for a quantity of either sign."""

    kind = "normal"
    support = "real"

    mean: float
    sd: float

    @property
    @override
    def typical(self) -> float:
        return self.mean

    @override
    def distribution(self) -> tuple[Any, dict[str, float]]:
        import pymc as pm

        return pm.Normal, {"mu": self.mean, "sigma": self.sd}

    @override
    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        return self.mean + self.sd * rng.standard_normal(size)

    @override
    def above(self, value: float) -> float:
        from scipy.special import ndtr

        return float(ndtr((self.mean - value) / self.sd))


@dataclass(frozen=True, kw_only=True)
class Beta(Prior):
    """Beta(a, b), for a share between 0 and 1."""

    kind = "beta"
    support = "unit"

    a: float
    b: float

    @property
    @override
    def typical(self) -> float:
        return self.a / (self.a + self.b)

    @override
    def distribution(self) -> tuple[Any, dict[str, float]]:
        import pymc as pm

        return pm.Beta, {"alpha": self.a, "beta": self.b}

    @override
    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        return rng.beta(self.a, self.b, size)

    @override
    def above(self, value: float) -> float:
        from scipy.special import betaincc

        return float(betaincc(self.a, self.b, value))


PRIORS: Mapping[str, type[Prior]] = {
    prior.kind: prior for prior in (LogNormal, HalfNormal, HalfCauchy, Gamma, Normal, Beta)
}


def prior_from_dict(content: object, where: str) -> Prior:
    """Build a prior from a card's table; anything unknown raises CardError with its location."""
    if not isinstance(content, Mapping):
        raise CardError(f"{where}: found {quoted(content)}, expected a table with `distribution`.")
    kind = str(content.get("distribution"))
    if kind not in PRIORS:
        hint = did_you_mean(kind, PRIORS)
        raise CardError(
            f"{where}: found distribution {quoted(kind)}, expected one of "
            f"{', '.join(PRIORS)}.{hint}"
        )
    cls = PRIORS[kind]
    known = {f.name: f for f in fields(cls)}
    given = {key: value for key, value in content.items() if key != "distribution"}
    for key in given:
        if key not in known:
            raise CardError(
                f"{where}: found the unknown key {quoted(key)}; a {kind} prior takes "
                f"{', '.join(known)}.{did_you_mean(key, known)}"
            )
    missing = [n for n, f in known.items() if n not in given and f.default is MISSING]
    if missing:
        raise CardError(f"{where}: {', '.join(missing)} missing from the {kind} prior.")
    try:
        return cls(**given)
    except CardError as error:
        raise CardError(f"{where}: {error}") from None


def check_prior(
    where: str, prior: object, *, positive: bool = False, expected: str = "a prior"
) -> Prior:
    """Return a prior, or raise CardError unless it is one, of a positive quantity if asked."""
    if not isinstance(prior, Prior) or (positive and prior.support != "positive"):
        raise CardError(f"{where}: found {quoted(prior)}, expected {expected}.")
    return prior


def check_priors(
    where: str, owner: str, expected: Collection[str], priors: Mapping[str, Prior]
) -> None:
    """Raise CardError unless there is a prior on each expected quantity, and on no other."""
    expect_mapping(priors, where, f"{{{next(iter(expected))!r}: LogNormal(...)}}", CardError)
    for name, prior in priors.items():
        if name not in expected:
            hint = did_you_mean(name, expected)
            raise CardError(
                f"{where}: found a prior on {quoted(name)}, which {owner} does not have; it has "
                f"{', '.join(expected)}.{hint}"
            )
        check_prior(f"{where}.{name}", prior)
    missing = [name for name in expected if name not in priors]
    if missing:
        raise CardError(f"{where}: no prior on {', '.join(missing)}; {owner} needs one on each.")
