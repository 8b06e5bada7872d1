"""Tables as other tools export them."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bayescale as bs
from bayescale.data.wandb import key_of

SIZES = [7e7, 1.6e8, 4.1e8]
TOKENS = [1.4e9, 3.2e9, 8.2e9]
LOSSES = [3.9, 3.5, 3.1]


def same(runs: bs.Runs) -> None:
    np.testing.assert_allclose(runs.n_params, SIZES)
    np.testing.assert_allclose(runs.n_tokens, TOKENS)
    np.testing.assert_allclose(runs.loss, LOSSES)


def table(*names: str) -> pd.DataFrame:
    compute = [6 * n * d for n, d in zip(SIZES, TOKENS, strict=True)]
    columns = {"N": SIZES, "D": TOKENS, "L": LOSSES, "C": compute}
    return pd.DataFrame({name: columns[kind] for name, kind in (n.split("=") for n in names)})


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param(("C=C", "N=N", "D=D", "loss=L"), id="chinchilla"),
        pytest.param(("N=N", "D=D", "L=L"), id="vpnls"),
        pytest.param(
            ("Model Size=N", "Training Tokens=D", "Training FLOP=C", "loss=L"), id="epoch"
        ),
        pytest.param(("params=N", "tokens=D", "flops=C", "loss=L"), id="gemstones and porian"),
        pytest.param(("loss=L", "N=N", "D=D", "C=C", "train_tokens=D"), id="misfitting"),
        pytest.param(
            ("num_params=N", "train/num_input_tokens_seen=D", "eval/loss=L", "total_flos=C"),
            id="transformers trainer",
        ),
        pytest.param(
            ("config.n_params=N", "summary.tokens=D", "summary.val/loss=L"), id="dotted names"
        ),
    ],
)
def test_layouts_of_common_tools(layout):
    same(bs.load_runs(table(*layout)))


def test_the_table_of_runs_that_weights_and_biases_exports(tmp_path):
    """One row a run; those that did not finish are left out, and noted."""
    path = tmp_path / "wandb_export.csv"
    path.write_text(
        '"Name","State","Tags","n_params","tokens","eval/loss","_runtime"\n'
        '"a","finished","-","70M","1.4B","3.9","11"\n'
        '"b","crashed","-","160M","3.2B","","3"\n'
        '"c","finished","-","160M","3.2B","3.5","12"\n'
        '"d","finished","-","410M","8.2B","3.1","13"\n',
        encoding="utf-8",
    )
    runs = bs.load_runs(path)
    same(runs)
    assert list(runs.table["run"]) == ["a", "c", "d"]
    assert runs.notes[0] == "left out unfinished runs: 1 of 4 runs (crashed)"


@pytest.mark.parametrize("style", ["python", "json"])
def test_the_dictionaries_that_its_documented_export_writes(tmp_path, style):
    """Read summary and config as texts of dictionaries, with a NaN in an unneeded entry."""
    write = str if style == "python" else json.dumps
    rows = [
        {
            "summary": write({"eval/loss": loss, "grad_norm": float("nan"), "bad": float("inf")}),
            "config": write({"model": {"n_params": size, "depth": 4}, "n_params": size}),
            "name": f"run {size:g}",
            "tokens": tokens,
        }
        for size, tokens, loss in zip(SIZES, TOKENS, LOSSES, strict=True)
    ]
    path = tmp_path / "project.csv"
    pd.DataFrame(rows).to_csv(path)
    runs = bs.load_runs(path)
    same(runs)
    assert list(runs.table["config.model.depth"]) == [4, 4, 4]


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_nested_records(tmp_path, suffix):
    rows = [
        {"config": {"n_params": {"value": n, "desc": None}}, "summary": {"tokens": d}, "loss": loss}
        for n, d, loss in zip(SIZES, TOKENS, LOSSES, strict=True)
    ]
    path = tmp_path / f"runs.{suffix}"
    if suffix == "parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif suffix == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        path.write_text(json.dumps(rows), encoding="utf-8")
    same(bs.load_runs(path))


def test_json_by_columns(tmp_path):
    path = tmp_path / "runs.json"
    path.write_text(json.dumps({"N": SIZES, "D": TOKENS, "loss": LOSSES}), encoding="utf-8")
    same(bs.load_runs(path))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("chart.csv", "Step,a - loss,a - loss__MIN,a - loss__MAX\n1,3,3,3\n", "history of a chart"),
        (
            "bad.csv",
            'summary,N,D\n"{1: 2",7e7,1e9\n',
            "bad.csv, line 2, column 'summary': found '{1: 2'",
        ),
        ("states.csv", "State,N,D,loss\nrunning,7e7,1e9,3\n", "no run has the state finished"),
        ("deep.json", '{"runs": 3}', "expected a list with one object for each run"),
        ("ragged.json", '{"N": [1, 2], "loss": [3]}', "equal length"),
        ("cut.json", '[{"N": 1}', "could not be read as .json"),
        (
            "empty.csv",
            '"State","N","D","loss"\n"finished","7e7","1e9",""\n',
            "empty.csv, line 2, column 'loss': found '', expected a positive finite loss|nothing",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(bs.RunsError) as refused:
        bs.load_runs(path)
    assert any(word in str(refused.value) for word in words.split("|"))


def test_columns_that_differ_stay_ambiguous():
    frame = table("N=N", "D=D", "loss=L").assign(train_tokens=[1e9, 2e9, 3e9])
    with pytest.raises(bs.RunsError, match="could each be n_tokens"):
        bs.load_runs(frame)


def test_a_column_of_states_of_another_kind_is_left_alone():
    runs = bs.load_runs(table("N=N", "D=D", "loss=L").assign(state=["solid", "finished", "liquid"]))
    assert len(runs) == 3


@given(st.text(min_size=1))
def test_normalisation_of_names_is_idempotent(name):
    key = key_of(name)
    assert key == key.lower()
    assert not set(key) & set(" /.-")
