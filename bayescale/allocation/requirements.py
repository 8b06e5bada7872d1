"""The inverse questions: what a loss takes, and which tokens suit a size, or which size tokens."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayescale.allocation.allocate import FAR, largest_compute
from bayescale.allocation.inverse import Inverse
from bayescale.costs import Cost, as_cost, six_nd
from bayescale.costs.budget import Array
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.errors import AmountError
from bayescale.laws.optimum import Split
from bayescale.posterior.curve import Curve, end_to_end
from bayescale.posterior.extrapolation import headline_at
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.result import Result
from bayescale.posterior.summary import flag_failure, interval_columns
from bayescale.units import (
    format_budget,
    format_count,
    format_number,
    format_share,
    parse_amounts,
)


@dataclass(frozen=True, eq=False, repr=False)
class Requirements(Result):
    """What one or more targets need, draw by draw.

    Attributes
    ----------
    draws
        Dims ``chain``, ``draw``, ``target``: ``n_params``, ``n_tokens``, ``loss``, and
        ``compute``, in the unit of the cost. A draw under which a target cannot be reached, such
        as a loss below its floor, has NaN in all.
    question
        What was asked, in words.
    source, cost, limits
        What it was computed from.
    """

    draws: xr.Dataset
    question: str
    source: Posterior
    cost: Cost
    limits: Limits = NO_LIMITS

    @property
    def unreachable(self) -> pd.Series:
        """Share of the draws under which each target cannot be reached, left out of its row."""
        lost = np.isnan(self.draws["compute"].to_numpy()).mean(axis=(0, 1))
        return pd.Series(lost, index=self._targets, name="unreachable")

    @property
    def caveats(self) -> tuple[str, ...]:
        """Sentences on how far these numbers may be believed."""
        found = []
        table = self._columns(0.9)
        for place, (target, share) in enumerate(self.unreachable.items()):
            if share > 0:
                found.append(
                    f"{target}: out of reach in {format_share(round(share, 4))} of the draws, "
                    "which are left out of its medians and intervals."
                    if share < 1
                    else f"{target}: out of reach."
                )
            if not self.source.is_point and share < 1:
                at = table.iloc[place]
                compute = self.cost.training(at["n_params"], at["n_tokens"])
                times = float(compute) / largest_compute(self.source, self.cost)
                if times > FAR:
                    found.append(
                        f"{target}: far beyond the data, {format_number(times, 2)} times the "
                        "largest run."
                    )
        caveat = self.source.curve.caveat
        return (*found, caveat) if caveat else tuple(found)

    @property
    def headline(self) -> str:
        """What was asked of what, led by the failure if the fit did not pass its gates."""
        found = self._columns(0.9)
        known = {name: found[name] for name in self.source.columns.values() if name in found}
        return f"{headline_at(self.source, known)}\n{self.question}"

    @cached_property
    def _targets(self) -> "pd.Index[Any]":
        found: pd.Index[Any] = pd.Index(list(self.draws["target"].to_numpy()), name="target")
        return found

    def _columns(self, prob: float) -> pd.DataFrame:
        with warnings.catch_warnings():
            # A target that no draw reaches has no median, which the caveats say.
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            return interval_columns(self.draws, prob, "target")

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return medians and equal-tailed intervals, one row a target."""
        return flag_failure(self._columns(prob), self.source.diagnostics)

    def text_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the same as people read it."""
        numbers = self._columns(prob)
        styles: dict[str, tuple[str, Callable[[float], str]]] = {
            "parameters": ("n_params", format_count),
            "tokens": ("n_tokens", format_count),
            "D/N": ("tokens_per_param", format_number),
            self.cost.name: ("compute", lambda x: format_budget(x, self.cost.unit)),
            "loss": ("loss", lambda x: format_number(x, 4)),
        }

        def text(row: "pd.Series[float]", name: str, style: Callable[[float], str]) -> str:
            if np.isnan(row[name]):
                return "out of reach"
            ends = [style(row[f"{name}_{end}"]) for end in ("lower", "upper")]
            middle = style(row[name])
            return middle if set(ends) == {middle} else f"{middle} [{', '.join(ends)}]"

        return pd.DataFrame(
            {
                heading: [text(row, name, style) for _, row in numbers.iterrows()]
                for heading, (name, style) in styles.items()
            },
            index=self._targets,
        )


def requirements(
    source: Source,
    *,
    loss: object = None,
    n_params: object = None,
    n_tokens: object = None,
    cost: Cost | Callable[[Any, Any], Any] = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
) -> Requirements:
    """Answer the inverse questions of planning, for every posterior draw.

    Parameters
    ----------
    source
        A fit, an average of laws (`bayescale.model_average`), or published constants.
    loss
        A target loss, or several. Alone: the least compute that reaches it, with its size and
        tokens. With `n_params`: the tokens that this size needs. With `n_tokens`: the size that
        these tokens need.
    n_params
        Alone: the tokens for which this size is compute-optimal.
    n_tokens
        Alone: the size for which these tokens are.
    cost
        What is to be least (`bayescale.costs`), or a function of size and tokens.
    fixed
        Values of the law's inputs beside size and tokens.
    limits
        What bounds plans, of the first question.

    Returns
    -------
    Requirements
        Draws, and tables of them. Draws under which a target is out of reach are counted.

    Raises
    ------
    AmountError
        If none of the questions is asked, or an amount cannot be read.

    Notes
    -----
    Where a size is compute-optimal the loss does not change along its budget, to first order:
    the elasticities of loss in size and in tokens are as those of the cost. Under a cost of
    training and serving (Sardana et al. 2024) the first question is theirs: the cheapest model
    of a given quality over its lifetime.

    Examples
    --------
    >>> import bayescale as bs
    >>> print(bs.requirements(bs.published("besiroglu2024"), loss=2.0).text_table().iloc[0, 0])
    46.9B
    >>> print(bs.requirements(bs.published("besiroglu2024"), n_params="7B").text_table().iloc[0, 1])
    144B
    """
    cost, posterior = as_cost(cost), as_posterior(source)
    split = Split.of(posterior.law, fixed)
    asked = _Asked.read(loss, n_params, n_tokens)
    found = [_draws(curve, split, asked, cost, limits) for curve in posterior.curve.pieces]
    draws = xr.Dataset({name: end_to_end(part[name] for part in found) for name in found[0]})
    return Requirements(draws, asked.question(cost), posterior, cost, limits)


def _draws(curve: Curve, split: Split, asked: "_Asked", cost: Cost, limits: Limits) -> xr.Dataset:
    """Return draws of what the targets need under one law."""
    count, n_draws = len(asked.labels), math.prod(curve.shape)
    draw = np.repeat(np.arange(n_draws), count)
    target = {name: np.tile(np.log(v), n_draws) for name, v in asked.amounts.items()}
    solve = Inverse.of(curve, replace(split, law=curve.law), cost, limits, draw)
    with np.errstate(all="ignore"):
        if "loss" not in target:
            log_n, log_d = solve.balanced(**target)
        elif "n_params" in target:
            log_n = target["n_params"]
            log_d = solve.tokens(log_n, target["loss"], draw)
        elif "n_tokens" in target:
            log_d = target["n_tokens"]
            log_n = solve.size(log_d, target["loss"])
        else:
            log_n, log_d = solve.least(target["loss"])
        lost = np.isnan(log_n) | np.isnan(log_d)
        amounts = {
            "n_params": np.exp(log_n),
            "n_tokens": np.exp(log_d),
            "tokens_per_param": np.exp(log_d - log_n),
            "compute": cost(np.exp(log_n), np.exp(log_d)),
            "loss": solve.loss(log_n, log_d, draw),
        }
    return xr.Dataset(
        {
            name: (
                ("chain", "draw", "target"),
                np.where(lost, np.nan, values).reshape(*curve.shape, count),
            )
            for name, values in amounts.items()
        },
        coords={"target": asked.labels},
    )


@dataclass(frozen=True)
class _Asked:
    amounts: dict[str, Array]

    @classmethod
    def read(cls, loss: object, n_params: object, n_tokens: object) -> "_Asked":
        given = {"loss": loss, "n_params": n_params, "n_tokens": n_tokens}
        asked = {name: value for name, value in given.items() if value is not None}
        if not asked or len(asked) == 3:
            raise AmountError(
                f"requirements: found {', '.join(asked) or 'nothing'}, expected a loss, a size or "
                "a number of tokens; or a loss with one of these."
            )
        if len(asked) == 2 and loss is None:
            raise AmountError(
                "requirements: found n_params and n_tokens, which leave nothing to find; ask "
                "bayescale.predict for their loss."
            )
        read = {name: parse_amounts(value, "count", name) for name, value in asked.items()}
        lengths = {len(values) for values in read.values()} - {1}
        if len(lengths) > 1:
            counts = " and ".join(f"{len(values)} of {name}" for name, values in read.items())
            raise AmountError(
                f"requirements: found {counts}, expected as many of one as of the other, or one."
            )
        length = max(map(len, read.values()))
        return cls({name: np.broadcast_to(values, (length,)) for name, values in read.items()})

    @property
    def labels(self) -> list[str]:
        style = {
            "loss": lambda x: f"loss {format_number(x, 4)}",
            "n_params": lambda x: f"{format_count(x)} parameters",
            "n_tokens": lambda x: f"{format_count(x)} tokens",
        }
        rows = zip(*self.amounts.values(), strict=True)
        return [
            ", ".join(style[name](float(x)) for name, x in zip(self.amounts, row, strict=True))
            for row in rows
        ]

    def question(self, cost: Cost) -> str:
        return {
            ("loss",): f"The least of {cost.name} that reaches a loss.",
            ("loss", "n_params"): "The tokens that a size needs to reach a loss.",
            ("loss", "n_tokens"): "The size that reaches a loss with given tokens.",
            ("n_params",): f"The tokens for which a size is optimal, by {cost.name}.",
            ("n_tokens",): f"The size for which tokens are optimal, by {cost.name}.",
        }[tuple(self.amounts)]
