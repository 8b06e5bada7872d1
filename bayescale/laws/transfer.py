"""The value of pre-training, in tokens of fine-tuning data."""

from collections.abc import Mapping
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, Parameter, Value, Values


class EffectiveDataTransferred(Law):
    """D_T = k D_F^alpha N^beta (Hernandez et al. 2021, equation 1.1).

    D_T is the additional data of the target distribution that a model trained from scratch needs
    to match one that is pre-trained and then fine-tuned on D_F. The response is an amount of
    data, in the unit of D_F, not a loss. The law holds where D_F is small compared to what the
    size can use.
    """

    name = "effective-data-transferred"
    title = "data that pre-training is worth, in fine-tuning data and size"
    latex = r"D_T = k\, D_F^{\alpha} N^{\beta}"
    sources = ("Hernandez et al. 2021, arXiv:2102.01293, equation 1.1",)
    response = "n_transferred_tokens"
    response_unit = "tokens"
    inputs = ("n_finetuning_tokens", "n_params")
    rises_in = frozenset({"n_finetuning_tokens", "n_params"})
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "k": Parameter(meaning="level, a measure of how near the distributions are", symbol="k"),
        "alpha": Parameter(meaning="exponent of the fine-tuning data", symbol=r"\alpha"),
        "beta": Parameter(meaning="exponent of size", symbol=r"\beta"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "n_transferred_tokens_ref": Parameter(
            meaning="data transferred at the reference point",
            symbol=r"D_{T,\mathrm{ref}}",
            unit="tokens",
        ),
        "alpha": parameters["alpha"],
        "beta": parameters["beta"],
    }

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        return p["k"] * np.exp(self._log_growth(log_inputs, p))

    def _log_growth(self, log_inputs: Values, p: Values) -> Value:
        return p["alpha"] * log_inputs["n_finetuning_tokens"] + p["beta"] * log_inputs["n_params"]

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        at = {name: np.log(reference[name]) for name in self.inputs}
        return {
            "n_transferred_tokens_ref": self.formula(at, parameters),
            "alpha": parameters["alpha"],
            "beta": parameters["beta"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        at = {name: np.log(reference[name]) for name in self.inputs}
        level = c["n_transferred_tokens_ref"] * np.exp(-self._log_growth(at, c))
        return {"k": level, "alpha": c["alpha"], "beta": c["beta"]}
