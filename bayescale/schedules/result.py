"""RunForecast: the loss of a run under its planned schedule."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import override

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale._io import plain
from bayescale.errors import as_list, listed
from bayescale.laws.base import Law
from bayescale.posterior.result import Result
from bayescale.posterior.summary import tail_quantiles
from bayescale.records.preregister import DRAWS, now, versions
from bayescale.records.preregistration import Preregistration, refuse_existing
from bayescale.schedules.curves import RunCurve
from bayescale.schedules.fit import ScheduleFit
from bayescale.schedules.schedule import Schedule
from bayescale.units import format_count, format_number, format_share


@dataclass(frozen=True, eq=False, repr=False)
class RunForecast(Result):
    """The loss of a run under its planned schedule. Created by `bayescale.forecast_run`.

    Attributes
    ----------
    run, schedule
        The run, and its schedule.
    draws
        Draws of the loss of a new point, one column for each step.
    fits
        The fit of each law, in the average with equal weights.
    curves
        The curves that were fitted.
    alone, sweep
        Draws of the final loss without the sweep, and those of the sweep, if there is one.
    prob
        Probability of the intervals of `text_table`.
    """

    run: str
    schedule: Schedule
    draws: pd.DataFrame
    fits: Sequence[ScheduleFit]
    curves: Sequence[RunCurve]
    alone: NDArray[np.float64]
    sweep: NDArray[np.float64] | None = None
    prob: float = 0.9

    @property
    def last(self) -> float:
        """The last step with a known loss of the run; zero without any."""
        own = [curve for curve in self.curves if curve.run == self.run]
        return float(own[0].step[-1]) if own else 0.0

    @property
    def ok(self) -> bool:
        """Whether every posterior passed its gates."""
        return all(fit.diagnostics.ok for fit in self.fits)

    def quantiles(self, probs: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> pd.DataFrame:
        """Return quantiles of a new point, one row for each step."""
        return self.draws.quantile(as_list(probs)).T

    def table(self, prob: float | None = None) -> pd.DataFrame:
        """Return median and equal-tailed interval of a new point at each step.

        Parameters
        ----------
        prob
            Probability of the intervals; that of the forecast unless given.
        """
        found = self.quantiles(tail_quantiles(self.prob if prob is None else prob))
        found.columns = pd.Index(["lower", "median", "upper"])
        return found[["median", "lower", "upper"]]

    def preregister(
        self, path: str | Path | None = None, *, replace: bool = False
    ) -> Preregistration:
        """Seal the forecast, to be scored by `bayescale.score_forecasts` when the run is finished.

        Parameters
        ----------
        path
            A ``.json`` file to write.
        replace
            Whether earlier forecasts at `path` may be replaced.

        Returns
        -------
        Preregistration
            One forecast for each step, by the name of the run, with the input ``n_steps``.

        Raises
        ------
        ValueError
            If the run has no name, or several steps are forecast.
        FileExistsError
            If there is a file at `path` already.
        """
        if not self.run or len(self.draws.columns) != 1:
            raise ValueError(
                f"preregister: found the run {self.run!r} and {len(self.draws.columns)} steps, "
                "expected a run with a name, by which it is found when it is done, and one step."
            )
        if path is not None:
            refuse_existing(path, replace=replace)
        step = float(self.draws.columns[0])
        farthest = max(curve.step[-1] for curve in self.curves)
        drawn = np.quantile(self.draws[step], (np.arange(DRAWS) + 0.5) / DRAWS)
        digest = hashlib.sha256()
        for curve in self.curves:
            digest.update(curve.run.encode())
            for part in (curve.schedule.rates, curve.step, curve.loss):
                digest.update(np.ascontiguousarray(part).tobytes())
        made = {
            "date": now(),
            "response": "loss",
            "unit": Law.response_unit,
            "posterior": {
                "headline": self.headline,
                "passed": self.ok,
                "draws": len(self.draws),
                "cards": [{"law": fit.law.name, "weight": 1 / len(self.fits)} for fit in self.fits],
                "schedule": self.schedule.text,
                "runs": {"count": len(self.curves), "sha256": digest.hexdigest()},
            },
            "versions": versions(),
            "runs": {
                self.run: {
                    "inputs": {"n_steps": step},
                    "levels": {},
                    "beyond": max(0.0, float(np.log(step / farthest))),
                    "draws": [float(f"{x:.8g}") for x in drawn],
                }
            },
        }
        found = Preregistration(plain(made))
        if path is not None:
            found.save(path, replace=replace)
        return found

    @property
    @override
    def headline(self) -> str:
        of = f" of {self.run}" if self.run else ""
        failed = [fit.diagnostics.status for fit in self.fits if not fit.diagnostics.ok]
        said = f"Forecast of the loss{of} under its schedule ({self.schedule.text})."
        return " ".join([*failed[:1], said])

    @property
    @override
    def caveats(self) -> tuple[str, ...]:
        found = [
            "The laws hold for one model, data and batch size: only the schedules of the runs "
            "may differ."
        ]
        others = sum(curve.run != self.run for curve in self.curves)
        falls = [bool(np.any(curve.schedule.drops[: int(curve.step[-1])])) for curve in self.curves]
        if self.schedule.drops.any() and not any(falls):
            found.append(
                "No curve includes a fall of its rate: the prior determines the effect of the fall."
            )
        elif not others:
            found.append(
                "There are no other runs: the prior determines the spread between schedules and "
                "how far the run departs from the laws later. Such intervals contained few of the "
                "later points of public runs (docs/schedules.md)."
            )
        return tuple(found)

    @property
    @override
    def sentences(self) -> tuple[str, ...]:
        laws = " and ".join(fit.law.name for fit in self.fits)
        count = len(self.curves)
        known = f"; the run is at step {format_count(self.last)}" if self.last else ""
        said = [
            f"From {count} curve{'s' if count > 1 else ''}, with the law"
            f"{'s' if len(self.fits) > 1 else ''} {laws}{known}."
        ]
        if self.run and not self.last:
            runs = listed(dict.fromkeys(curve.run for curve in self.curves))
            said.append(f"None of the points is of {self.run}: those of the table are of {runs}.")
        if self.sweep is not None:
            ends = [
                "{} [{}, {}]".format(*(format_number(float(x[i]), 4) for i in (1, 0, 2)))
                for x in (
                    np.quantile(draws, tail_quantiles(self.prob))
                    for draws in (self.alone, self.sweep)
                )
            ]
            said.append(
                f"For the last step the curves alone give {ends[0]}, and the sweep {ends[1]}; the "
                "table combines both."
            )
        return tuple(said)

    @override
    def text_table(self, prob: float | None = None) -> pd.DataFrame:
        prob = self.prob if prob is None else prob
        rows = {
            format_count(float(step)): {
                "loss": format_number(row["median"], 4),
                f"{format_share(prob)} interval": "[{}, {}]".format(
                    *(format_number(row[end], 4) for end in ("lower", "upper"))
                ),
            }
            for step, row in zip(
                self.draws.columns, self.table(prob).to_dict("records"), strict=True
            )
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("step")
