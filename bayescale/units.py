"""Parse and format amounts such as "70B", "1.4T tokens" or "100 PF-days".

Internally every amount is a float in base units: parameters, tokens, FLOP, FLOP/s, days.
"""

import math
import re
from collections.abc import Iterable
from numbers import Real
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayescale.errors import AmountError, quoted

type Quantity = Literal["count", "items", "compute", "rate", "money", "weight", "share"]
type Amount = float | str

SMALLEST, LARGEST = 1e-100, 1e100
"""Limits on amounts; beyond them, products would overflow."""

WEIGHTS = frozenset(f"domain_{j}" for j in range(1, 6))
"""Weights of the domains of a mixture of training data, of which some may be zero."""

ITEMS = frozenset({"n_experts", "n_active_experts", "granularity", "n_steps", "max_steps"})
ITEMS |= {"batch_tokens", "n_unique_tokens"}
"""Amounts of at least one, as counts of things that every run has."""

_QUANTITIES: dict[str, Quantity] = {
    **dict.fromkeys(WEIGHTS, "weight"),
    **dict.fromkeys(ITEMS, "items"),
    **{"activation_ratio": "share", "compute": "compute"},
}
"""What the amounts of columns are, where not a count of any size."""

_LEAST_WEIGHT = 1e-12
"""What a weight of zero is read as, so that it has a logarithm; `is_zero` tells it."""

SECONDS_PER_DAY = 86_400.0
PF_DAY = 1e15 * SECONDS_PER_DAY
"""One petaFLOP/s sustained for a day, in FLOP: 8.64e19 (Kaplan et al. 2020)."""

_SHORT_SCALE = {"": 0, "k": 3, "m": 6, "b": 9, "g": 9, "t": 12}
_SI = {"": 0, "k": 3, "m": 6, "g": 9, "t": 12, "p": 15, "e": 18, "z": 21, "y": 24}
"""Power of ten of each SI prefix."""

_COUNT_NOUNS = "param|params|parameter|parameters|token|tokens|tok|step|steps|day|days|gpu|gpus"

_NUMBER = (
    r"(?P<number>[+-]?(?:\d{1,3}(?:(?:,\d{3})+|(?:_\d{3})+|(?:[ '\u2019]\d{3})+)|\d+)?"
    r"(?:\.\d*)?(?:e[+-]?\d+)?)"
)
_GROUPS = str.maketrans("", "", ",_ '\u2019")
CURRENCIES = "$€£"
"""Signs of currencies; an amount with one is an amount of money."""

_NARROW_SPACES = str.maketrans(dict.fromkeys("\u00a0\u202f\u2009", " "))
_SUPERSCRIPTS = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b", "0123456789-"
)
_TIMES_TEN = re.compile(
    r"\s*[x*\u00d7\u00b7]\s*10"
    r"(?:(?:\^|\*\*)\{?([+-]?\d+)\}?|([\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207b]+))"
)
_WORDS = {"thousand": "k", "million": "m", "billion": "b", "trillion": "t"}
_WORD = re.compile(r"(?<=[\d\s])(thousand|million|billion|trillion)s?\b")
_BY_THOUSANDS = ("count", "items", "money", "weight", "share")
"""Quantities with suffixes K, M, B and T."""

_PATTERNS = {
    "count": re.compile(rf"{_NUMBER}\s*(?P<prefix>[kmbgt]?)\s*(?:{_COUNT_NOUNS})?"),
    "compute": re.compile(
        rf"{_NUMBER}\s*(?P<prefix>[kmgtpezy]?)(?:\s*(?P<unit>flops?(?:/s)?-?days?|f(?:/s)?-days?|flops?))?"
    ),
    "rate": re.compile(rf"{_NUMBER}\s*(?P<prefix>[kmgtpe]?)(?P<unit>flops?/s)?"),
    "money": re.compile(rf"[{CURRENCIES}]?\s*{_NUMBER}\s*(?P<prefix>[kmbt]?)\s*[{CURRENCIES}]?"),
    "weight": re.compile(
        rf"{_NUMBER}\s*(?:(?P<prefix>[kmbgt]?)\s*(?:{_COUNT_NOUNS})?|(?P<percent>%))"
    ),
}
_PATTERNS |= {"items": _PATTERNS["count"], "share": _PATTERNS["weight"]}
_EXPECTED = {
    "items": 'an amount from 1, such as 8, 500e3 or "2M"',
    "count": 'a positive amount such as 7e9, "70B" or "1.4T"',
    "compute": 'a positive amount of FLOP such as 5.76e23, "5.76e23 FLOP" or "100 PF-days"',
    "rate": 'a positive rate such as 989e12 or "989 TFLOP/s"',
    "money": 'a positive amount of money such as 2.5e6 or "$2.5M"',
    "share": 'a share above 0 and up to 1, such as 0.125 or "12.5 %"',
    "weight": 'a weight from 0, such as 0.25, "25 %" or "1.4T" tokens',
}


