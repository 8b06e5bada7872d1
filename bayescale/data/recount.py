"""Convert the parameters and compute of runs to another counting convention."""

from dataclasses import replace

import numpy as np

from bayescale.costs import Shape, ShapeFamily
from bayescale.costs.counting import Counting, chinchilla_shapes, counting_of
from bayescale.data.runs import Runs
from bayescale.errors import RunsError

BODY = "params_non_embedding"
"""Column of the parameters without embeddings, added by a recount."""


def recount(
    runs: Runs,
    to: str | Counting,
    *,
    given: str | Counting = "total",
    shapes: ShapeFamily | Shape = chinchilla_shapes,
) -> Runs:
    """Convert the parameters and compute of runs to another counting convention.

    Parameters
    ----------
    runs
        Runs with sizes and tokens.
    to, given
        The target convention and that of the runs: a name in
        `bayescale.costs.counting.COUNTINGS`, or a `Counting`.
    shapes
        A family of shapes, with one shape for each size (Chinchilla's unless given); or the exact
        shapes, as a `bayescale.costs.Shape` of arrays with one value per run.

    Returns
    -------
    Runs
        The same runs: ``n_params`` and ``compute`` (FLOP) as counted by `to`, and
        ``params_non_embedding``.

    Raises
    ------
    RunsError
        If the number of shapes differs from that of runs, or their sizes contradict the runs.
    UnknownNameError
        If there is no convention of that name.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> body = bs.recount(runs, "non-embedding")
    >>> bool((body.n_params < runs.n_params).all())
    True
    """
    target, current = counting_of(to), counting_of(given)
    if isinstance(shapes, Shape):
        _refuse_other_shapes(runs, shapes, current)
        shape = shapes
    else:
        shape = current.shape(runs.n_params, shapes)
    size, body = (
        np.asarray(x, dtype=float) for x in (target.size(shape), shape.params_non_embedding)
    )
    if target == current:
        # Already in the target convention: sizes and measured compute are kept exactly.
        return replace(runs, _table=runs.table.assign(**{BODY: body}))
    compute = np.asarray(target.flop_per_token(shape) * runs.n_tokens)
    table = runs.table.assign(**{"n_params": size, "compute": compute, BODY: body})
    return replace(
        runs,
        _table=table,
        notes=(*runs.notes, f"N and C counted as {target.name}, from {current.name}"),
        derived={**runs.derived, "n_params": target.name, "compute": target.name},
    )


def _refuse_other_shapes(runs: Runs, shape: Shape, current: Counting) -> None:
    sizes = np.asarray(current.size(shape), dtype=float)
    if sizes.shape not in ((), (len(runs),)):
        raise RunsError(
            f"{runs.name}: found shapes of {sizes.size} models for {len(runs)} runs, expected one "
            "shape for each run."
        )
    difference = np.abs(np.log(sizes / runs.n_params))
    row = int(np.argmax(difference))
    if difference[row] > np.log(1.1):
        raise RunsError(
            f"{runs.name}, row {row}: found {runs.n_params[row]:.4g} parameters, but its shape has "
            f"{np.broadcast_to(sizes, len(runs))[row]:.4g}, counted as {current.name}. State how "
            "the runs are counted (given=), or correct the shapes."
        )
