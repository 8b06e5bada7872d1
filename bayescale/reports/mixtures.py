"""The answer of a law of mixtures: the mixture to train on, and the predicted loss of a run."""

import numpy as np

from bayescale import plots
from bayescale.allocation.data_mixture import DataMixture, data_mixture
from bayescale.posterior.fit import Fit
from bayescale.posterior.predict import predict
from bayescale.posterior.summary import tail_quantiles
from bayescale.reports.blocks import Answer, Picture, Table
from bayescale.reports.figures import on_axes
from bayescale.reports.forecasts import Forecast
from bayescale.units import format_number, format_quantity, format_share

_SHOWN = 0.005
"""Smallest share that sentences name."""


def recommended_mixture(fit: Fit, prob: float) -> tuple[Forecast, ...]:
    """Return the recommended mixture as the answer of a law of mixtures; none for other laws."""
    if not fit.law.domains:
        return ()
    found = data_mixture(fit)
    columns = list(fit.columns.values())
    at = dict(zip(columns, map(float, found.recommended), strict=True))
    run = predict(fit, inputs=at)[f"{fit.response}_run"].isel(plan=0)
    low, middle, high = (float(x) for x in run.quantile(tail_quantiles(prob)))
    # The first caveat is that of the law, which every report states.
    _, *beyond = found.caveats
    shares = _in_words(found)
    said = (
        f"between {format_quantity(fit.response, low)} and {format_quantity(fit.response, high)} "
        f"with {format_share(prob)} probability"
    )
    value = format_quantity(fit.response, middle)
    return (
        Forecast(
            answer=_answer(found, fit.response, f"{value}, {said}", prob),
            caveat=" ".join(beyond),
            where=shares,
            run=said,
            far=any(each.startswith("Outside the shares") for each in beyond),
        ),
    )


def _in_words(found: DataMixture) -> str:
    shown = found.recommended[found.recommended >= _SHOWN].sort_values(ascending=False)
    return ", ".join(f"{_percent(share)} {name}" for name, share in shown.items())


def _percent(share: float) -> str:
    return format_share(round(float(share), 2))


def _answer(found: DataMixture, response: str, run: str, prob: float) -> Answer:
    draws = found.draws.transpose("domain", ...).to_numpy()
    draws = draws.reshape(len(draws), -1)
    shares = (0.5, prob) if prob != 0.5 else (0.5,)
    ends = {share: np.quantile(draws, tail_quantiles(share), axis=1) for share in shares}
    regret, equal = found.expected_regret, float(found.regret_equal.mean())
    return Answer(
        question=f"For the least {response} on this validation text, train on",
        plan=_in_words(found),
        intervals=Table(
            caption="Recommended share of each domain, and intervals of the best one",
            header=("domain", "share", *map(format_share, shares)),
            rows=tuple(
                (
                    str(name),
                    _percent(share),
                    *(f"{_percent(x[0][i])} to {_percent(x[2][i])}" for x in ends.values()),
                )
                for i, (name, share) in enumerate(found.recommended.items())
            ),
        ),
        rows=(
            (f"{response} of a run", run),
            ("expected regret", f"{format_number(regret, 2)} {found.unit}"),
            ("regret of equal shares", f"{format_number(equal, 2)} {found.unit}"),
            ("better than equal shares", f"{_percent(found.p_better)} probability"),
            (
                "shares of the runs",
                ", ".join(
                    f"{name} {_percent(row['least'])} to {_percent(row['greatest'])}"
                    for name, row in found.run.iterrows()
                ),
            ),
        ),
        picture=Picture(
            caption="The best share of each domain, with intervals, and the recommended one",
            description="A row for each domain: the median of its best share with 50 % and "
            f"{format_share(prob)} intervals, and the recommended share as a diamond.",
            draw=on_axes(lambda ax: plots.data_mixture(found, prob, ax)),
        ),
        record={
            "mixture": {str(name): float(share) for name, share in found.recommended.items()},
            "unit": found.unit,
            "regret": regret,
            "regret_equal": equal,
            "p_better": found.p_better,
        },
    )
