"""The reference problem in bayescale and in its peers, each run by performance.py."""

import json
import time
from typing import Any

from benchmarks.sizes import peak_memory

MARK = "== table printed"
BUDGET = 5.76e23


def print_table(draws: Any) -> None:
    """Print medians and intervals of a contender's draws, in one format for all."""
    ends = draws.quantile([0.05, 0.5, 0.95], dim=("chain", "draw"))
    for name in draws.data_vars:
        print(name, *(f"{float(value):.5g}" for value in ends[name]))
    print(MARK, flush=True)


def worst_ess(draws: Any) -> float:
    import arviz_stats as azs

    found = azs.ess(draws, method="bulk")
    return min(float(found[name]) for name in found.data_vars)


def finish(refit: float, sampling: float, draws: Any, gradients: float) -> None:
    ess = worst_ess(draws)
    facts = {
        "refit_s": refit,
        "ess_per_s": ess / sampling,
        "grad_per_ess": gradients / ess,
        "memory_mb": peak_memory(),
    }
    print(json.dumps(facts))


def with_optimum(law: Any, natural: dict[str, Any], noise: dict[str, Any]) -> Any:
    import numpy as np
    import xarray as xr

    log_n = law.optimal_log_params(natural, np.log(BUDGET / 6))
    return xr.Dataset({**natural, **noise, "ln_n_opt": log_n})


def in_units(law: Any, coordinates: dict[str, Any], scale: Any) -> dict[str, Any]:
    """Return natural parameters from coordinates whose loss is relative to the typical loss."""
    loss = coordinates["loss_ref"] * scale.response
    return law.from_reference({**coordinates, "loss_ref": loss}, scale.reference)


def bayescale_worker() -> None:
    import bayescale as bs

    runs = bs.load_runs("chinchilla")

    def once(seed: int) -> tuple[Any, Any]:
        fit = bs.fit(runs, "chinchilla", seed=seed, progress=False)
        noise = {name: fit.posterior[name] for name in fit.model.noise.priors}
        return fit, with_optimum(fit.law, fit.parameters, noise)

    _, draws = once(1)
    print_table(draws)
    started = time.perf_counter()
    fit, draws = once(2)
    refit = time.perf_counter() - started
    # nutpie counts the steps of kept draws only; a warm-up draw takes about as many.
    sampler = fit.provenance["sampler"]
    share = (sampler["draws"] + sampler["tune"]) / sampler["draws"]
    gradients = float(fit.sample_stats["n_steps"].sum()) * share
    finish(refit, fit.provenance["seconds"]["sample"], draws, gradients)


def pymc_worker() -> None:
    import pymc as pm

    import bayescale as bs
    from bayescale.backend.build import build
    from bayescale.backend.observed import Design, Scale
    from bayescale.backend.unconstrained import coordinates_of

    runs, model = bs.load_runs("chinchilla"), bs.load_model("chinchilla")
    scale, law = Scale.of(model, runs), bs.law("chinchilla")

    def once(seed: int) -> tuple[Any, Any]:
        with build(model, Design.of(model, runs).matrix):
            tree = pm.sample(random_seed=seed, progressbar=False, quiet=True)
        free = tree["posterior"].to_dataset()
        coordinates, _ = coordinates_of(model, free)
        natural = in_units(law, coordinates, scale)
        return tree, with_optimum(law, natural, {name: free[name] for name in model.noise.priors})

    _, draws = once(1)
    print_table(draws)
    started = time.perf_counter()
    tree, draws = once(2)
    refit = time.perf_counter() - started
    gradients = 2 * float(tree["sample_stats"]["n_steps"].sum())  # as many warm-up draws as kept
    finish(refit, float(tree["posterior"].attrs.get("sampling_time", refit)), draws, gradients)


