"""Fixtures that doctests and tests share."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bayescale.inference.nutpie import CompiledLogp

collect_ignore = ["bayescale/explore/page.py"]
"""A script for Streamlit: it has no example, and is slow to import."""

DRAWN = pytest.StashKey[dict[Any, Any]]()
"""Cached draws, by compiled density, data and settings."""


@pytest.fixture
def drawn_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache draws over the session, since documents repeat fits and a seed determines the draws.

    Other tests check that it does. Fits with a store are always sampled.
    """
    drawn = request.config.stash.setdefault(DRAWN, {})
    sample = CompiledLogp.sample

    def once(self, data, settings, progress=None, starts=None, keep=None):
        if keep is not None:
            return sample(self, data, settings, progress, starts, keep)
        key = (id(self), data.tobytes(), settings, None if starts is None else starts.tobytes())
        if key not in drawn:
            # The density is kept with its draws, so that its id() stays unique.
            drawn[key] = self, sample(self, data, settings, progress, starts)
        _, (positions, statistics) = drawn[key]
        return {name: x.copy() for name, x in positions.items()}, statistics.copy(deep=True)

    monkeypatch.setattr(CompiledLogp, "sample", once)


@pytest.fixture(autouse=True)
def no_figure_stays_open() -> Iterator[None]:
    """Close the figures that a doctest or a test has drawn."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(autouse=True)
def examples_draw_once(request: pytest.FixtureRequest) -> None:
    """Cache draws in doctests too."""
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("drawn_once")
