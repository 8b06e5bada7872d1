"""Group-level parameters of a law, and the law evaluated at runs of different levels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.laws import Law, Value, Values
from bayescale.laws.base import ends_of
from bayescale.model.card import Model


def unit_reference(law: Law, log_inputs: Values) -> dict[str, Value]:
    """Return the reference point of relative inputs: one, and the ends of the coordinates."""
    reference: dict[str, Value] = dict(law.unit_reference)
    for name in law.ends:
        first, last = ends_of(name)
        reference[first] = np.exp(log_inputs[name].min())
        reference[last] = np.exp(log_inputs[name].max())
    return reference


def moved(law: Law, parameters: Values, shift: Values) -> dict[str, Value]:
    """Return natural parameters of the law for inputs divided by `shift`."""
    return law.from_reference(law.to_reference(parameters, shift), law.unit_reference)


def moved_back(law: Law, parameters: Values, shift: Values) -> dict[str, Value]:
    """Return natural parameters from those for inputs divided by `shift`; inverse of `moved`."""
    return law.from_reference(law.to_reference(parameters, law.unit_reference), shift)


def within(column: str, finer: str) -> bool:
    """Return whether the grouping factor `finer` is nested in the grouping factor `column`."""
    return set(column.split("+")) <= set(finer.split("+"))


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Inputs and levels of the runs, as NumPy arrays or PyTensor variables.

    Attributes
    ----------
    log_inputs
        The log of each input relative to the reference point, for each run.
    codes
        For each grouping factor, the index of the level of each run.
    centres
        The log of the centre of each input, for each level of the model's `grouping`; zero for
        padding levels. Empty without a grouping.
    local
        `log_inputs` relative to the centre of the run's level; unchanged without a grouping.
    coarser
        For each grouping factor in which the grouping is nested, the index of the level that
        contains each level of the grouping.
    """

    log_inputs: Values
    codes: Mapping[str, Any]
    centres: Values
    local: Values
    coarser: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class AtRuns:
    """A law evaluated at runs.

    Attributes
    ----------
    parameters
        Natural parameters; for each run if they differ between levels.
    of_law
        The response under the law.
    log_mean
        The log of the response, including group effects on it and on elasticities.
    """

    parameters: Values
    of_law: Value
    log_mean: Value


def at_runs(model: Model, natural: Values, differences: Values, placed: Placed) -> AtRuns:
    """Return the law evaluated at runs, including group effects.

    Parameters
    ----------
    model
        The law and its pooling.
    natural
        Population-level natural parameters about the reference point. Draws have a last axis of
        the levels of the grouping, or of length one without a grouping.
    differences
        Group effects by name, with the level along the last axis.
    placed
        Inputs and levels of the runs.
    """
    law = model.law
    of_levels: dict[str, Any] = {}
    of_runs: dict[str, Any] = {}
    for effect in model.effects:
        difference = differences[effect.effect]
        if effect.of in law.parameters and within(effect.over, model.grouping):
            if effect.over != model.grouping:
                difference = difference[..., placed.coarser[effect.over]]
            of_levels[effect.of] = of_levels.get(effect.of, 0.0) + difference
        else:
            at_run = difference[..., placed.codes[effect.over]]
            of_runs[effect.of] = of_runs.get(effect.of, 0.0) + at_run
    parameters = natural
    if model.grouping:
        at_centres = law.to_reference(natural, shift_of(placed.centres))
        codes = placed.codes[model.grouping]

        def at_each_run(of_level: Values) -> dict[str, Value]:
            return {name: x[..., codes] if np.ndim(x) else x for name, x in of_level.items()}

        crossed = {name: x for name, x in of_runs.items() if name in law.parameters}
        if crossed:
            # In one call: the differences refer to the same population-level parameters.
            for name, x in at_each_run(of_levels).items():
                crossed[name] = crossed.get(name, 0.0) + x
            parameters = law.differing(at_each_run(at_centres), crossed)
        else:
            # By level, since levels are fewer than runs.
            parameters = at_each_run(law.differing(at_centres, of_levels))
    of_law = law.formula(placed.local, parameters)
    log_mean = np.log(of_law)
    for name, difference in of_runs.items():
        if name == law.response:
            log_mean = log_mean + difference
        elif name in law.inputs:
            log_mean = log_mean + difference * placed.log_inputs[name]
    return AtRuns(parameters=parameters, of_law=of_law, log_mean=log_mean)


def at_levels(law: Law, natural: Values, centres: Values) -> dict[str, Value]:
    """Return natural parameters about the centres of levels."""
    return moved(law, natural, shift_of(centres))


def shift_of(centres: Values) -> dict[str, Value]:
    """Return the factors that inputs are divided by, from the logs of the centres."""
    return {name: np.exp(centre) for name, centre in centres.items()}
