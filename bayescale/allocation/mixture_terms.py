"""The arguments of a data mixture: domains, units, weights and limits, checked against fits."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bayescale.errors import CardError, UnsuitableLawError, as_list, did_you_mean, expect_mapping
from bayescale.laws import Law
from bayescale.laws.mixing import shares_of
from bayescale.posterior.named_domains import columns_read
from bayescale.posterior.protocol import Posterior

type Array = NDArray[np.float64]

_ROUNDING = 1e-9


def domain_names(
    sources: Mapping[str, Posterior], given: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, list[int]]]:
    """Return the names of the domains, and their places among the inputs of each source.

    Domains of different fits are matched by the columns that they were read from. The names are
    those of the first fit whose columns are known, unless given in the order of its inputs.

    Raises
    ------
    UnsuitableLawError
        If a law is not one of mixtures, the numbers of domains differ, or a column is one domain
        of one fit and another of the next, which has other columns too.
    CardError
        If the number of given names is not that of the domains, or names are repeated.
    """
    counts = {name: _domains(name, source.law) for name, source in sources.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} of {count}" for name, count in counts.items())
        raise UnsuitableLawError(f"fits: found laws of different numbers of domains ({said}).")
    columns = {
        name: columns_read(source.runs, list(source.columns.values()))
        for name, source in sources.items()
    }
    inputs = next(iter(sources.values())).law.inputs
    known = (name for name, own in columns.items() if own != inputs)
    first = next(known, next(iter(columns)))
    names = tuple(columns[first] if given is None else map(str, as_list(given)))
    if len(names) != len(inputs) or len(set(names)) != len(inputs):
        raise CardError(
            f"domains: found {', '.join(names)}, expected {len(inputs)} different names."
        )
    order = {name: _order(name, own, first, columns[first]) for name, own in columns.items()}
    return names, order


def _order(name: str, own: Sequence[str], first: str, columns: Sequence[str]) -> list[int]:
    """Return the places of the domains of the first fit among the inputs of another."""
    if set(own) == set(columns):
        return [own.index(column) for column in columns]
    for place, column in enumerate(columns):
        if column in own and own.index(column) != place:
            raise UnsuitableLawError(
                f"fits: found the column {column!r} as domain {place + 1} of {first} and as domain "
                f"{own.index(column) + 1} of {name}, whose other columns are not the same. Fit "
                "every text with the domains in one order."
            )
    return list(range(len(columns)))


def _domains(name: str, law: Law) -> int:
    if not law.domains:
        raise UnsuitableLawError(
            f"fits: the law of {name!r}, {law.name}, is not one of mixtures of data. Fit "
            "data-mixing-2 to data-mixing-5, by the number of domains."
        )
    return law.domains


def unit_of_losses(sources: Mapping[str, Posterior]) -> str:
    """Return the unit of the losses, or raise UnsuitableLawError if there are several."""
    units = {name: source.runs.loss_unit for name, source in sources.items() if source.runs}
    if len(set(units.values())) > 1:
        said = ", ".join(f"{name} in {unit}" for name, unit in units.items())
        raise UnsuitableLawError(
            f"fits: found losses in different units ({said}), which have no weighted mean. Fit "
            "every text in one unit."
        )
    return next(iter(units.values()), next(iter(sources.values())).law.response_unit)


def shares_of_runs(
    sources: Mapping[str, Posterior], order: Mapping[str, list[int]]
) -> tuple[Array, Array]:
    """Return the smallest and the largest share of each domain in the runs of every source.

    Without runs, as for published constants, the range is that of all shares.
    """
    low, high = [], []
    for name, source in sources.items():
        if not source.runs:
            continue
        shares = shares_of([source.inputs[source.law.inputs[j]] for j in order[name]])
        low.append(shares.min(axis=1))
        high.append(shares.max(axis=1))
    if not low:
        count = len(next(iter(order.values())))
        return np.zeros(count), np.ones(count)
    return np.max(low, axis=0), np.min(high, axis=0)


def weights_of(given: Mapping[str, float] | None, names: Sequence[str]) -> dict[str, float]:
    """Return weights that sum to one."""
    found = dict.fromkeys(names, 1.0) if given is None else _numbers("weights", given, names)
    if missing := [name for name in names if name not in found]:
        raise CardError(f"weights: found none for {', '.join(missing)}, expected one for each fit.")
    total = sum(found.values())
    if total <= 0.0:
        raise CardError("weights: found zero in all, expected a positive one.")
    return {name: found[name] / total for name in names}


def limits_of_shares(given: Mapping[str, float] | None, names: Sequence[str]) -> dict[str, float]:
    """Return the largest share of each domain."""
    found = dict.fromkeys(names, 1.0) | _numbers("most", given or {}, names)
    if above := [name for name in names if found[name] > 1.0]:
        value = found[above[0]]
        raise CardError(
            f"most: found {value:g} for {above[0]!r}, expected a share of at most 1, such as 0.2 "
            "for 20 per cent."
        )
    if sum(found.values()) < 1.0 - _ROUNDING:
        raise CardError(
            f"most: the shares allowed are {sum(found.values()):g} in all, expected 1 or more."
        )
    return found


def _numbers(what: str, given: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Return non-negative numbers by name, or raise CardError."""
    expect_mapping(given, what, f"{{{names[0]!r}: 0.5}}", CardError)
    for name, value in given.items():
        if name not in names:
            raise CardError(
                f"{what}: found {name!r}, expected one of {', '.join(names)}."
                f"{did_you_mean(str(name), names)}"
            )
        if not isinstance(value, int | float | np.number) or not 0.0 <= value < np.inf:
            raise CardError(f"{what}: found {value!r} for {name!r}, expected a number from 0.")
    return {name: float(value) for name, value in given.items()}
