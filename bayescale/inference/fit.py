"""fit: a model and runs to a posterior."""

import math
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale._io import refuse_unwritable
from bayescale._progress import Stages, stages
from bayescale._seeds import Stream, checked_seed, fresh_seed, generator
from bayescale.backend.build import (
    DATA,
    build,
    labelled,
    parameters_from_draws,
)
from bayescale.backend.observed import Design, Rows
from bayescale.backend.unconstrained import starting_point
from bayescale.data.levels import Sizes
from bayescale.data.load import RunsSource
from bayescale.data.runs import Runs
from bayescale.errors import BayescaleWarning, quoted, unknown_name
from bayescale.inference.base import CompiledLogp, Sampler, Settings
from bayescale.inference.checkpoint import DrawStore, refuse_other_files
from bayescale.inference.compile_cache import Density, kept
from bayescale.inference.load import load_fit
from bayescale.inference.multimodal import (
    Exploration,
    Samples,
    explore,
    places_to_look,
    sample_modes,
)
from bayescale.laws import Law
from bayescale.laws.user import FunctionLaw
from bayescale.model.card import DEFAULT_CARD, Model, load_model
from bayescale.model.identifiability import check_identifiable, design_warnings
from bayescale.model.inputs import runs_for
from bayescale.posterior.diagnostics import ESS, R_HAT, WITHIN, measured, samples_beyond_chance
from bayescale.posterior.fit import Fit
from bayescale.posterior.gated import digest_of, gated_quantities

type ToGate = Callable[[dict[str, NDArray[np.float64]]], xr.Dataset]
"""What of draws must have converged, from the parameters that they are of."""

_MOST_DRAWS = 10_000_000
"""Of a chain; no memory holds more."""

DEFAULT_TUNE = 400
"""Warm-up draws a chain; twice as many buy nothing (benchmarks/sampler_choices.py)."""

LONGEST = 16
"""The largest factor by which a posterior is sampled for longer, so that enough of its draws are
independent and its chains are seen to agree."""


_WORTH = 0.75
"""How many independent draws one draw is taken to be worth before that is known."""


