"""ForecastScores: the forecasts of a project compared with the outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, override

import numpy as np
import pandas as pd

from bayescale._io import plain
from bayescale.errors import listed
from bayescale.posterior.result import Result
from bayescale.units import format_number, format_share
from bayescale.validation.coverage import pooled_scores
from bayescale.validation.scored import describe_errors

PROBS = (0.5, 0.8, 0.9, 0.95)
"""Probabilities of the intervals whose coverage is reported."""

_INSIDE = {f"inside_{round(100 * p)}": f"coverage_{round(100 * p)}" for p in PROBS}
_MEANS = ("width_90", "interval_score_90", "crps")


@dataclass(frozen=True, eq=False, repr=False)
class ForecastScores(Result):
    """Forecasts compared with the outcomes. Created by `bayescale.score_forecasts`.

    Attributes
    ----------
    pending
        Forecasts whose runs are not finished.
    response
        The response that was forecast.
    """

    _rows: pd.DataFrame
    pending: Sequence[str]
    response: str

    def __len__(self) -> int:
        return len(self._rows)

    def table(self) -> pd.DataFrame:
        """Return one row for each forecast with a run, in order of the dates.

        Returns
        -------
        DataFrame
            Indexed by ``forecasts`` (the file) and ``run``: ``date``; ``passed``, whether the
            posterior passed its checks; ``beyond``, the distance from the fitted runs in e-folds;
            ``median``, ``lower`` and ``upper`` of the 90 % interval, and ``observed``; whether it
            was inside each interval; and ``error``, ``pit``, ``width_90``, ``interval_score_90``
            and ``crps``, as of `bayescale.score`.
        """
        return self._rows.copy()

    def history(self) -> pd.DataFrame:
        """Return the scores of each file of forecasts, and of all.

        Returns
        -------
        DataFrame
            One row for each file, in order of the dates, and ``all``: ``n_test``, the number of
            forecasts; each ``coverage_*`` and its standard error ``coverage_*_se``; ``rmsle`` and
            ``bias``, the root mean square and the mean of ``error``; and the means of ``width_90``,
            ``interval_score_90`` and ``crps``.

        Notes
        -----
        Forecasts of one file share the error of one posterior, so that files, not runs, are treated
        as independent: a standard error needs two files. Posteriors of a growing sweep share errors
        too, which the standard error does not include.
        """
        files = self._rows.groupby(level="forecasts", sort=False)
        rows = pd.DataFrame([_of_file(rows) for _, rows in files], index=list(files.groups))
        rows = rows.loc[self._rows.index.unique("forecasts")]
        by_file = pooled_scores(rows.rename_axis("forecasts"), by="forecasts")
        found = pd.concat([by_file, pooled_scores(rows)]).rename_axis("forecasts")
        return found.drop(columns="n_fits")

    @override
    def text_table(self) -> pd.DataFrame:
        shown = [
            {
                "date": str(row["date"])[:10],
                "predicted": format_number(row["median"], 4),
                f"{format_share(0.9)} interval": f"[{format_number(row['lower'], 4)}, "
                f"{format_number(row['upper'], 4)}]",
                "observed": format_number(row["observed"], 4),
                "inside": "yes" if row["inside_90"] else "no",
                "error": _percent(row["error"]),
                "CRPS": format_number(row["crps"], 2),
            }
            for row in self._rows.to_dict("records")
        ]
        return pd.DataFrame(shown, index=self._rows.index)

    def text_history(self) -> pd.DataFrame:
        """Return the scores of each file and of all, formatted as text."""
        history = self.history()
        shown = [
            {
                "runs": str(int(row["n_test"])),
                **{
                    f"in {format_share(prob)}": _coverage(row, f"coverage_{round(100 * prob)}")
                    for prob in PROBS
                },
                "bias": _percent(row["bias"]),
                "error (RMS)": f"{100 * row['rmsle']:.2f} %",
                "CRPS": format_number(row["crps"], 2),
            }
            for row in history.to_dict("records")
        ]
        return pd.DataFrame(shown, index=history.index)

    @override
    def to_record(self) -> dict[str, Any]:
        return {
            "headline": self.headline,
            "caveats": list(self.caveats),
            "sentences": list(self.sentences),
            "pending": list(self.pending),
            "table": plain(self._rows.reset_index().to_dict("records")),
            "history": plain(self.history().reset_index().to_dict("records")),
        }

    @property
    @override
    def headline(self) -> str:
        files = len(self._rows.index.unique("forecasts"))
        count = len(self)
        return (
            f"{count} forecast{'' if count == 1 else 's'} of {self.response} from {files} "
            f"file{'' if files == 1 else 's'}, scored."
        )

    @property
    @override
    def caveats(self) -> tuple[str, ...]:
        found = []
        if failed := int((~self._rows["passed"].astype(bool)).sum()):
            found.append(f"{failed} of {len(self)} are of posteriors that failed their checks.")
        if self.pending:
            found.append(f"Without a run yet, and not scored: {listed(self.pending, most=5)}.")
        return tuple(found)

    @property
    @override
    def sentences(self) -> tuple[str, ...]:
        total = self.history().iloc[-1]
        return (
            f"{format_share(0.9)} intervals contain {int(self._rows['inside_90'].sum())} of "
            f"{len(self)} outcomes.",
            describe_errors(float(total["bias"]), float(total["rmsle"])),
        )


def _of_file(rows: pd.DataFrame) -> dict[str, float]:
    """Return the scores of the forecasts of one file, as `pooled_scores` takes them."""
    return {
        "n_test": len(rows),
        **{column: float(rows[inside].mean()) for inside, column in _INSIDE.items()},
        "rmsle": float(np.sqrt((rows["error"] ** 2).mean())),
        "bias": float(rows["error"].mean()),
        **{column: float(rows[column].mean()) for column in _MEANS},
    }


def _coverage(row: Mapping[Any, Any], column: str) -> str:
    error = row[f"{column}_se"]
    return format_share(row[column], 2) + (f" ± {100 * error:.0f}" if np.isfinite(error) else "")


def _percent(error: float) -> str:
    return f"{100 * error:+.2f} %"
