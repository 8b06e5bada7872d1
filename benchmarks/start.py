"""Start-up time of commands that do not fit: seconds from the start of a process to its end.

    make bench-start

Each command is run in a process of its own, in turns, and the lowest time is printed, since other
load on the machine only adds to it. `CPU` is CPU time, which depends less on other load. `ratio` is
CPU time relative to a process that only imports NumPy, pandas and xarray, measured in the same
turns. Nothing is written.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bayescale as bs

IDLE = "(imports alone)"
BARE = [sys.executable, "-c", "import numpy, pandas, xarray"]
COMMANDS = (
    "models",
    "laws",
    "published",
    "check chinchilla",
    "predict FIT --n-params 7B --n-tokens 2T",
    "allocate FIT --budget 1e22",
    "decide FIT --budget 1e22",
    "requirements FIT --loss 2.2",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="number of times that each is run")
    parser.add_argument("--fit", type=Path, help="saved fit (the default card on chinchilla)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        saved = options.fit or Path(folder) / "fit.nc"
        if options.fit is None:
            bs.fit("chinchilla", seed=1, progress=False).save(saved)
        commands = {command: arguments(command, saved) for command in COMMANDS}
        commands[IDLE] = BARE
        turns = [
            {name: seconds(command) for name, command in commands.items()}
            for _ in range(options.turns)
        ]
    least = {
        name: [min(times) for times in zip(*(turn[name] for turn in turns), strict=True)]
        for name in commands
    }
    print(f"{'command':<42}{'seconds':>9}{'CPU':>11}{'ratio':>7}")
    for name, (wall, cpu) in least.items():
        print(f"{name:<42}{wall:>9.2f}{cpu:>11.2f}{cpu / least[IDLE][1]:>7.2f}")


def arguments(command: str, saved: Path) -> list[str]:
    """Return the arguments of a command, with the path of the saved fit."""
    words = [str(saved) if word == "FIT" else word for word in command.split()]
    return [sys.executable, "-m", "bayescale", *words]


def seconds(command: list[str]) -> tuple[float, float]:
    """Return the wall time and the CPU time of a process."""
    start, before = time.perf_counter(), os.times()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    used = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    return time.perf_counter() - start, used


if __name__ == "__main__":
    main()
