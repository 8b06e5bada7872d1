import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayescale.errors import AmountError
from bayescale.units import (
    ITEMS,
    PF_DAY,
    format_compute,
    format_count,
    format_number,
    format_scientific,
    format_share,
    parse_amount,
    parse_amounts,
    quantity_of,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("70B", 70e9),
        ("70b", 70e9),
        ("7G", 7e9),
        ("1.4T tokens", 1.4e12),
        ("125M params", 125e6),
        ("512k", 512e3),
        ("1,000,000", 1e6),
        ("1_000_000", 1e6),
        ("1,000.5", 1000.5),
        ("  3e9 ", 3e9),
        ("8.2B", 8.2e9),
        ("1.5e3M", 1.5e9),
        (".5B", 5e8),
        (12, 12.0),
        (np.float32(2.0), 2.0),
        (np.int64(7), 7.0),
    ],
)
def test_counts(text, value):
    assert parse_amount(text, "count") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5.76e23", 5.76e23),
        ("5.76e23 FLOP", 5.76e23),
        ("1e21 FLOPs", 1e21),
        ("3 ZFLOP", 3e21),
        ("2EFLOPs", 2e18),
        ("100 PF-days", 100 * PF_DAY),
        ("1 PF-day", PF_DAY),
        ("1 PFLOP/s-day", PF_DAY),
        ("1 petaflop", None),
        ("5P", None),
        (1e24, 1e24),
    ],
)
def test_compute(text, value):
    if value is None:
        with pytest.raises(AmountError):
            parse_amount(text, "compute")
    else:
        assert parse_amount(text, "compute") == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "quantity", "written"),
    [
        ("0,125B", "count", "'0.125B'"),
        ("0,576e24", "compute", "'0.576e24'"),
        ("0,125", "count", "'0.125'"),
        ("0,125,000B", "count", ""),
        ("1,234B", "count", "'1.234B' or '1234B'"),
        ("1,234e18", "compute", "'1.234e18' or '1234e18'"),
        ("1,234 PF-days", "compute", "'1.234 PF-days' or '1234 PF-days'"),
        ("1,979 TFLOP/s", "rate", "'1.979 TFLOP/s' or '1979 TFLOP/s'"),
        ("$1,250M", "money", "'$1.250M' or '$1250M'"),
        ("2,5B", "count", "'2.5B'"),
    ],
)
def test_a_comma_that_may_be_decimal_is_refused_with_how_to_write_it(text, quantity, written):
    with pytest.raises(AmountError) as refused:
        parse_amount(text, quantity)
    assert str(refused.value).startswith(f"the amount: found {text!r}, expected a positive")
    hint = f" The comma may be a decimal comma: write {written}." if written else "."
    assert str(refused.value).endswith(hint)


@pytest.mark.parametrize(
    ("text", "quantity", "value"),
    [
        ("1,234,567B", "count", 1234567e9),
        ("1,234.5B", "count", 1234.5e9),
        ("1,234", "count", 1234.0),
        ("1,234 tokens", "count", 1234.0),
        ("1,234 FLOP", "compute", 1234.0),
        ("$12,500", "money", 12500.0),
    ],
)
def test_thousands_that_cannot_be_decimals_are_read(text, quantity, value):
    assert parse_amount(text, quantity) == pytest.approx(value, rel=1e-15)


@given(
    st.integers(0, 999),
    st.integers(0, 999),
    st.sampled_from(["", "k", "M", "B", "T", "e9"]),
)
def test_no_comma_changes_an_amount_by_a_thousand(whole, rest, suffix):
    """A number with one comma is read as thousands without a suffix, or refused."""
    try:
        found = parse_amount(f"{whole},{rest:03d}{suffix}", "count")
    except AmountError:
        return
    assert not suffix and whole
    assert found == 1000 * whole + rest


def test_long_amounts_are_not_echoed():
    for long in ("9" * 5000, "x" * 10**5, 10**5000, "1," * 10**5):
        with pytest.raises(AmountError) as refused:
            parse_amount(long, "count")
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "wrong",
    [
        "", " ", "B", "lots", "1.2.3", "1,00", "1,4T", "--3", "-3", "0", "0B", "nan", "inf", "1e999",
        "70BB", "70 GB", "1_5b", "1_", "1_0000", "1__000", "1_000,000", 0, -1, math.nan, math.inf, None, True, [], {}, 1j,
    ],
    ids=repr,
)  # fmt: skip
def test_nonsense_is_refused(wrong):
    with pytest.raises(AmountError, match="the budget: found .*, expected a positive amount"):
        parse_amount(wrong, "count", "the budget")


@pytest.mark.parametrize("column", sorted(ITEMS))
def test_there_is_at_least_one_of_an_item(column):
    assert parse_amount("1", quantity_of(column)) == 1.0
    assert parse_amount("0.5K", quantity_of(column)) == 500.0
    with pytest.raises(AmountError, match="found 0.5, expected an amount from 1"):
        parse_amount(0.5, quantity_of(column))


def test_a_share_is_positive_and_at_most_one():
    quantity = quantity_of("activation_ratio")
    assert [parse_amount(x, quantity) for x in (1, 0.125, "12.5 %", "1e-3")] == [
        *(1.0, 0.125, 0.125, 1e-3)
    ]
    for wrong in (0, -0.1, 1.01, "101 %", "8", "12,5 %", "most"):
        with pytest.raises(AmountError, match="expected a share above 0 and up to 1"):
            parse_amount(wrong, quantity)


def test_one_or_several():
    assert parse_amounts("1e21", "compute").tolist() == [1e21]
    assert parse_amounts([1e21, "100 PF-days"], "compute").tolist() == [1e21, 8.64e21]
    assert parse_amounts(np.array([1.0, 2.0]), "count").tolist() == [1.0, 2.0]
    assert parse_amounts(np.float64(3.0), "count").tolist() == [3.0]
    with pytest.raises(AmountError, match="found none"):
        parse_amounts([], "compute")
    with pytest.raises(AmountError):
        parse_amounts([1e21, "much"], "compute")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7.224e10, "72.2B"),
        (1.4e12, "1.40T"),
        (999.96e6, "1.00B"),
        (1e9, "1.00B"),
        (512.0, "512"),
        (3.1e17, "3.1e17"),
        (0.0, "0"),
    ],
)
def test_format_count(value, text):
    assert format_count(value) == text


def test_formats():
    assert format_compute(1e21) == "1e21 FLOP"
    assert format_scientific(9.9999e20) == "1e21"
    assert format_number(1.97444, 4) == "1.974"
    assert format_number(9.996) == "10.0"
    assert format_number(1.2e-7) == "1.2e-7"
    assert format_number(-0.05) == "-0.0500"
    assert format_number(math.inf) == "inf"
    assert format_number(1.7976e308) == "1.8e308", "which would round to more than a float holds"
    assert format_share(0.9) == "90 %"
    assert format_share(0.995) == "99.5 %"


@given(st.floats(1.0, 1e15))
def test_formatted_counts_read_back(value):
    assert parse_amount(format_count(value, 6), "count") == pytest.approx(value, rel=1e-5)


@given(st.floats(1e10, 1e30))
def test_formatted_compute_reads_back(value):
    assert parse_amount(format_compute(value, 6), "compute") == pytest.approx(value, rel=1e-5)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text):
    try:
        assert parse_amount(text, "compute") > 0
    except AmountError as error:
        assert "expected a positive amount" in str(error)
