"""Broken power laws of one variable, with ordered breaks."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import override

import numpy as np

from bayescale.laws.base import Law, LogInputs, Parameter, Value, Values
from bayescale.laws.dispatch import softplus

_LOSS = "nats/token"

_NOTABLE = 0.05
"""Posterior probability from which a break is reported to lie outside the data."""


class BrokenPowerLaw(Law):
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
    The coordinates are the slopes of the segments, so that positive priors make the law monotone,
    and the position of the first break with the gaps between breaks, so that breaks are ordered
    (no label switching). Positions and gaps are natural logarithms of x, positions relative to the
    reference point.
    """

    sources = ("Caballero et al. 2022, arXiv:2210.14891",)
    latex = r"L = a + b\,x^{-c_0} \prod_i \left(1 + (x/d_i)^{1/f_i}\right)^{-c_i f_i}"
    inputs = ("x",)
    # A segment may rise, if the prior on its slope allows.
    monotone = False

    def __init__(self, breaks: int) -> None:
        numbers = range(1, breaks + 1)
        self.breaks = breaks  # type: ignore[misc]
        self.name = f"broken-power-law-{breaks}"  # type: ignore[misc]
        self.title = f"power law of one variable, {breaks} smooth break" + "s" * (breaks > 1)  # type: ignore[misc]
        self.parameters = {  # type: ignore[misc]
            "a": Parameter(meaning="floor", symbol="a", unit=_LOSS, is_floor=True),
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
        self.coordinates = {  # type: ignore[misc]
            "loss_ref": Parameter(
                meaning="loss at the reference point", symbol=r"L_\mathrm{ref}", unit=_LOSS
            ),
            "floor_share": Parameter(
                meaning="share of the floor in it", symbol=r"a/L_\mathrm{ref}", support="unit"
            ),
            **{
                f"slope{i}": Parameter(
                    meaning=f"slope of the reducible loss on segment {i}",
                    symbol=f"s_{i}",
                    support="real",
                )
                for i in range(breaks + 1)
            },
            "break1": Parameter(
                meaning="ln of the first break, relative to the reference point",
                symbol=r"\ln d_1/x_0",
                support="real",
            ),
            **{
                f"gap{i}": Parameter(
                    meaning=f"ln of the ratio of breaks {i} and {i - 1}",
                    symbol=rf"\ln d_{i}/d_{i - 1}",
                )
                for i in numbers
                if i > 1
            },
            **{f"f{i}": self.parameters[f"f{i}"] for i in numbers},
        }

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        return parameters["a"] + parameters["b"] * np.exp(self.log_shape(log_inputs, parameters))

    def log_shape(self, log_inputs: Values, p: Values) -> Value:
        """Return ln of the reducible loss at b = 1; it is finite where its exponential is not."""
        log_shape = -p["c0"] * log_inputs["x"]
        for i in range(1, self.breaks + 1):
            z = (log_inputs["x"] - np.log(p[f"d{i}"])) / p[f"f{i}"]
            log_shape = log_shape - p[f"c{i}"] * p[f"f{i}"] * softplus(z)
        return log_shape

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        at = {"x": np.log(reference["x"])}
        loss_ref = self.formula(at, p)
        slopes = [p["c0"]]
        for i in range(1, self.breaks + 1):
            slopes.append(slopes[-1] + p[f"c{i}"])
        return {
            "loss_ref": loss_ref,
            "floor_share": p["a"] / loss_ref,
            **{f"slope{i}": slope for i, slope in enumerate(slopes)},
            "break1": np.log(p["d1"]) - at["x"],
            **{
                f"gap{i}": np.log(p[f"d{i}"]) - np.log(p[f"d{i - 1}"])
                for i in range(2, self.breaks + 1)
            },
            **{f"f{i}": p[f"f{i}"] for i in range(1, self.breaks + 1)},
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        at = {"x": np.log(reference["x"])}
        log_breaks = [c["break1"] + at["x"]]
        for i in range(2, self.breaks + 1):
            log_breaks.append(log_breaks[-1] + c[f"gap{i}"])
        natural: dict[str, Value] = {"a": c["loss_ref"] * c["floor_share"], "c0": c["slope0"]}
        for i in range(1, self.breaks + 1):
            natural[f"c{i}"] = c[f"slope{i}"] - c[f"slope{i - 1}"]
            natural[f"d{i}"] = np.exp(log_breaks[i - 1])
            natural[f"f{i}"] = c[f"f{i}"]
        reducible = c["loss_ref"] * (1.0 - c["floor_share"])
        natural["b"] = reducible * np.exp(-self.log_shape(at, natural))
        return {name: natural[name] for name in self.parameters}

    @override
    def starts(self, log_inputs: LogInputs) -> Sequence[Mapping[str, float]]:
        # One start per placement of the breaks along the data: a chain that starts with them
        # elsewhere may never find the mode.
        low, high = log_inputs["x"].min(), log_inputs["x"].max()
        places = np.linspace(low, high, self.breaks + 4)[1:-1]
        return tuple(
            {
                "break1": float(chosen[0]),
                **{f"gap{i + 1}": float(chosen[i] - chosen[i - 1]) for i in range(1, self.breaks)},
            }
            for chosen in combinations(places, self.breaks)
        )

    @override
    def mode_of(self, parameters: Mapping[str, float]) -> str:
        places = ", ".join(f"{parameters[f'd{i}']:.2g}" for i in range(1, self.breaks + 1))
        return f"break{'s' * (self.breaks > 1)} at {places}"

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
