"""Every use of a seed has a stream of random numbers of its own."""

import ast
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bayescale as bs
from bayescale._seeds import LARGEST, Stream, checked_seed, generator, seed_of

PACKAGE = Path(bs.__file__).parent
SEEDS = [0, 1, 2, 3, 2**32 - 1, 2**32, 2**32 + 1, 2**63, LARGEST]

USES = {
    "allocation/data_mixture": {"PAIRS"},
    "allocation/equal_loss": {"PAIRS"},
    "baselines/envelope": {"CURVES"},
    "baselines/isoflop": {"PARABOLAS"},
    "posterior/curve": {"LEVELS"},
    "inference/checkpoint": {"GOING_ON"},
    "sensitivity/reconcile": {"CHANGES"},
    "sensitivity/floors": {"PRIOR"},
    "validation/leave_one_out": {"FOLDS"},
    "posterior/contraction": {"PRIOR"},
    "inference/multimodal": {"MODES", "MIXING", "MODE"},
    "model/monotone": {"PERMUTED"},
    "plots/_multiverse": {"FIGURE"},
    "plots/_coupling": {"PRIOR"},
    "plots/_parameters": {"PRIOR"},
    "plots/_decision_prior": {"PRIOR"},
    "posterior/average": {"PARTS"},
    "posterior/predict": {"RUN_NOISE"},
    "experiment_design/comparison_runs": {"COMPARISON_RUNS"},
    "experiment_design/preposterior": {"OUTCOMES"},
    "validation/sbc": {"SIMULATION", "UNIFORM_RANKS"},
    "inference/numpyro": {"STARTS"},
    "inference/assemble": {"UNSEEN"},
    "inference/learn_prior": {"PRIOR"},
    "forecasting/posterior": {"FORECAST_LAWS"},
    "forecasting/forecast": {"FORECAST_POINTS"},
    "forecasting/two_step": {"PAIRS"},
    "costs/recorded": {"COST_LAW"},
    "experiment_design/first_sweep": {"SWEEP"},
    # With a separate seed, which first_sweep derives.
    "experiment_design/gaussian_posteriors": {"SIMULATION"},
    "experiment_design/prior_laws": {"RUN_NOISE", "PRIOR"},
    "schedules/fit": {"SCHEDULE_POINTS"},
    "schedules/forecast": {"SCHEDULE_POINTS"},
}
"""The streams of random numbers of each module. Two modules share a stream only where they need
the same numbers: draws from the prior that complete the posterior of another fit, and draws of a
prior for a figure."""


@cache
def _modules() -> dict[str, ast.Module]:
    """Modules that may draw random numbers: those whose text names a source of them."""
    texts = {path: path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    return {
        path.relative_to(PACKAGE).with_suffix("").as_posix(): ast.parse(text)
        for path, text in texts.items()
        if "random" in text or "Stream" in text
    }


def test_random_numbers_come_from_one_module() -> None:
    made = {
        name
        for name, tree in _modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"default_rng", "SeedSequence", "RandomState", "seed", "PCG64"}
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "random"
    }
    assert made == {"_seeds"}


def test_every_use_of_a_stream_is_listed() -> None:
    used: dict[str, set[str]] = {}
    for name, tree in _modules().items():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "Stream"
            ):
                used.setdefault(name, set()).add(node.attr)
    assert used == USES
    assert set().union(*USES.values()) == {stream.name for stream in Stream}


def test_no_two_streams_of_any_seeds_begin_alike() -> None:
    drawn = {}
    uses = [(), (0,), (1,), (2,), (0, 0), (0, 1), (0, 0, 0)]
    for seed, stream, of in product(SEEDS, Stream, uses):
        drawn[seed, stream, of] = generator(seed, stream, *of).integers(2**63)
    # Generators of a plain seed, and of pairs of integers that are not streams.
    for seed in SEEDS:
        drawn[seed] = np.random.default_rng(seed).integers(2**63)
        for word in range(1, 20):
            drawn[seed, word] = np.random.default_rng([seed, word]).integers(2**63)
    # NumPy treats 2 + 1 * 2**32 as the pair (2, 1); streams exclude this collision.
    plain = {key: value for key, value in drawn.items() if isinstance(key, tuple) and len(key) == 3}
    assert len(set(plain.values())) == len(plain)
    others = {value for key, value in drawn.items() if key not in plain}
    assert others.isdisjoint(plain.values())


@given(st.integers(0, LARGEST), st.sampled_from(list(Stream)), st.integers(0, 2**31))
def test_a_seed_made_of_another_is_one(seed: int, stream: Stream, of: int) -> None:
    made = seed_of(seed, stream, of)
    assert checked_seed(made) == made == seed_of(seed, stream, of)
    assert made not in (seed, seed_of(seed, stream, of + 1))
    again = generator(seed, stream, of).standard_normal(3)
    assert np.array_equal(again, generator(np.uint64(seed), stream, of).standard_normal(3))


NO_SEEDS = {
    "negative": -1,
    "of 65 bits": 2**64,
    "a fraction": 1.0,
    "a text": "1",
    "true": True,
    "of 5,000 digits": 10**5000,
    "of NumPy": np.int64(-3),
}


@pytest.mark.parametrize("seed", NO_SEEDS.values(), ids=list(NO_SEEDS))
def test_what_is_no_seed_is_refused_with_what_was_found(seed: object) -> None:
    with pytest.raises(ValueError, match=r"seed: found .*, expected an integer from 0 to"):
        bs.fit("chinchilla", "chinchilla", seed=seed, progress=False)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seed: found") as caught:
        generator(seed, Stream.FOLDS)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 300