def parse_amount(value: object, quantity: Quantity, what: str = "the amount") -> float:
    """Parse one positive amount.

    Parameters
    ----------
    value
        A number, or text: digits with an optional suffix (K, M, B or G, T) for counts and money;
        FLOP, an SI multiple of it, or PF-days for compute; an SI multiple of FLOP/s for rates.
        Case-insensitive. The decimal separator is a point; commas may separate groups of three
        digits if they cannot be decimal commas: in ``"1,234"`` and ``"1,234,567B"``, but not in
        ``"1,234B"``. Spaces, apostrophes and underscores may too, and ``"7 x 10^9"`` is 7e9.
    quantity
        ``"count"`` (parameters, tokens, days), ``"items"`` (experts, steps: from 1),
        ``"compute"``, ``"rate"``, ``"money"``, ``"share"`` (positive and at most 1, or per cent) or
        ``"weight"`` (of a domain in a mixture: a share, per cent or tokens; 0 is read as 1e-12).
    what
        Description of the amount, for error messages.

    Returns
    -------
    float
        The amount in base units (a count, FLOP, FLOP/s, or units of the currency).

    Raises
    ------
    AmountError
        If it cannot be read, is not positive, less than one item or beyond 1e-100 to 1e100, or has
        a comma that may be a decimal comma.

    Examples
    --------
    >>> parse_amount("1.4T tokens", "count")
    1400000000000.0
    >>> parse_amount("100 PF-days", "compute") == 100 * 8.64e19
    True
    """
    number = _read(value, quantity)
    if quantity == "weight" and number == 0.0:
        return _LEAST_WEIGHT
    least = 1.0 if quantity == "items" else SMALLEST
    most = 1.0 if quantity == "share" else LARGEST
    if number is None or not least <= number <= most:
        hint = _comma_hint(value, quantity) if isinstance(value, str) else ""
        raise AmountError(f"{what}: found {quoted(value)}, expected {_EXPECTED[quantity]}.{hint}")
    return number


def _read(value: object, quantity: Quantity) -> float | None:
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, Real):
        try:
            return float(value)
        except OverflowError:
            return None
    if not isinstance(value, str):
        return None
    text = _plain(value)
    if quantity in _BY_THOUSANDS:
        text = _WORD.sub(lambda word: _WORDS[word[1]], text)
    match = _PATTERNS[quantity].fullmatch(text)
    if match is None or not any(c.isdigit() for c in match["number"]):
        return None
    if _may_be_decimal_comma(match):
        return None
    number = match["number"].translate(_GROUPS)
    if quantity in _BY_THOUSANDS:
        return _scaled(number, _power(match))
    unit = match["unit"]
    if match["prefix"] and unit is None:
        return None  # a prefix without a unit, as in "5P"
    scaled = _scaled(number, _SI[match["prefix"]])
    return scaled * SECONDS_PER_DAY if scaled and unit and "day" in unit else scaled


def _power(match: re.Match[str]) -> int:
    """Return the power of ten of a suffix such as B, or of per cent."""
    return -2 if match.groupdict().get("percent") else _SHORT_SCALE[match["prefix"] or ""]


def _plain(text: str) -> str:
    """Return an amount in lower case, with ordinary spaces and ``e7`` for ``x 10^7``."""
    lower = text.strip().lower().translate(_NARROW_SPACES)
    return _TIMES_TEN.sub(
        lambda match: f"e{match[1] or match[2].translate(_SUPERSCRIPTS)}", lower, count=1
    )


def _scaled(number: str, power: int) -> float | None:
    """Return the float nearest to a number times a power of ten: 8.2B is exactly 8.2e9."""
    try:
        return float(number) * 10.0**power if "e" in number else float(f"{number}e{power}")
    except ValueError:
        return None


