"""Random numbers: one seed, and a stream of its own for each use of it.

Every generator of the package is made here. Two uses of one seed can have no numbers in common,
since the entropy of each ends in the number of its stream, after all words of the seed; nor can
two seeds, since no seed is ever made by adding to another.
"""

from enum import Enum, unique

import numpy as np

from bayescale.errors import quoted

LARGEST = 2**64 - 1
"""The samplers take seeds of 64 bits."""


@unique
class Stream(Enum):
    """What random numbers are for. A number that was used once is never used for another."""

    RUN_NOISE = 1
    """Simulated scatter of runs about a curve."""
    LEVELS = 2
    """Levels of columns that were not fitted: of which effect."""
    UNSEEN = 3
    """What a posterior leaves to the prior, drawn once beside its draws."""
    MODES = 4
    """Where modes are looked for, and their weights."""
    MIXING = 5
    """Which mode each draw is of."""
    STARTS = 6
    """Where a chain starts: of which chain."""
    GOING_ON = 7
    """Seed of the sampler when a fit goes on: of which attempt, mode and number of draws."""
    FOLDS = 8
    """Which runs are left out together."""
    PARTS = 9
    """Seed of each part of an average: of which part."""
    OUTCOMES = 10
    """Seed of the simulated outcomes of next runs: of which repeat."""
    CHANGES = 11
    """Pairs of draws of two exponents."""
    PARABOLAS = 12
    """Draws of parabolas through profiles."""
    CURVES = 13
    """Which curves a resample is of."""
    SIMULATION = 14
    """A truth, its runs and its ranks: of which simulation."""
    UNIFORM_RANKS = 15
    """Ranks that are uniform, to judge others by."""
    PRIOR = 16
    """Draws of priors, beside those of posteriors."""
    MODE = 18
    """Seed of the chains of a mode beside the first: of which mode."""
    PERMUTED = 19
    """Responses in another order, to judge whether they rise by chance."""
    FIGURE = 17
    """Where points of a figure lie that are spread out to be seen."""


def checked_seed(seed: object) -> int:
    """Return a seed as a plain number, or raise ValueError for what is none.

    Examples
    --------
    >>> checked_seed(np.int64(7))
    7
    """
    number = int(seed) if isinstance(seed, int | np.integer) else -1
    if isinstance(seed, bool) or not 0 <= number <= LARGEST:
        raise ValueError(
            f"seed: found {quoted(seed)}, expected a whole number from 0 to 2**64 - 1 = {LARGEST}."
        )
    return number


def generator(seed: int, stream: Stream, *of: int) -> np.random.Generator:
    """Return the random numbers of one use of a seed.

    Parameters
    ----------
    seed
        Of the fit, or of whatever was called with it.
    stream, of
        The use, and which of several: a chain, say, or a repeat.
    """
    return np.random.default_rng(_entropy(seed, stream, of))


def seed_of(seed: int, stream: Stream, *of: int) -> int:
    """Return a seed for something that takes one, made of another as `generator` is."""
    high, low = _entropy(seed, stream, of).generate_state(2).tolist()
    return int(high << 32 | low)


def generator_of_sampler(seed: int) -> np.random.Generator:
    """Return the random numbers of a seed that a sampler made of its own."""
    return np.random.default_rng(seed)


def _entropy(seed: int, stream: Stream, of: tuple[int, ...]) -> np.random.SeedSequence:
    # With a key, NumPy fills up the words of the seed before it adds those of the key.
    return np.random.SeedSequence(checked_seed(seed), spawn_key=(stream.value, *of))
