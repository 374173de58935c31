"""Turns trained weights into an Argos Translate package, and checks that they mean the same.

The check translates held-out texts greedily with JAX and with CTranslate2, and scores their
reference translations with both.
"""

import argparse
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import ctranslate2
import jax
import numpy as np
import sentencepiece
from ctranslate2.specs import TransformerSpec, attention_spec, common_spec, transformer_spec

import transformer
from prepare import END, MAX_SOURCE, PAD, START, load_pieces
from transformer import Weights

_FOLDER = "translate-en_es-tiny"
_METADATA = {
    "package_version": "0.1",
    "argos_version": "1.9",
    "from_code": "en",
    "from_name": "English",
    "to_code": "es",
    "to_name": "Spanish",
}
_LONGEST = 512  # positions that the exported model knows
_CHECKED_PIECES = 40
_SCORED = 8  # references whose log-probabilities are compared


def _copied(array: np.ndarray) -> np.ndarray:
    """Copy an array: `optimize` of CTranslate2 quantizes what it is given in place."""
    return np.array(array, dtype=np.float32, order="C", copy=True)


def _set_norm(spec: common_spec.LayerNormSpec, norm: Weights) -> None:
    spec.gamma, spec.beta = _copied(norm["gain"]), _copied(norm["bias"])


def _set_linear(spec: common_spec.LinearSpec, weights: Weights, *names: str) -> None:
    """Set one linear layer from one or more matrices side by side, as [outputs, inputs]."""
    spec.weight = _copied(np.concatenate([weights[name] for name in names], 1).T)
    spec.bias = _copied(np.concatenate([weights[f"{name}_bias"] for name in names]))


def _set_self_attention(spec: attention_spec.MultiHeadAttentionSpec, weights: Weights) -> None:
    _set_norm(spec.layer_norm, weights["norm"])
    _set_linear(spec.linear[0], weights, "query", "key", "value")
    _set_linear(spec.linear[1], weights, "output")


def _set_cross_attention(spec: attention_spec.MultiHeadAttentionSpec, weights: Weights) -> None:
    _set_norm(spec.layer_norm, weights["norm"])
    _set_linear(spec.linear[0], weights, "query")
    _set_linear(spec.linear[1], weights, "key", "value")
    _set_linear(spec.linear[2], weights, "output")


def _set_feed_forward(spec: transformer_spec.FeedForwardSpec, weights: Weights) -> None:
    _set_norm(spec.layer_norm, weights["norm"])
    _set_linear(spec.linear_0, weights, "expand")
    _set_linear(spec.linear_1, weights, "shrink")


def specification(
    weights: Weights, pieces: sentencepiece.SentencePieceProcessor
) -> TransformerSpec:
    """Describe the model to CTranslate2."""
    layers = (transformer.ENCODER_LAYERS, transformer.DECODER_LAYERS)
    relu = common_spec.Activation.RELU
    spec = TransformerSpec.from_config(layers, transformer.HEADS, pre_norm=True, activation=relu)
    for side, name in ((spec.encoder, "encoder"), (spec.decoder, "decoder")):
        side.scale_embeddings = True
        side.position_encodings.encodings = transformer.positions(_LONGEST, transformer.WIDTH)
        _set_norm(side.layer_norm, weights[f"{name}_norm"])
        for layer, trained in zip(side.layer, weights[name], strict=True):
            _set_self_attention(layer.self_attention, trained["self"])
            _set_feed_forward(layer.ffn, trained["feed_forward"])
    for layer, trained in zip(spec.decoder.layer, weights["decoder"], strict=True):
        _set_cross_attention(layer.attention, trained["cross"])
    spec.encoder.embeddings[0].weight = _copied(weights["embeddings"])
    spec.decoder.embeddings.weight = _copied(weights["embeddings"])
    spec.decoder.projection.weight = _copied(weights["embeddings"])
    vocabulary = [pieces.id_to_piece(number) for number in range(pieces.vocab_size())]
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.config.layer_norm_epsilon = transformer.EPSILON
    spec.config.add_source_bos = False
    spec.config.add_source_eos = False
    spec.config.decoder_start_token = vocabulary[START]
    return spec


