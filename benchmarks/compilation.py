"""Time saved by using private names of other packages (bayescale/inference/native.py).

    python -m benchmarks.compilation

Each case runs in a process of its own, after a first one that fills the caches. Printed are medians
of CPU seconds, imports excluded, of compiling the log density with bayescale's wrappers and with
nutpie's, and of the first and second fit of a card with private names and with public names only.
"""

import subprocess
import sys

PREPARE = """
import time
import numpy as np, nutpie, pymc, numba, arviz_stats
import bayescale as bs
from bayescale.backend.build import DATA, build
from bayescale.backend.unconstrained import starting_point
from bayescale.inference import native
from bayescale.inference.compile import compile_logp
from pytensor.configdefaults import config
model = bs.load_model("chinchilla")
def seconds(what):
    started = time.process_time()
    with config.change_flags(**native.settings_of_pytensor()):
        what()
    print(time.process_time() - started)
"""
COMPILE = """
built = build(model, np.zeros((3, 240)))
seconds(lambda: {})
"""
FIT = """
{}
runs = bs.load_runs({!r})
fit = lambda: bs.fit(runs, {!r}, draws=250, seed=1, progress=False)
seconds(fit)
seconds(fit)
"""
PUBLIC = "native._RECORD = ()"
CASES = {
    "compile, bayescale": COMPILE.format("compile_logp(built, starting_point(model), DATA)"),
    "compile, nutpie": COMPILE.format("nutpie.compile_pymc_model(built, var_names=[])"),
} | {
    f"fit of {card}, {names} names": FIT.format(code, runs, card)
    for runs, card in (("chinchilla", "chinchilla"), ("overtraining", "chinchilla-pooled"))
    for names, code in (("private", ""), ("public", PUBLIC))
}
REPEATS = 3


def main() -> None:
    for name, code in CASES.items():
        command = [sys.executable, "-W", "ignore", "-c", PREPARE + code]
        found = []
        for _ in range(REPEATS + 1):
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found.append([float(line) for line in printed.split()])
        medians = [sorted(column)[REPEATS // 2] for column in zip(*found[1:], strict=True)]
        print(f"{name:42}", *(f"{x:8.2f} s" for x in medians), flush=True)


if __name__ == "__main__":
    main()