def _may_be_decimal_comma(match: re.Match[str]) -> bool:
    """Return whether the single comma of a number may be a decimal separator.

    In ``0,125B`` it is, and in ``1,234B`` it may be. A plain ``1,234`` has a thousands separator,
    as has any number with two commas, or with a point as well.
    """
    number = match["number"]
    if "," not in number:
        return False
    scaled = bool(match["prefix"]) or "e" in number
    one_comma = number.count(",") == 1 and "." not in number
    return number.lstrip("+-").startswith("0") or (one_comma and scaled)


def _comma_hint(text: str, quantity: Quantity) -> str:
    """Return an unambiguous spelling of an amount with one comma, if there is one."""
    stripped = text.strip()
    if stripped.count(",") != 1 or len(stripped) > 60:
        return ""
    ways = [stripped.replace(",", "."), stripped.replace(",", "")]
    if not re.search(r"[1-9]\d{0,2},\d{3}(?!\d)", stripped):
        ways = ways[:1]
    readable = [way for way in ways if _read(way, quantity)]
    either = " or ".join(map(repr, readable))
    return f" The comma may be a decimal comma: write {either}." if readable else ""


def parse_amounts(
    values: object, quantity: Quantity, what: str = "the amount"
) -> NDArray[np.float64]:
    """Parse one amount or several into a one-dimensional array."""
    if isinstance(values, str) or not isinstance(values, Iterable) or np.ndim(values) == 0:  # type: ignore[arg-type]
        items: list[object] = [values]
    else:
        items = list(values)
    if not items:
        raise AmountError(f"{what}: found none, expected at least one: {_EXPECTED[quantity]}.")
    return np.array([parse_amount(item, quantity, what) for item in items], dtype=np.float64)


def per_cent_of(text: str) -> float | None:
    """Return the number of a text in per cent, None of any other text.

    >>> per_cent_of("8 %"), per_cent_of("0.08")
    (8.0, None)
    """
    stated = text.strip()
    if not stated.endswith("%") or "_" in stated:
        return None
    try:
        return float(stated.removesuffix("%"))
    except ValueError:
        return None


def read_share(text: str) -> float | None:
    """Return a share that is stated as a fraction or in per cent, None of any other text.

    >>> read_share("8 %"), read_share("0.08")
    (0.08, 0.08)
    """
    if (number := per_cent_of(text)) is not None:
        return number / 100.0
    try:
        return float(text)
    except ValueError:
        return None


