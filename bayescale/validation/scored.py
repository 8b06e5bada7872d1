"""Score: the scores of predictions on held-out runs, and how each is computed from draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import override

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.data.runs import Runs
from bayescale.posterior.extrapolation import headline_at
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.result import Result
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_number, format_share

MEANINGS: Mapping[str, str] = {
    "n_test": "held-out runs",
    "elpd": "log predictive density of the log response, summed over runs",
    "joint_elpd": "the same of all runs together, with the errors that they share",
    "rmsle": "root mean square of ln (observed / predicted)",
    "bias": "mean of ln (observed / predicted)",
    **{f"coverage_{p}": f"share of runs inside the {p} % interval" for p in (50, 80, 90, 95)},
    "width_90": "mean width of the 90 % interval, in logs",
    "interval_score_90": "that width, plus twenty times the distance of runs from the interval",
    "crps": "continuous ranked probability score, in logs; zero is perfect",
}
"""What each score of `Score.summary` means."""


@dataclass(frozen=True, eq=False, repr=False)
class Score(Result):
    """Scores of a posterior on held-out runs. Created by `bayescale.score`.

    Attributes
    ----------
    pointwise
        One row per run: ``elpd``, the log predictive density of the log response; ``error``, the
        log of observed over predicted median; ``pit``, the probability integral transform, the
        posterior predictive CDF at the run; ``width_90``, the width of its 90 % interval;
        ``interval_score_90``, that width plus twenty times the distance of the run from the
        interval; and ``crps``, the continuous ranked probability score. All are on the log scale.
    joint_elpd
        Joint log predictive density of all runs, which accounts for errors shared by all
        predictions of a posterior draw, and for the correlation of checkpoints.
    draws, observed
        Draws of the log response of each run, one column per run, and the logs as observed.
    source, runs
        The posterior, and the held-out runs.

    Notes
    -----
    Checkpoints of a partly fitted run are predicted given the last fitted one before them. For a
    diverged (censored) run, ``elpd`` is the log survival probability at the recorded value, and
    all other scores are missing. Published constants have errors, and no density or interval.
    """

    pointwise: pd.DataFrame
    joint_elpd: float
    draws: NDArray[np.float64]
    observed: NDArray[np.float64]
    source: Posterior | None = None
    runs: Runs | None = None

    @classmethod
    def mix(cls, scores: Sequence["Score"], weights: Sequence[float]) -> "Score":
        """Return the score of a weighted average of posteriors, from scores on the same runs.

        Parameters
        ----------
        scores, weights
            The scores, and the weight of each; see `bayescale.stacking_weights`.
        """
        share = np.asarray(weights) / np.sum(weights)
        with np.errstate(divide="ignore"):
            log_share = np.log(share)
        parts = list(zip(scores, share, strict=True))
        elpd = np.logaddexp.reduce(
            [s.pointwise["elpd"] + w for s, w in zip(scores, log_share, strict=True)]
        )
        below = np.sum([w * s.pointwise["pit"] for s, w in parts], axis=0)
        # Draws in proportion to the weights, evenly spaced.
        count = max(len(s.draws) for s in scores)
        taken = [
            s.draws[np.linspace(0, len(s.draws) - 1, round(w * count)).astype(int)]
            for s, w in parts
        ]
        drawn, observed = np.concatenate(taken), scores[0].observed
        joint = np.logaddexp.reduce(
            [s.joint_elpd + w for s, w in zip(scores, log_share, strict=True)]
        )
        mixed = pointwise_scores(drawn, observed, elpd, below)
        return cls(mixed, float(joint), drawn, observed, runs=scores[0].runs)

    @property
    def elpd(self) -> float:
        """Sum of the pointwise log predictive densities."""
        return float(self.pointwise["elpd"].sum())

    @property
    def rmsle(self) -> float:
        """Root mean square log error of the predicted median."""
        return float(np.sqrt(np.mean(self.pointwise["error"] ** 2)))

    def coverage(self, prob: float = 0.9) -> float:
        """Share of the runs inside the equal-tailed posterior predictive interval."""
        low, _, high = tail_quantiles(prob)
        return float(self.pointwise["pit"].dropna().between(low, high).mean())

    @property
    def is_point(self) -> bool:
        """Whether the predictions are point estimates, which have errors alone."""
        return "elpd" not in self.pointwise

    def summary(self) -> dict[str, float]:
        """Return the number of runs, densities, errors, coverages, and mean scores and widths."""
        mean = self.pointwise.mean()
        errors = {"rmsle": self.rmsle, "bias": float(mean["error"])}
        if self.is_point:
            return {"n_test": len(self.pointwise), **errors}
        return {
            "n_test": len(self.pointwise),
            "elpd": self.elpd,
            "joint_elpd": self.joint_elpd,
            **errors,
            **{f"coverage_{p}": self.coverage(p / 100) for p in (50, 80, 90, 95)},
            **{name: float(mean[name]) for name in ("width_90", "interval_score_90", "crps")},
        }

    @property
    @override
    def headline(self) -> str:
        count = len(self.pointwise)
        runs = f"{count} run{'' if count == 1 else 's'}"
        if self.source is None or self.runs is None:
            return f"Scores on {runs}."
        inputs = {name: self.runs.column(name) for name in self.source.columns.values()}
        return f"{headline_at(self.source, inputs)} Scored on {runs} of {self.runs.name}."

    @property
    @override
    def sentences(self) -> tuple[str, ...]:
        mean, pit = self.pointwise.mean(), self.pointwise.get("pit")
        said = describe_errors(float(mean["error"]), self.rmsle)
        if pit is None:
            return (said,)
        known = pit.dropna()
        low, _, high = tail_quantiles(0.9)
        inside = int(known.between(low, high).sum())
        return (f"{format_share(0.9)} intervals contain {inside} of {len(known)} runs.", said)

    @property
    @override
    def caveats(self) -> tuple[str, ...]:
        censored = int(self.pointwise["error"].isna().sum())
        if not censored:
            return ()
        return (f"{censored} diverged runs have a probability alone, and no error.",)

    @override
    def text_table(self) -> pd.DataFrame:
        rows = {
            name: {"value": _text(value), "meaning": MEANINGS[name]}
            for name, value in self.summary().items()
        }
        found = pd.DataFrame.from_dict(rows, orient="index")
        return found.rename_axis("score")


def _text(value: float) -> str:
    return str(value) if isinstance(value, int) else format_number(value, 4)


def describe_errors(bias: float, rmsle: float) -> str:
    """Describe the mean and the root mean square of log errors, as shares.

    Examples
    --------
    >>> describe_errors(-0.01, 0.02)
    'Observed over predicted median: -1.00 % on average, 2.00 % in the root mean square.'
    """
    return (
        f"Observed over predicted median: {100 * bias:+.2f} % on average, {100 * rmsle:.2f} % in "
        "the root mean square."
    )


def pointwise_scores(
    drawn: NDArray[np.float64],
    observed: NDArray[np.float64],
    elpd: NDArray[np.float64],
    below: NDArray[np.float64],
) -> pd.DataFrame:
    """Return the scores of each run, from draws of its log response, one column per run."""
    drawn = np.sort(drawn, axis=0)
    low, middle, high = np.quantile(drawn, tail_quantiles(0.9), axis=0)
    outside = np.maximum(low - observed, 0.0) + np.maximum(observed - high, 0.0)
    draws = len(drawn)
    order = (2.0 * np.arange(1, draws + 1) - draws - 1.0) / draws**2
    return pd.DataFrame(
        {
            "elpd": elpd,
            "error": observed - middle,
            "pit": below,
            "width_90": high - low,
            "interval_score_90": high - low + 2.0 / 0.1 * outside,
            "crps": np.abs(drawn - observed).mean(axis=0) - order @ drawn,
        }
    )
