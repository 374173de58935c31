"""Measures BLEU and chrF of a package, with bootstrap intervals, beside apertium if installed."""

import argparse
import random
import re
import shutil
import subprocess
from pathlib import Path

import sacrebleu

from translate import Translator

_RESAMPLED = 300
_END_MARKS = re.compile(r"[.!?]+$")


def read(path: Path) -> list[str]:
    """Read the lines of a file."""
    return path.read_text(encoding="utf-8").splitlines()


def apertium(texts: list[str]) -> list[str]:
    """Translate with apertium, and write the capital and the inverted marks that it does not.

    Every line is closed with a mark: without it apertium moves words across lines, which would
    be unfair to it.
    """
    ends = [match.group() if (match := _END_MARKS.search(text)) else "" for text in texts]
    marks = {"?": " ?", "!": " !"}
    closed = [
        _END_MARKS.sub("", text) + marks.get(end[-1:], " .")
        for text, end in zip(texts, ends, strict=True)
    ]
    done = subprocess.run(
        ["apertium", "-n", "-u", "eng-spa"],
        input="\n\n".join(closed) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    answers = done.stdout.split("\n\n")
    return [_marked(*each) for each in zip(texts, answers, ends, strict=True)]


def _marked(text: str, answer: str, end: str) -> str:
    answer = re.sub(r"\s*[.!?]+$", "", re.sub(r"\s+", " ", answer).strip()) + end
    if text[:1].isupper():
        answer = answer[:1].upper() + answer[1:]
    answer = f"¡{answer}" if "!" in end else answer
    return f"¿{answer}" if "?" in end else answer


def scores(answers: list[str], references: list[str]) -> str:
    """Give BLEU with its 95 % bootstrap interval, and chrF, in words."""
    rng = random.Random(0)  # noqa: S311  a bootstrap, not a secret
    resampled = []
    for _ in range(_RESAMPLED):
        indices = [rng.randrange(len(answers)) for _ in answers]
        drawn = [answers[index] for index in indices]
        wanted = [references[index] for index in indices]
        resampled.append(sacrebleu.corpus_bleu(drawn, [wanted]).score)
    resampled.sort()
    low, high = resampled[round(0.025 * _RESAMPLED)], resampled[round(0.975 * _RESAMPLED) - 1]
    bleu = sacrebleu.corpus_bleu(answers, [references]).score
    chrf = sacrebleu.corpus_chrf(answers, [references]).score
    return f"BLEU {bleu:.1f} [{low:.1f} to {high:.1f}], chrF {chrf:.1f}"


def main() -> None:
    """Measure a package on one test set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("test", type=Path, help="a file X.en; its references are in X.es")
    parser.add_argument("--beam", type=int, default=4)
    parser.add_argument("--show", action="store_true", help="print every translation")
    arguments = parser.parse_args()
    texts, references = read(arguments.test), read(arguments.test.with_suffix(".es"))
    systems = {"model": Translator(arguments.package, arguments.beam).translate(texts)}
    if shutil.which("apertium"):
        systems["apertium"] = apertium(texts)
    for name, answers in systems.items():
        print(f"{name}: {len(texts)} texts, {scores(answers, references)}")
    if arguments.show:
        for index, text in enumerate(texts):
            print(f"\n{text}\n  reference: {references[index]}")
            for name, answers in systems.items():
                print(f"  {name}: {answers[index]}")


if __name__ == "__main__":
    main()
