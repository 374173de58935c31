"""Holds out test pairs, trains the sentencepiece model and turns the pairs into numbers."""

import argparse
import random
from pathlib import Path

import numpy as np
import sentencepiece

from lexicon import Lexicon, Pair

PIECES = 3000
UNKNOWN, START, END, PAD = range(4)
MAX_SOURCE, MAX_TARGET = 44, 43  # pieces; the target also gets its start or its end


def read_pairs(path: Path) -> list[Pair]:
    """Read the lines `English<TAB>Spanish` that the grammar wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(english, spanish) for english, spanish in (line.split("\t") for line in lines)]


def split(pairs: list[Pair], held_out: int, rng: random.Random) -> tuple[list[Pair], list[Pair]]:
    """Give the training and the test pairs; no English text of the test is in the training."""
    shuffled = rng.sample(pairs, len(pairs))
    test, rest = shuffled[:held_out], shuffled[held_out:]
    seen = {english.lower() for english, _ in test}
    return [pair for pair in rest if pair[0].lower() not in seen], test


def write_sides(pairs: list[Pair], path: Path) -> None:
    """Write the English side to PATH.en and the Spanish side to PATH.es."""
    for suffix, side in ((".en", 0), (".es", 1)):
        text = "".join(pair[side] + "\n" for pair in pairs)
        path.with_suffix(suffix).write_text(text, encoding="utf-8")


def train_pieces(pairs: list[Pair], work: Path) -> sentencepiece.SentencePieceProcessor:
    """Train one model of pieces for both languages; emoji are pieces of their own."""
    text = work / "pieces.txt"
    unique = dict.fromkeys(pairs)
    text.write_text("".join(f"{en}\n{es}\n" for en, es in unique), encoding="utf-8")
    emoji = [symbol for symbol in Lexicon.load().emoji if not symbol.isascii()]
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(work / "sentencepiece"),
        vocab_size=PIECES,
        model_type="unigram",
        character_coverage=0.9995,
        byte_fallback=True,
        unk_id=UNKNOWN,
        bos_id=START,
        eos_id=END,
        pad_id=PAD,
        pad_piece="<blank>",
        user_defined_symbols=["<unused>", *emoji],
        input_sentence_size=300_000,
        shuffle_input_sentence=True,
        num_threads=2,
        max_sentence_length=800,
        minloglevel=1,
    )
    return load_pieces(work)


def load_pieces(work: Path) -> sentencepiece.SentencePieceProcessor:
    """Load the model of pieces of a work folder."""
    return sentencepiece.SentencePieceProcessor(model_file=str(work / "sentencepiece.model"))


def flattened(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Give all rows end to end, and the length of each."""
    lengths = np.array([len(row) for row in rows], np.uint16)
    return np.concatenate([np.asarray(row, np.uint16) for row in rows]), lengths


def main() -> None:
    """Prepare a work folder for train.py."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path, help="what grammar.py wrote")
    parser.add_argument("work", type=Path, help="folder for everything that is made")
    parser.add_argument("--held-out", type=int, default=600)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    rng = random.Random(arguments.seed)  # noqa: S311  a split, not a secret
    training, test = split(read_pairs(arguments.pairs), arguments.held_out, rng)
    write_sides(test, work / "test_grammar")
    pieces = train_pieces(training, work)
    sources = pieces.encode([english for english, _ in training])
    targets = pieces.encode([spanish for _, spanish in training])
    kept = [
        (source, target)
        for source, target in zip(sources, targets, strict=True)
        if 0 < len(source) <= MAX_SOURCE and 0 < len(target) <= MAX_TARGET
    ]
    source, source_lengths = flattened([source for source, _ in kept])
    target, target_lengths = flattened([target for _, target in kept])
    np.savez(
        work / "pairs.npz",
        source=source,
        source_lengths=source_lengths,
        target=target,
        target_lengths=target_lengths,
    )
    print(f"{len(training)} training pairs, {len(kept)} short enough, {len(test)} held out")


if __name__ == "__main__":
    main()
