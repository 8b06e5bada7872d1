"""Laws in total parameters for mixtures of experts: of their sparsity, and of their granularity."""

from collections.abc import Mapping
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, Parameter, Value, Values
from bayescale.laws.chinchilla import Chinchilla

_LOSS = "nats/token"

_ONE_GRANULARITY = Chinchilla()


class MoeSparsity(Law):
    r"""L = a N^-alpha + b D^-beta + c A^kappa + d A^-delta N^-gamma + e.

    The law of Abnar et al. 2025, equation 6, in total parameters N, tokens D and the activation
    ratio A = 1 - S: the experts that are active for a token over all experts of a layer, where the
    sparsity S is the share of inactive ones. The paper writes the third term as c (1 - S)^-lambda
    with a negative lambda, which is -kappa: the loss of a large model falls as experts are added.
    With delta equal to gamma, the fourth term is a power of A N, which approximates the active
    parameters.

    The coordinates are those of Chinchilla's law at the reference point, with one elasticity for
    each of the four terms, and the exponent of the activation ratio in the term of active size.
    """

    name = "moe-sparsity"
    title = "size, data, sparsity and active size of a mixture of experts, in total parameters"
    latex = r"L = a N^{-\alpha} + b D^{-\beta} + c A^{\kappa} + d A^{-\delta} N^{-\gamma} + e"
    sources = ("Abnar et al. 2025, arXiv:2501.12370, equation 6",)
    caveat = (
        "N counts all parameters, and A is one less the sparsity: active experts over all experts."
    )
    inputs = ("n_params", "n_tokens", "activation_ratio")
    # More active experts raise one term and lower another.
    monotone = False
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "a": Parameter(meaning="size term at N = 1", symbol="a", unit=_LOSS),
        "alpha": Parameter(meaning="size exponent", symbol=r"\alpha"),
        "b": Parameter(meaning="data term at D = 1", symbol="b", unit=_LOSS),
        "beta": Parameter(meaning="data exponent", symbol=r"\beta"),
        "c": Parameter(meaning="sparsity term of a dense model", symbol="c", unit=_LOSS),
        "kappa": Parameter(
            meaning="exponent of the activation ratio in the sparsity term", symbol=r"\kappa"
        ),
        "d": Parameter(meaning="term of active size at N = A = 1", symbol="d", unit=_LOSS),
        "delta": Parameter(
            meaning="exponent of the activation ratio in the term of active size",
            symbol=r"\delta",
            support="real",
        ),
        "gamma": Parameter(meaning="size exponent of the term of active size", symbol=r"\gamma"),
        "e": Parameter(meaning="irreducible loss", symbol="e", unit=_LOSS, is_floor=True),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "loss_ref": Parameter(
            meaning="loss at the reference point", symbol=r"L_\mathrm{ref}", unit=_LOSS
        ),
        "e_n": Parameter(meaning="elasticity of the size term there", symbol="e_N"),
        "e_a": Parameter(meaning="elasticity in size of the term of active size", symbol="e_a"),
        "e_d": Parameter(meaning="elasticity in data there", symbol="e_D"),
        "e_s": Parameter(
            meaning="elasticity of the sparsity term in the activation ratio", symbol="e_S"
        ),
        "alpha": parameters["alpha"],
        "gamma": parameters["gamma"],
        "beta": parameters["beta"],
        "kappa": parameters["kappa"],
        "delta": parameters["delta"],
    }
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "alpha": ("e_n",),
        "gamma": ("e_a",),
        "beta": ("e_d",),
        "kappa": ("e_s",),
    }
    # The two terms of size differ in the activation ratio alone.
    traded: ClassVar[tuple[str, ...]] = ("e_n", "e_a")

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        return parameters["e"] + sum(self._terms(log_inputs, parameters).values())

    @staticmethod
    def _terms(log_inputs: Values, p: Values) -> dict[str, Value]:
        """Return the terms by the coefficient of each."""
        log_n, log_d = log_inputs["n_params"], log_inputs["n_tokens"]
        log_a = log_inputs["activation_ratio"]
        return {
            "a": p["a"] * np.exp(-p["alpha"] * log_n),
            "b": p["b"] * np.exp(-p["beta"] * log_d),
            "c": p["c"] * np.exp(p["kappa"] * log_a),
            "d": p["d"] * np.exp(-p["delta"] * log_a - p["gamma"] * log_n),
        }

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        terms = self._terms({name: np.log(reference[name]) for name in self.inputs}, p)
        loss_ref = p["e"] + sum(terms.values())
        return {
            "loss_ref": loss_ref,
            "e_n": p["alpha"] * terms["a"] / loss_ref,
            "e_a": p["gamma"] * terms["d"] / loss_ref,
            "e_d": p["beta"] * terms["b"] / loss_ref,
            "e_s": p["kappa"] * terms["c"] / loss_ref,
            **{name: p[name] for name in ("alpha", "gamma", "beta", "kappa", "delta")},
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        log_n, log_d, log_a = (np.log(reference[name]) for name in self.inputs)
        of_size, of_active, of_data, of_sparsity = (
            c["loss_ref"] * c[elasticity] / c[exponent]
            for exponent, (elasticity,) in self.shares.items()
        )
        return {
            "a": of_size * np.exp(c["alpha"] * log_n),
            "alpha": c["alpha"],
            "b": of_data * np.exp(c["beta"] * log_d),
            "beta": c["beta"],
            "c": of_sparsity * np.exp(-c["kappa"] * log_a),
            "kappa": c["kappa"],
            "d": of_active * np.exp(c["delta"] * log_a + c["gamma"] * log_n),
            "delta": c["delta"],
            "gamma": c["gamma"],
            "e": c["loss_ref"] - of_size - of_active - of_data - of_sparsity,
        }


class MoeGranularity(Law):
    r"""L = c + (g G^-gamma + a) N^-alpha + b D^-beta.

    The law of Krajewski et al. 2024, equation 9, in total parameters N without embeddings, tokens D
    and granularity G: the width of the feed-forward block of a dense model over that of an expert.
    A token is routed to G experts, so that neither the active nor the total parameters depend on G.
    The ratio of total to active expert parameters is fixed: 64 in the paper.

    The coordinates are those of Chinchilla's law for a granularity of one at the reference size and
    tokens, the share of the size term that finer experts remove, and its exponent.
    """

    name = "moe-granularity"
    title = "Chinchilla's law with a size term that falls with the granularity of experts"
    latex = r"L = c + (g\, G^{-\gamma} + a) N^{-\alpha} + b D^{-\beta}"
    sources = ("Krajewski et al. 2024, arXiv:2402.07871, equation 9",)
    caveat = (
        "N counts all parameters without embeddings, for one ratio of all experts to active ones."
    )
    inputs = ("n_params", "n_tokens", "granularity")
    fixed_reference: ClassVar[Mapping[str, float]] = {"granularity": 1.0}
    identifies: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "granularity": ("granular_share", "gamma")
    }
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "a": Parameter(meaning="size term at N = 1 for the finest experts", symbol="a", unit=_LOSS),
        "alpha": Parameter(meaning="size exponent", symbol=r"\alpha"),
        "b": Parameter(meaning="data term at D = 1", symbol="b", unit=_LOSS),
        "beta": Parameter(meaning="data exponent", symbol=r"\beta"),
        "g": Parameter(meaning="granularity term at N = G = 1", symbol="g", unit=_LOSS),
        "gamma": Parameter(meaning="granularity exponent", symbol=r"\gamma"),
        "c": Parameter(meaning="irreducible loss", symbol="c", unit=_LOSS, is_floor=True),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "loss_ref": Parameter(
            meaning="loss for a granularity of one at the reference point",
            symbol=r"L_\mathrm{ref}",
            unit=_LOSS,
        ),
        "e_n": Parameter(meaning="elasticity in size there", symbol="e_N"),
        "e_d": Parameter(meaning="elasticity in data there", symbol="e_D"),
        "alpha": parameters["alpha"],
        "beta": parameters["beta"],
        "granular_share": Parameter(
            meaning="share of the size term at G = 1 that the finest experts remove",
            symbol=r"g/(a + g)",
            support="unit",
        ),
        "gamma": parameters["gamma"],
    }
    shares = Chinchilla.shares
    traded = Chinchilla.traded

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        coarse = self._granularity_term(log_inputs["granularity"], parameters)
        return _ONE_GRANULARITY.formula(log_inputs, self._of_chinchilla(parameters, coarse))

    @staticmethod
    def _granularity_term(log_granularity: Value, p: Values) -> Value:
        """Return g G^-gamma."""
        return p["g"] * np.exp(-p["gamma"] * log_granularity)

    @staticmethod
    def _of_chinchilla(p: Values, coarse: Value) -> dict[str, Value]:
        """Return the parameters of Chinchilla's law at one granularity."""
        shared = {name: p[name] for name in ("alpha", "beta")}
        return {"E": p["c"], "A": p["a"] + coarse, "B": p["b"], **shared}

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        coarse = self._granularity_term(np.log(reference["granularity"]), parameters)
        there = self._of_chinchilla(parameters, coarse)
        return {
            **_ONE_GRANULARITY.to_reference(there, reference),
            "granular_share": coarse / there["A"],
            "gamma": parameters["gamma"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        there = _ONE_GRANULARITY.from_reference(c, reference)
        coarse = there["A"] * c["granular_share"]
        return {
            "a": there["A"] - coarse,
            "alpha": c["alpha"],
            "b": there["B"],
            "beta": c["beta"],
            "g": coarse * np.exp(c["gamma"] * np.log(reference["granularity"])),
            "gamma": c["gamma"],
            "c": there["E"],
        }
