"""Backtest: predict every budget of a table from its smaller budgets alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from bayescale.data.load import RunsSource
from bayescale.data.runs import Runs
from bayescale.errors import RunsError
from bayescale.inference.parallel import Task, task_key
from bayescale.inference.refits import RefitOptions, Refits
from bayescale.model.card import DEFAULT_CARD, Model, load_model
from bayescale.model.identifiability import runs_needed
from bayescale.model.inputs import runs_for
from bayescale.posterior.result import Result
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_amount, format_number, format_share
from bayescale.validation.scales import usual_scale
from bayescale.validation.score import fit_and_score

_GAP = np.log(1.25)
"""Largest difference in ln scale between runs of a budget."""

_LEAST, _MOST = 4, 12
"""Numbers of budgets of a sweep; runs that have more or fewer are grouped in `_GROUPS`."""

_GROUPS = 10

_SHARE = 0.3
"""Smallest share of the runs that is fitted."""

_DOUBTFUL = 0.05
"""Probability of the number of misses, for calibrated intervals, below which there is a caveat."""


@dataclass(frozen=True, eq=False, repr=False)
class Backtest(Result):
    """Coverage of intervals on the user's own larger budgets. Created by `backtest`.

    Attributes
    ----------
    table
        One row per predicted budget, indexed by ``scale``, its geometric mean. ``n_train`` and
        ``n_test``, runs fitted and predicted; ``distance``, ln (mean scale / largest fitted);
        ``predicted``, ``lower``, ``upper`` and ``observed``, the geometric mean of the response
        over the runs of the budget; ``error``, ln (observed / predicted); ``pit``, the predictive
        CDF at the observation; ``inside``, whether it is inside its interval; ``coverage``, the
        share of single runs inside theirs; and ``ok``, ``r_hat``, ``ess`` and ``status`` of the
        fit. A budget whose fit failed only has a status.
    model, runs
        Names of the card and the runs.
    fingerprint
        Fingerprint of the runs.
    scale
        The column of the scale.
    prob
        Probability inside the intervals.
    """

    table: pd.DataFrame
    model: str
    runs: str
    fingerprint: str
    scale: str
    prob: float

    @property
    def scored(self) -> pd.DataFrame:
        """The budgets whose fit passed its gates."""
        return self.table[self.table["ok"].eq(True)]

    @property
    def covered(self) -> tuple[int, int]:
        """Number of budgets inside their intervals, and of budgets."""
        return int(self.scored["inside"].sum()), len(self.scored)

    @property
    def p_value(self) -> float:
        """Probability of as few budgets inside, if each were inside with probability `prob`."""
        inside, count = self.covered
        return float(stats.binom(count, self.prob).cdf(inside))

    @property
    def widening(self) -> float:
        """Factor on the widths of intervals at which they would have had nominal coverage.

        The conformal quantile of the absolute normal scores of the budgets, over that of a normal
        distribution; NaN for fewer budgets than it needs, nine for 90 % intervals.
        """
        scores = np.sort(np.abs(stats.norm.ppf(self.scored["pit"].to_numpy(dtype=float))))
        rank = int(np.ceil((len(scores) + 1) * self.prob))
        if rank > len(scores):
            return float("nan")
        return float(scores[rank - 1] / stats.norm.ppf(0.5 + self.prob / 2))

    def ok(self) -> bool:
        """Return whether the number of budgets inside is compatible with calibrated intervals."""
        return self.p_value > _DOUBTFUL

    @property
    def headline(self) -> str:
        """The card and the runs."""
        return (
            f"{self.model} card on {self.runs}: each budget predicted from the smaller ones, with "
            f"{format_share(self.prob)} intervals."
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """The number of budgets inside, their distance beyond the runs, and the widening."""
        inside, count = self.covered
        if not count:
            return ("No budget could be predicted.",)
        runs = self.scored["n_test"].sum()
        share = float((self.scored["coverage"] * self.scored["n_test"]).sum() / runs)
        far = float(np.exp(self.scored["distance"].max()))
        found = [
            f"On your own runs: {inside} of {count} budgets inside their "
            f"{format_share(self.prob)} intervals, up to {format_number(far, 2)} times beyond the "
            f"largest fitted run, and {format_share(share, 2)} of their {runs} runs.",
        ]
        if np.isfinite(self.widening):
            found.append(
                f"Intervals {format_number(self.widening, 2)} times as wide would have held "
                f"{format_share(self.prob)} of the budgets (conformal)."
            )
        return tuple(found)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Caveats if coverage is too low, or a budget could not be predicted."""
        failed = [
            f"{self._text(at)} could not be predicted: {row['status']}"
            for at, row in self.table.iterrows()
            if row["ok"] != 1
        ]
        inside, count = self.covered
        if not count or self.ok():
            return tuple(failed)
        return (
            f"On your own runs, intervals did not hold: only {inside} of {count} budgets are "
            f"inside their {format_share(self.prob)} intervals, which has probability "
            f"{format_number(self.p_value, 2)} for calibrated intervals. Do not rely on "
            "intervals beyond the runs; look at the residuals of the law.",
            *failed,
        )

    def text_table(self) -> pd.DataFrame:
        """Return the table formatted for display."""
        rows = [
            {
                "runs fitted": str(int(row["n_train"])),
                "runs": str(int(row["n_test"])),
                "predicted": f"{row['predicted']:.4g} [{row['lower']:.4g}, {row['upper']:.4g}]",
                "observed": f"{row['observed']:.4g}",
                "error": f"{100 * row['error']:+.2f} %",
                "inside": "yes" if row["inside"] else "no",
                "runs inside": format_share(row["coverage"], 2),
            }
            if row["ok"] == 1
            else {"inside": "failed"}
            for _, row in self.table.iterrows()
        ]
        index = pd.Index([self._text(at) for at in self.table.index], name=self.scale)
        return pd.DataFrame(rows, index=index).fillna("")

    def _text(self, at: object) -> str:
        return format_amount(self.scale, float(at))  # type: ignore[arg-type]


