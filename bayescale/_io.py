"""Atomic writing of files."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
