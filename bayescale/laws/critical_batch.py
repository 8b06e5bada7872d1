"""The critical batch size as a function of the training tokens."""

from collections.abc import Mapping
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, Parameter, Value, Values


class CriticalBatch(Law):
    """B_crit = (D / D_1)^a: the critical batch grows as a power of the tokens.

    The critical batch is that at which a loss takes twice the fewest tokens and twice the fewest
    steps (McCandlish et al. 2018). Zhang et al. 2024 find that it grows with the tokens, and hardly
    with the size at a fixed number of tokens. D_1 is the number of tokens at which the power law is
    at a batch of one.
    """

    name = "critical-batch"
    title = "critical batch size as a power of the tokens"
    latex = r"B_\mathrm{crit} = (D/D_1)^{a}"
    sources = (
        "Zhang et al. 2024, arXiv:2410.21676",
        "McCandlish et al. 2018, arXiv:1812.06162 (the critical batch)",
    )
    caveat = (
        "What counts as critical differs between papers: twice the fewest tokens here, a fifth "
        "more steps in others."
    )
    response = "critical_batch"
    response_unit = "tokens"
    inputs = ("n_tokens",)
    rises_in = frozenset({"n_tokens"})
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "D_1": Parameter(meaning="tokens for a batch of one", symbol="D_1", unit="tokens"),
        "a": Parameter(meaning="exponent of the tokens", symbol="a"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "critical_batch_ref": Parameter(
            meaning="critical batch at the reference tokens",
            symbol=r"B_\mathrm{ref}",
            unit="tokens",
        ),
        "a": parameters["a"],
    }
    exponents: ClassVar[Mapping[str, tuple[str, ...]]] = {"a": ("a",)}

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        return np.exp(parameters["a"] * (log_inputs["n_tokens"] - np.log(parameters["D_1"])))

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        at = {"n_tokens": np.log(reference["n_tokens"])}
        return {"critical_batch_ref": self.formula(at, parameters), "a": parameters["a"]}

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        log_tokens = np.log(reference["n_tokens"]) - np.log(c["critical_batch_ref"]) / c["a"]
        return {"D_1": np.exp(log_tokens), "a": c["a"]}
