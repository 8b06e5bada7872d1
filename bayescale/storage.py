"""One netCDF file of groups and facts, written whole or not at all, and read back or refused."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from bayescale.atomic import whole_file
from bayescale.dataset_card import DatasetCard
from bayescale.errors import FitFileError
from bayescale.outputs import SAVED_FIT, SEAL
from bayescale.runs import Runs

FORMAT = 1
_FORMAT_KEY = "bayescale_format"


def write_groups(
    path: str | Path, groups: Mapping[str, xr.Dataset], facts: Mapping[str, object]
) -> None:
    """Write datasets as groups, and facts as JSON in the attributes of the root."""
    SAVED_FIT.check(path)
    content = pack_groups(groups, facts)
    with whole_file(path) as part:
        part.write_bytes(content)


def pack_groups(groups: Mapping[str, xr.Dataset], facts: Mapping[str, object]) -> bytes:
    """Return the content of the file that `write_groups` writes."""
    tree = xr.DataTree.from_dict(dict(groups))
    tree.attrs = {_FORMAT_KEY: FORMAT} | {name: json.dumps(fact) for name, fact in facts.items()}
    # Through memory: HDF5 on a full disk leaves files it cannot close, and crashes at exit.
    return seal(bytes(tree.to_netcdf(engine="h5netcdf")))


def read_groups(
    path: Path, groups: Sequence[str], facts: Sequence[str]
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Read what `write_groups` wrote; anything else raises FitFileError."""
    if not path.is_file():
        raise FitFileError(f"{path}: there is no such file. Give the path of a saved fit.")
    return unpack_groups(path.read_bytes(), groups, facts, path)


def unpack_groups(
    content: bytes, groups: Sequence[str], facts: Sequence[str], path: Path
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Return what `pack_groups` packed; anything else raises FitFileError."""
    tree = xr.load_datatree(io.BytesIO(_unseal(content, path)), engine="h5netcdf")
    if tree.attrs.get(_FORMAT_KEY) != FORMAT:
        raise FitFileError(
            f"{path}: found format {tree.attrs.get(_FORMAT_KEY)}, expected {FORMAT}. It was "
            "written by another version of bayescale; fit again."
        )
    return (
        {name: tree[name].to_dataset() for name in groups},
        {name: json.loads(tree.attrs[name]) for name in facts},
    )


def seal(content: bytes) -> bytes:
    """Return the content of a file with its digest as the last line."""
    return content + SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n"


def _unseal(sealed: bytes, path: Path) -> bytes:
    # Checked before HDF5 sees the file: its readers do not take damage quietly.
    content, _, _ = sealed.rpartition(SEAL)
    if not content or seal(content) != sealed:
        raise FitFileError(
            f"{path}: not a saved fit of bayescale, or damaged or cut short: its last line is not "
            "the digest of its content. Give a file that `Fit.save` or `bayescale fit --out` "
            "wrote, or fit again."
        )
    return content


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


def runs_facts(runs: Runs) -> dict[str, Any]:
    """Return what there is to say of runs beside their table."""
    return {
        "name": runs.name,
        "notes": list(runs.notes),
        "derived": dict(runs.derived),
        "card": asdict(runs.card) if runs.card else None,
        "observed": list(runs.observed),
        "response": runs.response,
    }


def runs_from(dataset: xr.Dataset, facts: Mapping[str, Any]) -> Runs:
    """Return the runs of a table that `table_to_dataset` stored, and of their facts."""
    card = facts["card"]
    return Runs(
        _table=dataset_to_table(dataset),
        name=facts["name"],
        notes=tuple(facts["notes"]),
        derived=facts["derived"],
        card=DatasetCard.from_dict(card, "saved card") if card else None,
        observed=tuple(facts["observed"]),
        response=facts["response"],
    )
