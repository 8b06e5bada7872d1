"""The interface of samplers, and the default one: a compiled log density sampled with nutpie."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayescale.backend.unconstrained import slices_of
from bayescale.errors import SamplingError
from bayescale.inference.preconditioner import LogDensity, nearer_the_mode

type ProgressCallback = Callable[[int, int], None]
"""Called with the number of draws done and the total, over all chains, including warm-up."""

type Arrays = dict[str, NDArray[Any]]
"""Draws or statistics of one chain by name, one row per draw."""

type KeepCallback = Callable[[int, int, Arrays, Arrays], None]
"""Called with the index of a chain, the index of its first new draw (after warm-up), the new draws
and their statistics."""


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
        self,
        rng: np.random.Generator,
        starts: NDArray[np.float64] | None,
        log_density: LogDensity,
    ) -> NDArray[np.float64]:
        """Return a start for a chain: one of the given positions, or from around typical values."""
        if starts is not None:
            return np.asarray(starts[rng.integers(len(starts))])
        # Overdispersed relative to any well-identified posterior, as R-hat requires.
        around = self.start + rng.uniform(-1.0, 1.0, len(self.start))
        return nearer_the_mode(log_density, around)

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
