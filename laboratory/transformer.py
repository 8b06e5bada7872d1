"""A minimal decoder-only transformer on bytes: loss, parameters and FLOP.

Every parameter belongs to a matrix product: norms have no gains, projections no biases, positions
are rotary, and the embedding is tied to the output. With `layers` L and `width` d, there are
12 L d² parameters in the layers and 256 d in the embedding.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

VOCABULARY = 256
"""Number of byte values."""

CONTEXT = 64
"""Bytes of a sequence; the loss is the mean over all of its positions."""

LARGEST_HEAD = 16

type Parameters = dict[str, jax.Array]


@dataclass(frozen=True, order=True)
class Shape:
    """Width and number of layers of a transformer."""

    width: int
    layers: int

    def __post_init__(self) -> None:
        if self.layers < 1 or self.width < 8 or self.width % self.head:
            raise ValueError(
                f"found a transformer of {self.layers} layers of width {self.width}, expected at "
                f"least one layer, and a width of 8 or a multiple of 8 (of {LARGEST_HEAD} from 32)."
            )

    @property
    def head(self) -> int:
        """Width of a head."""
        return LARGEST_HEAD if self.width % LARGEST_HEAD == 0 else LARGEST_HEAD // 2

    @property
    def n_params(self) -> int:
        """All parameters, the tied embedding once."""
        return self.n_params_nonembedding + VOCABULARY * self.width

    @property
    def n_params_nonembedding(self) -> int:
        """Parameters in the layers: 4 d² of attention and 8 d² of the perceptron in each."""
        return 12 * self.layers * self.width**2

    def training_flop(self, tokens: int) -> int:
        """Return the multiplications and additions of all matrix products of training.

        The gradients of the two factors of a product cost as much as the product each, so training
        costs three times the forward pass. Attention multiplies all pairs of positions of a
        sequence, including masked ones: 2 CONTEXT d for its scores and as many for its values, each
        a multiplication and an addition. Elementwise operations are not counted.
        """
        attention = 2 * self.layers * CONTEXT * self.width
        return 3 * 2 * tokens * (self.n_params + attention)


def initialise(shape: Shape, seed: int) -> Parameters:
    """Return Normal weights, drawn by the seed, with variances that keep activations at 1.

    `out` and `down`, which write to the residual stream, are divided by the square root of the
    number of additions to it. Entries of the embedding have standard deviation 1 / d, so that the
    logit of the input byte is 1 at any width.
    """
    rng = np.random.default_rng([seed, 1])
    d, layers = shape.width, shape.layers
    sizes = {
        "embedding": ((VOCABULARY, d), d),
        "attend": ((layers, d, 3 * d), 1.0),
        "out": ((layers, d, d), 2.0 * layers),
        "up": ((layers, d, 4 * d), 1.0),
        "down": ((layers, 4 * d, d), 2.0 * layers),
    }
    drawn = {}
    for name, (size, additions) in sizes.items():
        fan_in = d if name == "embedding" else size[-2]
        values = rng.standard_normal(size) / np.sqrt(fan_in * additions)
        drawn[name] = jnp.asarray(values, jnp.float32)
    return drawn


def mean_loss(parameters: Parameters, sequences: jax.Array, head: int) -> jax.Array:
    """Return the mean loss in nats per byte of each next byte of sequences of CONTEXT + 1 bytes."""
    inputs, targets = sequences[:, :-1], sequences[:, 1:]
    embedding = parameters["embedding"]
    stream = normalised(embedding[inputs])
    for layer in range(len(parameters["attend"])):
        q_k_v = normalised(stream) @ parameters["attend"][layer]
        stream = stream + attention(q_k_v, head) @ parameters["out"][layer]
        inner = jax.nn.gelu(normalised(stream) @ parameters["up"][layer])
        stream = stream + inner @ parameters["down"][layer]
    logits = normalised(stream) @ embedding.T
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return (jax.nn.logsumexp(logits, axis=-1) - chosen).mean()


def normalised(x: jax.Array) -> jax.Array:
    """Return vectors divided by their root mean square."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-9)


def attention(q_k_v: jax.Array, head: int) -> jax.Array:
    """Return causal multi-head attention, with heads concatenated."""
    batch, length, triple = q_k_v.shape
    heads = triple // (3 * head)
    split = q_k_v.reshape(batch, length, 3, heads, head).transpose(2, 0, 3, 1, 4)
    query, key, value = rotated(split[0]), rotated(split[1]), split[2]
    scores = jnp.einsum("bhqe,bhke->bhqk", query, key) / np.sqrt(head).astype(np.float32)
    seen = np.tril(np.ones((length, length), bool))
    weights = jax.nn.softmax(jnp.where(seen, scores, -1e9), axis=-1)
    mixed = jnp.einsum("bhqk,bhke->bhqe", weights, value)
    return mixed.transpose(0, 2, 1, 3).reshape(batch, length, heads * head)


def rotated(x: jax.Array) -> jax.Array:
    """Return vectors with rotary position embeddings."""
    length, half = x.shape[-2], x.shape[-1] // 2
    angles = np.outer(np.arange(length), 10.0 * CONTEXT ** -(np.arange(half) / half)) / 10.0
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    one, other = x[..., :half], x[..., half:]
    return jnp.concatenate([one * cos - other * sin, one * sin + other * cos], axis=-1)
