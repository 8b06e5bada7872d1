"""Conditions select rows, and are never executed as code."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bayescale as bs
from bayescale.data.conditions import rows_meeting

TABLE = pd.DataFrame(
    {
        "family": ["c4", "rw", None],
        "n_params": [1e9, 2e9, np.nan],
        "compute": [1e20, 2e20, 3e20],
        "id": [2**63 - 1, 2**63 - 2, 3],
        "ok": [True, False, True],
        "a b": [1, 2, 3],
        "config.lr": ["x", "y", "z"],
        "kind": pd.Categorical(["u", "v", "u"]),
        "when": pd.to_datetime(["2024-01-01", "2024-02-01", "2025-01-01"]),
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "mixed": [1, "a", 2.5],
        "large": [2**70, 10**400, 1],
    }
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("family == 'c4'", [1, 0, 0]),
        ("family != 'c4'", [0, 1, 1]),
        ("'c4' == family", [1, 0, 0]),
        ("family in ['c4', 'rw']", [1, 1, 0]),
        ("family not in ('c4',)", [0, 1, 1]),
        ("family in []", [0, 0, 0]),
        ("n_params > '1.5B'", [0, 1, 0]),
        ("compute >= '2e20 FLOP'", [0, 1, 1]),
        ("1e8 < n_params < 1.5e9", [1, 0, 0]),
        ("1e9 >= n_params", [1, 0, 0]),
        ("-1 < n_params", [1, 1, 0]),
        ("n_params == n_params", [1, 1, 0]),
        ("id == 9223372036854775807", [1, 0, 0]),
        ("ok", [1, 0, 1]),
        ("ok == True", [1, 0, 1]),
        ("not ok and compute > 0 or family == 'c4'", [1, 1, 0]),
        ("  (ok\n and ok)\n", [1, 0, 1]),
        ("`a b` in [1, 3] and `config.lr` != 'x'", [0, 0, 1]),
        ("kind == 'u'", [1, 0, 1]),
        ("when >= '2024-02-01'", [0, 1, 1]),
        ("nullable > 1", [0, 0, 1]),
        ("mixed == 'a'", [0, 1, 0]),
        ("large > 1e300", [0, 1, 0]),
        ("compute > 1e11 * n_params", [0, 0, 0]),
        ("compute >= n_params * 1e11", [1, 1, 0]),
        ("2 * `a b` > 5", [0, 0, 1]),
        ("family == '`a b`'", [0, 0, 0]),
    ],
)
def test_conditions_select_the_rows_that_meet_them(condition: str, expected: list[int]) -> None:
    assert rows_meeting(condition, TABLE).tolist() == [bool(x) for x in expected]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("@pd.io.common.os.system('touch gone')", "cannot be read"),
        ("__import__('os').system('touch gone')", "found a call"),
        ("family.str.upper() == 'C4'", "found a call"),
        ("compute.values == 1", "found a dot"),
        ("compute[0] > 1", "found an index"),
        ("compute + 2 > 1", "found arithmetic"),
        ("compute > 2 * family", "a number times numbers"),
        ("compute > 'a' * n_params", "a number times numbers"),
        ("compute > n_params * n_params", "found arithmetic"),
        ("2 * 3 < compute", "found arithmetic"),
        ("(compute > 1) & ok", "& and | are written and, or"),
        ("~ok", "~ is written not"),
        ("[x for x in ().__class__.__bases__]", "found something else"),
        ("(lambda: 1) == compute", "found a function"),
        ("(compute := 1) > 2", "found an assignment"),
        ("compute > f'{compute}'", "found an f-string"),
        ("compute is 3", "found is, which is written =="),
        ("family == ['c4', 'rw']", "found a list that does not follow in"),
        ("compute in 'abc'", "expected a list"),
        ("familly == 'c4'", "Did you mean 'family'"),
        ("family == c4", "A text goes in quotes"),
        ("family > 5", "which holds text"),
        ("when == 5", "found the number 5"),
        ("when > 'yesterday or so'", "which holds times"),
        ("compute > 'much'", "expected a positive amount"),
        ("compute < family", "numbers compare with numbers"),
        ("compute", "by itself"),
        ("1 < 2", "neither of them a column"),
        ("compute > 1e999", "beyond 1e308"),
        ("compute > 1j", "found a constant"),
        ("compute > None", "found a constant"),
        ("'c4'", "found a constant"),
        ("", "cannot be read"),
        ("compute > 1; compute", "cannot be read"),
        ("compute\0 > 1", "cannot be read"),
        ("\ud800 == 1", "cannot be read"),
        ("compute > " + "9" * 5000, "cannot be read"),
        ("(" * 5000 + "ok" + ")" * 5000, "cannot be read"),
        ("ok and (" * 3000 + "ok" + ")" * 3000, "nested too deep"),
        ("-" * 90_000 + "1 < compute", "nested too deep"),
        ("not " * 50_000 + "ok", "found 200002 characters"),
    ],
)
def test_all_else_is_refused_in_a_sentence(
    condition: str, found: str, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(bs.RunsError) as caught:
        rows_meeting(condition, TABLE)
    assert found in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert not list(tmp_path.iterdir())


def test_two_columns_of_one_name_are_not_chosen_between() -> None:
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(bs.RunsError, match="found 2 columns called 'a'"):
        rows_meeting("a == 1", twice)


def test_the_name_of_a_column_in_the_file_is_answered_with_the_one_it_was_read_as(tmp_path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(
        "params (M),tokens_B,loss\n" + "".join(f"{n},{n},{4 - n / 50}\n" for n in (20, 40, 80))
    )
    runs = bs.load_runs(path)
    assert runs.where("n_params > 3e7").n_params.tolist() == [4e7, 8e7]
    with pytest.raises(bs.RunsError, match=r"no column 'tokens_B', which was read as n_tokens"):
        runs.where("tokens_B > 30")


def test_conditions_are_never_executed(chinchilla_runs, tmp_path) -> None:
    attack = f"@pd.io.common.os.mkdir({str(tmp_path / 'gone')!r})"
    for refused in (
        lambda: chinchilla_runs.where(attack),
        lambda: bs.hold_out(chinchilla_runs, ["chinchilla"], attack),
    ):
        with pytest.raises(bs.RunsError, match="chinchilla: the condition"):
            refused()
    assert not list(tmp_path.iterdir())


NAMES = st.sampled_from(["family", "n_params", "ok", "`a b`", "when", "kind", "mixed", "nothing"])
CONSTANTS = st.one_of(
    st.integers().map(str), st.floats().map(repr), st.text(max_size=5).map(repr), NAMES
)
COMPARED = st.tuples(
    CONSTANTS, st.sampled_from(["==", "!=", "<", ">=", "in", "not in", "is"]), CONSTANTS
).map(" ".join)


@given(
    st.recursive(
        COMPARED,
        lambda c: st.tuples(c, st.sampled_from(["and", "or"]), c).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        max_leaves=4,
    )
)
def test_a_condition_gives_a_mask_or_a_refusal(condition: str) -> None:
    try:
        mask = rows_meeting(condition, TABLE)
    except bs.RunsError:
        return
    assert mask.dtype == np.bool_ and mask.shape == (len(TABLE),)
    assert np.array_equal(rows_meeting(f"not ({condition})", TABLE), ~mask)
