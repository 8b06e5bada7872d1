"""Forecast: the result of forecasting curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import override

import numpy as np
import pandas as pd

from bayescale.data.columns import ALIASES
from bayescale.data.wandb import key_of
from bayescale.errors import as_list
from bayescale.posterior.result import Result
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_count, format_number, format_share

_SHOWN = 0.05
"""Smallest weight of a law that sentences mention."""

_ALONG_A_RUN = ALIASES["n_steps"] | {"step", "iteration", "global_step"}
"""Columns of amounts against which a curve is likely of one run."""


@dataclass(frozen=True, eq=False, repr=False)
class Forecast(Result):
    """Forecasts of curves at larger amounts.

    Attributes
    ----------
    draws
        Draws of a new point on each curve, by curve: one column for each amount.
    weights
        Posterior probability of each law, one row for each curve.
    break_probability
        Prior probability of a break between the last point of a curve and the amount, indexed as
        the table.
    last
        The last amount of each curve.
    x, y
        Names of the columns of the amounts and of the response.
    rising
        Curves whose response does not fall.
    prob
        Probability of the intervals of `text_table`.
    """

    draws: Mapping[str, pd.DataFrame]
    weights: pd.DataFrame
    break_probability: "pd.Series[float]"
    last: Mapping[str, float]
    x: str
    y: str
    rising: Sequence[str] = ()
    prob: float = 0.9

    def quantiles(self, probs: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> pd.DataFrame:
        """Return quantiles of a new point, one row for each curve and amount."""
        found = {name: draws.quantile(as_list(probs)).T for name, draws in self.draws.items()}
        return pd.concat(found, names=["curve", self.x])

    def table(self, prob: float | None = None) -> pd.DataFrame:
        """Return median and equal-tailed interval, and the probability of a break before.

        Parameters
        ----------
        prob
            Probability of the intervals; that of the forecast unless given.
        """
        found = self.quantiles(tail_quantiles(self.prob if prob is None else prob))
        found.columns = pd.Index(["lower", "median", "upper"])
        found = found[["median", "lower", "upper"]]
        return found.assign(break_before=self.break_probability)

    @override
    def text_table(self, prob: float | None = None) -> pd.DataFrame:
        prob = self.prob if prob is None else prob
        table = self.table(prob)
        names = {name: name or "curve" for name in self.draws}
        places, rows = [], []
        for place, row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
            curve, at = str(place[0]), float(place[1])
            places.append((names[curve], format_count(at)))
            rows.append(
                {
                    self.y: format_number(float(row["median"]), 4),
                    f"{format_share(prob)} interval": "[{}, {}]".format(
                        *(format_number(float(row[end]), 4) for end in ("lower", "upper"))
                    ),
                    "beyond the data": f"{max(1.0, at / self.last[curve]):.3g} times",
                    "a break before": format_number(float(row["break_before"]), 2),
                }
            )
        index = pd.MultiIndex.from_tuples(places, names=["curve", self.x])
        found = pd.DataFrame(rows, index=index)
        return found.droplevel("curve") if list(self.draws) == [""] else found

    @property
    @override
    def headline(self) -> str:
        count = len(self.draws)
        return f"Forecast of {self.y} against {self.x}" + (
            f" for {count} curves." if count > 1 else "."
        )

    @property
    @override
    def caveats(self) -> tuple[str, ...]:
        far = self.break_probability.max()
        found = [
            "No fit can foresee a break. At the rate of breaks on public curves, one lies between "
            f"the data and the farthest amount with probability {far:.2f}, which the intervals "
            "include. Averaged over kinds of public curves, the coverage of 90 % intervals was "
            "lower than that: much lower where the learning rate decayed (docs/forecasts.md)."
        ]
        if self.rising:
            named = ", ".join(self.rising[:5]) + ("..." if len(self.rising) > 5 else "")
            of = f" of {named}" if named else ""
            found.append(
                f"The {self.y}{of} does not fall: only laws of either sign follow it, and none of "
                "them levels off. For a metric that rises towards a bound give it as `ceiling`."
            )
        if key_of(self.x) in _ALONG_A_RUN:
            found.append(
                f"Points against {self.x} are probably of one run. If its learning rate has not "
                "decayed yet, its loss will fall faster than they show. `forecast_run` takes the "
                "schedule, and curves of other runs of the model."
            )
        return tuple(found)

    @property
    @override
    def sentences(self) -> tuple[str, ...]:
        mean = self.weights.mean().sort_values(ascending=False)
        said = [f"{name} {weight:.2f}" for name, weight in mean.items() if weight >= _SHOWN]
        word = "Weights" if len(self.draws) == 1 else "Mean weights"
        return (f"{word} of the laws by their evidence: {', '.join(said)}.",)


def response_draws(log_loss: np.ndarray, ceiling: float | None) -> np.ndarray:
    """Return draws of the response from those of the log loss below a ceiling, if any."""
    loss = np.exp(log_loss)
    return np.asarray(loss if ceiling is None else ceiling - loss)
