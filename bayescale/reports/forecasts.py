"""The answers of a law that does not split a budget: predictions at given inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bayescale import plots
from bayescale.allocation.plans import FAR
from bayescale.plots.figures import DRAWS
from bayescale.posterior.extrapolation import beyond_runs
from bayescale.posterior.named_domains import with_domains
from bayescale.posterior.predict import predict
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.summary import shown_probs, tail_quantiles
from bayescale.reports.blocks import Answer, Picture, Table
from bayescale.reports.figures import on_axes
from bayescale.units import format_amount_of, format_number, format_quantity, format_share, noun_of


@dataclass(frozen=True)
class Forecast:
    """The prediction at one point as an answer, with its caveat, if any.

    Attributes
    ----------
    answer
        The prediction.
    caveat
        Sentence on the extrapolation; empty inside the range of the runs.
    where
        The point in words.
    run
        Interval of one new run in words, with its probability.
    far
        Whether the point is far beyond the runs.
    """

    answer: Answer
    caveat: str
    where: str
    run: str
    far: bool


def forecasts_of(fit: Posterior, inputs: Mapping[str, object], prob: float) -> tuple[Forecast, ...]:
    """Return the predictions of a posterior at given inputs, by column of the runs.

    Raises
    ------
    AmountError
        If an amount cannot be read, or an input is missing or unknown.
    """
    if not inputs:
        return ()
    draws = predict(fit, inputs=inputs)
    response, shares = fit.response, shown_probs(prob)
    text = partial(format_quantity, response)
    levels = [tail_quantiles(share) for share in shares]
    forecasts = []
    for position in range(draws.sizes["plan"]):
        at = {column: float(draws[column][position]) for column in fit.columns.values()}
        ends = {
            name: [draws[name].isel(plan=position).quantile(each).to_numpy() for each in levels]
            for name in (response, f"{response}_run")
        }
        where = ", ".join(format_amount_of(column, value) for column, value in at.items())
        where = with_domains(where, fit.runs) if fit.runs else where
        beyond = {
            column: factor
            for column, factor in _extrapolation(fit, at).items()
            if not np.isclose(factor, 1.0)
        }
        distance = ", ".join(f"{noun_of(c)} {_times(factor)}" for c, factor in beyond.items())
        distance = with_domains(distance, fit.runs) if fit.runs else distance
        far = any(factor > FAR or factor < 1.0 / FAR for factor in beyond.values())
        answer = Answer(
            question=f"At {where}, expect",
            plan=f"{noun_of(response)} of {text(ends[response][0][1])}",
            intervals=Table(
                caption=f"{noun_of(response).capitalize()} at {where}: median and intervals",
                header=("quantity", "median", *map(format_share, shares)),
                rows=tuple(
                    (
                        label,
                        text(ends[name][0][1]),
                        *(f"{text(low)} to {text(high)}" for low, _, high in ends[name]),
                    )
                    for name, label in (
                        (response, "the law"),
                        (f"{response}_run", "one run"),
                    )
                ),
            ),
            rows=(("against the runs", distance or "inside their range"),),
            picture=_picture(fit, at, where, prob),
            record={
                **at,
                **{
                    name: {
                        "median": float(values[0][1]),
                        **{
                            f"interval_{100 * share:g}": [float(low), float(high)]
                            for share, (low, _, high) in zip(shares, values, strict=True)
                        },
                    }
                    for name, values in ends.items()
                },
                "beyond": beyond,
            },
        )
        caveat = f"{where} lies outside the runs ({distance}): the answer extrapolates"
        caveat += ", far beyond the data." if far else "."
        run = "" if response == "loss" else f"with {noun_of(response)} "
        run += interval_text(response, ends[f"{response}_run"][-1], prob)
        forecasts.append(Forecast(answer, caveat if beyond else "", where, run, far))
    return tuple(forecasts)


def interval_text(response: str, ends: NDArray[np.float64], prob: float) -> str:
    """Return an interval of a response in words, from its lower end, median and upper end."""
    low, _, high = (format_quantity(response, end) for end in ends)
    return f"between {low} and {high} with {format_share(prob)} probability"


def _picture(fit: Posterior, at: Mapping[str, float], where: str, prob: float) -> Picture | None:
    """Return the figure of a law of one input, up to a point; None for a law of several."""
    if len(at) != 1 or fit.runs is None:
        return None
    thinned, points = fit.thin(DRAWS), list(at.values())
    return Picture(
        caption=f"The law through its runs, and at {where}",
        description=f"The {fit.response} of the runs against their one input, with the median of "
        f"the law, its {format_share(prob)} band, and the wider band of one new run; the law at "
        f"{where} is marked.",
        draw=on_axes(lambda ax: plots.curve(thinned, prob, ax, at=points)),
    )


def _extrapolation(fit: Posterior, at: Mapping[str, float]) -> dict[str, float]:
    """Return the factor by which each input exceeds the largest run or falls below the smallest."""
    beyond = beyond_runs(fit, at).iloc[0]
    return {column: float(np.exp(beyond[column])) for column in fit.columns.values()}


def _times(factor: float) -> str:
    return f"{format_number(factor, 2)}x" + (" the most" if factor > 1.0 else " the least")
