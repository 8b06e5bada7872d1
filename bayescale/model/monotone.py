"""Check that the response varies in the direction of the law, from the runs alone."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.data.levels import SAME
from bayescale.data.runs import Runs
from bayescale.model.card import Model

BY_CHANCE = 0.005
"""Significance level of a permutation test of the direction; any set of three or more
runs is also reported if all of its pairs go the other way."""

_MOSTLY = 0.5
"""Kendall's tau from which the permutation test is made."""

_PERMUTED = 1000
_MOST = 300
"""Runs beyond this number are thinned, since all pairs are compared."""


def response_conflicts(model: Model, runs: Runs) -> Iterator[str]:
    """Yield sentences on a response that does not vary, or varies against the law.

    The pairs compared are those in which one run has at least as much of every input, so only the
    direction of the law is assumed; and pairs that differ in a single input.
    """
    law = model.law
    if len(runs) < 3:
        return
    response = np.log(runs.column(law.response))
    if np.ptp(response) < 1e-9:
        value = f"{float(np.exp(response[0])):g}"
        yield (
            f"Every run has {law.response} = {value}: it does not depend on the inputs, so the law "
            "is not identified. Check that the column is the right one."
        )
        return
    if not law.monotone:
        return
    some = np.unique(np.linspace(0, len(runs) - 1, min(len(runs), _MOST)).astype(int))
    falls = np.array([-1.0 if name in law.rises_in else 1.0 for name in law.inputs])
    logs = np.stack([np.log(runs.column(column)) for column in model.columns.values()], axis=1)
    apart = (logs[some, None] - logs[None, some]) * falls
    same, more = np.abs(apart) < SAME, apart > SAME
    columns = [*model.columns.values()]
    word = "rises" if np.all(falls > 0) else "goes the other way"
    if _other_way((more | same).all(axis=-1) & more.any(axis=-1), response[some]):
        what = columns[0] if len(columns) == 1 else " and ".join(columns) + " together"
        yield (
            f"The {law.response} {word} with {what}, but the law {law.name} falls: no value of its "
            "parameters describes these runs. Check the columns and their units; a law that falls "
            "is of a loss, or of another measure of which less is better."
            if word == "rises"
            else f"The {law.response} goes the other way along {what} than the law {law.name} "
            "says. Check the columns and their units."
        )
        return
    for place, column in enumerate(columns):
        others = np.delete(same, place, axis=-1).all(axis=-1)
        if len(columns) > 1 and _other_way(more[..., place] & others, response[some]):
            way, of_law = ("rises", "falls") if falls[place] > 0 else ("falls", "rises")
            yield (
                f"The {law.response} {way} with {column} where all else is the same, but the law "
                f"{law.name} {of_law} in it. Check that column, or leave out the runs of which "
                "that is true."
            )


def _other_way(above: NDArray[np.bool_], response: NDArray[np.float64]) -> bool:
    """Return whether runs with more inputs mostly have a larger response, and not by chance."""
    pairs = int(above.sum())
    if pairs < 3:
        return False
    i, j = np.nonzero(above)

    def rising(values: NDArray[np.float64]) -> float:
        return float(np.sign(values[i] - values[j]).sum()) / pairs

    found = rising(response)
    if found < _MOSTLY:
        return False
    if found == 1.0 and pairs == len(response) * (len(response) - 1) // 2:
        return True
    rng = generator(0, Stream.PERMUTED)
    chance = [rising(rng.permutation(response)) >= found for _ in range(_PERMUTED)]
    return float(np.mean(chance)) < BY_CHANCE
