"""Multiverse analysis: every combination of defensible choices, and the effect of each."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

from bayescale.data.load import RunsSource
from bayescale.errors import BayescaleError, CardError, RunsError, as_list, expect_mapping, quoted
from bayescale.inference.parallel import Outcome, Task, task_key
from bayescale.inference.refits import RefitOptions, Refits
from bayescale.model.card import Model, load_model
from bayescale.model.inputs import runs_for
from bayescale.posterior.result import Result
from bayescale.posterior.summary import tail_quantiles
from bayescale.sensitivity.choices import CHOICES, Choice, Universe
from bayescale.sensitivity.refit import Question, refit, refuse_without_optimum
from bayescale.units import Amount, format_compute, format_count, parse_amount


@dataclass(frozen=True, eq=False, repr=False)
class Multiverse(Result):
    """N_opt at a budget under every combination of choices.

    Attributes
    ----------
    table
        One row per combination, indexed by the names of the choices, one level per question; the
        first row is the reference, the first choice of every question. ``shift``, the difference
        of ln N_opt to the reference, in posterior standard deviations of the reference; ``n_opt``
        and ``a``, the exponent over the decade around the budget, with intervals (``_lower``,
        ``_upper``); ``log_n`` and ``log_n_sd``; ``no_optimum``; ``n_runs``; and ``ok``,
        ``r_hat``, ``ess`` and ``status`` of the fit. A combination that failed only has a status.
    runs
        Name of the runs.
    budget
        The budget, in FLOP.
    prob
        Probability inside the intervals.
    """

    table: pd.DataFrame
    runs: str
    budget: float
    prob: float

    @property
    def reference(self) -> "pd.Series[Any]":
        """The first choice of every question."""
        return self.table.iloc[0]

    @property
    def used(self) -> pd.DataFrame:
        """The combinations whose fit passed its gates."""
        return self.table[self.table["ok"].eq(True) & self.table["shift"].notna()]

    def by_choice(self) -> pd.DataFrame:
        """Return the effect of each choice over all combinations of the others.

        Returns
        -------
        DataFrame
            Indexed by ``question`` and ``choice``: numbers of ``fits`` that passed and
            ``failed``; median ``shift`` over combinations, with ``least`` and ``most``;
            ``moves``, the median change of ln N_opt when this choice replaces the first one and
            all others stay, in standard deviations of the reference.
        """
        rows, used = {}, self.used
        for level, question in enumerate(self.table.index.names):
            names = list(dict.fromkeys(self.table.index.get_level_values(level)))
            for name in names:
                shifts = used[used.index.get_level_values(level) == name]["shift"]
                count = int((self.table.index.get_level_values(level) == name).sum())
                first = used[used.index.get_level_values(level) == names[0]]["shift"]
                # Paired by the combination of all other choices.
                if used.index.nlevels > 1:
                    change = shifts.droplevel(level) - first.droplevel(level)
                else:
                    change = shifts - (first.iloc[0] if len(first) else np.nan)
                rows[question, name] = {
                    "fits": len(shifts),
                    "failed": count - len(shifts),
                    "shift": shifts.median(),
                    "least": shifts.min(),
                    "most": shifts.max(),
                    "moves": change.median(),
                }
        table = pd.DataFrame.from_dict(rows, orient="index")
        table.index = pd.MultiIndex.from_tuples(rows, names=["question", "choice"])
        return table

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentences on the range of N_opt and the most influential choice."""
        used = self.used
        if len(used) == 0:
            return ("No combination could be fitted; see the status of each.",)
        low, high = used["n_opt"].min(), used["n_opt"].max()
        spread = float(used["log_n"].std(ddof=0))
        within = float(self.reference["log_n_sd"])
        moves = self.by_choice()["moves"].abs().dropna().groupby("question").max()
        found = [
            f"Over {len(used)} combinations N_opt at {format_compute(self.budget)} goes from "
            f"{format_count(low)} to {format_count(high)}; ln N_opt has a standard deviation of "
            f"{spread:.2f} between them, and of {within:.2f} in the reference's posterior.",
        ]
        if len(moves):
            found.append(
                f"The choice that moves it most is that of {moves.idxmax()}, by up to "
                f"{moves.max():.1f} posterior standard deviations in the median."
            )
        if not self.reference["ok"]:
            found.append(f"The reference cannot be relied on: {self.reference['status']}")
        failed = len(self.table) - len(used)
        if failed:
            found.append(f"{failed} combinations failed and are left out.")
        return tuple(found)

    @property
    def headline(self) -> str:
        """The number of combinations, and the runs."""
        questions = " x ".join(str(name) for name in self.table.index.names)
        return f"{len(self.table)} fits to {self.runs}: {questions}."

    def text_table(self) -> pd.DataFrame:
        """Return the effect of each choice, formatted for display."""
        table = self.by_choice()

        def number(value: float) -> str:
            return "none" if np.isnan(value) else f"{value:+.1f}"

        return pd.DataFrame(
            {
                "fits": table["fits"].astype(str),
                "failed": table["failed"].astype(str),
                "shift (sd)": [number(x) for x in table["shift"]],
                "from": [number(x) for x in table["least"]],
                "to": [number(x) for x in table["most"]],
                "moves by (sd)": [number(x) for x in table["moves"]],
            }
        )


