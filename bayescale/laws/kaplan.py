"""Kaplan's joint law L(N, D)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, LogInputs, Parameter, Value, Values
from bayescale.laws.dispatch import log_add

_ONE_RATIO = 0.5
"""Range of ln D/N below which the ratio is nearly constant."""


class KaplanND(Law):
    """L = [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D (Kaplan et al. 2020, equation 1.5).

    Fitted to early-stopped runs, with N counted without embeddings. It has no floor: the loss
    goes to zero as N and D grow. The compute-optimal exponent of this law, about 0.58, is not
    Kaplan's well-known 0.73, which comes from L(N, S) and the critical batch size.
    """

    name = "kaplan-nd"
    title = "early-stopped loss in size and data, no floor"
    latex = r"L = \left[(N_c/N)^{\alpha_N/\alpha_D} + D_c/D\right]^{\alpha_D}"
    sources = ("Kaplan et al. 2020, arXiv:2001.08361, equation 1.5",)
    caveat = (
        "Kaplan's L(N, D) was made for early-stopped runs with N counted without embeddings; on "
        "single-epoch runs with total N it is used outside that setting."
    )
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "N_c": Parameter(meaning="scale of size", symbol="N_c", unit="parameters"),
        "D_c": Parameter(meaning="scale of data", symbol="D_c", unit="tokens"),
        "alpha_N": Parameter(meaning="size exponent", symbol=r"\alpha_N"),
        "alpha_D": Parameter(meaning="data exponent", symbol=r"\alpha_D"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "loss_ref": Parameter(
            meaning="loss at the reference point", symbol=r"L_\mathrm{ref}", unit="nats/token"
        ),
        "e_n": Parameter(meaning="elasticity in size at the reference point", symbol="e_N"),
        "e_d": Parameter(meaning="elasticity in data at the reference point", symbol="e_D"),
        "alpha_N": parameters["alpha_N"],
    }
    # The remainder is the share of the data term, so alpha_D = e_d / (1 - share) follows.
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {"alpha_N": ("e_n",)}
    exponents: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "alpha_N": ("e_n", "alpha_N"),
        "alpha_D": ("e_d",),
    }
    traded: ClassVar[tuple[str, ...]] = ("e_n", "e_d")

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        size_term = (p["alpha_N"] / p["alpha_D"]) * (np.log(p["N_c"]) - log_inputs["n_params"])
        data_term = np.log(p["D_c"]) - log_inputs["n_tokens"]
        return np.exp(p["alpha_D"] * log_add(size_term, data_term))

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        ratio = p["alpha_N"] / p["alpha_D"]
        size_term = np.exp(ratio * (np.log(p["N_c"]) - np.log(reference["n_params"])))
        data_term = p["D_c"] / reference["n_tokens"]
        size_share = size_term / (size_term + data_term)
        return {
            "loss_ref": np.exp(p["alpha_D"] * np.log(size_term + data_term)),
            "e_n": p["alpha_N"] * size_share,
            "e_d": p["alpha_D"] * (1.0 - size_share),
            "alpha_N": p["alpha_N"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        size_share = c["e_n"] / c["alpha_N"]
        alpha_D = c["e_d"] / (1.0 - size_share)
        log_inner = np.log(c["loss_ref"]) / alpha_D
        return {
            "N_c": reference["n_params"]
            * np.exp((np.log(size_share) + log_inner) * alpha_D / c["alpha_N"]),
            "D_c": reference["n_tokens"] * (1.0 - size_share) * np.exp(log_inner),
            "alpha_N": c["alpha_N"],
            "alpha_D": alpha_D,
        }

    @override
    def starts(self, log_inputs: LogInputs) -> Sequence[Mapping[str, float]]:
        # At a single ratio of tokens to parameters the two terms are exchangeable, which gives
        # two modes; if the ratio varies there is one.
        ratio = log_inputs["n_tokens"] - log_inputs["n_params"]
        if np.ptp(ratio) > _ONE_RATIO:
            return ()
        return (
            {"e_n": 0.07, "e_d": 0.03, "alpha_N": 0.14},
            {"e_n": 0.03, "e_d": 0.07, "alpha_N": 0.06},
        )

    @override
    def mode_of(self, parameters: Mapping[str, float]) -> str:
        steeper = parameters["alpha_N"] > parameters["alpha_D"]
        return "alpha_N above alpha_D" if steeper else "alpha_D above alpha_N"

    @override
    def optimal_log_params(self, parameters: Values, log_product: Value) -> Value:
        p = parameters
        ratio = p["alpha_N"] / p["alpha_D"]
        return (np.log(ratio) + ratio * np.log(p["N_c"]) + log_product - np.log(p["D_c"])) / (
            1.0 + ratio
        )

    @override
    def derived(self, parameters: Values) -> dict[str, Value]:
        ratio = parameters["alpha_N"] / parameters["alpha_D"]
        return {
            "a": 1.0 / (1.0 + ratio),
            "b": ratio / (1.0 + ratio),
            "g": parameters["alpha_N"] / (1.0 + ratio),
        }


class KaplanNDWithFloor(Law):
    """L = E + [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D: Kaplan's L(N, D) with a floor.

    It shows whether Kaplan's law misfits runs because it has no floor or because of its coupling
    of size and data. It is the coupled law with beta = 1.
    """

    name = "kaplan-nd-floor"
    title = "Kaplan's L(N, D) and a floor"
    latex = r"L = E + \left[(N_c/N)^{\alpha_N/\alpha_D} + D_c/D\right]^{\alpha_D}"
    sources = ("Kaplan et al. 2020, arXiv:2001.08361, equation 1.5, with an offset",)
    caveat = KaplanND.caveat
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "E": Parameter(meaning="irreducible loss", symbol="E", unit="nats/token", is_floor=True),
        **KaplanND.parameters,
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        **KaplanND.coordinates,
        "alpha_D": KaplanND.parameters["alpha_D"],
    }
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {"alpha_N": ("e_n",), "alpha_D": ("e_d",)}
    exponents: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "alpha_N": ("e_n", "alpha_N"),
        "alpha_D": ("e_d", "alpha_D"),
    }
    traded: ClassVar[tuple[str, ...]] = ("e_n", "e_d")

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        return parameters["E"] + _WITHOUT_FLOOR.formula(log_inputs, parameters)

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        reducible = _WITHOUT_FLOOR.to_reference(parameters, reference)
        loss_ref = parameters["E"] + reducible["loss_ref"]
        share = reducible["loss_ref"] / loss_ref
        return {
            "loss_ref": loss_ref,
            "e_n": reducible["e_n"] * share,
            "e_d": reducible["e_d"] * share,
            "alpha_N": parameters["alpha_N"],
            "alpha_D": parameters["alpha_D"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        share = c["e_n"] / c["alpha_N"] + c["e_d"] / c["alpha_D"]
        reducible = {
            "loss_ref": c["loss_ref"] * share,
            "e_n": c["e_n"] / share,
            "e_d": c["e_d"] / share,
            "alpha_N": c["alpha_N"],
        }
        natural = _WITHOUT_FLOOR.from_reference(reducible, reference)
        return {"E": c["loss_ref"] * (1.0 - share), **natural}

    @override
    def optimal_log_params(self, parameters: Values, log_product: Value) -> Value:
        return _WITHOUT_FLOOR.optimal_log_params(parameters, log_product)

    @override
    def derived(self, parameters: Values) -> dict[str, Value]:
        return _WITHOUT_FLOOR.derived(parameters)


_WITHOUT_FLOOR = KaplanND()
