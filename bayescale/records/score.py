"""Score preregistered forecasts with the runs that were made since."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescale.data.levels import SAME, column_of
from bayescale.data.load import RunsSource, as_runs
from bayescale.data.runs import Runs
from bayescale.errors import RunsError, as_list, listed, quoted
from bayescale.posterior.summary import tail_quantiles
from bayescale.records.history import PROBS, ForecastScores
from bayescale.records.preregister import unit_of
from bayescale.records.preregistration import PROB, Preregistration, load_preregistration
from bayescale.units import format_share
from bayescale.validation.scored import pointwise_scores

TOLERANCE = 0.01
"""Relative difference up to which the inputs of a run count as those planned."""

type Records = str | Path | Preregistration | Sequence[str | Path | Preregistration]
"""Forecasts, or files of forecasts: one or several."""


def score_forecasts(
    forecasts: Records,
    runs: RunsSource,
    *,
    tolerance: float = TOLERANCE,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    keep_outliers: bool = False,
    vocabulary_size: int | None = None,
) -> ForecastScores:
    """Score preregistered forecasts with finished runs.

    Parameters
    ----------
    forecasts
        Files of forecasts, or `Preregistration` objects: one or several, such as those of a
        project's history.
    runs
        The finished runs, with their names in a column ``run``; other runs are ignored.
    tolerance
        Relative difference up to which the inputs of a run are those that were planned.
    columns, units, keep_outliers, vocabulary_size
        How to read the table, as in `load_runs`.

    Returns
    -------
    ForecastScores
        Each forecast with its outcome, and coverage, bias and scores by file and over all.
        Forecasts whose runs are not in the table are listed as pending.

    Raises
    ------
    ForecastFileError
        If a file cannot be read, or was changed after it was written.
    RunsError
        If a run has other inputs or levels than were planned, if two could be meant, if the
        response is in another unit, or if no forecast has a run.
    ValueError
        If no forecasts are given, the same ones twice, or some of different responses.

    Notes
    -----
    Errors and scores are of the log response, as in `bayescale.score`.

    Examples
    --------
    >>> import bayescale as bs
    >>> import pandas as pd
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> made = bs.preregister(fit, {"big": {"n_params": "70B", "n_tokens": "1.4T"}})
    >>> done = pd.DataFrame({"run": ["big"], "N": ["70B"], "D": ["1.4T"], "loss": [1.94]})
    >>> found = bs.score_forecasts(made, done)
    >>> bool(0 < found.table()["pit"].iloc[0] < 1)
    True
    """
    records = _loaded(forecasts)
    first = next(iter(records.values()))
    needs = tuple(dict.fromkeys(c for record in records.values() for c in record.columns))
    done = as_runs(
        runs,
        needs=needs,
        response=first.response,
        columns=columns,
        units=units,
        keep_outliers=keep_outliers,
        vocabulary_size=vocabulary_size,
    )
    done = done.for_law(needs, first.response)
    rows, pending = [], []
    for name, record in records.items():
        _refuse_other_unit(name, record, done)
        for run, planned in record.runs.items():
            where = f"{run} of {name}"
            row = _row_of(run, planned, where, done, tolerance)
            if row is None:
                pending.append(where)
                continue
            observed = done.column(record.response)[row]
            rows.append(
                {
                    "forecasts": name,
                    "run": run,
                    "date": record.content["date"],
                    "passed": record.content["posterior"]["passed"],
                    "beyond": planned["beyond"],
                    **_scores(record, run, float(observed)),
                }
            )
    if not rows:
        raise RunsError(
            f"{done.name}: found none of the forecast runs, {listed(pending)}; its runs are "
            f"{listed(done.table['run'])}. Expected their names in the column run."
        )
    return ForecastScores(
        pd.DataFrame(rows).set_index(["forecasts", "run"]), tuple(pending), first.response
    )


def _loaded(forecasts: Records) -> dict[str, Preregistration]:
    """Return forecasts by the name of their file or their place, in order of their dates."""
    given: list[str | Path | Preregistration] = as_list(forecasts)  # type: ignore[arg-type]
    if not given:
        raise ValueError("forecasts: found none, expected at least one file.")
    found: dict[str, Preregistration] = {}
    seen: dict[str, str] = {}
    for place, entry in enumerate(given):
        record = entry if isinstance(entry, Preregistration) else load_preregistration(entry)
        name = f"forecasts {place + 1}" if entry is record else str(entry)
        if other := seen.get(record.sha256):
            raise ValueError(f"forecasts: {name} and {other} are the same; give each once.")
        seen[record.sha256] = name
        found[name] = record
    responses = sorted({record.response for record in found.values()})
    if len(responses) > 1:
        raise ValueError(
            f"forecasts: found those of {listed(responses)}; score those of one response at a time."
        )
    return dict(sorted(found.items(), key=lambda item: str(item[1].content["date"])))


def _refuse_other_unit(name: str, record: Preregistration, done: Runs) -> None:
    response, expected = record.response, record.content["unit"]
    if (found := unit_of(response, done)) != expected:
        raise RunsError(
            f"{done.name}: found a {response} in {found or 'an unstated unit'}, expected "
            f"{expected or 'an unstated unit'}, as the runs that {name} was fitted to. State the "
            f"unit with units={{{response!r}: ...}} (--unit {response}=UNIT), or convert it."
        )


def _row_of(
    run: str, planned: Mapping[str, Any], where: str, done: Runs, tolerance: float
) -> int | None:
    """Return the row of the run that was made for a forecast; None if there is none yet.

    A run may have several rows, such as checkpoints; the one at the planned inputs is used.
    """
    named = np.flatnonzero((done.table["run"].astype(str).str.strip() == run).to_numpy())
    if not len(named):
        return None
    differing = {int(row): _differences(planned, done, int(row), tolerance) for row in named}
    same = [row for row, differences in differing.items() if not differences]
    if len(same) > 1:
        raise RunsError(
            f"{done.name}, rows {listed(same)}: found {len(same)} runs {quoted(run)} at the inputs "
            f"of the forecast {where}, expected one. Keep the run that was planned."
        )
    if same:
        return same[0]
    row, differences = min(differing.items(), key=lambda item: len(item[1]))
    raise RunsError(
        f"{done.name}, row {row}: the run {quoted(run)} has {' and '.join(differences)} in the "
        f"forecast {where}; expected the same, inputs to within {format_share(tolerance)}. A "
        "forecast says nothing of another run: correct the table, or name the run otherwise."
    )


def _differences(planned: Mapping[str, Any], done: Runs, row: int, tolerance: float) -> list[str]:
    """Return the differences between a run and the planned one."""
    found = []
    for column, amount in planned["inputs"].items():
        made = float(done.column(column)[row])
        if not abs(made / amount - 1.0) <= tolerance:
            found.append(f"{column} {made:.6g} where {amount:.6g} was planned")
    for factor, level in planned["levels"].items():
        if level is not None and not _is_level(made := column_of(done, factor)[row], level):
            found.append(f"{factor} {made} where {level} was planned")
    return found


def _is_level(found: object, level: str) -> bool:
    """Return whether a value of a column is a level, which may be an amount."""
    if not isinstance(found, float):
        return str(found) == level
    try:
        return bool(abs(np.log(found / float(level))) <= SAME)
    except ValueError:
        return False


def _scores(record: Preregistration, run: str, observed: float) -> dict[str, Any]:
    draws, at = record.draws(run), np.array([np.log(observed)])
    below = np.array([np.mean(draws < observed)])
    scores = pointwise_scores(np.log(draws)[:, None], at, np.array([np.nan]), below).iloc[0]
    lower, median, upper = np.quantile(draws, tail_quantiles(PROB))
    inside = {}
    for prob in PROBS:
        low, _, high = np.quantile(draws, tail_quantiles(prob))
        inside[f"inside_{round(100 * prob)}"] = bool(low <= observed <= high)
    return {
        "median": median,
        "lower": lower,
        "upper": upper,
        "observed": observed,
        **inside,
        **{str(name): float(x) for name, x in scores.drop("elpd").items()},
    }
