"""Broken power laws of one variable, in coordinates of the ends of the data."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, combinations, pairwise
from operator import mul
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import UNSTATED, Law, LogInputs, Parameter, Value, Values, ends_of
from bayescale.laws.dispatch import softplus

_LOSS = "nats/token"

_LAST = Parameter(meaning="loss at the last x", symbol=r"L_\mathrm{ref}", unit=_LOSS)

_MARGIN = 0.05
"""Share of the range of ln x by which breaks may lie outside either end."""

_NOTABLE = 0.05
"""Posterior probability from which a break is reported to lie outside the data."""


class _Broken(Law):
    """Base class of broken power laws: places and widths of ordered breaks."""

    sources = ("Caballero et al. 2022, arXiv:2210.14891",)
    inputs = ("x",)
    ends: ClassVar[tuple[str, ...]] = ("x",)
    # A segment may rise, if the prior on its slope allows.
    monotone = False

    def __init__(self, breaks: int) -> None:
        self.breaks = breaks  # type: ignore[misc]

    def _of_slopes(self) -> dict[str, Parameter]:
        """Return level, slopes, positions and widths, as natural parameters."""
        numbers = range(1, self.breaks + 1)
        return {
            "b": Parameter(meaning="level", symbol="b", unit=_LOSS),
            "c0": Parameter(meaning="first slope", symbol="c_0", support="real"),
            **{
                f"c{i}": Parameter(
                    meaning=f"change of slope at break {i}", symbol=f"c_{i}", support="real"
                )
                for i in numbers
            },
            **{
                f"d{i}": Parameter(
                    meaning=f"position of break {i}", symbol=f"d_{i}", unit="unit of x"
                )
                for i in numbers
            },
            **{
                f"f{i}": Parameter(meaning=f"smoothness of break {i}", symbol=f"f_{i}")
                for i in numbers
            },
        }

    def _of_breaks(self) -> dict[str, Parameter]:
        """Return places and widths, as coordinates."""
        return {
            **{
                f"break{i}": Parameter(
                    meaning=f"place of break {i} between "
                    + ("the first x" if i == 1 else f"break {i - 1}")
                    + " and the last, on a log scale",
                    symbol=f"t_{i}",
                    support="unit",
                )
                for i in range(1, self.breaks + 1)
            },
            **{
                f"f{i}": Parameter(meaning=f"smoothness of break {i}", symbol=f"f_{i}")
                for i in range(1, self.breaks + 1)
            },
        }

    def log_shape(self, log_inputs: Values, p: Values) -> Value:
        """Return ln of the reducible loss at b = 1; it is finite where its exponential is not."""
        log_shape = -p["c0"] * log_inputs["x"]
        for i in range(1, self.breaks + 1):
            z = (log_inputs["x"] - np.log(p[f"d{i}"])) / p[f"f{i}"]
            log_shape = log_shape - p[f"c{i}"] * p[f"f{i}"] * softplus(z)
        return log_shape

    def _log_fall(self, p: Values, first: Value, last: Value) -> Value:
        """Return the decrease of ln of the reducible loss between two ln x."""
        return self.log_shape({"x": first}, p) - self.log_shape({"x": last}, p)

    def _places(self, p: Values, first: Value, last: Value) -> dict[str, Value]:
        """Return the coordinates of the breaks from their positions."""
        low, high = _outer(first, last)
        found: dict[str, Value] = {}
        for i in range(1, self.breaks + 1):
            position = np.log(p[f"d{i}"])
            found[f"break{i}"] = (position - low) / (high - low)
            low = position
        return found | {f"f{i}": p[f"f{i}"] for i in range(1, self.breaks + 1)}

    def _positions(self, c: Values, first: Value, last: Value) -> dict[str, Value]:
        """Return positions and widths from the coordinates of the breaks."""
        low, high = _outer(first, last)
        found: dict[str, Value] = {}
        for i in range(1, self.breaks + 1):
            low = low + (high - low) * c[f"break{i}"]
            found[f"d{i}"] = np.exp(low)
            found[f"f{i}"] = c[f"f{i}"]
        return found

    @override
    def starts(self, log_inputs: LogInputs) -> Sequence[Mapping[str, float]]:
        # One start per placement of the breaks along the data: a chain that starts with other
        # placements may never find the mode.
        positions = np.linspace(0.0, 1.0, self.breaks + 4)[1:-1]
        return tuple(
            {
                f"break{i}": (position - before) / (1.0 - before)
                for i, (before, position) in enumerate(pairwise((0.0, *breaks)), 1)
            }
            for breaks in combinations(positions.tolist(), self.breaks)
        )

    @override
    def mode_of(self, parameters: Mapping[str, float]) -> str:
        positions = ", ".join(f"{parameters[f'd{i}']:.2g}" for i in range(1, self.breaks + 1))
        return f"break{'s' * (self.breaks > 1)} at {positions}"

    @override
    def remarks(
        self, parameters: Values, ends: Mapping[str, tuple[float, float]]
    ) -> tuple[str, ...]:
        smallest, largest = ends["x"]
        found = []
        for i in range(1, self.breaks + 1):
            position = np.asarray(parameters[f"d{i}"])
            before, beyond = float(np.mean(position < smallest)), float(np.mean(position > largest))
            if beyond > _NOTABLE:
                found.append(
                    f"Break {i} lies beyond the data with probability {beyond:.2f}: the curve "
                    "after it is determined by its prior, since no run lies there."
                )
            if before > _NOTABLE:
                found.append(
                    f"Break {i} lies before the data with probability {before:.2f}: the runs do "
                    "not need it."
                )
        return tuple(found)


class BrokenPowerLaw(_Broken):
    """A smoothly broken power law (Caballero et al. 2022).

    L = a + b x^(-c0) prod_i (1 + (x / d_i)^(1 / f_i))^(-c_i f_i): on log axes the reducible loss
    has slope -c0 before the first break, -(c0 + c1) after it, and so on; a small f_i makes the
    break sharp.

    Parameters
    ----------
    breaks
        Number of breaks, at least one; the law without breaks is `power-law-floor`.

    Notes
    -----
    Floor and last slope form a ridge, and a break far from the data changes nothing, so that the
    natural parameters are weakly identified individually. The fall of the loss from the first x of
    the runs to the last is identified under any law. The coordinates therefore refer to the
    ends of the data: the loss at the last x, the fall of its logarithm, and the floor's share of
    it; ratios of successive slopes, with the first slope determined by the fall; and places of the
    breaks along the range, each between the one before and the end. Breaks are thus ordered (no
    label switching) and lie within the data: the law has none beyond them. Positive falls and
    ratios make every segment fall.

    The ratio of the slopes of ln loss at both ends is identified where that of the reducible loss
    is not: a higher floor needs a steeper last slope. Each ratio is therefore that of the reducible
    loss, over the n-th root (of n breaks) of the factor by which the floor makes the total ratio
    larger, (1 - a / L_first) / (1 - a / L_last).
    """

    latex = r"L = a + b\,x^{-c_0} \prod_i \left(1 + (x/d_i)^{1/f_i}\right)^{-c_i f_i}"

    def __init__(self, breaks: int) -> None:
        super().__init__(breaks)
        self.name = f"broken-power-law-{breaks}"  # type: ignore[misc]
        self.title = f"power law of one variable, {breaks} smooth break" + "s" * (breaks > 1)  # type: ignore[misc]
        self.parameters = {  # type: ignore[misc]
            "a": Parameter(meaning="floor", symbol="a", unit=_LOSS, is_floor=True),
            **self._of_slopes(),
        }
        self.coordinates = {  # type: ignore[misc]
            "loss_ref": _LAST,
            "fall": Parameter(meaning="fall of ln loss from the first x to the last", symbol="F"),
            "floor_share": Parameter(
                meaning="share of the floor in the loss at the last x",
                symbol=r"a/L_\mathrm{ref}",
                support="unit",
            ),
            **{
                f"ratio{i}": Parameter(
                    meaning=f"ratio of the slopes after and before break {i}", symbol=f"r_{i}"
                )
                for i in range(1, breaks + 1)
            },
            **self._of_breaks(),
        }

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        return parameters["a"] + parameters["b"] * np.exp(self.log_shape(log_inputs, parameters))

    def _steeper(self, floor_share: Value, fall: Value) -> Value:
        """Return the factor per break by which the reducible loss is steeper than the loss."""
        at_first, at_last = 1.0 - floor_share * np.exp(-fall), 1.0 - floor_share
        return (at_first / at_last) ** (1.0 / self.breaks)

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p, (first, last) = parameters, _ends(reference)
        loss_ref = self.formula({"x": last}, p)
        share = p["a"] / loss_ref
        fall = np.log(self.formula({"x": first}, p)) - np.log(loss_ref)
        steeper = self._steeper(share, fall)
        slopes = list(accumulate(p[f"c{i}"] for i in range(self.breaks + 1)))
        return {
            "loss_ref": loss_ref,
            "fall": fall,
            "floor_share": share,
            **{f"ratio{i}": b / a / steeper for i, (a, b) in enumerate(pairwise(slopes), 1)},
            **self._places(p, first, last),
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c, (first, last) = coordinates, _ends(reference)
        positions = self._positions(c, first, last)
        # Slopes relative to the first, which the fall then determines.
        steeper = self._steeper(c["floor_share"], c["fall"])
        ratios = [c[f"ratio{i}"] * steeper for i in range(1, self.breaks + 1)]
        relative = list(accumulate([1.0, *ratios], mul))
        changes = {f"c{i}": b - a for i, (a, b) in enumerate(pairwise(relative), 1)}
        reducible = 1.0 - c["floor_share"]
        fall = np.log1p(np.expm1(c["fall"]) / reducible)
        slope = fall / self._log_fall({"c0": 1.0, **changes, **positions}, first, last)
        natural: dict[str, Value] = {"a": c["loss_ref"] * c["floor_share"], "c0": slope}
        natural |= {name: slope * change for name, change in changes.items()} | positions
        at_last = self.log_shape({"x": last}, natural)
        natural["b"] = c["loss_ref"] * reducible * np.exp(-at_last)
        return {name: natural[name] for name in self.parameters}


class SignedBrokenPowerLaw(_Broken):
    """A smoothly broken power law without floor, whose segments fall or rise.

    L = b x^(-c0) prod_i (1 + (x / d_i)^(1 / f_i))^(-c_i f_i), for losses that turn: double descent,
    models that over-fit, inverse scaling.

    Parameters
    ----------
    breaks
        Number of breaks, at least one.

    Notes
    -----
    Coordinates refer to the ends of the data, as those of `BrokenPowerLaw`; the fall may be a rise,
    and instead of ratios of slopes there are their changes, each times the range of ln x, which
    is the change of ln L at the last x that a break at the first would cause.
    """

    latex = r"L = b\,x^{-c_0} \prod_i \left(1 + (x/d_i)^{1/f_i}\right)^{-c_i f_i}"

    def __init__(self, breaks: int) -> None:
        super().__init__(breaks)
        self.name = f"broken-power-law-{breaks}-signed"  # type: ignore[misc]
        self.title = (  # type: ignore[misc]
            f"power law of one variable that may rise, {breaks} smooth break" + "s" * (breaks > 1)
        )
        self.parameters = self._of_slopes()  # type: ignore[misc]
        self.coordinates = {  # type: ignore[misc]
            "loss_ref": _LAST,
            "fall": Parameter(
                meaning="fall of ln loss from the first x to the last", symbol="F", support="real"
            ),
            **{
                f"change{i}": Parameter(
                    meaning=f"change of slope at break {i}, times the range of ln x",
                    symbol=f"g_{i}",
                    support="real",
                )
                for i in range(1, breaks + 1)
            },
            **self._of_breaks(),
        }

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        return parameters["b"] * np.exp(self.log_shape(log_inputs, parameters))

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p, (first, last) = parameters, _ends(reference)
        return {
            "loss_ref": self.formula({"x": last}, p),
            "fall": self._log_fall(p, first, last),
            **{f"change{i}": p[f"c{i}"] * (last - first) for i in range(1, self.breaks + 1)},
            **self._places(p, first, last),
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c, (first, last) = coordinates, _ends(reference)
        span = last - first
        shape = {f"c{i}": c[f"change{i}"] / span for i in range(1, self.breaks + 1)}
        shape |= self._positions(c, first, last)
        # The changes fix the slopes up to a constant, which the fall then determines.
        slope = (c["fall"] - self._log_fall({"c0": 0.0, **shape}, first, last)) / span
        natural: dict[str, Value] = {"c0": slope, **shape}
        natural["b"] = c["loss_ref"] * np.exp(-self.log_shape({"x": last}, natural))
        return {name: natural[name] for name in self.parameters}


def _ends(reference: Values) -> tuple[Value, Value]:
    """Return ln of the first and of the last x."""
    first, last = ends_of("x")
    if first in reference:
        return np.log(reference[first]), np.log(reference[last])
    return np.log(reference["x"] / UNSTATED), np.log(reference["x"])


def _outer(first: Value, last: Value) -> tuple[Value, Value]:
    """Return the ends of the range in which breaks may lie."""
    margin = _MARGIN * (last - first)
    return first - margin, last + margin
