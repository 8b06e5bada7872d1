"""Law for translation models with separate encoder and decoder sizes."""

from collections.abc import Mapping
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, Parameter, Value, Values


class EncoderDecoder(Law):
    """L = E + A N_e^(-p_e) N_d^(-p_d) (Ghorbani et al. 2021).

    The paper writes A as alpha Nbar_e^p_e Nbar_d^p_d, with the sizes of a baseline. The optimal
    share of the decoder in a given number of parameters is p_d / (p_e + p_d), for any number.

    The coordinates are the loss at the reference sizes, its two elasticities there, and the sum
    of the exponents, which are proportional to the elasticities.
    """

    name = "encoder-decoder"
    title = "a floor and one term in the sizes of encoder and decoder"
    latex = r"L = E + A\, N_e^{-p_e} N_d^{-p_d}"
    sources = ("Ghorbani et al. 2021, arXiv:2109.07740",)
    inputs = ("n_encoder_params", "n_decoder_params")
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "E": Parameter(meaning="irreducible loss", symbol="E", unit="nats/token", is_floor=True),
        "A": Parameter(meaning="reducible loss at sizes of one", symbol="A", unit="nats/token"),
        "p_e": Parameter(meaning="exponent of the encoder's size", symbol="p_e"),
        "p_d": Parameter(meaning="exponent of the decoder's size", symbol="p_d"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "loss_ref": Parameter(
            meaning="loss at the reference point", symbol=r"L_\mathrm{ref}", unit="nats/token"
        ),
        "e_e": Parameter(meaning="elasticity in the encoder's size there", symbol="e_e"),
        "e_d": Parameter(meaning="elasticity in the decoder's size there", symbol="e_d"),
        "p": Parameter(meaning="sum of the exponents", symbol="p_e + p_d"),
    }
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {"p": ("e_e", "e_d")}
    traded: ClassVar[tuple[str, ...]] = ("e_e", "e_d")
    derived_meanings: ClassVar[Mapping[str, str]] = {
        "decoder_share": "share of the parameters that the decoder should have",
    }

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        fall = p["p_e"] * log_inputs["n_encoder_params"] + p["p_d"] * log_inputs["n_decoder_params"]
        return p["E"] + p["A"] * np.exp(-fall)

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        at = {name: np.log(reference[name]) for name in self.inputs}
        loss_ref = self.formula(at, p)
        share = 1.0 - p["E"] / loss_ref
        return {
            "loss_ref": loss_ref,
            "e_e": p["p_e"] * share,
            "e_d": p["p_d"] * share,
            "p": p["p_e"] + p["p_d"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        both = c["e_e"] + c["e_d"]
        reducible = c["loss_ref"] * both / c["p"]
        p_e, p_d = c["p"] * c["e_e"] / both, c["p"] * c["e_d"] / both
        fall = p_e * np.log(reference["n_encoder_params"])
        fall = fall + p_d * np.log(reference["n_decoder_params"])
        return {
            "E": c["loss_ref"] - reducible,
            "A": reducible * np.exp(fall),
            "p_e": p_e,
            "p_d": p_d,
        }

    @override
    def derived(self, parameters: Values) -> dict[str, Value]:
        return {"decoder_share": parameters["p_d"] / (parameters["p_e"] + parameters["p_d"])}
