"""Chinchilla's law, and the coupled law that nests it and Kaplan's L(N, D)."""

from collections.abc import Mapping
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, Parameter, Value, Values

_LOSS = "nats/token"

_REFERENCE = {
    "loss_ref": Parameter(
        meaning="loss at the reference point", symbol=r"L_\mathrm{ref}", unit=_LOSS
    ),
    "e_n": Parameter(meaning="elasticity in size at the reference point", symbol="e_N"),
    "e_d": Parameter(meaning="elasticity in data at the reference point", symbol="e_D"),
}


class Chinchilla(Law):
    """L = E + A N^-alpha + B D^-beta (Hoffmann et al. 2022, equation 2, approach 3)."""

    name = "chinchilla"
    title = "sum of a floor, a size term and a data term"
    latex = r"L = E + A N^{-\alpha} + B D^{-\beta}"
    sources = ("Hoffmann et al. 2022, arXiv:2203.15556, equation 2",)
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "E": Parameter(meaning="irreducible loss", symbol="E", unit=_LOSS, is_floor=True),
        "A": Parameter(meaning="size term at N = 1", symbol="A", unit=_LOSS),
        "B": Parameter(meaning="data term at D = 1", symbol="B", unit=_LOSS),
        "alpha": Parameter(meaning="size exponent", symbol=r"\alpha"),
        "beta": Parameter(meaning="data exponent", symbol=r"\beta"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        **_REFERENCE,
        "alpha": parameters["alpha"],
        "beta": parameters["beta"],
    }
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {"alpha": ("e_n",), "beta": ("e_d",)}
    traded: ClassVar[tuple[str, ...]] = ("e_n", "e_d")

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        return (
            p["E"]
            + p["A"] * np.exp(-p["alpha"] * log_inputs["n_params"])
            + p["B"] * np.exp(-p["beta"] * log_inputs["n_tokens"])
        )

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        size_term = p["A"] * np.exp(-p["alpha"] * np.log(reference["n_params"]))
        data_term = p["B"] * np.exp(-p["beta"] * np.log(reference["n_tokens"]))
        loss_ref = p["E"] + size_term + data_term
        return {
            "loss_ref": loss_ref,
            "e_n": p["alpha"] * size_term / loss_ref,
            "e_d": p["beta"] * data_term / loss_ref,
            "alpha": p["alpha"],
            "beta": p["beta"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        size_term = c["loss_ref"] * c["e_n"] / c["alpha"]
        data_term = c["loss_ref"] * c["e_d"] / c["beta"]
        return {
            "E": c["loss_ref"] - size_term - data_term,
            "A": size_term * np.exp(c["alpha"] * np.log(reference["n_params"])),
            "B": data_term * np.exp(c["beta"] * np.log(reference["n_tokens"])),
            "alpha": c["alpha"],
            "beta": c["beta"],
        }

    @override
    def optimal_log_params(self, parameters: Values, log_product: Value) -> Value:
        return _two_power_optimum(parameters, log_product)

    @override
    def derived(self, parameters: Values) -> dict[str, Value]:
        return _two_power_exponents(parameters)


class Coupled(Law):
    """L = E + (A N^-alpha + B D^-beta)^k (Videau et al. 2026).

    k = 1 is Chinchilla's law; E = 0, beta = 1, k = alpha_D and alpha = alpha_N / alpha_D is
    Kaplan's L(N, D). For k < 1 size and data are complements. Far from the other limit the
    reducible loss falls as N^(-k alpha) and D^(-k beta), so priors are stated on these marginal
    exponents, which mean the same for every k.
    """

    name = "coupled"
    title = "floor and a power of the sum of a size and a data term"
    latex = r"L = E + (A N^{-\alpha} + B D^{-\beta})^k"
    sources = ("Videau et al. 2026, arXiv:2608.07222",)
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "E": Parameter(meaning="irreducible loss", symbol="E", unit=_LOSS, is_floor=True),
        "A": Parameter(meaning="size term at N = 1", symbol="A", unit=f"({_LOSS})^(1/k)"),
        "B": Parameter(meaning="data term at D = 1", symbol="B", unit=f"({_LOSS})^(1/k)"),
        "alpha": Parameter(meaning="size exponent inside the sum", symbol=r"\alpha"),
        "beta": Parameter(meaning="data exponent inside the sum", symbol=r"\beta"),
        "k": Parameter(meaning="coupling; 1 is additive", symbol="k"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        **_REFERENCE,
        "k_alpha": Parameter(meaning="marginal size exponent, k alpha", symbol=r"k\alpha"),
        "k_beta": Parameter(meaning="marginal data exponent, k beta", symbol=r"k\beta"),
        "k": parameters["k"],
    }
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {"k_alpha": ("e_n",), "k_beta": ("e_d",)}
    exponents: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "k": ("e_n", "e_d", "k_alpha", "k_beta", "k")
    }
    traded: ClassVar[tuple[str, ...]] = ("e_n", "e_d")

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        inner = p["A"] * np.exp(-p["alpha"] * log_inputs["n_params"]) + p["B"] * np.exp(
            -p["beta"] * log_inputs["n_tokens"]
        )
        return p["E"] + np.exp(p["k"] * np.log(inner))

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        size_term = p["A"] * np.exp(-p["alpha"] * np.log(reference["n_params"]))
        data_term = p["B"] * np.exp(-p["beta"] * np.log(reference["n_tokens"]))
        inner = size_term + data_term
        reducible = np.exp(p["k"] * np.log(inner))
        loss_ref = p["E"] + reducible
        k_alpha, k_beta = p["k"] * p["alpha"], p["k"] * p["beta"]
        return {
            "loss_ref": loss_ref,
            "e_n": k_alpha * (size_term / inner) * (reducible / loss_ref),
            "e_d": k_beta * (data_term / inner) * (reducible / loss_ref),
            "k_alpha": k_alpha,
            "k_beta": k_beta,
            "k": p["k"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        size_share, data_share = c["e_n"] / c["k_alpha"], c["e_d"] / c["k_beta"]
        reducible_share = size_share + data_share
        inner = np.exp(np.log(c["loss_ref"] * reducible_share) / c["k"])
        alpha, beta = c["k_alpha"] / c["k"], c["k_beta"] / c["k"]
        return {
            "E": c["loss_ref"] * (1.0 - reducible_share),
            "A": inner
            * (size_share / reducible_share)
            * np.exp(alpha * np.log(reference["n_params"])),
            "B": inner
            * (data_share / reducible_share)
            * np.exp(beta * np.log(reference["n_tokens"])),
            "alpha": alpha,
            "beta": beta,
            "k": c["k"],
        }

    @override
    def optimal_log_params(self, parameters: Values, log_product: Value) -> Value:
        # A power of the sum is minimal where the sum is: the optimum does not depend on k.
        return _two_power_optimum(parameters, log_product)

    @override
    def derived(self, parameters: Values) -> dict[str, Value]:
        additive = _two_power_exponents(parameters)
        return {**additive, "g": parameters["k"] * additive["g"]}


def _two_power_optimum(p: Values, log_product: Value) -> Value:
    """Minimise A N^-alpha + B D^-beta at fixed N D (Hoffmann et al. 2022, equation 4)."""
    log_ratio = np.log(p["alpha"] * p["A"]) - np.log(p["beta"] * p["B"])
    return (log_ratio + p["beta"] * log_product) / (p["alpha"] + p["beta"])


def _two_power_exponents(p: Values) -> dict[str, Value]:
    total = p["alpha"] + p["beta"]
    return {
        "a": p["beta"] / total,
        "b": p["alpha"] / total,
        "g": p["alpha"] * p["beta"] / total,
    }
