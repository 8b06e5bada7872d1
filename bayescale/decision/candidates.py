"""Candidates: comparison of plans by cost, predicted loss and regret."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale.costs import Cluster, Serving
from bayescale.costs.budget import Array
from bayescale.costs.limits import Limits
from bayescale.data.plausibility import FEWEST_PARAMS
from bayescale.decision.regret import Regrets, share_lost
from bayescale.errors import AmountError, expect_mapping
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import (
    format_budget,
    format_compute,
    format_count,
    format_days,
    format_money,
    format_number,
    format_share,
    parse_amount,
)

OPTIMAL = "recommended"
"""Name of the recommended plan."""

_SLACK = 0.05
"""Relative tolerance within which a plan exhausts the budget or meets a limit."""

type PlanSize = tuple[float, float]


def candidates_of(plans: Mapping[str, object]) -> dict[str, PlanSize]:
    """Parse plans into pairs of size and tokens, by name.

    Raises
    ------
    AmountError
        If a plan is not a pair of amounts, has the name of the recommended plan, or is of fewer
        than a thousand parameters.

    Examples
    --------
    >>> from bayescale.decision.candidates import candidates_of
    >>> candidates_of({"7B on 2T": ("7B", "2T")})
    {'7B on 2T': (7000000000.0, 2000000000000.0)}
    """
    found = {}
    for name, plan in expect_mapping(plans, "plans", "{'7B on 2T': ('7B', '2T')}").items():
        if name == OPTIMAL:
            raise AmountError(f"plans: the name {OPTIMAL!r} is reserved for the chosen plan.")
        if isinstance(plan, Mapping) and set(plan) == {"n_params", "n_tokens"}:
            plan = (plan["n_params"], plan["n_tokens"])
        if not isinstance(plan, list | tuple) or len(plan) != 2:
            raise AmountError(
                f'plans, {name!r}: found {plan!r}, expected size and tokens, such as ("7B", "2T").'
            )
        size = parse_amount(plan[0], "count", f"plans, {name!r}, n_params")
        if size < FEWEST_PARAMS:
            raise AmountError(
                f"plans, {name!r}, n_params: found {format_number(size)}, expected at least "
                f"{format_number(FEWEST_PARAMS)}. Write the size with its unit, such as 70M."
            )
        tokens = parse_amount(plan[1], "count", f"plans, {name!r}, n_tokens")
        found[str(name)] = (size, tokens)
    return found


@dataclass(frozen=True)
class Text:
    """Formats of the amounts of a table, for a cluster and a currency."""

    cluster: Cluster | None
    currency: str = "$"

    def money(self, value: float) -> str:
        """Format an amount of money."""
        return format_money(value, self.currency)

    @staticmethod
    def interval(row: "pd.Series[Any]", name: str, style: Callable[[float], str]) -> str:
        """Format a median and its interval."""
        lower, middle, upper = (style(row[f"{name}{end}"]) for end in ("_lower", "", "_upper"))
        return middle if lower == upper else f"{middle} [{lower}, {upper}]"


@dataclass(frozen=True, eq=False)
class Candidates:
    """Plans for one budget, with draws of their loss.

    Attributes
    ----------
    plans
        Size and tokens of each plan, by name; the recommended plan is first.
    loss, loss_run
        Draws of the mean curve and the posterior predictive of one run, dims chain, draw, plan.
    regrets
        The regret of plans under each draw.
    cluster, serving
        The training cluster and the served tokens, if known.
    """

    plans: Mapping[str, PlanSize]
    loss: xr.DataArray
    loss_run: xr.DataArray
    regrets: Regrets
    cluster: Cluster | None = None
    serving: Serving | None = None

    def without(self, name: str) -> "Candidates":
        """Return the plans but one."""
        kept = [place for place, other in enumerate(self.plans) if other != name]
        return replace(
            self,
            plans={other: plan for other, plan in self.plans.items() if other != name},
            loss=self.loss.isel(plan=kept),
            loss_run=self.loss_run.isel(plan=kept),
        )

    @property
    def text(self) -> Text:
        """Formats of amounts."""
        return Text(self._cluster, self._currency)

    def table(self, prob: float) -> pd.DataFrame:
        """Return the table described in `bayescale.decision.result.Decision.table`."""
        if prob not in self._tables:
            self._tables[prob] = self._table(prob)
        return self._tables[prob].copy()

    @cached_property
    def _tables(self) -> dict[float, pd.DataFrame]:
        """Tables that were made, by probability: sentences, caveats and figures all use them."""
        return {}

    def _table(self, prob: float) -> pd.DataFrame:
        ends = tail_quantiles(prob)
        size, tokens = np.array(list(self.plans.values())).T
        cost = self.regrets.cost
        spent, compute = cost(size, tokens), cost.training(size, tokens)
        log_loss = np.log(self.loss.to_numpy())
        # Contiguous rows of plans, so that rounding of sums does not depend on the other plans.
        regret, log_used = (
            np.ascontiguousarray(found.reshape(-1, len(size)).T)
            for found in (self.regrets.regret(log_loss), self.regrets.log_used(log_loss, spent))
        )
        wasted = share_lost(log_used)
        notes = self._notes
        columns: dict[str, Any] = {
            "n_params": size,
            "n_tokens": tokens,
            "tokens_per_param": tokens / size,
            "spent": spent,
            "compute": compute,
        }
        for name, draws in (("loss", self.loss), ("loss_run", self.loss_run)):
            lower, middle, upper = np.quantile(draws.to_numpy(), ends, axis=(0, 1))
            columns |= {name: middle, f"{name}_lower": lower, f"{name}_upper": upper}
        columns |= {
            "p_best": self._p_best(log_used, np.array([not note for note in notes])),
            "regret": np.nanmean(regret, axis=1),
            "regret_quantile": np.nanquantile(regret, prob, axis=1),
            "wasted": np.nanmean(wasted, axis=1),
        }
        columns |= self._hardware(compute, columns["regret"])
        columns["note"] = notes
        return pd.DataFrame(columns, index=pd.Index(list(self.plans), name="plan"))

    @staticmethod
    def _p_best(log_used: Array, alike: NDArray[np.bool_]) -> Array:
        """Return the probability that each plan is the most efficient: wastes least of its cost.

        At equal cost that is the plan of lowest loss. Losses themselves are not compared, since a
        plan that costs 2 % more tends to have a lower one. Plans that miss the budget or violate
        the limits are excluded (NaN), and at least two others are needed.
        """
        found = np.full(len(log_used), np.nan)
        values = log_used[alike][:, ~np.isnan(log_used[alike]).any(axis=0)]
        if len(values) > 1 and values.size:
            best = np.bincount(values.argmax(axis=0), minlength=len(values))
            found[alike] = best / values.shape[1]
        return found

    def _hardware(self, compute: Array, regret: Array) -> dict[str, Any]:
        found: dict[str, Any] = {}
        cluster, serving, size = self._cluster, self.serving, columns_of(self.plans)[0]
        # Regret in units of compute converts to time on the cluster; in money it does not.
        budget, money = self.regrets.budget, self.regrets.cost.unit != "FLOP"
        if cluster is not None:
            found |= {"days": cluster.days(compute), "gpu_hours": cluster.gpu_hours(compute)}
            if not money:
                found["regret_gpu_hours"] = cluster.gpu_hours(regret * budget)
        paid = self.regrets.cost.of_training(*columns_of(self.plans))
        if paid is not None:
            found["training_money"] = paid
        elif cluster is not None and cluster.price is not None:
            found["training_money"] = cluster.money(compute)
            if not money:
                found["regret_money"] = cluster.money(regret * budget)
        if money:
            found["regret_money"] = regret * budget
        if serving is not None:
            found["serving_compute"] = serving.compute(size)
            price = serving.money(size, cluster)
            if price is not None:
                found["serving_money"] = price
        return found

    @cached_property
    def _notes(self) -> list[str]:
        regrets = self.regrets
        found = []
        for name, (size, tokens) in self.plans.items():
            notes = []
            spent = float(regrets.cost(size, tokens))
            if spent > regrets.budget * (1.0 + _SLACK) or (
                spent < regrets.budget / (1.0 + _SLACK) and name != OPTIMAL
            ):
                notes.append(f"{format_number(spent / regrets.budget, 3)} times the budget")
            notes += _outside(regrets.limits, size, tokens, regrets)
            found.append("; ".join(notes))
        return found

    @property
    def _cluster(self) -> Cluster | None:
        return self.cluster or self.regrets.cost.cluster

    @property
    def _currency(self) -> str:
        unit = self.regrets.cost.unit
        if unit != "FLOP":
            return unit
        return self._cluster.currency if self._cluster else "$"

    def text_table(self, prob: float, *, drawn: bool = True) -> pd.DataFrame:
        """Return the table formatted as text; without probabilities for point estimates."""
        numbers, text = self.table(prob), self.text
        unit = self.regrets.cost.unit

        def percent(value: float) -> str:
            return "" if np.isnan(value) else f"{format_number(100 * value, 2)} %"

        styles: dict[str, tuple[str, Callable[[float], str]]] = {
            "N": ("n_params", format_count),
            "D (tokens)": ("n_tokens", format_count),
            "D/N": ("tokens_per_param", format_number),
            "compute": ("compute", format_compute),
            **({"cost": ("spent", lambda x: format_budget(x, unit))} if unit != "FLOP" else {}),
            "days": ("days", format_days),
            "training cost": ("training_money", text.money),
            "serving cost": ("serving_money", text.money),
            "serving compute": ("serving_compute", format_compute),
            **({"P(best)": ("p_best", percent)} if drawn else {}),
            ("expected regret" if drawn else "regret"): ("regret", percent),
            **(
                {f"regret below ({format_share(prob)})": ("regret_quantile", percent)}
                if drawn
                else {}
            ),
            "regret in GPU-hours": ("regret_gpu_hours", format_count),
            "regret in money": ("regret_money", text.money),
            "wasted": ("wasted", percent),
        }
        columns = {
            heading: [style(value) for value in numbers[name]]
            for heading, (name, style) in styles.items()
            if name in numbers and not (name == "p_best" and numbers[name].isna().all())
        }
        for said, too in (
            ("serving cost", "serving compute"),
            ("regret in money", "regret in GPU-hours"),
        ):
            if said in columns:
                columns.pop(too, None)
        loss = [
            text.interval(row, "loss_run", lambda x: format_number(x, 4))
            for _, row in numbers.iterrows()
        ]
        order = list(columns)
        order.insert(order.index("D/N") + 1, "loss of a run")
        found = pd.DataFrame({**columns, "loss of a run": loss}, index=numbers.index)[order]
        return found.assign(note=numbers["note"]) if numbers["note"].any() else found


def columns_of(plans: Mapping[str, PlanSize]) -> tuple[Array, Array]:
    """Return the sizes and the tokens of plans, as arrays."""
    size, tokens = np.array(list(plans.values())).T
    return size, tokens


def _outside(limits: Limits, size: float, tokens: float, regrets: Regrets) -> list[str]:
    """Describe the limits that a plan violates."""
    slack = 1.0 + _SLACK
    compute = float(regrets.cost.training(size, tokens))
    checks: tuple[tuple[bool, Any, str, Callable[[float], str]], ...] = (
        (True, limits.max_params, "above", format_count),
        (False, limits.min_params, "below", format_count),
        (True, limits.most_tokens, "above", format_count),
        (False, limits.min_tokens, "below", format_count),
    )
    found = []
    for place, (is_most, limit, word, style) in enumerate(checks):
        value, what = (size, "parameters") if place < 2 else (tokens, "tokens")
        if limit is None:
            continue
        if value > float(limit) * slack if is_most else value < float(limit) / slack:
            found.append(f"{word} {style(float(limit))} {what}")
    if limits.most_compute is not None and compute > limits.most_compute * slack:
        found.append(f"longer than {format_days(float(limits.max_days or 0.0))}")
    return found
