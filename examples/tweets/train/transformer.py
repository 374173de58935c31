"""The model: a small encoder-decoder transformer, written with JAX.

Pre-norm, ReLU, sinusoidal positions, one table of embeddings for both languages and the output.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prepare import PAD, PIECES

Weights = dict[str, Any]  # a tree of arrays

WIDTH, HEADS, HIDDEN = 192, 4, 768
ENCODER_LAYERS, DECODER_LAYERS = 3, 2
EPSILON = 1e-5
SMOOTHING = 0.1
_LONGEST = 128


def positions(count: int, width: int) -> np.ndarray:
    """Give the encodings of positions 0 to count - 1: the sines, then the cosines."""
    step = math.log(10000.0) / (width // 2 - 1)
    rates = np.exp(-np.arange(width // 2) * step)
    angles = np.arange(count)[:, None] * rates[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


_POSITIONS = positions(_LONGEST, WIDTH)


def initial(seed: int = 0) -> Weights:
    """Draw the weights that training starts from."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        drawn = rng.standard_normal((rows, columns)) * (2 / (rows + columns)) ** 0.5
        return drawn.astype(np.float32)

    def norm() -> Weights:
        return {"gain": np.ones(WIDTH, np.float32), "bias": np.zeros(WIDTH, np.float32)}

    def attention() -> Weights:
        matrices = {name: matrix(WIDTH, WIDTH) for name in ("query", "key", "value", "output")}
        matrices["output"] *= 0.5
        biases = {f"{name}_bias": np.zeros(WIDTH, np.float32) for name in matrices}
        return matrices | biases | {"norm": norm()}

    def feed_forward() -> Weights:
        return {
            "expand": matrix(WIDTH, HIDDEN),
            "expand_bias": np.zeros(HIDDEN, np.float32),
            "shrink": matrix(HIDDEN, WIDTH) * np.float32(0.5),
            "shrink_bias": np.zeros(WIDTH, np.float32),
            "norm": norm(),
        }

    embeddings = (rng.standard_normal((PIECES, WIDTH)) * WIDTH**-0.5).astype(np.float32)
    return {
        "embeddings": embeddings,
        "encoder": [
            {"self": attention(), "feed_forward": feed_forward()} for _ in range(ENCODER_LAYERS)
        ],
        "decoder": [
            {"self": attention(), "cross": attention(), "feed_forward": feed_forward()}
            for _ in range(DECODER_LAYERS)
        ],
        "encoder_norm": norm(),
        "decoder_norm": norm(),
    }


def _normalized(norm: Weights, x: jax.Array) -> jax.Array:
    centered = x - x.mean(-1, keepdims=True)
    scale = jax.lax.rsqrt((centered * centered).mean(-1, keepdims=True) + EPSILON)
    return centered * scale * norm["gain"] + norm["bias"]


