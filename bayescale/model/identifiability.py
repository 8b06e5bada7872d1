"""Identifiability of a law by a table of runs, checked before sampling."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayescale.data.levels import SAME
from bayescale.data.runs import MEASURED, Runs
from bayescale.errors import RunsError
from bayescale.laws import Law
from bayescale.laws.mixing import shares_of
from bayescale.model.card import Model
from bayescale.model.checks import Check, Status, verdict
from bayescale.model.monotone import response_conflicts
from bayescale.units import WEIGHTS, format_amount, format_number

SAME_RATIO = 0.05
"""Ranges of ln D/N below this count as one ratio, as rounded token counts produce."""

RUNS_PER_SEGMENT = 5
"""Fewest runs per segment, for its slope, break and sharpness."""

UNKNOWNS_PER_BREAK = 3
"""Unknowns of a break: its place, its width, and the slope after it."""

RUNS_PER_UNKNOWN = 2
"""Runs recommended per unknown, and required for laws with breaks, whose segments can interpolate a
few runs exactly."""

HIGH_FLOOR, IMPOSSIBLE_FLOOR = 0.05, 0.5
"""Prior probabilities that a stated floor is above the lowest response: above the first there is a
remark, above the second the check fails."""

LEAST_FACTOR = 4.0
"""Range of an input with a reference of its own, below which its prior determines most."""

LEAST_SHARE = 0.01
"""Range of the share of a domain below which its prior determines the effect of it."""

LEFT_OVER = 3
"""Fewest residual degrees of freedom that separate scatter from lack of fit."""


def check_identifiable(model: Model, runs: Runs) -> None:
    """Raise RunsError for a table that does not identify the model.

    Raises
    ------
    RunsError
        If there are fewer runs than sampled parameters, or than a law with breaks needs; if all
        runs share one size, one number of tokens, or one number of tokens per parameter; or if
        the response does not vary, or varies against the direction of the law.
    """
    for sentence in unidentified(model, runs):
        raise RunsError(
            f"{runs.name}: {sentence} To fit nevertheless, use fit with unidentified='warn' "
            "(bayescale fit --anyway)."
        )


def unidentified(model: Model, runs: Runs, *, observed: bool = True) -> tuple[str, ...]:
    """Return sentences on what a table of runs does not identify at all.

    Parameters
    ----------
    model, runs
        The model, and the runs to fit.
    observed
        Whether the runs have responses; False for a design to be simulated.
    """
    law, columns = model.law, model.columns
    found = [*(response_conflicts(model, runs) if observed else ()), *_too_few(model, runs)]
    if law.takes_size_and_tokens:
        ratio = runs.column(columns["n_tokens"]) / runs.column(columns["n_params"])
        if _span(ratio) < SAME_RATIO:
            found.append(
                f"Every run has about {format_number(float(np.median(ratio)))} "
                "tokens per parameter. Along one ratio the size term and the data term are two "
                "power laws in the same variable, so their exponents and the optimum are not "
                "identified. Add runs well above and below that ratio."
            )
    for name, column in columns.items():
        values = runs.column(column)
        if _span(values) < SAME and name not in law.fixed_reference:
            found.append(
                f"Every run has {column} = {format_amount(column, float(values[0]))}, so its "
                "effect cannot be separated from the floor. Add runs at other values."
            )
    return tuple(found)


def runs_needed(model: Model) -> int:
    """Return the minimal number of runs of a model."""
    breaks = model.law.breaks
    return _runs_of_segments(breaks, model.n_free) if breaks else model.n_free


def _runs_of_segments(breaks: int, unknown: int) -> int:
    return max(RUNS_PER_SEGMENT * (breaks + 1), RUNS_PER_UNKNOWN * unknown)


def _simpler(model: Model, count: int) -> str:
    """Return the law with the most breaks that can be fitted to so many runs."""
    name, breaks = model.law.name, model.law.breaks
    for fewer in range(breaks - 1, 0, -1):
        unknown = model.n_free - UNKNOWNS_PER_BREAK * (breaks - fewer)
        if count >= _runs_of_segments(fewer, unknown):
            return name.replace(f"-{breaks}", f"-{fewer}")
    return "power-law-floor"


def _too_few(model: Model, runs: Runs) -> Iterator[str]:
    needed, breaks = runs_needed(model), model.law.breaks
    if len(runs) >= needed:
        return
    if breaks:
        yield (
            f"Found {len(runs)} runs, expected at least {needed} for the {breaks + 1} segments and "
            f"{model.n_free} parameters of {model.id}: with fewer a segment passes through the "
            f"scatter. Add runs, or fit a simpler law: {_simpler(model, len(runs))}."
        )
        return
    yield (
        f"Found {len(runs)} runs, expected at least {needed}, the number of parameters of "
        f"{model.id}. Add runs."
    )


def design_warnings(model: Model, runs: Runs, *, observed: bool = True) -> tuple[str, ...]:
    """Return sentences on a design that identifies a law only weakly, or not at all."""
    return tuple(check.sentence for check in design_checks(model, runs, observed=observed))


def design_checks(model: Model, runs: Runs, *, observed: bool = True) -> tuple[Check, ...]:
    """Return checks of a design, which fail where a parameter is not identified."""
    law, against = model.law, unidentified(model, runs, observed=observed)
    found = [_check("identified", sentence, "failed") for sentence in against]
    if observed and not found:
        found += _left_over(model, runs)
    if observed:
        found += _floor(model, runs)
    if model.columns.keys() <= WEIGHTS:
        found += _shares(model, runs)
    for name, column in model.columns.items():
        if name in WEIGHTS:
            continue
        values = runs.column(column)
        distinct, decades = count_distinct(values), _decades(values)
        if name in law.fixed_reference:
            found += _fixed(law, name, column, values)
            continue
        if distinct < 5:
            found.append(
                _check(
                    f"values of {column}",
                    f"Only {distinct} distinct values of {column}: its exponent depends on few "
                    "points and on its prior.",
                    statistic=distinct,
                )
            )
        # Laws of a loss use its differences, so that its range in decades does not matter.
        if decades < 1 and column not in MEASURED:
            found.append(_narrow(column, decades, "its exponent is weakly determined"))
    if law.takes_size_and_tokens:
        size, tokens = (runs.column(model.columns[name]) for name in ("n_params", "n_tokens"))
        decades = _decades(size * tokens)
        if decades < 1:
            found.append(
                _narrow("compute", decades, "the floor and extrapolations depend on the priors")
            )
    found += [_check("noise", sentence) for sentence in model.noise.warnings(runs)]
    if law.takes_size_and_tokens:
        spread = _span(tokens / size)
        if spread < np.log(4):
            found.append(
                _check(
                    "tokens per parameter",
                    "Tokens per parameter vary by a factor "
                    f"{format_number(float(np.exp(spread)), 2)} only: size and data effects are "
                    "hard to separate.",
                    statistic=spread,
                )
            )
    return tuple(found)


def _fixed(law: Law, name: str, column: str, values: NDArray[np.float64]) -> list[Check]:
    """Return a check that an input with a reference of its own varies enough to be informative."""
    span = _span(values)
    if span >= np.log(LEAST_FACTOR):
        return []
    known = " and ".join(law.identifies.get(name, ()))
    if span < SAME:
        said = f"Every run has {column} = {format_amount(column, float(values[0]))}: " + (
            f"{known} are not known from these runs, but determined by the prior alone."
            if known
            else "its effect is determined by the prior alone."
        )
    else:
        said = (
            f"Values of {column} vary by a factor {format_number(float(np.exp(span)), 2)} only: "
            f"{known or 'its effect'} {'depend' if known else 'depends'} mostly on the prior."
        )
    return [_check(column, said, statistic=span)]


def _shares(model: Model, runs: Runs) -> list[Check]:
    """Return checks that the shares of a mixture vary in every direction."""
    shares = shares_of([runs.column(column) for column in model.columns.values()]).T
    spans = np.ptp(shares, axis=0)
    found = [
        _check(
            column,
            f"Every run has {mean:.0%} of {column}: how the loss changes with its share is "
            "determined by the prior alone.",
            statistic=span,
        )
        for column, mean, span in zip(
            model.columns.values(), shares.mean(axis=0), spans, strict=True
        )
        if span < LEAST_SHARE
    ]
    # Shares sum to one, so that the last singular value is always zero.
    rest = np.linalg.svd(shares - shares.mean(axis=0), compute_uv=False)[:-1]
    if not found and (len(rest) < shares.shape[1] - 1 or rest.min() < LEAST_SHARE):
        found.append(
            _check(
                "shares",
                "The shares of some domains change together in all runs: which of them changes "
                "the loss is determined by the prior alone. Add mixtures that tell them apart.",
                statistic=float(rest.min()),
            )
        )
    return found


def _left_over(model: Model, runs: Runs) -> list[Check]:
    """Return a check of the residual degrees of freedom, counted in distinct settings."""
    settings, unknown = count_settings(model, runs), len(model.priors)
    left = settings - unknown
    status = verdict(failed=left < LEFT_OVER, remark=len(runs) < RUNS_PER_UNKNOWN * model.n_free)
    if status == "passed":
        return []
    of_runs = f"{len(runs)} runs" + (f" of {settings} settings" if settings < len(runs) else "")
    said = f"There are {of_runs} for {model.n_free} unknowns, {unknown} of them of the law: " + (
        "the law can interpolate them, so they do not test it. Add runs, or fit a simpler law."
        if status == "failed"
        else "they hardly test the law, and the noise scale depends on its prior."
    )
    return [_check("runs", said, status, left)]


def _floor(model: Model, runs: Runs) -> list[Check]:
    """Return a check that a stated floor lies below every response, and is in its unit."""
    if model.floor is None:
        return []
    response = model.law.response
    read = runs.reading.columns if runs.reading else ()
    converted = [column for column in read if column.name == response and column.conversion]
    lowest = float(runs.column(response).min())
    above = model.floor.above(lowest)
    status = verdict(failed=above > IMPOSSIBLE_FLOOR, remark=above > HIGH_FLOOR)
    if status == "passed":
        return [
            _check(
                "floor",
                f"The stated floor, {model.floor}, is in {column.base}, as {response} is after its "
                f"conversion from {column.unit} by {column.conversion}: state it in that unit.",
                "remark",
                above,
            )
            for column in converted
        ]
    said = (
        f"The stated floor, {model.floor}, is above the lowest {response} of the runs, "
        f"{format_number(lowest, 4)}, with probability {format_number(above, 2)}: under the law "
        f"every {response} is above the floor. Check that both are in the same unit and of the "
        "same evaluation set, or lower the floor."
    )
    return [_check("floor", said, status, above)]


def count_settings(model: Model, runs: Runs) -> int:
    """Return the number of distinct settings of the law's inputs."""
    inputs = {name: runs.column(column) for name, column in model.columns.items()}
    logs = [np.log(x) for x in model.law.comparable(inputs).values()]
    return len(np.unique(np.round(np.stack(logs, axis=1) / SAME), axis=0))


def _narrow(what: str, decades: float, so: str) -> Check:
    said = f"The values of {what} span {decades:.1f} decades, less than one: {so}."
    return _check(f"range of {what}", said, statistic=decades)


def _check(name: str, sentence: str, status: Status = "remark", statistic: float = np.nan) -> Check:
    return Check(name=name, status=status, statistic=statistic, sentence=sentence)


def count_distinct(values: NDArray[np.float64]) -> int:
    """Return the number of distinct amounts, with relative tolerance `SAME`.

    Values so dense that each equals the next, over a range wider than jitter, count as many as
    fit in the range.
    """
    logs = np.sort(np.log(values))
    chains = np.split(logs, np.flatnonzero(np.diff(logs) > SAME) + 1)
    return int(sum(1 + np.ptp(chain) // (2.0 * SAME) for chain in chains))


def _decades(values: NDArray[np.float64]) -> float:
    """Return the number of decades that values span, rounded as it is shown."""
    return round(_span(values) / float(np.log(10)), 1)


def _span(values: NDArray[np.float64]) -> float:
    return float(np.ptp(np.log(values)))
