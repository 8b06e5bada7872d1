"""Over-training: Chinchilla's law with one exponent, in compute and tokens per parameter."""

from collections.abc import Mapping
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, Parameter, Value, Values
from bayescale.laws.chinchilla import Chinchilla

_TWO_TERMS = Chinchilla()
_LOG_SIX = float(np.log(6.0))


class OverTraining(Law):
    """L = E + (a M^eta + b M^-eta) C^-eta, M = D / N, C = 6 N D (Gadre et al. 2024, equation 4).

    Since M^eta C^-eta = 6^-eta N^(-2 eta) and M^-eta C^-eta = 6^-eta D^(-2 eta), this is
    Chinchilla's law with alpha = beta = 2 eta, A = a 6^-eta and B = b 6^-eta. With one exponent,
    the optimal number of tokens per parameter is the same at every budget, and over-training by a
    given factor costs the same share of the reducible loss at every budget.
    """

    name = "over-training"
    title = "Chinchilla's law with one exponent, in compute and tokens per parameter"
    latex = r"L = E + (a M^{\eta} + b M^{-\eta})\, C^{-\eta},\; M = D/N,\; C = 6 N D"
    sources = ("Gadre et al. 2024, arXiv:2403.08540, equation 4",)
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "E": Chinchilla.parameters["E"],
        "a": Parameter(meaning="size term at C = M = 1", symbol="a", unit="nats/token"),
        "b": Parameter(meaning="data term at C = M = 1", symbol="b", unit="nats/token"),
        "eta": Parameter(meaning="exponent of the reducible loss in compute", symbol=r"\eta"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        **{name: Chinchilla.coordinates[name] for name in ("loss_ref", "e_n", "e_d")},
        "two_eta": Parameter(meaning="exponent of size and of data", symbol=r"2\eta"),
    }
    # The exponents of N_opt and D_opt in compute are one half by construction.
    derived_meanings: ClassVar[Mapping[str, str]] = {
        "tokens_per_param": "optimal tokens per parameter, at every budget",
        "g": Chinchilla.derived_meanings["g"],
    }
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {"two_eta": ("e_n", "e_d")}
    traded: ClassVar[tuple[str, ...]] = ("e_n", "e_d")

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        log_ratio = log_inputs["n_tokens"] - log_inputs["n_params"]
        log_compute = _LOG_SIX + log_inputs["n_tokens"] + log_inputs["n_params"]
        size_term = p["a"] * np.exp(p["eta"] * (log_ratio - log_compute))
        data_term = p["b"] * np.exp(-p["eta"] * (log_ratio + log_compute))
        return p["E"] + size_term + data_term

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        found = _TWO_TERMS.to_reference(self.as_chinchilla(parameters), reference)
        return {
            **{name: found[name] for name in ("loss_ref", "e_n", "e_d")},
            "two_eta": 2.0 * parameters["eta"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        both = {"alpha": c["two_eta"], "beta": c["two_eta"]}
        p = _TWO_TERMS.from_reference({**c, **both}, reference)
        eta = 0.5 * c["two_eta"]
        six = np.exp(eta * _LOG_SIX)
        return {"E": p["E"], "a": p["A"] * six, "b": p["B"] * six, "eta": eta}

    @override
    def optimal_log_params(self, parameters: Values, log_product: Value) -> Value:
        return _TWO_TERMS.optimal_log_params(self.as_chinchilla(parameters), log_product)

    @override
    def derived(self, parameters: Values) -> dict[str, Value]:
        p = parameters
        ratio = np.exp((np.log(p["b"]) - np.log(p["a"])) / (2.0 * p["eta"]))
        return {"tokens_per_param": ratio, "g": p["eta"]}

    def as_chinchilla(self, parameters: Values) -> dict[str, Value]:
        """Return the parameters of the equivalent Chinchilla law."""
        p = parameters
        six = np.exp(-p["eta"] * _LOG_SIX)
        two_eta = 2.0 * p["eta"]
        return {
            "E": p["E"],
            "A": p["a"] * six,
            "B": p["b"] * six,
            "alpha": two_eta,
            "beta": two_eta,
        }
