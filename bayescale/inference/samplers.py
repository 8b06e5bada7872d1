"""The samplers of a model, compiled at most once per process."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bayescale.backend.build import DATA, build
from bayescale.backend.observed import Rows
from bayescale.backend.unconstrained import starting_point
from bayescale.data.levels import Sizes
from bayescale.inference.base import Sampler
from bayescale.inference.compile_cache import Density, kept
from bayescale.inference.native import ChangedError, check_record, settings_of_pytensor
from bayescale.inference.nutpie import CompiledLogp, PythonLogp
from bayescale.laws import Law
from bayescale.model.card import Model

if TYPE_CHECKING:
    import pymc as pm

logger = logging.getLogger(__name__)

_ONE_AT_A_TIME = RLock()


def compiled_logp(model: Model, sizes: Sizes = (), sampler: str = "nutpie") -> Sampler:
    """Return the compiled log density of a model, compiling it at most once per process."""
    # Identifier, title and references do not affect the density; the numbers of a stated floor
    # are data of it.
    numbers: dict[str, Any] = dict.fromkeys(model.floor.numbers(), 1.0) if model.floor else {}
    numbers.pop("lower", None)
    floor = model.floor and replace(model.floor, why="data", **numbers)
    plain = replace(model, id="compiled", title="", references=(), floor=floor)
    # Nor do the columns of the inputs, unless group effects or the noise refer to them.
    if not (model.pooling or model.noise.growth or model.noise.checkpoints):
        plain = replace(plain, inputs={"x": "compute"} if "x" in model.law.inputs else {})
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
    rows, law = Rows(model).count, model.law
    # The dependencies of a user-defined law are unknown, so its code is not cached.
    return sampler_on_nutpie(
        # Placeholder data: the graph depends on the number of rows only.
        lambda: build(model, np.zeros((rows, 2)), sizes),
        starting_point(model, sizes=sizes),
        rows,
        DATA,
        cached_as=f"{model.to_toml()}\n{sizes}" if law.ships else "",
        # With a discrepancy a frame does not help, and there are few enough variables to adapt.
        framed=bool(model.effects) and model.discrepancy is None,
    )


def sampler_on_nutpie(
    graph: Callable[[], "pm.Model"],
    start: Mapping[str, ArrayLike],
    rows: int,
    data_name: str,
    *,
    cached_as: str = "",
    framed: bool = False,
) -> Sampler:
    """Return the sampler of a PyMC model whose only data is one matrix of floats.

    Parameters
    ----------
    graph
        Makes the model.
    start, data_name
        Starting value of each variable, and the name of the data.
    rows
        Number of rows of the matrix.
    cached_as
        Text of all that the machine code depends on, under which it is kept; not kept if empty.
    framed
        Whether to sample in the coordinates of the Laplace approximation at the mode.
    """

    def compile_it() -> Density:
        from bayescale.inference.compile import compile_logp

        with _double_precision():
            return compile_logp(graph(), start, data_name)

    try:
        check_record()
        density = kept(cached_as, compile_it) if cached_as else compile_it()
    except ChangedError as error:
        from bayescale.inference.compile import compile_function

        logger.warning("sampling more slowly, by public names alone: %s", error)
        with _double_precision():
            order, function = compile_function(graph(), start, data_name)
        return PythonLogp.of(order, function, start, rows, framed)
    return CompiledLogp.of(density, start, rows, framed)


def _with_jax(model: Model, sizes: Sizes) -> Sampler:
    from bayescale.inference.numpyro import JaxLogp

    start, rows = starting_point(model, sizes=sizes), Rows(model).count
    with _double_precision():
        return JaxLogp.of(build(model, np.zeros((rows, 2)), sizes), start, DATA, rows)


def _double_precision() -> Any:
    """Return a context in which graphs are of 64 bits, whatever `floatX` is in this process."""
    from pytensor.configdefaults import config

    return config.change_flags(**settings_of_pytensor())


SAMPLERS = {"nutpie": _with_numba, "numpyro": _with_jax}
"""Factory of each sampler, from a model and its padded numbers of levels."""


def target_of(model: Model) -> float:
    """Return the default target acceptance rate of a model."""
    # Levels and slopes have funnels; places of breaks lie along a curved ridge.
    return 0.95 if model.has_steps or model.law.breaks else 0.9
