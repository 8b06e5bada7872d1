"""requirements: what a target loss requires, and compute-optimal plans of given size or tokens."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, override

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale.allocation.inverse import Inverse
from bayescale.allocation.plans import FAR, largest_compute
from bayescale.allocation.required_input import ByTarget, RequiredInput, required_input
from bayescale.costs import Cost, as_cost, six_nd
from bayescale.costs.budget import Array
from bayescale.costs.limits import NO_LIMITS, Limits, expect_limits
from bayescale.errors import AmountError, UnsuitableLawError
from bayescale.laws.optimum import Split
from bayescale.posterior.curve import Curve, end_to_end
from bayescale.posterior.extrapolation import headline_at
from bayescale.posterior.point import Source, as_posterior
from bayescale.units import (
    format_budget,
    format_count,
    format_number,
    parse_amounts,
)


@dataclass(frozen=True, eq=False, repr=False)
class Requirements(ByTarget):
    """The requirements of one or more targets, with uncertainty.

    Attributes
    ----------
    draws
        Draws of ``n_params``, ``n_tokens``, ``loss``, and ``budget`` in the unit of the cost, with
        dims ``chain``, ``draw``, ``target``. All are NaN in draws where a target is out of reach,
        such as a loss below the irreducible one.
    question
        The inverse problem, in words.
    source, cost, limits
        The posterior, the cost function and the constraints on plans.
    """

    question: str
    cost: Cost
    limits: Limits = NO_LIMITS

    @override
    def called(self, name: str) -> str:
        is_other_cost = name == "budget" and self.cost.training is not self.cost
        return f"{self.cost.name} ({self.cost.unit})" if is_other_cost else ""

    @property
    def caveats(self) -> tuple[str, ...]:
        """Sentences on the limitations of the results."""
        found = []
        table = self._columns(0.9)
        for place, (target, share) in enumerate(self.unreachable.items()):
            if share > 0:
                found.append(self._out_of_reach(target, share))
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
        """Description, extrapolation and diagnostics, with a failure first."""
        found = self._columns(0.9)
        known = {name: found[name] for name in self.source.columns.values() if name in found}
        return headline_at(self.source, known)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The inverse problem that the table solves."""
        return (self.question,)

    def text_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the table formatted as text."""
        numbers = self._columns(prob)
        styles: dict[str, tuple[str, Callable[[float], str]]] = {
            "parameters": ("n_params", format_count),
            "tokens": ("n_tokens", format_count),
            "D/N": ("tokens_per_param", format_number),
            self.cost.name: ("budget", lambda x: format_budget(x, self.cost.unit)),
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
) -> Requirements | RequiredInput:
    """Solve the inverse problems of planning, for every posterior draw.

    Parameters
    ----------
    source
        A fit, an average of laws (`bayescale.model_average`), or published constants.
    loss
        One or several target losses. Alone: the minimum compute that reaches it, with size and
        tokens. With `n_params`: the tokens that a model of this size requires. With `n_tokens`:
        the size that these tokens require. For a law that splits no budget, such as one of a
        single variable, the response to reach: the answer is the amount of its input.
    n_params
        Alone: the tokens for which this size is compute-optimal.
    n_tokens
        Alone: the size for which these tokens are compute-optimal.
    cost
        The cost to minimise (`bayescale.costs`), or a function of size and tokens.
    fixed
        Values of the law's inputs other than size and tokens; for a law that splits no budget, of
        all inputs but one.
    limits
        Constraints on plans, used if the loss alone is given.

    Returns
    -------
    Requirements or RequiredInput
        Draws and their summaries, with the share of draws in which a target is out of reach; the
        latter for a law that splits no budget.

    Raises
    ------
    AmountError
        If the arguments define none of these problems, or an amount cannot be read.
    UnsuitableLawError
        If a size, tokens, a cost or limits are given for a law that splits no budget.

    Notes
    -----
    At a compute-optimal plan the derivative of the loss along the budget is zero: the ratio of the
    elasticities of loss in size and tokens equals that of the cost. With a cost of training and
    serving, the first problem is that of Sardana et al. 2024: the cheapest model of a given quality
    over its lifetime.

    Examples
    --------
    >>> import bayescale as bs
    >>> print(bs.requirements(bs.published("besiroglu2024"), loss=2.0).text_table().iloc[0, 0])
    46.9B
    >>> print(bs.requirements(bs.published("besiroglu2024"), n_params="7B").text_table().iloc[0, 1])
    144B
    """
    cost, posterior = as_cost(cost), as_posterior(source)
    expect_limits(limits)
    if not posterior.law.splits_compute:
        if n_params is not None or n_tokens is not None or cost != six_nd or limits:
            raise UnsuitableLawError(
                f"requirements: the law {posterior.law.name} is of "
                f"{', '.join(posterior.columns.values())}, expected the {posterior.response} to "
                "reach alone, without a size, tokens, a cost or limits. Give loss (--loss)."
            )
        return required_input(posterior, loss, fixed)
    split = Split.of(posterior.law, fixed)
    asked = _Targets.read(loss, n_params, n_tokens)
    found = [_draws(curve, split, asked, cost, limits) for curve in posterior.curve.pieces]
    draws = xr.Dataset({name: end_to_end(part[name] for part in found) for name in found[0]})
    return Requirements(draws, posterior, asked.question(cost), cost, limits)


def _draws(curve: Curve, split: Split, asked: "_Targets", cost: Cost, limits: Limits) -> xr.Dataset:
    """Return draws of the requirements under one law."""
    count, n_draws = len(asked.labels), math.prod(curve.shape)
    draw = np.repeat(np.arange(n_draws), count)
    target = {name: np.tile(np.log(v), n_draws) for name, v in asked.amounts.items()}
    solve = Inverse.of(curve, replace(split, law=curve.law), cost, limits, draw)
    with np.errstate(all="ignore"):
        if "loss" in target:
            nothing = np.zeros(len(draw))
            too_large = target["loss"] > np.log(solve.loss(nothing, nothing, draw))
            asked.refuse_losses_of_nothing(too_large.reshape(n_draws, count).all(axis=0))
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
            "budget": cost(np.exp(log_n), np.exp(log_d)),
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
class _Targets:
    amounts: dict[str, Array]

    @classmethod
    def read(cls, loss: object, n_params: object, n_tokens: object) -> "_Targets":
        given = {"loss": loss, "n_params": n_params, "n_tokens": n_tokens}
        asked = {name: value for name, value in given.items() if value is not None}
        if not asked or len(asked) == 3:
            raise AmountError(
                f"requirements: found {', '.join(asked) or 'nothing'}, expected a loss, a size or "
                "a number of tokens; or a loss with one of these."
            )
        if len(asked) == 2 and loss is None:
            raise AmountError(
                "requirements: found n_params and n_tokens, which leave nothing to solve for; use "
                "bayescale.predict for their loss."
            )
        read = {name: parse_amounts(value, "count", name) for name, value in asked.items()}
        lengths = {len(values) for values in read.values()} - {1}
        if len(lengths) > 1:
            counts = " and ".join(f"{len(values)} of {name}" for name, values in read.items())
            raise AmountError(
                f"requirements: found {counts}, expected equal numbers of both, or one of either."
            )
        length = max(map(len, read.values()))
        return cls({name: np.broadcast_to(values, (length,)) for name, values in read.items()})

    def refuse_losses_of_nothing(self, found: NDArray[np.bool_]) -> None:
        """Refuse targets that a model of one parameter on one token reaches."""
        if found.any():
            raise AmountError(
                f"loss: found {float(self.amounts['loss'][found][0]):g}, which a model of one "
                "parameter on one token reaches in every draw. Check its unit."
            )

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
            ("loss",): f"The least cost ({cost.name}) that reaches a loss.",
            ("loss", "n_params"): "The tokens that a size needs to reach a loss.",
            ("loss", "n_tokens"): "The size that reaches a loss with given tokens.",
            ("n_params",): f"The tokens for which a size is optimal under {cost.name}.",
            ("n_tokens",): f"The size for which tokens are optimal under {cost.name}.",
        }[tuple(self.amounts)]
