"""What the generated charts promise: determinism, offsets that hold, shares within bounds."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "records"))

import charts
import make_charts
from charts import letters_test, letters_train, templates_test, templates_train

ICD = re.compile(r"[A-TV-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?")


@pytest.fixture(scope="module", params=["train", "test"])
def made(request):
    return [charts.make(number, seed=3, split=request.param) for number in range(250)]


@pytest.fixture(scope="module")
def pages(made):
    return [
        (page["text"], truth)
        for document, chart in made
        for page, truth in zip(document["pages"], chart["pages"], strict=True)
    ]


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from strings(each)


def sentences(*modules) -> set[str]:
    found = (
        text
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and name != "ORDERS"
        for text in strings(value)
    )
    return {text.strip().lower() for text in found if len(re.sub(r"\{\w+\}", "", text)) > 12}


def shares(counted: Counter) -> dict:
    return {key: count / counted.total() for key, count in counted.items()}


def test_a_chart_depends_only_on_its_arguments(made):
    again = charts.make(7, seed=3, split="train")
    charts.make(8, seed=3, split="train")

    assert charts.make(7, seed=3, split="train") == again
    assert charts.make(7, seed=3, split="test") != again
    assert charts.make(7, seed=4, split="train") != again


def test_offsets_hold_in_the_upright_text(pages):
    for text, truth in pages:
        upright = charts.turned(text) if truth["layout"] == "upside_down" else text
        lines = upright.split("\n")
        assert len(lines) == len(truth["sections"])
        for mention in truth["mentions"]:
            line = lines[mention["line"]]
            assert line[mention["start"] : mention["end"]] == mention["text"]
            assert mention["text"].strip()
        for each in (*truth["phi"], *truth["dates"]):
            assert lines[each["line"]][each["start"] : each["end"]].strip()


@pytest.mark.parametrize("text", ["", "upon\nmud 69", "a\r\nb\n", "(é) [Ω] {x} <y> L7, '"])
def test_turning_twice_gives_the_text_back(text):
    assert charts.turned(charts.turned(text)) == text


def test_turned_pages_are_turned_back_by_turning(pages):
    for text, _ in pages[:500]:
        assert charts.turned(charts.turned(text)) == text


def test_shares_are_within_wide_bounds(made, pages):
    decisions = shares(Counter(chart["decision"] for _, chart in made))
    kinds = shares(Counter(truth["kind"] for _, truth in pages))
    qualities = shares(Counter(truth["quality"] for _, truth in pages))
    written = Counter(truth["layout"] for _, truth in pages if truth["layout"] != "blank")

    assert 0.38 < decisions["submit"] < 0.62
    assert 0.23 < decisions["review"] < 0.47
    assert 0.08 < decisions["nothing"] < 0.24
    assert len(kinds) == 8
    assert min(kinds.values()) > 0.02
    assert 0.45 < qualities["clean"] < 0.65
    assert 0.22 < qualities["fair"] < 0.38
    assert 0.08 < qualities["poor"] < 0.22
    assert 0.04 < shares(written)["upside_down"] < 0.08


def test_sizes_are_those_of_scanned_pages(made, pages):
    counts = [len(document["pages"]) for document, _ in made]
    texts = [text for text, truth in pages if truth["kind"] == "progress_note"]

    assert min(counts) >= 4
    assert max(counts) <= 30
    assert 13 < sum(counts) / len(counts) < 17
    assert 1000 < sum(map(len, texts)) / len(texts) < 2500


def test_a_page_has_at_most_twelve_condition_mentions(pages):
    for _, truth in pages:
        assert sum(each["kind"] == "condition" for each in truth["mentions"]) <= 12


def test_codes_are_empty_exactly_when_there_is_nothing_to_submit(made):
    for _, chart in made:
        assert (not chart["codes"]) == (chart["decision"] == "nothing")
        assert chart["codes"] == sorted(set(chart["codes"]))


def test_charts_are_json(made):
    for document, chart in made[:20]:
        assert json.loads(json.dumps([document, chart])) == [document, chart]


def test_train_and_test_share_no_sentence():
    train = sentences(templates_train, letters_train)
    test = sentences(templates_test, letters_test)

    assert len(train) > 200
    assert len(test) > 200
    assert not train & test


def test_codes_look_like_icd_10_and_are_told_once():
    codes = [condition.code for condition in charts.CONDITIONS]

    assert len(codes) == len(set(codes)) > 100
    assert all(ICD.fullmatch(code) for code in codes)
    assert all(each.test and not set(each.test) & set(each.phrases) for each in charts.CONDITIONS)


def test_poisons_and_broken_lines_are_written(tmp_path):
    out, truth = tmp_path / "charts.jsonl", tmp_path / "truth.jsonl"
    arguments = ["--charts", "40", "--poison", "8", "--out", str(out), "--truth", str(truth)]

    with out.open("w") as charts_file, truth.open("w") as truth_file:
        told = make_charts.write(make_charts.options(arguments), charts_file, truth_file)

    truths = [json.loads(line) for line in truth.read_text().splitlines()]
    spoiled = [page["poison"] for chart in truths for page in chart["pages"] if "poison" in page]
    assert Counter(spoiled) == dict.fromkeys(("no_text", "not_text", "too_long", "unbroken"), 2)
    assert len(out.read_text().split("\n")) == 40 + 2 + 1
    assert told["broken"] == 2


def test_more_poisons_than_charts_are_refused(capsys):
    with pytest.raises(SystemExit):
        make_charts.options(["--charts", "3", "--poison", "4"])

    assert "each spoiled page is in another chart" in capsys.readouterr().err
