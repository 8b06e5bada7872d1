"""Loading an untrusted fit file: no other file is read, and memory is limited."""

import hashlib
import io
import json

import h5py
import numpy as np
import pytest
import xarray as xr

import bayescale as bs
from bayescale._outputs import FIRST_LINE_OF_DRAWS
from bayescale.data.hdf5_check import check_hdf5
from bayescale.data.netcdf import pack_groups, seal, unpack_groups
from bayescale.errors import FitFileError
from bayescale.inference.checkpoint import DrawStore
from bayescale.inference.journal import as_bytes, pack, unpack


def _made(change, tmp_path) -> bytes:
    """Return a file that ends like a saved fit, with contents that no saved fit has."""
    plain = pack_groups({"runs": xr.Dataset({"a": ("row", np.arange(4.0))})}, {"facts": 1})
    path = tmp_path / "made.h5"
    path.write_bytes(plain[: plain.rindex(b"\nbayescale sha256 ")])
    with h5py.File(path, "r+") as file:
        change(file, tmp_path)
    return seal(path.read_bytes())


def _external_storage(file, folder) -> None:
    secret = str(folder / "secret").encode()
    file.create_dataset("x", (4,), "f8", external=[(secret, 0, 32)])


def _external_link(file, folder) -> None:
    file["x"] = h5py.ExternalLink(str(folder / "other.h5"), "/a")


def _soft_link(file, folder) -> None:
    file["x"] = h5py.SoftLink("/runs/a")


def _same_again(file, folder) -> None:
    file["x"] = file["runs/a"]


def _circle(file, folder) -> None:
    file["runs/again"] = file["runs"]


def _virtual(file, folder) -> None:
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "a", (4,))
    file.create_virtual_dataset("x", layout)


def _compressed(file, folder) -> None:
    file.create_dataset("x", data=np.zeros(10**6), compression="gzip")


def _never_written(file, folder) -> None:
    file.create_dataset("x", (10**12,), "f8")


def _chunks_never_written(file, folder) -> None:
    file.create_dataset("x", (10**6, 10**6), "f8", chunks=(1000, 1000))


def _one_text_many_times(file, folder) -> None:
    """Two hundred thousand strings of 1 MB, all at the same offset of the file."""
    data = file.create_dataset("x", (200_000,), h5py.string_dtype())
    data[0] = "y" * 2**20
    address, raw = data.id.get_offset(), folder / "made.h5"
    file.flush()
    content = bytearray(raw.read_bytes())
    content[address + 16 : address + 16 * 200_000] = content[address : address + 16] * 199_999
    file.close()
    raw.write_bytes(content)


def _references(file, folder) -> None:
    file.create_dataset("x", data=[file["runs"].ref], dtype=h5py.ref_dtype)


def _compound(file, folder) -> None:
    file.create_dataset("x", data=np.zeros(3, dtype=[("a", "f8"), ("b", "i4")]))


def _ragged(file, folder) -> None:
    file.create_dataset("x", (3,), h5py.vlen_dtype(np.float64))


def _named_type(file, folder) -> None:
    file["x"] = np.dtype("f8")


def _large_attribute(file, folder) -> None:
    file["runs"].attrs.create("x", ["y"] * 20_000, dtype=h5py.string_dtype())


def _table_of_texts(file, folder) -> None:
    file.create_dataset("x", (2, 2), h5py.string_dtype())


