"""Is bayescale installed so that it works? Each part is tried, not assumed."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

OLDEST_PYTHON = (3, 12)


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, whether it is as it should be, and what was found or is to be done."""

    name: str
    ok: bool
    found: str


def check_installation(*, fit: bool = True) -> Iterator[Check]:
    """Check the interpreter, the packages, the compiler, the cache, the data and a small fit.

    Parameters
    ----------
    fit
        Compile and sample a model too, which takes seconds.

    Yields
    ------
    Check
        One at a time, as each is done; one that raises is a failure with its message.
    """
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python", _python),
        ("packages", _packages),
        ("compiler", _compiler),
        ("cache", _cache),
        ("catalogue", _catalogue),
    ]
    if fit:
        checks.append(("fit", _fit))
    for name, look in checks:
        try:
            yield Check(name, True, look())
        # Whatever is wrong with an installation is what is asked for.
        except Exception as error:
            yield Check(name, False, " ".join(str(error).split()) or type(error).__name__)


def _python() -> str:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        raise RuntimeError(f"found Python {found}, expected 3.12 or newer; install one.")
    return found


def _packages() -> str:
    """Return the versions of what bayescale requires, or raise with all that is amiss."""
    from packaging.requirements import Requirement

    found, wrong = [], []
    for text in metadata.requires("bayescale") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing, expected {requirement.specifier}")
            continue
        found.append(f"{requirement.name} {version}")
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, expected {requirement.specifier}")
    if wrong:
        raise RuntimeError("; ".join(wrong) + ". Install bayescale again in a fresh environment.")
    return ", ".join(found)


def _compiler() -> str:
    import numba

    twice = numba.njit(lambda x: 2.0 * x)
    if twice(1.5) != 3.0:
        raise RuntimeError("numba compiled a doubling that does not double; install numba again.")
    return f"numba {numba.__version__} compiles"


def _cache() -> str:
    from pytensor.configdefaults import config

    folder = Path(str(config.compiledir))
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RuntimeError(
            f"{folder} cannot be written to ({error.strerror}); name another folder in "
            "PYTENSOR_FLAGS=base_compiledir=FOLDER."
        ) from None
    return f"{folder} can be written to"


def _catalogue() -> str:
    from bayescale.data.catalog import dataset_folders, model_cards
    from bayescale.data.load import load_runs

    datasets, cards = dataset_folders(), model_cards()
    if not datasets or not cards:
        raise RuntimeError("found no datasets or no model cards; install bayescale again.")
    for name in datasets:
        load_runs(name)
    return f"{len(datasets)} datasets and {len(cards)} model cards"


def _fit() -> str:
    from bayescale.inference.fit import fit

    found = fit("chinchilla", "chinchilla", seed=1, progress=False)
    if not found.diagnostics.ok:
        raise RuntimeError(found.diagnostics.status)
    seconds = found.provenance["seconds"]
    return (
        f"all gates passed; compiled in {seconds['compile']:.1f} s, "
        f"sampled in {seconds['sample']:.1f} s"
    )
