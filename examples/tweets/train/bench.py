"""Measures sentences a second of a package, pieces encoded and decoded included.

The configurations take turns, so that a busy moment of the machine does not hit only one.
"""

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path

from evaluate import read
from translate import Translator

_IN_FLIGHT = 8


@dataclass(frozen=True, slots=True)
class Configuration:
    """What is varied."""

    workers: int
    beam: int
    batch: int


def rate(
    translator: Translator, configuration: Configuration, texts: list[str], seconds: float
) -> float:
    """Translate for so many seconds, with enough batches in flight to keep all workers busy."""
    endless = cycle(texts)
    done, start = 0, time.perf_counter()
    callers = 1 if configuration.workers == 1 else _IN_FLIGHT
    with ThreadPoolExecutor(callers) as pool:
        while time.perf_counter() - start < seconds:
            batches = [list(islice(endless, configuration.batch)) for _ in range(callers)]
            done += sum(len(answers) for answers in pool.map(translator.translate, batches))
    return done / (time.perf_counter() - start)


def main() -> None:
    """Print one line for each configuration: the median and the range of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("texts", type=Path, help="a text a line")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--beam", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    texts = read(arguments.texts)
    models = {
        (workers, beam): Translator(arguments.package, beam, workers)
        for workers, beam in product(arguments.workers, arguments.beam)
    }
    rates: dict[Configuration, list[float]] = {
        Configuration(workers, beam, batch): []
        for workers, beam, batch in product(arguments.workers, arguments.beam, arguments.batch)
    }
    for _, (configuration, measured) in product(range(arguments.rounds), rates.items()):
        translator = models[configuration.workers, configuration.beam]
        measured.append(rate(translator, configuration, texts, arguments.seconds))
    for configuration, measured in rates.items():
        median = statistics.median(measured)
        print(f"{configuration}: {median:.0f}/s [{min(measured):.0f} to {max(measured):.0f}]")


if __name__ == "__main__":
    main()
