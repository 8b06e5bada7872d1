"""Forecast curves of one variable, averaged over laws."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale._progress import stages
from bayescale._seeds import Stream, checked_seed, generator
from bayescale.data.logs.run_log import RunLogs
from bayescale.data.readers import Table
from bayescale.data.runs import Runs
from bayescale.errors import RunsError, as_list, listed, unknown_name
from bayescale.forecasting.beyond import Beyond
from bayescale.forecasting.curves import Curve, read_curves
from bayescale.forecasting.ends import LAWS
from bayescale.forecasting.posterior import Prediction, average, sample
from bayescale.forecasting.result import Forecast, response_draws
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import Amount, parse_amounts

type Array = NDArray[np.float64]
type Amounts = Amount | Sequence[Amount] | Array


def forecast(
    source: str | Path | Table | Runs | RunLogs,
    *,
    to: Amounts | Mapping[str, Amounts],
    x: str | None = None,
    y: str | None = None,
    by: str | None = None,
    ceiling: float | None = None,
    laws: Sequence[str] | None = None,
    beyond: Beyond | None = None,
    prob: float = 0.9,
    seed: int = 0,
    executor: Executor | None = None,
    progress: bool = False,
) -> Forecast:
    """Forecast curves of one variable: a loss or an error against examples, tokens, steps or size.

    Power laws with and without floor, plateau and shift, a sigmoid, and broken power laws with one
    and two breaks, which only fall or may also rise, are fitted to each curve and averaged by their
    evidence. A curve has a discrepancy from its law, whose scale is estimated from its points, and
    may break beyond the data, at a rate chosen on public curves.

    Parameters
    ----------
    source
        A table of points, as `load_runs` reads it: a DataFrame, or a file. Or logs of runs, of
        which `x` is the step and `by` the run unless given.
    to
        The amounts to forecast, such as ``"2M"`` or ``[1e6, 2e6]``; for amounts that differ
        between curves, a mapping from the curve's name.
    x, y
        Columns of the amounts and of the response. By default the response is ``loss``, and the
        amounts are the remaining column if there is only one.
    by
        Column that names the curves, if the table has several.
    ceiling
        Upper bound of a metric that rises towards it, such as 1 for an accuracy: the law is of the
        distance to it. By default the law is of the response itself.
    laws
        Names of the laws to average; all of ``bayescale.forecasting.ends.LAWS`` unless given.
    beyond
        Breaks beyond the data, and the prior of the discrepancy; chosen on public curves unless
        given.
    prob
        Probability of intervals.
    seed
        Seed of all random numbers.
    executor
        Any PEP 3148 executor, for curves in parallel; sequential in this process unless given.
    progress
        Show a progress bar on standard error.

    Returns
    -------
    Forecast
        Quantiles of a new point at each amount, the weights of the laws, and the probability of a
        break before.

    Raises
    ------
    RunsError
        If the table is not one of curves, or a curve has fewer than five distinct amounts.

    Notes
    -----
    The posterior is sampled by waste-free sequential Monte Carlo (Dau and Chopin 2022) and not by
    NUTS: with 3 to 10 parameters it takes a fraction of a second per law without compilation,
    handles several modes, and estimates the evidence, by which laws are averaged. The tests
    compare it with quadrature, and with NUTS on the same model.

    On the log of the response, points have independent Normal noise about the curve; the
    discrepancy of the curve from its law is Brownian motion in ln x, so that neighbouring points
    are correlated.

    Examples
    --------
    >>> import numpy as np, pandas as pd, bayescale as bs
    >>> examples = np.geomspace(1e3, 1e6, 16)
    >>> noise = 1 + 0.002 * np.random.default_rng(1).standard_normal(16)
    >>> curve = pd.DataFrame({"examples": examples, "loss": 0.2 + 3 * examples**-0.3 * noise})
    >>> found = bs.forecast(curve, to="2M", laws=["power-law-floor"])
    >>> row = found.table().iloc[0]
    >>> bool(row["lower"] < 0.2 + 3 * 2e6**-0.3 < row["upper"])
    True
    """
    tail_quantiles(prob)
    checked_seed(seed)
    chosen = tuple(LAWS if laws is None else as_list(laws))
    for name in chosen:
        if name not in LAWS:
            raise unknown_name("law of a forecast", name, LAWS)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"laws: found {list(chosen)}, expected at least one, each of them once.")
    if ceiling is not None and not np.isfinite(ceiling):
        raise ValueError(f"ceiling: found {ceiling!r}, expected a finite number.")
    curves, x, y = read_curves(source, x=x, y=y, by=by, ceiling=ceiling)
    asked = _amounts(curves, to)
    beyond = beyond or Beyond()
    distances = [curve.relative(at) for curve, at in zip(curves, asked, strict=True)]
    tasks = [
        (curve, log_x, chosen, beyond, seed) for curve, log_x in zip(curves, distances, strict=True)
    ]
    draws, weights, breaks = {}, {}, {}
    found = _each(tasks, executor, progress)
    for curve, at, log_x, prediction in zip(curves, asked, distances, found, strict=True):
        log_loss = prediction.draws(generator(seed, Stream.FORECAST_POINTS, 1))
        columns = pd.Index(at, name=x)
        draws[curve.name] = pd.DataFrame(response_draws(log_loss, ceiling), columns=columns)
        weights[curve.name] = prediction.weights
        breaks[curve.name] = pd.Series(beyond.break_probability(log_x), index=columns)
    table = pd.DataFrame.from_dict(weights, orient="index")
    table.index.name = by or "curve"
    return Forecast(
        draws=draws,
        weights=table,
        break_probability=pd.concat(breaks, names=["curve", x]),
        last={curve.name: float(curve.x[-1]) for curve in curves},
        x=x,
        y=y,
        rising=tuple(curve.name for curve in curves if curve.fall <= 0),
        prob=prob,
    )


def predict_curve(
    curve: Curve, log_x: Array, laws: Sequence[str], beyond: Beyond, seed: int
) -> Prediction:
    """Forecast one curve at amounts given as logarithms relative to its last."""
    posteriors = [sample(curve, LAWS[name], seed, beyond.roughness) for name in laws]
    return average(posteriors, log_x, beyond, generator(seed, Stream.FORECAST_POINTS, 0))


type _Task = tuple[Curve, Array, Sequence[str], Beyond, int]


def _each(
    tasks: Sequence[_Task], executor: Executor | None, progress: bool
) -> Sequence[Prediction]:
    """Forecast every curve, in the order of the curves."""

    def one_by_one() -> Iterator[tuple[int, Prediction]]:
        if executor is None:
            yield from ((i, predict_curve(*task)) for i, task in enumerate(tasks))
            return
        pending = {executor.submit(predict_curve, *task): i for i, task in enumerate(tasks)}
        try:
            for done in as_completed(pending):
                yield pending[done], done.result()
        finally:
            for future in pending:
                future.cancel()

    found: dict[int, Prediction] = {}
    with stages(progress) as shown:
        shown.stage("Forecasting curves")
        for place, prediction in one_by_one():
            found[place] = prediction
            shown.count(len(found), len(tasks))
    return [found[i] for i in range(len(tasks))]


def _amounts(curves: Sequence[Curve], to: Amounts | Mapping[str, Amounts]) -> list[Array]:
    """Return the amounts to forecast for each curve."""
    if not isinstance(to, Mapping):
        same = np.unique(parse_amounts(to, "count", "to"))
        return [same] * len(curves)
    names = [curve.name for curve in curves]
    if set(to) != set(names):
        differ = sorted(set(map(str, to)) ^ set(names))
        raise RunsError(
            f"to: found the curves {listed(to)}, expected those of the table, {listed(names)}; "
            f"only one of both has {listed(differ)}."
        )
    return [np.unique(parse_amounts(to[name], "count", f"to of {name}")) for name in names]
