"""Folders and files that are the user's own, and that nobody else can change.

What is executed is read from such places alone. Where the system knows no owners of files, as on
Windows, whatever lies in the user's own folders is taken for theirs.
"""

import os
import stat
from pathlib import Path

_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def make_private_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing, for nobody but the user.

    Raises
    ------
    PermissionError
        If somebody else could change what is in it; the message says which folder and why.
    OSError
        If it cannot be made.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
    refuse_open_folder(folder)


def refuse_open_folder(folder: Path) -> None:
    """Raise PermissionError if somebody else could change what is in a folder, or replace it.

    Whoever can write to a folder above can put another in its place, unless it is sticky as
    ``/tmp`` is; what a link leads to counts as well as where the link is.
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
    """Return what a file holds.

    Raises
    ------
    PermissionError
        If it is a link, no plain file, somebody else's, or others can write to it.
    FileNotFoundError
        If there is none.
    """
    if not hasattr(os, "getuid"):
        return path.read_bytes()
    if path.is_symlink():
        raise PermissionError(f"{path} is a link")
    # Asked of what is open, so that it cannot be another file by then; a pipe must not block.
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
