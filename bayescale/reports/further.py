"""Further: the analyses that a report shows in addition to its plan."""

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
"""The function of an analysis, if its name differs."""

_PLAN_ANALYSES = ("cuts", "multiverse", "next_runs", "speedup")


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
        """The analyses of plans, by name, which apply only to a law that splits a budget."""
        return {name: getattr(self, name) for name in _PLAN_ANALYSES}

    def refuse_other_runs(self, runs: Runs) -> None:
        """Raise RunsError for an analysis of other runs than those of the posterior."""
        for name, (identity, title) in self._runs.items():
            # A multiverse fits several tables, such as with and without outliers, of one name.
            expected = runs.name if name == "multiverse" else runs.fingerprint
            if identity != expected:
                raise RunsError(
                    f"{name}: found other runs ({title}) than those of the fit ({runs.name}). Give "
                    f"the result of {_FUNCTIONS.get(name, name)} on the runs of the fit."
                )

    @property
    def _runs(self) -> dict[str, tuple[str, str]]:
        """Fingerprint and name of the runs of each analysis."""
        identities = {}
        if self.backtest:
            identities["backtest"] = (self.backtest.fingerprint, self.backtest.runs)
        if self.cuts:
            identities["cuts"] = (self.cuts.fingerprint, self.cuts.runs)
        if self.multiverse:
            identities["multiverse"] = (self.multiverse.runs, self.multiverse.runs)
        fitted = {
            "comparison": self.comparison and self.comparison.runs,
            "next_runs": self.next_runs and self.next_runs.source.runs,
            "speedup": self.speedup and next(iter(self.speedup.sources.values())).runs,
        }
        return identities | {n: (runs.fingerprint, runs.name) for n, runs in fitted.items() if runs}


NO_FURTHER = Further()
"""No analyses."""
