"""What the examples of docstrings and the tests share."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bayescale.inference.nutpie import CompiledLogp

DRAWN = pytest.StashKey[dict[Any, Any]]()
"""Draws by density, data and settings."""


@pytest.fixture
def drawn_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw once per session what several documents draw alike: the same seed gives the same draws.

    That it does is for other tests. Fits that keep their draws in a file are sampled anew.
    """
    drawn = request.config.stash.setdefault(DRAWN, {})
    sample = CompiledLogp.sample

    def once(self, data, settings, progress=None, starts=None, keep=None):
        if keep is not None:
            return sample(self, data, settings, progress, starts, keep)
        key = (id(self), data.tobytes(), settings, None if starts is None else starts.tobytes())
        if key not in drawn:
            # The density is kept with its draws, so that no other takes its place in memory.
            drawn[key] = self, sample(self, data, settings, progress, starts)
        _, (positions, statistics) = drawn[key]
        return {name: x.copy() for name, x in positions.items()}, statistics.copy(deep=True)

    monkeypatch.setattr(CompiledLogp, "sample", once)


@pytest.fixture(autouse=True)
def no_figure_stays_open() -> Iterator[None]:
    """Close the figures that an example or a test has drawn."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(autouse=True)
def examples_draw_once(request: pytest.FixtureRequest) -> None:
    """Let the examples of docstrings be documents."""
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("drawn_once")
