"""Reconcile published exponents of N_opt, step by step from Kaplan's method to Chinchilla's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.costs import ShapeFamily
from bayescale.costs.counting import Counting, chinchilla_shapes
from bayescale.data.load import RunsSource, as_runs
from bayescale.data.runs import Runs
from bayescale.errors import RunsError, as_list, quoted
from bayescale.posterior.result import Result
from bayescale.posterior.summary import tail_quantiles
from bayescale.sensitivity.exponents import WIDTH, Way, measure, way_for
from bayescale.sensitivity.steps import Selection, Step, steps_for
from bayescale.units import format_share


@dataclass(frozen=True, eq=False, repr=False)
class ExponentReconciliation(Result):
    """The exponent after each step.

    Attributes
    ----------
    table
        Indexed by ``ladder`` (a set of runs analysed separately) and ``step``: ``a``,
        ``a_lower`` and ``a_upper``, median and interval of the exponent of N_opt = k C^a;
        ``change``, ``change_lower`` and ``change_upper``, its change from the preceding step,
        treating the two as independent; ``n_runs``; ``how``, the method, and ``why``, the reason
        for the step.
    draws
        Draws of the exponent by ladder and step.
    notes
        Omitted steps, and caveats.
    runs
        Name of the runs.
    prob
        Probability inside the intervals.
    """

    table: pd.DataFrame
    draws: Mapping[tuple[str, str], NDArray[np.float64]]
    notes: tuple[str, ...]
    runs: str
    prob: float

    @property
    def ladders(self) -> tuple[str, ...]:
        """The sets of runs analysed separately."""
        return tuple(dict.fromkeys(self.table.index.get_level_values("ladder")))

    @property
    def caveats(self) -> tuple[str, ...]:
        """Limits of validity: the notes."""
        return self.notes

    @property
    def headline(self) -> str:
        """The runs and the quantity."""
        return (
            f"{self.runs}: the exponent a of N_opt = k C^a, step by step; medians and "
            f"{format_share(self.prob)} intervals."
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """The first and last exponent of each ladder, and its largest step."""
        found = []
        for ladder in self.ladders:
            rows = self.table.loc[ladder]
            first, last = rows.iloc[0], rows.iloc[-1]
            sentence = f"{ladder}: a goes from {_interval(first)} to {_interval(last)}"
            if len(rows) > 1:
                step = int(np.nanargmax(rows["change"].abs()))
                low, middle, high = (
                    f"{float(rows[f'change{end}'].iloc[step]):+.2f}"
                    for end in ("_lower", "", "_upper")
                )
                sentence += f"; the largest step is {rows.index[step]}, {middle} [{low}, {high}]"
            found.append(sentence + ".")
        return tuple(found)

    def text_table(self) -> pd.DataFrame:
        """Return the table formatted for display."""
        rows = [row for _, row in self.table.iterrows()]
        return pd.DataFrame(
            {
                "a": [_interval(row) for row in rows],
                "change": [
                    "" if np.isnan(row["change"]) else f"{row['change']:+.3f}" for row in rows
                ],
                "runs": [str(int(row["n_runs"])) for row in rows],
                "measured by": [str(row["how"]) for row in rows],
            },
            index=self.table.index,
        )


def reconcile_exponents(
    runs: RunsSource,
    steps: Sequence[Step] | None = None,
    *,
    by: str | None = None,
    way: Way | None = None,
    given: str | Counting = "total",
    shapes: ShapeFamily = chinchilla_shapes,
    curve: str = "run",
    width: float = WIDTH,
    card: str = "chinchilla",
    prob: float = 0.9,
    seed: int = 0,
    draws: int = 1000,
) -> ExponentReconciliation:
    """Estimate the exponent by methods that change step by step from Kaplan's to Chinchilla's.

    Kaplan et al. 2020 found N_opt ~ C^0.73, Hoffmann et al. 2022 C^0.50. This shows, for the
    given runs, the effect of each difference between the two studies on the exponent: counting,
    range, warm-up, schedule and tuning.

    Parameters
    ----------
    runs
        Runs with the columns that distinguish the studies, see
        `bayescale.sensitivity.steps.steps_for`. Runs with total parameters alone can show the
        effects of counting and range.
    steps
        The changes in order (`bayescale.sensitivity.steps.Step`), the first of which is the
        starting point; by default those that the columns of the runs allow.
    by
        The column whose levels are analysed separately; ``dataset`` by default, if present.
    way
        The method: ``"parabolas"`` through the losses at common budgets, ``"curves"``, the same
        after interpolating training curves at common budgets, or ``"law"``, a fitted card. By
        default the first of these that the runs of all steps allow.
    given, shapes
        The counting convention of the runs, and the shapes of models: see `recount`.
    curve
        The column that identifies training curves.
    width
        Parabolas are fitted to sizes within this factor of the best one of a budget.
    card
        The card to fit with ``"law"``.
    prob
        Probability inside the intervals.
    seed, draws
        Seed and number of draws, including those of a fit.

    Returns
    -------
    ExponentReconciliation
        A table of the steps. A step without runs, or without effect on the runs, is left out with
        a caveat.

    Raises
    ------
    RunsError
        If the runs identify no exponent at any step, or mix several families at one step.

    Notes
    -----
    The steps are those of Porian et al. 2024, arXiv:2406.19146. As there, budgets at which the
    best size is the smallest or the largest run are left out; they interpolate where a parabola
    is fitted here. Counting: Pearce and Song 2024, arXiv:2406.12907.

    Examples
    --------
    >>> import bayescale as bs
    >>> import numpy as np, pandas as pd
    >>> size, tokens = (
    ...     x.ravel() for x in np.meshgrid(np.geomspace(3e6, 3e9, 18), np.geomspace(1e8, 1e12, 60))
    ... )
    >>> law, truth = bs.law("chinchilla"), bs.published("besiroglu2024").parameters
    >>> loss = law.evaluate(n_params=size, n_tokens=tokens, **truth)
    >>> table = pd.DataFrame({"run": size.astype(str), "N": size, "D": tokens, "loss": loss})
    >>> found = bs.reconcile_exponents(bs.load_runs(table))
    >>> found.table["a"].round(2).to_list()
    [0.73, 0.51, 0.51]
    """
    tail_quantiles(prob)
    runs = as_runs(runs)
    if by is None and "dataset" in runs.table:
        by = "dataset"
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    exponents: dict[tuple[str, str], NDArray[np.float64]] = {}
    caveats: list[str] = []
    for ladder, part in _ladders(runs, by):
        chosen = steps_for(part) if steps is None else as_list(steps)
        if not chosen:
            raise ValueError("steps: found none, expected at least the starting point.")
        if wrong := [step for step in chosen if not hasattr(step, "why")]:
            raise RunsError(
                f"steps: found {quoted(wrong[0])}, expected steps, as `steps_for` returns."
            )
        selections = _selections(part, chosen, given, shapes, caveats, ladder)
        if not selections:
            continue
        method = way or way_for([selected for _, selected in selections], curve)
        before: NDArray[np.float64] | None = None
        for step, selected in selections:
            try:
                found = measure(
                    selected,
                    method,
                    curve=curve,
                    width=width,
                    card=card,
                    options={"seed": seed, "draws": draws},
                )
            except RunsError as error:
                caveats.append(f"{ladder}, {step.name}: left out. {error}")
                continue
            caveats += [f"{ladder}, {step.name}: {sentence}" for sentence in found.caveats]
            rows[ladder, step.name] = {
                **_quantiles("a", found.draws, prob),
                **_change(found.draws, before, prob, seed),
                "n_runs": len(selected),
                "how": found.how,
                "why": step.why,
            }
            exponents[ladder, step.name] = before = found.draws
    if not rows:
        raise RunsError(
            f"{runs.name}: no step could be measured. " + " ".join(caveats or ["Add runs."])
        )
    table = pd.DataFrame(
        list(rows.values()), index=pd.MultiIndex.from_tuples(rows, names=["ladder", "step"])
    )
    return ExponentReconciliation(table, exponents, tuple(caveats), runs.name, prob)


def _ladders(runs: Runs, by: str | None) -> list[tuple[str, Runs]]:
    if by is None:
        return [(runs.name, runs)]
    if by not in runs.table:
        raise RunsError(
            f"{runs.name}: found no column {by!r}, which separates the ladders; the columns "
            f"are {', '.join(runs.table.columns)}."
        )
    labels = runs.table[by].astype(str)
    return [
        (label, runs.where((labels == label).to_numpy(), f"{by} = {label!r}"))
        for label in sorted(labels.unique())
    ]


def _selections(
    runs: Runs,
    steps: Sequence[Step],
    given: str | Counting,
    shapes: ShapeFamily,
    caveats: list[str],
    ladder: str,
) -> list[tuple[Step, Runs]]:
    """Return the runs of every step that has any and that changes them."""
    found: list[tuple[Step, Runs]] = []
    selection = Selection()
    for step in steps:
        selection = selection.after(step)
        try:
            selected = selection.of(runs, given, shapes)
        except RunsError as error:
            caveats.append(f"{ladder}, {step.name}: left out. {error}")
            continue
        if len(selected.families) > 1:
            raise RunsError(
                f"{runs.name}, step {step.name}: found runs of {len(selected.families)} families "
                f"({', '.join(selected.families)}), expected one. Analyse each alone "
                "(by='family'), or give steps that select one."
            )
        if found and selected.fingerprint == found[-1][1].fingerprint:
            caveats.append(f"{ladder}, {step.name}: it does not change the runs.")
            continue
        found.append((step, selected))
    return found


def _quantiles(name: str, draws: NDArray[np.float64], prob: float) -> dict[str, float]:
    low, middle, high = np.quantile(draws, tail_quantiles(prob)).tolist()
    return {name: middle, f"{name}_lower": low, f"{name}_upper": high}


def _change(
    draws: NDArray[np.float64], before: NDArray[np.float64] | None, prob: float, seed: int
) -> dict[str, float]:
    if before is None:
        return {f"change{end}": np.nan for end in ("", "_lower", "_upper")}
    rng = generator(seed, Stream.CHANGES)
    count = min(len(draws), len(before))
    change = rng.permutation(draws)[:count] - rng.permutation(before)[:count]
    return _quantiles("change", change, prob)


def _interval(row: "pd.Series[Any]") -> str:
    return f"{row['a']:.3f} [{row['a_lower']:.3f}, {row['a_upper']:.3f}]"
