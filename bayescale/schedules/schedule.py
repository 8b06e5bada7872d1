"""Schedule: the learning rate at every step of a run, and the sums over it in laws."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal

from bayescale.errors import AmountError, listed, quoted

type Array = NDArray[np.float64]

_TWO_STAGES = "two stages"

LONGEST = 10_000_000
"""Most steps of a schedule, which bounds memory."""

DECAYS = ("exponential", "linear", "sqrt")
"""Shapes of the decay of a warm-up, stable, decay schedule."""


@dataclass(frozen=True, eq=False, repr=False)
class Schedule:
    """The learning rate at every step of a run.

    Attributes
    ----------
    rates
        The rate of each step, from step 1 on.
    text
        A short description.

    Notes
    -----
    Sums are exact, over all steps. The warm-up counts towards the area
    under the rate. Drops are counted from its end: its rise is the same for all runs of a recipe,
    and a table of runs seldom shows it.

    Examples
    --------
    >>> cosine = Schedule.cosine(peak=3e-4, steps=24_000, final=3e-5, warmup=2_160)
    >>> cosine.steps, cosine.warmup
    (24000, 2160)
    >>> round(float(cosine.area(24_000)), 3)
    3.928
    """

    rates: Array
    text: str = ""

    def __post_init__(self) -> None:
        rates = np.asarray(self.rates, dtype=np.float64)
        if rates.ndim != 1 or not 1 <= len(rates) <= LONGEST:
            raise AmountError(
                f"schedule: found rates of shape {rates.shape}, expected one for each of 1 to "
                f"{LONGEST:,} steps."
            )
        if np.any(wrong := ~(np.isfinite(rates) & (rates >= 0.0))) or not rates.any():
            step = int(np.argmax(wrong)) + 1
            raise AmountError(
                f"schedule: found the rate {rates[step - 1]} at step {step}, expected finite "
                "rates of at least zero, and some above it."
            )
        rates.setflags(write=False)
        object.__setattr__(self, "rates", rates)

    @classmethod
    def constant(cls, peak: float, steps: int, *, warmup: int = 0) -> Self:
        """Return a constant rate, after a linear warm-up if any."""
        return cls._warmed("constant", peak, steps, warmup, 0, peak, lambda x: np.zeros_like(x))

    @classmethod
    def cosine(cls, peak: float, steps: int, *, final: float = 0.0, warmup: int = 0) -> Self:
        """Return half a cosine from the peak at the end of the warm-up to the last step."""
        return cls._warmed(
            "cosine", peak, steps, warmup, warmup, final, lambda x: 0.5 - 0.5 * np.cos(np.pi * x)
        )

    @classmethod
    def linear(cls, peak: float, steps: int, *, final: float = 0.0, warmup: int = 0) -> Self:
        """Return a linear decay from the peak at the end of the warm-up to the last step."""
        return cls._warmed("linear", peak, steps, warmup, warmup, final, lambda x: x)

    @classmethod
    def wsd(
        cls,
        peak: float,
        steps: int,
        *,
        decay_from: int,
        final: float = 0.0,
        warmup: int = 0,
        decay: Literal["exponential", "linear", "sqrt"] = "linear",
    ) -> Self:
        """Return a warm-up, a stable rate and, after `decay_from` steps, a decay.

        Parameters
        ----------
        peak, final
            The stable and the last rate.
        steps, decay_from, warmup
            Steps in all, before the decay, and of the warm-up.
        decay
            ``"linear"``; ``"exponential"``, for which the last rate must be positive; or
            ``"sqrt"``, one minus the root of the share of the decay (Hägele et al. 2024,
            arXiv:2405.18392).
        """
        if decay not in DECAYS:
            raise AmountError(f"decay: found {quoted(decay)}, expected {listed(DECAYS)}.")
        if decay == "exponential" and final <= 0:
            raise AmountError(
                f"final: found {final:g}, expected a positive rate: an exponential "
                "decay never reaches zero."
            )
        shapes: dict[str, Callable[[Array], Array]] = {
            "linear": lambda x: x,
            "sqrt": lambda x: np.sqrt(x),
            "exponential": lambda x: -np.expm1(x * np.log(final / peak)) / (1.0 - final / peak),
        }
        return cls._warmed(f"wsd, {decay}", peak, steps, warmup, decay_from, final, shapes[decay])

    @classmethod
    def two_stage(
        cls, peak: float, steps: int, *, second: float, change: int, warmup: int = 0
    ) -> Self:
        """Return a constant rate and, after `change` steps, another one."""
        return cls._warmed(
            _TWO_STAGES, peak, steps, warmup, change, second, lambda x: np.ones_like(x)
        )

    @classmethod
    def table(cls, steps: ArrayLike, rates: ArrayLike) -> Self:
        """Return a schedule that interpolates given points linearly.

        Parameters
        ----------
        steps, rates
            Steps in increasing order, and the rate of each. Before the first step the rate is
            that of the first; the last step is the end.
        """
        at, known = (np.asarray(x, dtype=np.float64).ravel() for x in (steps, rates))
        if len(at) != len(known) or not len(at):
            raise AmountError(
                f"schedule: found {len(at)} steps and {len(known)} rates, expected one "
                "rate for each step, and at least one."
            )
        whole = bool(np.isfinite(at).all() and np.all(at == np.round(at)) and at[0] >= 0)
        if not whole or np.any(np.diff(at) <= 0) or not 1 <= at[-1] <= LONGEST:
            raise AmountError(
                f"schedule: found the steps {listed(at.tolist(), most=4)}, expected integers "
                f"in increasing order, up to {LONGEST:,}."
            )
        return cls(np.interp(np.arange(1.0, at[-1] + 1.0), at, known), f"table of {len(at)} points")

    @classmethod
    def _warmed(
        cls,
        name: str,
        peak: float,
        steps: int,
        warmup: int,
        decay_from: int,
        final: float,
        shape: Callable[[Array], Array],
    ) -> Self:
        """Return a linear warm-up, the peak, and a decay along a shape from zero to one."""
        for what, count in (("steps", steps), ("warmup", warmup), ("decay_from", decay_from)):
            if count != int(count) or not 0 <= count <= LONGEST:
                raise AmountError(
                    f"{name} schedule: found {what} = {quoted(count)}, expected an integer up "
                    f"to {LONGEST:,}."
                )
        if not warmup < steps or not warmup <= max(decay_from, warmup) < steps:
            raise AmountError(
                f"{name} schedule: found {int(steps)} steps, a warm-up of {int(warmup)} and a "
                f"change after {int(decay_from)}, expected the warm-up to end before the change, "
                "and the change before the last step."
            )
        if not (np.isfinite(peak) and peak > 0 and np.isfinite(final) and final >= 0):
            raise AmountError(
                f"{name} schedule: found rates {peak:g} and {final:g}, expected a positive "
                "peak, and a last rate of at least zero."
            )
        if name != _TWO_STAGES and final > peak:
            raise AmountError(
                f"{name} schedule: found a last rate of {final:g}, above the peak of {peak:g}; "
                "expected at most the peak."
            )
        step = np.arange(1.0, steps + 1.0)
        along = np.clip((step - decay_from) / (steps - decay_from), 0.0, 1.0)
        rates = peak + (final - peak) * np.where(step > decay_from, shape(along), 0.0)
        rates[: int(warmup)] = peak * step[: int(warmup)] / max(warmup, 1)
        return cls(rates, f"{name}, peak {peak:g}, {int(steps):,} steps")

    def __repr__(self) -> str:
        return f"<schedule {self.text or f'of {self.steps:,} steps'}>"

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.rates)

    @cached_property
    def warmup(self) -> int:
        """The step at which the rate first is at its first peak."""
        changes = np.diff(self.rates)
        falls = np.flatnonzero(changes < 0)
        peak = self.rates[falls[0] if len(falls) else -1]
        return int(np.argmax(self.rates[: (falls[0] + 1 if len(falls) else None)] >= peak)) + 1

    @cached_property
    def peak(self) -> float:
        """The largest rate."""
        return float(self.rates.max())

    @cached_property
    def changes(self) -> Array:
        """The fall of the rate from the preceding step, of each step, starting from zero."""
        return -np.diff(self.rates, prepend=0.0)

    @cached_property
    def drops(self) -> Array:
        """The fall of the rate from the preceding step, of each step; zero in the warm-up."""
        return np.where(np.arange(self.steps) < self.warmup, 0.0, self.changes)

    @cached_property
    def _areas(self) -> Array:
        return np.concatenate([[0.0], np.cumsum(self.rates)])

    def area(self, step: ArrayLike) -> Array:
        """Return S1, the sum of the rates up to each step, that of the warm-up included."""
        return self._areas[self._places(step)]

    def annealing_area(
        self, step: ArrayLike, decay: float = 0.999, *, warmup: bool = False
    ) -> Array:
        """Return S2, the annealing area with momentum, at each step.

        S2 is the sum over steps of m_i = decay m_{i-1} + (rate_{i-1} - rate_i) (Tissue et al. 2024,
        arXiv:2408.11029).

        Parameters
        ----------
        step
            Steps.
        decay
            Decay of the momentum per step, below one.
        warmup
            Whether the rise of the warm-up from zero counts, as a negative drop.
        """
        momentum = signal.lfilter([1.0], [1.0, -decay], self.changes if warmup else self.drops)
        return np.concatenate([[0.0], np.cumsum(momentum)])[self._places(step)]

    def loss_drop(
        self, step: ArrayLike, *, C: float, beta: float, gamma: float, warmup: bool = False
    ) -> Array:
        """Return the sum by which the multi-power law lowers the loss, over B, at each step.

        The sum over steps k up to t of (rate_{k-1} - rate_k) [1 - (1 + C rate_k^-gamma S_k)^-beta],
        with S_k the sum of the rates from k to t (Luo et al. 2025, arXiv:2503.12811).

        Parameters
        ----------
        step
            Steps.
        C, beta, gamma
            Constants of the law, for rates that are not rescaled.
        warmup
            Whether the rise of the warm-up from zero counts, as a negative drop.
        """
        places = self._places(step)
        drops = self.changes if warmup else self.drops
        at = np.flatnonzero(drops)
        rates = np.maximum(self.rates[at], np.finfo(float).tiny)
        found = []
        for place in np.ravel(places):
            until = np.searchsorted(at, place)  # Steps count from one.
            since = self._areas[place] - self._areas[at[:until]]
            left = (1.0 + C * rates[:until] ** -gamma * since) ** -beta
            found.append(drops[at[:until]] @ (1.0 - left))
        return np.reshape(found, np.shape(places))

    def until(self, step: int) -> "Schedule":
        """Return the first steps of the schedule."""
        return Schedule(self.rates[: int(self._places(step))], self.text)

    def _places(self, step: ArrayLike) -> NDArray[np.int64]:
        at = np.asarray(step, dtype=np.float64)
        wrong = ~((at >= 1) & (at <= self.steps) & (at == np.round(at)))
        if wrong.any():
            raise AmountError(
                f"step: found {at[wrong].flat[0]:g}, expected whole steps from 1 to "
                f"{self.steps:,}, those of the schedule ({self.text})."
            )
        return at.astype(np.int64)
