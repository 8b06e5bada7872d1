"""NUTS of nutpie, on machine code that Numba compiled or on a function of Python."""

import ctypes
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, override

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayescale._seeds import generator_of_sampler
from bayescale.backend.unconstrained import slices_of
from bayescale.inference.base import (
    STATISTICS,
    KeepCallback,
    ProgressCallback,
    Sampler,
    Settings,
    flattened,
    statistics_of,
)
from bayescale.inference.compile_cache import Density
from bayescale.inference.native import Code, nutpie, nutpie_model
from bayescale.inference.preconditioner import Frame, LogDensity

_LEAST_WINDOW = 80


_LOOK_EVERY = 1.0
"""Seconds between inspections of a running sampler, each of which copies all of its draws."""


_LOOK_SHARE = 0.05
"""Largest share of the sampling time spent on inspections."""


@dataclass(frozen=True)
class NutpieSampler(Sampler):
    """A log density that is sampled with nutpie.

    Attributes
    ----------
    framed
        Whether to sample in the coordinates of the Laplace approximation at the mode.
    """

    packages = ("nutpie", "numba")

    framed: bool

    @property
    @override
    def name(self) -> str:
        kind = "diagonal adaptation about the mode" if self.framed else "low-rank adaptation"
        return f"nutpie NUTS, {kind}"

    @override
    def sample(
        self,
        data: NDArray[np.float64],
        settings: Settings,
        progress: ProgressCallback | None = None,
        starts: NDArray[np.float64] | None = None,
        keep: KeepCallback | None = None,
    ) -> tuple[dict[str, NDArray[np.float64]], xr.Dataset]:
        self.check_rows(data)
        frame = self._frame(data, starts)

        def start(seed: int) -> NDArray[np.float64]:
            # Each chain evaluates a function of its own, since chains are threads.
            log_density = self.log_density_given(data)
            rng = generator_of_sampler(seed)
            return frame.seen(self.start_of_chain(rng, starts, log_density))

        model = self._model(data, frame, start)
        total = settings.chains * (settings.tune + settings.draws)

        def report(chains: list[Any]) -> None:
            if progress is not None:
                progress(sum(chain.finished_draws for chain in chains), total)

        sampler = nutpie().sample(
            model,
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            cores=settings.cores,
            seed=settings.seed,
            target_accept=settings.target_accept,
            maxdepth=settings.maxdepth,
            # In the frame of the mode the posterior is decorrelated, so a diagonal mass matrix is
            # enough, and a low-rank one of many variables is expensive. Otherwise the mass matrix
            # is estimated over windows; short ones of autocorrelated draws are too noisy.
            **(
                {"adaptation": "diag"}
                if self.framed
                else {
                    "adaptation": "low_rank",
                    "mass_matrix_switch_freq": max(_LEAST_WINDOW, settings.tune // 5),
                }
            ),
            save_warmup=False,
            progress_bar=False,
            progress_callback=report,
            blocking=False,
            return_raw_trace=True,
        )
        given = [0] * settings.chains

        def look(draws: list[Any], statistics: list[Any]) -> None:
            if keep is None:
                return
            for chain, table in enumerate(draws):
                # The tables include warm-up even with save_warmup=False.
                done = max(table.num_rows - settings.tune, 0)
                if done > given[chain]:
                    fresh = slice(settings.tune + given[chain], None)
                    keep(
                        chain,
                        given[chain],
                        {name: _rows(table, name, s)[fresh] for name, s in self.shapes.items()},
                        {name: _rows(statistics[chain], name, ())[fresh] for name in STATISTICS},
                    )
                    given[chain] = done

        try:
            trace = _wait(sampler, look if keep else None)
        except RuntimeError as error:
            raise self.stopped(data, str(error).splitlines()[0]) from None
        draws, statistics = trace.get_arrow_trace()
        look(draws, statistics)
        positions = {
            name: _column(draws, name, shape, settings.draws) for name, shape in self.shapes.items()
        }
        stats = {name: _column(statistics, name, (), settings.draws) for name in STATISTICS}
        return positions, statistics_of(stats)

    def _frame(self, data: NDArray[np.float64], starts: NDArray[np.float64] | None) -> Frame:
        if not self.framed:
            return Frame.plain(len(self.start), self.scalars)
        # With several modes, the frame of the mode in which the chains start.
        start = self.start if starts is None else np.median(starts, axis=0)
        return Frame.about_mode(self.log_density_given(data), start, self.scalars)

    @abstractmethod
    def _model(
        self,
        data: NDArray[np.float64],
        frame: Frame,
        start: Callable[[int], NDArray[np.float64]],
    ) -> Any:
        """Return what nutpie samples, in the coordinates of a frame and from the given starts."""

    @override
    def log_density(
        self, position: NDArray[np.float64], data: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        return self.log_density_given(data)(position)


@dataclass(frozen=True)
class CompiledLogp(NutpieSampler):
    """A log density as machine code that Numba compiled."""

    # Kept alive here: nutpie holds only their addresses.
    _logp: Code
    _expand: Code

    @classmethod
    def of(
        cls,
        density: Density,
        start: Mapping[str, ArrayLike],
        data_rows: int,
        framed: bool = False,
    ) -> "CompiledLogp":
        """Return a compiled density with a starting value of each variable."""
        shapes, position = flattened(density.order, start)
        return cls(shapes, position, data_rows, framed, density.logp, density.expand)

    @override
    def _model(
        self,
        data: NDArray[np.float64],
        frame: Frame,
        start: Callable[[int], NDArray[np.float64]],
    ) -> Any:
        return nutpie_model(
            self._logp,
            self._expand,
            _pack(data, frame),
            start,
            self.shapes,
            slices_of(self.shapes),
        )

    @override
    def log_density_given(self, data: NDArray[np.float64]) -> LogDensity:
        # Packed once, since callers evaluate thousands of positions.
        packed = _pack(data, Frame.plain(len(self.start), self.scalars))
        return lambda position: self._evaluate(position, packed)

    def _evaluate(
        self, position: NDArray[np.float64], packed: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        x = np.ascontiguousarray(position, dtype=np.float64)
        gradient, value = np.empty_like(x), np.empty(1)
        _C_LOGP(self._logp.address)(
            len(x), _pointer(x), _pointer(gradient), _pointer(value), packed.ctypes.data
        )
        return float(value[0]), gradient


@dataclass(frozen=True)
class PythonLogp(NutpieSampler):
    """A log density as a function of Python, by public names alone: the fallback of `CompiledLogp`.

    Its chains take turns, since only one thread runs Python at a time.
    """

    _function: Any

    @classmethod
    def of(
        cls,
        order: tuple[str, ...],
        function: Any,
        start: Mapping[str, ArrayLike],
        data_rows: int,
        framed: bool = False,
    ) -> "PythonLogp":
        """Return a density as a compiled function, with a starting value of each variable."""
        shapes, position = flattened(order, start)
        return cls(shapes, position, data_rows, framed, function)

    @override
    def _model(
        self,
        data: NDArray[np.float64],
        frame: Frame,
        start: Callable[[int], NDArray[np.float64]],
    ) -> Any:
        nutpie()
        from nutpie.compiled_pyfunc import from_pyfunc

        def make_logp() -> LogDensity:
            evaluate = self.log_density_given(data)

            def logp(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
                value, gradient = evaluate(frame.place(point))
                if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
                    raise _NotFiniteError
                return value, frame.slope(gradient)

            return logp

        def make_expand(*_: object) -> Callable[[NDArray[np.float64]], dict[str, Any]]:
            return lambda point: self.unpack(frame.place(point))

        return from_pyfunc(
            ndim=len(self.start),
            make_logp_fn=make_logp,
            make_expand_fn=make_expand,
            expanded_dtypes=[np.dtype(np.float64)] * len(self.shapes),
            expanded_shapes=list(self.shapes.values()),
            expanded_names=list(self.shapes),
            make_initial_point_fn=start,
        )

    @override
    def log_density_given(self, data: NDArray[np.float64]) -> LogDensity:
        # A copy, since the function keeps its arguments, and chains are threads.
        function = self._function.copy()

        def evaluate(position: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            value, gradient = function(position, data)
            return float(value), gradient

        return evaluate


class _NotFiniteError(ArithmeticError):
    """The log density is not finite: nutpie takes it as a divergence."""

    is_recoverable = True


def _wait(sampler: Any, look: Callable[[list[Any], list[Any]], None] | None) -> Any:
    """Return the result; wait in short intervals so that Ctrl-C takes effect immediately."""
    due = time.monotonic() + _LOOK_EVERY
    try:
        while True:
            try:
                return sampler.wait(timeout=0.1)
            except TimeoutError:
                began = time.monotonic()
                if look and began > due:
                    look(*sampler.inspect().get_arrow_trace())
                    ended = time.monotonic()
                    due = ended + max(_LOOK_EVERY, (ended - began) / _LOOK_SHARE)
    except BaseException:
        # Keep the draws however sampling ended; if that fails too, raise the original error.
        try:
            with suppress(Exception):
                if look:
                    look(*sampler.inspect().get_arrow_trace())
        finally:
            sampler.cancel()
        raise


def _pack(data: NDArray[np.float64], frame: Frame) -> NDArray[np.float64]:
    """Return the data vector of `logp`: number of columns, frame, and the matrix in C order."""
    return np.concatenate([[float(data.shape[1])], frame.packed(), np.ravel(data)])


_DOUBLES = ctypes.POINTER(ctypes.c_double)


_C_LOGP = ctypes.CFUNCTYPE(
    ctypes.c_int64, ctypes.c_uint64, _DOUBLES, _DOUBLES, _DOUBLES, ctypes.c_void_p
)


def _pointer(array: NDArray[np.float64]) -> Any:
    return array.ctypes.data_as(_DOUBLES)


def _column(batches: list[Any], name: str, shape: tuple[int, ...], kept: int) -> NDArray[Any]:
    """Return a column of the last draws from nutpie's Arrow tables, one table per chain."""
    return np.stack([_rows(batch, name, shape)[-kept:] for batch in batches])


def _rows(batch: Any, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a column of the Arrow table of one chain, with one row per draw."""
    import pyarrow

    column = pyarrow.array(batch.column(name))
    flat = column.flatten() if hasattr(column, "flatten") else column
    rows: NDArray[Any] = flat.to_numpy(zero_copy_only=False).reshape((batch.num_rows, *shape))
    return rows
