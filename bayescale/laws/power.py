"""Laws of one variable: power laws with and without a floor or a shift.

Their input is called ``x``; a model card ties it to a column of the runs (size, tokens, compute,
examples, ...).
"""

from collections.abc import Mapping
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, Parameter, Value, Values

_LOSS = "nats/token"

_LOSS_REF = Parameter(meaning="loss at the reference point", symbol=r"L_\mathrm{ref}", unit=_LOSS)
_ELASTICITY = Parameter(meaning="elasticity at the reference point", symbol="e")
_SCALE = Parameter(meaning="x at which the power term is one", symbol="x_c", unit="unit of x")
_FLOOR = Parameter(meaning="irreducible loss", symbol="E", unit=_LOSS)


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
    # Without a floor the elasticity is the exponent, everywhere.
    coordinates: ClassVar[Mapping[str, Parameter]] = {"loss_ref": _LOSS_REF, "e": _ELASTICITY}

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

    A power law that bends into a plateau: the loss tends to b gamma^c as x grows.
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
    # The share here is that of 1/x in the sum; its remainder is the plateau's.
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
