"""Digests of everything that a result depends on, stable across sessions: keys of stored results.

A law, a cost or a counting convention may be a user-defined function, which has no version: its
code, its constants and everything that it refers to are part of the digest.
"""

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_KNOWN = sys.stdlib_module_names | {
    "bayescale",
    "numpy",
    "pandas",
    "pymc",
    "pytensor",
    "scipy",
    "xarray",
}
"""Packages whose functions are identified by name. The version of this package is part of every
key; the others hold caches that change between calls."""

_NOT_OF_A_CLASS = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__"}
)


def digest_of(*things: object) -> str:
    """Return the SHA-256 of values, functions and objects, by content.

    Examples
    --------
    >>> def double(x):
    ...     return 2 * x
    >>> def treble(x):
    ...     return 3 * x
    >>> digest_of(double) == digest_of(treble), digest_of(1, "a") == digest_of(1, "a")
    (False, True)
    """
    found = hashlib.sha256()
    for part in _parts(things, {}):
        found.update(len(part).to_bytes(8, "little") + part)
    return found.hexdigest()


def _parts(thing: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    """Yield the content of an object, each part with its type, in a canonical order."""
    yield type(thing).__qualname__.encode()
    if thing is None or isinstance(thing, bool | int | float | complex | str | bytes | np.generic):
        yield hex(thing).encode() if type(thing) is int else repr(thing).encode()
        return
    if id(thing) in seen:
        return
    seen[id(thing)] = thing  # a reference, so that no later object gets the same id
    if isinstance(thing, np.ndarray) and thing.dtype != object:
        yield from (str(thing.dtype).encode(), str(thing.shape).encode(), thing.tobytes())
    elif isinstance(thing, set | frozenset):
        yield "".join(sorted(digest_of(element) for element in thing)).encode()
    elif isinstance(thing, Mapping):
        for key, value in thing.items():
            yield from _parts(key, seen)
            yield from _parts(value, seen)
    elif isinstance(thing, list | tuple):
        yield str(len(thing)).encode()
        for element in thing:
            yield from _parts(element, seen)
    elif isinstance(thing, ModuleType):
        yield thing.__name__.encode()
    elif isinstance(thing, CodeType):
        yield thing.co_code
        yield from _parts((thing.co_names, thing.co_varnames, thing.co_consts), seen)
    elif isinstance(thing, FunctionType):
        yield from _of_function(thing, seen)
    elif isinstance(thing, MethodType):
        yield from _parts((thing.__func__, thing.__self__), seen)
    elif isinstance(thing, partial):
        yield from _parts((thing.func, thing.args, thing.keywords), seen)
    elif isinstance(thing, type):
        yield from _of_class(thing, seen)
    else:
        yield from _of_object(thing, seen)


def _is_known(module: str | None) -> bool:
    return (module or "").split(".")[0] in _KNOWN


def _of_function(function: FunctionType, seen: dict[int, Any]) -> Iterator[bytes]:
    yield f"{function.__module__}.{function.__qualname__}".encode()
    if _is_known(function.__module__) and function.__closure__ is None:
        return
    code = function.__code__
    yield from _parts((code, function.__defaults__, function.__kwdefaults__), seen)
    for cell in function.__closure__ or ():
        try:
            yield from _parts(cell.cell_contents, seen)
        except ValueError:  # an empty cell: a name without a value yet
            yield b"nothing"
    for name in _names(code):
        if name in function.__globals__:
            yield name.encode()
            yield from _parts(function.__globals__[name], seen)


def _names(code: CodeType) -> list[str]:
    inner = [name for c in code.co_consts if isinstance(c, CodeType) for name in _names(c)]
    return sorted({*code.co_names, *inner})


def _of_class(cls: type, seen: dict[int, Any]) -> Iterator[bytes]:
    for base in cls.__mro__:
        yield f"{base.__module__}.{base.__qualname__}".encode()
        if _is_known(base.__module__):
            continue
        for name, value in sorted(vars(base).items()):
            if name in _NOT_OF_A_CLASS or name.startswith("_abc_"):
                continue
            yield name.encode()
            inner = getattr(value, "__func__", None) or getattr(value, "fget", None)
            yield from _parts(inner or value, seen)


def _of_object(thing: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    state = getattr(thing, "__dict__", None)
    if is_dataclass(thing):
        state = {field.name: getattr(thing, field.name) for field in fields(thing)}
    if state is None:
        # An object of another library, such as a NumPy ufunc.
        yield _ADDRESS.sub("", repr(thing)).encode()
        return
    yield from _parts(type(thing), seen)
    for name, value in sorted(state.items()):
        yield name.encode()
        yield from _parts(value, seen)
