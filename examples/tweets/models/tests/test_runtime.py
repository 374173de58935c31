import asyncio
import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from mlserver.errors import InferenceError
from mlserver.settings import ModelSettings
from mlserver.types import InferenceRequest, InferenceResponse

from argos_package import Package, PackageError, Translator, cut_between_words
from argos_runtime import PACKAGE_VARIABLE, ArgosRuntime, Options, texts_of

MODEL = Path(__file__).parent.parent / "translator"
PACKAGE = MODEL / "en_es_tiny.argosmodel"


@pytest.fixture(autouse=True)
def no_package_from_outside(monkeypatch):
    monkeypatch.delenv(PACKAGE_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def translator():
    translator = Translator(Package.open(PACKAGE), workers=2)
    yield translator
    translator.close()


def settings(**parameters):
    return ModelSettings.model_validate(
        {
            "name": "translator",
            "implementation": "argos_runtime.ArgosRuntime",
            "parameters": parameters,
            "_source": str(MODEL / "model-settings.json"),
        }
    )


def request(data, *, name="text", datatype="BYTES", shape=None, outputs=None):
    return InferenceRequest.model_validate(
        {
            "inputs": [
                {
                    "name": name,
                    "datatype": datatype,
                    "shape": [len(data)] if shape is None else shape,
                    "data": data,
                }
            ],
            "outputs": outputs,
        }
    )


async def served(asked: InferenceRequest) -> tuple[ArgosRuntime, InferenceResponse]:
    runtime = ArgosRuntime(settings(uri=PACKAGE.name))
    runtime.ready = await runtime.load()
    try:
        return runtime, await runtime.predict(asked)
    finally:
        await runtime.unload()


def repacked(target: Path, *, leave_out: str = "", **about: str) -> Path:
    with zipfile.ZipFile(PACKAGE) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("metadata.json"):
                data = json.dumps(json.loads(data) | about).encode()
            if not leave_out or not name.endswith(leave_out):
                new.writestr(name, data)
    return target


def test_the_package_says_what_it_is():
    package = Package.open(PACKAGE)

    assert (package.source, package.target, package.version) == ("en", "es", "0.1")
    assert set(package.model) == {"model.bin", "config.json", "shared_vocabulary.json"}


def test_answers_stand_in_the_order_of_the_texts(translator):
    answers = translator.translate(
        ["I love this song so much", "Good night", "Your apps are weak."]
    )

    assert answers[1] == "Buenas noches"
    assert "canción" in answers[0]
    assert "aplicaciones" in answers[2]


def test_a_text_is_translated_alike_alone_and_in_a_batch(translator):
    texts = ["Good night", "We won the game last night! #winning", "Where are my sisters? ;)"] * 11

    together = translator.translate(texts)

    assert together == [translator.translate([text])[0] for text in texts]


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_a_text_without_words_gives_an_empty_answer(translator, text):
    assert translator.translate(["Good night", text]) == ["Buenas noches", ""]


def test_mentions_keep_their_underscores_and_emoji_stay(translator):
    (answer,) = translator.translate(["Thanks for following me @anna_ 🔥"])

    assert "@anna_" in answer
    assert "🔥" in answer


def test_a_long_text_is_translated_sentence_by_sentence(translator):
    (answer,) = translator.translate(["Good night. " * 40])

    assert len(re.findall("Buenas noches", answer)) == 40


def test_a_text_of_many_pieces_without_a_space_is_cut_and_still_answered(translator):
    (answer,) = translator.translate(["z" * 4000])

    assert answer


def test_pieces_are_cut_before_a_word_and_none_is_lost():
    pieces = ["▁a", "b", "▁c", "d", "e", "▁f"]

    assert list(cut_between_words(pieces, 3)) == [["▁a", "b"], ["▁c", "d", "e"], ["▁f"]]
    assert list(cut_between_words(["▁a", "b", "c", "d", "e"], 2)) == [
        ["▁a", "b"],
        ["c", "d"],
        ["e"],
    ]


def test_a_request_over_rest_and_one_over_grpc_give_the_same_texts():
    assert texts_of(request(["año"]), 5000) == texts_of(request(["año".encode()]), 5000) == ["año"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (request(["a"], name="txt"), "expected one tensor named 'text'"),
        (request([1.0], datatype="FP32"), "has to be BYTES, got FP32"),
        (request(["a"], shape=[1, 1]), "expected shape [1]"),
        (request(["a"], shape=[2]), "expected shape [1]"),
        (request([5]), "row 0 is not a text but int"),
        (request([None]), "row 0 is not a text but NoneType"),
        (request([b"a", b"\xff"]), "row 1 is not UTF-8"),
        (request(["a", "b" * 101]), "row 1 has 101 characters, at most 100"),
        (request(["a"], outputs=[{"name": "summary"}]), "the only output is 'translation'"),
        (InferenceRequest(inputs=[]), "expected one tensor named 'text'"),
    ],
)
def test_a_bad_request_is_refused_with_400(asked, message):
    with pytest.raises(InferenceError, match=re.escape(message)) as refused:
        texts_of(asked, 100)

    assert refused.value.status_code == 400


def test_characters_are_counted_not_bytes():
    assert texts_of(request(["ñ" * 100]), 100) == ["ñ" * 100]


def test_the_runtime_reports_its_tensors_its_version_and_its_platform():
    runtime, answer = asyncio.run(served(request(["Good night"])))

    metadata = asyncio.run(runtime.metadata())
    assert [(t.name, t.datatype, t.shape) for t in metadata.inputs] == [("text", "BYTES", [-1])]
    assert [(t.name, t.datatype, t.shape) for t in metadata.outputs] == [
        ("translation", "BYTES", [-1])
    ]
    assert (metadata.versions, metadata.platform) == (["0.1"], "argos-ctranslate2")
    assert answer.model_version == "0.1"


def test_the_answer_is_one_row_of_bytes_for_each_row():
    _, answer = asyncio.run(served(request(["Good night", ""])))

    (output,) = answer.outputs
    assert (output.name, output.shape) == ("translation", [2])
    assert output.data.root == [b"Buenas noches", b""]


def test_the_package_in_the_environment_is_preferred(monkeypatch, tmp_path):
    other = shutil.copy(PACKAGE, tmp_path / "other.argosmodel")
    monkeypatch.setenv(PACKAGE_VARIABLE, str(other))

    options = Options.from_settings(settings(uri="none.argosmodel", extra={"package": "none"}))

    assert options.package == str(other)


def test_an_unknown_option_is_refused():
    with pytest.raises(PackageError, match=r"unknown options in parameters\.extra: beams"):
        Options.from_settings(settings(uri=PACKAGE.name, extra={"beams": 3}))


def test_a_missing_package_is_named():
    with pytest.raises(PackageError, match=r"none\.argosmodel"):
        ArgosRuntime(settings(uri="none.argosmodel"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"leave_out": "metadata.json"}, "no usable metadata.json"),
        ({"leave_out": "sentencepiece.model"}, "has no sentencepiece.model"),
        ({"leave_out": "model.bin"}, "has no model/model.bin"),
        ({"target_prefix": "__es__"}, "a target prefix"),
    ],
)
def test_a_package_that_cannot_be_used_says_why(tmp_path, change, message):
    path = repacked(tmp_path / "changed.argosmodel", **change)

    with pytest.raises(PackageError, match=message):
        Package.open(path)