def format_count(value: float, digits: int = 3) -> str:
    """Return a count as text with a suffix.

    >>> format_count(7.224e10), format_count(1.4e12), format_count(512.0)
    ('72.2B', '1.40T', '512')
    """
    return _format_scaled(value, ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")), digits)


def format_compute(value: float, digits: int = 3) -> str:
    """Return an amount of compute as text in FLOP.

    >>> format_compute(5.76e23), format_compute(1e21)
    ('5.76e23 FLOP', '1e21 FLOP')
    """
    return f"{format_scientific(value, digits)} FLOP"


def quantity_of(column: str) -> Quantity:
    """Return what amounts of a column of runs are: compute, a weight, a share, items, or a count.

    >>> quantity_of("compute"), quantity_of("n_params"), quantity_of("n_experts")
    ('compute', 'count', 'items')
    """
    return _QUANTITIES.get(column, "count")


def is_zero(column: str, values: ArrayLike) -> NDArray[np.bool_]:
    """Return which amounts of a column of runs were stated as zero, as weights of domains may be.

    >>> is_zero("domain_1", [0.5, parse_amount(0, "weight")]).tolist()
    [False, True]
    """
    return (np.asarray(values) <= _LEAST_WEIGHT) & (column in WEIGHTS)


def as_stated(column: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return amounts of a column of runs as they were stated, with zero where it was.

    >>> as_stated("domain_1", np.array([0.5, parse_amount(0, "weight")])).tolist()
    [0.5, 0.0]
    """
    return np.where(is_zero(column, values), 0.0, values)


def format_amount(column: str, value: float) -> str:
    """Return an amount of a column of runs.

    >>> format_amount("compute", 1e21), format_amount("n_params", 7e9), format_amount("domain_1", 0)
    ('1e21 FLOP', '7.00B', '0')
    """
    if is_zero(column, value):
        return "0"
    return (format_compute if quantity_of(column) == "compute" else format_count)(value)


_NOUNS = {"n_params": "parameters", "n_tokens": "tokens"}
"""What the amounts of common columns of runs are of."""


def format_amount_of(column: str, value: float) -> str:
    """Return an amount of a column of runs, with its unit or its name.

    >>> format_amount_of("compute", 1e21), format_amount_of("n_params", 7e9)
    ('1e21 FLOP', '7.00B parameters')
    >>> format_amount_of("steps", 3e5)
    'steps = 300K'
    """
    amount = format_amount(column, value)
    if column in _NOUNS:
        return f"{amount} {_NOUNS[column]}"
    return amount if quantity_of(column) == "compute" else f"{column} = {amount}"


def noun_of(column: str) -> str:
    """Return the name of a column or a response in a sentence.

    >>> noun_of("n_tokens"), noun_of("critical_batch"), noun_of("examples")
    ('tokens', 'critical batch', 'examples')
    """
    return _PHRASES.get(column, column)


_PHRASES = _NOUNS | {"critical_batch": "critical batch"}


def format_quantity(column: str, value: float) -> str:
    """Return a value of an amount or of a response: large ones as amounts, others as numbers.

    >>> format_quantity("critical_batch", 1.128e7), format_quantity("loss", 2.27661)
    ('11.3M', '2.277')
    >>> format_quantity("compute", 1e21), format_quantity("learning_rate", 3e-4)
    ('1e21 FLOP', '0.0003000')
    """
    if quantity_of(column) == "count" and abs(value) < _LARGE:
        return format_number(value, 4)
    return format_amount(column, value)


_LARGE = 1e4
"""The least amount that is written with a suffix where small ones are plain numbers."""


def format_budget(value: float, unit: str = "FLOP", digits: int = 3) -> str:
    """Return a budget as text: compute, money, or a user-defined unit.

    >>> format_budget(1e21), format_budget(2.5e6, "$"), format_budget(1200.0, "kWh")
    ('1e21 FLOP', '$2.50M', '1.20K kWh')
    """
    if unit == "FLOP":
        return format_compute(value, digits)
    if len(unit) == 1:
        return format_money(value, unit, digits)
    return f"{format_count(value, digits)} {unit}"


def format_money(value: float, currency: str = "$", digits: int = 3) -> str:
    """Return an amount of money as text: ``$2.50M``."""
    sign = "-" if value < 0 else ""
    return f"{sign}{currency}{format_count(abs(value), digits)}"


def format_days(value: float) -> str:
    """Return a duration as text in days or hours.

    >>> format_days(41.2), format_days(1.04), format_days(0.3)
    ('41 days', '1 day', '7.2 hours')
    """
    if value < 1.0:
        return f"{format_number(24.0 * value, 2)} hours"
    days = format_number(value, 2) if value < 100 else f"{value:,.0f}"
    days = days.removesuffix(".0")
    return f"{days} day{'' if days == '1' else 's'}"


def format_scientific(value: float, digits: int = 3) -> str:
    """Return a number as mantissa and exponent, without padding: ``5.76e23``."""
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def format_share(value: float, decimals: int | None = None) -> str:
    """Return a probability or a share as a percentage, rounded to decimals of the share if given.

    >>> format_share(0.9), format_share(2 / 3, 2)
    ('90 %', '67 %')
    """
    rounded = value if decimals is None else round(float(value), decimals)
    return f"{100 * rounded:g} %"


def percent(share: float) -> str:
    """Return an estimated share as a percentage with two significant digits.

    >>> percent(0.12345), percent(0.00042)
    ('12 %', '0.042 %')
    """
    return f"{format_number(100.0 * share, 2)} %"


def format_number(value: float, digits: int = 3) -> str:
    """Return a number with the given number of significant digits, in fixed notation if possible.

    >>> format_number(18.3912), format_number(92.6474), format_number(1.97444, 4)
    ('18.4', '92.6', '1.974')
    >>> format_number(1.7976e308)
    '1.8e308'
    """
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    magnitude = int(f"{value:.{digits - 1}e}".partition("e")[2])
    if not -4 <= magnitude < 7:
        return format_scientific(value, digits)
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}"


def _format_scaled(value: float, scales: tuple[tuple[float, str], ...], digits: int) -> str:
    if not math.isfinite(value):
        return str(value)
    # Round before choosing the suffix, so that 999.96e6 becomes 1.00B and not 1000M.
    rounded = float(f"{value:.{digits - 1}e}")
    for scale, suffix in scales:
        if abs(rounded) >= scale:
            if rounded / scale >= 1e4:
                return format_scientific(value, digits)
            return f"{format_number(rounded / scale, digits)}{suffix}"
    return format_number(rounded, digits)
