"""Forecast a run under its planned schedule, from its own start and runs of the same model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bayescale._progress import stages
from bayescale._seeds import Stream, checked_seed, generator
from bayescale.data.readers import Table
from bayescale.errors import RunsError, as_list, expect_mapping, listed, unknown_name
from bayescale.posterior.point import Source
from bayescale.posterior.summary import tail_quantiles
from bayescale.schedules.curves import read_run_curves
from bayescale.schedules.fit import fit_curves
from bayescale.schedules.laws import LAWS
from bayescale.schedules.parse import ScheduleLike, as_schedule
from bayescale.schedules.result import RunForecast
from bayescale.schedules.sweep import of_sweep, weights_of
from bayescale.units import Amount, parse_amounts


def forecast_run(
    source: str | Path | Table,
    schedule: ScheduleLike,
    *,
    run: str = "",
    to: Amount | Sequence[Amount] | None = None,
    schedules: Mapping[str, ScheduleLike] | None = None,
    step: str | None = None,
    loss: str | None = None,
    rate: str | None = None,
    by: str | None = None,
    laws: Sequence[str] | None = None,
    sweep: Source | None = None,
    at: Mapping[str, Amount] | None = None,
    prob: float = 0.9,
    draws: int = 1000,
    cores: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> RunForecast:
    """Forecast the loss of a run under its planned learning rate schedule.

    Two laws of the loss along a run are fitted to all curves of the model, the multi-power law and
    the annealing law, and averaged with equal weights.

    Parameters
    ----------
    source
        A table of points: columns ``step`` and ``loss``; ``run``, if there are several runs; and
        ``lr``, unless `schedules` has those of the other runs. The runs are of one model that
        differ in their schedules; they may be finished or not.
    schedule
        The schedule of the run to be forecast, from its first to its last step: a `Schedule`, a
        text such as ``"wsd:peak=3e-4,steps=24k,decay_from=20k,final=3e-5,warmup=2k"``, or a file
        with columns ``step`` and ``lr``.
    run
        Name of the run to be forecast. It may have points in the table, which inform the forecast,
        or none.
    to
        Steps to forecast; the last one of the schedule unless given.
    schedules
        Schedules of the other runs, by name. Those of runs not given here are read from the
        column of the rate, with linear interpolation.
    step, loss, rate, by
        Columns of the step, the loss, the rate and the run.
    laws
        Names of the laws to average: ``"multi-power"``, ``"annealing"``, or both.
    sweep
        A fit of the loss over size and tokens, or an average of laws, whose prediction for this run
        is combined with that of the curves.
    at
        The inputs of the run in `sweep`, such as ``{"n_params": "1B", "n_tokens": "20B"}``.
    prob
        Probability of intervals.
    draws, cores, seed
        Draws per chain, chains that run in parallel, and seed of all random numbers.
    progress
        Show a progress bar on standard error.

    Returns
    -------
    RunForecast
        Draws and quantiles of the loss at each step.

    Raises
    ------
    RunsError, AmountError
        If the table or a schedule cannot be used.
    UnsuitableLawError
        If `sweep` has no predictive distribution, or contradicts the curves.

    Notes
    -----
    Twelve points of each curve are fitted, evenly spaced in ln step: the discrepancy of a smooth
    curve from a law is correlated over longer ranges, so that more points would count the same
    evidence repeatedly. The effect of drops of the rate varies between schedules by a factor whose
    standard deviation is estimated; a new schedule has a new factor.

    The sweep and the curves are treated as independent given the final loss: draws are weighted by
    the predictive density of the sweep there, and resampled.

    Examples
    --------
    >>> import numpy as np, pandas as pd, bayescale as bs
    >>> cosine = bs.Schedule.cosine(3e-4, 8_000, final=3e-5, warmup=500)
    >>> step = np.arange(600, 8_001, 200)
    >>> truth = lambda s, at: 2.5 + 0.5 * s.area(at) ** -0.5 - 0.4 * s.annealing_area(at)
    >>> table = pd.DataFrame({"step": step, "loss": truth(cosine, step), "run": "short"})
    >>> longer = bs.Schedule.cosine(3e-4, 16_000, final=3e-5, warmup=500)
    >>> found = bs.forecast_run(
    ...     table, longer, run="long", schedules={"short": cosine}, laws=["annealing"], seed=1
    ... )
    >>> row = found.table().iloc[-1]
    >>> bool(row["lower"] < truth(longer, 16_000) < row["upper"])
    True
    """
    tail_quantiles(prob)
    checked_seed(seed)
    chosen = tuple(LAWS if laws is None else as_list(laws))
    for name in chosen:
        if name not in LAWS:
            raise unknown_name("law of schedules", name, LAWS)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"laws: found {list(chosen)}, expected at least one, each of them once.")
    planned = as_schedule(schedule)
    at = expect_mapping(at or {}, "at", "{'n_params': '1B', 'n_tokens': '20B'}")
    if at and sweep is None:
        raise ValueError(
            f"at: found {listed(at)}, the inputs of the run in a sweep, and no sweep. Give its fit "
            "(sweep=, --sweep), or leave them out."
        )
    schedules = expect_mapping(
        schedules or {}, "schedules", "{'short': 'cosine:peak=3e-4,steps=8k'}", RunsError
    )
    columns = {"step": step, "loss": loss, "rate": rate, "run": by}
    curves = read_run_curves(source, {**schedules, run: planned}, columns)
    names = [curve.run for curve in curves]
    if unused := sorted(set(schedules) - set(names)):
        raise RunsError(
            f"schedules: found {listed(unused)}, expected runs of the table, {listed(names)}."
        )
    asked = np.unique([planned.steps] if to is None else parse_amounts(to, "count", "to"))
    planned.area(asked)  # Raises for steps outside the schedule.
    at_end = np.unique([*asked, planned.steps])
    fits, parts = [], []
    with stages(progress) as stage:
        for name in chosen:
            stage.stage(f"sampling, {name}")
            fit = fit_curves(curves, LAWS[name], draws=draws, cores=cores, seed=seed)
            fits.append(fit)
            parts.append(fit.predict(planned, at_end, run))
    table = pd.DataFrame(np.concatenate(parts), columns=pd.Index(at_end, name="step"))
    alone = table[at_end[-1]].to_numpy()
    log_sweep = None
    if sweep is not None:
        log_sweep = of_sweep(sweep, at)
        weights, _ = weights_of(np.log(alone), log_sweep)
        rng = generator(seed, Stream.SCHEDULE_POINTS, 1)
        table = table.iloc[rng.choice(len(table), len(table), p=weights)].reset_index(drop=True)
    return RunForecast(
        run=run,
        schedule=planned,
        draws=table[asked],
        fits=tuple(fits),
        curves=curves,
        alone=alone,
        sweep=None if log_sweep is None else np.exp(log_sweep),
        prob=prob,
    )
