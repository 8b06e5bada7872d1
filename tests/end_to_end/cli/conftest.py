"""A saved fit, and a function that runs a command and shows its warnings."""

import warnings

import pytest

from bayescale.errors import BayescaleWarning


@pytest.fixture(scope="session")
def saved(fit, tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "fit.nc"
    fit.save(path)
    return str(path)


@pytest.fixture
def run(run):
    def call(*arguments: str) -> tuple[int, str, str]:
        # Elsewhere in the suite warnings are errors; here the command line prints them.
        with warnings.catch_warnings():
            warnings.simplefilter("always", BayescaleWarning)
            return run(*arguments)

    return call
