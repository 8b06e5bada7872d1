"""Check, before reading, that an HDF5 file has only features that bayescale writes.

HDF5 can refer to other files on the machine that opens it (external storage, links, virtual
datasets), and a small file can expand to more data than there is memory. A saved fit uses none of
this, only plain datasets stored in the file.
"""

from typing import TYPE_CHECKING, Any

from bayescale.errors import FitFileError, quoted

if TYPE_CHECKING:
    import h5py

_MAX_OBJECTS = 50_000
_MAX_VALUES_OF_ATTRIBUTE = 10_000
_STRINGS_PER_BATCH = 64


def check_hdf5(file: "h5py.File", size: int) -> None:
    """Raise FitFileError for a feature that no saved fit uses.

    Parameters
    ----------
    file
        The file, open for reading.
    size
        Its size in bytes, an upper limit on its content.
    """
    import h5py

    pending: list[h5py.Group] = [file]
    seen: set[int] = set()
    amount = 0
    while pending:
        group = pending.pop()
        amount += _check_attributes(group)
        for name in group:
            where = quoted(f"{group.name}/{name}".removeprefix("//"))
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _refused(where, "a link to something else")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen or len(seen) > _MAX_OBJECTS:
                raise _refused(where, "the same object again, or too many of them")
            seen.add(address)
            if isinstance(item, h5py.Group):
                pending.append(item)
            elif isinstance(item, h5py.Dataset):
                amount += _check_dataset(item, where) + _check_attributes(item)
            else:
                raise _refused(where, f"a {type(item).__name__}")
            if amount > size:
                raise _refused(where, f"more data than the {size:,} bytes of the file")
    for dataset in _text_datasets(file):
        amount += _length_of_texts(dataset, size - amount)


def _refused(where: str, what: str) -> FitFileError:
    return FitFileError(f"found {what} at {where}, which no saved fit has")


def _check_dataset(dataset: "h5py.Dataset", where: str) -> int:
    """Return the bytes of a dataset; raise if its data are not stored in the file."""
    properties = dataset.id.get_create_plist()
    if properties.get_external_count() or dataset.is_virtual:
        raise _refused(where, "data in another file")
    if properties.get_nfilters():
        raise _refused(where, "compressed data")
    if dataset.dtype.kind not in "biufSO" or (dataset.dtype.kind == "O" and not _is_text(dataset)):
        raise _refused(where, f"data of type {quoted(dataset.dtype)}")
    return int(dataset.size or 0) * int(dataset.dtype.itemsize)


def _check_attributes(item: Any) -> int:
    amount = 0
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        count = 1
        for length in attribute.shape or ():
            count *= length
        if count > _MAX_VALUES_OF_ATTRIBUTE:
            raise _refused(quoted(f"{item.name}@{name}"), f"an attribute of {count:,} values")
        amount += count * int(attribute.dtype.itemsize)
    return amount


def _is_text(dataset: "h5py.Dataset") -> bool:
    import h5py

    return h5py.check_string_dtype(dataset.dtype) is not None


def _text_datasets(file: "h5py.File") -> "list[h5py.Dataset]":
    import h5py

    datasets: list[h5py.Dataset] = []

    def collect(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "O":
            datasets.append(item)

    file.visititems(collect)
    return datasets


def _length_of_texts(dataset: "h5py.Dataset", limit: int) -> int:
    """Return the bytes of texts, read in batches, since many may share one copy in the file."""
    if dataset.ndim != 1:
        raise _refused(quoted(dataset.name), "texts that are no column")
    total = 0
    for begin in range(0, len(dataset), _STRINGS_PER_BATCH):
        total += sum(map(len, dataset[begin : begin + _STRINGS_PER_BATCH]))
        if total > limit:
            raise _refused(quoted(dataset.name), "more text than the file can hold")
    return total
