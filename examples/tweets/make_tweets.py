"""Writes tweets.jsonl, 1,000 lines of which 18 are broken, and dead_letters.tsv, which says why."""

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LINES = 1000
USERS = (
    "ana",
    "ben",
    "carla",
    "dave",
    "elif",
    "femi",
    "gus",
    "hana",
    "ivan",
    "june",
    "kofi",
    "lena",
)

# Unusual, and still fine: the model answers every one of them.
ODD_TEXTS = [
    "",
    "   ",
    "😂😂😂",
    "❤️ 🔥 🙌",
    "#winning #blessed #love",
    "https://t.co/abc123",
    "@anna_ @tom_99",
    "Good night.\nSee you tomorrow!",
    'She said "hello" and left\t\\o/',
    "Buenos días, ¿cómo estás?",
    "OMG!!! THIS IS THE BEST DAY EVER!!!",
    "I love coffee. " * 19,
    "naïve café, 東京, Привет, مرحبا",
]


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that has to end as a dead letter.

    Attributes:
        found_by: Who notices: `decode` the value is no document, `input` the document has no
            text for the model's tensor, `model` the model refuses the text.
        why: What is wrong, for a reader.
        line: The bytes of the line; `$N` stands for the number of the line.
    """

    found_by: str
    why: str
    line: bytes


def _tweet(text: str) -> bytes:
    return b'{"id": $N, "user": "zoe", "text": "%s"}' % text.encode()


BROKEN = [
    Broken("model", "a text of 10,000 characters", _tweet("so long " * 1250)),
    Broken("model", "a text of 10,240 characters", _tweet("ha" * 5120)),
    Broken("model", "a text of 5,001 characters, one too many", _tweet("x" * 5001)),
    Broken("input", "the text is a number", b'{"id": $N, "user": "zoe", "text": 42}'),
    Broken("input", "the text is null", b'{"id": $N, "user": "zoe", "text": null}'),
    Broken(
        "input", "the text is a list", b'{"id": $N, "user": "zoe", "text": ["I", "am", "here"]}'
    ),
    Broken("input", "the text is an object", b'{"id": $N, "user": "zoe", "text": {"en": "hello"}}'),
    Broken("input", "there is no text", b'{"id": $N, "user": "zoe"}'),
    Broken("input", "the text has another name", b'{"id": $N, "user": "zoe", "tweet": "hello"}'),
    Broken("decode", "Latin-1, not UTF-8", b'{"id": $N, "user": "zoe", "text": "caf\xe9"}'),
    Broken(
        "decode",
        "an emoji cut in half",
        b'{"id": $N, "user": "zoe", "text": "wow \xf0\x9f\x98"}',
    ),
    Broken("decode", "half a surrogate pair", b'{"id": $N, "user": "zoe", "text": "wow \\ud83d"}'),
    Broken("decode", "not JSON but plain text", b"I forgot the JSON again"),
    Broken("decode", "JSON that stops early", b'{"id": $N, "user": "zoe", "text": "I was wri'),
    Broken("decode", "single quotes", b"{'id': $N, 'user': 'zoe', 'text': 'hello'}"),
    Broken("decode", "a list, not an object", b'[$N, "zoe", "hello"]'),
    Broken("decode", "a string, not an object", b'"hello from tweet $N"'),
    Broken("decode", "a number, not an object", b"$N"),
]


def texts(data: Path, rng: random.Random) -> Iterator[str]:
    """Give the texts of the good lines: every hand-written one, the rest from the grammar."""
    yield from ODD_TEXTS
    for name in ("test_tweets.en", "samples_hard.en"):
        yield from (data / name).read_text(encoding="utf-8").splitlines()
    generated = (data / "tweets.tsv").read_text(encoding="utf-8").splitlines()
    rng.shuffle(generated)
    for line in generated:
        yield line.split("\t")[0]


def lines(data: Path, seed: int) -> list[tuple[bytes, Broken | None]]:
    """Give every line, with what is wrong with it; the same seed gives the same lines."""
    rng = random.Random(seed)  # noqa: S311  a demo's data, not a secret
    source = texts(data, rng)
    good = [next(source) for _ in range(LINES - len(BROKEN))]
    todo: list[str | Broken] = [*good, *BROKEN]
    rng.shuffle(todo)
    return [_line(number, item, rng) for number, item in enumerate(todo, start=1)]


def _line(number: int, item: str | Broken, rng: random.Random) -> tuple[bytes, Broken | None]:
    if isinstance(item, Broken):
        return item.line.replace(b"$N", b"%d" % number), item
    document = {"id": number, "user": rng.choice(USERS), "text": item}
    return json.dumps(document, ensure_ascii=rng.random() < 0.1).encode(), None


def main() -> None:
    """Write the two files beside this script, or into another folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--data", type=Path, default=HERE / "data")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    made = lines(arguments.data, arguments.seed)
    (arguments.out / "tweets.jsonl").write_bytes(b"".join(line + b"\n" for line, _ in made))
    rows = [
        f"{number}\t{broken.found_by}\t{broken.why}\n"
        for number, (_, broken) in enumerate(made, start=1)
        if broken
    ]
    (arguments.out / "dead_letters.tsv").write_text(
        "line\tfound_by\twhy\n" + "".join(rows), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
