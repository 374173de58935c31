"""Trains the transformer for a given time on the CPU."""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import transformer
from prepare import END, PAD, START
from transformer import Weights

# (longest pair, pairs in a batch): few shapes, each compiled once, about as many pieces in each.
_BUCKETS = ((10, 256), (14, 192), (20, 144), (30, 96), (44, 64))
_WARM_UP_STEPS = 150
_REPORT_STEPS, _SAVE_STEPS = 50, 1500
_MATRICES = {"query", "key", "value", "output", "expand", "shrink"}
_NEWTON_SCHULZ = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


class Batch(NamedTuple):
    """Padded pieces, each [pairs, length]; the target is given from its start and to its end."""

    source: np.ndarray
    target_in: np.ndarray
    target_out: np.ndarray


class State(NamedTuple):
    """The weights and the two moments that the optimizer keeps of their gradients."""

    weights: Weights
    first: Weights
    second: Weights


class Pairs:
    """The training pairs as pieces, in batches of similar length."""

    def __init__(self, path: Path) -> None:
        stored = np.load(path)
        self._source, self._source_ends = stored["source"], _ends(stored["source_lengths"])
        self._target, self._target_ends = stored["target"], _ends(stored["target_lengths"])
        self._lengths = np.maximum(stored["source_lengths"], stored["target_lengths"] + 1)

    def __len__(self) -> int:
        return len(self._lengths)

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Give batches without end; each pair comes about once in every pass."""
        while True:
            drawn = list(self._one_pass(rng))
            for index in rng.permutation(len(drawn)):
                yield self._batch(*drawn[index])

    def _one_pass(self, rng: np.random.Generator) -> Iterator[tuple[int, np.ndarray]]:
        shortest = 0
        for longest, size in _BUCKETS:
            fits = (self._lengths > shortest) & (self._lengths <= longest)
            shortest = longest
            indices = np.where(fits)[0]
            rng.shuffle(indices)
            for start in range(0, len(indices) - size + 1, size):
                yield longest, indices[start : start + size]

    def _batch(self, length: int, indices: np.ndarray) -> Batch:
        batch = Batch(*(np.full((len(indices), length), PAD, np.int32) for _ in range(3)))
        for row, index in enumerate(indices):
            source = self._source[self._source_ends[index] : self._source_ends[index + 1]]
            target = self._target[self._target_ends[index] : self._target_ends[index + 1]]
            batch.source[row, : len(source)] = source
            batch.target_in[row, : len(target) + 1] = [START, *target]
            batch.target_out[row, : len(target) + 1] = [*target, END]
        return batch


def _ends(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def orthogonalized(gradient: jax.Array) -> jax.Array:
    """Move the singular values of a matrix close to 1 by Newton-Schulz iterations."""
    tall = gradient.shape[0] > gradient.shape[1]
    x = gradient.T if tall else gradient
    x = x / (jnp.linalg.norm(x) + 1e-7)
    for a, b, c in _NEWTON_SCHULZ:
        squared = x @ x.T
        x = a * x + (b * squared + c * (squared @ squared)) @ x
    return x.T if tall else x


def step(
    optimizer: str, state: State, number: jax.Array, rate: jax.Array, batch: Batch
) -> tuple[State, jax.Array, jax.Array]:
    """Take one step; give the new state, the plain loss summed and the number of pieces.

    `muon` moves matrices by their orthogonalized momentum and the rest as `adam` does.
    """
    gradient_of = jax.value_and_grad(transformer.loss, has_aux=True)
    (_, (plain, pieces)), gradients = gradient_of(state.weights, *batch)
    norm = jnp.sqrt(sum((leaf * leaf).sum() for leaf in jax.tree.leaves(gradients)))
    clip = jnp.minimum(1.0, 1.0 / (norm + 1e-6))

    def updated(path: Any, weight: Any, gradient: Any, first: Any, second: Any) -> State:
        if optimizer == "muon" and path[-1].key in _MATRICES:
            first = 0.95 * first + gradient
            move = orthogonalized(0.95 * first + gradient) * (0.2 * max(weight.shape) ** 0.5)
            return State(weight - rate * (move + 0.01 * weight), first, second)
        gradient = gradient * clip
        first = 0.9 * first + 0.1 * gradient
        second = 0.98 * second + 0.02 * gradient * gradient
        scale = jnp.sqrt(second / (1 - 0.98**number)) + 1e-8
        return State(weight - rate * (first / (1 - 0.9**number)) / scale, first, second)

    moved = jax.tree_util.tree_map_with_path(updated, state.weights, gradients, *state[1:])
    parts = (
        jax.tree.map(lambda leaf, part=part: leaf[part], moved, is_leaf=_is_state)
        for part in range(3)
    )
    return State(*parts), plain, pieces


def _is_state(node: object) -> bool:
    return isinstance(node, State)


def rate_at(number: int, share: float, highest: float) -> float:
    """Give the learning rate: it rises, stays, and falls to 0 over the last 70 % of the time."""
    falling = 1.0 if share < 0.3 else max(0.0, (1 - share) / 0.7)
    return highest * min(1.0, number / _WARM_UP_STEPS) * falling


Step = Callable[[State, float, float, Batch], tuple[State, jax.Array, jax.Array]]


def compiled(take: Step, state: State, batches: Iterator[Batch]) -> State:
    """Compile the step for every shape of batch, at rate 0 and outside of the training time."""
    shapes: set[tuple[int, ...]] = set()
    while len(shapes) < len(_BUCKETS):
        batch = next(batches)
        if batch.source.shape not in shapes:
            shapes.add(batch.source.shape)
            state, *_ = take(state, 1.0, 0.0, batch)
    zeros = [jax.tree.map(jnp.zeros_like, moment) for moment in state[1:]]
    return State(state.weights, *zeros)


def trained(pairs: Pairs, minutes: float, optimizer: str, highest: float, out: Path) -> None:
    """Train for so many minutes and write the weights."""
    weights = jax.tree.map(jnp.asarray, transformer.initial())
    zeros = [jax.tree.map(jnp.zeros_like, weights) for _ in range(2)]
    size = sum(leaf.size for leaf in jax.tree.leaves(weights))
    print(f"{size} parameters, {len(pairs)} pairs", flush=True)
    take: Step = jax.jit(partial(step, optimizer), donate_argnums=(0,))
    batches = pairs.batches(np.random.default_rng(1))
    state = compiled(take, State(weights, *zeros), batches)
    start, lost, counted = time.monotonic(), 0.0, 0.0
    for number, batch in enumerate(batches, start=1):
        share = (time.monotonic() - start) / (minutes * 60)
        if share >= 1:
            break
        rate = rate_at(number, share, highest)
        state, plain, pieces = take(state, float(number), rate, batch)
        lost, counted = lost + float(plain), counted + float(pieces)
        if number % _REPORT_STEPS == 0:
            seconds = time.monotonic() - start
            print(f"step {number}, {seconds:.0f} s: loss {lost / counted:.3f}", flush=True)
            lost = counted = 0.0
        if number % _SAVE_STEPS == 0:
            transformer.save(state.weights, str(out))
    transformer.save(state.weights, str(out))


def main() -> None:
    """Train on what prepare.py made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="the folder that prepare.py filled")
    parser.add_argument("--minutes", type=float, default=22)
    parser.add_argument("--optimizer", choices=["muon", "adam"], default="muon")
    parser.add_argument("--rate", type=float, default=3e-3, help="the highest learning rate")
    arguments = parser.parse_args()
    work: Path = arguments.work
    pairs = Pairs(work / "pairs.npz")
    out = work / "weights.npz"
    trained(pairs, arguments.minutes, arguments.optimizer, arguments.rate, out)


if __name__ == "__main__":
    main()
