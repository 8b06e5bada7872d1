"""Private names of Numba, PyTensor and nutpie: all that are used, in one place.

No public name stores the machine code of a function, or gives nutpie the address of loaded code.
`benchmarks/compilation.py` measures the time they save. If another version lacks one,
`ChangedError` is raised, and `bayescale.inference.samplers` takes the public path instead.
"""

import base64
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from functools import cache, cached_property
from importlib import import_module
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale.errors import BayescaleError

_CALLS_PYTHON = b"objmode"
"""Marks the symbols of code that calls back into Python and so cannot be cached."""


_FASTMATH = re.compile(r"= f\w+ [\w ]*\b(?:reassoc|contract|afn|arcp|fast)\b")
"""An operation of LLVM whose rounding may differ from one compilation to the next."""


class ChangedError(BayescaleError):
    """A private name of another package is missing or has changed."""


@contextmanager
def _private(name: str) -> Iterator[None]:
    """Raise ChangedError for names that another version of a package does not have."""
    try:
        yield
    except (AttributeError, ImportError, NotImplementedError) as error:
        raise ChangedError(f"{name} is not as it was: {error}") from error


@dataclass(frozen=True, eq=False)
class Code:
    """Machine code of one C function.

    Attributes
    ----------
    symbol
        Its name in the library.
    library
        Owner of its memory, which must outlive all calls.
    """

    symbol: str
    library: Any

    @cached_property
    def address(self) -> int:
        """Memory address."""
        return int(self.library.get_pointer_to_function(self.symbol))

    @classmethod
    def of(cls, cfunc: Any) -> "Code":
        """Return the code of a function that Numba compiled for C."""
        with _private("numba's CFunc"):
            return cls(cfunc._wrapper_name, cfunc._library)

    def to_dict(self) -> dict[str, Any]:
        """Return the code in a form that JSON can hold."""
        if self.library.has_dynamic_globals:
            raise ValueError(f"{self.symbol} holds addresses of this process")
        if _FASTMATH.search(self.library.get_llvm_str()):
            raise ValueError(f"{self.symbol} was compiled with fastmath")
        name, kind, parts = self.library.serialize_using_object_code()
        if any(_CALLS_PYTHON in part for part in parts):
            raise ValueError(f"{self.symbol} calls back into Python")
        encoded = [base64.b64encode(part).decode() for part in parts]
        return {"symbol": self.symbol, "library": [name, kind, encoded]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Code":
        """Load code from the cache."""
        from numba.core.registry import cpu_target
        from numba.core.runtime.nrt import rtsys

        context = cpu_target.target_context
        rtsys.initialize(context)
        name, kind, encoded = content["library"]
        parts = tuple(base64.b64decode(part) for part in encoded)
        library = context.codegen().unserialize_library((name, kind, parts))
        return cls(content["symbol"], library)


def processor() -> str:
    """Return the target of Numba: triple, processor and its features."""
    with _private("numba.core.registry.cpu_target"):
        from numba.core.registry import cpu_target

        return repr(cpu_target.target_context.codegen().magic_tuple())


def inner_function(function: Any) -> Any:
    """Return PyTensor's compiled function, without the wrapper that checks and copies inputs."""
    with _private("the virtual machine of PyTensor"):
        return function.vm.jit_fn


@cache
def _generated() -> TemporaryDirectory[str]:
    """Return a folder that is removed when the process ends."""
    return TemporaryDirectory(prefix="bayescale-")


def settings_of_pytensor() -> dict[str, Any]:
    """Return PyTensor's settings for compiling graphs, independent of those of the process."""
    from pytensor.configdefaults import config

    # Recording where each variable was made takes a third of the time of rewriting a graph.
    settings: dict[str, Any] = {"floatX": "float64", "traceback__limit": 0}
    # Otherwise each function leaves a file in the temporary folder. Older versions of
    # PyTensor have no such setting.
    if not getattr(config, "generated_src_dir", "there is none"):
        settings["generated_src_dir"] = _generated().name
    return settings


def numba_function(op: Any, node: Any) -> Any:
    """Return the Numba function that PyTensor has for an operation."""
    with _private("pytensor.link.numba.dispatch"):
        from pytensor.link.numba.dispatch.basic import numba_funcify_ensure_cache

        return numba_funcify_ensure_cache(op, node=node)[0]


class _ImportedWhenUsed(ModuleType):
    """A placeholder for a module, which is imported when an attribute of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


def nutpie() -> Any:
    """Return nutpie, imported without ArviZ, which it needs for its own traces alone."""
    if "nutpie" in sys.modules or "arviz" in sys.modules:
        return import_module("nutpie")
    instead = sys.modules["arviz"] = _ImportedWhenUsed("arviz")
    try:
        return import_module("nutpie")
    finally:
        if sys.modules.get("arviz") is instead:
            del sys.modules["arviz"]


_RECORD = (
    *("dims", "reparameterized_names", "compiled_logp_func", "compiled_expand_func"),
    *("initial_point_func", "shared_data", "shared_var_keys", "user_data", "n_expanded"),
    *("shape_info", "logp_func", "expand_func", "_n_dim", "_shapes", "_coords"),
)
"""The fields of nutpie's record of a compiled model."""


def check_record() -> None:
    """Raise ChangedError unless nutpie's record of a compiled model has the known fields."""
    with _private("nutpie.compile_pymc.CompiledPyMCModel"):
        nutpie()
        from nutpie.compile_pymc import CompiledPyMCModel

        found = {each.name: each for each in fields(CompiledPyMCModel)}
    needed = {name for name, each in found.items() if each.default is MISSING}
    if not set(_RECORD) <= set(found) or not needed <= set(_RECORD):
        raise ChangedError(f"nutpie's record of a compiled model has {', '.join(found)}")


def nutpie_model(
    logp: Code,
    expand: Code,
    data: NDArray[np.float64],
    start: Callable[[int], NDArray[np.float64]],
    shapes: Mapping[str, tuple[int, ...]],
    slices: list[slice],
) -> Any:
    """Return the model that nutpie samples: machine code, called with the address of its data."""
    from nutpie.compile_pymc import CompiledPyMCModel

    size = slices[-1].stop
    return CompiledPyMCModel(
        dims={},
        reparameterized_names=[],
        compiled_logp_func=logp,
        compiled_expand_func=expand,
        initial_point_func=start,
        shared_data={},
        shared_var_keys={},
        user_data=data,
        n_expanded=size,
        shape_info=(list(shapes), slices, list(shapes.values())),
        logp_func=None,
        expand_func=None,
        _n_dim=size,
        _shapes=dict(shapes),
        _coords={},
    )
