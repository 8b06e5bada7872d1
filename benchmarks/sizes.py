"""Measurements of performance.py by size, on simulated runs, and of allocation."""

import json
import resource
import sys
import time
from typing import Any

SIZES = {
    "runs": (240, 800, 2400, 8000, 24_000),
    "families": (5, 15, 50),
    "checkpoints": (5000,),
}
TINY = {"runs": (240, 480), "checkpoints": (125,), "families": (5,)}
RUNS_A_FAMILY, CHECKPOINTS_A_RUN = 100, 25


def peak_memory() -> float:
    """Return the peak memory of this process and its children, in MB."""
    unit = 1.0 if sys.platform == "darwin" else 1024.0
    # Children too, since R runs as a child.
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in who) * unit / 1e6


def simulated(count: int, each: int, rng: Any) -> Any:
    """Return runs of families with different floors and terms, and Student-t noise."""
    import numpy as np
    import pandas as pd

    import bayescale as bs

    law, parameters = bs.law("chinchilla"), dict(bs.published("besiroglu2024").parameters)
    tables = []
    for i in range(count):
        apart = {"E": 0.05, "A": 0.3, "B": 0.3} if count > 1 else {}
        own = {
            name: value * np.exp(apart.get(name, 0.0) * rng.standard_normal())
            for name, value in parameters.items()
        }
        size = np.exp(rng.uniform(np.log(5e7), np.log(5e9), each))
        tokens = np.exp(rng.uniform(np.log(1e9), np.log(3e11), each))
        loss = law.evaluate(n_params=size, n_tokens=tokens, **own)
        loss = loss * np.exp(0.004 * rng.standard_t(5, each))
        columns = {"n_params": size, "n_tokens": tokens, "loss": loss, "family": f"f{i:03d}"}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def trained(count: int, each: int, rng: Any) -> Any:
    """Return checkpoints of runs, with errors whose correlation falls by e per e-fold of tokens."""
    import numpy as np
    import pandas as pd

    import bayescale as bs

    law, parameters = bs.law("chinchilla"), dict(bs.published("besiroglu2024").parameters)
    tokens = np.geomspace(1e9, 3e11, each)
    kept = np.exp(-np.log(tokens[1] / tokens[0]))
    tables = []
    for i in range(count):
        size = np.exp(rng.uniform(np.log(5e7), np.log(5e9)))
        error = rng.standard_normal(each)
        for j in range(1, each):
            error[j] = kept * error[j - 1] + np.sqrt(1 - kept**2) * error[j]
        loss = law.evaluate(n_params=size, n_tokens=tokens, **parameters) * np.exp(0.004 * error)
        columns = {"n_params": size, "n_tokens": tokens, "loss": loss, "run": f"r{i:03d}"}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def by_size(kind: str, size: int) -> None:
    from dataclasses import replace

    import numpy as np

    import bayescale as bs
    from bayescale.backend.observed import Design
    from bayescale.inference.samplers import compiled_logp

    rng = np.random.default_rng(size)
    if kind == "families":
        model, table = bs.load_model("chinchilla-pooled"), simulated(size, RUNS_A_FAMILY, rng)
    elif kind == "runs":
        model, table = bs.load_model("chinchilla"), simulated(1, size, rng)
    else:
        model = bs.load_model("chinchilla")
        length = bs.LogNormal(median=1.0, log_sd=0.7, why="errors fade within a factor of tokens")
        linked = bs.CheckpointCorrelation(run="run", along="n_tokens", length=length)
        normal = {"sigma": model.noise.priors["sigma"]}
        noise = replace(model.noise, kind="normal", priors=normal, checkpoints=linked)
        model = replace(model, noise=noise)
        table = trained(size // CHECKPOINTS_A_RUN, CHECKPOINTS_A_RUN, rng)
    runs = bs.load_runs(table)
    fit = bs.fit(runs, model, seed=1, progress=False)
    design = Design.of(model, runs)
    compiled = compiled_logp(model, design.sizes)
    calls, spent = 20, []
    for _ in range(5):
        started = time.process_time()
        for _ in range(calls):
            compiled.log_density(compiled.start, design.matrix)
        spent.append((time.process_time() - started) / calls)
    facts = {
        "runs": len(runs),
        "unknowns": len(compiled.start),
        "compile_s": fit.provenance["seconds"]["compile"],
        "sample_s": fit.provenance["seconds"]["sample"],
        "gradient_us": 1e6 * min(spent),
        "worst_ess": float(fit.diagnostics.worst_ess),
        "ok": bool(fit.diagnostics.ok),
        "memory_mb": peak_memory(),
    }
    print(json.dumps(facts))


REFITTED = ("chinchilla", "coupled", "coupled-discrepancy")
SIMULATED = REFITTED[:1]


def refits(repeats: int = 15) -> dict[str, float]:
    """Return the median seconds of short fits of cards that are already compiled."""
    from statistics import median

    import bayescale as bs

    runs = bs.load_runs("chinchilla")
    found = {}
    for card in REFITTED:
        spent = []
        for seed in range(repeats + 1):
            started = time.perf_counter()
            bs.fit(runs, card, draws=250, tune=300, seed=seed, progress=False)
            spent.append(time.perf_counter() - started)
        found[card] = median(spent[1:])
    return found


def simulations(count: int) -> dict[str, float]:
    """Return the seconds of simulation-based calibration on the shipped runs, in two processes."""
    from concurrent.futures import ProcessPoolExecutor

    import bayescale as bs

    design = bs.load_runs("chinchilla").table[["n_params", "n_tokens"]]
    found = {}
    with ProcessPoolExecutor(2) as executor:
        for card in SIMULATED:
            bs.sbc(card, design, 2, seed=0, executor=executor, progress=False)
            started = time.perf_counter()
            bs.sbc(card, design, count, seed=1, executor=executor, progress=False)
            found[card] = time.perf_counter() - started
    return found


def allocation(repeats: int = 5) -> dict[str, float]:
    """Return the seconds of allocating many draws at many budgets, in closed form and by search."""
    import numpy as np

    import bayescale as bs
    from bayescale.costs import Lifetime, Serving, ShapedCost, ShapeFamily, six_nd

    def own(n_params: Any, n_tokens: Any) -> Any:
        return 6 * n_params * n_tokens

    fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    discrepant = bs.fit("chinchilla", "coupled-discrepancy", seed=1, progress=False)
    budgets = np.geomspace(1e18, 1e26, 100)
    family = ShapeFamily(aspect=128, vocab_size=50257, n_ctx=2048)
    contenders = {
        "6ND, closed form": (fit, six_nd),
        "FLOP of shapes, searched": (fit, ShapedCost(family=family)),
        "training and serving, searched": (fit, Lifetime(Serving(n_tokens="1B"))),
        "a user's function, searched": (fit, own),
        "6ND, with a discrepancy": (discrepant, six_nd),
    }
    found = {}
    for name, (source, cost) in contenders.items():
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            bs.allocate(source, budget=budgets, cost=cost)
            seconds.append(time.perf_counter() - started)
        found[name] = min(seconds)
    return found
