"""Sample with other seeds than were asked for: in a process of tests, and in those that it starts.

What provenance records stays as it was asked for, and so does everything that is not sampled.
"""

import importlib.util
import os
import sys
from dataclasses import replace
from importlib.abc import MetaPathFinder
from pathlib import Path

SAMPLES = "bayescale.inference.nutpie"
"""The module whose class samples."""


def shift_seeds() -> None:
    """Add `BAYESCALE_TEST_SEED` to the seed of every sampler, from when that is imported."""
    shift = int(os.environ.get("BAYESCALE_TEST_SEED", "0"))
    if shift and SAMPLES in sys.modules:
        _shift(sys.modules[SAMPLES].NutpieSampler, shift)
    elif shift:
        sys.meta_path.insert(0, _WhenImported(shift))


def shift_in_processes() -> None:
    """Let processes that are started from here do the same, however they import bayescale."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


class _WhenImported(MetaPathFinder):
    """Shift seeds in the module that samples as soon as it is there, and import nothing before."""

    def __init__(self, shift: int) -> None:
        self.shift = shift

    def find_spec(self, fullname, path, target=None):
        if fullname != SAMPLES:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            _shift(module.NutpieSampler, self.shift)

        spec.loader.exec_module = exec_module
        return spec


def _shift(sampler, shift: int) -> None:
    sample = sampler.sample
    # A worker of the tests is asked twice: when Python starts, and when pytest does.
    if sample.__name__ == "shifted":
        return

    def shifted(self, data, settings, *others, **options):
        seed = (settings.seed + shift) % 2**64
        return sample(self, data, replace(settings, seed=seed), *others, **options)

    sampler.sample = shifted
