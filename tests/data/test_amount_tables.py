"""Other tables of amounts are read like runs, by every command that takes one."""

import pytest

from bayescale.data.amount_tables import read_amounts
from bayescale.errors import RunsError

TEXT = "n_params,n_tokens,note\n1B,20B,a\n2B,40B,b\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", TEXT.encode()),
        ("semicolons.csv", TEXT.replace(",", ";").encode()),
        ("tabs.tsv", TEXT.replace(",", "\t").encode()),
        ("wide.csv", TEXT.encode("utf-16")),
        ("marked.csv", TEXT.encode("utf-8-sig")),
        ("headings.csv", TEXT.replace("n_params,n_tokens", "N,train_tokens").encode()),
        (
            "rows.json",
            b'[{"N": "1B", "D": "20B", "note": "a"}, {"N": "2B", "D": "40B", "note": "b"}]',
        ),
    ],
)
def test_every_format_and_heading_of_runs(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    table = read_amounts(tmp_path / name)
    assert table[["n_params", "n_tokens", "note"]].to_numpy().tolist() == [
        ["1B", "20B", "a"],
        ["2B", "40B", "b"],
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "f.csv: the file is empty"),
        (b"n_params,n_tokens\n", "f.csv: found no runs"),
        (b"n_params,n_tokens\n1B,20B,3,4\n", "f.csv, line 2"),
        (b"N,N,D\n1B,2B,3B\n", "f.csv: found the column 'N' twice"),
        (b"params,N,D\n1B,2B,3B\n", "columns 'params', 'N' could each be n_params"),
        (b"N (B),D\n1,3B\n", r"column 'N \(B\)': found B in the heading of n_params"),
        (b"n_params,n_tokens\n1,20\n2,40\n", "All 2 runs: n_params of 1.00 to 2.00, and no model"),
        (b"n_params,n_tokens\n1B,20\n2B,40\n", "tokens per parameter, fewer than any model"),
        (b"n_params,compute\n1B,120\n", "less than any training"),
        (b"\xff\xfe\x00", "f.csv"),
    ],
)
def test_what_is_wrong_is_said_with_the_name_of_the_file(tmp_path, content, said):
    (tmp_path / "f.csv").write_bytes(content)
    with pytest.raises(RunsError, match=said):
        read_amounts(tmp_path / "f.csv")


def test_cells_without_amounts_are_kept_as_text(tmp_path):
    (tmp_path / "f.csv").write_text("n_params,tokens_per_second\nlarge,400K\n7B,72K\n")
    assert read_amounts(tmp_path / "f.csv")["n_params"].tolist() == ["large", "7B"]
