"""The sampler's boundary: a PyMC model compiled once, sampled with nutpie as often as needed.

`nutpie.compile_pymc_model` wraps the log density generically, and compiling its wrappers takes
most of the time of a start. All our data are one matrix and nothing but the unconstrained position
is stored, so the wrappers here are a few lines and compile in a fraction of that.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayescale.errors import SamplingError

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

type ProgressCallback = Callable[[int, int], None]
"""Called with the draws done and the draws to do, over all chains, warm-up included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to sample.

    Attributes
    ----------
    draws, tune, chains
        Kept draws and warm-up draws of each chain, and the number of chains.
    cores
        Chains that run at the same time.
    seed
        Makes the draws reproducible, for the same versions and machine.
    target_accept, maxdepth
        NUTS's step-size target and the limit on its doublings.
    """

    draws: int
    tune: int
    chains: int
    cores: int
    seed: int
    target_accept: float = 0.9
    maxdepth: int = 10


@dataclass(frozen=True)
class CompiledLogp:
    """A compiled log density over unconstrained variables, whose data can be swapped.

    Attributes
    ----------
    shapes
        Shape of each variable, in the order in which a position holds them, row by row.
    start
        A position around which chains may start.
    data_rows
        Rows of the data matrix.
    """

    shapes: Mapping[str, tuple[int, ...]]
    start: NDArray[np.float64]
    data_rows: int
    # Kept alive here: nutpie holds only their addresses.
    _logp: Any
    _expand: Any

    def sample(
        self,
        data: NDArray[np.float64],
        settings: Settings,
        progress: ProgressCallback | None = None,
        starts: NDArray[np.float64] | None = None,
    ) -> tuple[dict[str, NDArray[np.float64]], "xr.Dataset"]:
        """Draw from the posterior given a data matrix.

        Parameters
        ----------
        data, settings, progress
            The matrix, how to sample, and what to call as draws are done.
        starts
            Positions at which chains start, a row each; around typical prior values unless given.

        Returns
        -------
        draws
            Arrays of shape (chain, draw) and that of the variable, by its name.
        sample_stats
            nutpie's statistics of each draw, dims chain and draw.

        Raises
        ------
        SamplingError
            If no chain finds a finite log density to start from.
        KeyboardInterrupt
            If interrupted; the draws so far are discarded.
        """
        import nutpie

        if data.shape[0] != self.data_rows:
            raise ValueError(f"data: found {data.shape[0]} rows, expected {self.data_rows}")
        model = self._nutpie_model(data, starts)
        total = settings.chains * (settings.tune + settings.draws)

        def report(chains: list[Any]) -> None:
            if progress is not None:
                progress(sum(chain.finished_draws for chain in chains), total)

        sampler = nutpie.sample(
            model,
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            cores=settings.cores,
            seed=settings.seed,
            target_accept=settings.target_accept,
            maxdepth=settings.maxdepth,
            adaptation="low_rank",
            save_warmup=False,
            progress_bar=False,
            progress_callback=report,
            blocking=False,
        )
        try:
            tree = _wait(sampler)
        except RuntimeError as error:
            raise SamplingError(self._explain(data, error)) from None
        posterior = tree["posterior"].dataset
        draws = {name: posterior[name].to_numpy() for name in self.shapes}
        return draws, _statistics(tree["sample_stats"].to_dataset())

    def _nutpie_model(self, data: NDArray[np.float64], starts: NDArray[np.float64] | None) -> Any:
        from nutpie.compile_pymc import CompiledPyMCModel

        n, slices = len(self.start), _slices(self.shapes)

        def start(seed: int) -> NDArray[np.float64]:
            rng = np.random.default_rng(seed)
            if starts is not None:
                return np.asarray(starts[rng.integers(len(starts))])
            # Apart by more than any well-determined posterior is wide, so that R-hat can tell
            # chains that have not met.
            return self.start + rng.uniform(-1.0, 1.0, n)

        return CompiledPyMCModel(
            dims={},
            reparameterized_names=[],
            compiled_logp_func=self._logp,
            compiled_expand_func=self._expand,
            initial_point_func=start,
            shared_data={},
            shared_var_keys={},
            user_data=_pack(data),
            n_expanded=n,
            shape_info=(list(self.shapes), slices, list(self.shapes.values())),
            logp_func=None,
            expand_func=None,
            _n_dim=n,
            _shapes=dict(self.shapes),
            _coords={},
        )

    def pack(self, values: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Return one position, or an array of them, from the values of each variable."""
        flat = []
        for name, shape in self.shapes.items():
            value = np.asarray(values[name], dtype=np.float64)
            flat.append(value.reshape((*value.shape[: value.ndim - len(shape)], math.prod(shape))))
        return np.concatenate(flat, axis=-1)

    def unpack(self, positions: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return the values of each variable; the inverse of `pack`."""
        return {
            name: positions[..., part].reshape((*positions.shape[:-1], *shape))
            for (name, shape), part in zip(self.shapes.items(), _slices(self.shapes), strict=True)
        }

    def log_density(
        self, position: NDArray[np.float64], data: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Return the log density and its gradient at one unconstrained position."""
        x = np.ascontiguousarray(position, dtype=np.float64)
        gradient, value, packed = np.empty_like(x), np.empty(1), _pack(data)
        self._logp.ctypes(
            len(x), _pointer(x), _pointer(gradient), _pointer(value), packed.ctypes.data
        )
        return float(value[0]), gradient

    def _explain(self, data: NDArray[np.float64], error: Exception) -> str:
        value, gradient = self.log_density(self.start, data)
        slopes = self.unpack(gradient)
        bad = [name for name, slope in slopes.items() if not np.all(np.isfinite(slope))]
        return (
            f"The sampler stopped: {str(error).splitlines()[0]}. At typical prior values the log "
            f"density is {value:g}"
            + (f" and its gradient is not finite in {', '.join(bad)}" if bad else "")
            + ". Check the runs for values far out of line, and the priors."
        )


def compile_logp(built: "pm.Model", start: Mapping[str, ArrayLike], data_name: str) -> CompiledLogp:
    """Compile the log density of a PyMC model whose only data is one matrix of floats.

    Parameters
    ----------
    built
        The PyMC model.
    start
        Unconstrained starting value of each free variable, by variable name.
    data_name
        Name of the `pymc.Data` container.
    """
    import numba
    import pytensor.tensor as pt
    from numba import types
    from pymc.pytensorf import compile as compile_graph
    from pytensor.gradient import grad
    from pytensor.graph.replace import clone_replace

    values = {str(v.name): built.rvs_to_values[v] for v in built.free_RVs}
    shapes = {name: np.shape(start[name]) for name in values}
    slices = _slices(shapes)
    log_density = built.logp()
    slopes: Any = grad(log_density, list(values.values()))
    gradient: Any = pt.concatenate([slope.ravel() for slope in slopes])  # type: ignore[no-untyped-call]
    position = pt.vector("position", shape=(slices[-1].stop,))
    entries = {
        value: position[part].reshape(shape) if shape else position[part.start]
        for value, shape, part in zip(values.values(), shapes.values(), slices, strict=True)
    }
    outputs = clone_replace([log_density, gradient], entries)
    with built:
        function = compile_graph([position], outputs, mode="NUMBA")
    shared = [variable.name for variable in function.get_shared()]
    if shared != [data_name]:
        raise ValueError(f"expected the data {data_name} alone, found {shared}")
    evaluate = function.vm.jit_fn
    n, rows = slices[-1].stop, int(built[data_name].get_value().shape[0])

    pointer = types.CPointer(types.double)

    @numba.cfunc(types.int64(types.uint64, pointer, pointer, pointer, types.voidptr))
    def logp(dim, position, gradient, value, packed):  # type: ignore[no-untyped-def]
        columns = int(numba.carray(packed, (1,), np.float64)[0])
        flat = numba.carray(packed, (1 + rows * columns,), np.float64)
        result, slope = evaluate(numba.carray(position, (n,)), flat[1:].reshape((rows, columns)))
        value[0] = result[()]
        finite = np.isfinite(value[0])
        # Loops, not slices: Numba spends seconds compiling the error branch of an assignment.
        for i in range(n):
            gradient[i] = slope[i]
            finite = finite and np.isfinite(slope[i])
        return 0 if finite else 3

    @numba.cfunc(types.int64(types.uint64, types.uint64, pointer, pointer, types.voidptr))
    def expand(dim, n_out, position, out, packed):  # type: ignore[no-untyped-def]
        for i in range(n):
            out[i] = position[i]
        return 0

    flat = np.concatenate([np.ravel(start[name]) for name in values]).astype(np.float64)
    return CompiledLogp(shapes, flat, rows, logp, expand)


def _slices(shapes: Mapping[str, tuple[int, ...]]) -> list[slice]:
    """Return where in a position each variable lies."""
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
    return [
        slice(int(b) - math.prod(s), int(b)) for b, s in zip(ends, shapes.values(), strict=True)
    ]


def _wait(sampler: Any) -> Any:
    """Return the result; look up often enough that Ctrl-C is answered at once."""
    try:
        while True:
            try:
                return sampler.wait(timeout=0.1)
            except TimeoutError:
                continue
    except BaseException:
        sampler.cancel()
        raise


def _pack(data: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the number of columns followed by the matrix, row by row: what `logp` reads."""
    return np.concatenate([[float(data.shape[1])], np.ascontiguousarray(data).ravel()])


def _pointer(array: NDArray[np.float64]) -> Any:
    import ctypes

    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))


def _statistics(stats: "xr.Dataset") -> "xr.Dataset":
    """Keep the statistics that diagnostics read, under one set of names for any sampler."""
    return stats[["diverging", "energy", "n_steps", "depth", "maxdepth_reached", "step_size"]]
