"""The kinds of files that bayescale writes, and which existing files they may replace.

Output may replace an older file of the same kind, and no other, so that a table of runs, a card or
a fit given as input is not overwritten by mistake.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from bayescale._io import refuse_unwritable

SEAL = b"\nbayescale sha256 "
"""Start of the last line of a saved fit, which holds the digest of all preceding bytes. HDF5
readers ignore trailing bytes, so the file remains valid netCDF."""

FIRST_LINE_OF_DRAWS = b"bayescale draws 1\n"
"""First line of a store of draws."""

WORKBOOK_CREATOR = "bayescale"
"""The creator that a workbook names, by which an older export is known."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_OF_SWEEP = (
    *("run", "budget", "n_params", "n_tokens", "seed", "compute"),
    *("learning_rate", "batch_tokens", "n_steps", "days", "money"),
)
"""The columns that a sweep to launch may have."""

_BEGINNING = 4096
_ENDING = 128


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """One kind of file.

    Attributes
    ----------
    called
        Name in messages.
    forms
        By suffix, a function that returns whether an existing file is of this kind, and may be
        replaced. The suffix ``""`` stands for any.
    """

    called: str
    forms: Mapping[str, Callable[[Path], bool]]

    def check(self, path: str | Path) -> None:
        """Raise unless a file of this kind can be written here without replacing one of another.

        Raises
        ------
        OSError
            If the folder does not exist or is not writable, or if the name belongs to a file of
            another kind.
        ValueError
            If the suffix is of another kind.
        """
        target = Path(path)
        refuse_unwritable(target)
        is_own = self.forms.get(target.suffix.lower(), self.forms.get(""))
        if is_own is None:
            raise ValueError(
                f"{target}: found the suffix {target.suffix or 'none'!r}, expected one of "
                f"{', '.join(self.forms)} for {self.called}."
            )
        if target.exists() and target.stat().st_size and not _is_of_kind(is_own, target):
            raise FileExistsError(
                f"{target}: found a file that is not {self.called} written by bayescale. It was "
                "not changed; give another path."
            )


def is_saved_fit(path: Path) -> bool:
    """Return whether a file ends as a saved fit does; its integrity is not checked."""
    return SEAL in _end(path)


def _is_of_kind(is_own: Callable[[Path], bool], path: Path) -> bool:
    try:
        return is_own(path)
    except (ValueError, RecursionError):
        return False


def _begin(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_BEGINNING)


def _end(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _ENDING))
        return file.read()


def _is_hdf5(path: Path) -> bool:
    return _begin(path).startswith(_HDF5)


def _is_tree(path: Path) -> bool:
    return _is_hdf5(path) and not is_saved_fit(path)


def _is_table_of_draws(path: Path) -> bool:
    return _begin(path).startswith(b"chain,draw,")


def _is_sweep(path: Path) -> bool:
    # With a further column, such as the losses of these runs, it is no longer a plan.
    header = _begin(path).partition(b"\n")[0].decode().rstrip("\r").split(",")
    return header[:4] == list(_OF_SWEEP[:4]) and set(header) <= set(_OF_SWEEP)


def _is_parquet_of_draws(path: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names[:2]) == ["chain", "draw"]
    except pa.ArrowException:
        return False


def _is_workbook_of_fit(path: Path) -> bool:
    try:
        with ZipFile(path) as parts:
            about = parts.read("docProps/core.xml")
    except (BadZipFile, KeyError, OSError, NotImplementedError, RuntimeError):
        return False
    return f"<dc:creator>{WORKBOOK_CREATOR}</dc:creator>".encode() in about


def _has(*keys: str) -> Callable[[Path], bool]:
    def has(path: Path) -> bool:
        content = json.loads(path.read_bytes())
        return isinstance(content, dict) and set(keys) <= set(content)

    return has


def _is_page(path: Path) -> bool:
    return b'<meta name="generator" content="bayescale">' in _begin(path)


def _is_text_of_report(path: Path) -> bool:
    text = path.read_bytes()
    return b"**Diagnostics: " in text and b"\n## How far to trust this\n" in text


def _is_learnt_card(path: Path) -> bool:
    return b'why = "learnt from ' in path.read_bytes()


def _is_store_of_draws(path: Path) -> bool:
    return _begin(path).startswith(FIRST_LINE_OF_DRAWS)


def _is_store_of_results(path: Path) -> bool:
    # Only the start is compared, since the first line may be truncated by a crash.
    return _begin(path).lstrip().startswith(b'{"key": ')


def _any(path: Path) -> bool:
    return True


SAVED_FIT = Output("a saved fit", {".nc": _is_hdf5})
EXPORT = Output(
    "an export",
    {
        ".csv": _is_table_of_draws,
        ".parquet": _is_parquet_of_draws,
        ".nc": _is_tree,
        ".json": _has("model", "law", "coefficients", "provenance"),
        ".xlsx": _is_workbook_of_fit,
    },
)
REPORT = Output(
    "a report",
    {
        ".html": _is_page,
        ".htm": _is_page,
        ".md": _is_text_of_report,
        ".markdown": _is_text_of_report,
        ".json": _has("passed", "answers", "budgets", "format"),
    },
)
FORECASTS = Output("forecasts", {".json": _has("format", "content", "sha256")})
SWEEP = Output("a sweep to launch", {".csv": _is_sweep})
LEARNT_CARD = Output("a card with learnt priors", {".toml": _is_learnt_card})
FIGURE = Output("a figure", dict.fromkeys((".png", ".pdf", ".svg", ".jpg", ".jpeg", ".webp"), _any))
DRAWS = Output("a store of draws", {"": _is_store_of_draws})
RESULTS = Output("a store of results", {"": _is_store_of_results})
