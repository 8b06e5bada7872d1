"""Comparison of settings of the sampler: parametrisation, warm-up, step-size target.

    python -m benchmarks.sampler_choices

Two parametrisations of the same posterior of Chinchilla's law, on all 240 shipped runs and on small
subsets of those below 1e20 FLOP, which hardly identify the floor:

wall
    ln alpha and ln beta are sampled, and the density is zero where E < 0;
shares
    the logits of the terms' shares of the loss are sampled, and E > 0 holds by construction.

Reported are divergences over ten seeds, gradient evaluations per effective sample of the worst
quantity, and the posterior mean and sd of ln alpha, which must agree between parametrisations.
"""

import numpy as np
import xarray as xr

import bayescale as bs
from bayescale.backend.build import DATA, build
from bayescale.backend.observed import Design
from bayescale.backend.unconstrained import coordinates_of, starting_point
from bayescale.inference.base import Settings
from bayescale.inference.compile import compile_logp
from bayescale.inference.nutpie import CompiledLogp

SEEDS = range(10)


def walled(model: bs.Model) -> CompiledLogp:
    """Return the plain parametrisation: priors as stated, and a hard boundary at E = 0."""
    import pymc as pm
    import pytensor.tensor as pt

    law = model.law
    with pm.Model() as built:
        runs = pm.Data(DATA, np.zeros((3, 2)))
        coordinates = {name: prior.variable(name) for name, prior in model.priors.items()}
        noise = {name: prior.variable(name) for name, prior in model.noise.priors.items()}
        centred = law.from_reference(coordinates, law.unit_reference)
        pm.Potential("wall", pt.switch(centred["E"] > 0, 0.0, -np.inf))
        mean = pt.log(law.formula({"n_params": runs[0], "n_tokens": runs[1]}, centred))
        pm.StudentT("log_loss", nu=noise["nu"], mu=mean, sigma=noise["sigma"], observed=runs[2])
    start = {
        name: float(np.log(prior.typical - prior.lower))
        for name, prior in {**model.priors, **model.noise.priors}.items()
    }
    return CompiledLogp.of(compile_logp(built, start, DATA), start, 3)


def shares(model: bs.Model) -> CompiledLogp:
    """Return the parametrisation that bayescale uses."""
    start = starting_point(model)
    return CompiledLogp.of(compile_logp(build(model, np.zeros((3, 2))), start, DATA), start, 3)


def log_alpha(model: bs.Model, draws: dict[str, np.ndarray]) -> np.ndarray:
    """Return ln alpha from the draws of either parametrisation."""
    return draws["alpha"] if "alpha" in draws else np.log(coordinates_of(model, draws)[0]["alpha"])


def describe(
    model: bs.Model, compiled: CompiledLogp, data: np.ndarray, tune: int, target: float
) -> str:
    import arviz_stats as azs

    divergences, cost, kept = 0, [], []
    for seed in SEEDS:
        settings = Settings(
            draws=1000, tune=tune, chains=4, cores=2, seed=seed, target_accept=target
        )
        draws, stats = compiled.sample(data, settings)
        divergences += int(stats["diverging"].sum())
        values = xr.Dataset({name: (("chain", "draw"), v) for name, v in draws.items()})
        ess = azs.ess(values, method="bulk")
        worst = min(float(ess[name]) for name in ess.data_vars)
        cost.append(float(stats["n_steps"].sum()) * (1 + tune / 1000) / worst)
        kept.append(log_alpha(model, draws))
    return f"{divergences:12d}{np.median(cost):12.1f}{np.mean(kept):12.3f}{np.std(kept):10.3f}"


def main() -> None:
    model, runs = bs.load_model("chinchilla"), bs.load_runs("chinchilla")
    small = runs.where("compute < 1e20")
    rng = np.random.default_rng(1)
    designs = {"240 runs": runs} | {
        f"{n} runs": small.where(np.isin(np.arange(len(small)), rng.permutation(len(small))[:n]))
        for n in (25, 10)
    }
    compiled = {"wall": walled(model), "shares": shares(model)}
    print(f"{'design':10}{'form':8}{'tune':>6}{'target':>8}{'divergences':>12}{'grad/ess':>12}"
          f"{'ln alpha':>12}{'sd':>10}")  # fmt: skip
    for design, table in designs.items():
        data = Design.of(model, table).matrix
        for form in compiled:
            for tune, target in (
                (400, 0.9),
                *(((200, 0.9), (800, 0.9), (400, 0.8)) if form == "shares" else ()),
            ):
                line = describe(model, compiled[form], data, tune, target)
                print(f"{design:10}{form:8}{tune:6d}{target:8.2f}{line}", flush=True)


if __name__ == "__main__":
    main()
