"""An Argos Translate package, opened from its zip file and run with CTranslate2."""

import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

import ctranslate2
import sentencepiece

_SENTENCE_END = re.compile(r"(?<=[.!?\u2026])\s+|\n+")
_WORD_START = "\u2581"  # how sentencepiece writes the space before a word
_UNSUPPORTED = {"bpe.model": "BPE tokens", "target_prefix": "a target prefix"}


class PackageError(Exception):
    """The file is not an Argos Translate package that this runtime can open."""


@dataclass(frozen=True, slots=True)
class Package:
    """The contents of a package, held in memory: nothing is unpacked to disk.

    Attributes:
        name: The folder inside the zip file, for example `translate-en_es-1_9`.
        version: The package's own version.
        source: The language code translated from.
        target: The language code translated to.
        tokenizer: The serialized sentencepiece model.
        model: The files of the CTranslate2 model by name.
    """

    name: str
    version: str
    source: str
    target: str
    tokenizer: bytes
    model: dict[str, bytes]

    @classmethod
    def open(cls, path: Path) -> "Package":
        """Read a package.

        Raises:
            PackageError: There is no such file, or it is not a package of this kind.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                files = {info.filename: archive.read(info) for info in archive.infolist()}
        except (OSError, zipfile.BadZipFile) as error:
            raise PackageError(f"cannot open the Argos package {path}: {error}") from error
        return cls._from_files(path, files)

    @classmethod
    def _from_files(cls, path: Path, files: dict[str, bytes]) -> "Package":
        roots = {PurePosixPath(name).parts[0] for name in files}
        if len(roots) != 1:
            raise PackageError(f"{path} holds {sorted(roots)}, a package holds one folder")
        (root,) = roots
        inside = {name.removeprefix(f"{root}/"): data for name, data in files.items()}
        try:
            about = json.loads(inside["metadata.json"])
            return cls(
                name=root,
                version=about["package_version"],
                source=about["from_code"],
                target=about["to_code"],
                tokenizer=_tokenizer(path, inside, about),
                model=_model(path, inside),
            )
        except (KeyError, ValueError) as error:
            raise PackageError(f"{path} has no usable metadata.json: {error!r}") from error


def _tokenizer(path: Path, inside: dict[str, bytes], about: dict[str, object]) -> bytes:
    for key, words in _UNSUPPORTED.items():
        if key in inside or about.get(key):
            raise PackageError(f"{path} needs {words} ({key}), which this runtime does not do")
    if "sentencepiece.model" not in inside:
        raise PackageError(f"{path} has no sentencepiece.model")
    return inside["sentencepiece.model"]


def _model(path: Path, inside: dict[str, bytes]) -> dict[str, bytes]:
    model = {
        name.removeprefix("model/"): data
        for name, data in inside.items()
        if name.startswith("model/") and not name.endswith("/")
    }
    if "model.bin" not in model:
        raise PackageError(f"{path} has no model/model.bin")
    return model


class Translator:
    """Translates texts with one package; safe to call from several threads at once.

    Each of the `workers` replicas uses one thread. For small models that is much faster
    than several threads inside one replica.
    """

    def __init__(
        self,
        package: Package,
        *,
        workers: int = 1,
        beam_size: int = 1,
        split_above: int = 44,
        max_pieces: int = 200,
    ) -> None:
        """Load the package.

        Args:
            package: What to translate with.
            workers: How many batches run at the same time.
            beam_size: Hypotheses kept while decoding; 1 is greedy and fastest.
            split_above: Texts of more pieces than this are cut at the ends of sentences.
            max_pieces: Sentences of more pieces than this are cut between words. An answer
                may have twice as many, which has to stay below the positions of the model.
        """
        self._beam_size = beam_size
        self._split_above = split_above
        self._max_pieces = max_pieces
        self._tokenizer = sentencepiece.SentencePieceProcessor(model_proto=package.tokenizer)
        self._engine = ctranslate2.Translator(
            package.name, files=package.model, inter_threads=workers, intra_threads=1
        )

    def translate(self, texts: Sequence[str]) -> list[str]:
        """Translate texts as one batch; the answers stand in the same order.

        A text without words, an empty one for example, gives an empty answer.
        """
        cut = [self._segments(text) for text in texts]
        answers = iter(self._decode(list(chain.from_iterable(cut))))
        return [" ".join(next(answers) for _ in segments) for segments in cut]

    def close(self) -> None:
        """Free the model's memory; the translator cannot be used again."""
        self._engine.unload_model()

    def _segments(self, text: str) -> list[list[str]]:
        pieces = self._tokenizer.encode(text, out_type=str)
        if len(pieces) <= self._split_above:
            return [pieces] if pieces else []
        sentences = self._tokenizer.encode(_SENTENCE_END.split(text), out_type=str)
        return [
            cut for sentence in sentences for cut in cut_between_words(sentence, self._max_pieces)
        ]

    def _decode(self, segments: list[list[str]]) -> list[str]:
        if not segments:
            return []
        results = self._engine.translate_batch(
            segments,
            beam_size=self._beam_size,
            length_penalty=0.2,
            replace_unknowns=True,
            max_decoding_length=16 + 2 * max(map(len, segments)),
        )
        # Argos joins pieces itself and turns every underscore into a space, which breaks
        # mentions such as @anna_: sentencepiece undoes its own encoding without that.
        return [self._tokenizer.decode(result.hypotheses[0]) for result in results]


def cut_between_words(pieces: list[str], limit: int) -> Iterator[list[str]]:
    """Cut pieces into runs of at most `limit`, before the start of a word where there is one."""
    start = 0
    while len(pieces) - start > limit:
        end = start + limit
        while end > start and not pieces[end].startswith(_WORD_START):
            end -= 1
        end = end if end > start else start + limit
        yield pieces[start:end]
        start = end
    if start < len(pieces):
        yield pieces[start:]
