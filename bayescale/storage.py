"""One netCDF file of groups and facts, written whole or not at all, and read back or refused."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from bayescale.atomic import whole_file
from bayescale.errors import FitFileError

FORMAT = 1
_FORMAT_KEY = "bayescale_format"


def write_groups(
    path: str | Path, groups: Mapping[str, xr.Dataset], facts: Mapping[str, object]
) -> None:
    """Write datasets as groups, and facts as JSON in the attributes of the root."""
    tree = xr.DataTree.from_dict(dict(groups))
    tree.attrs = {_FORMAT_KEY: FORMAT} | {name: json.dumps(fact) for name, fact in facts.items()}
    # Through memory: HDF5 on a full disk leaves files it cannot close, and crashes at exit.
    content = tree.to_netcdf(engine="h5netcdf")
    with whole_file(path) as part:
        part.write_bytes(content)


def read_groups(
    path: Path, groups: Sequence[str], facts: Sequence[str]
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Read what `write_groups` wrote; anything else raises FitFileError."""
    if not path.is_file():
        raise FitFileError(f"{path}: there is no such file. Give the path of a saved fit.")
    try:
        tree = xr.load_datatree(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FitFileError(
            f"{path}: could not be read as netCDF ({reason}). The file is damaged, cut short, or "
            "something else; fit again and save."
        ) from None
    lacking = [name for name in (_FORMAT_KEY, *facts) if name not in tree.attrs]
    lacking += [name for name in groups if name not in tree.children]
    if lacking:
        raise FitFileError(
            f"{path}: not a saved fit of bayescale ({', '.join(lacking)} missing). Give a file "
            "that `Fit.save` or `bayescale fit --out` wrote."
        )
    if int(tree.attrs[_FORMAT_KEY]) != FORMAT:
        raise FitFileError(
            f"{path}: found format {tree.attrs[_FORMAT_KEY]}, expected {FORMAT}. It was written "
            "by another version of bayescale; fit again."
        )
    return (
        {name: tree[name].to_dataset() for name in groups},
        {name: json.loads(tree.attrs[name]) for name in facts},
    )


def table_to_dataset(table: pd.DataFrame) -> xr.Dataset:
    """Return a table with its rows along ``row``; what is not a number becomes text."""
    columns = {}
    for name in table.columns:
        values = table[name]
        if values.dtype.kind in "iuf":
            columns[name] = ("row", values.to_numpy())
        else:
            texts = values.astype(object).where(values.notna(), "").map(str)
            columns[name] = ("row", texts.to_numpy(dtype=object))
    return xr.Dataset(columns)


def dataset_to_table(dataset: xr.Dataset) -> pd.DataFrame:
    """Return the table that `table_to_dataset` stored."""
    return pd.DataFrame({str(name): dataset[name].to_numpy() for name in dataset.data_vars})
