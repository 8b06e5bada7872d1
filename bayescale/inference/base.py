"""The boundary of samplers, and the usual one: a density compiled once, sampled with nutpie."""

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
"""Called with the draws done and the draws to do, over all chains, warm-up included."""

type Arrays = dict[str, NDArray[Any]]
"""Draws or statistics of one chain, a row each, by name."""

type KeepCallback = Callable[[int, int, Arrays, Arrays], None]
"""Called with a chain, the number of the first of its new draws (not of warm-up), these draws and
their statistics."""

_LOOK_EVERY = 1.0
"""Seconds between looks at a running sampler, which copies all that it holds at each."""

_LOOK_SHARE = 0.05
"""Looks take no larger share of the time than this."""


STATISTICS = ("diverging", "energy", "n_steps", "depth", "maxdepth_reached", "step_size")
"""What diagnostics read, under names that serve for any sampler."""


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
class Sampler(ABC):
    """A log density over unconstrained variables, whose data can be swapped, and how to draw of it.

    Attributes
    ----------
    shapes
        Shape of each variable, in the order in which a position holds them, row by row.
    start
        A position around which chains may start.
    data_rows
        Rows of the data matrix.
    """

    packages: ClassVar[tuple[str, ...]]
    """What compiles and samples, beside PyMC."""

    shapes: Mapping[str, tuple[int, ...]]
    start: NDArray[np.float64]
    data_rows: int

    @property
    @abstractmethod
    def name(self) -> str:
        """What provenance says of it."""

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
            The matrix, how to sample, and what to call as draws are done.
        starts
            Positions at which chains start, a row each; around typical prior values unless given.
        keep
            What to call with new draws about every second, and with the last when sampling ends
            or is interrupted.

        Returns
        -------
        draws
            Arrays of shape (chain, draw) and that of the variable, by its name.
        sample_stats
            `STATISTICS` of each draw, dims chain and draw.

        Raises
        ------
        SamplingError
            If no chain finds a finite log density to start from.
        KeyboardInterrupt
            If interrupted; but for `keep`, the draws so far are discarded.
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
        """How many variables are scalars; they come first in a position."""
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
        """Return where a chain may start: in one of several places, or around typical values."""
        if starts is not None:
            return np.asarray(starts[rng.integers(len(starts))])
        # Apart by more than any well-determined posterior is wide, so that R-hat can tell
        # chains that have not met.
        return self.start + rng.uniform(-1.0, 1.0, len(self.start))

    def check_rows(self, data: NDArray[np.float64]) -> None:
        """Raise ValueError for a matrix of another model."""
        if data.shape[0] != self.data_rows:
            raise ValueError(f"data: found {data.shape[0]} rows, expected {self.data_rows}")

    def stopped(self, data: NDArray[np.float64], why: str) -> SamplingError:
        """Return the error for a sampler that could not start or go on."""
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
    """A log density in machine code, sampled with nutpie."""

    packages = ("nutpie", "numba")

    # Kept alive here: nutpie holds only their addresses.
    _logp: Code
    _expand: Code
    framed: bool = False
    """Whether it is sampled in the frame of its mode: for one that is nearly Normal there."""

    @classmethod
    def of(
        cls,
        density: Density,
        start: Mapping[str, ArrayLike],
        data_rows: int,
        framed: bool = False,
    ) -> "CompiledLogp":
        """Return a compiled density with a value of each variable around which chains start."""
        shapes, position = laid_out(density.order, start)
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
            # In its frame a posterior has no axes left to learn, and of many variables they are
            # dear. Elsewhere a metric is learnt from the draws since the last but one; dependent
            # ones say little.
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
                # Tables hold the warm-up too, wanted or not.
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
        # Of several modes, the one in which the chains start.
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
        # Packed once, for those who ask for thousands of values.
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


def laid_out(
    order: Iterable[str], start: Mapping[str, ArrayLike]
) -> tuple[dict[str, tuple[int, ...]], NDArray[np.float64]]:
    """Return the shapes of variables in an order, and the position that holds their values."""
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
    """Return the result; look up often enough that Ctrl-C is answered at once."""
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
        # What was drawn is kept whatever ended it; if it cannot be, the first reason is told.
        try:
            with suppress(Exception):
                if look:
                    look(*sampler.inspect().get_arrow_trace())
        finally:
            sampler.cancel()
        raise


def _pack(data: NDArray[np.float64], frame: Frame) -> NDArray[np.float64]:
    """Return the number of columns, the frame, and the matrix row by row: what `logp` reads."""
    return np.concatenate([[float(data.shape[1])], frame.packed(), np.ravel(data)])


_DOUBLES = ctypes.POINTER(ctypes.c_double)
_C_LOGP = ctypes.CFUNCTYPE(
    ctypes.c_int64, ctypes.c_uint64, _DOUBLES, _DOUBLES, _DOUBLES, ctypes.c_void_p
)


def _pointer(array: NDArray[np.float64]) -> Any:
    return array.ctypes.data_as(_DOUBLES)


def _column(batches: list[Any], name: str, shape: tuple[int, ...], kept: int) -> NDArray[Any]:
    """Return what nutpie's Arrow tables hold of the last draws, one table a chain."""
    return np.stack([_rows(batch, name, shape)[-kept:] for batch in batches])


def _rows(batch: Any, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a column of the Arrow table of a chain, a row a draw."""
    import pyarrow

    column = pyarrow.array(batch.column(name))
    flat = column.flatten() if hasattr(column, "flatten") else column
    rows: NDArray[Any] = flat.to_numpy(zero_copy_only=False).reshape((batch.num_rows, *shape))
    return rows
