"""Laws of one variable: power laws with and without a floor or a shift.

Their input is called ``x``; a model card maps it to a column of the runs (size, tokens, compute,
examples, ...).
"""

from collections.abc import Mapping
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, Parameter, Value, Values
from bayescale.laws.dispatch import detached, larger, log_add, sigmoid, smaller, softplus

_LOSS = "nats/token"

_NEWTON_STEPS = 6
"""Newton steps for an error below 1e-12 at all practical exponents."""

_LOSS_REF = Parameter(meaning="loss at the reference point", symbol=r"L_\mathrm{ref}", unit=_LOSS)
_ELASTICITY = Parameter(meaning="elasticity at the reference point", symbol="e")
_SCALE = Parameter(meaning="x at which the power term is one", symbol="x_c", unit="unit of x")
_FLOOR = Parameter(meaning="irreducible loss", symbol="E", unit=_LOSS, is_floor=True)


class PowerLaw(Law):
    """L = (x_c / x)^alpha (Hestness et al. 2017; Kaplan et al. 2020, equations 1.1 to 1.3).

    The same as Alabdulmohsin's M1, y = b x^c, with b = x_c^alpha and c = -alpha.
    """

    name = "power-law"
    title = "one power of one variable, no floor"
    latex = r"L = (x_c/x)^{\alpha}"
    sources = (
        "Hestness et al. 2017, arXiv:1712.00409",
        "Kaplan et al. 2020, arXiv:2001.08361, equations 1.1 to 1.3",
        "Alabdulmohsin et al. 2022, arXiv:2209.06640 (M1)",
    )
    inputs = ("x",)
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "x_c": _SCALE,
        "alpha": Parameter(meaning="exponent", symbol=r"\alpha"),
    }
    # Without a floor the elasticity equals the exponent everywhere.
    coordinates: ClassVar[Mapping[str, Parameter]] = {"loss_ref": _LOSS_REF, "e": _ELASTICITY}
    exponents: ClassVar[Mapping[str, tuple[str, ...]]] = {"alpha": ("e",)}

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        return np.exp(parameters["alpha"] * (np.log(parameters["x_c"]) - log_inputs["x"]))

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        log_loss = p["alpha"] * (np.log(p["x_c"]) - np.log(reference["x"]))
        return {"loss_ref": np.exp(log_loss), "e": p["alpha"]}

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        return {"x_c": reference["x"] * np.exp(np.log(c["loss_ref"]) / c["e"]), "alpha": c["e"]}


