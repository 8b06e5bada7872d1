"""The training texts, from packages that every installation has.

Three corpora, chosen to be dissimilar: English prose (documentation of scientific packages), code
(the standard library of Python, without comments and docstrings) and names in 312 languages (the
Common Locale Data Repository). Duplicates within a corpus are removed, and a tenth of the
documents, by a hash of their names, is held out for validation.

Other versions of the packages have other texts, so a table of runs has the digest of its corpora.
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
import platform
import re
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale._digests import digest_of
from bayescale._io import whole_file
from bayescale.inference.compile_cache import folder as cache_folder

type Document = tuple[str, str]
"""Name, whose hash assigns the document to training or validation, and text."""

SEPARATOR = b"\0"
"""Byte between documents."""

VALIDATION = 10
"""One in this many documents is for validation."""

DOCUMENTED = ("matplotlib", "numpy", "pandas", "pymc", "pytensor", "scipy", "xarray")
"""Packages whose docstrings are the prose: dependencies of bayescale."""

ENTRIES = 40
"""Lines of a document of names."""


@dataclass(frozen=True)
class Origin:
    """The packages of a corpus, and its digest and size on this installation."""

    packages: dict[str, str]
    licences: str
    digest: str
    training_bytes: int
    validation_bytes: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Corpus:
    """Bytes for training and for validation, each document followed by a zero byte."""

    name: str
    training: NDArray[np.uint8]
    validation: NDArray[np.uint8]
    origin: Origin


@cache
def corpus(name: str) -> Corpus:
    """Return a corpus from the installed packages; it is cached in a file."""
    documents, packages, licences = CORPORA[name]
    versions = {package: _version(package) for package in packages}
    key = digest_of(name, versions, Path(__file__).read_text(encoding="utf-8"))
    kept = cache_folder() / "texts" / f"{name}-{key[:16]}.npz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(kept) as part:
            np.savez_compressed(part, **split(documents()))
    with np.load(kept) as parts:
        training, validation = parts["training"], parts["validation"]
    digest = hashlib.sha256(training.tobytes() + SEPARATOR + validation.tobytes()).hexdigest()
    return Corpus(
        name,
        training,
        validation,
        Origin(
            versions,
            licences,
            f"sha256:{digest}",
            len(training),
            len(validation),
        ),
    )


def split(documents: Iterable[Document]) -> dict[str, NDArray[np.uint8]]:
    """Return the bytes of documents for training and for validation, by a hash of their names."""
    parts: dict[str, list[bytes]] = {"training": [], "validation": []}
    for title, text in documents:
        first = hashlib.sha256(title.encode()).digest()[0]
        own = parts["training" if first % VALIDATION else "validation"]
        own += [text.encode("utf-8"), SEPARATOR]
    return {name: np.frombuffer(b"".join(own), np.uint8) for name, own in parts.items()}


def prose() -> Iterator[Document]:
    """Yield paragraphs of docstrings without examples, one document per module."""
    seen: set[str] = set()
    for package in DOCUMENTED:
        for path in _modules(_folder(package), but={"tests", "testing", "test"}):
            kept = []
            for docstring in _docstrings(ast.parse(path.read_text(encoding="utf-8"))):
                for paragraph in re.split(r"\n\s*\n", docstring):
                    text = paragraph.strip("\n")
                    if ">>>" not in text and _new(" ".join(text.split()), seen):
                        kept.append(text)
            if kept:
                yield (
                    f"{package}/{path.relative_to(_folder(package)).as_posix()}",
                    "\n\n".join(kept),
                )


def code() -> Iterator[Document]:
    """Yield the statements of the standard library in one style, one document per module."""
    seen: set[str] = set()
    root = Path(sysconfig.get_path("stdlib"))
    # Some are missing in some distributions; others are tests or data.
    apart = {
        "test",
        "tests",
        "idlelib",
        "tkinter",
        "turtledemo",
        "lib2to3",
        "ensurepip",
        "encodings",
    }
    apart |= {"site-packages", "dist-packages", "pydoc_data"}
    for path in _modules(root, but=apart):
        # Generated when the interpreter was built, with paths of that machine.
        if path.name.startswith(("_sysconfigdata", "_sysconfig_vars")) or "config-" in str(path):
            continue
        tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            if ast.get_docstring(node, clean=False) if isinstance(node, _DOCUMENTED) else None:
                node.body = node.body[1:] or [ast.Pass()]
        statements = [text for text in map(ast.unparse, tree.body) if _new(text, seen)]
        if statements:
            yield path.relative_to(root).as_posix(), "\n".join(statements)


def names() -> Iterator[Document]:
    """Yield names of languages, places, units, currencies and times, by locale and kind."""
    from babel import localedata

    seen: set[str] = set()
    for locale in sorted(localedata.locale_identifiers()):
        entries = localedata.load(locale, merge_inherited=False)
        for kind in sorted(map(str, entries)):
            lines = [
                f"{key}: {text}"
                for key, text in _texts(entries.get(kind), kind)
                if _new(text, seen)
            ]
            for start in range(0, len(lines), ENTRIES):
                heading = f"[{locale} {kind}]"
                yield f"{heading} {start}", "\n".join([heading, *lines[start : start + ENTRIES]])


CORPORA: dict[str, tuple[Callable[[], Iterable[Document]], tuple[str, ...], str]] = {
    "prose": (
        prose,
        DOCUMENTED,
        "BSD-3-Clause (numpy, pandas, pytensor, scipy), Apache-2.0 (pymc, xarray), "
        "matplotlib's own, which is based on PSF-2.0",
    ),
    "code": (code, ("python",), "PSF-2.0"),
    "names": (names, ("babel",), "Unicode-3.0 (the data), BSD-3-Clause (babel)"),
}
"""Documents, packages and licences of each corpus."""

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _new(text: str, seen: set[str]) -> bool:
    """Return whether a text is new, and add it to those seen."""
    if not text or text in seen:
        return False
    seen.add(text)
    return True


def _version(package: str) -> str:
    return platform.python_version() if package == "python" else importlib.metadata.version(package)


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"The texts need the package {package}: pip install {package}")
    return Path(found.origin).parent


def _modules(root: Path, but: set[str]) -> list[Path]:
    """Return the modules below a folder in a platform-independent order."""
    found = (path for path in root.rglob("*.py") if not but & set(path.relative_to(root).parts))
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
            yield text


def _texts(entry: object, key: str) -> Iterator[tuple[str, str]]:
    """Yield every text below an entry, with its key."""
    if isinstance(entry, str):
        yield key, entry
    elif isinstance(entry, dict):
        for inner in sorted(entry, key=str):
            yield from _texts(entry[inner], str(inner))