def numpyro_worker() -> None:
    import numpyro

    numpyro.set_host_device_count(4)
    numpyro.enable_x64()
    import jax
    import jax.numpy as jnp
    import numpy as np
    import numpyro.distributions as dist
    import xarray as xr
    from numpyro.infer import MCMC, NUTS

    import bayescale as bs
    from bayescale.backend.observed import Design, Scale

    runs = bs.load_runs("chinchilla")
    card, law = bs.load_model("chinchilla"), bs.law("chinchilla")
    scale = Scale.of(card, runs)
    x, z, y = Design.of(card, runs).matrix

    def density() -> None:
        """The same density, in the same parametrisation."""
        ref = numpyro.sample("loss_ref", dist.LogNormal(0.0, 0.3))
        e_n = numpyro.sample("e_n", dist.LogNormal(jnp.log(0.05), 0.7))
        e_d = numpyro.sample("e_d", dist.LogNormal(jnp.log(0.05), 0.7))
        flat = dist.ImproperUniform(dist.constraints.real, (), ())
        weight_n = jnp.exp(numpyro.sample("logit_share_alpha", flat))
        weight_d = jnp.exp(numpyro.sample("logit_share_beta", flat))
        total = 1 + weight_n + weight_d
        alpha = numpyro.deterministic("alpha", e_n * total / weight_n)
        beta = numpyro.deterministic("beta", e_d * total / weight_d)
        prior = dist.Normal(jnp.log(0.4), 0.45)
        numpyro.factor("exponents", prior.log_prob(jnp.log(alpha)) + prior.log_prob(jnp.log(beta)))
        numpyro.factor("jacobian", -jnp.log(total))
        sigma = numpyro.sample("sigma", dist.HalfNormal(0.02))
        excess = numpyro.sample(
            "nu_above_1", dist.ImproperUniform(dist.constraints.positive, (), ())
        )
        nu = 1 + excess
        numpyro.factor("nu", dist.Gamma(2.0, 0.1).log_prob(nu))
        terms = weight_n * jnp.exp(-alpha * x) + weight_d * jnp.exp(-beta * z)
        mean = jnp.log(ref * (1 + terms) / total)
        numpyro.sample("log_loss", dist.StudentT(nu, mean, sigma), obs=y)

    start = {
        **{"loss_ref": 1.0, "e_n": 0.05, "e_d": 0.05, "sigma": 0.02, "nu_above_1": 10.0},
        **{"logit_share_alpha": -1.8, "logit_share_beta": -1.8},
    }
    kernel = NUTS(density, dense_mass=True, init_strategy=numpyro.infer.init_to_value(values=start))
    mcmc = MCMC(kernel, num_warmup=1000, num_samples=1000, num_chains=4, progress_bar=False)

    def once(seed: int) -> tuple[Any, float]:
        mcmc.run(jax.random.key(seed), extra_fields=("num_steps",))
        drawn = mcmc.get_samples(group_by_chain=True)
        free = {
            name: xr.DataArray(np.asarray(v), dims=("chain", "draw")) for name, v in drawn.items()
        }
        coordinates = {name: free[name] for name in law.coordinates}
        natural = in_units(law, coordinates, scale)
        noise = {"sigma": free["sigma"], "nu": 1 + free["nu_above_1"]}
        steps = float(np.sum(mcmc.get_extra_fields()["num_steps"]))
        return with_optimum(law, natural, noise), 2 * steps

    draws, _ = once(1)
    print_table(draws)
    started = time.perf_counter()
    draws, gradients = once(2)
    refit = time.perf_counter() - started
    finish(refit, refit, draws, gradients)


def brms_worker() -> None:
    import os
    import subprocess
    import tempfile
    from pathlib import Path

    import numpy as np
    import pandas as pd
    import xarray as xr

    import bayescale as bs
    from bayescale.backend.observed import Design, Scale
    from bayescale.backend.unconstrained import ODDS, TOTAL, coordinates_of

    runs, model = bs.load_runs("chinchilla"), bs.load_model("chinchilla")
    scale, law = Scale.of(model, runs), bs.law("chinchilla")
    with tempfile.TemporaryDirectory() as folder:
        table, draws_file = Path(folder, "runs.csv"), Path(folder, "draws.csv")
        columns = zip("xzy", Design.of(model, runs).matrix, strict=True)
        pd.DataFrame(dict(columns)).to_csv(table, index=False)
        script = Path(__file__).with_name("contender_brms.R")
        cache = os.environ["BENCHMARK_CACHE_DIR"]
        subprocess.run(["Rscript", script, table, cache, draws_file, MARK], check=True)
        drawn = pd.read_csv(draws_file)
    free = {
        name: xr.DataArray(drawn[name].to_numpy().reshape(4, -1), dims=("chain", "draw"))
        for name in ("b_level_Intercept", *(f"b_{x}_Intercept" for x in "ndpq"), "sigma", "nu")
    }
    level, n, d, p, q = (free[f"b_{x}_Intercept"] for x in ("level", *"ndpq"))
    sampled = {"loss_ref": level, TOTAL: np.logaddexp(n, d), ODDS: n - d}
    sampled |= {"logit_share_alpha": p, "logit_share_beta": q}
    coordinates, _ = coordinates_of(model, sampled)
    natural = in_units(law, coordinates, scale)
    noise = {name: free[name] for name in model.noise.priors}
    refit, steps = float(drawn["refit"].iloc[0]), float(drawn["steps"].iloc[0])
    finish(refit, refit, with_optimum(law, natural, noise), steps)


CONTENDERS = {
    "bayescale": bayescale_worker,
    "pm.sample": pymc_worker,
    "numpyro-dense": numpyro_worker,
    "brms": brms_worker,
}
