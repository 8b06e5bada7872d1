"""Natural parameters at the centres of levels, and the law at runs of levels that differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.laws import Law, Value, Values
from bayescale.model.card import Model


def moved(law: Law, parameters: Values, shift: Values) -> dict[str, Value]:
    """Return natural parameters for inputs that are divided by `shift`."""
    return law.from_reference(law.to_reference(parameters, shift), law.unit_reference)


def moved_back(law: Law, parameters: Values, shift: Values) -> dict[str, Value]:
    """Return natural parameters, from those for inputs that are divided by `shift`."""
    return law.from_reference(law.to_reference(parameters, law.unit_reference), shift)


def within(column: str, finer: str) -> bool:
    """Return whether a level of one column of groups says which level of another it is in."""
    return set(column.split("+")) <= set(finer.split("+"))


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where runs are, and in which levels: arrays of NumPy or variables of PyTensor.

    Attributes
    ----------
    log_inputs
        The log of each input over the reference point, of each run.
    codes
        For each column by which a model groups runs, the number of the level of each run.
    centres
        The log of the centre of each input, of each level of the model's `grouping`; zero for
        levels that there is but room for. Empty without a grouping.
    local
        `log_inputs` over the centre of the run's level; they themselves without a grouping.
    coarser
        For each other column that a level of the grouping lies within one level of, which.
    """

    log_inputs: Values
    codes: Mapping[str, Any]
    centres: Values
    local: Values
    coarser: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class AtRuns:
    """A law at runs.

    Attributes
    ----------
    parameters
        Natural parameters: of each run where levels differ in them.
    of_law
        The response that the law gives.
    log_mean
        The log of the response, with the differences in it and in elasticities.
    """

    parameters: Values
    of_law: Value
    log_mean: Value


def at_runs(model: Model, natural: Values, differences: Values, placed: Placed) -> AtRuns:
    """Return a law at runs whose levels differ.

    Parameters
    ----------
    model
        The law, and what differs.
    natural
        Natural parameters about the reference point, but for the differences.
    differences
        By the name of the effect, one a level along the last axis. Of draws, parameters must have
        room for the levels of the grouping there, or for one without a grouping.
    placed
        Where the runs are.
    """
    law = model.law
    of_levels: dict[str, Any] = {}
    of_runs: dict[str, Any] = {}
    for effect in model.effects:
        found = differences[effect.effect]
        if effect.of in law.parameters and within(effect.by, model.grouping):
            found = found[..., placed.coarser[effect.by]] if effect.by != model.grouping else found
            of_levels[effect.of] = of_levels.get(effect.of, 0.0) + found
        else:
            of_runs[effect.of] = of_runs.get(effect.of, 0.0) + found[..., placed.codes[effect.by]]
    parameters = natural
    if model.grouping:
        at_centres = law.to_reference(natural, shift_of(placed.centres))
        here = placed.codes[model.grouping]

        def at_each_run(of_level: Values) -> dict[str, Value]:
            return {name: x[..., here] if np.ndim(x) else x for name, x in of_level.items()}

        crossed = {name: x for name, x in of_runs.items() if name in law.parameters}
        if crossed:
            # All differences at once: one after the other, they would be of other parameters.
            for name, x in at_each_run(of_levels).items():
                crossed[name] = crossed.get(name, 0.0) + x
            parameters = law.differing(at_each_run(at_centres), crossed)
        else:
            # Of levels, which are fewer than runs.
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
    """Return what inputs are divided by at centres, from the logs of those."""
    return {name: np.exp(centre) for name, centre in centres.items()}
