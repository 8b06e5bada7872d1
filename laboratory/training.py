"""Train one transformer with AdamW, deterministically by seed, with losses at checkpoints."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laboratory.texts import Corpus
from laboratory.transformer import CONTEXT, Parameters, Shape, initialise, mean_loss

BETAS, EPSILON, WEIGHT_DECAY, MAX_GRADIENT_NORM = (0.9, 0.95), 1e-10, 0.1, 1.0

WARM_UP = 0.05
"""Fraction of the steps with a linear warm-up of the learning rate."""

SCHEDULES = ("cosine", "constant")
"""Cosine decay to a tenth; or constant, with a linear decay to zero."""

DECAY = 0.2
"""Fraction of the steps of the linear decay of the constant schedule."""

CHECKPOINTS = tuple(float(x) for x in np.geomspace(1 / 32, 1.0, 10))
"""Fractions of the steps after which the loss is measured."""

VALIDATION_SEQUENCES, AT_ONCE = 512, 64
"""Number of evenly spaced validation sequences, and of those evaluated together."""

GROUP = CONTEXT + 1
"""Bytes of a block: all but the first are predicted."""


@dataclass(frozen=True, order=True)
class Setting:
    """The settings that determine a run."""

    corpus: str
    width: int
    layers: int
    n_tokens: int
    batch_tokens: int
    learning_rate: float
    schedule: str = "cosine"
    epochs: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule: found {self.schedule!r}, expected one of {SCHEDULES}.")
        if self.n_tokens % self.batch_tokens or self.batch_tokens % CONTEXT or self.n_tokens <= 0:
            raise ValueError(
                f"found {self.n_tokens} tokens in batches of {self.batch_tokens}, expected whole "
                f"batches of whole sequences of {CONTEXT}."
            )

    @property
    def run(self) -> str:
        """The label of the run, which encodes its setting."""
        return (
            f"{self.corpus}-{self.width}x{self.layers}-{self.n_tokens}-b{self.batch_tokens}"
            f"-lr{self.learning_rate:g}-{self.schedule}-e{self.epochs}-s{self.seed}"
        )

    @property
    def shape(self) -> Shape:
        return Shape(self.width, self.layers)

    @property
    def n_steps(self) -> int:
        return self.n_tokens // self.batch_tokens

    @property
    def training_flop(self) -> int:
        return self.shape.training_flop(self.n_tokens)


def rates(setting: Setting) -> NDArray[np.float64]:
    """Return the learning rate of each step."""
    steps = setting.n_steps
    step = np.arange(steps) + 1.0
    rising = np.minimum(1.0, step / max(1.0, WARM_UP * steps))
    if setting.schedule == "cosine":
        falling = 0.1 + 0.9 * (1 + np.cos(np.pi * step / steps)) / 2
    else:
        falling = np.minimum(1.0, (steps - step + 1.0) / max(1.0, DECAY * steps))
    return setting.learning_rate * rising * falling


def blocks(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a text cut into blocks of CONTEXT + 1 bytes; the remainder is dropped."""
    return text[: len(text) // GROUP * GROUP].reshape(-1, GROUP)


def batches(setting: Setting, text: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the blocks of each step, drawn by the seed; each occurs once per epoch.

    The seed also draws the subset of blocks, and every epoch is shuffled.
    """
    rng = np.random.default_rng([setting.seed, 2])
    needed = setting.n_tokens // CONTEXT
    unique = -(-needed // setting.epochs)
    there = len(blocks(text))
    if unique > there:
        raise ValueError(
            f"{setting.run}: found {there * CONTEXT} tokens in the corpus, expected at least "
            f"{unique * CONTEXT}; train on fewer, or for more epochs."
        )
    own = rng.permutation(there)[:unique]
    order = np.concatenate([rng.permutation(own) for _ in range(setting.epochs)])
    return order[:needed].reshape(setting.n_steps, -1)


def validation_set(corpus: Corpus) -> jax.Array:
    """Return the validation sequences, in groups that are evaluated together."""
    every = blocks(corpus.validation)
    count = min(VALIDATION_SEQUENCES, len(every)) // AT_ONCE * AT_ONCE
    if not count:
        raise ValueError(f"{corpus.name}: expected at least {AT_ONCE} blocks for validation.")
    chosen = np.linspace(0, len(every) - 1, count).astype(int)
    return jnp.asarray(every[chosen].reshape(-1, AT_ONCE, GROUP))


@partial(jax.jit, static_argnames=("head",), donate_argnames=("parameters", "moments"))
def update(
    parameters: Parameters,
    moments: tuple[Parameters, Parameters],
    sequences: jax.Array,
    learning_rate: jax.Array,
    count: jax.Array,
    head: int,
) -> tuple[Parameters, tuple[Parameters, Parameters]]:
    """Return parameters and moments after step number `count` of AdamW."""
    gradient = jax.grad(mean_loss)(parameters, sequences, head)
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(gradient)))
    clip = jnp.minimum(1.0, MAX_GRADIENT_NORM / (norm + 1e-12))
    one, two = BETAS
    first = jax.tree.map(lambda m, g: one * m + (1 - one) * clip * g, moments[0], gradient)
    second = jax.tree.map(lambda v, g: two * v + (1 - two) * (clip * g) ** 2, moments[1], gradient)

    def stepped(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        scaled = (m / (1 - one**count)) / (jnp.sqrt(v / (1 - two**count)) + EPSILON)
        return p - learning_rate * (scaled + WEIGHT_DECAY * p)

    return jax.tree.map(stepped, parameters, first, second), (first, second)


@partial(jax.jit, static_argnames=("head",))
def group_losses(parameters: Parameters, groups: jax.Array, head: int) -> jax.Array:
    """Return the mean loss of each group of sequences."""
    return jax.lax.map(lambda sequences: mean_loss(parameters, sequences, head), groups)


def train(
    setting: Setting, corpus: Corpus, others: tuple[Corpus, ...] = ()
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train a run; return its row, with losses on other corpora, and the rows of its curve."""
    began, used = time.perf_counter(), time.process_time()
    shape, head = setting.shape, setting.shape.head
    text = blocks(corpus.training)
    order, rate = batches(setting, corpus.training), rates(setting)
    validation = validation_set(corpus)

    def measured(parameters: Parameters, groups: jax.Array) -> float:
        return float(np.mean(np.asarray(group_losses(parameters, groups, head), np.float64)))

    parameters = initialise(shape, setting.seed)
    moments = (jax.tree.map(jnp.zeros_like, parameters), jax.tree.map(jnp.zeros_like, parameters))
    due = {max(1, round(share * setting.n_steps)) for share in CHECKPOINTS}
    curve = []
    for step in range(setting.n_steps):
        parameters, moments = update(
            parameters, moments, text[order[step]], np.float32(rate[step]), step + 1.0, head
        )
        if step + 1 in due:
            loss = measured(parameters, validation)
            if not np.isfinite(loss):
                raise ArithmeticError(f"{setting.run}: found a loss of {loss} at step {step + 1}.")
            tokens = (step + 1) * setting.batch_tokens
            curve.append(
                {
                    "run": setting.run,
                    "family": setting.corpus,
                    "n_params": shape.n_params,
                    "n_tokens": tokens,
                    "n_steps": step + 1,
                    "compute": 6 * shape.n_params * tokens,
                    "learning_rate": float(f"{rate[step]:.6g}"),
                    "loss": round(loss, 7),
                }
            )
    row = {
        "run": setting.run,
        "family": setting.corpus,
        "n_params": shape.n_params,
        "n_params_nonembedding": shape.n_params_nonembedding,
        "width": setting.width,
        "layers": setting.layers,
        "n_tokens": setting.n_tokens,
        "n_unique_tokens": len(np.unique(order)) * CONTEXT,
        "n_steps": setting.n_steps,
        "batch_tokens": setting.batch_tokens,
        "compute": 6 * shape.n_params * setting.n_tokens,
        "training_flop": setting.training_flop,
        "learning_rate": setting.learning_rate,
        "schedule": setting.schedule,
        "epochs": setting.epochs,
        "seed": setting.seed,
        "loss": curve[-1]["loss"],
    }
    for other in (corpus, *others):
        row[f"loss_{other.name}"] = round(measured(parameters, validation_set(other)), 7)
    row["seconds"] = round(time.perf_counter() - began, 2)
    row["processor_seconds"] = round(time.process_time() - used, 2)
    return row, curve