def _attend(weights: Weights, x: jax.Array, memory: jax.Array, mask: jax.Array) -> jax.Array:
    """Attend from x [batch, t, width] to memory [batch, s, width] where the mask is true."""

    def heads(name: str, of: jax.Array) -> jax.Array:
        projected = of @ weights[name] + weights[f"{name}_bias"]
        return projected.reshape(*of.shape[:2], HEADS, WIDTH // HEADS)

    scores = jnp.einsum("bthd,bshd->bhts", heads("query", x), heads("key", memory))
    scores = jnp.where(mask, scores * (WIDTH // HEADS) ** -0.5, -1e9)
    mixed = jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(scores, -1), heads("value", memory))
    return mixed.reshape(x.shape) @ weights["output"] + weights["output_bias"]


def _fed_forward(weights: Weights, x: jax.Array) -> jax.Array:
    hidden = _normalized(weights["norm"], x) @ weights["expand"] + weights["expand_bias"]
    return x + jax.nn.relu(hidden) @ weights["shrink"] + weights["shrink_bias"]


def _embedded(weights: Weights, pieces: jax.Array) -> jax.Array:
    return weights["embeddings"][pieces] * WIDTH**0.5 + _POSITIONS[: pieces.shape[1]]


def encode(weights: Weights, source: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Encode pieces [batch, s]; give the memory [batch, s, width] and its mask."""
    mask = (source != PAD)[:, None, None, :]
    x = _embedded(weights, source)
    for layer in weights["encoder"]:
        normalized = _normalized(layer["self"]["norm"], x)
        x = x + _attend(layer["self"], normalized, normalized, mask)
        x = _fed_forward(layer["feed_forward"], x)
    return _normalized(weights["encoder_norm"], x), mask


def decode(weights: Weights, memory: jax.Array, mask: jax.Array, target: jax.Array) -> jax.Array:
    """Give the states [batch, t, width] after each piece of the target [batch, t]."""
    length = target.shape[1]
    causal = jnp.tril(jnp.ones((length, length), bool))[None, None]
    x = _embedded(weights, target)
    for layer in weights["decoder"]:
        normalized = _normalized(layer["self"]["norm"], x)
        x = x + _attend(layer["self"], normalized, normalized, causal)
        x = x + _attend(layer["cross"], _normalized(layer["cross"]["norm"], x), memory, mask)
        x = _fed_forward(layer["feed_forward"], x)
    return _normalized(weights["decoder_norm"], x)


def logits(weights: Weights, memory: jax.Array, mask: jax.Array, target: jax.Array) -> jax.Array:
    """Give the scores [batch, t, pieces] of the next piece."""
    return decode(weights, memory, mask, target) @ weights["embeddings"].T


@jax.custom_vjp
def _cross_entropy(
    states: jax.Array, table: jax.Array, wanted: jax.Array, counts: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Give the label-smoothed loss and the plain loss, summed over what counts.

    The gradient is written by hand: it never holds the scores of all pieces twice.
    """
    losses, _ = _cross_entropy_forward(states, table, wanted, counts)
    return losses


def _cross_entropy_forward(
    states: jax.Array, table: jax.Array, wanted: jax.Array, counts: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, ...]]:
    scores = states @ table.T
    highest = scores.max(-1, keepdims=True)
    exponentials = jnp.exp(scores - highest)
    total = exponentials.sum(-1, keepdims=True)
    normalizer = (jnp.log(total) + highest)[:, 0]
    right = (states * table[wanted]).sum(-1)
    average = states @ table.mean(0)
    plain = ((normalizer - right) * counts).sum()
    smoothed = (1 - SMOOTHING) * plain + SMOOTHING * ((normalizer - average) * counts).sum()
    return (smoothed, plain), (exponentials, total, states, table, wanted, counts)


def _cross_entropy_backward(
    kept: tuple[jax.Array, ...], gradients: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array | None, ...]:
    exponentials, total, states, table, wanted, counts = kept
    scale = (counts * gradients[0])[:, None]
    shares = exponentials * (scale / total)
    scaled = states * scale
    ideal = (1 - SMOOTHING) * table[wanted] + SMOOTHING * table.mean(0)
    of_states = shares @ table - scale * ideal
    of_table = (shares.T @ states).at[wanted].add(-(1 - SMOOTHING) * scaled)
    return of_states, of_table - SMOOTHING / PIECES * scaled.sum(0), None, None


_cross_entropy.defvjp(_cross_entropy_forward, _cross_entropy_backward)


def loss(
    weights: Weights, source: jax.Array, target_in: jax.Array, target_out: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Give the loss to minimize per piece, the plain loss summed, and the number of pieces."""
    memory, mask = encode(weights, source)
    states = decode(weights, memory, mask, target_in).reshape(-1, WIDTH)
    counts = (target_out != PAD).astype(jnp.float32).reshape(-1)
    smoothed, plain = _cross_entropy(states, weights["embeddings"], target_out.reshape(-1), counts)
    return smoothed / counts.sum(), (jax.lax.stop_gradient(plain), counts.sum())


def save(weights: Weights, path: str) -> None:
    """Write the weights, each under its path in the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(weights)
    np.savez(path, **{jax.tree_util.keystr(key): np.asarray(value) for key, value in leaves})


def load(path: str) -> Weights:
    """Read what `save` wrote."""
    stored = np.load(path)
    weights: Weights = jax.tree_util.tree_map_with_path(
        lambda key, _: stored[jax.tree_util.keystr(key)], initial()
    )
    return weights
