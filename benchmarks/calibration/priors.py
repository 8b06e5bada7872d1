"""Priors of the default card, learnt from the tables of all sources but one, or of all."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

import bayescale as bs
from bayescale.errors import BayescaleWarning
from bayescale.inference.parallel import Task
from benchmarks.calibration.bench import Bench
from benchmarks.calibration.cards import DEFAULT, SEED

WIDE: Mapping[str, tuple[float, float]] = {
    "e_n": (0.05, 0.9),
    "e_d": (0.05, 0.9),
    "k_alpha": (0.4, 0.7),
    "k_beta": (0.4, 0.7),
    "k": (0.5, 0.8),
    "sigma": (0.005, 1.5),
    "rough": (0.003, 1.5),
    "smooth": (0.002, 1.5),
    "sd_loss_by_n_params": (0.002, 1.5),
}
"""Medians and standard deviations of the log of the initial wide priors."""

ALL = "all sources"


def run(bench: Bench) -> None:
    """Write the posterior of each quantity by source, and its learnt prior."""
    rows: list[dict] = []
    for source, fits in fits_of(bench).items():
        for name in WIDE:
            known = [fit for fit in fits if name in fit.posterior]
            if not known:
                continue
            drawn = np.log([fit.posterior[name].to_numpy().ravel() for fit in known])
            # The mean over the tables of a source.
            centre, spread = drawn.mean(axis=1).mean(), drawn.std(axis=1).mean()
            rows.append({"source": source, "quantity": name, **numbers(centre, spread)})
    for name, prior in learnt(bench, "").all_priors.items():
        if name in WIDE:
            rows.append(
                {"source": ALL, "quantity": name, **numbers(np.log(prior.median), prior.log_sd)}
            )
    bench.write("priors", rows)


def write_card(bench: Bench, path: Path) -> None:
    """Write the default card with the priors learnt from all sources."""
    default, found = bs.load_model(DEFAULT), learnt(bench, "")
    path.write_text(replace(found, id=DEFAULT, title=default.title).to_toml(), encoding="utf-8")


@lru_cache
def learnt(bench: Bench, leave_out: str) -> bs.Model:
    """Return the default card, with priors learnt from all sources but one."""
    fits = {source: parts for source, parts in fits_of(bench).items() if source != leave_out}
    return bs.learn_prior(fits, base=wide(), id=f"{DEFAULT} without {leave_out or 'none'}")


@lru_cache
def fits_of(bench: Bench) -> dict[str, list[bs.Fit]]:
    """Return the fits of the card with wide priors to every table, stored in files."""
    folder = bench.results / "fits"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {
        source: [folder / f"{source}-{i}.nc" for i in range(len(tables))]
        for source, tables in bench.sources.items()
    }
    tasks = [
        Task(f"wide {source} {name}", (wide(), runs, path))
        for source, tables in bench.sources.items()
        for path, (name, runs) in zip(paths[source], tables.items(), strict=True)
        if not path.is_file()
    ]
    bench.tasks(fit_and_save, tasks)
    return {source: [bs.load_fit(path) for path in parts] for source, parts in paths.items()}


def fit_and_save(model: bs.Model, runs: bs.Runs, path: Path) -> dict:
    warnings.simplefilter("ignore", BayescaleWarning)
    # Wide priors give posteriors whose geometry needs smaller steps.
    fit = bs.fit(runs, model, seed=SEED, cores=1, progress=False, tune=1000, target_accept=0.99)
    fit.save(path)
    return {"ok": bool(fit.diagnostics.ok)}


def wide() -> bs.Model:
    """Return the default card with wide priors."""
    default, why = bs.load_model(DEFAULT), "wide, to be replaced by a learnt prior"
    prior = {
        name: bs.LogNormal(median=median, log_sd=log_sd, why=why)
        for name, (median, log_sd) in WIDE.items()
    }
    return replace(
        default,
        id=f"{DEFAULT}, wide",
        priors={name: prior.get(name, old) for name, old in default.priors.items()},
        noise=replace(default.noise, priors={**default.noise.priors, "sigma": prior["sigma"]}),
        pooling=tuple(replace(effect, sd=prior[effect.spread]) for effect in default.pooling),
        discrepancy=default.discrepancy.scaled(prior),
    )


def numbers(centre: float, spread: float) -> dict[str, float]:
    return {"median": float(np.exp(centre)), "factor": float(np.exp(spread))}