def fit(
    model: str | Path | Model = DEFAULT_CARD,
    runs: RunsSource = "chinchilla",
    *,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    seed: int | None = None,
    target_accept: float | None = None,
    unidentified: Literal["refuse", "warn"] = "refuse",
    store: str | Path | None = None,
    sampler: Literal["nutpie", "numpyro"] = "nutpie",
    progress: bool = True,
) -> Fit:
    """Fit a scaling law to runs with NUTS.

    Parameters
    ----------
    model
        A card id, the path of a card, or a `Model`.
    runs
        Whatever `load_runs` takes, or its result.
    draws, chains
        Kept draws of each chain, and the number of chains.
    tune
        Warm-up draws of each chain; 400 unless given. A posterior whose draws depend too much on
        one another, or are too few to tell whether chains agree (R-hat below 1.01), is sampled
        for up to 16 times as long, and as many draws are kept.
    cores
        Chains run at the same time; as many as there are processors unless given.
    seed
        Makes the fit reproducible on one machine and one set of versions. One is drawn and
        recorded unless given.
    target_accept
        Acceptance that the step size aims at; nearer one for a difficult posterior. Unless given
        0.9, or 0.95 for a model with a discrepancy or with differences between levels.
    unidentified
        What to do about runs that leave parameters to the prior: ``"refuse"`` them, or
        ``"warn"`` and sample what is then mostly the prior.
    store
        A file to which draws are added about every second as they are made. A fit that was
        interrupted or killed goes on from it when the same is fitted again: chains that have all
        their draws are not sampled again, the others repeat the warm-up and make those that they
        lack. `load_fit` gives the fit of the draws so far.
    sampler
        ``"nutpie"``, or ``"numpyro"`` to sample the same posterior with JAX, on an accelerator
        where there is one; it needs ``pip install "bayescale[jax]"``.
    progress
        Show a progress bar on standard error.

    Returns
    -------
    Fit
        The posterior. Look at ``fit.diagnostics`` first: a fit that failed its gates says so
        at the head of every table.

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
        If `store` is of another model, other runs or settings, or something else altogether.
    OSError
        If draws cannot be added to `store`.
    KeyboardInterrupt
        If interrupted; the draws so far are in `store` if there is one, else nothing is kept.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> fit.diagnostics.ok
    True
    >>> 0.33 < float(fit.posterior["alpha"].median()) < 0.36
    True

    One that may take long, and goes on after an interruption when these lines run again:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     long = bs.fit("chinchilla", store=f"{folder}/long.draws", seed=1, progress=False)
    ...     bs.load_fit(f"{folder}/long.draws").posterior.equals(long.posterior)
    True
    """
    _check_counts(draws=draws, tune=tune, chains=chains, cores=cores)
    if store is not None:
        refuse_unwritable(store)
        if Path(store).exists():
            refuse_other_files(Path(store))
    if sampler not in _COMPILERS:
        raise unknown_name("sampler", sampler, _COMPILERS)
    with stages(progress) as shown:
        shown.stage("reading")
        model = load_model(model)
        law, needs = model.law, tuple(model.columns.values())
        table = runs_for(runs, [model]).for_law(needs, law.response)
        if unidentified not in ("refuse", "warn"):
            raise ValueError(f"unidentified: found {unidentified!r}, expected 'refuse' or 'warn'.")
        if unidentified == "refuse":
            check_identifiable(model, table)
        for sentence in design_warnings(model, table):
            warnings.warn(f"{table.name}: {sentence}", BayescaleWarning, stacklevel=2)
        design = Design.of(model, table)
        settings = Settings(
            draws=draws,
            tune=tune or DEFAULT_TUNE,
            chains=chains,
            cores=min(chains, cores or _processors()),
            seed=_seed_for(store) if seed is None else checked_seed(seed),
            target_accept=target_accept or target_of(model),
        )
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

        def named(natural: dict[str, NDArray[np.float64]]) -> xr.Dataset:
            unseen = generator(settings.seed, Stream.UNSEEN)
            return labelled(model, design, natural, unseen)

        def to_gate(natural: dict[str, NDArray[np.float64]]) -> xr.Dataset:
            return gated_quantities(model, design.scale, table, named(natural), settings.seed)

        try:
            sampled = enough_draws(
                model, compiled, design, settings, shown, to_gate=to_gate, store=draw_store
            )
        except KeyboardInterrupt:
            what = f"its draws so far are in {store}" if store else "nothing was kept or written"
            raise KeyboardInterrupt(
                f"The fit was interrupted before it was complete; {what}."
            ) from None
        sampled_after = time.perf_counter()
        shown.stage("checking")
        posterior = named(parameters_from_draws(model, design, sampled.positions))
        factor, exploration = sampled.factor, sampled.exploration
        # What was looked at were all draws that were made, of which these may be a part.
        thinned = {
            "kept": digest_of(posterior),
            "longest": factor == LONGEST,
            "measures": sampled.table.reset_index().to_dict("list"),
        }
        result = Fit(
            model=model,
            runs=table,
            scale=design.scale,
            _posterior=posterior,
            _sample_stats=sampled.stats,
            provenance={
                **begun,
                "sampler": begun["sampler"] | ({"kept_one_draw_in": factor} if factor > 1 else {}),
                "seconds": {
                    "compile": round(compiled_after - started, 3),
                    "sample": round(sampled_after - compiled_after, 3),
                },
                **({"all_draws": thinned} if factor > 1 else {}),
                **(
                    {
                        "modes": dict(exploration.log_evidence),
                        "modes_error": exploration.error,
                    }
                    if exploration
                    else {}
                ),
                **({"taken_up": draw_store.taken_up} if draw_store else {}),
            },
        )
        if draw_store:
            draw_store.finish(factor, result.provenance)
        # Gates are looked at before results, so they are computed while the bar still shows.
        return result.gated(sampled.table)


