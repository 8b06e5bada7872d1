"""Every sampled fit can be saved, for any table and any columns."""

import datetime as dt
import decimal
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.data.netcdf import dataset_to_table, pack_groups, table_to_dataset, unpack_groups
from bayescale.data.readers import _READERS
from bayescale.inference.checkpoint import DrawStore
from bayescale.posterior.export import export_fit

N = np.geomspace(1e7, 1e9, 12)
TABLE = pd.DataFrame(
    {"n_params": N, "n_tokens": 20 * N[::-1], "loss": 2.0 + 1e3 * N**-0.4 + np.arange(12) / 100}
)


def of_prior(model: bs.Model, runs: bs.Runs) -> bs.Fit:
    """Return draws of the prior in place of a sampled posterior."""
    from bayescale.backend.build import draw_prior, labelled
    from bayescale.backend.observed import Design

    rng = np.random.default_rng(1)
    runs = runs.for_law(tuple(model.columns.values()), model.law.response)
    design = Design.of(model, runs)
    drawn = {
        k: x.reshape(2, 6, *x.shape[1:])
        for k, x in draw_prior(model, rng, 12, design.sizes, design.scale.response).items()
    }
    natural = model.law.from_reference(
        {name: drawn[name] for name in model.law.coordinates}, design.scale.reference
    )
    posterior = labelled(model, design, {**natural, **drawn}, rng)
    zeros = (("chain", "draw"), np.zeros((2, 6)))
    stats = xr.Dataset({"diverging": zeros, "energy": zeros, "maxdepth_reached": zeros})
    sampler = {"name": "none", "seed": 1, "draws": 6, "chains": 2}
    facts = {"fingerprint": runs.fingerprint, "sampler": sampler, "versions": {"bayescale": "0"}}
    return bs.Fit(model, runs, design.scale, posterior, stats, facts)


def saved(fit: bs.Fit, path) -> bs.Fit:
    fit.save(path)
    back = bs.load_fit(path)
    assert back.posterior.identical(fit.posterior)
    assert back.sample_stats.identical(fit.sample_stats)
    assert back.runs.fingerprint == fit.runs.fingerprint
    assert back.model == fit.model
    assert list(back.runs.table.columns) == list(fit.runs.table.columns)
    return back


ODD_NAMES = [
    *("", " ", ".", "..", "/", "a/b", "a.b", "/a", "a/", "row", "chain", "draw", "x\0y", "\0"),
    *("é", "数", "😀", "a\nb", "\t", "%2F", "odd%41", "odd%", "index", "level_0", "1"),
    *("config/optimizer.lr", "Value", "Wall time", "_CLASS", "DIMENSION_LIST", "n" * 500),
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=[f"{i}" for i in range(len(ODD_NAMES))])
def test_columns_of_any_name_are_saved(name, tmp_path) -> None:
    runs = bs.load_runs("chinchilla")
    table = TABLE.assign(run=[f"r{i}" for i in range(12)])
    table[name] = np.arange(12.0) + 1
    runs = bs.Runs(table, "odd", ("a note",))
    back = saved(of_prior(bs.load_model("chinchilla"), runs), tmp_path / "fit.nc")
    np.testing.assert_array_equal(back.runs.table[name], np.arange(12.0) + 1)


def test_columns_of_all_odd_names_are_saved_at_once(tmp_path) -> None:
    table = TABLE.assign(run=[f"r{i}" for i in range(12)])
    for place, name in enumerate(ODD_NAMES):
        table[name] = np.arange(12.0) + place
    runs = bs.Runs(table, "odd", ("a note",))
    back = saved(of_prior(bs.load_model("chinchilla"), runs), tmp_path / "fit.nc")
    for place, name in enumerate(ODD_NAMES):
        np.testing.assert_array_equal(back.runs.table[name], np.arange(12.0) + place)


@pytest.mark.parametrize("name", ["a/b", "a.b", "row", "x\0y", "draw", "é ß"])
@pytest.mark.parametrize("levels", ["abc", ["", "\0", "a/b"]], ids=["plain", "odd"])
def test_fits_pooled_by_columns_of_any_name_are_saved(name, levels, tmp_path) -> None:
    pooled = bs.load_model("chinchilla-pooled")
    from dataclasses import replace

    model = replace(pooled, pooling=tuple(replace(p, over=name) for p in pooled.pooling))
    table = TABLE.assign(run=[f"r{i}" for i in range(12)])
    table[name] = [*levels] * 4
    fit = of_prior(model, bs.Runs(table, "odd"))
    back = saved(fit, tmp_path / "fit.nc")
    assert list(back.runs.table[name]) == list(table[name])
    with_export = tmp_path / "tree.nc"
    export_fit(back, with_export)
    assert xr.open_datatree(with_export, engine="h5netcdf")["posterior"].sizes["draw"] == 6


