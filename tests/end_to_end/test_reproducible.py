"""A seed determines the draws, independent of caches, cores, load and processes."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import bayescale as bs
from bayescale.inference import adaptive

CARDS = ("chinchilla", "coupled-discrepancy")
COMPILED = (*CARDS, "coupled")
"""Cards whose draws are compared with an empty cache, which is the slowest."""
FEW = {"draws": 60, "tune": 120, "chains": 2, "seed": 5, "progress": False}
SAMPLE = f"""
import sys, warnings
import numpy as np
import bayescale as bs
from bayescale.inference import adaptive
warnings.simplefilter("ignore")
adaptive._WORTH = 100.0
adaptive.LONGEST = 1
for card in sys.argv[2:]:
    fit = bs.fit("chinchilla", card, **{FEW})
    np.savez(f"{{sys.argv[1]}}/{{card}}.npz", **{{k: x.to_numpy() for k, x in fit.posterior.items()}})
"""


DENSITY = """
import threading, time
import numpy as np
import pytensor
import bayescale as bs
from bayescale.inference.samplers import compiled_logp

fastmath = pytensor.config.numba__fastmath


def compile_after(card, seconds):
    time.sleep(seconds)
    compiled_logp(bs.load_model(card))


threads = [threading.Thread(target=compile_after, args=(c, s)) for c, s in {cards}]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
compiled = compiled_logp(bs.load_model("chinchilla"))
rng = np.random.default_rng(1)
data, away = rng.normal(size=(compiled.data_rows, 40)), rng.normal(size=(20, len(compiled.start)))
for step in away:
    value, slope = compiled.log_density(compiled.start + 0.4 * step, data)
    print(value.hex(), *(x.hex() for x in slope))
print(pytensor.config.numba__fastmath == fastmath)
"""
"""Print a log density at random positions, after compiling cards in threads."""

DESIGNS = f"""
import hashlib, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from contract.fits import models, simulated_runs, table_for
from bayescale.backend.observed import Design

for name, model in models().items():
    table = table_for(model)
    # Rounded, since tables come from files; and no table lies on its law.
    apart = [int(hashlib.sha256(bytes([i % 251])).hexdigest()[:6], 16) for i in table.index]
    table[model.law.response] *= [1.0 + 0.02 * (x / 2**24 - 0.5) for x in apart]
    for column in table.select_dtypes("float"):
        table[column] = [float(f"{{x:.6g}}") for x in table[column]]
    runs = simulated_runs(model, table)
    model = model.identified_by(runs)
    print(name, hashlib.sha256(Design.of(model, runs).matrix.tobytes()).hexdigest())
"""
"""Print the data of each model, as passed to samplers."""


@pytest.fixture(scope="module")
def few():
    """Settings with a fixed number of draws."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(adaptive, "_WORTH", 100.0)
        patched.setattr(adaptive, "LONGEST", 1)
        yield FEW


@pytest.fixture(scope="module")
def here(few):
    """Draws of each card in this process."""
    return {card: bs.fit("chinchilla", card, **few).posterior for card in COMPILED}


def in_another_process(code, *arguments, **environment):
    """Return the output of code in a subprocess."""
    found = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return found.stdout


def elsewhere(folder, cards=CARDS, **environment):
    """Return draws of each card in a subprocess with an empty cache."""
    folder.mkdir()
    nothing_compiled = {
        "BAYESCALE_CACHE_DIR": str(folder / "cache"),
        "PYTENSOR_FLAGS": f"compiledir={folder / 'pytensor'}",
    }
    in_another_process(SAMPLE, str(folder), *cards, **nothing_compiled, **environment)
    return {card: np.load(folder / f"{card}.npz") for card in cards}


