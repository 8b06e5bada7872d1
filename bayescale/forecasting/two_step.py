"""two_step: predictions of a response through the predicted loss of planned runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import override

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.errors import RunsError, UnsuitableLawError
from bayescale.posterior.curve import Groups
from bayescale.posterior.diagnostics import Diagnostics, with_status
from bayescale.posterior.extrapolation import beyond_runs, describe_extrapolation
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.predict import predict, simulate_runs
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.result import Result
from bayescale.posterior.shape import FEWEST, shape_weights
from bayescale.posterior.summary import interval_columns
from bayescale.units import format_amount_of, format_number, percent

_LOSS = "loss"
_SHARES = ("accuracy", "error")
"""Responses that are fractions, at most one."""

_DOUBTFUL = 0.2
"""Probability of another shape or no relation above which there is a caveat."""

_ONE_SD = (0.16, 0.84)
"""Probabilities one standard deviation from the median of a Normal distribution."""

_MOSTLY = 0.5
"""Share of draws beyond the fitted losses above which there is a caveat."""

type Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class TwoStep(Result):
    """Predictions of a response of the loss, such as the accuracy on a task, at planned runs.

    Attributes
    ----------
    draws
        Joint draws with dims ``chain``, ``draw`` and ``plan``, with the inputs as coordinates of
        ``plan``: the ``loss`` and the response at it under both laws; and of one new run,
        ``loss_run`` and, at that loss and with its own noise, the response with the suffix
        ``_run``.
    first, second
        The posteriors of the loss and of the response.
    share_of_loss
        Share of the variance of the response of one new run that is due to its loss, by plan, with
        variances taken from 68 % intervals, since noise may have heavy tails; NaN if the second
        step is of published constants.
    """

    draws: xr.Dataset
    first: Posterior
    second: Posterior
    share_of_loss: Array

    @property
    def response(self) -> str:
        """The response, as a column of runs."""
        return self.second.response

    @cached_property
    def shapes(self) -> "pd.Series[float] | None":
        """Probabilities of the second law, of no relation and of another shape (`shape_weights`).

        None for constants, averages of laws and fewer than eight runs.
        """
        if len(self.second.fits) != 1:
            return None
        (fit,) = self.second.fits.values()
        return None if fit.groupings or len(fit.runs) < FEWEST else shape_weights(fit)

    @property
    def p_unpredictable(self) -> float:
        """Probability that the response does not follow the loss along the second law.

        It is that of no relation or of another shape; NaN where these are not known.
        """
        return float("nan") if self.shapes is None else float(1.0 - self.shapes.iloc[0])

    @property
    def beyond_losses(self) -> Array:
        """Share of the draws in which the loss of a plan is below every loss of the second fit."""
        if self.second.runs is None:
            return np.full(self.draws.sizes["plan"], np.nan)
        least = float(self.second.inputs[_LOSS].min())
        return (self.draws[self._of_run(_LOSS)] < least).mean(("chain", "draw")).to_numpy()

    def _of_run(self, name: str) -> str:
        return f"{name}_run" if f"{name}_run" in self.draws else name

    @property
    def diagnostics(self) -> Diagnostics | None:
        """The checks of both fits; None if both are published constants."""
        parts = [_named(p.diagnostics, p.response) for p in (self.first, self.second)]
        known = [part for part in parts if part is not None]
        if not known:
            return None
        return known[0] if len(known) == 1 else known[0].join(known[1])

    @property
    def headline(self) -> str:
        """Both posteriors, the extrapolation beyond the runs of the first, and the checks."""
        plans = {c: self.draws[c].to_numpy() for c in self.first.columns.values()}
        far = describe_extrapolation(beyond_runs(self.first, plans)) if self.first.runs else ""
        said = f"{self.first.answering} {far}".strip() + f" Then {self.second.answering}"
        return said if self.diagnostics is None else with_status(said, self.diagnostics)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Caveats of the second law, and extrapolations that the runs do not support."""
        found = [self.second.curve.caveat] if self.second.curve.caveat else []
        doubt = self.p_unpredictable
        if doubt > _DOUBTFUL and self.shapes is not None:
            shapes = ", ".join(f"{name} {percent(w)}" for name, w in self.shapes.items())
            found.append(
                f"With probability {percent(doubt)} the {self.response} does not follow the "
                f"loss along this law ({shapes}): predictions assume that it does."
            )
        far = self.beyond_losses
        if far.max(initial=0.0) > _MOSTLY:
            found.append(
                f"The loss of {int((far > _MOSTLY).sum())} of {len(far)} plans is probably below "
                f"every loss at which the {self.response} was observed: the prior then determines "
                "most of the ceiling and the bend."
            )
        return tuple(found)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The predictions in words."""
        found = []
        if self.shapes is not None and self.p_unpredictable <= _DOUBTFUL:
            found.append(
                f"The {self.response} follows the loss along {self.second.law.name} with "
                f"probability {percent(1.0 - self.p_unpredictable)}, rather than along another "
                "shape or not at all."
            )
        if np.isfinite(self.share_of_loss).all():
            low, high = float(self.share_of_loss.min()), float(self.share_of_loss.max())
            ends = dict.fromkeys((percent(low), percent(high)))
            found.append(
                f"Uncertainty about the loss makes up {' to '.join(ends)} of the variance of the "
                f"{self.response} of one run; the rest is from the second step."
            )
        return tuple(found)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the plans with medians and equal-tailed intervals of loss and response.

        Parameters
        ----------
        prob
            Probability of the intervals.
        """
        table = interval_columns(self.draws, prob, "plan")
        for place, column in enumerate(self.first.columns.values()):
            table.insert(place, column, self.draws[column].to_numpy())
        return table

    @override
    def text_table(self, prob: float = 0.9) -> pd.DataFrame:
        table = self.table(prob)
        inputs = list(self.first.columns.values())
        columns = {c: [format_amount_of(c, x) for x in table[c]] for c in inputs}
        for name in (_LOSS, self.response, f"{self.response}_run"):
            if name in table:
                heading = name.replace("_run", " of one run")
                columns[heading] = [
                    f"{format_number(row[name])} [{format_number(row[f'{name}_lower'])}, "
                    f"{format_number(row[f'{name}_upper'])}]"
                    for _, row in table.iterrows()
                ]
        return pd.DataFrame(columns, index=table.index)


