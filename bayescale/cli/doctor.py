"""Checks of an installation; each runs the part that it checks."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

OLDEST_PYTHON = (3, 12)


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check.

    Attributes
    ----------
    name
        Part of the installation.
    ok
        Whether it works.
    found
        What was found; for a failure, also what to do.
    """

    name: str
    ok: bool
    found: str


def check_installation(*, fit: bool = True) -> Iterator[Check]:
    """Check the interpreter, the packages, the compiler, the cache, the data and a small fit.

    Parameters
    ----------
    fit
        Also compile and sample a model, which takes seconds.

    Yields
    ------
    Check
        Each result as soon as its check ends. A check that raises fails with the message of its
        exception.
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
    for name, check in checks:
        try:
            yield Check(name, True, check())
        # Any exception is a failed check.
        except Exception as error:
            yield Check(name, False, " ".join(str(error).split()) or type(error).__name__)


def _python() -> str:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        raise RuntimeError(f"found Python {found}, expected 3.12 or newer; install a newer Python.")
    return found


def _packages() -> str:
    """Return the versions of the required packages; raise if one is missing or unsupported."""
    from packaging.requirements import Requirement

    installed, problems = [], []
    for text in metadata.requires("bayescale") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            problems.append(f"{requirement.name} is missing, expected {requirement.specifier}")
            continue
        installed.append(f"{requirement.name} {version}")
        if not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} is {version}, expected {requirement.specifier}")
    if problems:
        raise RuntimeError("; ".join(problems) + ". Reinstall bayescale in a fresh environment.")
    return ", ".join(installed)


def _compiler() -> str:
    import numba

    twice = numba.njit(lambda x: 2.0 * x)
    if twice(1.5) != 3.0:
        raise RuntimeError("a function compiled by numba returns a wrong result; reinstall numba.")
    return f"numba {numba.__version__} compiles"


def _cache() -> str:
    from pytensor.configdefaults import config

    folder = Path(str(config.compiledir))
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RuntimeError(
            f"{folder} is not writable ({error.strerror}); set "
            "PYTENSOR_FLAGS=base_compiledir=FOLDER to another folder."
        ) from None
    return f"{folder} is writable"


def _catalogue() -> str:
    from bayescale.data.catalog import dataset_folders, model_cards
    from bayescale.data.load import load_runs

    datasets, cards = dataset_folders(), model_cards()
    if not datasets or not cards:
        raise RuntimeError("found no datasets or no model cards; reinstall bayescale.")
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
