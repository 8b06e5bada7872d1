"""fit: sample the posterior of a model given runs."""

import os
import platform
import time
import warnings
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale._progress import Stages, stages
from bayescale._seeds import checked_seed
from bayescale.backend.observed import Design
from bayescale.data.load import RunsSource
from bayescale.data.runs import Runs
from bayescale.errors import BayescaleWarning, quoted, unknown_name
from bayescale.inference.adaptive import LONGEST, Sampled, enough_draws
from bayescale.inference.assemble import assemble, facts_of_modes, posterior_of
from bayescale.inference.base import Sampler, Settings
from bayescale.inference.checkpoint import DrawStore, refuse_store
from bayescale.inference.load import load_fit
from bayescale.inference.samplers import SAMPLERS, compiled_logp, target_of
from bayescale.model.card import DEFAULT_CARD, Model, load_model
from bayescale.model.identifiability import check_identifiable, design_warnings
from bayescale.model.inputs import runs_for
from bayescale.posterior.fit import Fit
from bayescale.posterior.gated import digest_of, gated_quantities

_MOST_DRAWS = 10_000_000
"""Maximal number of draws per chain, which bounds memory."""

DEFAULT_TUNE = 400
"""Warm-up draws per chain; twice as many bring no benefit (benchmarks/sampler_choices.py)."""


def fit(
    runs: RunsSource,
    model: str | Path | Model = DEFAULT_CARD,
    *,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    seed: int = 0,
    target_accept: float | None = None,
    unidentified: Literal["refuse", "warn"] = "refuse",
    store: str | Path | None = None,
    sampler: Literal["nutpie", "numpyro"] = "nutpie",
    progress: bool = True,
) -> Fit:
    """Fit a scaling law to runs with NUTS.

    Parameters
    ----------
    runs
        Runs, or anything that `load_runs` accepts.
    model
        A card id, the path of a card, or a `Model`; the default card unless given.
    draws, chains
        Number of draws per chain, and of chains.
    tune
        Warm-up draws per chain, 400 by default. If draws are too autocorrelated, or too few to
        assess agreement of chains (R-hat below 1.01), up to 16 times as many are made and thinned
        to `draws`.
    cores
        Number of chains that run in parallel; the number of processors by default.
    seed
        Seed of all random numbers: the same seed gives the same draws.
    target_accept
        Target acceptance rate; closer to one for a difficult posterior. By default 0.9, or 0.95
        for a model with breaks, a discrepancy term or group effects; raised if over 0.1 % of the
        draws diverge.
    unidentified
        Whether to ``"refuse"`` runs that do not identify the parameters of the law, or to
        ``"warn"`` and sample a posterior that is mostly the prior.
    store
        A checkpoint file to which draws are appended about every second. An interrupted fit
        resumes from it if repeated with the same arguments: complete chains are not sampled again,
        the others repeat the warm-up and make the missing draws. `load_fit` returns the fit of
        the draws so far.
    sampler
        ``"nutpie"``, or ``"numpyro"`` to sample the same posterior with JAX, on an accelerator if
        there is one; it requires ``pip install "bayescale[jax]"``.
    progress
        Show a progress bar on standard error.

    Returns
    -------
    Fit
        The posterior. Check ``fit.diagnostics`` first: the header of every table states if a fit
        failed its gates.

    Raises
    ------
    RunsError
        If the runs cannot be used, or cannot identify the law (see `unidentified`). Raised
        before sampling.
    CardError, UnknownNameError
        If the card cannot be used, or there is no such sampler.
    MissingExtraError
        If the sampler is not installed.
    SamplingError
        If the sampler cannot start.
    FitFileError
        If `store` belongs to another model, runs or settings, or is no checkpoint.
    OSError
        If draws cannot be written to `store`.
    KeyboardInterrupt
        If interrupted; draws so far are kept in `store` only.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> fit = bs.fit(runs, "chinchilla", seed=1, progress=False)
    >>> fit.diagnostics.ok
    True
    >>> 0.33 < float(fit.posterior["alpha"].median()) < 0.36
    True

    The default card also allows for departures of the loss from its law:

    >>> bs.fit(runs, seed=1, draws=250, progress=False).model.id
    'coupled-discrepancy'

    With a checkpoint, so that running the same lines again resumes an interrupted fit:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     long = bs.fit(runs, store=f"{folder}/long.draws", seed=1, progress=False)
    ...     bs.load_fit(f"{folder}/long.draws").posterior.equals(long.posterior)
    True
    """
    settings = _settings(draws, tune, chains, cores, seed, target_accept)
    refuse_store(store)
    if sampler not in SAMPLERS:
        raise unknown_name("sampler", sampler, SAMPLERS)
    with stages(progress) as shown:
        shown.stage("reading")
        model = load_model(model)
        table = _checked(model, runs, unidentified)
        model = model.identified_by(table)
        design = Design.of(model, table)
        settings = replace(settings, target_accept=target_accept or target_of(model))
        shown.stage("compiling the model")
        started = time.perf_counter()
        compiled = compiled_logp(model, design.sizes, sampler)
        compiled_after = time.perf_counter()
        begun: dict[str, Any] = {
            "fingerprint": table.fingerprint,
            "sampler": {"name": compiled.name, **asdict(settings)},
            "versions": dict(_versions(compiled.packages)),
        }
        draw_store = DrawStore.open(Path(store), model, table, begun) if store else None
        if draw_store and draw_store.finished:
            return load_fit(draw_store.path)
        sampled = _sampled(model, table, design, compiled, settings, shown, draw_store)
        seconds = {
            "compile": round(compiled_after - started, 3),
            "sample": round(time.perf_counter() - compiled_after, 3),
        }
        shown.stage("checking")
        posterior = posterior_of(model, design, sampled.positions, settings.seed)
        provenance = {
            **begun,
            "sampler": begun["sampler"] | sampled.settings,
            "seconds": seconds,
            **({"all_draws": _measures(posterior, sampled)} if sampled.factor > 1 else {}),
            **facts_of_modes(sampled.exploration),
            **({"taken_up": draw_store.taken_up} if draw_store else {}),
        }
        result = assemble(model, table, design, posterior, sampled.stats, provenance)
        if draw_store:
            draw_store.finish(sampled.factor, result.provenance)
        # Diagnostics are needed before any result, so compute them while progress is shown.
        return result.gated(sampled.table)