def convert(
    weights: Weights,
    pieces: sentencepiece.SentencePieceProcessor,
    folder: Path,
    quantization: str | None,
) -> None:
    """Write a CTranslate2 model into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spec = specification(weights, pieces)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))


def greedy(weights: Weights, sources: list[list[int]]) -> Iterator[list[int]]:
    """Translate pieces one text at a time with JAX, always taking the likeliest piece."""
    encode, score = jax.jit(transformer.encode), jax.jit(transformer.logits)
    for source in sources:
        padded = np.full((1, MAX_SOURCE), PAD, np.int32)
        padded[0, : len(source)] = source
        memory, mask = encode(weights, padded)
        target = np.full((1, MAX_SOURCE), PAD, np.int32)
        target[0, 0] = START
        answer: list[int] = []
        for place in range(MAX_SOURCE - 1):
            piece = int(np.asarray(score(weights, memory, mask, target))[0, place].argmax())
            if piece == END:
                break
            answer.append(piece)
            target[0, place + 1] = piece
        yield answer


def agreement(
    model: Path,
    pieces: sentencepiece.SentencePieceProcessor,
    sources: list[list[int]],
    answers: list[list[int]],
) -> int:
    """Count the texts that CTranslate2 translates to the very same pieces."""
    translator = ctranslate2.Translator(str(model), intra_threads=1, inter_threads=1)
    results = translator.translate_batch(
        [[pieces.id_to_piece(number) for number in source] for source in sources],
        beam_size=1,
        min_decoding_length=0,
        max_decoding_length=MAX_SOURCE - 1,
    )
    given = [result.hypotheses[0] for result in results]
    wanted = [[pieces.id_to_piece(number) for number in answer] for answer in answers]
    return sum(one == other for one, other in zip(given, wanted, strict=True))


def largest_difference(
    weights: Weights,
    model: Path,
    pieces: sentencepiece.SentencePieceProcessor,
    pairs: list[tuple[list[int], list[int]]],
) -> float:
    """Score given translations with both; give the largest difference of a log-probability."""
    translator = ctranslate2.Translator(str(model), intra_threads=1, inter_threads=1)
    words = [[[pieces.id_to_piece(piece) for piece in side] for side in pair] for pair in pairs]
    scored = translator.score_batch([source for source, _ in words], [to for _, to in words])
    differences = []
    for (source, target), result in zip(pairs, scored, strict=True):
        wanted = np.array([*target, END])
        memory, mask = transformer.encode(weights, np.array([source]))
        scores = transformer.logits(weights, memory, mask, np.array([[START, *target]]))[0]
        logs = np.asarray(jax.nn.log_softmax(scores))[np.arange(len(wanted)), wanted]
        differences.append(float(np.abs(np.array(result.log_probs) - logs).max()))
    return max(differences)


def pack(model: Path, work: Path, card: Path | None, package: Path) -> None:
    """Write the package: a zip of one folder, as Argos Translate installs it."""
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(f"{_FOLDER}/metadata.json", json.dumps(_METADATA, indent=4))
        archive.write(work / "sentencepiece.model", f"{_FOLDER}/sentencepiece.model")
        if card:
            archive.write(card, f"{_FOLDER}/README.md")
        for file in sorted(model.iterdir()):
            archive.write(file, f"{_FOLDER}/model/{file.name}")


def main() -> None:
    """Convert, check and pack the weights of a work folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="the folder of prepare.py and train.py")
    parser.add_argument("--card", type=Path, help="a model card, packed as README.md")
    parser.add_argument("--check", type=int, default=60, help="texts to compare, 0 for none")
    arguments = parser.parse_args()
    work: Path = arguments.work
    weights, pieces = transformer.load(str(work / "weights.npz")), load_pieces(work)
    texts = (work / "test_grammar.en").read_text(encoding="utf-8").splitlines()
    sources = [pieces.encode(text) for text in texts[: arguments.check]]
    sources = [source for source in sources if len(source) <= _CHECKED_PIECES]
    answers = list(greedy(weights, sources))
    references = (work / "test_grammar.es").read_text(encoding="utf-8").splitlines()
    pairs = [(pieces.encode(texts[row]), pieces.encode(references[row])) for row in range(_SCORED)]
    for name, quantization in (("float32", None), ("int8", "int8")):
        convert(weights, pieces, work / name, quantization)
        if sources:
            same = agreement(work / name, pieces, sources, answers)
            print(f"{name}: {same} of {len(sources)} greedy translations equal those of JAX")
            apart = largest_difference(weights, work / name, pieces, pairs)
            print(f"{name}: log-probabilities of references differ by at most {apart:.2g}")
    package = work / "en_es_tiny.argosmodel"
    pack(work / "int8", work, arguments.card, package)
    print(f"{package}: {package.stat().st_size} bytes")


if __name__ == "__main__":
    main()
