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
    *("law", "pooling", "new corpora", "RMSE", "90 % cover", "width", "gates passed"),
    "seconds a fit",
)
_BATCH = ("runs", "N", "loss", "B_crit measured, tokens", "B_crit by the law, tokens", "overlap")
_RECOVERY = (
    *("law", "simulations", "spreads between corpora inside", "other parameters inside"),
    *("least p of uniform ranks", "ranked along a chain", "seconds each"),
)


def page_of(
    fits: Mapping[str, Mapping[str, Any]],
    critical: Sequence[Mapping[str, Any]],
    recoveries: Mapping[str, Mapping[str, Any]],
) -> str:
    """Return the page."""
    return "\n".join(
        [
            "# Every law pooled, on the laboratory's runs",
            "",
            "Made by `make laboratory-laws TABLES=folder` "
            f"(bayescale {bs.__version__.split('+')[0]}, seed {SEED}); do not edit.",
            "",
            "The dataset `laboratory` has small transformers trained on bytes of three corpora. "
            "Each law is fitted to them with floors and scales that differ between corpora by "
            "partial pooling (`Model.pool`), to one run of each standard setting, and to more "
            "where the law has more inputs: batches for `kaplan-ns`, repeated tokens for "
            "`data-constrained`, all seeds of one size along tokens for laws of one variable. "
            "Rows that say `not run` wait for the command to go on from its store. Spreads are of "
            "logarithms. Seconds are of one processor, with compilation where a "
            "card is the first of its kind.",
            "",
            table(
                ("law", "runs", "pooled", "spread between corpora, 90 %", *_FIT),
                [fitted_row(c.card, c.of, fits.get(f"all {c.card}", {})) for c in CASES],
            ),
            "",
            "## A new corpus from five small runs",
            "",
            f"A corpus is known by its {FEW} least settings alone, and the larger half of its runs "
            "is predicted: with the other two corpora by partial pooling, from its own runs alone, "
            "and as if all corpora were one. RMSE and width are of log loss, averaged "
            "over the corpora that are named; cover is the share of larger runs inside 90 % "
            "intervals. Alone, five runs are fewer than the parameters of most laws, which the "
            "priors then determine.",
            "",
            table(_NEW, [new_row(case.card, kind, fits) for case in CASES for kind in KINDS]),
            "",
            "## Two groupings, and correlated effects",
            "",
            table(
                ("groups", "runs", "spreads and correlation, 90 %", *_FIT),
                [more_row(name, fits.get(f"more {name}", {})) for name in MORE],
            ),
            "",
            *batch_section(*critical),
            *recovery_section(recoveries),
            "",
        ]
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; rows that say why there is no result are filled up with empty cells."""
    full = [[*row, *[""] * (len(header) - len(row))] for row in rows]
    return markdown(pd.DataFrame(full, columns=list(header)))


def fitted_row(card: str, of: Sequence[str], facts: Mapping[str, Any]) -> list[str]:
    return [f"`{card}`", str(facts.get("runs", "")), ", ".join(of), *fit_cells(facts)]


def more_row(name: str, facts: Mapping[str, Any]) -> list[str]:
    return [name, str(facts.get("runs", "")), *fit_cells(facts)]


def fit_cells(facts: Mapping[str, Any]) -> list[str]:
    """Return spreads, scatter, convergence, seconds and what the checks say of a fit."""
    if "values" not in facts:
        return [failure(facts)]
    values = facts["values"]
    shown = {
        name.removeprefix("sd_"): ends
        for name, ends in values.items()
        if name.startswith(("sd_", "correlation"))
    }
    said = " ".join(facts["said"]) or "all passed"
    return [
        "<br>".join(f"{name} {interval(ends)}" for name, ends in shown.items()),
        f"{values['sigma'][0]:.4f}",
        f"{facts['r_hat']:.3f}",
        f"{facts['ess']:.0f}",
        f"{facts['seconds']:.0f}",
        said,
    ]


def new_row(card: str, kind: str, fits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    found = {corpus: fits.get(f"new {card} {corpus} {kind}", {}) for corpus in CORPORA}
    # Only corpora with every kind of pooling, so that the rows of a law compare.
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
        "Kaplan's L(N, S) has B_crit as a power of the loss. Measured directly, it is where steps "
        "and tokens to a fixed loss trade evenly: at a batch B the tokens are E_min (1 + B / "
        "B_crit), fitted to the best learning rate of each batch, from the batch that needs the "
        "fewest on. Intervals are 90 %; those of the measurement have the scatter of seeds. "
        "The column says whether both intervals overlap.",
        "",
        f"`kaplan-ns` is fitted to each of two corpora, {ours.get('runs')} runs of the laboratory "
        f"({gates_of(ours)}), whose prior of B_crit is about 500 tokens within a factor of 12; and "
        f"the card as it ships to {public.get('runs')} runs of `steplaw` ({gates_of(public)}). "
        "`critical_batch` is of other models on other text: there only the measurement's point is "
        "known, and the law is read at its loss.",
        "",
        table(_BATCH, rows),
        "",
        "With one batch size B_crit is not known, and a fit says so: its check `batch_tokens` "
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
        "Parameters drawn from the prior, runs of this very design drawn from them and fitted: how "
        "many 90 % intervals hold the truth, by simulation-based calibration, which samples "
        "briefly, and ranks the truth along a reversible chain where that does not suffice.",
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
