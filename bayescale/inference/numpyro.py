"""The JAX sampler: the same log density lowered to JAX, and sampled with NumPyro.

Everything runs in 64 bits within contexts of this module; the process-wide precision of JAX is
left unchanged.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, override

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayescale._seeds import Stream, generator
from bayescale.errors import MissingExtraError
from bayescale.inference.base import (
    KeepCallback,
    ProgressCallback,
    Sampler,
    Settings,
    flattened,
    statistics_of,
)

if TYPE_CHECKING:
    import pymc as pm

MOST_DENSE = 300
"""Largest number of unknowns with a dense mass matrix; it is diagonal beyond."""

_CHUNK = 25
"""Draws of a chain between checks for Ctrl-C and updates of the progress."""

_TRIES = 100
"""Maximal number of attempts to find a start with a finite density."""

type Logp = Callable[[Any, Any], Any]
"""The log density as a JAX-traceable function of a position and the matrix."""


class _Kept(NamedTuple):
    """What is recorded of each draw."""

    position: Any
    diverging: Any
    energy: Any
    n_steps: Any
    step_size: Any


@dataclass(frozen=True, eq=False)
class JaxLogp(Sampler):
    """A log density that JAX compiles, sampled with NumPyro."""

    packages = ("numpyro", "jax", "jaxlib")

    _logp: Logp

    @classmethod
    def of(
        cls, built: "pm.Model", start: Mapping[str, ArrayLike], data_name: str, data_rows: int
    ) -> "JaxLogp":
        """Return the density of a PyMC model, with starting values.

        Raises
        ------
        MissingExtraError
            If JAX or NumPyro is not installed.
        """
        _refuse_without_numpyro()
        from bayescale.inference.compile import lower_logp

        order, logp = lower_logp(built, start, data_name)
        return cls(*flattened(order, start), data_rows, logp)

    @property
    @override
    def name(self) -> str:
        import jax

        metric = "dense" if self._dense else "diagonal"
        return f"NumPyro NUTS, {metric} metric, on {jax.default_backend()}"

    @override
    def sample(
        self,
        data: NDArray[np.float64],
        settings: Settings,
        progress: ProgressCallback | None = None,
        starts: NDArray[np.float64] | None = None,
        keep: KeepCallback | None = None,
    ) -> tuple[dict[str, NDArray[np.float64]], xr.Dataset]:
        import jax

        self.check_rows(data)
        # An accelerator vectorises over chains; on CPUs each chain has its own thread.
        together = jax.default_backend() != "cpu"
        begin, advance = _nuts(
            self._logp,
            self._dense,
            together,
            settings.tune,
            settings.target_accept,
            settings.maxdepth,
        )
        with jax.enable_x64(True):
            matrix = jax.numpy.asarray(data)
            widths = self._widths(self.start, matrix)
            keys = jax.random.split(jax.random.key(np.uint64(settings.seed)), settings.chains)
            states = [
                begin(start, key, *self._value_and_slope(start, matrix), widths, matrix)
                for start, key in zip(self._starts(data, settings, starts), keys, strict=True)
            ]
            groups = [states] if together else [[state] for state in states]
            lanes = [jax.tree.map(lambda *x: jax.numpy.stack(x), *group) for group in groups]

        def go_on(states: Any) -> tuple[Any, _Kept]:
            with jax.enable_x64(True):  # which is a matter of each thread
                states, kept = advance(states, widths, matrix)
                return states, jax.tree.map(np.asarray, kept)

        each = settings.tune + settings.draws
        # Whole chunks may start within warm-up and end beyond the requested draws.
        first = settings.tune // _CHUNK * _CHUNK
        chunks: list[_Kept] = []
        with ThreadPoolExecutor(settings.cores) as pool:
            for done in range(0, each, _CHUNK):
                # Sequentially at first, or every thread would compile the same function.
                ran = list((pool.map if done else map)(go_on, lanes))
                lanes = [states for states, _ in ran]
                if done >= first:
                    parts = [part for _, part in ran]
                    chunks.append(jax.tree.map(lambda *x: np.concatenate(x), *parts))
                    if keep is not None:
                        self._keep(chunks[-1], done - settings.tune, settings, keep)
                if progress is not None:
                    progress(settings.chains * min(done + _CHUNK, each), settings.chains * each)
        wanted = slice(settings.tune - first, each - first)
        kept: _Kept = jax.tree.map(lambda *x: np.concatenate(x, axis=1)[:, wanted], *chunks)
        return self.unpack(kept.position), _statistics(kept, settings.maxdepth)

    def _keep(self, chunk: _Kept, first: int, settings: Settings, keep: KeepCallback) -> None:
        """Pass the requested draws of a chunk, whose first draw has index `first`, to `keep`."""
        wanted = slice(max(-first, 0), settings.draws - first)
        statistics = _statistics(chunk, settings.maxdepth)
        for chain in range(settings.chains):
            positions = self.unpack(chunk.position[chain, wanted])
            if len(chunk.energy[chain, wanted]):
                found = {str(n): x.to_numpy()[chain, wanted] for n, x in statistics.items()}
                keep(chain, max(first, 0), positions, found)

    @override
    def log_density(
        self, position: NDArray[np.float64], data: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        import jax

        with jax.enable_x64(True):
            value, slope = self._value_and_slope(position, data)
            return float(value), np.asarray(slope)

    @property
    def _dense(self) -> bool:
        return len(self.start) <= MOST_DENSE

    @cached_property
    def _value_and_slope(self) -> Callable[[Any, Any], tuple[Any, Any]]:
        import jax

        compiled: Callable[[Any, Any], tuple[Any, Any]] = jax.jit(jax.value_and_grad(self._logp))
        return compiled

    @cached_property
    def _widths(self) -> Callable[[Any, Any], Any]:
        """Width of the density in each unknown at a position, from its curvature."""
        import jax
        import jax.numpy as jnp

        def widths(position: Any, matrix: Any) -> Any:
            def curvature(unit: Any) -> Any:
                slope = jax.grad(lambda x: self._logp(x, matrix))
                return jnp.dot(jax.jvp(slope, (position,), (unit,))[1], unit)

            found = jnp.abs(jax.lax.map(curvature, jnp.eye(len(position))))
            # At most one: no prior is much wider, and the curvature may vanish only locally.
            return 1.0 / jnp.sqrt(jnp.where(jnp.isfinite(found), jnp.maximum(found, 1.0), 1.0))

        compiled: Callable[[Any, Any], Any] = jax.jit(widths)
        return compiled

    def _starts(
        self, data: NDArray[np.float64], settings: Settings, starts: NDArray[np.float64] | None
    ) -> list[NDArray[np.float64]]:
        """Return a start for each chain at which density and gradient are finite."""
        found = []
        log_density = self.log_density_given(data)
        for chain in range(settings.chains):
            rng = generator(settings.seed, Stream.STARTS, chain)
            for _ in range(_TRIES):
                start = self.start_of_chain(rng, starts, log_density)
                value, slope = log_density(start)
                if np.isfinite(value) and np.all(np.isfinite(slope)):
                    found.append(start)
                    break
            else:
                raise self.stopped(data, f"none of {_TRIES} places to start has a finite density")
        return found


@lru_cache(maxsize=32)
def _nuts(
    logp: Logp, dense: bool, together: bool, tune: int, target_accept: float, maxdepth: int
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the functions that initialise one chain, and that advance chains by a chunk.

    Unknowns are scaled by their widths: NumPyro shrinks its mass matrix towards 1e-3, which is
    too wide for elasticities that the runs determine to a thousandth.
    """
    import jax
    from numpyro.infer.hmc import hmc
    from numpyro.infer.util import ParamInfo

    def potential(widths: Any, matrix: Any) -> Callable[[Any], Any]:
        return lambda z: -logp(z * widths, matrix)

    # The functional form takes the data as an argument, and can be interrupted between chunks.
    init, move = hmc(potential_fn_gen=potential)

    def begin(start: Any, key: Any, value: Any, slope: Any, widths: Any, matrix: Any) -> Any:
        return init(
            ParamInfo(start / widths, -value, -slope * widths),
            num_warmup=tune,
            dense_mass=dense,
            target_accept_prob=target_accept,
            trajectory_length=None,
            max_tree_depth=maxdepth,
            model_args=(widths, matrix),
            rng_key=key,
        )

    def advance(states: Any, widths: Any, matrix: Any) -> Any:
        def step(state: Any, _: None) -> tuple[Any, _Kept]:
            state = move(state, model_args=(widths, matrix))
            return state, _Kept(
                state.z * widths,
                state.diverging,
                state.energy,
                state.num_steps,
                state.adapt_state.step_size,
            )

        def chunk(state: Any) -> Any:
            return jax.lax.scan(step, state, length=_CHUNK)

        # Vectorised chains all take the longest trajectory, which costs an accelerator little.
        return jax.vmap(chunk)(states) if together else jax.lax.map(chunk, states)

    return begin, jax.jit(advance)


def _statistics(kept: _Kept, maxdepth: int) -> xr.Dataset:
    steps = kept.n_steps.astype(np.int64)
    return statistics_of(
        {
            "diverging": kept.diverging,
            "energy": kept.energy,
            "n_steps": steps,
            # A complete tree of depth d has 2^d - 1 steps; one that turned early has fewer.
            "depth": np.ceil(np.log2(steps + 1)).astype(np.int64),
            "maxdepth_reached": steps >= 2**maxdepth - 1,
            "step_size": kept.step_size,
        }
    )


def _refuse_without_numpyro() -> None:
    try:
        import jax  # noqa: F401
        import numpyro  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"The sampler numpyro cannot be used ({error}); expected NumPyro and JAX. Install "
            'them: pip install "bayescale[jax]".'
        ) from None
