"""Sensitivity to the range of the runs: refits on an expanding window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd

from bayescale.costs import Cost, six_nd
from bayescale.data.load import RunsSource
from bayescale.errors import as_list
from bayescale.inference.parallel import Task, task_key
from bayescale.inference.refits import RefitOptions, Refits
from bayescale.model.card import Model, load_model
from bayescale.model.inputs import runs_for
from bayescale.posterior.result import Result
from bayescale.posterior.summary import tail_quantiles
from bayescale.sensitivity.refit import Question, refit, refuse_without_optimum
from bayescale.units import (
    Amount,
    format_amount,
    format_compute,
    format_count,
    format_number,
    format_share,
    parse_amount,
    parse_amounts,
    quantity_of,
)


@dataclass(frozen=True, eq=False, repr=False)
class ExpandingWindow(Result):
    """The exponent and N_opt from refits on an expanding window of runs.

    Attributes
    ----------
    table
        One row per cut, indexed by ``cut``, the last one infinite (all runs). ``n_runs``; ``a``,
        the exponent of N_opt over the decade around the budget, and ``n_opt`` at it, with
        intervals (``_lower``, ``_upper``); ``log_n`` and ``log_n_sd``, median and standard
        deviation of ln N_opt; ``no_optimum``, the share of draws without an optimum; and ``ok``,
        ``r_hat``, ``ess`` and ``status`` of the fit. A cut that could not be fitted only has a
        status.
    model, runs
        Names of the card and the runs.
    fingerprint
        Fingerprint of all runs.
    budget
        The budget, in FLOP.
    scale
        The column of the cuts.
    prob
        Probability inside the intervals.
    """

    table: pd.DataFrame
    model: str
    runs: str
    fingerprint: str
    budget: float
    scale: str
    prob: float

    @property
    def ends(self) -> pd.DataFrame:
        """The first and the last cut whose fit passed its gates."""
        fitted = self.table[self.table["ok"].eq(True) & self.table["a"].notna()]
        return fitted.iloc[[0, -1]] if len(fitted) > 1 else fitted

    def meet(self, quantity: str = "a") -> bool | None:
        """Return whether the first and the last interval of ``a`` or ``n_opt`` overlap.

        None with fewer than two cuts whose fit passed its gates.
        """
        if len(self.ends) < 2:
            return None
        lower, upper = (self.ends[f"{quantity}_{end}"] for end in ("lower", "upper"))
        return bool(lower.max() <= upper.min())

    @property
    def caveats(self) -> tuple[str, ...]:
        """Caveats if the result depends on the range of the runs."""
        found = [
            f"{self._cut(cut)} could not be used: {row['status']}"
            for cut, row in self.table.iterrows()
            if row["ok"] != 1
        ]
        found += [
            f"{self._cut(cut)}: {format_share(share, 4)} of the draws have no "
            "optimum and are left out."
            for cut, share in self.table.get("no_optimum", pd.Series(dtype=float)).items()
            if share > 0
        ]
        changes = []
        for quantity, what, style in (
            ("a", "the exponent a of N_opt", lambda x: format_number(x, 3)),
            ("n_opt", f"N_opt at {format_compute(self.budget)}", format_count),
        ):
            if self.meet(quantity) is False:
                first, last = (
                    f"{style(row[quantity])} [{style(row[f'{quantity}_lower'])}, "
                    f"{style(row[f'{quantity}_upper'])}] from {self._cut(cut)}"
                    for cut, row in self.ends.iterrows()
                )
                changes.append(f"{what} is {first}, but {last}")
        if changes:
            found.append(
                f"The answer changes with the range of the runs: {'; '.join(changes)}. The first "
                f"and the last {format_share(self.prob)} interval do not overlap: the law does not "
                "hold over the whole range, or smaller runs differ from larger ones, and still "
                "larger runs may change the answer again."
            )
        return tuple(found)

    def text_table(self) -> pd.DataFrame:
        """Return the table formatted for display."""

        def cell(row: "pd.Series[float]", name: str, digits: int | None) -> str:
            values = [float(row.get(f"{name}{end}", np.nan)) for end in ("", "_lower", "_upper")]
            if not np.isfinite(values).all():
                return "none"
            middle, low, high = (
                format_count(x) if digits is None else f"{x:.{digits}f}" for x in values
            )
            return f"{middle} [{low}, {high}]"

        rows = [row for _, row in self.table.iterrows()]
        return pd.DataFrame(
            {
                "runs": [
                    "" if np.isnan(float(row.get("n_runs", np.nan))) else str(int(row["n_runs"]))
                    for row in rows
                ],
                "a": [cell(row, "a", 3) for row in rows],
                f"N_opt at {format_compute(self.budget)}": [
                    cell(row, "n_opt", None) for row in rows
                ],
                "fit": [_short_status(row) for row in rows],
            },
            index=pd.Index([self._cut(cut) for cut in self.table.index], name="fitted"),
        )

    @property
    def headline(self) -> str:
        """The model and the runs."""
        return (
            f"{self.model} card on {self.runs}, refitted below increasing cuts of {self.scale}; "
            f"medians and {format_share(self.prob)} intervals."
        )

    def _cut(self, cut: object) -> str:
        """Return a cut as text."""
        value = float(cut)  # type: ignore[arg-type]
        if np.isinf(value):
            return "all runs"
        return f"{self.scale} below {format_amount(self.scale, value)}"


def expanding_window(
    runs: RunsSource,
    model: str | Path | Model,
    cuts: Sequence[Amount],
    *,
    budget: Amount,
    scale: str = "compute",
    cost: Cost = six_nd,
    fixed: Mapping[str, object] | None = None,
    prob: float = 0.9,
    **options: Unpack[RefitOptions],
) -> ExpandingWindow:
    """Refit a model on an expanding window, and track the exponent and N_opt at a budget.

    Parameters
    ----------
    runs
        All runs: a source for `load_runs`, or its result.
    model
        A card id, the path of a card, or a model of size and tokens.
    cuts
        Values of `scale`, in any order: runs below each are fitted. All runs are fitted as well.
    budget
        The budget, in FLOP.
    scale
        The column of the scale.
    cost
        The rule of compute.
    fixed
        Values of the law's inputs other than size and tokens, as in `allocate`.
    prob
        Probability inside the intervals.
    **options
        Options of the fits (`RefitOptions`): `seed`, `draws` (1000 per chain), `target_accept`,
        `executor`, `store` and `progress`.

    Returns
    -------
    ExpandingWindow
        A table, and caveats if the first and the last interval do not overlap, which `report`
        includes.

    Raises
    ------
    RunsError
        If a cut leaves no run on one side.
    AmountError
        If a cut or the budget is not a positive amount, or an input of the law is missing.
    UnsuitableLawError
        If the law is not of size and tokens.

    Notes
    -----
    If the law is correct, intervals of a quantity converge as the window expands. On the
    Chinchilla runs they do not: the exponent falls as larger runs are added.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> found = bs.expanding_window(
    ...     runs, "chinchilla", ["1e20"], budget="5.76e23", draws=300, seed=1, progress=False
    ... )
    >>> found.meet("a")
    False
    """
    refits = Refits.of(options, draws=1000)
    tail_quantiles(prob)
    card = load_model(model)
    refuse_without_optimum(card, fixed)
    runs = runs_for(runs, [card])
    amount = parse_amount(budget, "compute", "budget")
    values = parse_amounts(as_list(cuts), quantity_of(scale), "cuts")
    question = Question(budget=amount, cost=cost, fixed=fixed, prob=prob)
    tasks = []
    limits = [*np.unique(values), np.inf]
    for cut in limits:
        part = runs
        if np.isfinite(cut):
            part = runs.where(runs.below(scale, cut), f"{scale} below {cut:g}")
        key = task_key(card, part, *question.settings, *refits.key)
        tasks.append(Task(key, (card, part, question, refits.sampling)))
    results = refits.run(refit, tasks, "refitting below cuts")
    table = pd.DataFrame(results, index=pd.Index(limits, name="cut"), columns=_columns(results))
    return ExpandingWindow(table, card.id, runs.name, runs.fingerprint, amount, scale, prob)


def _columns(results: Sequence[dict[str, object]]) -> list[str]:
    """Return the union of the columns of all results, and the required columns."""
    found = dict.fromkeys(name for result in results for name in result)
    return list(dict.fromkeys((*found, "a", "ok", "status")))


def _short_status(row: "pd.Series[float]") -> str:
    if row["ok"] == 1:
        return "passed"
    return "failed its gates" if "r_hat" in row and np.isfinite(row["r_hat"]) else "failed"
