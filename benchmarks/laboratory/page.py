"""The page of the laboratory's laws: docs/laboratory.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale.units import format_count
from benchmarks.laboratory.pooled import KINDS, MORE
from benchmarks.laboratory.tables import CASES, CORPORA, FEW, SEED
from benchmarks.public_tables import markdown

PAGE = Path(__file__).parents[2] / "docs" / "laboratory.md"

_FIT = ("sigma", "R-hat", "ESS", "seconds", "gates and checks")
_NEW = (
    *("law", "pooling", "new corpora", "RMSE", "90 % coverage", "width", "gates passed"),
    "seconds per fit",
)
_BATCH = ("runs", "N", "loss", "B_crit measured, tokens", "B_crit of the law, tokens", "overlap")
_RECOVERY = (
    *("law", "simulations", "sds between corpora inside", "other parameters inside"),
    *("lowest p of uniform ranks", "ranked along a chain", "seconds each"),
)


def page_of(
    fits: Mapping[str, Mapping[str, Any]],
    critical: Sequence[Mapping[str, Any]],
    recoveries: Mapping[str, Mapping[str, Any]],
) -> str:
    """Return the page."""
    return "\n".join(
        [
            "# Every law, pooled over corpora, on the laboratory's runs",
            "",
            "Made by `make laboratory-laws TABLES=folder` "
            f"(bayescale {bs.__version__.split('+')[0]}, seed {SEED}); do not edit.",
            "",
            "The dataset `laboratory` has small transformers trained on bytes of three corpora. "
            "Each law is fitted to them with floors and scales partially pooled over corpora "
            "(`Model.pool`). The runs are one of each standard setting, and more where the law has "
            "more inputs: batch sizes for `kaplan-ns`, repeated tokens for `data-constrained`, all "
            "seeds of one size along tokens for laws of one variable. Rows with `not run` are "
            "filled in when the command resumes from its store. Standard deviations are of "
            "logarithms. Seconds are of one CPU, and include compilation where a model is the "
            "first of its kind.",
            "",
            table(
                ("law", "runs", "pooled", "sd between corpora, 90 %", *_FIT),
                [fitted_row(c.card, c.of, fits.get(f"all {c.card}", {})) for c in CASES],
            ),
            "",
            "## A new corpus from five small runs",
            "",
            f"Of one corpus the {FEW} smallest settings are fitted, and the larger half of its "
            "runs is predicted: with partial pooling over the other two corpora, separately, and "
            "with complete pooling. RMSE and width are of log loss, averaged over the corpora "
            "that are named; coverage is the share of larger runs inside 90 % intervals. Fitted "
            "separately, five runs are fewer than the parameters of most laws, so the priors "
            "dominate.",
            "",
            table(_NEW, [new_row(case.card, kind, fits) for case in CASES for kind in KINDS]),
            "",
            "## Two groupings, and correlated effects",
            "",
            table(
                ("groups", "runs", "sds and correlation, 90 %", *_FIT),
                [more_row(name, fits.get(f"more {name}", {})) for name in MORE],
            ),
            "",
            *batch_section(*critical),
            *recovery_section(recoveries),
            "",
        ]
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; rows that state why there is no result are padded with empty cells."""
    full = [[*row, *[""] * (len(header) - len(row))] for row in rows]
    return markdown(pd.DataFrame(full, columns=list(header)))


def fitted_row(card: str, of: Sequence[str], facts: Mapping[str, Any]) -> list[str]:
    return [f"`{card}`", str(facts.get("runs", "")), ", ".join(of), *fit_cells(facts)]


def more_row(name: str, facts: Mapping[str, Any]) -> list[str]:
    return [name, str(facts.get("runs", "")), *fit_cells(facts)]


def fit_cells(facts: Mapping[str, Any]) -> list[str]:
    """Return the standard deviations, noise, convergence, seconds and failed checks of a fit."""
    if "values" not in facts:
        return [failure(facts)]
    values = facts["values"]
    shown = {
        name.removeprefix("sd_"): ends
        for name, ends in values.items()
        if name.startswith(("sd_", "correlation"))
    }
    failures = " ".join(facts["said"]) or "all passed"
    return [
        "<br>".join(f"{name} {interval(ends)}" for name, ends in shown.items()),
        f"{values['sigma'][0]:.4f}",
        f"{facts['r_hat']:.3f}",
        f"{facts['ess']:.0f}",
        f"{facts['seconds']:.0f}",
        failures,
    ]


