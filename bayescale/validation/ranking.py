"""Ranking: laws ranked by one score, with clustered standard errors of differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.units import format_number

ERRORS = 2.0
"""Differences within this many standard errors are ties."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Laws ranked by one score, with clustered standard errors of differences.

    Attributes
    ----------
    densities
        Log predictive densities, one row per cluster of runs and one column per law; missing for
        a law that could not be scored.
    eligible
        The laws that may win.
    shares
        Expected share of each cluster in the score; they sum to one.
    repeats
        The score from each of several fits, as rows, of which the score is the mean. Runs
        predicted by one fit share its error, which shows only in differences between fits.
    unit
        Unit of the densities.
    """

    densities: pd.DataFrame
    eligible: Sequence[str]
    shares: NDArray[np.float64]
    repeats: pd.DataFrame | None = None
    unit: str = "nats"

    @property
    def scored(self) -> list[str]:
        """The laws with a score."""
        return [str(name) for name in self.densities if self.densities[name].notna().all()]

    @cached_property
    def best(self) -> str:
        """The eligible law with the highest score; empty if none has a score."""
        # Ties are broken by name, independent of the order of the laws.
        may = sorted(name for name in self.scored if name in self.eligible)
        return max(may, key=self._total, default="")

    @cached_property
    def table(self) -> pd.DataFrame:
        """Return ``elpd``, its difference ``diff`` to the best eligible law, and ``se`` of that.

        The standard error is the larger of that over clusters and that over repeats.
        """
        found = pd.DataFrame(np.nan, index=self.densities.columns, columns=["elpd", "diff", "se"])
        for name in self.scored:
            found.loc[name, "elpd"] = self._total(name)
            if self.best:
                apart = self.densities[name] - self.densities[self.best]
                # A ratio estimator: clusters of more runs weigh more.
                scatter = apart.to_numpy() - self.shares * apart.sum()
                error = np.sqrt(np.sum(scatter**2) * len(apart) / (len(apart) - 1))
                if self.repeats is not None and len(self.repeats) > 1:
                    again = self.repeats[name] - self.repeats[self.best]
                    error = max(error, again.std(ddof=1) / np.sqrt(len(again)))
                found.loc[name, ["diff", "se"]] = float(apart.sum()), float(error)
        return found

    def _total(self, name: str) -> float:
        return float(self.densities[name].to_numpy().sum())

    def ties(self, name: str) -> bool:
        """Return whether the difference of a law to the best is within its error."""
        row = self.table.loc[name]
        return bool(abs(row["diff"]) <= ERRORS * row["se"])

    def ahead(self, name: str) -> bool:
        """Return whether a law has a higher score than the best eligible one."""
        return self._total(name) > self._total(self.best)

    def say(self, what: str) -> str:
        """Return the ranking in words."""
        if not self.best:
            return f"{what}: no law can be ranked."
        order = self.table["elpd"].dropna().sort_values(ascending=False, kind="stable").index
        rivals = [str(name) for name in order if name in self.eligible and name != self.best]
        said = [
            f"{name} {'ties with it' if self.ties(name) else 'is worse'} ({self.text(name)})"
            for name in rivals
        ]
        shown = f"; {'; '.join(said)}; in {self.unit}" if said else ""
        return f"{what}: {self.best} predicts best{shown}."

    def text(self, name: str) -> str:
        """Return the difference of a law to the best, with its standard error."""
        diff, error = (float(self.table[column].loc[name]) for column in ("diff", "se"))
        if np.isnan(diff):
            return "-"
        if error == 0.0:
            return "0" if diff == 0.0 else format_number(diff)
        # Rounded to two digits of the error.
        digits = max(0, 1 - int(np.floor(np.log10(error))))
        return f"{diff:+.{digits}f} ± {error:.{digits}f}"
