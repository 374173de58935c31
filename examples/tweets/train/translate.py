"""Translates with a CTranslate2 folder or an Argos Translate package, for the measurements."""

import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import ctranslate2
import sentencepiece


class Translator:
    """A model opened from a package, in memory.

    Args:
        package: An Argos Translate package.
        beam: Hypotheses kept while decoding; 1 is greedy.
        workers: Replicas of the model, each with `threads` threads.
        threads: Threads of one replica.
    """

    def __init__(self, package: Path, beam: int = 4, workers: int = 1, threads: int = 1) -> None:
        with zipfile.ZipFile(package) as archive:
            files = {
                str(PurePosixPath(*PurePosixPath(name).parts[1:])): archive.read(name)
                for name in archive.namelist()
            }
        model = {name[6:]: data for name, data in files.items() if name.startswith("model/")}
        self.pieces = sentencepiece.SentencePieceProcessor(model_proto=files["sentencepiece.model"])
        self._beam = beam
        self._engine = ctranslate2.Translator(
            package.name, files=model, inter_threads=workers, intra_threads=threads
        )

    def translate(self, texts: Sequence[str]) -> list[str]:
        """Translate texts as one batch."""
        results = self._engine.translate_batch(
            self.pieces.encode(list(texts), out_type=str),
            beam_size=self._beam,
            length_penalty=0.2,
            replace_unknowns=True,
            max_decoding_length=120,
        )
        return [self.pieces.decode(result.hypotheses[0]) for result in results]
