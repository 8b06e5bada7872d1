"""Leave-scale-out validation: fit runs below a cut, and score the predictions of those above."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

from bayescale.data.load import RunsSource
from bayescale.data.runs import Runs
from bayescale.errors import as_list
from bayescale.inference.parallel import Task, task_key
from bayescale.inference.refits import RefitOptions, Refits
from bayescale.model.card import Model, load_model
from bayescale.model.inputs import runs_for
from bayescale.units import Amount, parse_amounts, quantity_of
from bayescale.validation.scales import ScalesLeftOut
from bayescale.validation.score import fit_and_score

_DENSITIES = "densities"
"""Key of the log densities of the runs in the result of a task."""


def leave_scale_out(
    runs: RunsSource,
    models: Sequence[str | Path | Model],
    cuts: Sequence[Amount],
    *,
    scale: str = "compute",
    **options: Unpack[RefitOptions],
) -> ScalesLeftOut:
    """Fit models below each of several scales, and score them on the runs above.

    Parameters
    ----------
    runs
        All runs: a source for `load_runs`, or its result.
    models
        Card ids, paths of cards, or models.
    cuts
        Values of `scale`: runs below a cut are fitted, the others predicted.
    scale
        The column of the scale: ``"compute"``, ``"n_params"``, ``"n_tokens"`` or any other.
    **options
        Options of the fits (`RefitOptions`): `seed`, `draws` (1000 per chain), `target_accept`,
        `executor`, `store` and `progress`.

    Returns
    -------
    ScalesLeftOut
        A ``table`` of scores, one row per model and cut, and the ``pointwise`` densities of the
        held-out runs.

    Raises
    ------
    RunsError
        If a cut leaves no run on one side.
    ValueError
        If two models have the same name.

    Notes
    -----
    This measures extrapolation, on which plans rely, rather than fit. Predictions above a cut
    share the error of the fit, which only ``joint_elpd`` takes into account.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> found = bs.leave_scale_out(runs, ["chinchilla"], ["3e20", "1e21"], seed=1, progress=False)
    >>> bool((found.table["coverage_90"] < 0.85).all())
    True
    """
    refits = Refits.of(options, draws=1000)
    loaded = [load_model(entry) for entry in as_list(models)]
    names = [model.id for model in loaded]
    if len(set(names)) < len(names):
        raise ValueError(f"models: found {', '.join(names)}, expected different ids.")
    runs = runs_for(runs, loaded)
    amounts = runs.column(scale)
    places = parse_amounts(as_list(cuts), quantity_of(scale), "cuts")
    tasks = []
    index = []
    for cut in map(float, places):
        below = runs.below(scale, cut)
        distance = float(np.log(amounts[~below]).mean() - np.log(amounts[below].max()))
        for model in loaded:
            index.append((model.id, cut))
            key = task_key(model, runs, scale, cut, *refits.key)
            tasks.append(Task(key, (model, runs, below, distance, refits.sampling)))
    results = refits.run(_score_above, tasks, "leaving scales out")
    densities = {
        place: result.pop(_DENSITIES)
        for place, result in zip(index, results, strict=True)
        if _DENSITIES in result
    }
    table = pd.DataFrame(results, index=pd.MultiIndex.from_tuples(index, names=["model", "cut"]))
    return ScalesLeftOut(table.sort_index(), densities)


def _score_above(
    model: Model,
    runs: Runs,
    below: "np.ndarray[Any, np.dtype[np.bool_]]",
    distance: float,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    facts, scored = fit_and_score(
        model, runs.where(below, "below the cut"), runs.where(~below, "above the cut"), **options
    )
    return {**facts, "distance": distance, _DENSITIES: scored.pointwise["elpd"].tolist()}
