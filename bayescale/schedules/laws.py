"""Laws of the loss along a run under a schedule, with their cards: priors, each with its reason.

A law is a power of the area under the rate, minus the effect of drops of the rate so far:

    L(t) = E + A S1(t)^-alpha - sum_k (rate_{k-1} - rate_k) b g_k(t)

with g_k(t) the share of the effect of drop k that has been reached at step t, from zero to one.
The laws differ in g.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, override

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayescale.errors import CardError, listed
from bayescale.laws import Value, Values
from bayescale.model.priors import Beta, HalfNormal, LogNormal, Prior
from bayescale.schedules.schedule import Schedule

type Array = NDArray[np.float64]

_SHARED: Mapping[str, Prior] = {
    "loss_ref": LogNormal(
        median=1.0,
        log_sd=0.3,
        relative_to="observed",
        why="location only: the loss at the centre of the curves, at the peak rate, is within a "
        "factor 1.8 of the typical observed one; any curve determines it to a per cent",
    ),
    "reducible": Beta(
        a=1.5,
        b=8.0,
        why="90 % between 0.02 and 0.38 of the loss at the centre: 0.08 to 0.14 in the published "
        "constants of three sizes",
    ),
    "alpha": LogNormal(
        median=0.45,
        log_sd=0.4,
        why="90 % between 0.23 and 0.87: published exponents of the area are 0.43 to 0.51, those "
        "of tokens 0.28 to 0.5",
    ),
    "drop": LogNormal(
        median=0.04,
        log_sd=0.7,
        why="90 % between 0.013 and 0.13 of the loss for a rate that falls to zero: 0.033 to 0.058 "
        "in the published constants of three sizes",
    ),
}

DEPARTURES: Mapping[str, Prior] = {
    "sigma": HalfNormal(
        scale=0.01,
        why="90 % below 0.016: smooth curves depart from the law by 0.1 to 0.5 % of the loss, "
        "losses of single batches by more",
    ),
    "spread": LogNormal(
        median=0.1,
        log_sd=0.7,
        why="90 % between 0.03 and 0.32: the effect of drops differs from the law by up to a third "
        "either way, depending on the shape of the schedule",
    ),
}
"""Priors of noise and effects of runs, the same for all laws."""

MEANINGS: Mapping[str, str] = {
    "loss_ref": "loss at the centre of the curves, at the peak rate",
    "reducible": "share of that loss that a longer run at the peak rate removes",
    "alpha": "exponent of the area under the rate",
    "drop": "fall of the loss, relative to it, for a rate that falls from the peak to zero",
    "memory": "steps after which two thirds of the effect of a drop are reached",
    "reach": "steps at the peak rate after which the effect of a drop sets in",
    "beta": "exponent at which the effect of a drop is completed",
    "gamma": "exponent of the rate in the speed at which the effect of a drop is completed",
    "sigma": "scale of the noise of ln loss about the law",
    "spread": "standard deviation between schedules of ln of the effect of drops",
}
"""Meanings of the coordinates of the laws, and of noise and effects of runs."""


@dataclass(frozen=True)
class ScheduleLaw(ABC):
    """A law of the loss along a run under a schedule.

    Attributes
    ----------
    name, title, latex, sources
        Name, title, formula and citations.
    priors
        The card: a prior on each coordinate, with its reason.
    natural
        Names of the parameters of the paper.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    latex: ClassVar[str]
    sources: ClassVar[tuple[str, ...]]
    priors: ClassVar[Mapping[str, Prior]]
    natural: ClassVar[tuple[str, ...]]

    @property
    def all_priors(self) -> dict[str, Prior]:
        """The priors of all scalar parameters: of the law, of noise and of effects of runs."""
        return {**self.priors, **DEPARTURES}

    @abstractmethod
    def reached(self, nodes: Values, coordinates: Values) -> Value:
        """Return the share of the effect of each drop that is reached, from 0 to 1.

        Parameters
        ----------
        nodes
            Of each drop ``log_rate``, ln of the rate after it over the peak; ``since``, the area
            since then over the peak; and ``log_steps``, ln of the steps since then.
        coordinates
            The coordinates of the law.
        """

    def loss(self, log_area: Value, fallen: Value, coordinates: Values) -> Value:
        """Return the loss.

        Parameters
        ----------
        log_area
            ln of the area under the rate, relative to that at the centre of the curves.
        fallen
            Effect of the drops so far, as a share of that of a fall from the peak to zero: the sum
            of drops, over the peak, times `reached`.
        coordinates
            The coordinates of the law.
        """
        c = coordinates
        excess = c["reducible"] * np.expm1(-c["alpha"] * log_area)
        return c["loss_ref"] * (1.0 + excess - c["drop"] * fallen)

    def evaluate(
        self, schedule: Schedule, step: ArrayLike, *, warmup: bool = False, **parameters: float
    ) -> Array:
        """Return the loss at steps of a schedule, from the parameters of the paper.

        Parameters
        ----------
        schedule, step
            The schedule, and steps of it.
        warmup
            Whether the rise of the warm-up counts, as in the published constants. Without it E is
            that of a run that is always at the peak rate.
        **parameters
            Every parameter of `natural`.

        Raises
        ------
        CardError
            If a parameter is missing or unknown.

        Examples
        --------
        >>> schedule = Schedule.cosine(3e-4, 24_000, final=3e-5, warmup=2_160)
        >>> constants = PUBLISHED["25M"]
        >>> loss = LAWS["multi-power"].evaluate(schedule, 23_920, warmup=True, **constants)
        >>> round(float(loss), 3)
        3.315
        """
        if set(parameters) != set(self.natural):
            raise CardError(
                f"The law {self.name}: found {listed(parameters)}, expected {listed(self.natural)}."
            )
        p = dict(parameters)
        power = p.pop("E") + p.pop("A") * schedule.area(step) ** -p.pop("alpha")
        return np.asarray(power - self._fallen(schedule, step, warmup, p))

    @abstractmethod
    def _fallen(
        self, schedule: Schedule, step: ArrayLike, warmup: bool, parameters: dict[str, float]
    ) -> Array:
        """Return the decrease of the loss by drops."""

    @abstractmethod
    def parameters(self, coordinates: Values, area: float, peak: float) -> dict[str, Value]:
        """Return the parameters of the paper.

        Parameters
        ----------
        coordinates
            The coordinates of the law.
        area, peak
            The area under the rate at the centre of the curves, and the peak rate.
        """

    @staticmethod
    def _power(coordinates: Values, area: float) -> dict[str, Value]:
        c = coordinates
        scale = c["loss_ref"] * c["reducible"] * np.exp(c["alpha"] * np.log(area))
        return {"E": c["loss_ref"] * (1.0 - c["reducible"]), "A": scale, "alpha": c["alpha"]}


