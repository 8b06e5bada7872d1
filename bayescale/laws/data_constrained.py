"""Laws for repeated data: with diminishing value of repeated tokens, and with over-fitting."""

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


class OverFitting(Law):
    """L = E + (L_0 - E) h / (1 + h), h = a N^-alpha + b D^-beta + c N^gamma U^-delta.

    The law of Bryant and Liu 2026 for D tokens, of which U are unique: its terms are those of a
    small model, of short training, and of over-fitting, which grows with the model and falls with
    unique tokens. It is bounded by L_0, the loss of a uniform guess. For small h and many unique
    tokens it is Chinchilla's law. Unique tokens beyond those trained on have no effect.

    The elasticities among the coordinates are those at the reference point in the limit of a large
    L_0: each is an exponent times the share of its term in the loss, and the rest of the loss is E.
    """

    name = "over-fitting"
    title = "Chinchilla's terms and one of over-fitting, bounded by the loss of a uniform guess"
    latex = (
        r"L = E + (L_0 - E)\,\frac{h}{1 + h},\;"
        r" h = a N^{-\alpha} + b D^{-\beta} + c N^{\gamma} U^{-\delta}"
    )
    sources = ("Bryant and Liu 2026, arXiv:2605.09189",)
    inputs = ("n_params", "n_tokens", "n_unique_tokens")
    monotone = False
    same_scale: ClassVar[Mapping[str, str]] = {"n_unique_tokens": "n_tokens"}
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "E": Chinchilla.parameters["E"],
        "L_0": Parameter(meaning="loss of a uniform guess", symbol="L_0", unit="nats/token"),
        "a": Parameter(meaning="size term at N = 1", symbol="a"),
        "b": Parameter(meaning="data term at D = 1", symbol="b"),
        "c": Parameter(meaning="over-fitting term at N = U = 1", symbol="c"),
        "alpha": Chinchilla.parameters["alpha"],
        "beta": Chinchilla.parameters["beta"],
        "gamma": Parameter(meaning="exponent of size in over-fitting", symbol=r"\gamma"),
        "delta": Parameter(meaning="exponent of unique tokens in over-fitting", symbol=r"\delta"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "loss_ref": Chinchilla.coordinates["loss_ref"],
        "e_n": Parameter(meaning="elasticity of the size term there", symbol="e_N"),
        "e_d": Parameter(meaning="elasticity of the data term there", symbol="e_D"),
        "e_u": Parameter(meaning="elasticity of over-fitting in unique tokens", symbol="e_U"),
        "alpha": parameters["alpha"],
        "beta": parameters["beta"],
        "delta": parameters["delta"],
        "gamma": parameters["gamma"],
        "headroom": Parameter(
            meaning="distance from the uniform guess, relative to the loss, at the reference",
            symbol=r"L_0/L_\mathrm{ref} - 1",
        ),
    }
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "alpha": ("e_n",),
        "beta": ("e_d",),
        "delta": ("e_u",),
    }
    traded: ClassVar[tuple[str, ...]] = ("e_n", "e_d")

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        h = sum(self._terms(log_inputs, p))
        return p["E"] + (p["L_0"] - p["E"]) * h / (1.0 + h)

    @staticmethod
    def _terms(log_inputs: Values, p: Values) -> tuple[Value, Value, Value]:
        """Return the terms of h: of size, of data, and of over-fitting."""
        log_n, log_d = log_inputs["n_params"], log_inputs["n_tokens"]
        log_unique = smaller(log_inputs["n_unique_tokens"], log_d)
        return (
            p["a"] * np.exp(-p["alpha"] * log_n),
            p["b"] * np.exp(-p["beta"] * log_d),
            p["c"] * np.exp(p["gamma"] * log_n - p["delta"] * log_unique),
        )

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        at = {name: np.log(reference[name]) for name in self.inputs}
        loss = self.formula(at, p)
        headroom = p["L_0"] / loss - 1.0
        of_size, of_data, of_excess = (headroom * term for term in self._terms(at, p))
        return {
            "loss_ref": loss,
            "e_n": p["alpha"] * of_size,
            "e_d": p["beta"] * of_data,
            "e_u": p["delta"] * of_excess,
            "alpha": p["alpha"],
            "beta": p["beta"],
            "delta": p["delta"],
            "gamma": p["gamma"],
            "headroom": headroom,
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        log_n, log_d = np.log(reference["n_params"]), np.log(reference["n_tokens"])
        log_unique = smaller(np.log(reference["n_unique_tokens"]), log_d)
        of_size, of_data, of_excess = (
            c[e] / c[exponent]
            for e, exponent in (("e_n", "alpha"), ("e_d", "beta"), ("e_u", "delta"))
        )
        return {
            "E": c["loss_ref"] * (1.0 - of_size - of_data - of_excess),
            "L_0": c["loss_ref"] * (1.0 + c["headroom"]),
            "a": of_size / c["headroom"] * np.exp(c["alpha"] * log_n),
            "b": of_data / c["headroom"] * np.exp(c["beta"] * log_d),
            "c": of_excess / c["headroom"] * np.exp(c["delta"] * log_unique - c["gamma"] * log_n),
            "alpha": c["alpha"],
            "beta": c["beta"],
            "gamma": c["gamma"],
            "delta": c["delta"],
        }


def _effective(log_total: Value, log_base: Value, scale: Value) -> Value:
    """Return ln of an effective amount: the base and the diminishing value of the excess."""
    repeats = np.expm1(log_total - log_base)
    return log_base + np.log1p(-scale * np.expm1(-repeats / scale))
