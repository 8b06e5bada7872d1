"""Sample with seeds other than requested: in the test process and in those that it starts.

Provenance records the requested seed, and everything that is not sampled is unchanged.
"""

import importlib.util
import os
import sys
from dataclasses import replace
from importlib.abc import MetaPathFinder
from pathlib import Path

SAMPLES = "bayescale.inference.nutpie"
"""The module of the sampler class."""


def shift_seeds() -> None:
    """Add `BAYESCALE_TEST_SEED` to the seed of the sampler as soon as its module is imported."""
    shift = int(os.environ.get("BAYESCALE_TEST_SEED", "0"))
    if shift and SAMPLES in sys.modules:
        _shift(sys.modules[SAMPLES].NutpieSampler, shift)
    elif shift:
        sys.meta_path.insert(0, _WhenImported(shift))


def shift_in_processes() -> None:
    """Shift seeds in child processes as well, however they import bayescale."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


class _WhenImported(MetaPathFinder):
    """Shift seeds when the module of the sampler is imported, without importing it here."""

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
    # In a worker process this runs twice: at the start of Python and of pytest.
    if sample.__name__ == "shifted":
        return

    def shifted(self, data, settings, *others, **options):
        seed = (settings.seed + shift) % 2**64
        return sample(self, data, replace(settings, seed=seed), *others, **options)

    sampler.sample = shifted
