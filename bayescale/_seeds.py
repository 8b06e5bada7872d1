"""Random number generators: one seed, with an independent stream for each use.

Every generator of the package is created here. Streams of one seed are independent, since each
spawn key starts with the number of its stream; and no seed is derived by adding to another.
"""

from enum import Enum, unique

import numpy as np

from bayescale.errors import quoted

LARGEST = 2**64 - 1
"""Largest seed; samplers accept seeds of 64 bits."""


@unique
class Stream(Enum):
    """The use of a stream of random numbers. Values are never reassigned to another use."""

    RUN_NOISE = 1
    """Simulated noise of runs about a curve."""
    LEVELS = 2
    """Group effects of new levels; keyed by effect."""
    UNSEEN = 3
    """Unidentified directions, drawn from the prior once per posterior."""
    MODES = 4
    """The search for modes, and their weights."""
    MIXING = 5
    """The mode of each draw."""
    STARTS = 6
    """Starts of chains; keyed by chain."""
    GOING_ON = 7
    """Seed of the sampler of a resumed fit; keyed by attempt, mode and number of draws."""
    FOLDS = 8
    """Assignment of runs to folds."""
    PARTS = 9
    """Seed of each part of a model average; keyed by part."""
    OUTCOMES = 10
    """Seed of the simulated outcomes of next runs; keyed by repeat."""
    CHANGES = 11
    """Pairs of draws of two exponents."""
    PARABOLAS = 12
    """Draws of isoFLOP parabolas."""
    CURVES = 13
    """Bootstrap resamples of curves."""
    SIMULATION = 14
    """Parameters, runs and ranks of a simulation; keyed by simulation."""
    UNIFORM_RANKS = 15
    """Null distribution of uniform ranks."""
    PRIOR = 16
    """Draws of priors, for comparison with posteriors."""
    MODE = 18
    """Seed of the chains of each further mode; keyed by mode."""
    PERMUTED = 19
    """Permutation test of the direction of the response."""
    FIGURE = 17
    """Jitter of points in figures."""
    FORECAST_LAWS = 20
    """Posteriors of the laws of a forecast; keyed by law."""
    FORECAST_POINTS = 21
    """The average of the laws of a forecast (0), and the scatter of its points (1)."""
    PAIRS = 22
    """Pairs of draws of separate fits; keyed by recipe."""
    SWEEP = 23
    """Simulated projects of a first sweep: those that compare designs (0) and those of the search
    (1), random designs (2), and the noise of the comparison (3) and of the search (4)."""
    SCHEDULE_POINTS = 24
    """Effect of a new schedule and scatter of points of a run (0), and their resampling (1)."""
    COST_LAW = 25
    """Draws of a cost law (0), and the scatter of runs about it (1)."""
    COMPARISON_RUNS = 26
    """Seed of the simulated outcomes of runs that tell recipes apart; keyed by recipe."""


def checked_seed(seed: object) -> int:
    """Return a seed as an int, or raise ValueError for an invalid one.

    Examples
    --------
    >>> checked_seed(np.int64(7))
    7
    """
    number = int(seed) if isinstance(seed, int | np.integer) else -1
    if isinstance(seed, bool) or not 0 <= number <= LARGEST:
        raise ValueError(
            f"seed: found {quoted(seed)}, expected an integer from 0 to 2**64 - 1 = {LARGEST}."
        )
    return number


def generator(seed: int, stream: Stream, *of: int) -> np.random.Generator:
    """Return the generator for one use of a seed.

    Parameters
    ----------
    seed
        The seed of the fit, or of the calling function.
    stream, of
        The use, and further keys such as a chain or a repeat.
    """
    return np.random.default_rng(_entropy(seed, stream, of))


def seed_of(seed: int, stream: Stream, *of: int) -> int:
    """Return an integer seed derived from another, for one use, as in `generator`."""
    high, low = _entropy(seed, stream, of).generate_state(2).tolist()
    return int(high << 32 | low)


def generator_of_sampler(seed: int) -> np.random.Generator:
    """Return a generator from a seed that a sampler derived."""
    return np.random.default_rng(seed)


def _entropy(seed: int, stream: Stream, of: tuple[int, ...]) -> np.random.SeedSequence:
    # NumPy pads the words of the seed before it appends those of the spawn key.
    return np.random.SeedSequence(checked_seed(seed), spawn_key=(stream.value, *of))
