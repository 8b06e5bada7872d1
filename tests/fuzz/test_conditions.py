"""Any condition gives a mask or a refusal, executes no code, and touches no file."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescale.data.conditions import rows_meeting
from bayescale.errors import RunsError

TABLE = pd.DataFrame(
    {
        "family": ["c4", "rw", None],
        "n_params": [1e9, 2e9, np.nan],
        "compute": [1e20, 2e20, 3e20],
        "ok": [True, False, True],
        "a b": [1, 2, 3],
        "when": pd.to_datetime(["2024-01-01", "2024-02-01", None]),
        "zoned": pd.to_datetime(["2024-01-01", "2024-02-01", None], utc=True),
        "kind": pd.Categorical(["u", "v", None]),
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "mixed": [1, "a", 2.5],
        "lists": [[1], [], [2, 3]],
        "large": [2**70, 10**400, 1],
        "complex": [1j, 2, 3],
        "elapsed": pd.to_timedelta([1, 2, None], unit="h"),
    }
)
TOKENS = [
    *("family", "n_params", "ok", "`a b`", "when", "zoned", "kind", "nullable", "mixed", "lists"),
    *("large", "complex", "elapsed", "compute", "nothing", "`", "``", "==", "!=", "<", "<=", ">"),
    *("in", "not in", "is", "and", "or", "not", "(", ")", "[", "]", ",", "'c4'", "'1B'", "1e20"),
    *("1", "-1", "True", "None", "1e999", "1j", "'2024-01-01'", "''", '"', "'", "\\", "#", "\n"),
    *("@", "lambda:", "f'{1}'", "b'x'", "...", ":=", "*", "2 *", "**", "+", "&", "|", "~", "."),
    *("__import__('os')", "x()", "{}", "if", "else", "for", "await", "yield", ";", "\0", "9" * 50),
]
CONDITIONS = st.lists(st.sampled_from(TOKENS) | st.text(max_size=2), max_size=12).map(" ".join)
COMPARED = st.tuples(
    st.sampled_from(TOKENS[:15]),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"]),
    st.one_of(
        st.sampled_from(TOKENS),
        st.integers().map(str),
        st.floats().map(repr),
        st.text(max_size=5).map(repr),
        st.lists(st.integers() | st.text(max_size=3) | st.floats(), max_size=3).map(repr),
    ),
).map(" ".join)


def _mask_or_refusal(condition: str) -> None:
    try:
        mask = rows_meeting(condition, TABLE)
    except RunsError as error:
        assert len(str(error)) < 1500
        return
    assert mask.dtype == np.bool_ and mask.shape == (3,)


@pytest.fixture(scope="module", autouse=True)
def empty_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conditions")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield
    assert not list(folder.iterdir())


@settings.get_profile("fuzz")
@given(CONDITIONS)
def test_any_words(condition: str) -> None:
    _mask_or_refusal(condition)


@settings.get_profile("fuzz")
@given(COMPARED)
def test_any_comparison(condition: str) -> None:
    _mask_or_refusal(condition)


@settings.get_profile("fuzz")
@given(st.text())
def test_any_text(condition: str) -> None:
    _mask_or_refusal(condition)
