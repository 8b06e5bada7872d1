"""Kaplan's law L(N, S) for training with a finite batch, an implicit equation of the loss."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, LogInputs, Parameter, Value, Values
from bayescale.laws.dispatch import detached, larger, log_add, sigmoid, softplus

_NEWTON_STEPS = 6
"""The equation is convex in ln L and starts below its root, so that Newton's method converges; six
steps leave an error below 1e-12 for all practical exponents and batches."""

_FLOP_PER_PARAM_TOKEN = 6.0

_CAVEAT = (
    "Kaplan's L(N, S) was made for runs on fresh data with N counted without embeddings; under a "
    "decaying learning rate the effects of steps and of decay are confounded."
)


class KaplanNSmin(Law):
    """L = (N_c / N)^alpha_N + (S_c / S_min)^alpha_S (Kaplan et al. 2020, equation 1.6).

    S_min is the number of steps needed at a very large batch. It is an input here: computed
    beforehand, or the number of steps if every batch is far above the critical size, or if a
    single batch size does not identify it.

    There is no floor, so the shares of the two terms sum to one: alpha_N is e_n / share and
    alpha_S is e_s / (1 - share). The posterior often has two modes, with alpha_S above alpha_N
    (as Kaplan et al. find) or below it.
    """

    name = "kaplan-ns-min"
    title = "loss in size and batch-adjusted steps"
    latex = r"L = (N_c/N)^{\alpha_N} + (S_c/S_\mathrm{min})^{\alpha_S}"
    sources = ("Kaplan et al. 2020, arXiv:2001.08361, equation 1.6",)
    caveat = _CAVEAT
    inputs = ("n_params", "n_steps_min")
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "N_c": Parameter(meaning="scale of size", symbol="N_c", unit="parameters"),
        "S_c": Parameter(meaning="scale of steps", symbol="S_c", unit="steps"),
        "alpha_N": Parameter(meaning="size exponent", symbol=r"\alpha_N"),
        "alpha_S": Parameter(meaning="step exponent", symbol=r"\alpha_S"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "loss_ref": Parameter(
            meaning="loss at the reference point", symbol=r"L_\mathrm{ref}", unit="nats/token"
        ),
        "e_n": Parameter(meaning="elasticity in size at the reference point", symbol="e_N"),
        "e_s": Parameter(meaning="elasticity in S_min at the reference point", symbol="e_S"),
        "size_share": Parameter(
            meaning="share of the size term in the loss there", symbol="s_N", support="unit"
        ),
    }
    traded: ClassVar[tuple[str, ...]] = ("e_n", "e_s")
    exponents: ClassVar[Mapping[str, tuple[str, ...]]] = {"alpha_N": ("e_n",), "alpha_S": ("e_s",)}

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        size = p["alpha_N"] * (np.log(p["N_c"]) - log_inputs["n_params"])
        steps = p["alpha_S"] * (np.log(p["S_c"]) - log_inputs["n_steps_min"])
        return np.exp(size) + np.exp(steps)

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        loss_ref = self.formula({name: np.log(reference[name]) for name in self.inputs}, p)
        size_term = np.exp(p["alpha_N"] * (np.log(p["N_c"]) - np.log(reference["n_params"])))
        size_share = size_term / loss_ref
        return {
            "loss_ref": loss_ref,
            "e_n": p["alpha_N"] * size_share,
            "e_s": p["alpha_S"] * (1.0 - size_share),
            "size_share": size_share,
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        log_loss = np.log(c["loss_ref"])
        alpha_n = c["e_n"] / c["size_share"]
        alpha_s = c["e_s"] / (1.0 - c["size_share"])
        log_size = log_loss + np.log(c["size_share"])
        log_step = log_loss + np.log1p(-c["size_share"])
        return {
            "N_c": reference["n_params"] * np.exp(log_size / alpha_n),
            "S_c": reference["n_steps_min"] * np.exp(log_step / alpha_s),
            "alpha_N": alpha_n,
            "alpha_S": alpha_s,
        }

    @override
    def starts(self, log_inputs: LogInputs) -> Sequence[Mapping[str, float]]:
        return ({"size_share": 0.95}, {"size_share": 0.2})

    @override
    def mode_of(self, parameters: Mapping[str, float]) -> str:
        is_steeper = parameters["alpha_S"] > parameters["alpha_N"]
        return "alpha_S above alpha_N" if is_steeper else "alpha_N above alpha_S"


class KaplanNS(Law):
    """Kaplan's L(N, S_min) with S_min = S / (1 + B_crit(L) / B) (Kaplan et al. 2020).

    Equations 1.6 and 5.4, where B_crit = B_* / L^(1 / alpha_B) is the critical batch size
    (equation 1.4). Since B_crit depends on the loss, the equation is implicit; the formula solves
    it in fits and predictions alike, so that an observed, noisy loss is never an input.

    The coordinates are at the reference size, steps and a batch of 2^19 tokens: the loss, its
    elasticities in N and in S_min (each at a fixed value of the other), the share of the size term,
    and the critical batch there in units of 2^19 tokens. Modes are those of `KaplanNSmin`.

    Runs of a single batch size identify B_crit only by the curvature of learning curves, where it
    is confounded with any other cause of curvature.
    """

    name = "kaplan-ns"
    title = "loss in size and steps, with the critical batch size"
    latex = (
        r"L = (N_c/N)^{\alpha_N} + (S_c/S_\mathrm{min})^{\alpha_S},\;"
        r" S_\mathrm{min} = \frac{S}{1 + B_\mathrm{crit}(L)/B},\;"
        r" B_\mathrm{crit} = B_*/L^{1/\alpha_B}"
    )
    sources = ("Kaplan et al. 2020, arXiv:2001.08361, equations 1.4 and 1.6",)
    caveat = _CAVEAT
    inputs = ("n_params", "n_steps", "batch_tokens")
    fixed_reference: ClassVar[Mapping[str, float]] = {"batch_tokens": 2.0**19}
    identifies: ClassVar[Mapping[str, tuple[str, ...]]] = {"batch_tokens": ("B_star", "alpha_B")}
    parameters: ClassVar[Mapping[str, Parameter]] = {
        **KaplanNSmin.parameters,
        "B_star": Parameter(meaning="critical batch at a loss of one", symbol="B_*", unit="tokens"),
        "alpha_B": Parameter(
            meaning="exponent of the loss in the critical batch", symbol=r"\alpha_B"
        ),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        **KaplanNSmin.coordinates,
        "batch_ratio": Parameter(
            meaning="critical batch at the reference loss",
            symbol=r"B_\mathrm{crit}/2^{19}",
            unit="2^19 tokens",
        ),
        "alpha_B": parameters["alpha_B"],
    }
    traded = KaplanNSmin.traded
    exponents: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **KaplanNSmin.exponents,
        "alpha_B": ("alpha_B",),
    }
    has_critical_batch = True
    derived_meanings: ClassVar[Mapping[str, str]] = {
        "a_min": "exponent of N_opt in batch-adjusted compute",
        "g_min": "exponent of the loss in batch-adjusted compute",
    }

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        size = p["alpha_N"] * (np.log(p["N_c"]) - log_inputs["n_params"])
        steps = p["alpha_S"] * (np.log(p["S_c"]) - log_inputs["n_steps"])
        batch = np.log(p["B_star"]) - log_inputs["batch_tokens"]
        # Solve ln L = ln(size term + step term(L)), from the larger of two lower bounds: without
        # the batch penalty, and with the penalty alone in the limit of small batches.
        slope = 1.0 / p["alpha_B"]
        log_loss = larger(
            log_add(size, steps), (steps + p["alpha_S"] * batch) / (1.0 + p["alpha_S"] * slope)
        )
        for _ in range(_NEWTON_STEPS):
            log_loss = detached(log_loss)
            excess = batch - slope * log_loss
            step_term = steps + p["alpha_S"] * softplus(excess)
            gap = log_add(size, step_term) - log_loss
            fall = sigmoid(step_term - size) * p["alpha_S"] * slope * sigmoid(excess)
            log_loss = log_loss + gap / (1.0 + detached(fall))
        return np.exp(log_loss)

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        loss_ref = self.formula({name: np.log(reference[name]) for name in self.inputs}, p)
        ratio = self.critical_batch(loss_ref, p) / reference["batch_tokens"]
        steps_min = reference["n_steps"] / (1.0 + ratio)
        at = {"n_params": reference["n_params"], "n_steps_min": steps_min}
        return {
            **_ADJUSTED.to_reference(p, at),
            "batch_ratio": ratio,
            "alpha_B": p["alpha_B"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        steps_min = reference["n_steps"] / (1.0 + c["batch_ratio"])
        at = {"n_params": reference["n_params"], "n_steps_min": steps_min}
        critical = c["batch_ratio"] * reference["batch_tokens"]
        return {
            **_ADJUSTED.from_reference(c, at),
            "B_star": critical * np.exp(np.log(c["loss_ref"]) / c["alpha_B"]),
            "alpha_B": c["alpha_B"],
        }

    @override
    def starts(self, log_inputs: LogInputs) -> Sequence[Mapping[str, float]]:
        return _ADJUSTED.starts(log_inputs)

    @override
    def mode_of(self, parameters: Mapping[str, float]) -> str:
        return _ADJUSTED.mode_of(parameters)

    @override
    def derived(self, parameters: Values) -> dict[str, Value]:
        p = parameters
        g_min = 1.0 / (1.0 / p["alpha_S"] + 1.0 / p["alpha_B"] + 1.0 / p["alpha_N"])
        return {"a_min": g_min / p["alpha_N"], "g_min": g_min}

    def critical_batch(self, loss: Value, parameters: Values) -> Value:
        """Return B_crit at a loss, in tokens (equation 1.4)."""
        return parameters["B_star"] * np.exp(-np.log(loss) / parameters["alpha_B"])

    @override
    def efficient_frontier(self, parameters: Values, *, compute_min: Value) -> dict[str, Value]:
        """Return the compute-efficient frontier at a batch that follows the critical one.

        Parameters
        ----------
        compute_min
            Batch-adjusted compute, 6 N B_crit(L) S_min, in FLOP.

        Returns
        -------
        dict
            ``n_params``, ``n_steps`` (S_min), ``batch_tokens`` and ``loss``, in closed form
            (Kaplan et al. 2020, appendix B). The loss is 1 + alpha_N / alpha_S times that of
            the same size trained to convergence.
        """
        p = parameters
        r = p["alpha_N"] / p["alpha_S"]
        g = self.derived(p)["g_min"]
        over_s, over_n = 1.0 / p["alpha_S"], 1.0 / p["alpha_N"]
        unit = _FLOP_PER_PARAM_TOKEN * p["N_c"] * p["B_star"]
        log_scale = np.log(unit * p["S_c"]) + (over_s + over_n) * np.log1p(r) - over_s * np.log(r)
        relative = np.log(compute_min) - log_scale
        loss = np.exp(-g * relative)
        return {
            "n_params": p["N_c"] * np.exp(g * over_n * relative + over_n * np.log1p(r)),
            "n_steps": np.exp(log_scale + g * over_s * relative - over_n * np.log1p(r)) / unit,
            "batch_tokens": self.critical_batch(loss, p),
            "loss": loss,
        }


_ADJUSTED = KaplanNSmin()
