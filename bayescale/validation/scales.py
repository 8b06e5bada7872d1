"""The scale of runs, and the result of `leave_scale_out`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import override

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.data.runs import Runs
from bayescale.errors import as_list
from bayescale.posterior.result import Result
from bayescale.units import format_number, format_share


def usual_scale(runs: Runs, columns: Iterable[str]) -> str:
    """Return the column of the scale: compute if the runs have it, else the first given one."""
    return "compute" if "compute" in runs.table else next(iter(columns))


@dataclass(frozen=True, eq=False, repr=False)
class ScalesLeftOut(Result):
    """Predictions of the runs above each of several scales. Created by `leave_scale_out`.

    Attributes
    ----------
    table
        Indexed by ``model`` and ``cut``. The columns of `Score.summary` (densities, error,
        coverage at 50, 80, 90 and 95 %, width, interval score and CRPS), ``n_train``;
        ``distance``, the mean of ln (scale of a held-out run / largest fitted); and ``ok``,
        ``r_hat``, ``ess`` and ``status`` of the fit. A model that could not be fitted only has a
        status.
    pointwise
        By model and cut, the log predictive density of the log response of each run above the
        cut, in the order of the runs. A model that could not be fitted has none.
    """

    table: pd.DataFrame
    pointwise: Mapping[tuple[str, float], NDArray[np.float64]]

    def __post_init__(self) -> None:
        frozen = {at: np.array(values, dtype=float) for at, values in self.pointwise.items()}
        for values in frozen.values():
            values.flags.writeable = False
        object.__setattr__(self, "pointwise", MappingProxyType(frozen))

    @property
    def models(self) -> tuple[str, ...]:
        """The models, as given."""
        return tuple(dict.fromkeys(map(str, self.table.index.get_level_values("model"))))

    @property
    def cuts(self) -> tuple[float, ...]:
        """The cuts, in ascending order."""
        return tuple(sorted({float(cut) for cut in self.table.index.get_level_values("cut")}))

    def of(self, models: Iterable[str]) -> "ScalesLeftOut":
        """Return the results of some of the models."""
        kept = set(as_list(models))
        among = self.table.index.get_level_values("model").isin(kept)
        return ScalesLeftOut(
            self.table[among], {at: d for at, d in self.pointwise.items() if at[0] in kept}
        )

    def join(self, other: "ScalesLeftOut") -> "ScalesLeftOut":
        """Return the union with results of other models or cuts of the same runs.

        Raises
        ------
        ValueError
            If both have a score of the same model and cut, or the numbers of runs differ.
        """
        both = self.table.index.intersection(other.table.index)
        if len(both):
            model, cut = both[0]
            raise ValueError(f"scores: found {model} at the cut {cut:g} in both; give each once.")
        counts: dict[float, int] = {}
        for part in (self, other):
            for (model, cut), values in part.pointwise.items():
                if counts.setdefault(cut, len(values)) != len(values):
                    raise ValueError(
                        f"scores: found {len(values)} runs above the cut {cut:g} of {model} and "
                        f"{counts[cut]} of another; expected scores on the same runs."
                    )
        return ScalesLeftOut(
            pd.concat([self.table, other.table]).sort_index(),
            {**self.pointwise, **other.pointwise},
        )

    @property
    @override
    def headline(self) -> str:
        models, cuts = len(self.models), len(self.cuts)
        return (
            f"{models} model{'' if models == 1 else 's'} fitted below {cuts} "
            f"cut{'' if cuts == 1 else 's'}, and scored on the runs above each."
        )

    @property
    @override
    def sentences(self) -> tuple[str, ...]:
        scored = self._scored
        if "coverage_90" not in scored:
            return ()
        counts = scored["n_test"]
        inside = (scored["coverage_90"] * counts).groupby("model", sort=False).sum()
        of = counts.groupby("model", sort=False).sum()
        return tuple(
            f"{name}: {format_share(0.9)} intervals contain {round(float(inside[name]))} of "
            f"{int(of[name])} larger runs, counted at each cut."
            for name in of.index
        )

    @property
    @override
    def caveats(self) -> tuple[str, ...]:
        if "status" not in self.table:
            return ()
        return tuple(
            f"{model} below {cut:g}: {row['status']}"
            for (model, cut), row in zip(
                self.table.index.tolist(), self.table.to_dict("records"), strict=True
            )
            if row.get("ok") != 1
        )

    @property
    def _scored(self) -> pd.DataFrame:
        return self.table.dropna(subset=[c for c in ("n_test",) if c in self.table])

    @override
    def text_table(self) -> pd.DataFrame:
        numbers = self.table.select_dtypes("number").dropna(axis="columns", how="all")
        shown = numbers.map(lambda x: "" if np.isnan(x) else format_number(float(x), 4))
        models, cuts = (shown.index.get_level_values(name) for name in ("model", "cut"))
        texts = [format_number(float(cut), 4) for cut in cuts]
        shown.index = pd.MultiIndex.from_arrays([models, texts], names=["model", "cut"])
        return shown