def new_row(card: str, kind: str, fits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    found = {corpus: fits.get(f"new {card} {corpus} {kind}", {}) for corpus in CORPORA}
    # Only corpora with results for every pooling, so that the rows of a law are comparable.
    every = [c for c in CORPORA if all(f"new {card} {c} {other}" in fits for other in KINDS)]
    scored = [found[corpus] for corpus in every if "rmsle" in found[corpus]]
    if not scored:
        return [f"`{card}`", kind, failure(found[CORPORA[0]])]

    def mean(name: str) -> float:
        return float(np.mean([facts[name] for facts in scored]))

    return [
        f"`{card}`",
        kind,
        ", ".join(corpus for corpus in every if "rmsle" in found[corpus]),
        f"{mean('rmsle'):.3f}",
        f"{mean('coverage_90'):.2f}",
        f"{mean('width_90'):.3f}",
        f"{sum(facts['gates'] for facts in scored)} of {len(scored)}",
        f"{mean('seconds'):.1f}",
    ]


def batch_section(ours: Mapping[str, Any], public: Mapping[str, Any]) -> list[str]:
    """Return the section of the critical batch."""
    rows = [row for facts in (ours, public) for row in batch_rows(facts)]
    return [
        "## The critical batch",
        "",
        "In Kaplan's L(N, S), B_crit is a power of the loss. It is measured directly from the "
        "tokens that a batch size B needs to reach a fixed loss, E_min (1 + B / B_crit), fitted to "
        "the run with the best learning rate at each batch size, from the batch size that needs "
        "the fewest tokens on. Intervals are 90 %; those of the measurement include the scatter "
        "between seeds. The last column states whether the intervals overlap.",
        "",
        f"`kaplan-ns` is fitted to each of two corpora, {ours.get('runs')} runs of the laboratory "
        f"({gates_of(ours)}), with a prior of B_crit of about 500 tokens within a factor of 12, "
        f"and with its shipped priors to {public.get('runs')} runs of `steplaw` "
        f"({gates_of(public)}). `critical_batch` is of other models on other text: its "
        "measurements are points without intervals, and the law of the `steplaw` fit is evaluated "
        "at their losses.",
        "",
        table(_BATCH, rows),
        "",
        "Runs of one batch size do not identify B_crit; the check `batch_tokens` of such a fit "
        "names B_star and alpha_B.",
        "",
    ]


def batch_rows(facts: Mapping[str, Any]) -> list[list[str]]:
    return [batch_row(row) for row in facts.get("rows", ())] or [[failure(facts)]]


def batch_row(row: Mapping[str, Any]) -> list[str]:
    low, middle, high = row["critical"]
    below, by_law, above = row["law"]
    point = np.isnan(low)
    inside = below <= middle <= above if point else low <= above and below <= high
    measured = format_count(middle)
    if not point:
        measured += f" [{format_count(low)}, {format_count(high)}]"
    size = "" if np.isnan(row["n_params"]) else format_count(row["n_params"])
    law = f"{format_count(by_law)} [{format_count(below)}, {format_count(above)}]"
    return [row["name"], size, f"{row['loss']:.2f}", measured, law, "yes" if inside else "no"]


def recovery_section(recoveries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [recovery_row(case.card, recoveries.get(case.card, {})) for case in CASES]
    return [
        "## Recovery by simulation",
        "",
        "How many 90 % intervals contain the true parameters, by simulation-based calibration on "
        "this design: parameters are drawn from the prior, runs are simulated from them, and the "
        "law is fitted to these. Fits are short; where their draws remain too autocorrelated, the "
        "truth is ranked along a reversible chain.",
        "",
        table(_RECOVERY, rows),
    ]


def recovery_row(card: str, facts: Mapping[str, Any]) -> list[str]:
    if "groups" not in facts:
        return [f"`{card}`", failure(facts)]
    return [
        f"`{card}`",
        str(facts["simulations"]),
        share(*facts["groups"]),
        share(*facts["others"]),
        f"{facts['least_p']:.3f}",
        str(facts["along_chain"]),
        f"{facts['seconds']:.1f}",
    ]


def share(some: int, of: int) -> str:
    return f"{some} of {of} ({some / of:.2f})"


def interval(ends: Sequence[float]) -> str:
    middle, low, high = ends
    return f"{middle:.2g} [{low:.2g}, {high:.2g}]"


def gates_of(facts: Mapping[str, Any]) -> str:
    return "all gates passed" if facts.get("gates") else "**failed its gates**"


def failure(facts: Mapping[str, Any]) -> str:
    """Return why there is no result, in one line."""
    return str(facts.get("refused", facts.get("status", "not run"))).split("\n")[0]