COLUMNS = {
    **{d: np.arange(12).astype(d) for d in ("int8", "uint64", "float16", "float32", "longdouble")},
    "large": np.arange(12, dtype="uint64") + 2**63,
    "complex": np.arange(12) * 1j,
    "big endian": np.arange(12, dtype=">f8"),
    "bool": np.arange(12) % 2 == 0,
    "Int64": pd.array([1, None, *range(10)], dtype="Int64"),
    "Float32": pd.array([1.5, None, *range(10)], dtype="Float32"),
    "boolean": pd.array([True, None] * 6, dtype="boolean"),
    "string": pd.array(["a", None] * 6, dtype="string"),
    "category": pd.Categorical(["a", "b", None] * 4),
    "of numbers": pd.Categorical([1, 2, 3] * 4),
    "time": pd.date_range("2024-01-01", periods=12),
    "zoned": pd.date_range("2024-01-01", periods=12, tz="Europe/Zurich"),
    "elapsed": pd.to_timedelta(range(12), unit="h"),
    "period": pd.period_range("2024-01", periods=12, freq="M"),
    "interval": pd.interval_range(0, 12),
    "sparse": pd.arrays.SparseArray([0.0, 1.0] * 6),
    "int of arrow": pd.array([1, None, *range(10)], dtype="int64[pyarrow]"),
    "text of arrow": pd.array(["a", None] * 6, dtype="string[pyarrow]"),
    "list of arrow": pd.Series([[1], [2, 3]] * 6).astype(
        pd.ArrowDtype(__import__("pyarrow").list_(__import__("pyarrow").int64()))
    ),
    "dates": [dt.date(2024, 1, 1)] * 12,
    "decimal": [decimal.Decimal("1.5")] * 12,
    "bytes": [b"\xff"] * 12,
    "dicts": [{"a": [1, {"b": None}]}] * 12,
    "lists": [[1, 2], []] * 6,
    "arrays": [np.arange(3)] * 12,
    "mixed": [1, "a", None, 2.5, True, b"x", (1,), {1}, np.nan, pd.NaT, pd.NA, object],
    "huge": [10**4000, 2**64, -1] * 4,
    "odd texts": ["a\0b", "json:", ""] * 4,
    "empty": [None] * 12,
    "long": ["x" * 100_000] * 12,
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_any_kind_are_saved(kind, tmp_path) -> None:
    runs = bs.load_runs(TABLE.assign(extra=COLUMNS[kind]))
    fit = of_prior(bs.load_model("chinchilla"), runs)
    # A column of dictionaries is read as one column per key.
    name = "extra" if "extra" in runs.table else "extra.a"
    back = saved(fit, tmp_path / "fit.nc").runs.table[name]
    same_values(back, runs.table[name])


def test_columns_of_all_kinds_are_saved_at_once(tmp_path) -> None:
    runs = bs.load_runs(TABLE.assign(**{f"as {kind}": COLUMNS[kind] for kind in COLUMNS}))
    back = saved(of_prior(bs.load_model("chinchilla"), runs), tmp_path / "fit.nc").runs.table
    for name in runs.table:
        same_values(back[name], runs.table[name])


def same_values(back: pd.Series, before: pd.Series) -> None:
    if before.dtype.kind in "biuf" and not before.isna().any():
        np.testing.assert_array_equal(back.to_numpy(), before.to_numpy())
    else:
        assert len(back) == 12
        assert back.notna().sum() >= before.notna().sum()


def _wandb(path) -> object:
    rows = [
        {
            "Name": f"run-{i}",
            "State": "finished",
            "_wandb": {"runtime": 12.5},
            "config": json.dumps({"model/params": n, "optim.lr": 3e-4, "": 1, "row": i}),
            "summary": json.dumps({"tokens": d, "eval/loss": loss, "_step": 5, "flag": True}),
        }
        for i, (n, d, loss) in enumerate(TABLE.to_numpy())
    ]
    table = pd.DataFrame(rows)
    table.to_csv(path / "wandb.csv", index=False)
    columns = {"n_params": "config.model/params", "n_tokens": "summary.tokens"}
    return path / "wandb.csv", columns | {"loss": "summary.eval/loss"}


def _mlflow(path) -> object:
    table = pd.DataFrame(
        {
            "run_id": [f"{i:032x}" for i in range(12)],
            "status": "FINISHED",
            "start_time": pd.date_range("2024-01-01", periods=12, tz="UTC"),
            "end_time": [pd.NaT, *pd.date_range("2024-01-02", periods=11, tz="UTC")],
            "params.n_params": TABLE.n_params.map(str),
            "metrics.tokens": TABLE.n_tokens,
            "metrics.val_loss": TABLE.loss,
            "tags.mlflow.log-model.history": '[{"run_id": "a\\u0000b"}]',
        }
    )
    columns = {"n_params": "params.n_params", "n_tokens": "metrics.tokens"}
    return table, columns | {"loss": "metrics.val_loss"}


def _tensorboard(path) -> object:
    table = pd.DataFrame(
        {"Wall time": 1.7e9 + np.arange(12), "Step": range(12), "Value": TABLE.loss}
    )
    table = table.assign(N=TABLE.n_params, D=TABLE.n_tokens)
    table.to_csv(path / "board.csv", index=False)
    return path / "board.csv", {"loss": "Value"}


def _pandas_csv(path) -> object:
    TABLE.to_csv(path / "indexed.csv")  # the index has no name
    return path / "indexed.csv", {}


def _pandas_json(path) -> object:
    TABLE.assign(**{"a.b": 1, "when": "2024-01-01"}).to_json(
        path / "runs.jsonl", orient="records", lines=True
    )
    return path / "runs.jsonl", {}


def _pandas_parquet(path) -> object:
    kinds = ("bool", "Int64", "category", "zoned", "elapsed", "lists", "decimal", "dates")
    TABLE.assign(**{kind: COLUMNS[kind] for kind in kinds}).to_parquet(path / "runs.parquet")
    return path / "runs.parquet", {}


@pytest.mark.parametrize(
    "read", [_wandb, _mlflow, _tensorboard, _pandas_csv, _pandas_json, _pandas_parquet]
)
def test_what_others_export_is_read_and_saved(read, tmp_path) -> None:
    source, columns = read(tmp_path)
    runs = bs.load_runs(source, columns=columns)
    np.testing.assert_allclose(runs.loss, TABLE.loss)
    model = bs.load_model("chinchilla")
    back = saved(of_prior(model, runs), tmp_path / "fit.nc")
    np.testing.assert_array_equal(back.runs.loss, runs.loss)
    store = DrawStore.open(tmp_path / "fit.draws", model, runs, {"sampler": {}, "versions": {}})
    assert len(dataset_to_table(store.content[0]["runs"])) == 12


WRITERS = {
    ".csv": lambda table, path: table.to_csv(path, index=False),
    ".tsv": lambda table, path: table.to_csv(path, index=False, sep="\t", encoding="utf-16"),
    ".txt": lambda table, path: table.to_csv(path, index=False, sep=";", decimal=","),
    ".parquet": lambda table, path: table.to_parquet(path),
    ".xlsx": lambda table, path: table.to_excel(path, index=False),
    ".jsonl": lambda table, path: table.to_json(path, orient="records", lines=True),
    ".json": lambda table, path: table.to_json(path, orient="records"),
}
"""How others write each format of table that is read."""


@pytest.mark.parametrize("suffix", _READERS)
def test_runs_of_every_format_are_read_and_saved(suffix, tmp_path) -> None:
    odd = {"a/b": 1.5, "row": range(12), "é": "ü", "family": ["x", "y"] * 6}
    WRITERS[suffix](TABLE.assign(**odd), tmp_path / f"runs{suffix}")
    runs = bs.load_runs(tmp_path / f"runs{suffix}")
    np.testing.assert_allclose(runs.loss, TABLE.loss)
    back = saved(of_prior(bs.load_model("chinchilla-pooled"), runs), tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(back.runs.table, runs.table)
    assert back.runs.reading == runs.reading


def test_long_notes_and_names_are_saved(tmp_path) -> None:
    """HDF5 keeps attributes in 64 kB unless asked otherwise."""
    table = TABLE.assign(run=["r" * 10_000] * 12)
    runs = bs.Runs(table, "n" * 10_000, tuple("note" * 20_000 for _ in range(20)))
    back = saved(of_prior(bs.load_model("chinchilla"), runs), tmp_path / "fit.nc")
    assert back.runs.notes == runs.notes


names = st.text(max_size=8)
values = st.one_of(
    st.lists(st.integers(), min_size=3, max_size=3),
    st.lists(st.floats(), min_size=3, max_size=3),
    st.lists(st.text(), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.text(), st.floats(), st.dates()), min_size=3, max_size=3),
)


@settings(max_examples=60)
@given(st.dictionaries(names, values, min_size=1, max_size=4))
def test_any_table_comes_back(columns) -> None:
    table = pd.DataFrame(columns)
    packed = pack_groups({"runs": table_to_dataset(table)}, {"facts": list(columns)})
    groups, facts = unpack_groups(packed, ["runs"], ["facts"], "file")
    back = dataset_to_table(groups["runs"])
    assert facts["facts"] == list(columns) == list(back.columns)
    for name in columns:
        if table[name].dtype.kind in "biuf":
            np.testing.assert_array_equal(back[name], table[name])
        else:
            shown = ["" if pd.isna(x) is True else str(x) for x in table[name]]
            assert list(back[name]) == shown
