"""Checks of grouping factors: columns whose levels explain residuals, unused or pooled in part."""

import json
import re
import shlex
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayescale.data.levels import SAME
from bayescale.errors import listed
from bayescale.model.checks import Check
from bayescale.model.unused_columns import pooled_cards
from bayescale.posterior.criticism import BY_CHANCE, MOSTLY, Scores, orthonormal
from bayescale.posterior.fitted import FittedModel
from bayescale.units import percent

KINDS = ("family", "corpus", "dataset", "tokenizer", "tokeniser", "arm", "counting", "recipe")
"""Columns whose levels are different experiments, and which are always reported."""

_FAMILY = "family"
_BARE = re.compile(r"[A-Za-z0-9_-]+")
"""Names that TOML takes as keys without quotes."""

_MOST_LEVELS, _FEWEST_RUNS = 20, 2.5
_NOTABLE = 0.1
"""Explained share of the residual variance below which a column is ignored, even if significant."""


def check_columns(fit: FittedModel, scores: Scores) -> tuple[Check, ...]:
    """Check columns of levels: those that explain residuals, and unused ones of `KINDS`.

    Normal scores of the residuals are compared between levels after projecting out a smooth
    pattern in the inputs. A column is significant if its p-value, with a Bonferroni correction
    over columns, is below `BY_CHANCE`; it fails if it also explains most of the variance.
    """
    columns = list(_candidates(fit))
    if not columns:
        return ()
    smooth = scores.smooth()
    rest = scores.without(smooth)
    found = []
    for column, codes in columns:
        of_level = np.eye(int(codes.max()) + 1)[codes[scores.kept]]
        between = of_level - smooth @ (smooth.T @ of_level)
        if np.linalg.norm(between) < 1e-6:
            continue
        pooled = _pooled_over(fit, column)
        basis = orthonormal(between)
        chance, share = rest.explained(basis)
        labels = sorted(set(fit.runs.table[column].map(str)))
        levels = f"{len(labels)} levels of {column} ({', '.join(labels[:4])}"
        levels += ", ..." if len(labels) > 4 else ""
        levels += ")"
        if chance * len(columns) < BY_CHANCE and share > _NOTABLE:
            before, after = _spreads(scores, codes[scores.kept])
            how = f"differ in {listed(pooled)} alone" if pooled else "are fitted as one"
            said = (
                f"The {levels} {how}, but explain {percent(share)} of the scatter "
                f"(p-value {chance:.1g}): within a level residuals have a standard deviation of "
                f"{percent(after)} rather than {percent(before)}. {_advice(fit, column)}"
            )
            status = "failed" if share > MOSTLY else "remark"
            found.append(Check(name=column, status=status, statistic=chance, sentence=said))  # type: ignore[arg-type]
        elif column.lower() in KINDS and not pooled:
            said = f"The {levels} are fitted as one. {_advice(fit, column)}"
            found.append(Check(name=column, status="remark", statistic=chance, sentence=said))
    return tuple(found)


def _candidates(fit: FittedModel) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield columns with few levels, and the codes of the levels of the runs.

    A column over which the model pools some parts of the law is one of them: the levels may differ
    in others. Columns whose levels are ranges of an input, such as names of sizes, are left out:
    differences between them are a pattern in that input.
    """
    table, model = fit.runs.table, fit.model
    used = {*fit.columns.values(), fit.response, *model.grouped_and_noted}
    used |= {part for pooling in model.pooling for part in pooling.over.split("+")}
    used -= {pooling.over for pooling in model.pooling}
    amounts = [np.log(values) for values in fit.inputs.values()]
    if fit.law.takes_size_and_tokens:
        size, tokens = amounts
        amounts += [size + tokens, tokens - size]
    for column in map(str, table.columns):
        if column in used or column in ("n_params", "n_tokens", "compute", "loss"):
            continue
        labels, codes = np.unique(table[column].map(str).astype(object), return_inverse=True)
        if not 2 <= len(labels) <= min(_MOST_LEVELS, len(table) / _FEWEST_RUNS):
            continue
        if not any(_is_range(codes, along) for along in amounts):
            yield column, codes


def _is_range(codes: NDArray[np.int64], along: NDArray[np.float64]) -> bool:
    """Return whether the levels are disjoint ranges of a variable."""
    order = np.lexsort((codes, np.round(along / SAME)))
    return int(np.count_nonzero(np.diff(codes[order]))) == int(codes.max())


def _spreads(scores: Scores, codes: NDArray[np.int64]) -> tuple[float, float]:
    """Return the standard deviation of the residuals, overall and within levels."""
    middle = np.median(scores.residuals, axis=0)
    counts = np.bincount(codes)
    means = np.bincount(codes, middle) / np.maximum(counts, 1)
    return float(middle.std()), float(np.sqrt(np.mean((middle - means[codes]) ** 2)))


def _pooled_over(fit: FittedModel, column: str) -> list[str]:
    """Return the parts of the law that differ between the levels of a column."""
    return [pooling.of for pooling in fit.model.pooling if pooling.over == column]


def _advice(fit: FittedModel, column: str) -> str:
    pooled, cards = _pooled_over(fit, column), pooled_cards(fit.model)
    others = [of for of in (fit.law.floor, fit.response) if of and of not in pooled]
    if pooled and not others:
        return "Let more parts of the law differ between them, or fit the runs of one level."
    if pooled or not cards:
        of = others[0]
        key = column if _BARE.fullmatch(column) else json.dumps(column)
        call = f"model.pool({json.dumps(column)}, of=[{json.dumps(of)}])"
        too, option = (" too", ",".join((*pooled, of))) if pooled else ("", of)
        return (
            f"Let {of} differ between them{too}: {call} (--pool {column}={option}), or "
            f"[pooling.{of}.{key}] in the card."
        )
    if column == _FAMILY:
        return f"Fit {' or '.join(cards)}, or the runs of one level."
    option = shlex.quote(f"{_FAMILY}={column}")
    return (
        f"Fit {' or '.join(cards)}, reading the runs with columns={{{_FAMILY!r}: {column!r}}} "
        f"(--column {option}), or fit the runs of one level."
    )