def two_step(
    first: Source,
    second: Source,
    *,
    n_params: object = None,
    n_tokens: object = None,
    inputs: Mapping[str, object] | None = None,
    groups: Groups | None = None,
    seed: int | None = None,
) -> TwoStep:
    """Predict a response of the loss, such as the accuracy on a task, at planned runs.

    The first posterior predicts the loss of a plan, the second the response at a loss, so that the
    interval of the response includes the uncertainty of both.

    Parameters
    ----------
    first
        A fit of the loss, an average of laws, or published constants. For a task it is the loss
        on that task, of the correct answers.
    second
        The same for a response as a function of that loss: a fit of ``accuracy-from-loss``,
        ``error-from-loss`` or ``bleu-from-loss``, or of a law of a user with the input ``loss``.
    n_params, n_tokens, inputs, groups
        The plans, and their levels in the first posterior, as in `predict`.
    seed
        Seed of the simulated noise; that of the first posterior unless given.

    Returns
    -------
    TwoStep
        Joint draws, tables, the probability that the response is not a function of the loss, and
        sentences.

    Raises
    ------
    UnsuitableLawError
        If the first posterior is not of a loss, or the second not of a function of it.
    RunsError
        If the losses of the two are in different units.
    AmountError, UnknownNameError
        As in `predict`.

    Notes
    -----
    A run's response depends on its size and tokens through its own loss alone. The likelihood of
    losses and responses is then that of the losses given the inputs, times that of the responses
    given the observed losses; the priors of the two laws are independent, and so are their
    posteriors. Draws of the two, paired at random, are therefore draws of the joint posterior.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> found = bs.two_step(fit, "gadre2024-refinedweb-error", n_params="7B", n_tokens="2T")
    >>> 0.3 < float(found.draws["error"].median()) < 0.4
    True
    """
    losses, responses = _checked(_source(first), _source(second))
    drawn = predict(
        losses, n_params=n_params, n_tokens=n_tokens, inputs=inputs, groups=groups, seed=seed
    )
    name, own_seed = responses.response, losses.seed if seed is None else seed
    plans = {c: drawn[c] for c in (*losses.columns.values(), "beyond") if c in drawn.coords}
    shape = _shape(losses, responses)
    rows = np.resize(
        generator(own_seed, Stream.PAIRS, 0).permutation(losses.n_draws), int(np.prod(shape))
    )
    paired = xr.Dataset(
        {
            str(n): (("chain", "draw", "plan"), _of_rows(drawn[n], rows).reshape(*shape, -1))
            for n in drawn.data_vars
        },
        coords={"plan": drawn["plan"]},
    ).assign_coords(plans)
    found = {_LOSS: paired[_LOSS], name: _at_loss(responses, paired[_LOSS])}
    share = np.full(paired.sizes["plan"], np.nan)
    run = f"{_LOSS}_run"
    if run in paired:
        found[run], at_run = paired[run], _at_loss(responses, paired[run])
        if not responses.is_point:
            middle = paired[run].median(("chain", "draw"))
            column = {responses.columns[_LOSS]: middle.to_numpy()}
            noisy = simulate_runs(responses, at_run, column, seed=seed)
            at_middle = _at_loss(responses, middle.broadcast_like(at_run)) * noisy / at_run
            share = _share(noisy, at_middle)
            found[f"{name}_run"] = noisy
    if name in _SHARES:
        found |= {n: x.clip(max=1.0) for n, x in found.items() if not n.startswith(_LOSS)}
    return TwoStep(xr.Dataset(found), losses, responses, share)


