"""Steps from Kaplan's method of estimating the exponent to Chinchilla's, with their reasons."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bayescale.costs import ShapeFamily
from bayescale.costs.counting import Counting
from bayescale.data.recount import BODY, recount
from bayescale.data.runs import Runs
from bayescale.errors import RunsError, expect_mapping, listed, quoted
from bayescale.sensitivity.apparent_exponent import STUDIES

LONG_WARMUP = 0.2
"""Largest share of warm-up in the tokens of a run that does not bias its loss."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A change of method that holds from this step on.

    Attributes
    ----------
    name
        Name of the change.
    why
        The problem that it removes.
    columns
        Required values of columns of the runs; they replace those of earlier steps.
    counting
        Counting convention of N and C; unchanged unless given.
    keep
        A query that runs must meet, in addition to those of earlier steps.
    window
        A query for the fitted range, which replaces an earlier one; ``""`` for the full range.
    """

    name: str
    why: str
    columns: Mapping[str, str] = field(default_factory=dict)
    counting: str | Counting | None = None
    keep: str | None = None
    window: str | None = None

    def __post_init__(self) -> None:
        expect_mapping(self.columns, "columns", "{'schedule': 'cosine'}", RunsError)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The cumulative changes of all steps so far."""

    columns: Mapping[str, str] = field(default_factory=dict)
    counting: str | Counting | None = None
    keep: tuple[str, ...] = ()
    window: str = ""

    def after(self, step: Step) -> "Selection":
        """Return the selection after one more step."""
        return replace(
            self,
            columns={**self.columns, **step.columns},
            counting=self.counting if step.counting is None else step.counting,
            keep=self.keep if step.keep is None else (*self.keep, step.keep),
            window=self.window if step.window is None else step.window,
        )

    def of(self, runs: Runs, given: str | Counting, shapes: ShapeFamily) -> Runs:
        """Return the selected runs, under the selected counting convention.

        Raises
        ------
        RunsError
            If there is none.
        """
        for column, value in self.columns.items():
            if column not in runs.table:
                raise RunsError(
                    f"{runs.name}: found no column {quoted(column)}, by which a step selects runs; "
                    f"the columns are {listed(runs.table.columns)}."
                )
            matches = runs.table[column].astype(str).to_numpy() == value
            runs = runs.where(matches, f"{column} = {value!r}")
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
"""The steps of Porian et al. 2024, arXiv:2406.19146, for the columns of their tables; then the
upper half of their budgets."""


def steps_for(runs: Runs) -> tuple[Step, ...]:
    """Return the steps that the columns of runs allow.

    These are `PORIAN` if the runs have the columns ``view``, ``warmup``, ``decay`` and
    ``hparams``. Otherwise: counts without embeddings up to Kaplan's largest size, then total
    counts, then all sizes; then only runs with a short warm-up (``warmup_tokens``), a completed
    schedule (``schedule_tokens``), and tuned hyperparameters (``tuned``), as far as the runs have
    these columns.
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
        Step(name="fit range", why="larger models were not included", window=""),
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
