"""Workbooks: sheets are read like text tables, with the displayed values of cells."""

import datetime
import sys

import numpy as np
import pytest

import bayescale as bs
from bayescale.errors import RunsError

HEAD = ["Model size (M)", "Tokens (B)", "Eval loss"]
ROWS = [[70, 1.4, 3.9], [160.5, 3.2, 3.5], [410, 8.2, 3.1]]


@pytest.fixture
def write(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")

    def make(formats=None, **sheets):
        book = openpyxl.Workbook()
        book.remove(book.active)
        for name, rows in sheets.items():
            sheet = book.create_sheet(name)
            for row in rows:
                sheet.append(row)
            for cell, form in (formats or {}).items():
                sheet[cell].number_format = form
        path = tmp_path / "runs.xlsx"
        book.save(path)
        return path

    return make


def test_a_sheet_is_read(write):
    runs = bs.load_runs(write(runs=[HEAD, *ROWS]))
    np.testing.assert_allclose(runs.n_params, [7e7, 1.605e8, 4.1e8])
    np.testing.assert_allclose(runs.n_tokens, [1.4e9, 3.2e9, 8.2e9])
    assert runs.loss.tolist() == [3.9, 3.5, 3.1]
    assert runs.notes_of("format") == ()


def test_numbers_keep_all_their_digits(write):
    sizes, losses = [70_123_456_789, 1e11 / 3.0], [3.0 + 2**-40, 0.1 + 0.2 + 3.0]
    rows = [[n, 1e12 + 7.0, loss] for n, loss in zip(sizes, losses, strict=True)]
    runs = bs.load_runs(write(runs=[["N", "D", "loss"], *rows]))
    # openpyxl writes 16 digits.
    np.testing.assert_allclose(runs.n_params, sizes, rtol=1e-15)
    np.testing.assert_allclose(runs.loss, losses, rtol=1e-15)


def test_titles_empty_rows_and_further_columns(write):
    day = datetime.datetime(2024, 5, 1)
    rows = [[None, *row, day, True, None] for row in ROWS]
    path = write(runs=[["Sweep of May; final"], [], [None, *HEAD, "made", "ok"], *rows, []])
    runs = bs.load_runs(path)
    assert len(runs) == 3
    assert list(runs.table["made"]) == ["2024-05-01 00:00:00"] * 3
    assert runs.notes_of("format") == ("skipped line 1 before the header",)
    # Messages use row numbers of the sheet.
    bad = write(runs=[["A title"], [], HEAD, *ROWS, [1000, "many", 2.8]])
    with pytest.raises(RunsError, match=r"row 7, column 'Tokens \(B\)'.*found 'many'"):
        bs.load_runs(bad)


def test_the_sheet_that_is_a_table_is_read_and_said(write):
    path = write(notes=[["Made by hand"]], runs=[HEAD, *ROWS], old=[HEAD, *ROWS[:2]])
    runs = bs.load_runs(path)
    assert len(runs) == 3
    assert runs.notes_of("format") == ("read the sheet 'runs', not 'old'",)
    with pytest.raises(RunsError, match="found no table in 'notes'"):
        bs.load_runs(write(notes=[["Made by hand"]]))


@pytest.mark.parametrize("heading", ["error", "error (%)", "error_pct"])
def test_cells_in_per_cent_are_what_they_show(write, heading):
    path = write(
        {"B2": "0%", "B3": "0.0%"}, runs=[["compute", heading], [1e18, 0.35], [1e19, 0.255]]
    )
    runs = bs.load_runs(path, needs=("compute",), response="error")
    np.testing.assert_allclose(runs.column("error"), [0.35, 0.255])


@pytest.mark.parametrize(
    ("heading", "values"),
    [("error", ["35%", "25.5 %"]), ("acc", ["65%", "74.5%"]), ("acc (%)", ["65%", "74.5"])],
)
def test_text_in_per_cent(tmp_path, heading, values):
    path = tmp_path / "runs.csv"
    path.write_text(f"compute,{heading}\n1e18,{values[0]}\n1e19,{values[1]}\n", encoding="utf-8")
    runs = bs.load_runs(path, needs=("compute",), response="error")
    np.testing.assert_allclose(runs.column("error"), [0.35, 0.255])
    path.write_text(f"compute,{heading}\n1e18,x%\n", encoding="utf-8")
    with pytest.raises(RunsError, match="found 'x%'"):
        bs.load_runs(path, needs=("compute",), response="error")


@pytest.mark.parametrize("content", [b"PK\x03\x04 no workbook", b"N,D,loss\n70M,1.4B,3.9\n"])
def test_what_is_no_workbook_is_refused(tmp_path, content):
    pytest.importorskip("openpyxl")
    path = tmp_path / "runs.xlsx"
    path.write_bytes(content)
    with pytest.raises(RunsError, match=r"could not be read as \.xlsx"):
        bs.load_runs(path)


def test_without_openpyxl_it_is_said_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    path = tmp_path / "runs.xlsx"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(RunsError, match=r"bayescale\[excel\].*save the sheet of runs as CSV"):
        bs.load_runs(path)