class PowerLawWithFloor(Law):
    """L = E + (x_c / x)^alpha (Henighan et al. 2020, equation 1.1).

    The same as Alabdulmohsin's M2.
    """

    name = "power-law-floor"
    title = "a floor and one power of one variable"
    latex = r"L = E + (x_c/x)^{\alpha}"
    sources = (
        "Henighan et al. 2020, arXiv:2010.14701, equation 1.1",
        "Alabdulmohsin et al. 2022, arXiv:2209.06640 (M2)",
    )
    inputs = ("x",)
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "E": _FLOOR,
        "x_c": _SCALE,
        "alpha": Parameter(meaning="exponent of the reducible loss", symbol=r"\alpha"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "loss_ref": _LOSS_REF,
        "e": _ELASTICITY,
        "alpha": parameters["alpha"],
    }
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {"alpha": ("e",)}
    exponents: ClassVar[Mapping[str, tuple[str, ...]]] = {"alpha": ("e", "alpha")}

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        return p["E"] + np.exp(p["alpha"] * (np.log(p["x_c"]) - log_inputs["x"]))

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        reducible = np.exp(p["alpha"] * (np.log(p["x_c"]) - np.log(reference["x"])))
        loss_ref = p["E"] + reducible
        return {
            "loss_ref": loss_ref,
            "e": p["alpha"] * reducible / loss_ref,
            "alpha": p["alpha"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        reducible = c["loss_ref"] * c["e"] / c["alpha"]
        return {
            "E": c["loss_ref"] - reducible,
            "x_c": reference["x"] * np.exp(np.log(reducible) / c["alpha"]),
            "alpha": c["alpha"],
        }


class ShiftedPowerLaw(Law):
    """L = b (1 / x + gamma)^c (Alabdulmohsin et al. 2022, M3).

    A power law that levels off: the loss tends to b gamma^c as x grows.
    """

    name = "power-law-plateau"
    title = "a power of one variable that bends into a plateau"
    latex = r"L = b\,(1/x + \gamma)^{c}"
    sources = ("Alabdulmohsin et al. 2022, arXiv:2209.06640 (M3)",)
    inputs = ("x",)
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "b": Parameter(meaning="level", symbol="b", unit=_LOSS),
        "gamma": Parameter(
            meaning="reciprocal of the x at which the plateau begins",
            symbol=r"\gamma",
            unit="1 / unit of x",
        ),
        "c": Parameter(meaning="exponent before the plateau", symbol="c"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "loss_ref": _LOSS_REF,
        "e": _ELASTICITY,
        "c": parameters["c"],
    }
    # The share is that of 1/x in the sum; the remainder is that of gamma.
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {"c": ("e",)}

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        return p["b"] * np.exp(p["c"] * np.log(np.exp(-log_inputs["x"]) + p["gamma"]))

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        inverse = 1.0 / reference["x"]
        total = inverse + p["gamma"]
        return {
            "loss_ref": p["b"] * np.exp(p["c"] * np.log(total)),
            "e": p["c"] * inverse / total,
            "c": p["c"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        total = c["c"] / (c["e"] * reference["x"])
        return {
            "b": c["loss_ref"] * np.exp(-c["c"] * np.log(total)),
            "gamma": total - 1.0 / reference["x"],
            "c": c["c"],
        }


class SaturatingPowerLaw(Law):
    """L = E + (x_c / (x + x_0))^alpha (Zhai et al. 2022, section 2.2).

    It saturates at both ends: at the floor E as x grows, and, through the shift x_0, at the loss
    of an untrained model as x goes to zero. The elasticity among the coordinates is that in
    x + x_0.
    """

    name = "power-law-saturating"
    title = "a floor and one power of a shifted variable, bounded at both ends"
    latex = r"L = E + (x_c/(x + x_0))^{\alpha}"
    sources = ("Zhai et al. 2022, arXiv:2106.04560",)
    inputs = ("x",)
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "E": _FLOOR,
        "x_c": _SCALE,
        "x_0": Parameter(meaning="x below which nothing is learnt", symbol="x_0", unit="unit of x"),
        "alpha": Parameter(meaning="exponent of the reducible loss", symbol=r"\alpha"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "loss_ref": _LOSS_REF,
        "e": Parameter(meaning="elasticity in x + x_0 at the reference point", symbol="e"),
        "alpha": parameters["alpha"],
        "shift": Parameter(
            meaning="x_0 relative to the reference point", symbol=r"x_0/x_\mathrm{ref}"
        ),
    }
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {"alpha": ("e",)}
    exponents: ClassVar[Mapping[str, tuple[str, ...]]] = {"alpha": ("e", "alpha")}

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        log_shifted = log_add(log_inputs["x"], np.log(p["x_0"]))
        return p["E"] + np.exp(p["alpha"] * (np.log(p["x_c"]) - log_shifted))

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        shifted = reference["x"] + p["x_0"]
        plain = {"E": p["E"], "x_c": p["x_c"], "alpha": p["alpha"]}
        at_shifted = _WITH_FLOOR.to_reference(plain, {"x": shifted})
        return {**at_shifted, "shift": p["x_0"] / reference["x"]}

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        shifted = reference["x"] * (1.0 + c["shift"])
        plain = _WITH_FLOOR.from_reference(c, {"x": shifted})
        return {
            "E": plain["E"],
            "x_c": plain["x_c"],
            "x_0": reference["x"] * c["shift"],
            "alpha": plain["alpha"],
        }


class SigmoidPowerLaw(Law):
    """(L - E) / (L_0 - L)^alpha = b x^-c (Alabdulmohsin et al. 2022, M4).

    On log axes the curve starts at chance level, L_0, falls as a power of x and levels off at the
    floor E. The formula solves for L. The elasticity among the coordinates is the limit far below
    L_0. With alpha = 0 it is M2.
    """

    name = "power-law-sigmoid"
    title = "a power of one variable between chance level and a floor"
    latex = r"\frac{L - E}{(L_0 - L)^{\alpha}} = b\,x^{-c}"
    sources = ("Alabdulmohsin et al. 2022, arXiv:2209.06640 (M4)",)
    inputs = ("x",)
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "E": _FLOOR,
        "L_0": Parameter(meaning="loss at chance level", symbol="L_0", unit=_LOSS),
        "b": Parameter(meaning="level", symbol="b"),
        "c": Parameter(meaning="exponent far below chance level", symbol="c"),
        "alpha": Parameter(meaning="slowness of leaving chance level", symbol=r"\alpha"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "loss_ref": _LOSS_REF,
        "e": Parameter(meaning="elasticity at the reference, were L_0 far above", symbol="e"),
        "c": parameters["c"],
        "alpha": parameters["alpha"],
        "headroom": Parameter(
            meaning="distance from chance level, relative to the loss, at the reference",
            symbol=r"L_0/L_\mathrm{ref} - 1",
        ),
    }
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {"c": ("e",)}
    exponents: ClassVar[Mapping[str, tuple[str, ...]]] = {"alpha": ("alpha",)}

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        span = p["L_0"] - p["E"]
        target = np.log(p["b"]) - p["c"] * log_inputs["x"] - (1.0 - p["alpha"]) * np.log(span)
        # With L = E + span sigmoid(t): alpha softplus(t) - softplus(-t) = target, which is convex
        # or concave in t for alpha above or below one, so that Newton converges from asymptotes.
        t = larger(target, 0.0) / p["alpha"] + smaller(target, 0.0)
        for _ in range(_NEWTON_STEPS):
            t = detached(t)
            gap = target - p["alpha"] * softplus(t) + softplus(-t)
            t = t + gap / detached(p["alpha"] * sigmoid(t) + sigmoid(-t))
        return p["E"] + span * sigmoid(t)

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        loss_ref = self.formula({"x": np.log(reference["x"])}, p)
        return {
            "loss_ref": loss_ref,
            "e": p["c"] * (loss_ref - p["E"]) / loss_ref,
            "c": p["c"],
            "alpha": p["alpha"],
            "headroom": (p["L_0"] - loss_ref) / loss_ref,
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        reducible = c["loss_ref"] * c["e"] / c["c"]
        above = c["loss_ref"] * c["headroom"]
        log_b = np.log(reducible) - c["alpha"] * np.log(above) + c["c"] * np.log(reference["x"])
        return {
            "E": c["loss_ref"] - reducible,
            "L_0": c["loss_ref"] + above,
            "b": np.exp(log_b),
            "c": c["c"],
            "alpha": c["alpha"],
        }


_WITH_FLOOR = PowerLawWithFloor()