ATTACKS = {
    _external_storage: "data in another file",
    _external_link: "a link to something else",
    _soft_link: "a link to something else",
    _same_again: "the same object again",
    _circle: "the same object again",
    _virtual: "data in another file",
    _compressed: "compressed data",
    _never_written: "more data than the",
    _chunks_never_written: "more data than the",
    _one_text_many_times: "more text than the file can hold",
    _references: "data of type",
    _compound: "data of type",
    _ragged: "data of type",
    _named_type: "a Datatype",
    _large_attribute: "an attribute of 20,000 values",
    _table_of_texts: "texts that are no column",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_features_that_no_saved_fit_has_are_refused_unread(attack, tmp_path) -> None:
    (tmp_path / "secret").write_bytes(np.arange(4.0).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["a"] = np.arange(4.0)
    content = _made(attack, tmp_path)
    with pytest.raises(FitFileError, match=ATTACKS[attack]) as caught:
        unpack_groups(content, ["runs"], ["facts"], tmp_path / "made.nc")
    assert str(tmp_path / "made.nc") in str(caught.value)
    (tmp_path / "fit.nc").write_bytes(content)
    with pytest.raises(FitFileError):
        bs.load_fit(tmp_path / "fit.nc")


def test_a_saved_fit_passes_the_check(tmp_path) -> None:
    content = _made(lambda file, folder: None, tmp_path)
    groups, facts = unpack_groups(content, ["runs"], ["facts"], tmp_path)
    assert groups["runs"]["a"].to_numpy().tolist() == [0.0, 1.0, 2.0, 3.0]
    assert facts == {"facts": 1}
    with h5py.File(io.BytesIO(content), "r") as file:
        check_hdf5(file, len(content))


@pytest.fixture(scope="module")
def whole(fit, tmp_path_factory) -> bytes:
    """The content of a saved fit, without its checksum."""
    path = tmp_path_factory.mktemp("whole") / "fit.nc"
    fit.save(path)
    return path.read_bytes().rpartition(b"\nbayescale sha256 ")[0]


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"model": 3},
        {"model": {"law": "chinchilla"}},
        {"scale": {"reference": 1, "more": 2}},
        {"scale": []},
        {"runs": {"name": 1}},
        {"runs": {"card": {"id": 3}}},
        {"provenance": 3},
        {"provenance": {"sampler": "x"}},
    ],
    ids=json.dumps,
)
def test_invalid_facts_are_refused(facts, whole, tmp_path) -> None:
    changed = tmp_path / "changed.nc"
    changed.write_bytes(whole)
    with h5py.File(changed, "r+") as file:
        for name in ("model", "scale", "runs", "provenance"):
            if not facts:
                del file.attrs[name]
            elif name in facts:
                file.attrs[name] = json.dumps(facts[name])
    changed.write_bytes(seal(changed.read_bytes()))
    with pytest.raises(FitFileError, match="changed.nc"):
        bs.load_fit(changed).diagnostics  # noqa: B018


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, '{"a":', "NaN", "\ud800"])
def test_facts_that_are_not_json_are_refused(text, whole, tmp_path) -> None:
    changed = tmp_path / "changed.nc"
    changed.write_bytes(whole)
    with h5py.File(changed, "r+") as file:
        file.attrs["model"] = text.encode("utf-8", "surrogatepass")
    changed.write_bytes(seal(changed.read_bytes()))
    with pytest.raises(FitFileError, match="changed.nc"):
        bs.load_fit(tmp_path / "changed.nc")


def test_a_large_file_that_is_no_fit_is_not_read(tmp_path) -> None:
    sparse = tmp_path / "large.nc"
    with sparse.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(FitFileError, match="not a saved fit"):
        bs.load_fit(sparse)


# Stores of draws.


def _zip(**options: object) -> bytes:
    packed = io.BytesIO()
    np.savez_compressed(packed, a=np.zeros(10**6))
    return packed.getvalue()


def test_draws_of_other_types_are_refused() -> None:
    arrays = {"draws/a": np.arange(6.0).reshape(2, 3), "x\0/y": np.arange(3), "b": np.array(True)}
    back = unpack(pack(arrays))
    assert list(back) == list(arrays)
    assert all(np.array_equal(back[name], arrays[name]) for name in arrays)
    with pytest.raises(ValueError, match="compressed draws"):
        unpack(_zip())
    packed = pack({"a": np.zeros((2, 3))})
    with pytest.raises(ValueError, match="not what its file holds"):
        unpack(_reheaded(packed, b"(2, 3), ", b"(9, 9), "))


def _reheaded(packed: bytes, old: bytes, new: bytes) -> bytes:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(packed)) as members:
        content = members.read("a.npy").replace(old, new)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as members:
        members.writestr("a.npy", content)
    return out.getvalue()


def test_a_record_that_says_it_is_endless_is_left_out(tmp_path) -> None:
    runs = bs.load_runs("chinchilla")
    model = bs.load_model("chinchilla")
    path = tmp_path / "fit.draws"
    DrawStore.open(path, model, runs, {"sampler": {}, "versions": {"bayescale": "0"}})
    whole = path.read_bytes()
    for count in (2**62, -1, "x", None, 1e9):
        line = json.dumps({"kind": "done", "bytes": count}).encode() + b"\n"
        path.write_bytes(whole + hashlib.sha256(line).hexdigest().encode() + line)
        assert DrawStore(path).finished is None
    path.write_bytes(FIRST_LINE_OF_DRAWS + as_bytes({"kind": "fit"}, b"no HDF5"))
    with pytest.raises(FitFileError):
        bs.load_fit(path)
