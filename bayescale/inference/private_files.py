"""Folders and files that only the user can change.

Executable code is only read from such places. On systems without file owners in the POSIX sense,
such as Windows, files in the user's folders are trusted.
"""

import os
import stat
from pathlib import Path

_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def make_private_folder(folder: Path) -> None:
    """Create a folder and its missing parents, accessible to the user only.

    Raises
    ------
    PermissionError
        If another user could change its content; the message says which folder and why.
    OSError
        If it cannot be created.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
    refuse_open_folder(folder)


def refuse_open_folder(folder: Path) -> None:
    """Raise PermissionError if another user could change the content of a folder or replace it.

    Anyone who can write to a parent folder can replace the folder, unless the parent is sticky as
    ``/tmp`` is; both a symbolic link and its target are checked.
    """
    if not hasattr(os, "getuid"):
        return
    resolved = Path(os.path.realpath(folder))
    for place in dict.fromkeys((resolved, *resolved.parents, *folder.absolute().parents)):
        found = place.stat()
        above = place != resolved
        if found.st_uid != os.getuid() and not (above and found.st_uid == 0):
            raise PermissionError(f"{place} belongs to another user (number {found.st_uid})")
        if found.st_mode & _OF_OTHERS and not (above and found.st_mode & stat.S_ISVTX):
            raise PermissionError(
                f"others can write to {place}; `chmod go-w` it, or choose another folder"
            )


def read_private(path: Path) -> bytes:
    """Return the content of a file.

    Raises
    ------
    PermissionError
        If it is a symbolic link, not a regular file, owned by another user, or writable by others.
    FileNotFoundError
        If it does not exist.
    """
    if not hasattr(os, "getuid"):
        return path.read_bytes()
    if path.is_symlink():
        raise PermissionError(f"{path} is a link")
    # Checked on the open handle, to avoid a race; non-blocking, in case it is a pipe.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise PermissionError(f"{path} is no plain file")
        if found.st_uid != os.getuid():
            raise PermissionError(f"{path} belongs to another user (number {found.st_uid})")
        if found.st_mode & _OF_OTHERS:
            raise PermissionError(f"others can write to {path}")
        return file.read()
