"""Any table is read as positive finite numbers, or refused in a sentence."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.errors import BayescaleError

FUZZ = settings.get_profile("fuzz")
FUZZ = settings(FUZZ, max_examples=max(1, FUZZ.max_examples // 6))
"""The tests of one reader share its number of inputs."""

pytestmark = pytest.mark.filterwarnings("ignore::bayescale.errors.BayescaleWarning")

HEADERS = [
    *("N", "D", "C", "loss", "L", "params", "tokens", "flops", "n_params", "val_loss", "cd_loss"),
    *("run", "family", "seed", "outlier", "id", "name", "state", "run_state", "config", "summary"),
    *("epochs", "counting", "val_bpb", "ppl", "row", "a__MIN", "a/b", "", " ", "\x00", "é", "1"),
]
TEXTS = [
    *("1e9", "2e10", "3.1", "70B", "1.4T", "nan", "inf", "-1", "0", "x", "1.2.3", "True", "1e400"),
    *("1_000", "0x10", "=1+1", "None", "é", "PF-day", "100 PF-days", "finished", "crashed"),
    *("0,125B", "1,234", "1,234,567", "12,5", "1;2", "{}", "{'a': 1}", '{"n_params": 7e7}', "[1]"),
    *("", " ", '"q"', '"', "\x00", "\n", "9" * 400, "9" * 5000, "x" * 50_000, "(" * 500, "\ud800"),
]
NUMBERS = st.one_of(st.floats(), st.floats(1e-3, 1e24), st.integers(-(2**70), 2**70))
CELLS = st.one_of(st.sampled_from(TEXTS), NUMBERS, st.booleans(), st.none(), st.text(max_size=5))
ODD = st.one_of(
    CELLS,
    st.binary(max_size=3),
    st.complex_numbers(),
    st.datetimes(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(HEADERS), st.integers(), max_size=2),
    st.sampled_from([10**5000, pd.NA, pd.NaT, np.float32(2), b"\x80", object, frozenset()]),
)


@st.composite
def records(draw, cells):
    """Return valid rows with some changed cells and some odd columns."""
    rows = [
        {"N": 1e8 * (i + 1), "D": 2e9 * (i + 2) ** 2, "loss": 4.0 - 0.1 * i}
        for i in range(draw(st.integers(0, 4)))
    ]
    names = draw(st.lists(st.sampled_from(HEADERS), max_size=3))
    for row in rows:
        row |= {name: draw(cells) for name in names}
        if draw(st.booleans()):
            row[draw(st.sampled_from(["N", "D", "loss"]))] = draw(cells)
    if draw(st.booleans()):
        left_out = draw(st.sampled_from(["N", "D", "loss"]))
        rows = [{k: v for k, v in row.items() if k != left_out} for row in rows]
    return rows


def read_or_refused(source: object) -> None:
    """Load, and check the result or the message."""
    try:
        runs = bs.load_runs(source)
    except BayescaleError as error:
        said = str(error)
        assert len(said) < 2000
        assert said.endswith((".", "?")), said
        return
    values = runs.table[["n_params", "n_tokens", "compute", "loss"]].to_numpy()
    assert np.all(np.isfinite(values) & (values > 0))
    # Implausible amounts are not accepted silently.
    assert runs.n_params.min() >= 1e3
    assert (runs.n_tokens / runs.n_params).min() >= 1e-3
    assert len(runs.fingerprint) == 64
    assert len(repr(runs)) < 5000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@FUZZ
@given(
    records(st.sampled_from(TEXTS) | NUMBERS),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"]),
    st.booleans(),
    st.sampled_from(["csv", "tsv"]),
)
def test_delimited_text(folder, rows, end, delimiter, encoding, quoted, suffix):
    def field(value):
        text = str(value)
        return '"' + text.replace('"', '""') + '"' if quoted else text

    lines = [list(rows[0]) if rows else ["N", "D", "loss"], *(row.values() for row in rows)]
    text = end.join(delimiter.join(map(field, line)) for line in lines)
    path = folder / f"any.{suffix}"
    path.write_bytes(text.encode(encoding, errors="replace"))
    read_or_refused(path)


@FUZZ
@given(st.binary(max_size=200), st.sampled_from(["csv", "tsv", "json", "jsonl", "parquet"]))
def test_bytes(folder, content, suffix):
    path = folder / f"any.{suffix}"
    path.write_bytes(content)
    read_or_refused(path)


@FUZZ
@given(records(ODD), st.sampled_from(["object", "inferred", "nullable", "arrow", "doubled"]))
def test_frames(rows, kind):
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {n: pd.Series([row.get(n) for row in rows], dtype=object) for n in names}
    frame = pd.DataFrame(columns)
    try:
        if kind == "inferred":
            frame = frame.infer_objects()
        elif kind == "nullable":
            frame = frame.convert_dtypes()
        elif kind == "doubled":
            frame = pd.concat([frame, frame.iloc[:, :1]], axis="columns")
        elif kind == "arrow":
            frame = pa.Table.from_pandas(frame)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return  # not a valid table
    read_or_refused(frame)


JSON = CELLS | st.sampled_from([[], [1], {}, {"a": {"value": 1}}, {"n_params": 7e7}, [[[]]]])


@FUZZ
@given(
    records(JSON) | st.lists(JSON, max_size=3),
    st.sampled_from(["jsonl", "json", "columns", "log"]),
    st.booleans(),
)
def test_json(folder, rows, form, mark):
    path = folder / ("any.jsonl" if form == "jsonl" else "any.json")
    if form == "jsonl":
        text = "\n".join(map(json.dumps, rows))
    elif form == "log":
        text = json.dumps({"log_history": rows, "max_steps": 10})
    elif form == "columns" and rows and isinstance(rows[0], dict):
        text = json.dumps(
            {name: [r[name] for r in rows if isinstance(r, dict) and name in r] for name in rows[0]}
        )
    else:
        text = json.dumps(rows)
    path.write_bytes(b"\xef\xbb\xbf" * mark + text.encode("utf-8"))
    read_or_refused(path)


ANYTHING = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.binary(max_size=5),
    st.integers(),
    st.floats(),
    st.lists(CELLS, max_size=3),
    st.dictionaries(st.text(max_size=3), CELLS, max_size=2),
)
GOOD = pd.DataFrame({"N": [1e8, 2e8], "D": [2e9, 8e9], "loss": [3.0, 2.8], "kind": ["a", "b"]})


@FUZZ
@given(
    ANYTHING,
    st.one_of(
        st.none(),
        ANYTHING,
        st.dictionaries(
            st.sampled_from(["n_params", "n_tokens", "loss", "run", "x", "compute"]),
            st.sampled_from(["N", "D", "loss", "kind", "x"]) | ANYTHING,
        ),
    ),
)
def test_whatever_is_given_for_runs_and_columns(source, columns):
    read_or_refused(source)
    try:
        bs.load_runs(GOOD, columns=columns)
    except BayescaleError as error:
        assert len(str(error)) < 2000


UNITS = ["M", "B", "millions of tokens", "EFLOP", "PF-days", "log10", "perplexity", "bits/byte"]


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(["n_params", "n_tokens", "compute", "loss", "kind", "x"]),
        st.sampled_from([*UNITS, "parameters", "tokens", "nats/token", "%", "1e400", "0", "-1 M"])
        | ANYTHING,
        max_size=3,
    )
    | ANYTHING
)
def test_whatever_is_given_for_units(units):
    try:
        runs = bs.load_runs(GOOD, units=units)
    except BayescaleError as error:
        assert len(str(error)) < 2000
    else:
        values = runs.table[["n_params", "n_tokens", "compute", "loss"]].to_numpy()
        assert np.all(np.isfinite(values) & (values > 0))
        changed = {note.columns[0] for note in runs.notes_of("unit") if "converted" in note}
        for name, column in (("n_params", "N"), ("n_tokens", "D"), ("loss", "loss")):
            assert name in changed or np.array_equal(runs.column(name), GOOD[column])
