"""Decision: the recommended plan, its expected regret, and the comparison with other plans."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr

from bayescale.allocation.plans import FAR, columns_of_plans, largest_compute
from bayescale.costs import Cost
from bayescale.costs.budget import Array
from bayescale.decision.candidates import Candidates
from bayescale.decision.regret import Regrets
from bayescale.posterior.extrapolation import headline_at
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.result import Result
from bayescale.units import (
    format_budget,
    format_count,
    format_number,
    format_share,
)

WITHIN = (0.01, 0.05)
"""Shares of the budget for which bands of size are given."""


@dataclass(frozen=True, eq=False, repr=False)
class Decision(Result):
    """The recommended plan for a budget, with its regret under the posterior.

    Attributes
    ----------
    regrets
        The budget, the cost function, and the regret of plans under each draw.
    source
        The posterior: a fit, an average of laws, or published constants.
    sizes
        Sizes along the budget, in parameters.
    regret
        Draws of the regret of each size, with dims ``chain``, ``draw``, ``n_params``: the share of
        the budget that a draw's optimal plan of the same loss saves.
    candidates
        The recommended plan and those of the user.
    prob
        Probability of the bands and intervals.
    quantile
        The quantile of regret that was minimised; None for its expectation.
    """

    regrets: Regrets
    source: Posterior
    sizes: Array
    regret: xr.DataArray
    candidates: Candidates
    prob: float
    quantile: float | None = None

    @property
    def budget(self) -> float:
        """The budget, in the unit of the cost."""
        return self.regrets.budget

    @property
    def cost(self) -> Cost:
        """The cost function of the budget."""
        return self.regrets.cost

    @property
    def plan(self) -> pd.Series:
        """The recommended plan: its row of `table`."""
        return self.table().iloc[0]

    @cached_property
    def curve_of_regret(self) -> pd.DataFrame:
        """Regret by size: ``expected``, quantiles, and ``p_within_1`` and ``p_within_5``.

        Indexed by size. Draws without an optimum are excluded.
        """
        values = self.regret.to_numpy().reshape(-1, len(self.sizes))
        values = values[~np.isnan(values).any(axis=1)]
        ends = np.quantile(values, [0.5, self.prob], axis=0)
        return pd.DataFrame(
            {
                "expected": values.mean(axis=0),
                "median": ends[0],
                "quantile": ends[1],
                **{f"p_within_{100 * s:.0f}": (values <= s).mean(axis=0) for s in WITHIN},
            },
            index=pd.Index(self.sizes, name="n_params"),
        )

    @property
    def bands(self) -> pd.DataFrame:
        """Sizes with a regret below 1 % and 5 % with probability `prob`.

        Returns
        -------
        DataFrame
            Indexed by regret: ``lower`` and ``upper`` in parameters, NaN if no size attains the
            probability; and ``probability``, the maximum over sizes.
        """
        curve, rows = self.curve_of_regret, {}
        for share in WITHIN:
            found = curve[f"p_within_{100 * share:.0f}"].to_numpy()
            inside = np.flatnonzero(found >= self.prob)
            ends = (
                (
                    _crossing(self.sizes, found, inside[0], -1, self.prob),
                    _crossing(self.sizes, found, inside[-1], 1, self.prob),
                )
                if len(inside)
                else (np.nan, np.nan)
            )
            rows[share] = {"lower": ends[0], "upper": ends[1], "probability": found.max()}
        table = pd.DataFrame.from_dict(rows, orient="index")
        table.index.name = "within"
        return table

    @property
    def evpi(self) -> pd.Series:
        """Expected value of perfect information: the expected regret of the recommended plan.

        As a ``share`` of the budget and an ``amount`` in its unit; also in ``gpu_hours`` and
        ``money`` if the cluster and its price are known. For the expected value of particular runs
        see `bayescale.next_runs`.
        """
        row = self.plan
        found = {"share": row["regret"], "amount": row["regret"] * self.budget}
        for name in ("gpu_hours", "money"):
            if f"regret_{name}" in row:
                found[name] = row[f"regret_{name}"]
        return pd.Series(found, name="perfect information")

    @property
    def no_optimum(self) -> float:
        """Share of draws without an optimum, which are excluded."""
        return float(np.isnan(self.regrets.log_n_opt).mean())

    @property
    def headline(self) -> str:
        """Description, extrapolation and diagnostics, with a failure first."""
        at = np.log(self.plan[["n_params", "n_tokens"]].to_numpy(dtype=float))[:, None]
        return headline_at(self.source, columns_of_plans(self.source, self.regrets.split, *at))

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentences on the plan, its predicted loss, bands of size and expected regret."""
        row, text = self.plan, self.candidates.text
        drawn = not self.source.is_point
        budget = format_budget(self.budget, self.cost.unit)
        rule = (
            "the least expected regret"
            if self.quantile is None
            else f"the least {format_share(self.quantile)} quantile of regret"
        )
        found = [
            f"Train {format_count(row['n_params'])} parameters on {format_count(row['n_tokens'])} "
            f"tokens ({format_number(row['tokens_per_param'])} per parameter): {rule} for {budget} "
            f"of {self.cost.name}.",
            f"Expect a loss of {text.interval(row, 'loss_run', lambda x: format_number(x, 4))}"
            + (f" ({format_share(self.prob)} predictive interval of one run)." if drawn else "."),
        ]
        if text.cluster is not None and row["spent"] > 0:
            found.append(f"It takes {text.cluster.duration(row['compute'])} on {text.cluster}.")
        found += self.sentences_on_sizes
        if not drawn:
            return tuple(found)
        worth = self.evpi
        amounts = [format_budget(worth["amount"], self.cost.unit)]
        if "gpu_hours" in worth:
            amounts.append(f"{format_count(worth['gpu_hours'])} GPU-hours")
        if "money" in worth and self.cost.unit == "FLOP":
            amounts.append(text.money(worth["money"]))
        found.append(
            f"Its expected regret is {format_number(100 * worth['share'], 2)} % of the budget "
            f"({', '.join(amounts)}): the expected value of perfect information about the law."
        )
        return tuple(found)

    @property
    def sentences_on_sizes(self) -> tuple[str, ...]:
        """One sentence for each row of `bands`."""
        found = []
        drawn = not self.source.is_point
        sure = f" with at least {format_share(self.prob)} probability" if drawn else ""
        for share, band in self.bands.iterrows():
            near = f"within {format_share(float(share))} of the best"  # type: ignore[arg-type]
            found.append(
                f"Sizes from {format_count(band['lower'])} to {format_count(band['upper'])} are "
                f"{near}{sure}."
                if np.isfinite(band["lower"])
                else f"No size is {near} with {format_share(self.prob)} probability; the "
                f"largest of any is {format_share(band['probability'], 3)}."
            )
        return tuple(found)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Sentences on the limitations of the results, other than diagnostics."""
        found = []
        row = self.plan
        if not self.source.is_point:
            compute = float(self.cost.training(row["n_params"], row["n_tokens"]))
            times = compute / largest_compute(self.source, self.cost)
            if times > FAR:
                found.append(
                    f"Far beyond the data: the plan is {format_number(times, 2)} times the largest "
                    "run, and regret does not include misfit of the law there"
                    + (" beyond its discrepancy." if self.source.has_discrepancy else ".")
                )
        if self.no_optimum:
            found.append(
                f"{format_share(self.no_optimum, 4)} of the draws have no optimum at this "
                "budget and are left out."
            )
        if self.regrets.limits:
            held = float(self.regrets.spending.at_limit(self.regrets.log_n_opt[..., None]).mean())
            if held > 0:
                found.append(
                    f"A limit ({self.regrets.limits}) binds in {format_share(held, 4)} "
                    "of the draws."
                )
        caveat = self.regrets.curve.caveat
        return (*found, caveat) if caveat else tuple(found)

    def table(self) -> pd.DataFrame:
        """Return the recommended plan and those of the user.

        Returns
        -------
        DataFrame
            Indexed by plan. ``n_params``, ``n_tokens``, ``tokens_per_param``; ``spent`` in the
            unit of the cost, and training ``compute`` in FLOP; ``loss`` and ``loss_run`` with
            their intervals; ``p_best``, the probability of being the most efficient plan (at equal
            cost: of lowest loss) among those that meet the budget within 5 % and the limits (NaN
            for the others); ``regret``, the expected regret as a share of the budget, with its
            ``regret_quantile``; ``wasted``, the expected share of the plan's cost that a draw's
            optimal plan of the same loss saves; if known, ``days``, ``gpu_hours``,
            ``regret_gpu_hours``, ``regret_money``, ``serving_compute``, ``serving_money``; and
            ``note``, on deviations from the budget and the limits.
        """
        return self.candidates.table(self.prob)

    def text_table(self) -> pd.DataFrame:
        """Return the table formatted as text."""
        return self.candidates.text_table(self.prob, drawn=not self.source.is_point)


def _crossing(sizes: Array, found: Array, last: int, step: int, prob: float) -> float:
    """Return the end of a band, interpolated between the last size inside and the next one."""
    beyond = last + step
    if not 0 <= beyond < len(sizes):
        return float(sizes[last])
    share = (found[last] - prob) / (found[last] - found[beyond])
    ends = np.log(sizes[[last, beyond]])
    return float(np.exp(ends[0] + share * (ends[1] - ends[0])))
