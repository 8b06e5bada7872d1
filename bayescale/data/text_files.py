"""Read the text of a file, and recognise its encoding."""

from pathlib import Path

from bayescale.data.notes import Note
from bayescale.errors import RunsError

_BINARY = {
    b"PK\x03\x04": "a spreadsheet or another archive (zip)",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of old Excel",
    b"PAR1": "a Parquet file; end its name in .parquet",
    b"\x1f\x8b": "compressed by gzip; decompress it",
    b"%PDF": "a PDF",
    b"\x89HDF": "an HDF5 or netCDF file",
}
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def first_line(error: Exception) -> str:
    """Return the first line of a message, shortened, or the name of an error without one."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return line if len(line) <= 200 else f"{line[:200]}..."


def unreadable(path: Path, error: Exception) -> RunsError:
    """Return the error for a file that a parser cannot read."""
    return RunsError(f"{path}: could not be read as {path.suffix} ({first_line(error)}).")


def text_of(path: Path) -> tuple[str, tuple[Note, ...]]:
    """Return the text of a file, with a note on its encoding unless it is UTF-8.

    Raises
    ------
    RunsError
        If the file is not text, or its encoding is unknown.
    """
    content = path.read_bytes()
    for start, kind in _BINARY.items():
        if content.startswith(start):
            raise RunsError(f"{path}: could not be read as {path.suffix}: it is {kind}.")
    encoding = _BOMS.get(content[:2], "")
    if not encoding and b"\x00" in content[:4]:
        encoding = "utf-16-be" if content[0] == 0 else "utf-16-le"
    if encoding:
        try:
            return content.decode(encoding), (Note("read as UTF-16", "format"),)
        except UnicodeDecodeError:
            raise RunsError(
                f"{path}: could not be read as {path.suffix}: it starts like text in UTF-16, "
                "but is not valid UTF-16. Save it as UTF-8."
            ) from None
    if content.lstrip()[:1] == b"<":
        raise RunsError(
            f"{path}: could not be read as {path.suffix}: it is a web page or other markup. Save "
            "the table itself."
        )
    if b"\x00" in content:
        line = content.count(b"\n", 0, content.index(b"\x00")) + 1
        raise RunsError(
            f"{path}: could not be read as {path.suffix}: line {line} holds the byte 0x00, which "
            "is not text. The file may be damaged; save it again as UTF-8."
        )
    try:
        return content.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"line {line} holds the byte 0x{content[error.start]:02x}, which is not UTF-8"
    try:
        # Digits, signs and Latin letters agree between encodings; labels in other scripts may not.
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        raise RunsError(
            f"{path}: could not be read as {path.suffix}: {found} nor Windows-1252. Save it as "
            "UTF-8."
        ) from None
    return text, (Note(f"read as Windows-1252, since {found}", "format"),)