def multiverse(
    runs: RunsSource,
    model: str | Path | Model,
    *,
    budget: Amount,
    choices: Mapping[str, Sequence[Choice]] = CHOICES,
    fixed: Mapping[str, object] | None = None,
    prob: float = 0.9,
    **options: Unpack[RefitOptions],
) -> Multiverse:
    """Fit every combination of defensible choices, and return the effect of each on N_opt.

    Parameters
    ----------
    runs
        A source for `load_runs`, or its result; to vary the treatment of outliers, a source, or
        runs loaded with ``keep_outliers=True``.
    model
        A card id, the path of a card, or a model of size and tokens, used with the first choice
        of every question.
    budget
        The budget, in FLOP by 6ND with N as counted in the runs.
    choices
        The options of each question; the first is the reference. By default
        `bayescale.sensitivity.choices.CHOICES`: likelihood, window, outliers, counting and law. A
        `bayescale.sensitivity.choices.Choice` is a name and a function; change, leave out or add
        some: ``{**CHOICES, "window": (Choice("all"), my_window)}``.
    fixed
        Values of the law's inputs other than size and tokens, as in `allocate`.
    prob
        Probability inside the intervals.
    **options
        Options of the fits (`RefitOptions`): `seed`, `draws` (500 per chain), `target_accept`,
        `executor`, `store` and `progress`.

    Returns
    -------
    Multiverse
        A table of all combinations, and the effect of each choice.

    Raises
    ------
    ValueError
        If a question has no choice, or two with the same name.
    RunsError
        If the reference could not be fitted.
    UnsuitableLawError, AmountError
        If the law is not a function of size and tokens, or needs inputs that are not fixed.

    Notes
    -----
    Source: Steegen, Tuerlinckx, Gelman and Vanpaemel 2016, doi:10.1177/1745691616658637. Shifts
    measure the uncertainty that a posterior under one combination of choices does not include.
    They are not errors: some choices are worse than others, as `compare` or `leave_scale_out` show.

    Examples
    --------
    >>> import bayescale as bs
    >>> from bayescale.sensitivity.choices import CHOICES
    >>> found = bs.multiverse(
    ...     "chinchilla",
    ...     "chinchilla",
    ...     budget="5.76e23",
    ...     choices={"outliers": CHOICES["outliers"]},
    ...     draws=300,
    ...     progress=False,
    ... )
    >>> bool(abs(found.table["shift"].iloc[1]) < 2)
    True
    """
    refits = Refits.of(options, draws=500)
    tail_quantiles(prob)
    amount = parse_amount(budget, "compute", "budget")
    choices = _read_choices(choices)
    card = load_model(model)
    refuse_without_optimum(card, fixed)
    runs = runs_for(runs, [card], keep_outliers=True)
    reference = Universe(
        model=card, runs=runs, question=Question(budget=amount, fixed=fixed, prob=prob)
    )
    combinations = list(itertools.product(*choices.values()))
    tasks, refused = [], {}
    for i, combination in enumerate(combinations):
        try:
            universe = reference.after(combination)
        except BayescaleError as error:
            refused[i] = {"ok": False, "status": str(error)}
            continue
        fitted = (universe.model, universe.runs)
        key = task_key(*fitted, *universe.question.settings, *refits.key)
        tasks.append((i, Task(key, (*fitted, universe.question, refits.sampling))))
    # Combinations may be identical, as when there are no outliers to leave out.
    distinct = {task.key: task for _, task in tasks}
    outcomes = dict(
        zip(
            distinct,
            refits.run(refit, list(distinct.values()), "fitting combinations"),
            strict=True,
        )
    )
    results: dict[int, Outcome] = {**refused, **{i: outcomes[task.key] for i, task in tasks}}
    return Multiverse(_tabulate(choices, combinations, results), runs.name, amount, prob)


def _tabulate(
    choices: Mapping[str, Sequence[Choice]],
    combinations: Sequence[tuple[Choice, ...]],
    results: Mapping[int, Outcome],
) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(
        [tuple(choice.name for choice in combination) for combination in combinations],
        names=list(choices),
    )
    table = pd.DataFrame([results[i] for i in range(len(combinations))], index=index)
    reference = table.iloc[0]
    if "log_n" not in table or not np.isfinite(reference["log_n"]):
        raise RunsError(
            "multiverse: the reference, the first choice of every question, could not be fitted: "
            f"{reference['status']}"
        )
    # Combinations that failed before fitting have no gates.
    table["ok"] = table["ok"].eq(True)
    shift = (table["log_n"] - reference["log_n"]) / reference["log_n_sd"]
    table.insert(0, "shift", shift)
    return table


def _read_choices(choices: Mapping[str, Sequence[Choice]]) -> dict[str, list[Choice]]:
    example = "{'window': (Choice('all'), Choice('largest', of_largest))}"
    if not expect_mapping(choices, "choices", example, CardError):
        raise ValueError("choices: found none, expected a question with its choices.")
    found = {question: as_list(options) for question, options in choices.items()}
    for question, options in found.items():
        if wrong := [option for option in options if not hasattr(option, "make")]:
            raise CardError(
                f"choices, {question}: found {quoted(wrong[0])}, expected choices, such as "
                f"{example}."
            )
        names = [choice.name for choice in options]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f"choices, {question}: found {', '.join(names) or 'none'}; expected at least one, "
                "with distinct names."
            )
    return found