def fit_quietly(
    model: Model,
    runs: Runs,
    *,
    seed: int | None,
    draws: int = 1000,
    target_accept: float | None = None,
) -> Fit:
    """Fit a model as one of many: without a progress bar, or warnings that the first fit gave."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        return fit(model, runs, seed=seed, draws=draws, target_accept=target_accept, progress=False)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sampled:
    """Draws of a posterior, and how they were made.

    Attributes
    ----------
    positions
        Unconstrained draws by name.
    stats
        The sampler's statistics of them.
    exploration
        What was found of modes, if the law may have several.
    factor
        One draw in so many was kept.
    table
        What diagnostics measure of all draws that were made.
    """

    positions: dict[str, NDArray[np.float64]]
    stats: xr.Dataset
    exploration: Exploration | None
    factor: int
    table: pd.DataFrame


def enough_draws(
    model: Model,
    compiled: Sampler,
    design: Design,
    settings: Settings,
    shown: Stages,
    effective: float = ESS,
    r_hat: float = R_HAT,
    to_gate: ToGate | None = None,
    store: DrawStore | None = None,
    longest: int | None = None,
) -> Sampled:
    """Sample a model until its draws are enough: independent enough, of chains that agree.

    Parameters
    ----------
    model, compiled, design, settings, shown
        As for `draw_posterior`.
    effective, r_hat
        How many independent draws they must be worth, and how nearly chains must agree.
    to_gate
        What of the draws is looked at, from what `parameters_from_draws` returns; the scalars
        unless given.
    store
        What keeps draws while they are made, of each factor apart.
    longest
        What would take more than so many times as long is left as it is; unless given, it is
        sampled for `LONGEST` times as long.
    """
    beyond = samples_beyond_chance(settings.chains, r_hat)
    # Fewer draws than these, however independent, would differ between chains by chance.
    first = math.ceil(beyond / (_WORTH * settings.chains * settings.draws))
    factor, tried = (1 if longest else min(first, LONGEST)), 0
    while True:
        longer = replace(
            settings,
            draws=settings.draws * factor,
            tune=settings.tune * (2 if tried else 1),
        )
        positions, stats, exploration = draw_posterior(
            model, compiled, design, longer, shown, store, factor
        )
        tried += 1
        natural = parameters_from_draws(model, design, positions)
        table = measured(to_gate(natural) if to_gate else _scalars(model, natural))
        worth = table[["ess_bulk", "ess_tail"]].min(axis="columns")
        agree = table["r_hat"] < r_hat
        if factor >= (longest or LONGEST) or (worth.min() > effective and bool(agree.all())):
            break
        # With half as many again as that would need: what is counted is uncertain too.
        needed = factor * 1.5 * effective / max(float(worth.min()), 1.0)
        if longest and needed > longest:
            break
        if not agree.all():
            needed = max(needed, factor * beyond / max(float(table[WITHIN][~agree].min()), 1.0))
        # What a second attempt did not settle is not worth a third that is little longer.
        least, most = (LONGEST if tried > 1 else 2 * factor), longest or LONGEST
        factor = int(np.clip(np.ceil(needed), min(least, most), most))
    return Sampled(
        positions={name: values[:, ::factor] for name, values in positions.items()},
        stats=stats.isel(draw=slice(None, None, factor)),
        exploration=exploration,
        factor=factor,
        table=table,
    )


def _scalars(model: Model, natural: dict[str, NDArray[np.float64]]) -> xr.Dataset:
    reported = natural | model.law.derived(natural)
    return xr.Dataset({name: (("chain", "draw"), x) for name, x in reported.items() if x.ndim == 2})


def draw_posterior(
    model: Model,
    compiled: Sampler,
    design: Design,
    settings: Settings,
    shown: Stages,
    store: DrawStore | None = None,
    factor: int = 1,
) -> tuple[dict[str, NDArray[np.float64]], xr.Dataset, Exploration | None]:
    """Sample a model given what it observes, from every mode that its law may have.

    Parameters
    ----------
    model, compiled, design, settings, shown
        What is sampled and how, and what shows the progress.
    store, factor
        What keeps draws while they are made, if anything does, and under which factor.

    Returns
    -------
    positions, sample_stats, exploration
        Unconstrained draws by name, the sampler's statistics, and what was found of modes.
    """
    sampler: Samples = store.sampler(compiled, factor) if store else compiled
    places = places_to_look(model, design)
    sampling = f"sampling, {settings.chains} chains"
    if not places:
        shown.stage(sampling)
        return *sampler.sample(design.matrix, settings, shown.count), None
    shown.stage("looking for modes")
    found = store.exploration(factor) if store else None
    if found is None:
        found = explore(model, compiled, design, settings, places)
        if store:
            store.add_exploration(factor, found)
    shown.stage(sampling)
    return sample_modes(sampler, design.matrix, settings, found, shown.count)


def compiled_logp(model: Model, sizes: Sizes = (), sampler: str = "nutpie") -> Sampler:
    """Return the compiled log density of a model, compiling it at most once a process."""
    # What a card is called and cites does not matter to its density.
    plain = replace(model, id="compiled", title="", references=())
    return _compiled_card(plain.to_toml(), model.law, sizes, sampler)


@lru_cache(maxsize=32)
def _compiled_card(card: str, law: Law, sizes: Sizes, sampler: str) -> Sampler:
    # The law is part of the key: a name may be defined again, with another formula.
    import tomllib

    return _COMPILERS[sampler](Model.from_dict(tomllib.loads(card)), sizes)


def _with_numba(model: Model, sizes: Sizes) -> Sampler:
    start, rows, law = starting_point(model, sizes=sizes), Rows(model).count, model.law

    def compile_it() -> Density:
        from bayescale.inference.compile import compile_logp

        # Any data will do: the graph depends on the number of rows only.
        return compile_logp(build(model, np.zeros((rows, 2)), sizes), start, DATA)

    # What a user's own law depends on cannot be known, so its code is not kept.
    ours = type(law).__module__.startswith("bayescale.") and not isinstance(law, FunctionLaw)
    density = kept(f"{model.to_toml()}\n{sizes}", compile_it) if ours else compile_it()
    # With a discrepancy a frame is no better, and its variables are few enough to learn.
    framed = bool(model.effects) and model.discrepancy is None
    return CompiledLogp.of(density, start, rows, framed)


def _with_jax(model: Model, sizes: Sizes) -> Sampler:
    from bayescale.inference.numpyro import JaxLogp

    start, rows = starting_point(model, sizes=sizes), Rows(model).count
    return JaxLogp.of(build(model, np.zeros((rows, 2)), sizes), start, DATA, rows)


_COMPILERS = {"nutpie": _with_numba, "numpyro": _with_jax}
"""What makes each sampler of a model with room for levels."""


def target_of(model: Model) -> float:
    """Return the acceptance at which a model is sampled unless another is asked for."""
    return 0.95 if model.has_steps else 0.9


def _check_counts(**counts: int | None) -> None:
    for name, value in counts.items():
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if value is not None and not (whole and value >= 1):
            raise ValueError(
                f"{name}: found {quoted(value)}, expected a whole number of at least 1."
            )
        if value is not None and value > _MOST_DRAWS:
            raise ValueError(f"{name}: found {quoted(value)}, expected at most {_MOST_DRAWS:,}.")
    if (counts["draws"] or 0) < 10:
        raise ValueError(f"draws: found {counts['draws']}, expected at least 10.")


def _processors() -> int:
    # From Python 3.13 there is a count that knows of a process's limits.
    count: int | None = getattr(os, "process_cpu_count", os.cpu_count)()
    return count or 1


def _seed_for(store: str | Path | None) -> int:
    if store and Path(store).exists():
        return int(DrawStore(Path(store)).provenance["sampler"]["seed"])
    return fresh_seed()


@cache
def _versions(of_sampler: tuple[str, ...]) -> dict[str, str]:
    packages = ("bayescale", "pymc", "pytensor", *of_sampler, "numpy", "xarray")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