def _share(whole: xr.DataArray, rest: xr.DataArray) -> Array:
    """Return the share of a variance that the residual variance leaves, by plan.

    Variances are those of Normal distributions with the same 68 % intervals: the sample variance of
    heavy-tailed noise depends on a few draws.
    """
    ends = (x.quantile(_ONE_SD, ("chain", "draw")).to_numpy() for x in (whole, rest))
    of_whole, of_rest = (np.square(high - low) for low, high in ends)
    return np.asarray(np.clip(1.0 - of_rest / of_whole, 0.0, 1.0))


def _source(source: Source | str) -> Posterior:
    from bayescale.laws.published import published

    return as_posterior(published(source) if isinstance(source, str) else source)


def _checked(first: Posterior, second: Posterior) -> tuple[Posterior, Posterior]:
    if first.response != _LOSS:
        raise UnsuitableLawError(
            f"first: found a posterior of {first.response}, expected one of the loss."
        )
    if second.law.inputs != (_LOSS,):
        raise UnsuitableLawError(
            f"second: the law {second.law.name} is of {', '.join(second.law.inputs)}, expected one "
            "of the loss, such as accuracy-from-loss."
        )
    if first.runs is not None and second.runs is not None:
        units = [runs.loss_unit for runs in (first.runs, second.runs)]
        if units[0] != units[1]:
            raise RunsError(
                f"{second.runs.name}: found losses in {units[1]}, expected {units[0]}, as in "
                f"{first.runs.name}. Read both in one unit (units=, --unit loss=...)."
            )
    return first, second


def _shape(first: Posterior, second: Posterior) -> tuple[int, int]:
    """Return the number of chains and of draws per chain of joint draws."""
    of = first if second.is_point else second
    chains = of.curve.pieces[0].shape[0]
    return chains, of.n_draws // chains


def _of_rows(draws: xr.DataArray, rows: NDArray[np.intp]) -> Array:
    """Return draws of these indices, chain by chain, of shape (draw, plan)."""
    ordered = draws.transpose("chain", "draw", "plan").to_numpy()
    return ordered.reshape(-1, ordered.shape[-1])[rows]


def _at_loss(source: Posterior, loss: xr.DataArray) -> xr.DataArray:
    """Return draws of the response at draws of the loss."""
    ordered = loss.transpose("chain", "draw", "plan")
    if not source.is_point:
        found = source.curve.response({_LOSS: np.log(ordered)})
        return found.transpose("chain", "draw", "plan")
    flat = xr.DataArray(np.log(ordered.to_numpy().ravel()), dims="plan")
    return ordered.copy(data=source.curve.response({_LOSS: flat}).to_numpy().reshape(ordered.shape))


def _named(diagnostics: Diagnostics | None, response: str) -> Diagnostics | None:
    """Return diagnostics whose sentences name the step."""
    return None if diagnostics is None else diagnostics.named(response)