def _settings(
    draws: int,
    tune: int | None,
    chains: int,
    cores: int | None,
    seed: int,
    target_accept: float | None,
) -> Settings:
    """Return the settings of the sampler, or raise ValueError for invalid ones."""
    _check_counts(draws=draws, tune=tune, chains=chains, cores=cores)
    return Settings(
        draws=draws,
        tune=tune or DEFAULT_TUNE,
        chains=chains,
        cores=min(chains, cores or _processors()),
        seed=checked_seed(seed),
        target_accept=target_accept or 0.9,
    )


def _checked(model: Model, runs: RunsSource, unidentified: str) -> Runs:
    """Load the runs of a model, and raise or warn if they do not identify its parameters."""
    table = runs_for(runs, [model]).for_law(tuple(model.columns.values()), model.law.response)
    if unidentified not in ("refuse", "warn"):
        raise ValueError(f"unidentified: found {unidentified!r}, expected 'refuse' or 'warn'.")
    if unidentified == "refuse":
        check_identifiable(model, table)
    for sentence in design_warnings(model, table):
        warnings.warn(f"{table.name}: {sentence}", BayescaleWarning, stacklevel=3)
    return table


def _sampled(
    model: Model,
    table: Runs,
    design: Design,
    compiled: Sampler,
    settings: Settings,
    shown: Stages,
    store: DrawStore | None,
) -> Sampled:
    """Sample until the gated quantities converge, or the maximal number of draws is reached."""

    def to_gate(positions: dict[str, NDArray[np.float64]]) -> xr.Dataset:
        posterior = posterior_of(model, design, positions, settings.seed)
        return gated_quantities(model, design.scale, table, posterior, settings.seed)

    try:
        return enough_draws(model, compiled, design, settings, shown, to_gate=to_gate, store=store)
    except KeyboardInterrupt:
        what = f"its draws so far are in {store.path}" if store else "nothing was kept or written"
        raise KeyboardInterrupt(
            f"The fit was interrupted before it was complete; {what}."
        ) from None


def _measures(posterior: xr.Dataset, sampled: Sampled) -> dict[str, Any]:
    """Return the diagnostics of all draws, before thinning to the posterior."""
    return {
        "kept": digest_of(posterior),
        "longest": sampled.factor == LONGEST,
        "measures": sampled.table.reset_index().to_dict("list"),
    }


def fit_quietly(
    runs: Runs,
    model: Model,
    *,
    seed: int,
    draws: int = 1000,
    target_accept: float | None = None,
) -> Fit:
    """Fit a model without progress bar and warnings, as one of many fits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        return fit(runs, model, seed=seed, draws=draws, target_accept=target_accept, progress=False)


def _check_counts(**counts: int | None) -> None:
    for name, value in counts.items():
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if value is not None and not (whole and value >= 1):
            raise ValueError(f"{name}: found {quoted(value)}, expected an integer of at least 1.")
        if value is not None and value > _MOST_DRAWS:
            raise ValueError(f"{name}: found {quoted(value)}, expected at most {_MOST_DRAWS:,}.")
    if (counts["draws"] or 0) < 10:
        raise ValueError(f"draws: found {counts['draws']}, expected at least 10.")


def _processors() -> int:
    # Python 3.13 adds a count that respects the CPU affinity of the process.
    count: int | None = getattr(os, "process_cpu_count", os.cpu_count)()
    return count or 1


@cache
def _versions(of_sampler: tuple[str, ...]) -> dict[str, str]:
    packages = ("bayescale", "pymc", "pytensor", *of_sampler, "numpy", "xarray")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
