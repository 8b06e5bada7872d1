"""Law for repeated data: repeated tokens and excess parameters have diminishing value."""

from collections.abc import Mapping
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, Parameter, Value, Values
from bayescale.laws.chinchilla import Chinchilla
from bayescale.laws.dispatch import smaller

_FRESH = Chinchilla()


class DataConstrained(Law):
    """Chinchilla's law in effective size and tokens (Muennighoff et al. 2023).

    With U unique tokens, D - U repeated ones count as U R_D (1 - exp(-(D/U - 1) / R_D)); and
    parameters beyond those that U tokens can use, U_N, as U_N R_N (1 - exp(-(N/U_N - 1) / R_N)).
    U_N is the compute-optimal size for U tokens. With U = D and N at most U_N it is Chinchilla's
    law. The coordinates are Chinchilla's, at the reference size and as many fresh tokens as the
    reference has tokens.
    """

    name = "data-constrained"
    title = "Chinchilla's law in effective size and tokens, for repeated epochs"
    latex = r"L = E + A N'^{-\alpha} + B D'^{-\beta},\; D' = U\,[1 + R_D(1 - e^{-(D/U-1)/R_D})]"
    sources = ("Muennighoff et al. 2023, arXiv:2305.16264",)
    inputs = ("n_params", "n_tokens", "n_unique_tokens")
    same_scale: ClassVar[Mapping[str, str]] = {"n_unique_tokens": "n_tokens"}
    parameters: ClassVar[Mapping[str, Parameter]] = {
        **Chinchilla.parameters,
        "R_D": Parameter(
            meaning="repetitions after which repeated tokens lose most of their value",
            symbol="R_D^*",
        ),
        "R_N": Parameter(meaning="the same for excess parameters", symbol="R_N^*"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        **Chinchilla.coordinates,
        "R_D": parameters["R_D"],
        "R_N": parameters["R_N"],
    }
    shares = Chinchilla.shares
    traded = Chinchilla.traded

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        log_n, log_d = log_inputs["n_params"], log_inputs["n_tokens"]
        log_unique = smaller(log_inputs["n_unique_tokens"], log_d)
        # Where size and data terms balance for the unique tokens: the optimum for them.
        log_usable = (
            np.log(p["alpha"] * p["A"]) - np.log(p["beta"] * p["B"]) + p["beta"] * log_unique
        ) / p["alpha"]
        effective = {
            "n_params": _effective(log_n, smaller(log_n, log_usable), p["R_N"]),
            "n_tokens": _effective(log_d, log_unique, p["R_D"]),
        }
        return _FRESH.formula(effective, p)

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        return {**_FRESH.to_reference(p, reference), "R_D": p["R_D"], "R_N": p["R_N"]}

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        return {**_FRESH.from_reference(c, reference), "R_D": c["R_D"], "R_N": c["R_N"]}


def _effective(log_total: Value, log_base: Value, scale: Value) -> Value:
    """Return ln of an effective amount: the base and the diminishing value of the excess."""
    repeats = np.expm1(log_total - log_base)
    return log_base + np.log1p(-scale * np.expm1(-repeats / scale))
