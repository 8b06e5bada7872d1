"""Further: the analyses that a report shows beside its plan."""

from dataclasses import dataclass

from bayescale.allocation.speedup_result import Speedup
from bayescale.data.runs import Runs
from bayescale.errors import RunsError
from bayescale.experiment_design.result import NextRuns
from bayescale.sensitivity.expanding_window import ExpandingWindow
from bayescale.sensitivity.multiverse import Multiverse
from bayescale.validation.backtest import Backtest
from bayescale.validation.result import Comparison

_FUNCTIONS = {"comparison": "compare", "cuts": "expanding_window"}
"""The function that returns an analysis, where it has another name."""

_OF_PLANS = ("cuts", "multiverse", "next_runs", "speedup")


@dataclass(frozen=True, kw_only=True)
class Further:
    """Analyses of the runs of a posterior, each as its function returned it; None if not given."""

    comparison: Comparison | None = None
    backtest: Backtest | None = None
    cuts: ExpandingWindow | None = None
    multiverse: Multiverse | None = None
    next_runs: NextRuns | None = None
    speedup: Speedup | None = None

    @property
    def of_plans(self) -> dict[str, object]:
        """The analyses of plans, by name, which only a law that splits a budget has."""
        return {name: getattr(self, name) for name in _OF_PLANS}

    def refuse_other_runs(self, runs: Runs) -> None:
        """Raise RunsError for an analysis of other runs than those of the posterior."""
        for name, (identity, title) in self._runs.items():
            # A multiverse has several tables, such as with and without outliers; they share
            # only their name.
            mine = runs.name if name == "multiverse" else runs.fingerprint
            if identity != mine:
                raise RunsError(
                    f"{name}: found other runs ({title}) than those of the fit ({runs.name}). Give "
                    f"what {_FUNCTIONS.get(name, name)} found of the fit's own runs."
                )

    @property
    def _runs(self) -> dict[str, tuple[str, str]]:
        """What identifies the runs of each analysis, and their name."""
        found = {}
        if self.backtest:
            found["backtest"] = (self.backtest.fingerprint, self.backtest.runs)
        if self.cuts:
            found["cuts"] = (self.cuts.fingerprint, self.cuts.runs)
        if self.multiverse:
            found["multiverse"] = (self.multiverse.runs, self.multiverse.runs)
        fitted = {
            "comparison": self.comparison and self.comparison.runs,
            "next_runs": self.next_runs and self.next_runs.source.runs,
            "speedup": self.speedup and next(iter(self.speedup.sources.values())).runs,
        }
        return found | {n: (runs.fingerprint, runs.name) for n, runs in fitted.items() if runs}


NO_FURTHER = Further()
"""No analyses."""