def other_processor() -> dict[str, str]:
    """Return settings under which libraries use the code of an older processor."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    found = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
    return {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "OPENBLAS_CORETYPE": "Haswell",
        "OPENBLAS_NUM_THREADS": "1",
        # The oldest one that the sampler's library supports.
        "NPY_DISABLE_CPU_FEATURES": " ".join(found[1:]),
    }


def density(cards, **environment):
    """Return the lines that `DENSITY` prints in a subprocess."""
    return in_another_process(DENSITY.replace("{cards}", repr(cards)), **environment).splitlines()


@pytest.mark.slow
def test_whatever_else_is_compiled_and_however_pytensor_is_set(tmp_path):
    """Another card in another thread, single precision, another hash seed: identical bits.

    With a filled cache and with an empty one. PyTensor's settings belong to the process: of two
    threads that compiled, the first to end turned fastmath on for the other, and most of these
    values had other last digits.
    """
    alone = density([("chinchilla", 0.0)])
    other = density(
        [("power-law", 0.0), ("chinchilla", 1.0)],
        BAYESCALE_CACHE_DIR=str(tmp_path / "cache"),
        PYTENSOR_FLAGS=f"base_compiledir={tmp_path / 'pytensor'},floatX=float32",
        PYTHONHASHSEED="77",
    )
    assert alone == other
    assert alone[-1] == "True"


@pytest.mark.slow
def test_with_an_empty_cache(here, tmp_path):
    found = elsewhere(tmp_path / "fresh", COMPILED, PYTHONHASHSEED="77")
    for card, draws in here.items():
        for name in draws:
            np.testing.assert_array_equal(found[card][name], draws[name], err_msg=f"{card} {name}")


@pytest.mark.slow
def test_the_data_of_every_model_on_another_processor():
    """Identical bits: the data of samplers are rounded where libraries differ by processor."""
    here = in_another_process(DESIGNS).splitlines()
    assert len(here) > 40
    assert in_another_process(DESIGNS, **other_processor()).splitlines() == here


@pytest.mark.slow
def test_on_another_processor(here, tmp_path):
    """Equal up to rounding: NumPy computes results from draws, with its own last digits."""
    found = elsewhere(tmp_path / "other", **other_processor())
    for card in CARDS:
        draws = here[card]
        for name in draws:
            # Unidentified directions are computed from draws by matrix products.
            np.testing.assert_allclose(
                found[card][name], draws[name], rtol=1e-9, atol=1e-9, err_msg=f"{card} {name}"
            )


@pytest.mark.parametrize("card", CARDS)
def test_over_cores_with_a_store_and_loaded(card, here, few, tmp_path):
    for options in ({"cores": 1}, {"cores": 2}, {"store": tmp_path / "fit.draws"}):
        assert bs.fit("chinchilla", card, **few, **options).posterior.identical(here[card])
    assert bs.load_fit(tmp_path / "fit.draws").posterior.equals(here[card])


@pytest.mark.slow
@pytest.mark.parametrize("card", CARDS)
def test_on_a_busy_machine(card, here, few):
    """Nothing depends on time: threads that occupy all cores do not change the draws."""
    done = threading.Event()

    def busy():
        while not done.is_set():
            np.linalg.eigh(np.eye(120))

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert bs.fit("chinchilla", card, **few).posterior.identical(here[card])
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("pace", [0.0, 1e4], ids=["stopped", "fast"])
def test_under_another_clock(pace, here, few, tmp_path, monkeypatch):
    """A clock determines when draws are written to a store, never the draws."""
    asked = []

    def clock() -> float:
        asked.append(pace * time.monotonic())
        return asked[-1]

    other = SimpleNamespace(monotonic=clock, perf_counter=clock)
    for module in ("nutpie", "fit"):
        monkeypatch.setattr(f"bayescale.inference.{module}.time", other)
    path = tmp_path / "fit.draws"
    assert bs.fit("chinchilla", "chinchilla", **few, store=path).posterior.identical(
        here["chinchilla"]
    )
    assert bs.load_fit(path).posterior.equals(here["chinchilla"])
    assert asked


def test_from_the_command_line(here, few, tmp_path):
    from bayescale.cli.main import main

    path = tmp_path / "fit.nc"
    arguments = ["--draws", "60", "--tune", "120", "--chains", "2", "--seed", "5", "--quiet"]
    main(["fit", "chinchilla", "--model", "chinchilla", *arguments, "--out", str(path)])
    assert bs.load_fit(path).posterior.equals(here["chinchilla"])
