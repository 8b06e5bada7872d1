"""Law for sparse models, whose number of experts changes level and exponent of both terms."""

from collections.abc import Mapping
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, Parameter, Value, Values

_LOSS = "nats/token"


class MixtureOfExperts(Law):
    r"""L = a F^delta N^(-alpha + gamma ln F) + b F^omega D^(-beta + zeta ln F) + c.

    The joint law of Ludziejewski et al. 2025, equation 6, in active parameters N, tokens D and
    experts, of which F is a bounded transform (equation 4, after Clark et al. 2022):
    1 / F = 1 / (experts - 1 + (1 / E_start - 1 / E_max)^-1) + 1 / E_max, so that F goes from
    E_start for one expert to E_max for many. For a given number of experts it is Chinchilla's law.

    Exponents are written with an explicit minus sign, which the paper includes in them.

    The coordinates are those of Chinchilla's law for one expert at the reference size and tokens,
    and the slopes of the two log terms and of their exponents in ln F there.
    """

    name = "mixture-of-experts"
    title = "Chinchilla's law with levels and exponents that vary with the number of experts"
    latex = (
        r"L = a \hat{E}^{\delta} N^{-\alpha + \gamma\ln\hat{E}}"
        r" + b \hat{E}^{\omega} D^{-\beta + \zeta\ln\hat{E}} + c"
    )
    sources = (
        "Ludziejewski et al. 2025, arXiv:2502.05172, equations 4 and 6",
        "Clark et al. 2022, arXiv:2202.01169",
    )
    caveat = "N counts the parameters that are active for a token, embeddings included."
    inputs = ("n_params", "n_tokens", "n_experts")
    # For some parameters exponents change sign at many experts, where more data may not help.
    monotone = False
    fixed_reference: ClassVar[Mapping[str, float]] = {"n_experts": 1.0}
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "a": Parameter(meaning="size term at N = F = 1", symbol="a", unit=_LOSS),
        "alpha": Parameter(meaning="size exponent at F = 1", symbol=r"\alpha", support="real"),
        "gamma": Parameter(
            meaning="change of the size exponent with ln F", symbol=r"\gamma", support="real"
        ),
        "delta": Parameter(
            meaning="exponent of F in the size term at N = 1", symbol=r"\delta", support="real"
        ),
        "b": Parameter(meaning="data term at D = F = 1", symbol="b", unit=_LOSS),
        "beta": Parameter(meaning="data exponent at F = 1", symbol=r"\beta", support="real"),
        "zeta": Parameter(
            meaning="change of the data exponent with ln F", symbol=r"\zeta", support="real"
        ),
        "omega": Parameter(
            meaning="exponent of F in the data term at D = 1", symbol=r"\omega", support="real"
        ),
        "E_start": Parameter(meaning="F for one expert", symbol=r"E_\mathrm{start}"),
        "E_max": Parameter(meaning="F for many experts", symbol=r"E_\mathrm{max}"),
        "c": Parameter(meaning="irreducible loss", symbol="c", unit=_LOSS, is_floor=True),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "loss_ref": Parameter(
            meaning="loss of one expert at the reference point",
            symbol=r"L_\mathrm{ref}",
            unit=_LOSS,
        ),
        "e_n": Parameter(meaning="elasticity in size there", symbol="e_N"),
        "e_d": Parameter(meaning="elasticity in data there", symbol="e_D"),
        "alpha_dense": Parameter(meaning="size exponent of one expert", symbol=r"\alpha_1"),
        "beta_dense": Parameter(meaning="data exponent of one expert", symbol=r"\beta_1"),
        "delta_ref": Parameter(
            meaning="exponent of F in the size term at the reference size",
            symbol=r"\delta_\mathrm{ref}",
            support="real",
        ),
        "omega_ref": Parameter(
            meaning="exponent of F in the data term at the reference tokens",
            symbol=r"\omega_\mathrm{ref}",
            support="real",
        ),
        "gamma": parameters["gamma"],
        "zeta": parameters["zeta"],
        "E_start": parameters["E_start"],
        "E_max_ratio": Parameter(
            meaning="F for many experts over F for one, less one",
            symbol=r"E_\mathrm{max}/E_\mathrm{start} - 1",
        ),
    }
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "alpha_dense": ("e_n",),
        "beta_dense": ("e_d",),
    }
    traded: ClassVar[tuple[str, ...]] = ("e_n", "e_d")

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        log_f = self._log_transform(np.exp(log_inputs["n_experts"]), p)
        size_slope = p["gamma"] * log_f - p["alpha"]
        data_slope = p["zeta"] * log_f - p["beta"]
        size_term = p["a"] * np.exp(p["delta"] * log_f + size_slope * log_inputs["n_params"])
        data_term = p["b"] * np.exp(p["omega"] * log_f + data_slope * log_inputs["n_tokens"])
        return p["c"] + size_term + data_term

    @staticmethod
    def _log_transform(experts: Value, p: Values) -> Value:
        """Return ln F."""
        grown = experts - 1.0 + 1.0 / (1.0 / p["E_start"] - 1.0 / p["E_max"])
        return -np.log(1.0 / grown + 1.0 / p["E_max"])

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        log_f = self._log_transform(reference["n_experts"], p)
        log_n, log_d = np.log(reference["n_params"]), np.log(reference["n_tokens"])
        alpha, beta = p["alpha"] - p["gamma"] * log_f, p["beta"] - p["zeta"] * log_f
        size_term = p["a"] * np.exp(p["delta"] * log_f - alpha * log_n)
        data_term = p["b"] * np.exp(p["omega"] * log_f - beta * log_d)
        loss_ref = p["c"] + size_term + data_term
        return {
            "loss_ref": loss_ref,
            "e_n": alpha * size_term / loss_ref,
            "e_d": beta * data_term / loss_ref,
            "alpha_dense": alpha,
            "beta_dense": beta,
            "delta_ref": p["delta"] + p["gamma"] * log_n,
            "omega_ref": p["omega"] + p["zeta"] * log_d,
            "gamma": p["gamma"],
            "zeta": p["zeta"],
            "E_start": p["E_start"],
            "E_max_ratio": p["E_max"] / p["E_start"] - 1.0,
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        ends = {"E_start": c["E_start"], "E_max": c["E_start"] * (1.0 + c["E_max_ratio"])}
        log_f = self._log_transform(reference["n_experts"], ends)
        log_n, log_d = np.log(reference["n_params"]), np.log(reference["n_tokens"])
        delta = c["delta_ref"] - c["gamma"] * log_n
        omega = c["omega_ref"] - c["zeta"] * log_d
        size_term = c["loss_ref"] * c["e_n"] / c["alpha_dense"]
        data_term = c["loss_ref"] * c["e_d"] / c["beta_dense"]
        return {
            "a": size_term * np.exp(c["alpha_dense"] * log_n - delta * log_f),
            "alpha": c["alpha_dense"] + c["gamma"] * log_f,
            "gamma": c["gamma"],
            "delta": delta,
            "b": data_term * np.exp(c["beta_dense"] * log_d - omega * log_f),
            "beta": c["beta_dense"] + c["zeta"] * log_f,
            "zeta": c["zeta"],
            "omega": omega,
            **ends,
            "c": c["loss_ref"] - size_term - data_term,
        }
