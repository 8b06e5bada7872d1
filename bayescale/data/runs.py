"""Runs: a validated table of training runs, with a fingerprint of the observed data."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayescale.data.card import DatasetCard
from bayescale.data.conditions import rows_meeting
from bayescale.data.notes import Note, NoteKind
from bayescale.data.reading import IN_SENTENCES, Reading
from bayescale.errors import RunsError, as_list
from bayescale.units import (
    format_amount,
    format_compute,
    format_count,
    format_number,
    format_quantity,
)

AMOUNTS = ("n_params", "n_tokens", "compute")
OBSERVED = (*AMOUNTS, "loss")

USUAL_UNIT = "nats/token"
"""The unit of a loss for which none is stated."""

MEASURED = frozenset({"loss", "target_loss", "error", "accuracy", "bleu"})
"""Columns of measurements, which are plain numbers, not amounts such as ``"70B"``."""


@dataclass(frozen=True)
class Runs:
    """A validated table of training runs, one row per run. Created by `bayescale.load_runs`.

    Attributes
    ----------
    table
        DataFrame with ``run`` (label), ``n_params``, ``n_tokens``, ``compute`` (FLOP), ``loss``,
        ``family`` if known, and further columns of the source.
    name
        Dataset id or file name.
    notes
        Sentences on how the table was read: columns renamed and converted, rows left out, amounts
        derived. Those by `load_runs` are `bayescale.data.notes.Note`, with structured fields.
    derived
        Derived columns, with their formulas.
    card
        The dataset's card, if it has one.
    observed, response
        The input columns and the response column, which make up the fingerprint together with
        the family.
    units
        The stated units of columns.
    reading
        For each quantity the column, its unit and its conversion, and the rows left out; None for
        runs that `bayescale.load_runs` did not read.
    """

    _table: pd.DataFrame
    name: str
    notes: tuple[str, ...] = ()
    derived: Mapping[str, str] = field(default_factory=dict)
    card: DatasetCard | None = None
    observed: tuple[str, ...] = ("n_params", "n_tokens")
    response: str = "loss"
    units: Mapping[str, str] = field(default_factory=dict)
    reading: Reading | None = None

    def __len__(self) -> int:
        return len(self._table)

    @property
    def table(self) -> pd.DataFrame:
        """A copy of the table of runs."""
        return self._table.copy(deep=False)

    @property
    def n_params(self) -> NDArray[np.float64]:
        """Size of each run, in parameters."""
        return self.column("n_params")

    @property
    def n_tokens(self) -> NDArray[np.float64]:
        """Tokens processed by each run."""
        return self.column("n_tokens")

    @property
    def compute(self) -> NDArray[np.float64]:
        """Training compute of each run, in FLOP."""
        return self.column("compute")

    @property
    def loss(self) -> NDArray[np.float64]:
        """Observed loss of each run."""
        return self.column("loss")

    @property
    def loss_unit(self) -> str:
        """Unit of the loss, as stated by the user or the card."""
        by_card = self.card.units.get("loss", USUAL_UNIT) if self.card else USUAL_UNIT
        return self.units.get("loss", by_card)

    @property
    def response_unit(self) -> str:
        """Unit of the response; empty where none is stated."""
        return self.loss_unit if self.response == "loss" else self.units.get(self.response, "")

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the families of runs, sorted; empty where the table has none."""
        if "family" not in self._table:
            return ()
        return tuple(sorted(self._table["family"].astype(str).unique()))

    def notes_of(self, *kinds: NoteKind) -> tuple[Note, ...]:
        """Return the notes of the given kinds, with their fields.

        Examples
        --------
        >>> import bayescale as bs
        >>> [note.columns for note in bs.load_runs("chinchilla").notes_of("derived")]
        [('n_tokens',)]
        """
        return tuple(note for note in map(Note.of, self.notes) if note.kind in kinds)

    @property
    def account(self) -> tuple[Note, ...]:
        """How the runs were read: a sentence on each quantity and on the rows, and further notes.

        Examples
        --------
        >>> import bayescale as bs
        >>> import pandas as pd
        >>> mine = pd.DataFrame({"params_M": [70, 160], "tokens_B": [1.4, 3.2], "ppl": [49, 33]})
        >>> print(bs.load_runs(mine).account[3])
        loss is the column 'ppl' in perplexity (by its heading), converted to nats/token: ln(value).
        """
        if self.reading is None:
            return tuple(map(Note.of, self.notes))
        rest = (note for note in map(Note.of, self.notes) if note.kind not in IN_SENTENCES)
        return (*map(Note, self.reading.sentences), *rest)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a column of numbers, or raise RunsError if there is none of that name."""
        if name not in self._table:
            raise RunsError(
                f"{self.name}: found no column {name}; the columns are "
                f"{', '.join(self._table.columns)}."
            )
        try:
            return self._table[name].to_numpy(dtype=np.float64)
        except (ValueError, TypeError):
            raise RunsError(
                f"{self.name}: the column {name} holds {self._table[name].dtype} values, expected "
                "numbers. Load the runs with needs= naming it, which reads amounts as text."
            ) from None

    def below(self, name: str, cut: float) -> NDArray[np.bool_]:
        """Return a mask of the runs below a cut, or raise RunsError unless both sides have runs."""
        values = self.column(name)
        below = np.asarray(values < cut)
        if not below.any() or below.all():
            raise RunsError(
                f"{self.name}: found {int(below.sum())} of {len(self)} runs with {name} below "
                f"{cut:g}, expected some on either side. The values go from {values.min():g} to "
                f"{values.max():g}."
            )
        return below

    def for_law(self, inputs: Sequence[str], response: str) -> "Runs":
        """Return the runs with the inputs and the response of a law.

        Raises
        ------
        RunsError
            If a column is missing, or holds anything but positive finite numbers.
        """
        inputs = as_list(inputs)
        for name in (*inputs, response):
            values = self.column(name)
            wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
            if len(wrong):
                raise RunsError(
                    f"{self.name}, row {wrong[0]}, column {name!r}: found {values[wrong[0]]:g}, "
                    "expected a positive finite number. Correct or remove the row."
                )
        observed = tuple(dict.fromkeys((*self.observed, *inputs)))
        return replace(self, observed=observed, response=response)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the observed data (inputs, response, its unit, family), in any row order."""
        observed = self._table[[*self.observed, self.response]].to_numpy(dtype="<f8")
        families = (
            self._table["family"].astype(str) if "family" in self._table else [""] * len(self)
        )
        rows = sorted(
            row.tobytes() + family.encode() for row, family in zip(observed, families, strict=True)
        )
        return hashlib.sha256(b"\n".join([*rows, *self._stated_unit])).hexdigest()

    def digest(self, columns: Sequence[str] = ()) -> str:
        """Return the SHA-256 of the observed data, the unit and other columns, in row order."""
        wanted = dict.fromkeys((*self.observed, self.response, "family", *columns))
        known = [name for name in wanted if name in self._table]
        rows = self._table[known].astype(str).to_numpy(dtype=object).tolist()
        content = json.dumps([known, rows], ensure_ascii=True)
        return hashlib.sha256(b"\n".join([content.encode(), *self._stated_unit])).hexdigest()

    @property
    def _stated_unit(self) -> list[bytes]:
        """The unit of the response for digests; empty for the usual unit or none."""
        unit = self.response_unit
        return [] if unit in ("", USUAL_UNIT) else [f"unit {unit}".encode()]

    @property
    def _read_as(self) -> dict[str, str]:
        """The standard name of each column, by its name in the source."""
        return {read.column: read.name for read in self.reading.columns} if self.reading else {}

    def mask(self, condition: str | ArrayLike) -> NDArray[np.bool_]:
        """Return a mask of the runs that meet a condition, as in `where`."""
        if isinstance(condition, str):
            try:
                return rows_meeting(condition, self._table, self._read_as)
            except RunsError as error:
                raise RunsError(f"{self.name}: {error}") from None
        mask = np.asarray(condition)
        if mask.dtype != np.bool_ or mask.shape != (len(self),):
            raise RunsError(
                f"{self.name}: the condition gave {mask.dtype} values of shape {mask.shape}, "
                f"expected one true or false for each of the {len(self)} runs."
            )
        return mask

    def where(self, condition: str | ArrayLike, why: str = "") -> "Runs":
        """Return the runs that meet a condition.

        Parameters
        ----------
        condition
            Comparisons of columns joined by ``and``, ``or`` and ``not``, such as
            ``"family == 'c4' and 1e18 < compute < 1e20"`` or ``"`val split` in ['a', 'b']"``; or
            a boolean for each run.
        why
            Recorded in the notes instead of the condition.

        Raises
        ------
        RunsError
            If the condition cannot be read or leaves no run.

        Examples
        --------
        >>> import bayescale as bs
        >>> len(bs.load_runs("overtraining").where("family == 'c4'"))
        34
        """
        mask = self.mask(condition)
        kept = int(mask.sum())
        if not kept:
            raise RunsError(f"{self.name}: no run meets the condition {why or condition!r}.")
        reason = why or (condition if isinstance(condition, str) else "selected rows")
        return replace(
            self,
            _table=self._table[mask].reset_index(drop=True),
            notes=(*self.notes, f"{kept} of {len(self)} runs kept: {reason}"),
        )

    def followed_by(self, others: "Runs") -> "Runs":
        """Return these runs followed by others with the same columns, under the others' name."""
        return replace(others, _table=pd.concat([self._table, others._table], ignore_index=True))

    def describe(self) -> str:
        """Return one line with the number of runs and their ranges."""
        spans: dict[str, tuple[str, Callable[[float], str]]] = {
            "N": ("n_params", format_count),
            "D": ("n_tokens", format_count),
            "C": ("compute", format_compute),
            **{
                name: (name, partial(format_amount, name))
                for name in self.observed
                if name not in OBSERVED
            },
            "loss": ("loss", lambda x: format_number(x, 4)),
            **{self.response: (self.response, partial(format_quantity, self.response))},
        }
        shown = [
            f"{label} {style(self.column(name).min())} to {style(self.column(name).max())}"
            for label, (name, style) in spans.items()
            if name in self._table
        ]
        unit = f" {self.loss_unit}" if self.response == "loss" else ""
        return f"{self.name}: {len(self)} runs, {', '.join(shown)}{unit}"

    def __repr__(self) -> str:
        return "\n".join([f"<Runs {self.describe()}>", *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        from html import escape

        notes = "".join(f"<br>{escape(note)}" for note in self.notes)
        columns = [c for c in ("run", "family", *AMOUNTS, self.response) if c in self._table]
        return f"<p>{escape(self.describe())}{notes}</p>" + self._table[columns].head(8).to_html(
            index=False
        )
