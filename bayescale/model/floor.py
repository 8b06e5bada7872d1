"""Stated floors: priors on the irreducible response itself, in its own unit."""

from numbers import Real

from bayescale.errors import CardError, quoted
from bayescale.laws import Law
from bayescale.model.priors import LogNormal, check_prior

KNOWN = 0.001
"""Standard deviation of the log of a floor that is treated as known: below the noise of most runs,
and wide enough for NUTS."""


def assumed_floor(value: float, sd: float | None = None, *, why: str) -> LogNormal:
    """Return a prior on a floor, about a value in the unit of the response.

    Parameters
    ----------
    value
        The floor; its median.
    sd
        Its standard deviation, in the same unit; 0.1 % of the value unless given, which is as good
        as known.
    why
        The reason.
    """
    for name, given in (("floor", value), ("sd of the floor", sd)):
        if given is not None and not _is_positive(given):
            raise CardError(f"{name}: found {quoted(given)}, expected a positive number.")
    return LogNormal(median=value, log_sd=KNOWN if sd is None else sd / value, why=why)


def _is_positive(number: object) -> bool:
    return isinstance(number, Real) and float(number) > 0.0


def check_floor(law: Law, floor: object) -> None:
    """Raise CardError unless this is a prior on the floor of a law, in the response's own unit."""
    example = 'bs.LogNormal(median=1.7, log_sd=0.05, why="...")'
    floor = check_prior("floor", floor, expected=f"a prior, such as {example}")
    if not law.floor:
        raise CardError(
            f"floor: found {floor}, but the law {law.name} has no parameter that is a floor. "
            "Leave it out, or choose a law with a floor."
        )
    if not law.scale_free:
        raise CardError(
            f"floor: found {floor}, but the priors of the law {law.name} are on its own "
            f"parameters. State it as priors.{law.floor}."
        )
    if floor.relative_to:
        raise CardError(
            f"floor: found relative_to = {quoted(floor.relative_to)}, expected nothing: a floor is "
            f"stated in the unit of the {law.response} of the runs."
        )
    if floor.support == "unit" or floor.lower > 0.0:
        bound = "1" if floor.support == "unit" else f"{floor.lower:g}"
        raise CardError(
            f"floor: found {floor}, which ends at {bound}; expected a prior over all positive "
            "values, such as lognormal, since NUTS cannot sample a floor up to a hard bound."
        )
