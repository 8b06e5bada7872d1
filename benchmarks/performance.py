"""Speed and memory, against peers and by problem size, for docs/performance.md.

    make bench

The reference problem: Chinchilla's law, the 240 shipped runs, Student-t noise, four chains of a
thousand draws. Each contender runs in processes of its own, first with an empty compile cache
(cold), then with the cache that the first one left (warm). Reported for each:

cold, warm
    seconds from the start of the process to the printed table of parameters and plans;
refit
    seconds for a second fit in the same process;
ess/s
    effective sample size of the worst quantity, including ln N_opt at 5.76e23 FLOP, per second of
    the second fit's sampling, warm-up included;
grad/ess
    gradient evaluations per effective sample, which does not depend on the machine;
memory
    peak memory of the process, in MB.

Then bayescale by size, on simulated runs, each size in a process of its own: runs of Chinchilla's
law, families of 100 runs each (`chinchilla-pooled`), and checkpoints with correlated errors. Then
many short fits, one after another and by simulation-based calibration, and `bayescale.allocate` on
4,000 draws and 100 budgets.

The result of each part is stored in benchmarks/performance.json, from which an interrupted run
resumes; `--again` discards it. `--tiny` runs every part at small sizes, and writes no page.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bayescale._io import whole_file
from benchmarks.contenders import CONTENDERS, MARK
from benchmarks.sizes import (
    CHECKPOINTS_A_RUN,
    REFITTED,
    RUNS_A_FAMILY,
    SIMULATED,
    SIZES,
    TINY,
    allocation,
    by_size,
    refits,
    simulations,
)

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "performance.md"
SIMULATIONS, TINY_SIMULATIONS = 1000, 4
PACKAGES = ("bayescale", "pymc", "pytensor", "nutpie", "numba", "numpy", "numpyro", "jax")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--contenders", nargs="*", default=installed(), choices=CONTENDERS)
    parser.add_argument("--repeats", type=int, default=3, help="warm starts, reported as a median")
    parser.add_argument("--limit", type=int, default=1800, help="seconds allowed for each size")
    parser.add_argument("--again", action="store_true", help="discard stored results")
    parser.add_argument("--tiny", action="store_true", help="run every part at small sizes")
    options = parser.parse_args()
    if options.worker:
        name, *size = options.worker
        if size:
            by_size(name, int(size[0]))
        else:
            CONTENDERS[name]()
        return
    # Results at small sizes have a file of their own.
    path = Path(__file__).with_suffix(".tiny.json" if options.tiny else ".json")
    facts: dict[str, Any] = {}
    if path.is_file() and not options.again:
        facts = json.loads(path.read_text(encoding="utf-8"))

    def part(name: str, measured: Callable[[], Any]) -> None:
        if name not in facts:
            print(f"{name} ...", flush=True)
            facts[name] = measured()
            print(f"    {facts[name]}", flush=True)
            with whole_file(path) as unfinished:
                unfinished.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

    part("machine", machine)
    for name in options.contenders:
        part(name, lambda name=name: measure(name, options.repeats))
    for kind, sizes in (TINY if options.tiny else SIZES).items():
        for size in sizes:
            part(f"{kind} {size}", lambda kind=kind, size=size: sized(kind, size, options.limit))
    part("refits", refits)
    part("simulations", lambda: simulations(TINY_SIMULATIONS if options.tiny else SIMULATIONS))
    part("allocation", allocation)
    if not options.tiny:
        with whole_file(PAGE) as unfinished:
            unfinished.write_text(page(facts), encoding="utf-8")
        draw_scaling(facts, PAGE.parent / "images" / "scaling.png")


def installed() -> list[str]:
    """Return the contenders that are installed."""
    there = {"numpyro-dense": lambda: find_spec("numpyro") is not None, "brms": has_brms}
    return [name for name in CONTENDERS if there.get(name, lambda: True)()]


def has_brms() -> bool:
    """Return whether R and its package brms are installed."""
    if shutil.which("Rscript") is None:
        return False
    asked = subprocess.run(["Rscript", "-e", "packageVersion('brms')"], capture_output=True)
    return asked.returncode == 0


def machine() -> dict[str, Any]:
    """Return the description of the machine and the versions."""
    processor = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(x.partition(":")[2].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        pass
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "absent"
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "versions": versions,
    }


def page(facts: dict[str, Any]) -> str:
    """Return docs/performance.md from the results."""
    on = facts["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in on["versions"].items())
    lines = [
        "# Performance",
        "",
        "Written by `make bench`, each table in one run, all on one machine: "
        f"{on['processor']}, {on['cores']} cores, {on['memory_gb']} GB, {on['system']}; "
        f"Python {on['python']}, {versions}. Load before it began: {on['load_before']:.1f}.",
        "",
        "## Against peers",
        "",
        "Chinchilla's law on the 240 shipped runs, four chains of a thousand draws, the same model "
        "and data for all; in brackets the ratio to bayescale. Cold and warm: seconds from the "
        "start of the process to the printed table, with an empty compile cache and with a filled "
        "one. Refit: seconds for a second fit. ESS/s: effective sample size of the worst quantity, "
        "including ln N_opt at 5.76e23 FLOP, per second of sampling, warm-up included; "
        "gradients/ESS: gradient evaluations per effective sample. Memory: peak of the process.",
        "",
        "| | cold, s | warm, s | refit, s | ESS/s | gradients/ESS | memory, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    columns = ("cold_s", "warm_s", "refit_s", "ess_per_s", "grad_per_ess", "memory_mb")
    ours = facts["bayescale"]
    for name in filter(facts.__contains__, CONTENDERS):
        cells = [
            f"{facts[name][column]:.3g}"
            + (f" ({facts[name][column] / ours[column]:.2g}x)" if name != "bayescale" else "")
            for column in columns
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## By size",
        "",
        "bayescale on simulated runs, each size in a process of its own, with the default settings "
        "of `fit` and an empty compile cache. Families have "
        f"{RUNS_A_FAMILY} runs each, under `chinchilla-pooled`; checkpoints belong to runs of "
        f"{CHECKPOINTS_A_RUN} each, with errors that are correlated along training. One gradient: "
        "CPU time of one evaluation of the log density and its gradient, called from Python.",
        "",
        "| problem | runs | parameters | compile, s | sample, s | one gradient, us | worst ESS "
        "| gates | memory, MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, sizes in SIZES.items():
        for size in sizes:
            row = facts[f"{kind} {size}"]
            if "stopped_s" in row:
                lines.append(f"| {size:,} {kind} | | | | not within {row['stopped_s']:,} | | | | |")
                continue
            lines.append(
                f"| {size:,} {kind} | {row['runs']:,} | {row['unknowns']} | {row['compile_s']:.3g} "
                f"| {row['sample_s']:.3g} | {row['gradient_us']:.3g} | {row['worst_ess']:.0f} "
                f"| {'passed' if row['ok'] else 'failed'} | {row['memory_mb']:.0f} |"
            )
    lines += [
        "",
        "![Time of a gradient and of a fit against runs and families](images/scaling.png)",
        "",
        "Dotted: proportional growth through the largest size.",
        "",
        "## Many fits",
        "",
        "On the 240 shipped runs, with models that are already compiled. One fit: `fit` with four "
        "chains of 300 warm-up and 250 kept draws, from runs to checked posterior, the median of "
        f"fifteen; `sbc`: {SIMULATIONS:,} such fits, each to losses simulated from the prior, in "
        "two processes. Simulations that mix slowly are sampled for longer; that time is included.",
        "",
        f"| card | one fit, s | {SIMULATIONS:,} of `sbc`, s |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{card}` | {facts['refits'][card]:.3g} "
        f"| {format(facts['simulations'][card], '.3g') if card in SIMULATED else ''} |"
        for card in REFITTED
    ]
    lines += ["", "## Allocation", "", "Seconds of `allocate` for 4,000 draws by 100 budgets.", ""]
    lines += ["| cost | s |", "|---|---|"]
    lines += [f"| {name} | {seconds:.3g} |" for name, seconds in facts["allocation"].items()]
    return "\n".join(lines) + "\n"


def draw_scaling(facts: dict[str, Any], to: Path) -> None:
    """Draw the time of a gradient and of a fit against size."""
    from matplotlib.figure import Figure

    from bayescale.plots.style import BLUE, ORANGE, ratio_axis, tidy

    def column(kind: str, name: str) -> tuple[list[int], list[float]]:
        found = {n: facts[f"{kind} {n}"] for n in SIZES[kind]}
        kept = {n: row[name] for n, row in found.items() if name in row}
        return list(kept), list(kept.values())

    canvas = Figure(figsize=(9.6, 3.4), layout="constrained")
    panels = (
        ("runs", "gradient_us", "One gradient, microseconds", BLUE, "runs of one family"),
        ("runs", "sample_s", "4 x (400 + 1,000) draws, s", BLUE, "runs of one family"),
        ("families", "sample_s", "4 x (400 + 1,000) draws, s", ORANGE, "families of 100 runs"),
    )
    for ax, (kind, name, title, colour, across) in zip(canvas.subplots(1, 3), panels, strict=True):
        sizes, spent = column(kind, name)
        ax.loglog(sizes, spent, "o-", color=colour)
        # Proportional growth through the largest size.
        ax.loglog(sizes, [spent[-1] * n / sizes[-1] for n in sizes], ":", color="0.5")
        ax.set(title=title, xlabel=across)
        ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
        ax.set_xticks([], minor=True)
        ratio_axis(ax.yaxis)
        tidy(ax)
    canvas.savefig(to, dpi=120)


def measure(name: str, repeats: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as cache:
        cold, _ = run([name], cache)
        warm = [run([name], cache) for _ in range(repeats)]
    middle = sorted(warm, key=lambda pair: pair[0])[repeats // 2]
    return {"cold_s": cold, "warm_s": middle[0], **middle[1]}


def sized(kind: str, size: int, limit: int) -> dict[str, float]:
    try:
        return run([kind, str(size)], limit=limit)[1]
    except TimeoutError:
        return {"stopped_s": limit}


def run(
    worker: list[str], cache: str | None = None, limit: float | None = None
) -> tuple[float, dict[str, float]]:
    """Run a worker; return the seconds to its table, and its results."""
    if cache is None:
        with tempfile.TemporaryDirectory() as fresh:
            return run(worker, fresh, limit)
    environment = {
        **os.environ,
        "BAYESCALE_CACHE_DIR": f"{cache}/bayescale",
        "PYTENSOR_FLAGS": f"base_compiledir={cache}/pytensor",
        "NUMBA_CACHE_DIR": f"{cache}/numba",
        "JAX_COMPILATION_CACHE_DIR": f"{cache}/jax",
        "BENCHMARK_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, "-m", "benchmarks.performance", "--worker", *worker]
    started = time.perf_counter()
    seconds = float("nan")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=environment, cwd=REPOSITORY, text=True
    ) as process:
        assert process.stdout is not None
        late = threading.Timer(limit or threading.TIMEOUT_MAX, process.kill)
        late.daemon = True
        late.start()
        last = ""
        for line in process.stdout:
            if line.strip() == MARK:
                seconds = time.perf_counter() - started
            last = line
        stopped = not late.is_alive()
        late.cancel()
    if stopped:
        raise TimeoutError
    if process.returncode:
        raise SystemExit(f"{' '.join(worker)} failed with exit code {process.returncode}")
    return seconds, json.loads(last)


if __name__ == "__main__":
    main()