class Annealing(ScheduleLaw):
    """L = E + A S1^-alpha - C S2 (Tissue et al. 2024), S2 the annealing area with momentum.

    The final effect of a drop is C / (1 - decay) times its size; two thirds of it are reached
    after 1 / (1 - decay) steps, independent of the rate.
    """

    name = "annealing"
    title = "a power of the area under the rate, minus the annealing area with momentum"
    latex = r"L = E + A S_1^{-\alpha} - C S_2"
    sources = ("Tissue et al. 2024, arXiv:2408.11029",)
    natural = ("E", "A", "alpha", "C", "decay")
    priors: ClassVar[Mapping[str, Prior]] = {
        **_SHARED,
        "memory": LogNormal(
            median=1000.0,
            log_sd=1.0,
            why="90 % between 190 and 5,200 steps: a decay of the momentum of 0.999 per step is "
            "1,000 steps; batches of another size take others",
        ),
    }

    @override
    def reached(self, nodes: Values, coordinates: Values) -> Value:
        return -np.expm1(-np.exp(nodes["log_steps"]) / coordinates["memory"])

    @override
    def _fallen(
        self, schedule: Schedule, step: ArrayLike, warmup: bool, parameters: dict[str, float]
    ) -> Array:
        return parameters["C"] * schedule.annealing_area(step, parameters["decay"], warmup=warmup)

    @override
    def parameters(self, coordinates: Values, area: float, peak: float) -> dict[str, Value]:
        c = coordinates
        rest = -np.expm1(-1.0 / c["memory"])
        return {
            **self._power(c, area),
            "C": c["loss_ref"] * c["drop"] / peak * rest,
            "decay": 1.0 - rest,
        }


