"""Functions of the loss: error rate or accuracy on tasks, BLEU, the loss on other text."""

from collections.abc import Mapping
from typing import ClassVar, override

import numpy as np

from bayescale.laws.base import Law, Parameter, Value, Values
from bayescale.laws.dispatch import larger, sigmoid

_NATS = "nats/token"


class ErrorFromLoss(Law):
    """Err = epsilon - k exp(-gamma L) (Gadre et al. 2024, equation 5).

    The average error rate on a set of tasks falls with the loss, from chance level, epsilon.
    The coordinates are the error at a reference loss, its elasticity in the loss there, and
    gamma times that loss; the law holds for any positive values of them.
    """

    name = "error-from-loss"
    title = "error rate on tasks as a function of the loss"
    latex = r"\mathrm{Err} = \epsilon - k\, e^{-\gamma L}"
    sources = ("Gadre et al. 2024, arXiv:2403.08540, equation 5",)
    caveat = "The error on one task need not fall smoothly with the loss; averages over many do."
    response = "error"
    response_unit = "share of answers"
    inputs = ("loss",)
    rises_in = frozenset({"loss"})
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "epsilon": Parameter(meaning="error rate at chance level", symbol=r"\epsilon"),
        "k": Parameter(meaning="distance below chance level at a loss of zero", symbol="k"),
        "gamma": Parameter(meaning="rate", symbol=r"\gamma", unit="1 / unit of loss"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "error_ref": Parameter(
            meaning="error at the reference loss", symbol=r"\mathrm{Err}_\mathrm{ref}"
        ),
        "e_l": Parameter(meaning="elasticity of the error in the loss there", symbol="e_L"),
        "steepness": Parameter(
            meaning="gamma times the reference loss", symbol=r"\gamma L_\mathrm{ref}"
        ),
    }

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        return p["epsilon"] - p["k"] * np.exp(-p["gamma"] * np.exp(log_inputs["loss"]))

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        steepness = p["gamma"] * reference["loss"]
        below = p["k"] * np.exp(-steepness)
        error_ref = p["epsilon"] - below
        return {
            "error_ref": error_ref,
            "e_l": steepness * below / error_ref,
            "steepness": steepness,
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        below = c["error_ref"] * c["e_l"] / c["steepness"]
        return {
            "epsilon": c["error_ref"] + below,
            "k": below * np.exp(c["steepness"]),
            "gamma": c["steepness"] / reference["loss"],
        }


class BleuFromLoss(Law):
    """BLEU = C exp(-k L) (Gordon, Duh and Kaplan 2021)."""

    name = "bleu-from-loss"
    title = "BLEU of translations as a function of the loss"
    latex = r"\mathrm{BLEU} = C\, e^{-k L}"
    sources = ("Gordon, Duh and Kaplan 2021, Data and Parameter Scaling Laws for NMT, EMNLP",)
    response = "bleu"
    response_unit = "BLEU points"
    inputs = ("loss",)
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "C": Parameter(meaning="BLEU at a loss of zero", symbol="C", unit="BLEU points"),
        "k": Parameter(meaning="rate", symbol="k", unit="1 / unit of loss"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "bleu_ref": Parameter(
            meaning="BLEU at the reference loss",
            symbol=r"\mathrm{BLEU}_\mathrm{ref}",
            unit="BLEU points",
        ),
        "e_l": Parameter(meaning="elasticity of BLEU in the loss there", symbol="e_L"),
    }

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        return parameters["C"] * np.exp(-parameters["k"] * np.exp(log_inputs["loss"]))

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        e_l = parameters["k"] * reference["loss"]
        return {"bleu_ref": parameters["C"] * np.exp(-e_l), "e_l": e_l}

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        return {"C": c["bleu_ref"] * np.exp(c["e_l"]), "k": c["e_l"] / reference["loss"]}


class AccuracyFromLoss(Law):
    """Acc = a + (b - a) / (1 + exp(k (L - L_0))) (Bhagia et al. 2024, their second step).

    The accuracy on a task, with b its ceiling, falls with the loss on that task to chance level,
    a, along a logistic curve with its midpoint at L_0. An accuracy has an absolute scale, so that
    the coordinates are not relative to the runs: chance level; the attainable share of the range
    from it to one; the midpoint; and the steepness k L_0.
    """

    name = "accuracy-from-loss"
    title = "accuracy on a task as a logistic function of the loss"
    latex = r"\mathrm{Acc} = a + \frac{b - a}{1 + e^{k (L - L_0)}}"
    sources = ("Bhagia et al. 2024, arXiv:2412.04403",)
    caveat = "Many tasks do not follow their loss along such a curve."
    response = "accuracy"
    response_unit = "share of answers"
    inputs = ("loss",)
    scale_free = False
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "a": Parameter(meaning="accuracy at chance level", symbol="a", support="unit"),
        "b": Parameter(meaning="accuracy at a loss of zero and below", symbol="b", support="unit"),
        "L_0": Parameter(meaning="loss at the midpoint", symbol="L_0", unit="unit of loss"),
        "k": Parameter(meaning="rate", symbol="k", unit="1 / unit of loss"),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "a": parameters["a"],
        "reach": Parameter(
            meaning="share of the errors at chance level that can be avoided",
            symbol=r"\frac{b - a}{1 - a}",
            support="unit",
        ),
        "L_0": parameters["L_0"],
        "steepness": Parameter(meaning="rate times the loss at the midpoint", symbol="k L_0"),
    }

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p = parameters
        solved = sigmoid(p["k"] * (p["L_0"] - np.exp(log_inputs["loss"])))
        return p["a"] + (p["b"] - p["a"]) * solved

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        return {
            "a": p["a"],
            "reach": (p["b"] - p["a"]) / (1.0 - p["a"]),
            "L_0": p["L_0"],
            "steepness": p["k"] * p["L_0"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        return {
            "a": c["a"],
            "b": c["a"] + c["reach"] * (1.0 - c["a"]),
            "L_0": c["L_0"],
            "k": c["steepness"] / c["L_0"],
        }


class LossFromLoss(Law):
    """L_1 = E_1 + K (L_0 - E_0)^kappa (Brandfonbrener et al. 2024): the loss on another text.

    Of two losses of the same model, on two validation sets, the reducible parts are powers of each
    other. E_0 and E_1 are their floors; below E_0 the response is E_1. Losses within a factor of
    two hardly identify E_0, which is below zero where the target falls faster at larger losses. The
    coordinates are the response at a reference loss, its elasticity and that of its reducible part
    there, and kappa: any runs determine the first two, and E_0 follows from the last two.
    """

    name = "loss-from-loss"
    title = "the loss on another text as a shifted power of the loss"
    latex = r"L_1 = E_1 + K\,(L_0 - E_0)^{\kappa}"
    sources = ("Brandfonbrener et al. 2024, arXiv:2411.12925",)
    caveat = (
        "The relation holds for models of one training corpus; models trained on other text follow "
        "another one."
    )
    response = "target_loss"
    response_unit = "nats/token"
    inputs = ("loss",)
    rises_in = frozenset({"loss"})
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "E_1": Parameter(
            meaning="irreducible loss on the target", symbol="E_1", unit=_NATS, is_floor=True
        ),
        "K": Parameter(
            meaning="reducible loss on the target where that of the input is one",
            symbol="K",
            unit=_NATS,
        ),
        "kappa": Parameter(meaning="exponent of the reducible loss", symbol=r"\kappa"),
        "E_0": Parameter(
            meaning="irreducible loss of the input", symbol="E_0", unit=_NATS, support="real"
        ),
    }
    coordinates: ClassVar[Mapping[str, Parameter]] = {
        "target_loss_ref": Parameter(
            meaning="loss on the target at the reference loss",
            symbol=r"L_{1,\mathrm{ref}}",
            unit=_NATS,
        ),
        "e_l": Parameter(meaning="elasticity in the loss there", symbol="e_L"),
        "kappa_l": Parameter(
            meaning="elasticity of the reducible loss on the target in the loss there",
            symbol=r"\kappa\,L_\mathrm{ref}/(L_\mathrm{ref} - E_0)",
        ),
        "kappa": parameters["kappa"],
    }
    shares: ClassVar[Mapping[str, tuple[str, ...]]] = {"kappa_l": ("e_l",)}

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        p, loss = parameters, np.exp(log_inputs["loss"])
        reducible = larger(loss - p["E_0"], _SMALLEST_REDUCIBLE * loss)
        return p["E_1"] + p["K"] * np.exp(p["kappa"] * np.log(reducible))

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        p = parameters
        above = reference["loss"] - p["E_0"]
        reducible = p["K"] * np.exp(p["kappa"] * np.log(above))
        target_loss_ref = p["E_1"] + reducible
        kappa_l = p["kappa"] * reference["loss"] / above
        return {
            "target_loss_ref": target_loss_ref,
            "e_l": kappa_l * reducible / target_loss_ref,
            "kappa_l": kappa_l,
            "kappa": p["kappa"],
        }

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        reducible = c["target_loss_ref"] * c["e_l"] / c["kappa_l"]
        above = reference["loss"] * c["kappa"] / c["kappa_l"]
        return {
            "E_1": c["target_loss_ref"] - reducible,
            "K": reducible * np.exp(-c["kappa"] * np.log(above)),
            "kappa": c["kappa"],
            "E_0": reference["loss"] - above,
        }


_SMALLEST_REDUCIBLE = 1e-6
"""Smallest reducible loss, as a share of the loss."""
