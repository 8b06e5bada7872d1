"""Journal: an append-only file of records, each with its digest.

A record that a crash or a full disk truncates is detected and ignored.
"""

import hashlib
import io
import json
import logging
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayescale.data.netcdf import original_name, stored_name
from bayescale.errors import FitFileError

logger = logging.getLogger(__name__)

_DIGEST = 64
"""Length of the digest of a record, in bytes."""


class Record(NamedTuple):
    """A record: its facts, and where in the file its payload is."""

    facts: dict[str, Any]
    start: int
    size: int


class Journal:
    """A file of records.

    Attributes
    ----------
    path
        The file, which exists.
    records
        Its intact records, in order.
    """

    def __init__(self, path: Path, first_line: bytes) -> None:
        self.path = path
        self.records, self._end, self._size = _read(path, first_line)

    def last(self, kind: str, **facts: object) -> Record | None:
        """Return the last record of a kind with the given facts, or None."""
        wanted = {"kind": kind, **facts}.items()
        return next((r for r in reversed(self.records) if wanted <= r.facts.items()), None)

    def payload(self, record: Record) -> bytes:
        """Return the payload of a record."""
        with self.path.open("rb") as file:
            file.seek(record.start)
            return file.read(record.size)

    def add(self, facts: dict[str, Any], payload: bytes = b"") -> None:
        """Append a record.

        Raises
        ------
        FitFileError
            If another process appended to the file.
        OSError
            If it cannot be written; earlier records are kept.
        """
        whole = as_bytes(facts, payload)
        with self.path.open("r+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END) != self._size:
                raise FitFileError(
                    f"{self.path}: another process also adds draws to this file. Stop one of the "
                    "two, or give each its own file."
                )
            try:
                # Remove the rest of an incomplete write.
                file.truncate(self._end)
                file.seek(self._end)
                rest = memoryview(whole)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError as error:
                raise OSError(
                    f"{self.path}: draws could not be added ({error.strerror}). Earlier draws are "
                    "kept: free some space, and fit again with the same store to continue."
                ) from None
            finally:
                self._size = os.fstat(file.fileno()).st_size
        self._end += len(whole)
        self.records.append(Record(facts, self._end - len(payload), len(payload)))


def _read(path: Path, first_line: bytes) -> tuple[list[Record], int, int]:
    """Return the intact leading records of a file, the offset of their end, and its size."""
    records: list[Record] = []
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        end = file.seek(len(first_line))
        while end < size:
            digest, line = file.read(_DIGEST), file.readline()
            try:
                facts = json.loads(line)
                count = facts.pop("bytes")
                if not 0 <= count <= size - file.tell():
                    break
                payload = file.read(count)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                break
            if hashlib.sha256(line + payload).hexdigest().encode() != digest:
                break
            end = file.tell()
            records.append(Record(facts, end - len(payload), len(payload)))
    if end < size:
        logger.warning("%s: left out a damaged end of %d bytes", path, size - end)
    return records, end, size


def as_bytes(facts: Mapping[str, Any], payload: bytes) -> bytes:
    """Return a record as it is written: its digest, its facts as one line, and its payload."""
    line = json.dumps({**facts, "bytes": len(payload)}).encode() + b"\n"
    return hashlib.sha256(line + payload).hexdigest().encode() + line + payload


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as the payload of a record."""
    packed = io.BytesIO()
    named = {stored_name(name): values for name, values in arrays.items()}
    np.savez(packed, allow_pickle=False, **named)
    return packed.getvalue()


def unpack(packed: bytes) -> dict[str, NDArray[Any]]:
    """Return arrays that `pack` packed; no array is larger than its input."""
    with zipfile.ZipFile(io.BytesIO(packed)) as members:
        if any(m.compress_type != zipfile.ZIP_STORED for m in members.infolist()):
            raise ValueError("found compressed draws, which no store has")
        return {
            original_name(member.filename.removesuffix(".npy")): _array(members.read(member))
            for member in members.infolist()
        }


def _array(content: bytes) -> NDArray[Any]:
    read = io.BytesIO(content)
    if np.lib.format.read_magic(read) != (1, 0):
        raise ValueError("found an array of another format")
    shape, in_columns, dtype = np.lib.format.read_array_header_1_0(read)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - read.tell():
        raise ValueError("found an array that is not what its file holds")
    order: Literal["F", "C"] = "F" if in_columns else "C"
    return np.frombuffer(content[read.tell() :], dtype).reshape(shape, order=order)
