"""Read and write a netCDF file of groups and metadata, atomically and with a checksum."""

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale._io import plain, whole_file
from bayescale._outputs import SAVED_FIT, SEAL, is_saved_fit
from bayescale.data.card import DatasetCard
from bayescale.data.hdf5_check import check_hdf5
from bayescale.data.notes import Note
from bayescale.data.reading import Reading
from bayescale.data.runs import Runs
from bayescale.errors import FitFileError, quoted

FORMAT = 1
_FORMAT_KEY = "bayescale_format"


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENCODED = "odd%"
"""Prefix of encoded names, for names that HDF5 does not allow."""

_ROW = "row"
_ESCAPED = "bayescale_json"
"""Attribute that marks texts stored as JSON."""


def write_groups(
    path: str | Path, groups: Mapping[str, xr.Dataset], facts: Mapping[str, object]
) -> None:
    """Write datasets as groups, and facts as JSON in the attributes of the root."""
    SAVED_FIT.check(path)
    content = pack_groups(groups, facts)
    with whole_file(path) as part:
        part.write_bytes(content)


def pack_groups(groups: Mapping[str, xr.Dataset], facts: Mapping[str, object]) -> bytes:
    """Return the content of a file as written by `write_groups`."""
    tree = xr.DataTree.from_dict(dict(groups))
    texts = {name: json.dumps(fact, default=_plain) for name, fact in facts.items()}
    tree.attrs = {_FORMAT_KEY: FORMAT} | texts
    # In memory: on a full disk HDF5 leaves files that it cannot close, and crashes at exit.
    return seal(bytes(tree.to_netcdf(engine="h5netcdf")))


