"""The loss under a learning rate and a batch size that need not be the best ones."""

from collections.abc import Mapping
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, Parameter, Value, Values
from bayescale.laws.chinchilla import Chinchilla

_TUNED = Chinchilla()

_NOISE_RATIO = 0.5
"""Exponent of the learning rate relative to that of the batch in the term of gradient noise, as
for Adam; the public grid of StepLaw, fitted with it free, agrees."""


class LearningRateBatch(Law):
    """L = E + A N^-alpha + B D^-beta (1 + h), h the excess by learning rate and batch size.

    The optimum is a power law of size and tokens: lr_opt = lr_0 N^lr_N D^lr_D and
    batch_opt = batch_0 N^batch_N D^batch_D. With u and v the logarithms of the learning rate and
    the batch size over their optimum, h is k times the sum of three parts, whose slopes cancel at
    u = v = 0:

    - v - u: the distance that training covers falls with fewer steps (a larger batch) and with a
      smaller learning rate;
    - exp(s (u / 2 - v)) / s: gradient noise, in the root of the learning rate over the batch;
    - exp(w u) / (2 w): instability at large learning rates.

    It is convex, with a minimum of zero at the optimum, and multiplies the data term: a bad pair
    wastes tokens, and its excess falls with longer training. Every run of a grid informs the
    optimum, and an optimum beyond the grid is an extrapolation with its own uncertainty.
    """

    name = "learning-rate-batch"
    title = "Chinchilla's law, with the excess of a learning rate and batch off their optimum"
    latex = (
        r"L = E + A N^{-\alpha} + B D^{-\beta} (1 + h),\;"
        r" h = k\,[v - u + \frac{1}{s} (e^{s(u/2 - v)} - 1) + \frac{1}{2w} (e^{w u} - 1)],\;"
        r" u = \ln\frac{\eta}{\eta_0 N^{\eta_N} D^{\eta_D}},\;"
        r" v = \ln\frac{b}{b_0 N^{b_N} D^{b_D}}"
    )
    sources = (
        "bayescale; optimum as power laws of size and tokens as in Li et al. 2025, "
        "arXiv:2503.04715",
    )
    caveat = (
        "The optimum of learning rate and batch size holds for one optimizer, schedule and "
        "parametrisation: those of the runs."
    )
    inputs = ("n_params", "n_tokens", "learning_rate", "batch_tokens")
    monotone = False
    parameters: ClassVar[Mapping[str, Parameter]] = {
        **Chinchilla.parameters,
        "lr_0": Parameter(meaning="best learning rate at N = D = 1", symbol=r"\eta_0"),
        "lr_N": Parameter(
            meaning="exponent of size in the best learning rate", symbol=r"\eta_N", support="real"
        ),
        "lr_D": Parameter(
            meaning="exponent of tokens in the best learning rate", symbol=r"\eta_D", support="real"
        ),
        "batch_0": Parameter(meaning="best batch at N = D = 1", symbol="b_0", unit="tokens"),
        "batch_N": Parameter(
            meaning="exponent of size in the best batch", symbol="b_N", support="real"
        ),
        "batch_D": Parameter(
            meaning="exponent of tokens in the best batch", symbol="b_D", support="real"
        ),
        "k": Parameter(meaning="scale of the excess of the data term off the optimum", symbol="k"),
        "s": Parameter(meaning="exponent of gradient noise in the batch", symbol="s"),
        "w": Parameter(meaning="exponent of instability in the learning rate", symbol="w"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "loss_ref": Chinchilla.coordinates["loss_ref"],
        "e_n": Parameter(
            meaning="elasticity in size at the reference point, at the best rate and batch",
            symbol="e_N",
        ),
        "e_d": Parameter(
            meaning="elasticity in data at the reference point, at the best rate and batch",
            symbol="e_D",
        ),
        "alpha": parameters["alpha"],
        "beta": parameters["beta"],
        "lr_ratio": Parameter(
            meaning="best learning rate over the reference one, at the reference size and tokens",
            symbol=r"\eta_\mathrm{opt}/\eta_\mathrm{ref}",
        ),
        "lr_N": parameters["lr_N"],
        "lr_D": parameters["lr_D"],
        "batch_ratio": Parameter(
            meaning="best batch over the reference one, at the reference size and tokens",
            symbol=r"b_\mathrm{opt}/b_\mathrm{ref}",
        ),
        "batch_N": parameters["batch_N"],
        "batch_D": parameters["batch_D"],
        "k": parameters["k"],
        "s": parameters["s"],
        "w": parameters["w"],
    }
    shares = Chinchilla.shares
    traded = Chinchilla.traded
    derived_meanings: ClassVar[Mapping[str, str]] = {
        **Law.derived_meanings,
        "lr_C": "exponent of the best learning rate in compute, along the optimum",
        "batch_C": "exponent of the best batch in compute, along the optimum",
    }

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p, best = parameters, self.log_optimum(log_inputs, parameters)
        excess = self.excess(
            log_inputs["learning_rate"] - best["learning_rate"],
            log_inputs["batch_tokens"] - best["batch_tokens"],
            p,
        )
        data_term = p["B"] * np.exp(-p["beta"] * log_inputs["n_tokens"])
        return _TUNED.formula(log_inputs, p) + excess * data_term

    @override
    def log_optimum(self, log_inputs: Values, parameters: Values) -> dict[str, Value]:
        """Return ln of the best learning rate and batch size, at ln of size and tokens."""
        p, log_n, log_d = parameters, log_inputs["n_params"], log_inputs["n_tokens"]
        return {
            "learning_rate": np.log(p["lr_0"]) + p["lr_N"] * log_n + p["lr_D"] * log_d,
            "batch_tokens": np.log(p["batch_0"]) + p["batch_N"] * log_n + p["batch_D"] * log_d,
        }

    def excess(self, log_rate: Value, log_batch: Value, parameters: Values) -> Value:
        """Return h, from ln of learning rate and batch size over the best."""
        p = parameters
        noise = np.expm1(p["s"] * (_NOISE_RATIO * log_rate - log_batch)) / p["s"]
        instability = (1.0 - _NOISE_RATIO) * np.expm1(p["w"] * log_rate) / p["w"]
        return p["k"] * (log_batch - log_rate + noise + instability)

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        at = {name: np.log(reference[name]) for name in self.inputs}
        best = self.log_optimum(at, p)
        ratios = {name: log_best - at[name] for name, log_best in best.items()}
        excess = self.excess(-ratios["learning_rate"], -ratios["batch_tokens"], p)
        tuned = _TUNED.to_reference(p, reference)
        return {
            **tuned,
            "loss_ref": tuned["loss_ref"] * (1.0 + excess * tuned["e_d"] / p["beta"]),
            "lr_ratio": np.exp(ratios["learning_rate"]),
            "batch_ratio": np.exp(ratios["batch_tokens"]),
            **{name: p[name] for name in _SHARED},
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        log_n, log_d = np.log(reference["n_params"]), np.log(reference["n_tokens"])
        log_rate, log_batch = np.log(c["lr_ratio"]), np.log(c["batch_ratio"])
        excess = self.excess(-log_rate, -log_batch, c)
        tuned = c["loss_ref"] / (1.0 + excess * c["e_d"] / c["beta"])
        return {
            **_TUNED.from_reference({**c, "loss_ref": tuned}, reference),
            "lr_0": reference["learning_rate"]
            * np.exp(log_rate - c["lr_N"] * log_n - c["lr_D"] * log_d),
            "batch_0": reference["batch_tokens"]
            * np.exp(log_batch - c["batch_N"] * log_n - c["batch_D"] * log_d),
            **{name: c[name] for name in _SHARED},
        }

    @override
    def remarks(
        self, parameters: Values, ends: Mapping[str, tuple[float, float]]
    ) -> tuple[str, ...]:
        """Return sentences on an optimum beyond the grid, at the middle of the sizes and tokens."""
        middle = {name: 0.5 * np.log(np.prod(ends[name])) for name in ("n_params", "n_tokens")}
        best, found = self.log_optimum(middle, parameters), []
        for name, word in (("learning_rate", "learning rate"), ("batch_tokens", "batch")):
            low, high = np.log(ends[name])
            draws = np.asarray(best[name])
            for side, outside in (("below", draws < low), ("above", draws > high)):
                if (probability := float(np.mean(outside))) > _NOTABLE:
                    found.append(
                        f"The best {word} at the middle of the runs lies {side} every {word} that "
                        f"was run with probability {probability:.2f}: the runs censor it, and how "
                        "far beyond it lies is an extrapolation. Add runs there."
                    )
        return tuple(found)

    @override
    def derived(self, parameters: Values) -> dict[str, Value]:
        p, split = parameters, _TUNED.derived(parameters)
        return {
            **split,
            "lr_C": p["lr_N"] * split["a"] + p["lr_D"] * split["b"],
            "batch_C": p["batch_N"] * split["a"] + p["batch_D"] * split["b"],
        }


_NOTABLE = 0.05
"""Posterior probability from which an optimum is reported to lie beyond the runs."""

_SHARED = ("lr_N", "lr_D", "batch_N", "batch_D", "k", "s", "w")
"""Parameters that are coordinates themselves."""
