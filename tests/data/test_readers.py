"""Readers: tables of other libraries, and text in various layouts."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayescale as bs
from bayescale.errors import BayescaleError, RunsError

ROWS = {"N": [7e7, 1.6e8, 4.1e8], "D": [1.4e9, 3.2e9, 8.2e9], "loss": [3.9, 3.5, 3.1]}
FRAME = pd.DataFrame(ROWS)
TEXT = "N{0}D{0}loss\n70M{0}1.4B{0}3.9\n160M{0}3.2B{0}3.5\n410M{0}8.2B{0}3.1\n"


@dataclass
class Stranger:
    """A table of an unknown library that exports Arrow."""

    table: pa.Table

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "source",
    [
        pa.table(ROWS),
        pa.table(ROWS).to_batches()[0],
        Stranger(pa.table(ROWS)),
        Stranger(pa.table({**ROWS, "kind": pa.array(["a", "b", "a"]).dictionary_encode()})),
        FRAME.astype(pd.SparseDtype(float, 0.0)),
        FRAME.convert_dtypes(),
        FRAME.convert_dtypes(dtype_backend="pyarrow"),
        FRAME.astype({"N": "category"}),
        FRAME.astype(object),
        FRAME.set_index("N").reset_index(),
        pl.DataFrame(ROWS),
        pl.DataFrame(ROWS).with_columns(pl.col("N").cast(pl.Int64)),
    ],
    ids=range(12),
)
def test_tables_in_memory(source):
    assert bs.load_runs(source).fingerprint == bs.load_runs(FRAME).fingerprint


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (None, "found None"),
        (ROWS, r"type dict.*pd.DataFrame\(...\)"),
        ([ROWS], r"type list.*pd.DataFrame\(...\)"),
        (FRAME["N"], r"type Series.*pd.DataFrame\(...\)"),
        (3, "type int"),
        (b"runs.csv", "type bytes"),
        (np.ones((2, 2)), "type ndarray"),
        (pa.chunked_array([[1.0, 2.0]]), "ChunkedArray returned no table through its Arrow interface"),
        (pa.Table.from_arrays([pa.array([1.0])] * 2, names=["N", "N"]), "found the column 'N' twice"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "found the column '1' twice"),
        (pa.table({"N": pa.array([], pa.float64())}), "found no runs"),
        ("x" * 5000 + ".csv", "there is no such file"),
        ("\0.csv", "there is no such file"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_in_a_sentence(source, found):
    with pytest.raises(RunsError, match=found) as refused:
        bs.load_runs(source)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_and_said(tmp_path, suffix, separator):
    path = tmp_path / f"runs.{suffix}"
    path.write_text(TEXT.format(separator), encoding="utf-8")
    runs = bs.load_runs(path)
    assert runs.fingerprint == bs.load_runs(FRAME).fingerprint
    usual = {"csv": ",", "tsv": "\t"}[suffix]
    words = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}[separator]
    said = [note for note in runs.notes if note.kind == "format"]
    assert said == ([] if separator == usual else [f"read with {words} between the columns"])


def test_a_comma_inside_quotes_is_no_separator_and_a_wrong_line_is_named(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text('N;D;loss;about\n70M;1.4B;3.9;"a, b"\n160M;3.2B;3.5;c\n', encoding="utf-8")
    assert list(bs.load_runs(path).table["about"]) == ["a, b", "c"]
    path.write_text("N;D;loss\n70M;1.4B;3.9\n160M;3.2B\n", encoding="utf-8")
    with pytest.raises(RunsError, match="line 3: found 2 fields, expected 3"):
        bs.load_runs(path)


def test_decimal_commas_beside_decimal_points_are_refused(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("N;D;loss\n70M;1,4B;3.9\n", encoding="utf-8")
    with pytest.raises(RunsError, match=r"line 2, column 'D'.*'1,4B'.*write '1.4B'"):
        bs.load_runs(path)
    path.write_text("N;D;loss\n70M;1.4B;3,9\n", encoding="utf-8")
    with pytest.raises(RunsError, match=r"column 'loss': found '3,9'.*decimal point"):
        bs.load_runs(path)


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8-sig", []),
        ("utf-16", ["read as UTF-16"]),
        ("utf-16-le", ["read as UTF-16"]),
        ("utf-16-be", ["read as UTF-16"]),
        ("cp1252", ["read as Windows-1252, since line 1 holds the byte 0xe9, which is not UTF-8"]),
    ],
)
def test_the_encoding_is_found_and_said(tmp_path, suffix, encoding, said):
    text = {
        "csv": "N,D,loss,\u00e9\n70M,1.4B,3.9,\u00e9\n",
        "json": '[{"N": 7e7, "D": 1.4e9, "loss": 3.9, "\u00e9": "\u00e9"}]',
        "jsonl": '{"N": 7e7, "D": 1.4e9, "loss": 3.9, "\u00e9": "\u00e9"}\n',
    }[suffix]
    path = tmp_path / f"runs.{suffix}"
    path.write_bytes(text.encode(encoding))
    runs = bs.load_runs(path)
    assert runs.table["\u00e9"].tolist() == ["\u00e9"]
    assert [note for note in runs.notes if note.kind == "format"] == said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"N,D,loss\n70M,1.4B,3.9\n\xff\x81,1,2\n", "line 3 holds the byte 0xff.* Save it as UTF-8"),
        (b"N,D,loss\n70M,1.4B,3.9\n\x00,1,2\n", "line 3 holds the byte 0x00"),
        (b"\xff\xfeN\x00\xd8", "starts like text in UTF-16"),
        (b"PK\x03\x04\x14\x00", "it is a spreadsheet"),
        (b"PAR1\x15\x04", "it is a Parquet file; end its name in .parquet"),
        (b"<!DOCTYPE html>\n<table>", "it is a web page"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused_by_its_name(tmp_path, content, said):
    path = tmp_path / "runs.csv"
    path.write_bytes(content)
    with pytest.raises(RunsError, match=f"could not be read as .csv: .*{said}"):
        bs.load_runs(path)


def test_json_holds_integers_of_any_length(tmp_path):
    rows = [
        {"N": n, "D": d, "C": 6 * n * d, "loss": loss, "hash": 2**90}
        for n, d, loss in FRAME.astype({"N": int, "D": int}).itertuples(index=False)
    ]
    rows[0]["C"] *= 1000  # beyond 2^64, and different from 6ND
    for name, text in (
        ("runs.jsonl", "\n".join(map(json.dumps, rows))),
        ("runs.json", json.dumps(rows)),
        ("runs.json", json.dumps({key: [row[key] for row in rows] for key in rows[0]})),
    ):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        runs = bs.load_runs(path, tolerance=1e4)
        assert runs.compute[0] == float(rows[0]["C"])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"N": 1}\n{"N": \n', r"line 2: could not be read as .jsonl"),
        ("a.jsonl", '{"N": 1}\n[1]\n', r"line 2: found \[1\], expected an object"),
        ("a.jsonl", '{"N": ' + "9" * 5000 + "}", "line 1: could not be read"),
        ("a.jsonl", '{"N": 1, "N": 2}', "found 'N' twice in one object"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.jsonl", "[" * 100_000, "nested too deep"),
        ("a.json", '[{"N": ' + '{"a":' * 900 + "1" + "}" * 900 + "}]", "nested too deep|missing"),
    ],
)
def test_json_that_cannot_be_read(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RunsError, match=said) as refused:
        bs.load_runs(path)
    assert len(str(refused.value)) < 500


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "table",
    [
        FRAME.assign(N=LONG),
        FRAME.assign(loss=LONG),
        FRAME.assign(outlier=LONG),
        FRAME.assign(config="{" + LONG),
        FRAME.assign(N=[{LONG: 1}, *ROWS["N"][1:]]),
        FRAME.assign(N=pd.Series([10**5000, 1, 2], dtype=object)),
        FRAME.assign(loss=pd.Series([10**5000, 1, 2], dtype=object)),
        FRAME.assign(N=[[10**5000], 1, 2]),
        FRAME.rename(columns={"loss": LONG}),
        FRAME.rename(columns={"loss": "loss" + LONG}),
        pd.DataFrame(np.ones((2, 500)), columns=[f"column {i}" for i in range(500)]),
        pd.concat([FRAME, FRAME]).assign(family=LONG),
        FRAME.assign(State=LONG)[["N"]],
    ],
    ids=range(13),
)
def test_no_message_repeats_a_long_cell(table):
    with pytest.raises(BayescaleError) as refused:
        bs.load_runs(table)
    assert len(str(refused.value)) < 1500


def test_no_message_repeats_what_was_asked_for():
    for options in (
        {"columns": {LONG: "N"}},
        {"columns": {"n_params": LONG}},
        {"columns": LONG},
        {"columns": {"n_params": [LONG]}},
        {"needs": (LONG,)},
        {"response": LONG},
    ):
        with pytest.raises(BayescaleError) as refused:
            bs.load_runs(FRAME, **options)
        assert len(str(refused.value)) < 1500, options


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"n_params": "loss"}, "the column for loss is missing"),
        ({"n_params": "N", "n_tokens": "N"}, "the column 'N' for both n_tokens and n_params|both n_params"),
        ({"loss": "D"}, r"two of n_params, n_tokens and compute \(found n_params\)"),
        ({"n_params": 3}, "found no column 3"),
        ({3: "N"}, r"columns=\{3: ...\}: expected one of"),
        (["N"], r"columns=: found \['N'\], expected a mapping"),
    ],
)  # fmt: skip
def test_a_column_holds_one_quantity(columns, said):
    with pytest.raises(RunsError, match=said):
        bs.load_runs(FRAME, columns=columns)


def test_a_column_with_the_word_in_its_name_is_proposed():
    table = FRAME.rename(columns={"loss": "cd_val_loss"})
    with pytest.raises(RunsError, match=r"loss is missing.* Is it 'cd_val_loss'\?.*--column loss="):
        bs.load_runs(table)


def test_labels_of_any_kind_are_compared_as_texts():
    odd = pd.Series([[1], {"a": 2}, b"\xff"], dtype=object)
    runs = bs.load_runs(FRAME.assign(family=odd, seed=odd))
    assert runs.families == ("[1]", "b'\\xff'", "{'a': 2}")
    with pytest.raises(RunsError, match="row 1, column 'family': found nothing, expected the name"):
        bs.load_runs(FRAME.assign(family=["a", None, "b"]))
    with pytest.raises(RunsError, match="same run more than once"):
        bs.load_runs(pd.concat([FRAME, FRAME]).assign(family=[[1]] * 6))


def test_bytes_and_states_that_are_no_text():
    odd = pd.Series([b"\x80", np.float64("nan"), 10**5000], dtype=object)
    assert len(bs.load_runs(FRAME.assign(state=odd, comment=odd))) == 3


@pytest.mark.parametrize("text", ["|", "||", ",", ";", "\t", "|\n|", "| |", ",,\n,,", "||\n|-|"])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_separators_alone_are_no_table(text, suffix, tmp_path):
    path = tmp_path / f"runs.{suffix}"
    path.write_text(text)
    with pytest.raises(RunsError, match=f"runs.{suffix}"):
        bs.load_runs(path)