def backtest(
    runs: RunsSource,
    model: str | Path | Model = DEFAULT_CARD,
    *,
    scale: str | None = None,
    prob: float = 0.9,
    **options: Unpack[RefitOptions],
) -> Backtest:
    """Predict each budget of the runs from smaller budgets, and count those inside intervals.

    Parameters
    ----------
    runs
        All runs: a source for `load_runs`, or its result.
    model
        A card id, the path of a card, or a model.
    scale
        The column of the scale: by default compute if the runs have it, else the first input of
        the law.
    prob
        Probability inside the intervals.
    **options
        Options of the fits (`RefitOptions`): `seed`, `draws` (1000 per chain), `target_accept`,
        `executor`, `store` and `progress`.

    Returns
    -------
    Backtest
        A table with a row per budget, sentences, and a caveat if too few budgets were inside
        their intervals.

    Raises
    ------
    RunsError
        If there are too few runs below every budget.

    Notes
    -----
    Budgets are runs of nearly equal scale, the largest at most a quarter above the smallest. If
    there are more than twelve or fewer than four, runs are grouped in ten parts of equal number
    instead. The budgets that are predicted are those with at least three in ten of the runs, and as
    many as the model needs, below them. The response of a budget is the mean over its runs of the
    log response, so that an error that all predictions of a budget share counts once.

    This is a rolling-origin evaluation (Tashman 2000, doi:10.1016/S0169-2070(00)00065-0). The
    factor `Backtest.widening` is that of split conformal prediction (Vovk, Gammerman and Shafer
    2005), whose guarantee requires exchangeable errors; those of successive budgets are not, so
    that it is a second opinion, not a guarantee.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("overtraining").where("family == 'c4'")
    >>> found = bs.backtest(runs, "chinchilla", draws=250, seed=1, progress=False)
    >>> inside, count = found.covered
    >>> 4 <= inside <= count <= 6
    True
    """
    refits = Refits.of(options, draws=1000)
    tail_quantiles(prob)
    chosen = load_model(model)
    runs = runs_for(runs, [chosen])
    scale = scale or usual_scale(runs, chosen.columns.values())
    groups = _budgets(runs.column(scale))
    places, tasks = [], []
    for budget in range(1, groups.max() + 1):
        below, there = groups < budget, groups == budget
        if below.sum() < max(_SHARE * len(runs), runs_needed(chosen)):
            continue
        part = runs.where(groups <= budget, f"{scale} up to group {budget + 1}")
        places.append(float(np.exp(np.log(runs.column(scale)[there]).mean())))
        key = task_key(chosen, part, scale, budget, prob, *refits.key)
        tasks.append(Task(key, (chosen, runs, below, there, scale, prob, refits.sampling)))
    if not tasks:
        raise RunsError(
            f"{runs.name}: found {len(runs)} runs in {groups.max() + 1} groups of {scale}, "
            f"expected a group with at least {runs_needed(chosen)} runs below it. Add runs of "
            "smaller or larger scale, or name another column (scale)."
        )
    results = refits.run(_predict_budget, tasks, "predicting larger budgets")
    columns = dict.fromkeys(name for result in results for name in result)
    table = pd.DataFrame(
        results,
        index=pd.Index(places, name="scale"),
        columns=list(dict.fromkeys((*columns, "inside", "pit", "ok", "status"))),
    )
    return Backtest(table, chosen.id, runs.name, runs.fingerprint, scale, prob)


def _budgets(amounts: NDArray[np.float64]) -> NDArray[np.int_]:
    """Return the index of the budget of each run, in ascending order."""
    logs = np.log(amounts)
    starts = [logs.min()]
    for value in np.sort(logs):
        if value - starts[-1] > _GAP:
            starts.append(value)
    if _LEAST <= len(starts) <= _MOST:
        return np.searchsorted(starts, logs, side="right") - 1
    edges = np.quantile(logs, np.arange(1, _GROUPS) / _GROUPS)
    _, codes = np.unique(np.digitize(logs, edges), return_inverse=True)
    return np.asarray(codes, dtype=np.int_)


def _predict_budget(
    model: Model,
    runs: Runs,
    below: NDArray[np.bool_],
    there: NDArray[np.bool_],
    scale: str,
    prob: float,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    facts, scored = fit_and_score(
        model, runs.where(below, "smaller"), runs.where(there, "of the budget"), **options
    )
    known = scored.pointwise["pit"].notna().to_numpy()  # diverged runs are excluded
    if not known.any():
        return {"ok": False, "status": "All its runs diverged."}
    drawn = scored.draws[:, known].mean(axis=1)
    observed = float(scored.observed[known].mean())
    low, middle, high = np.quantile(drawn, tail_quantiles(prob))
    distance = np.log(runs.column(scale)[there]).mean() - np.log(runs.column(scale)[below].max())
    # A rank among draws is never zero or one, which have no normal score.
    pit = (np.sum(drawn < observed) + 0.5) / (len(drawn) + 1.0)
    return {
        **{name: facts[name] for name in ("n_train", "n_test")},
        "distance": float(distance),
        "predicted": float(np.exp(middle)),
        "lower": float(np.exp(low)),
        "upper": float(np.exp(high)),
        "observed": float(np.exp(observed)),
        "error": float(observed - middle),
        "pit": float(pit),
        "inside": bool(low <= observed <= high),
        "coverage": scored.coverage(prob),
        **{name: facts[name] for name in ("ok", "r_hat", "ess", "status")},
    }
