"""Speed on the reference problem, against peers, side by side in one run.

    make bench

The problem: Chinchilla's law, the 240 shipped runs, Student-t noise, four chains of a thousand
draws. Each contender runs in processes of its own, first with an empty compile cache (cold), then
with the cache that the first one left (warm). Reported for each:

cold, warm
    seconds from the start of the process to the printed table of parameters and plans;
refit
    seconds for a second fit in the same process;
ess/s
    effective samples of the worst quantity, ln N_opt at 5.76e23 FLOP included, for each second
    of that second fit's sampling, warm-up included;
grad/ess
    gradient evaluations for each of these, which does not depend on the machine.

Ratios are against bayescale, in the same run.

Then, in one process, the whole of `bayescale.allocate` on those 4,000 draws and 100 budgets:
seconds, the least of several, with the optimum in closed form and searched for (`--allocation`
for that alone). Writes benchmarks/speed.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CONTENDERS = ("bayescale", "pm.sample", "numpyro-dense")
MARK = "== table printed"
BUDGET = 5.76e23


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--allocation", action="store_true", help="time the allocation only")
    parser.add_argument("--repeats", type=int, default=3, help="warm starts, of which the median")
    options = parser.parse_args()
    if options.worker:
        WORKERS[options.worker]()
        return
    path = Path(__file__).with_suffix(".json")
    facts: dict[str, Any] = {"cores": os.cpu_count(), "python": sys.version.split()[0]}
    if not options.allocation:
        facts["rows"] = {name: measure(name, options.repeats) for name in CONTENDERS}
        show(facts["rows"])
    facts["allocation_s"] = allocation()
    path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def allocation(repeats: int = 5) -> dict[str, float]:
    """Time the allocation of many draws at many budgets, in closed form and by a search."""
    import numpy as np

    import bayescale as bs
    from bayescale.costs import Lifetime, Serving, ShapedCost, ShapeFamily, six_nd

    def own(n_params: Any, n_tokens: Any) -> Any:
        return 6 * n_params * n_tokens

    fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    drifting = bs.fit("chinchilla-drift", "chinchilla", seed=1, progress=False)
    budgets = np.geomspace(1e18, 1e26, 100)
    family = ShapeFamily(aspect=128, vocab_size=50257, n_ctx=2048)
    contenders = {
        "6ND, closed form": (fit, six_nd, 0.1),
        "FLOP of shapes, searched": (fit, ShapedCost(family=family), 2.0),
        "training and serving, searched": (fit, Lifetime(Serving(n_tokens="1B")), 2.0),
        "a function of one's own, searched": (fit, own, 2.0),
        "6ND, of a law that drifts": (drifting, six_nd, 2.0),
    }
    draws = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    print(f"\nallocate, {draws:,} draws by {len(budgets)} budgets:")
    found = {}
    for name, (source, cost, most) in contenders.items():
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            bs.allocate(source, compute=budgets, cost=cost)
            seconds.append(time.perf_counter() - started)
        found[name] = min(seconds)
        print(f"  {name:36}{found[name]:8.3f} s, to be under {most:g} s")
    return found


def measure(name: str, repeats: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as cache:
        cold, _ = run(name, cache)
        warm = [run(name, cache) for _ in range(repeats)]
    middle = sorted(warm, key=lambda pair: pair[0])[repeats // 2]
    return {"cold_s": cold, "warm_s": middle[0], **middle[1]}


def run(name: str, cache: str) -> tuple[float, dict[str, float]]:
    """Run a contender; return seconds to its table, and what it measured of its refit."""
    environment = {
        **os.environ,
        "PYTENSOR_FLAGS": f"base_compiledir={cache}/pytensor",
        "NUMBA_CACHE_DIR": f"{cache}/numba",
        "JAX_COMPILATION_CACHE_DIR": f"{cache}/jax",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, __file__, "--worker", name]
    started = time.perf_counter()
    seconds = float("nan")
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            if line.strip() == MARK:
                seconds = time.perf_counter() - started
            last = line
    if process.returncode:
        raise SystemExit(f"{name} failed with exit code {process.returncode}")
    return seconds, json.loads(last)


def show(rows: dict[str, dict[str, float]]) -> None:
    columns = ("cold_s", "warm_s", "refit_s", "ess_per_s", "grad_per_ess")
    print(f"{'':14}" + "".join(f"{column:>20}" for column in columns))
    ours = rows["bayescale"]
    for name, row in rows.items():
        cells = [
            f"{row[column]:.3g}"
            + (f" ({row[column] / ours[column]:.2g}x)" if name != "bayescale" else "")
            for column in columns
        ]
        print(f"{name:14}" + "".join(f"{cell:>20}" for cell in cells))


def print_table(draws: Any) -> None:
    """Print medians and intervals of whatever a contender drew; all print the same way."""
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
    }
    print(json.dumps(facts))


def with_optimum(law: Any, natural: dict[str, Any], noise: dict[str, Any]) -> Any:
    import numpy as np
    import xarray as xr

    log_n = law.optimal_log_params(natural, np.log(BUDGET / 6))
    return xr.Dataset({**natural, **noise, "ln_n_opt": log_n})


def bayescale_worker() -> None:
    import bayescale as bs

    runs = bs.load_runs("chinchilla")

    def once(seed: int) -> tuple[Any, Any]:
        fit = bs.fit("chinchilla", runs, seed=seed, progress=False)
        noise = {name: fit.posterior[name] for name in fit.model.noise.priors}
        return fit, with_optimum(fit.law, fit.parameters, noise)

    _, draws = once(1)
    print_table(draws)
    started = time.perf_counter()
    fit, draws = once(2)
    refit = time.perf_counter() - started
    # nutpie's count is of kept draws; warm-up takes about as many steps a draw.
    sampler = fit.provenance["sampler"]
    share = (sampler["draws"] + sampler["tune"]) / sampler["draws"]
    gradients = float(fit.sample_stats["n_steps"].sum()) * share
    finish(refit, fit.provenance["seconds"]["sample"], draws, gradients)


def pymc_worker() -> None:
    import pymc as pm

    import bayescale as bs
    from bayescale.build import build, coordinates_of
    from bayescale.design import Design, Scale

    runs, model = bs.load_runs("chinchilla"), bs.load_model("chinchilla")
    scale, law = Scale.of(model, runs), bs.law("chinchilla")

    def once(seed: int) -> tuple[Any, Any]:
        with build(model, Design.of(model, runs).matrix):
            tree = pm.sample(random_seed=seed, progressbar=False, quiet=True)
        free = tree["posterior"].to_dataset()
        coordinates, _ = coordinates_of(law, free)
        coordinates["loss_ref"] = coordinates["loss_ref"] * scale.response
        natural = law.from_reference(coordinates, scale.reference)
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
    from bayescale.build import coordinates_of
    from bayescale.design import Design, Scale

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
        alpha, beta = e_n * total / weight_n, e_d * total / weight_d
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
        coordinates, _ = coordinates_of(law, free)
        coordinates["loss_ref"] = coordinates["loss_ref"] * scale.response
        natural = law.from_reference(coordinates, scale.reference)
        noise = {"sigma": free["sigma"], "nu": 1 + free["nu_above_1"]}
        steps = float(np.sum(mcmc.get_extra_fields()["num_steps"]))
        return with_optimum(law, natural, noise), 2 * steps

    draws, _ = once(1)
    print_table(draws)
    started = time.perf_counter()
    draws, gradients = once(2)
    refit = time.perf_counter() - started
    finish(refit, refit, draws, gradients)


WORKERS = {
    "bayescale": bayescale_worker,
    "pm.sample": pymc_worker,
    "numpyro-dense": numpyro_worker,
}

if __name__ == "__main__":
    main()
