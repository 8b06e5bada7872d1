"""Comparison: the result of comparing laws on the same runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.data.runs import Runs
from bayescale.posterior.fit import Fit
from bayescale.posterior.result import Result
from bayescale.units import format_amount, format_share
from bayescale.validation.leave_one_out import LeftOut
from bayescale.validation.ranking import ERRORS, Ranking
from bayescale.validation.scales import ScalesLeftOut

FEW = 10
"""Fewest clusters for a reliable standard error."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Comparison(Result):
    """A comparison of laws fitted to the same runs. Created by `bayescale.compare`.

    Attributes
    ----------
    fits
        The fits, by name.
    runs
        The runs of all of them.
    scales
        Results of `bayescale.leave_scale_out`: the primary score.
    left_out
        Predictions of runs, or groups of runs, left out: the secondary score.
    weights
        Stacking weights of the eligible laws, from the held-out scales.
    unfitted
        Laws that could not be fitted to these runs, with the reason.
    weakly_identified
        Coordinates of each law whose posterior variance is above half of the prior variance.
    scale, clusters
        The column of the scale; and the cluster of each run, for the standard errors of
        differences.
    clustered_by
        The column of the clusters; empty if each run is its own cluster.
    others
        External log predictive densities of the responses.
    """

    fits: Mapping[str, Fit]
    runs: Runs
    scales: ScalesLeftOut
    left_out: LeftOut
    weights: "pd.Series[float]"
    unfitted: Mapping[str, str]
    weakly_identified: Mapping[str, Sequence[str]]
    scale: str
    clusters: NDArray[np.int64]
    clustered_by: str = ""
    others: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def eligible(self) -> tuple[str, ...]:
        """The laws that may win: those that converged and are identified by the runs.

        A law with evident lack of fit is eligible, since the comparison is relative.
        """
        return tuple(
            name
            for name, fit in self.fits.items()
            if fit.gates.ok and not self.weakly_identified[name]
        )

    @property
    def supported(self) -> tuple[str, ...]:
        """The laws with a positive stacking weight at larger scales."""
        return tuple(str(n) for n, w in self.weights.items() if round(float(w), 3) > 0)

    @cached_property
    def by_scale(self) -> Ranking:
        """The laws ranked by their predictions of held-out scales: the primary score.

        It is the mean log density of a run above a cut, averaged over the cuts.
        """
        values, cuts = self.runs.column(self.scale), self.cuts
        response = np.log(self.runs.column(self.runs.response))
        found = pd.DataFrame(0.0, index=range(int(self.clusters.max()) + 1), columns=[*self.fits])
        repeats = pd.DataFrame(np.nan, index=pd.Index(cuts, name="cut"), columns=[*self.fits])
        shares = np.zeros(len(found))
        for cut in cuts:
            above = values >= cut
            weight = 1.0 / (above.sum() * len(cuts))
            shares += weight * np.bincount(self.clusters[above], minlength=len(found))
            for name in self.fits:
                density = self.scales.pointwise.get((name, cut))
                if density is None:
                    found[name] = np.nan
                    continue
                on_level = np.asarray(density) - response[above]
                repeats.loc[cut, name] = on_level.mean()
                found[name] += weight * np.bincount(
                    self.clusters[above], on_level, minlength=len(found)
                )
        seen = shares > 0.0
        return Ranking(found[seen], self.eligible, shares[seen], repeats, "nats per run")

    @cached_property
    def by_unit(self) -> Ranking:
        """The laws ranked by cross-validation over runs, or groups: the secondary score."""
        units = self.left_out.units
        shares = np.bincount(units.codes) / len(self.runs)
        return Ranking(self.densities(), (*self.eligible, *self.others), shares)

    @property
    def cuts(self) -> list[float]:
        """The scales below which laws are fitted and above which they are scored."""
        return list(self.scales.cuts)

    def densities(self, on: str = "level") -> pd.DataFrame:
        """Return the log predictive density of each unit left out, one column per law.

        Parameters
        ----------
        on
            ``"level"`` for densities of the responses themselves, ``"log"`` for those of their
            logarithms, the scale of the noise of every card.

        Notes
        -----
        With y = exp z the density of y is that of z divided by y, so the two differ by the log
        Jacobian, the sum of the log responses of the unit, which is the same for all laws. Models
        of the response itself, such as least squares on losses, compare on ``"level"`` only.
        """
        if on not in ("level", "log"):
            raise ValueError(f"on: found {on!r}, expected 'level' or 'log'.")
        response = np.log(self.runs.column(self.runs.response))
        jacobian = pd.Series(self.left_out.units.sums(response), index=self.left_out.elpd.index)
        found = self.left_out.elpd.sub(jacobian, axis=0) if on == "level" else self.left_out.elpd
        added = {
            name: values + (jacobian.to_numpy() if on == "log" else 0.0)
            for name, values in self.others.items()
        }
        return found.assign(**added)

    def table(self) -> pd.DataFrame:
        """Return the scores of each law, best first.

        Returns
        -------
        DataFrame
            Indexed by law. ``elpd_scale``, the mean log predictive density of the response of
            held-out runs at larger scales (over runs and cuts), its difference ``diff_scale`` to
            the best eligible law and its standard error ``se_scale``; ``rmsle`` and
            ``coverage_90`` there; the stacking ``weight``; ``elpd_loo``, ``diff_loo``, ``se_loo``
            of the cross-validation over runs or groups, the largest Pareto ``k`` and the number
            of ``refits``; ``ok``, whether the fit passed its gates, and ``status``.
        """
        scale, unit = self.by_scale.table, self.by_unit.table
        names = [*self.fits, *self.unfitted, *self.others]
        found = pd.DataFrame(index=pd.Index(names, name="model"))
        for column in ("elpd", "diff", "se"):
            found[f"{column}_scale"] = scale[column]
        scores = self.scales.table
        per_model = scores.groupby(level="model")
        for column in ("rmsle", "coverage_90"):
            found[column] = per_model[column].mean() if column in scores else np.nan
        found["weight"] = self.weights
        for column in ("elpd", "diff", "se"):
            found[f"{column}_loo"] = unit[column]
        found["k"] = self.left_out.pareto_k.max()
        found["refits"] = self.left_out.exact.sum()
        found["ok"] = [name in self.fits and self.fits[name].diagnostics.ok for name in names]
        found["status"] = [self.status(name) for name in names]
        return found.sort_values(["elpd_scale", "elpd_loo"], ascending=False, kind="stable")

    def status(self, name: str) -> str:
        """Return the caveats on the scores of one law."""
        if name in self.others:
            return "densities made elsewhere"
        if name in self.unfitted:
            return f"not identified: {self.unfitted[name]}"
        fit = self.fits[name]
        said = [] if fit.gates.ok else ["failed its gates"]
        against = {check.name for check in fit.criticism if check.failed}
        if against:
            said.append(f"contradicted by these runs ({', '.join(sorted(against))})")
        if self.weakly_identified[name]:
            said.append(f"not identified by these runs ({', '.join(self.weakly_identified[name])})")
        poor = [format_amount(self.scale, c) for c in self.cuts if not self._ok_below(name, c)]
        if poor:
            said.append(f"failed its gates below {', '.join(poor)}")
        if failed := self.left_out.failed[name]:
            said.append(f"failed its gates in {failed} of its refits without runs")
        return "; ".join(said) or "passed"

    @property
    def sentences(self) -> tuple[str, ...]:
        """The comparison in words: the supported laws, the strength of evidence, and the range."""
        return (self._conclusion, *self._rankings, *self._remarks)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Caveats on the results of these laws."""
        found = dict.fromkeys(fit.law.caveat for fit in self.fits.values() if fit.law.caveat)
        return tuple(found)

    @property
    def headline(self) -> str:
        """The laws and runs compared."""
        return f"{', '.join([*self.fits, *self.unfitted])} on {self.runs.describe()}."

    @property
    def _conclusion(self) -> str:
        first, second = self.by_scale, self.by_unit
        if not first.best:
            return (
                "No law can be preferred: none passed its gates, was identified by these runs, "
                "and could be scored at every cut."
            )
        same = [n for n in first.scored if n in self.eligible and n != first.best and first.ties(n)]
        worse = [n for n in first.scored if n in self.eligible and n not in (first.best, *same)]
        reach = f"within the range of these runs ({self._range})"
        if same:
            said = f"Larger scales do not separate {_listed(sorted([first.best, *same]))} {reach}"
        elif worse:
            said = f"Larger scales support {first.best} {reach}"
        else:
            return f"{first.best} is the only law that can be judged on these runs."
        if worse:
            said += f", and do not support {_listed(worse)}" if same else f", not {_listed(worse)}"
        others = [n for n in (first.best, *same) if n in second.scored]
        lost = [n for n in others if n != second.best and not second.ties(n)]
        if second.best and lost and second.best not in lost:
            said += (
                f". Runs left out among the others prefer {second.best}: it describes these runs "
                "better, which does not imply that it extrapolates better"
            )
        return said + "."

    @property
    def _rankings(self) -> list[str]:
        cuts = self.cuts
        ends = " and ".join(format_amount(self.scale, c) for c in (cuts[0], cuts[-1])[: len(cuts)])
        where = f"{len(cuts)} cuts of {self.scale} between {ends}" if len(cuts) > 1 else ends
        found = [self.by_scale.say(f"Larger scales left out ({where})")]
        by = self.left_out.units.by
        what = f"Groups of one {by} left out" if by else "Runs left out one by one"
        found.append(self.by_unit.say(what))
        return found

    @property
    def _remarks(self) -> list[str]:
        found = []
        for name in sorted([*self.fits, *self.unfitted]):
            if name in self.eligible:
                if (status := self.status(name)) != "passed":
                    found.append(f"{name} {status}.")
                continue
            found.append(f"{name} cannot win: {self.status(name)}.".replace("..", "."))
            scored = name in self.by_scale.scored and self.by_scale.best
            if scored and self.by_scale.ahead(name):
                found[-1] += " Its score is the highest, but is not reliable."
        parts = len(self.by_scale.densities)
        counted = f"whole groups of one {self.clustered_by}" if self.clustered_by else "single runs"
        found.append(
            f"Differences within {ERRORS:g} standard errors are ties. Standard errors at larger "
            f"scales are over {parts} {counted}, or over cuts if that gives a larger one."
            + (" With so few the standard errors are uncertain." if parts < FEW else "")
            + (
                " All runs above one cut share the error of one forecast: give more cuts."
                if len(self.cuts) == 1
                else ""
            )
        )
        if len(self.weights) > 1:
            shares = ", ".join(
                f"{name} {format_share(w, 3)}"
                for name, w in self.weights.sort_values(ascending=False, kind="stable").items()
            )
            found.append(
                f"Stacking weights: {shares}. They are shares of the mixture that predicts larger "
                "scales best, not probabilities."
            )
        found.append(self.left_out.how)
        return found

    @property
    def _range(self) -> str:
        values = self.runs.column(self.scale)
        ends = [format_amount(self.scale, float(x)) for x in (values.min(), values.max())]
        return f"{self.scale} {ends[0]} to {ends[1]}"

    def _ok_below(self, name: str, cut: float) -> bool:
        row = self.scales.table.xs(name, level="model").loc[cut]
        return bool(row.get("ok", False))

    def text_table(self) -> pd.DataFrame:
        """Return the table formatted for display."""
        numbers = self.table()

        def plain(value: float, style: str) -> str:
            return "-" if np.isnan(value) else format(value, style)

        rows = [row for _, row in numbers.iterrows()]
        names = list(map(str, numbers.index))
        unit = [self.by_unit.text(n) if n not in self.unfitted else "-" for n in names]
        single = "k" if numbers["k"].notna().any() else ""
        return pd.DataFrame(
            {
                "larger scales": [self.by_scale.text(n) if n in self.fits else "-" for n in names],
                "rmsle": [plain(row["rmsle"], ".4f") for row in rows],
                "covered (90 %)": [plain(100 * row["coverage_90"], ".0f") + " %" for row in rows],
                "weight": [plain(row["weight"], ".2f") for row in rows],
                "left out": unit,
                **({"k": [plain(row["k"], ".2f") for row in rows]} if single else {}),
                "status": [row["status"] for row in rows],
            },
            index=numbers.index,
        )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