def read_groups(
    path: Path, groups: Sequence[str], facts: Sequence[str]
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Read a file written by `write_groups`; any other raises FitFileError."""
    if not path.is_file():
        raise FitFileError(f"{path}: there is no such file. Give the path of a saved fit.")
    # Check the end of the file before reading it, since other files may be of any size.
    return unpack_groups(path.read_bytes() if is_saved_fit(path) else b"", groups, facts, path)


def unpack_groups(
    content: bytes, groups: Sequence[str], facts: Sequence[str], path: Path
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Return the groups packed by `pack_groups`; any other content raises FitFileError."""
    import h5py

    unsealed = _unseal(content, path)
    with refusing_damage(path):
        with h5py.File(io.BytesIO(unsealed), "r") as file:
            check_hdf5(file, len(unsealed))
        tree = xr.load_datatree(io.BytesIO(unsealed), engine="h5netcdf")
        found = tree.attrs.get(_FORMAT_KEY)
        if found != FORMAT:
            raise FitFileError(
                f"{path}: found format {quoted(plain(found))}, expected {FORMAT}. It was "
                "written by another version of bayescale; fit again."
            )
        return (
            {name: tree[name].to_dataset() for name in groups},
            {name: json.loads(tree.attrs[name]) for name in facts},
        )


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Raise FitFileError for any error in reading an untrusted file."""
    try:
        yield
    except FitFileError as error:
        raise FitFileError(str(error) if str(path) in str(error) else f"{path}: {error}.") from None
    except Exception as error:  # the errors of malformed files cannot be enumerated
        reason = quoted(str(error) or type(error).__name__, 200)
        raise FitFileError(
            f"{path}: not a saved fit of bayescale, though it ends like one ({reason}). Give a "
            "file that `Fit.save` or `bayescale fit --out` wrote, or fit again."
        ) from None


def seal(content: bytes) -> bytes:
    """Return the content of a file with its checksum as the last line."""
    return content + SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n"


def _unseal(sealed: bytes, path: Path) -> bytes:
    # Verify the checksum before HDF5 opens the file, since its readers may crash on damage.
    content, _, _ = sealed.rpartition(SEAL)
    if not content or seal(content) != sealed:
        raise FitFileError(
            f"{path}: not a saved fit of bayescale, or damaged or cut short: its last line is not "
            "the digest of its content. Give a file that `Fit.save` or `bayescale fit --out` "
            "wrote, or fit again."
        )
    return content


def table_to_dataset(table: pd.DataFrame) -> xr.Dataset:
    """Return a table as a dataset with dimension ``row``; non-numeric columns become text.

    Numbers and booleans of any library come back as NumPy types, integers with missing values as
    floats. Times, categories and objects come back as their text, missing ones as empty text.
    """
    return xr.Dataset(
        {
            stored_name(str(name), _ROW): _stored((_ROW,), _values(table[name]))
            for name in table.columns
        }
    )


def dataset_to_table(dataset: xr.Dataset) -> pd.DataFrame:
    """Return the table that `table_to_dataset` stored."""
    return pd.DataFrame(
        {original_name(str(name)): _restored(x) for name, x in dataset.data_vars.items()}
    )


def draws_to_dataset(draws: xr.Dataset) -> xr.Dataset:
    """Return draws with names and level labels encoded for HDF5."""
    names = {str(name): stored_name(str(name)) for name in (*draws.variables, *draws.dims)}
    labels = {
        names[str(name)]: _stored((names[str(name)],), index.to_numpy())
        for name, index in draws.coords.items()
        if index.dims == (name,)
    }
    renamed = draws.rename({old: new for old, new in names.items() if old != new})
    return renamed.assign_coords(labels)


def dataset_to_draws(dataset: xr.Dataset) -> xr.Dataset:
    """Return the draws that `draws_to_dataset` stored."""
    labels = {
        name: ((name,), _restored(index))
        for name, index in dataset.coords.items()
        if _ESCAPED in index.attrs
    }
    names = {str(name): original_name(str(name)) for name in (*dataset.variables, *dataset.dims)}
    return dataset.assign_coords(labels).rename(
        {old: new for old, new in names.items() if old != new}
    )


def stored_name(name: str, reserved: str = "") -> str:
    """Return a name encoded for HDF5 if necessary; `original_name` decodes it."""
    if _PLAIN.fullmatch(name) and name != reserved:
        return name
    return _ENCODED + quote(name, safe="", errors="surrogatepass")


def original_name(name: str) -> str:
    """Return the original of a name encoded by `stored_name`."""
    return (
        unquote(name[len(_ENCODED) :], errors="surrogatepass")
        if name.startswith(_ENCODED)
        else name
    )


def _values(column: "pd.Series[Any]") -> NDArray[Any]:
    kind = column.dtype.kind
    if kind == "b" and not column.isna().any():
        return column.to_numpy(dtype=np.bool_)
    if kind in "iuf":
        values = column.to_numpy()
        if values.dtype.kind not in "iuf":
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        # netCDF only has floats of 32 and 64 bits.
        is_unsupported = values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8)
        return values.astype(np.float64) if is_unsupported else values
    return np.array([_text(value) for value in column], dtype=object)


def _text(value: object) -> str:
    missing = pd.isna(value)  # type: ignore[call-overload]
    return "" if isinstance(missing, bool | np.bool_) and missing else str(value)


def _stored(dims: tuple[str, ...], values: NDArray[Any]) -> tuple[Any, ...]:
    """Return values as a variable stores them; texts that HDF5 cannot store become JSON."""
    if values.dtype.kind in "biuf" or all(map(_is_storable, values)):
        return dims, values
    return dims, np.array([json.dumps(str(x)) for x in values], dtype=object), {_ESCAPED: 1}


def _restored(variable: xr.DataArray) -> NDArray[Any]:
    """Return the original values of a variable made by `_stored`."""
    values = variable.to_numpy()
    if _ESCAPED not in variable.attrs:
        return values
    return np.array([json.loads(text) for text in values], dtype=object)


def _is_storable(text: object) -> bool:
    # HDF5 texts end at a null character, and have no lone surrogates.
    try:
        return b"\0" not in str(text).encode()
    except UnicodeEncodeError:
        return False


def _plain(value: object) -> object:
    """Convert NumPy numbers and dates for JSON."""
    return value.item() if isinstance(value, np.generic) else str(value)


def runs_facts(runs: Runs) -> dict[str, Any]:
    """Return the metadata of runs."""
    return {
        "name": runs.name,
        "notes": [Note.of(note).to_dict() for note in runs.notes],
        "derived": dict(runs.derived),
        "card": asdict(runs.card) if runs.card else None,
        "observed": list(runs.observed),
        "response": runs.response,
        "units": dict(runs.units),
        "reading": runs.reading.to_dict() if runs.reading else None,
    }


def runs_from(dataset: xr.Dataset, facts: Mapping[str, Any]) -> Runs:
    """Return runs from a table stored by `table_to_dataset`, and their metadata."""
    card = facts["card"]
    return Runs(
        _table=dataset_to_table(dataset),
        name=facts["name"],
        notes=tuple(map(Note.of, facts["notes"])),
        derived=facts["derived"],
        card=DatasetCard.from_dict(card, "saved card") if card else None,
        observed=tuple(facts["observed"]),
        response=facts["response"],
        units=facts.get("units", {}),
        reading=Reading.of(reading) if (reading := facts.get("reading")) else None,
    )
