"""On-disk cache of the machine code of log densities, shared between sessions.

Building the graph of a model, its gradient and the machine code takes most of the time of a short
fit. The key is a digest of everything the code depends on: the card, the padded number of levels,
the modules of this package that build the graph, the versions and settings of the compilers and the
processor.
Files that are incomplete or have another key are ignored.
"""

import hashlib
import json
import logging
import os
import platform
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bayescale._io import whole_file
from bayescale.inference.native import Code, processor
from bayescale.inference.private_files import make_private_folder, read_private

logger = logging.getLogger(__name__)

_COMPILERS = ("pymc", "pytensor", "numba", "llvmlite", "numpy")
_COMPILED_BY = (
    "bayescale.backend.build",
    "bayescale.inference.compile",
    "bayescale.inference.compile_cache",
)
"""The modules that build a graph and compile it."""

_IMPORT = re.compile(r"^\s*from (bayescale[\w.]*) import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)


_NUMBA_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "USING_SVML", "BOUNDSCHECK")
"""Settings of Numba, from the environment or a file, that the code depends on."""

_reported: set[str] = set()
"""Reasons for not caching that were already reported, so that each is reported once."""

_MOST = 256
"""Maximal number of cached densities; the least recently used are evicted."""


@dataclass(frozen=True, eq=False)
class Density:
    """A compiled log density: the order of its variables in a position, and its two functions."""

    order: tuple[str, ...]
    logp: Code
    expand: Code


def kept(what: str, make: Callable[[], Density]) -> Density:
    """Return a density from the cache, or compile and cache it.

    Parameters
    ----------
    what
        Text of everything that the density depends on, besides this package and its compilers.
    make
        Compiles the density.
    """
    where = folder()
    try:
        make_private_folder(where)
    except OSError as error:
        # Cached code is executed, so it is only read from folders that nobody else can write.
        said = str(error)
        if said not in _reported:
            _reported.add(said)
            logger.warning("no compiled density is kept: %s", said)
        return make()
    path = where / f"{_digest(what)}.json"
    try:
        found = _read(path)
    except FileNotFoundError:
        pass
    except Exception as error:
        logger.warning("%s: a file of the compile cache is not used (%s)", path, error)
    else:
        return found
    density = make()
    try:
        if digest_of_modules(_COMPILED_BY) != _IMPORTED:
            raise ValueError("the package changed on disk since it was imported")
        _write(path, density)
        _make_room(path.parent)
    except Exception as error:  # a full disk, or another Numba: the fit itself must not fail
        logger.info("%s: the compiled density was not kept (%s)", path, error)
    return density


def folder() -> Path:
    """Return the cache folder: ``BAYESCALE_CACHE_DIR``, or the user's cache folder."""
    import platformdirs

    chosen = os.environ.get("BAYESCALE_CACHE_DIR")
    return Path(chosen) if chosen else platformdirs.user_cache_path("bayescale", appauthor=False)


def _read(path: Path) -> Density:
    digest, _, body = read_private(path).partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("it is not what was written")
    content = json.loads(body)
    logp, expand = (Code.from_dict(content[name]) for name in ("logp", "expand"))
    os.utime(path)
    return Density(tuple(content["order"]), logp, expand)


def _write(path: Path, density: Density) -> None:
    content = {
        "order": list(density.order),
        "logp": density.logp.to_dict(),
        "expand": density.expand.to_dict(),
    }
    body = json.dumps(content).encode()
    with whole_file(path, private=True) as part:
        part.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def _make_room(where: Path) -> None:
    used = sorted(where.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in used[_MOST:]:
        path.unlink(missing_ok=True)


def _digest(what: str) -> str:
    from numba.core import config

    parts = [what, _IMPORTED, platform.python_version(), processor()]
    parts += [f"{name} {getattr(config, name)}" for name in _NUMBA_SETTINGS]
    parts += [f"{name} {version(name)}" for name in _COMPILERS]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def digest_of_modules(names: Iterable[str]) -> str:
    """Return a digest of modules and their imports (`modules_behind`), as they are on disk."""
    digest = hashlib.sha256()
    for name, path in sorted(modules_behind(names).items()):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def modules_behind(names: Iterable[str]) -> dict[str, Path]:
    """Return the files of modules of this package and of their imports from it, by name.

    Imports are parsed from the source, wherever they stand in a module; a name imported from a
    package counts as a module if there is one of that name.
    """
    root = Path(__file__).parents[1]
    found: dict[str, Path] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        place = root.joinpath(*name.split(".")[1:])
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        # The root package re-exports everything and builds no graph.
        if name == "bayescale" or name in found or not path.is_file():
            continue
        found[name] = path
        for source, first, rest in _IMPORT.findall(path.read_text(encoding="utf-8")):
            parts = re.findall(r"\w+", first + rest)
            waiting += [source, *(f"{source}.{part}" for part in parts)]
    return found


_IMPORTED = digest_of_modules(_COMPILED_BY)
"""Digest of the modules that determine what is compiled, when the package was imported; later
sessions may import changed ones."""
