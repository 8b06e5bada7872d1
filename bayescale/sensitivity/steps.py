"""Steps from Kaplan's way of measuring the exponent to Chinchilla's, each with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bayescale.costs import ShapeFamily
from bayescale.costs.counting import Counting
from bayescale.data.recount import BODY, recount
from bayescale.data.runs import Runs
from bayescale.errors import RunsError
from bayescale.sensitivity.apparent_exponent import STUDIES

LONG_WARMUP = 0.2
"""A warm-up of more than this share of a run's tokens is part of what is measured."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What changes from here on.

    Attributes
    ----------
    name
        What it is about.
    why
        What is wrong before it.
    columns
        Values that columns of the runs have from here on; an earlier value of the same column
        no longer counts.
    counting
        How N and C are counted from here on; as before unless given.
    keep
        A query that runs must meet from here on, beside those of earlier steps.
    window
        A query on the range that is fitted, in place of an earlier one; ``""`` for all of it.
    """

    name: str
    why: str
    columns: Mapping[str, str] = field(default_factory=dict)
    counting: str | Counting | None = None
    keep: str | None = None
    window: str | None = None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What all steps so far have changed."""

    columns: Mapping[str, str] = field(default_factory=dict)
    counting: str | Counting | None = None
    keep: tuple[str, ...] = ()
    window: str = ""

    def after(self, step: Step) -> "Selection":
        """Return what holds after one more step."""
        return replace(
            self,
            columns={**self.columns, **step.columns},
            counting=self.counting if step.counting is None else step.counting,
            keep=self.keep if step.keep is None else (*self.keep, step.keep),
            window=self.window if step.window is None else step.window,
        )

    def of(self, runs: Runs, given: str | Counting, shapes: ShapeFamily) -> Runs:
        """Return the runs that are selected, counted as selected.

        Raises
        ------
        RunsError
            If there is none.
        """
        for column, value in self.columns.items():
            if column not in runs.table:
                raise RunsError(f"{runs.name}: found no column {column}.")
            there = runs.table[column].astype(str).to_numpy() == value
            runs = runs.where(there, f"{column} = {value!r}")
        if self.counting is not None:
            runs = recount(runs, self.counting, given=given, shapes=shapes)
        for query in (*self.keep, *filter(None, [self.window])):
            runs = runs.where(query)
        return runs


PORIAN: tuple[Step, ...] = (
    Step(
        name="Kaplan's way",
        why="N and C without embeddings and head, losses of training, a warm-up of fixed length, "
        "one long schedule, one tuning for all sizes",
        columns={
            "view": "kaplan-train",
            "hparams": "base",
            "warmup": "long",
            "decay": "kaplan",
        },
    ),
    Step(
        name="counting",
        why="the output head is most of the compute of small models, and was left out",
        columns={"view": "standard-val"},
    ),
    Step(
        name="warm-up",
        why="a warm-up of fixed length is most of the training of small budgets",
        columns={"warmup": "short"},
    ),
    Step(
        name="schedule",
        why="a schedule made for a longer run has not decayed where the loss is read",
        columns={"decay": "chinchilla"},
    ),
    Step(
        name="tuning",
        why="learning rate and batch size of large models are wrong for small ones",
        columns={"hparams": "tuned", "decay": "const"},
    ),
    Step(
        name="fit range",
        why="small budgets may not be like larger ones",
        window="compute > 5.6e17",
    ),
)
"""The walk of Porian et al. 2024, arXiv:2406.19146, over the columns of their tables; then the
upper half of their budgets."""


def steps_for(runs: Runs) -> tuple[Step, ...]:
    """Return the steps that the columns of runs allow.

    Porian's where the runs have the columns ``view``, ``warmup``, ``decay`` and ``hparams``.
    Otherwise runs are counted without embeddings and cut at Kaplan's largest size, then in
    full, then all fitted; then those are kept whose warm-up is short (``warmup_tokens``), whose
    schedule has ended (``schedule_tokens``), and that were tuned (``tuned``), as far as there
    are these columns.
    """
    table = runs.table
    if set(PORIAN[0].columns) <= set(table.columns):
        return PORIAN
    kaplan = STUDIES["kaplan2020"]
    steps = [
        Step(
            name="Kaplan's way",
            why="N and C without embeddings and head, and sizes of up to 1.5B only",
            counting=kaplan.counting,
            window=f"{BODY} <= {1.06 * kaplan.sizes[1]:g}",
        ),
        Step(
            name="counting",
            why="embeddings and the head are most of small models, and were left out",
            counting="total",
        ),
        Step(name="fit range", why="larger models were not yet looked at", window=""),
    ]
    if "warmup_tokens" in table:
        steps.append(
            Step(
                name="warm-up",
                why="a long warm-up is most of the training of small budgets",
                keep=f"warmup_tokens <= {LONG_WARMUP} * n_tokens",
            )
        )
    if "schedule_tokens" in table:
        steps.append(
            Step(
                name="schedule",
                why="a schedule made for a longer run has not decayed where the loss is read",
                keep="n_tokens >= 0.95 * schedule_tokens",
            )
        )
    if "tuned" in table:
        steps.append(
            Step(
                name="tuning",
                why="learning rate and batch size of large models are wrong for small ones",
                keep="tuned == 1",
            )
        )
    return tuple(steps)
