"""The interface of samplers, and the default one: a compiled log density sampled with nutpie."""

import ctypes
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayescale._seeds import generator_of_sampler
from bayescale.backend.unconstrained import slices_of
from bayescale.errors import SamplingError
from bayescale.inference.compile_cache import Code, Density
from bayescale.inference.preconditioner import Frame, LogDensity

_LEAST_WINDOW = 80

type ProgressCallback = Callable[[int, int], None]
"""Called with the number of draws done and the total, over all chains, including warm-up."""

type Arrays = dict[str, NDArray[Any]]
"""Draws or statistics of one chain by name, one row per draw."""

type KeepCallback = Callable[[int, int, Arrays, Arrays], None]
"""Called with the index of a chain, the index of its first new draw (after warm-up), the new draws
and their statistics."""

_LOOK_EVERY = 1.0
"""Seconds between inspections of a running sampler, each of which copies all of its draws."""

_LOOK_SHARE = 0.05
"""Largest share of the sampling time spent on inspections."""


STATISTICS = ("diverging", "energy", "n_steps", "depth", "maxdepth_reached", "step_size")
"""Sampler statistics that diagnostics read, under names common to all samplers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to sample.

    Attributes
    ----------
    draws, tune, chains
        Draws and warm-up draws per chain, and the number of chains.
    cores
        Number of chains run in parallel.
    seed
        Random seed; draws are reproducible for the same versions and machine.
    target_accept, maxdepth
        Target acceptance rate and maximal tree depth of NUTS.
    """

    draws: int
    tune: int
    chains: int
    cores: int
    seed: int
    target_accept: float = 0.9
    maxdepth: int = 10


@dataclass(frozen=True)
class Sampler(ABC):
    """A log density of unconstrained variables with exchangeable data, and a sampler for it.

    Attributes
    ----------
    shapes
        Shape of each variable, in the order of the position vector (C order within a variable).
    start
        Position around which chains start.
    data_rows
        Number of rows of the data matrix.
    """

    packages: ClassVar[tuple[str, ...]]
    """Packages that compile and sample, in addition to PyMC."""

    shapes: Mapping[str, tuple[int, ...]]
    start: NDArray[np.float64]
    data_rows: int

    @property
    @abstractmethod
    def name(self) -> str:
        """Name recorded in the provenance."""

    @abstractmethod
    def sample(
        self,
        data: NDArray[np.float64],
        settings: Settings,
        progress: ProgressCallback | None = None,
        starts: NDArray[np.float64] | None = None,
        keep: KeepCallback | None = None,
    ) -> tuple[dict[str, NDArray[np.float64]], xr.Dataset]:
        """Draw from the posterior given a data matrix.

        Parameters
        ----------
        data, settings, progress
            The matrix, the sampler's settings, and the progress callback.
        starts
            Starting positions, one row per chain; around typical prior values unless given.
        keep
            Called with new draws about every second, and when sampling ends or is interrupted.

        Returns
        -------
        draws
            Arrays of shape (chain, draw, *shape of the variable), by name.
        sample_stats
            `STATISTICS` of each draw, with dims chain and draw.

        Raises
        ------
        SamplingError
            If the log density is not finite at any start.
        KeyboardInterrupt
            If interrupted; draws not passed to `keep` are discarded.
        """

    @abstractmethod
    def log_density(
        self, position: NDArray[np.float64], data: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Return the log density and its gradient at one unconstrained position."""

    def log_density_given(self, data: NDArray[np.float64]) -> LogDensity:
        """Return the log density and gradient as a function of the position alone."""
        return lambda position: self.log_density(position, data)

    @property
    def scalars(self) -> int:
        """Number of scalar variables, which come first in a position."""
        return sum(not shape for shape in self.shapes.values())

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
            for (name, shape), part in zip(self.shapes.items(), slices_of(self.shapes), strict=True)
        }

    def start_of_chain(
        self, rng: np.random.Generator, starts: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Return a start for a chain: one of the given positions, or around typical values."""
        if starts is not None:
            return np.asarray(starts[rng.integers(len(starts))])
        # Overdispersed relative to any well-identified posterior, as R-hat requires.
        return self.start + rng.uniform(-1.0, 1.0, len(self.start))

    def check_rows(self, data: NDArray[np.float64]) -> None:
        """Raise ValueError for a data matrix of another model."""
        if data.shape[0] != self.data_rows:
            raise ValueError(f"data: found {data.shape[0]} rows, expected {self.data_rows}")

    def stopped(self, data: NDArray[np.float64], why: str) -> SamplingError:
        """Return the error for a sampler that could not start or failed while sampling."""
        value, gradient = self.log_density(self.start, data)
        slopes = self.unpack(gradient)
        bad = [name for name, slope in slopes.items() if not np.all(np.isfinite(slope))]
        return SamplingError(
            f"The sampler stopped: {why}. At typical prior values the log "
            f"density is {value:g}"
            + (f" and its gradient is not finite in {', '.join(bad)}" if bad else "")
            + ". Check the runs for values far out of line, and the priors."
        )


@dataclass(frozen=True)
class CompiledLogp(Sampler):
    """A log density compiled by Numba, sampled with nutpie."""

    packages = ("nutpie", "numba")

    # Kept alive here: nutpie holds only their addresses.
    _logp: Code
    _expand: Code
    framed: bool = False
    """Whether to sample in the coordinates of the Laplace approximation at the mode."""

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
        return cls(shapes, position, data_rows, density.logp, density.expand, framed)

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
        import nutpie

        self.check_rows(data)
        frame = self._frame(data, starts)
        model = self._nutpie_model(data, frame, starts)
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

    def _nutpie_model(
        self, data: NDArray[np.float64], frame: Frame, starts: NDArray[np.float64] | None
    ) -> Any:
        from nutpie.compile_pymc import CompiledPyMCModel

        n, slices = len(self.start), slices_of(self.shapes)

        def start(seed: int) -> NDArray[np.float64]:
            return frame.seen(self.start_of_chain(generator_of_sampler(seed), starts))

        return CompiledPyMCModel(
            dims={},
            reparameterized_names=[],
            compiled_logp_func=self._logp,
            compiled_expand_func=self._expand,
            initial_point_func=start,
            shared_data={},
            shared_var_keys={},
            user_data=_pack(data, frame),
            n_expanded=n,
            shape_info=(list(self.shapes), slices, list(self.shapes.values())),
            logp_func=None,
            expand_func=None,
            _n_dim=n,
            _shapes=dict(self.shapes),
            _coords={},
        )

    @override
    def log_density(
        self, position: NDArray[np.float64], data: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        return self.log_density_given(data)(position)

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


def flattened(
    order: Iterable[str], start: Mapping[str, ArrayLike]
) -> tuple[dict[str, tuple[int, ...]], NDArray[np.float64]]:
    """Return the shapes of variables in the given order, and the position with their values."""
    values = {name: np.asarray(start[name], dtype=np.float64) for name in order}
    flat = np.concatenate([value.ravel() for value in values.values()])
    return {name: value.shape for name, value in values.items()}, flat


def statistics_of(columns: Mapping[str, NDArray[Any]]) -> xr.Dataset:
    """Return the statistics of each draw, from arrays of shape (chain, draw)."""
    chains, draws = columns["energy"].shape
    coordinates = {"chain": np.arange(chains), "draw": np.arange(draws)}
    return xr.Dataset(
        {name: (("chain", "draw"), columns[name]) for name in STATISTICS}, coords=coordinates
    )


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
