"""The samplers of a model, compiled at most once per process."""

from dataclasses import replace
from functools import lru_cache
from threading import RLock
from typing import Any

import numpy as np

from bayescale.backend.build import DATA, build
from bayescale.backend.observed import Rows
from bayescale.backend.unconstrained import starting_point
from bayescale.data.levels import Sizes
from bayescale.inference.base import CompiledLogp, Sampler
from bayescale.inference.compile_cache import Density, kept
from bayescale.laws import Law
from bayescale.laws.user import FunctionLaw
from bayescale.model.card import Model

_ONE_AT_A_TIME = RLock()


def compiled_logp(model: Model, sizes: Sizes = (), sampler: str = "nutpie") -> Sampler:
    """Return the compiled log density of a model, compiling it at most once per process."""
    # Identifier, title and references do not affect the density; the numbers of a stated floor
    # are data of it.
    numbers: dict[str, Any] = dict.fromkeys(model.floor.numbers(), 1.0) if model.floor else {}
    numbers.pop("lower", None)
    floor = model.floor and replace(model.floor, why="data", **numbers)
    plain = replace(model, id="compiled", title="", references=(), floor=floor)
    # One thread at a time: Numba may end the process in a segmentation fault otherwise, and
    # PyTensor's settings belong to the process, so a thread that leaves `change_flags` would turn
    # fastmath on while another compiles, and leave it off afterwards.
    with _ONE_AT_A_TIME:
        return _compiled_card(plain.to_toml(), model.law, sizes, sampler)


@lru_cache(maxsize=32)
def _compiled_card(card: str, law: Law, sizes: Sizes, sampler: str) -> Sampler:
    # The law is part of the key, since a name may be redefined with another formula.
    import tomllib

    return SAMPLERS[sampler](Model.from_dict(tomllib.loads(card)), sizes)


def _with_numba(model: Model, sizes: Sizes) -> Sampler:
    start, rows, law = starting_point(model, sizes=sizes), Rows(model).count, model.law

    def compile_it() -> Density:
        from bayescale.inference.compile import compile_logp

        # Placeholder data: the graph depends on the number of rows only.
        with _double_precision():
            return compile_logp(build(model, np.zeros((rows, 2)), sizes), start, DATA)

    # The dependencies of a user-defined law are unknown, so its code is not cached.
    ours = type(law).__module__.startswith("bayescale.") and not isinstance(law, FunctionLaw)
    density = kept(f"{model.to_toml()}\n{sizes}", compile_it) if ours else compile_it()
    # With a discrepancy a frame does not help, and there are few enough variables to adapt.
    framed = bool(model.effects) and model.discrepancy is None
    return CompiledLogp.of(density, start, rows, framed)


def _with_jax(model: Model, sizes: Sizes) -> Sampler:
    from bayescale.inference.numpyro import JaxLogp

    start, rows = starting_point(model, sizes=sizes), Rows(model).count
    with _double_precision():
        return JaxLogp.of(build(model, np.zeros((rows, 2)), sizes), start, DATA, rows)


def _double_precision() -> Any:
    """Return a context in which graphs are of 64 bits, whatever `floatX` is in this process."""
    from pytensor.configdefaults import config

    return config.change_flags(floatX="float64", traceback__limit=0)


SAMPLERS = {"nutpie": _with_numba, "numpyro": _with_jax}
"""Factory of each sampler, from a model and its padded numbers of levels."""


def target_of(model: Model) -> float:
    """Return the default target acceptance rate of a model."""
    # Levels and slopes have funnels; places of breaks lie along a curved ridge.
    return 0.95 if model.has_steps or model.law.breaks else 0.9
