"""Atomic writing of files, and conversion to JSON, which has neither NaN nor NumPy numbers."""

import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def whole_file(path: str | Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path next to `path`, which replaces `path` on success.

    An existing file at `path` stays unchanged until the new one is complete. A private file can
    be read and written by the user only.
    """
    refuse_unwritable(path)
    # The target of a symbolic link is replaced, as when opening a file for writing.
    target = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.name}.", suffix=f".part{target.suffix}"
    )
    os.close(handle)
    part = Path(name)
    try:
        yield part
        if not private:
            # mkstemp creates private files; the result should have the default permissions.
            umask = os.umask(0)
            os.umask(umask)
            part.chmod(0o666 & ~umask)
        part.replace(target)
    except OSError as error:
        if error.strerror and error.filename is None:
            error.filename = str(path)  # A full disk names no file.
        raise
    finally:
        part.unlink(missing_ok=True)


def refuse_unwritable(path: str | Path) -> None:
    """Raise OSError if no file can be written at `path`: no such folder, or not a regular file."""
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; give the path of a file.")
    if target.exists() and not target.is_file():
        raise FileExistsError(f"{target} is a device or a pipe; give the path of a file.")
    target = Path(os.path.realpath(target))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"The folder {target.parent} does not exist; make it first.")
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(f"The folder {target.parent} cannot be written to.")


def plain(value: Any) -> Any:
    """Return a value converted to JSON types; non-finite numbers become null.

    Examples
    --------
    >>> plain({"sizes": np.array([1.5, np.nan]), "ok": np.bool_(True)})
    {'sizes': [1.5, None], 'ok': True}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(x) for key, x in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value if value is None else str(value)


def json_text(value: Any, indent: int = 2) -> str:
    """Return a value as strictly valid JSON."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)
