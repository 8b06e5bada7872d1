"""Compile the reference model with bayescale's wrappers and with nutpie's, side by side.

    python benchmarks/compilation.py

Each in a process of its own, after one that filled the caches; seconds without imports.
"""

import subprocess
import sys

PREPARE = """
import time
import numpy as np, nutpie, pymc, numba, arviz_stats
import bayescale as bs
from bayescale.backend.build import DATA, build
from bayescale.backend.unconstrained import starting_point
from bayescale.inference.compile import compile_logp
model = bs.load_model("chinchilla")
started = time.perf_counter()
built = build(model, np.zeros((3, 240)))
"""
CONTENDERS = {
    "bayescale": "compile_logp(built, starting_point(model), DATA)",
    "nutpie": "nutpie.compile_pymc_model(built, var_names=[])",
}
REPEATS = 5


def main() -> None:
    medians = {}
    for name, compile_it in CONTENDERS.items():
        code = PREPARE + compile_it + "\nprint(time.perf_counter() - started)"
        command = [sys.executable, "-W", "ignore", "-c", code]
        seconds = sorted(
            float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            for _ in range(REPEATS + 1)
        )
        medians[name] = seconds[REPEATS // 2]
        print(f"{name:12}{medians[name]:8.2f} s")
    print(f"ratio {medians['nutpie'] / medians['bayescale']:.1f}")


if __name__ == "__main__":
    main()