class MultiPower(ScheduleLaw):
    """L = E + A S1^-alpha - B sum_k (rate_{k-1} - rate_k) G(rate_k^-gamma S_k) (Luo et al. 2025).

    G(x) = 1 - (1 + C x)^-beta, and S_k is the area under the rate since drop k: the effect of a
    drop is completed as a power of what is learnt after it, at small rates slowly.
    """

    name = "multi-power"
    title = "a power of the area under the rate, minus powers of the area since each drop"
    latex = (
        r"L = E + A S_1^{-\alpha} - B \sum_k (\eta_{k-1} - \eta_k)"
        r" [1 - (1 + C \eta_k^{-\gamma} S_k)^{-\beta}]"
    )
    sources = ("Luo et al. 2025, arXiv:2503.12811",)
    natural = ("E", "A", "alpha", "B", "C", "beta", "gamma")
    priors: ClassVar[Mapping[str, Prior]] = {
        **_SHARED,
        "reach": LogNormal(
            median=10.0,
            log_sd=1.5,
            why="90 % between 1 and 120 steps: 9 to 10 in the published constants of three sizes; "
            "batches of another size take others",
        ),
        "beta": LogNormal(
            median=0.6,
            log_sd=0.4,
            why="90 % between 0.31 and 1.2: 0.58 to 0.60 in the published constants",
        ),
        "gamma": LogNormal(
            median=0.6,
            log_sd=0.4,
            why="90 % between 0.31 and 1.2: 0.63 to 0.66 in the published constants",
        ),
    }

    @override
    def reached(self, nodes: Values, coordinates: Values) -> Value:
        c = coordinates
        faster = np.exp(-c["gamma"] * nodes["log_rate"])
        return -np.expm1(-c["beta"] * np.log1p(nodes["since"] / c["reach"] * faster))

    @override
    def _fallen(
        self, schedule: Schedule, step: ArrayLike, warmup: bool, parameters: dict[str, float]
    ) -> Array:
        scale = parameters.pop("B")
        return scale * schedule.loss_drop(step, warmup=warmup, **parameters)

    @override
    def parameters(self, coordinates: Values, area: float, peak: float) -> dict[str, Value]:
        c = coordinates
        return {
            **self._power(c, area),
            "B": c["loss_ref"] * c["drop"] / peak,
            "C": np.exp((c["gamma"] - 1.0) * np.log(peak)) / c["reach"],
            "beta": c["beta"],
            "gamma": c["gamma"],
        }


LAWS: Mapping[str, ScheduleLaw] = {law.name: law for law in (MultiPower(), Annealing())}
"""The laws, by name."""

_NATURAL = MultiPower.natural
PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "25M": dict(
        zip(
            _NATURAL,
            (3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013, 0.64142257),
            strict=True,
        )
    ),
    "100M": dict(
        zip(
            _NATURAL,
            (2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199, 0.65523644),
            strict=True,
        )
    ),
    "400M": dict(
        zip(
            _NATURAL,
            (2.37474466, 0.65421216, 0.42878731, 523.42464371, 2.02462735, 0.59350493, 0.63472457),
            strict=True,
        )
    ),
}
"""Constants of the multi-power law of three sizes (Luo et al. 2025, as released with its code).

They are for rates that are not rescaled, with a peak of 3e-4 after a warm-up of 2,160 steps,
which is included.
"""
