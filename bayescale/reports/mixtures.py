"""The answer of a law of mixtures: the mixture to train on, and the predicted loss of a run."""

import numpy as np

from bayescale import plots
from bayescale.allocation.data_mixture import DataMixture, data_mixture
from bayescale.posterior.fit import Fit
from bayescale.posterior.predict import predict
from bayescale.posterior.summary import shown_probs, tail_quantiles
from bayescale.reports.blocks import Answer, Picture, Table
from bayescale.reports.figures import on_axes
from bayescale.reports.forecasts import Forecast, interval_text
from bayescale.units import format_number, format_quantity, format_share

_SMALLEST_SHARE = 0.005
"""Smallest share that is listed in a sentence."""


def recommended_mixture(fit: Fit, prob: float) -> tuple[Forecast, ...]:
    """Return the recommended mixture as the answer of a law of mixtures; none for other laws."""
    if not fit.law.domains:
        return ()
    found = data_mixture(fit)
    columns = list(fit.columns.values())
    at = dict(zip(columns, map(float, found.recommended), strict=True))
    run = predict(fit, inputs=at)[f"{fit.response}_run"].isel(plan=0)
    ends = run.quantile(tail_quantiles(prob)).to_numpy()
    # The first caveat is that of the law, which every report states.
    _, *beyond = found.caveats
    shares = _in_words(found)
    interval = interval_text(fit.response, ends, prob)
    value = format_quantity(fit.response, ends[1])
    return (
        Forecast(
            answer=_answer(found, fit.response, f"{value}, {interval}", prob),
            caveat=" ".join(beyond),
            where=shares,
            run=interval,
            far=any(each.startswith("Outside the shares") for each in beyond),
        ),
    )


def _in_words(found: DataMixture) -> str:
    shown = found.recommended[found.recommended >= _SMALLEST_SHARE].sort_values(ascending=False)
    return ", ".join(f"{format_share(share, 2)} {name}" for name, share in shown.items())


def _answer(found: DataMixture, response: str, run: str, prob: float) -> Answer:
    draws = found.draws.transpose("domain", ...).to_numpy()
    draws = draws.reshape(len(draws), -1)
    shares = shown_probs(prob)
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
                    format_share(share, 2),
                    *(
                        f"{format_share(x[0][i], 2)} to {format_share(x[2][i], 2)}"
                        for x in ends.values()
                    ),
                )
                for i, (name, share) in enumerate(found.recommended.items())
            ),
        ),
        rows=(
            (f"{response} of a run", run),
            ("expected regret", f"{format_number(regret, 2)} {found.unit}"),
            ("regret of equal shares", f"{format_number(equal, 2)} {found.unit}"),
            ("better than equal shares", f"{format_share(found.p_better, 2)} probability"),
            (
                "shares of the runs",
                ", ".join(
                    f"{name} {format_share(row['least'], 2)} to {format_share(row['greatest'], 2)}"
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
