import io

import pytest

from headrace.cli.lines import json_lines, key_getter, keyed_lines, raw_lines
from headrace.errors import ConfigError


def test_raw_lines_are_the_exact_bytes_between_line_feeds(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\r\n\n\xff not JSON\nlast')

    assert list(raw_lines(path)) == [b'{"a": 1}\r', b"", b"\xff not JSON", b"last"]


def test_a_final_line_feed_ends_the_last_line(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"a\nb\n")

    assert list(raw_lines(path)) == [b"a", b"b"]


def test_json_lines_keep_their_spelling_and_skip_blank_ones():
    lines = list(json_lines(io.BytesIO(b'{"a":  1}\n\n2\n'), None))

    assert lines == [(b'{"a":  1}', None), (b"2", None)]


@pytest.mark.parametrize(
    ("line", "key"), [(b'{"u": {"n": "ana"}}', b"ana"), (b'{"u": {"n": 7}}', b"7")]
)
def test_the_key_is_found_by_its_path(line, key):
    assert list(json_lines(io.BytesIO(line), "u.n")) == [(line, key)]


def test_a_line_that_is_not_json_is_named():
    with pytest.raises(ConfigError, match="line 2 of input is not JSON"):
        list(json_lines(io.BytesIO(b"{}\n{oops\n"), None))


def test_a_line_without_the_key_is_named():
    with pytest.raises(ConfigError, match=r"line 1 has no field 'u.n'"):
        list(json_lines(io.BytesIO(b'{"u": 3}\n'), "u.n"))


def test_keyed_lines_keep_every_byte_and_have_a_key_where_there_is_one(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b'{"u": {"n": "ana"}}\r\n{"u": 3}\n\xff not JSON\n\n')

    assert list(keyed_lines(path, key_getter("u.n"))) == [
        (b'{"u": {"n": "ana"}}\r', b"ana"),
        (b'{"u": 3}', None),
        (b"\xff not JSON", None),
        (b"", None),
    ]
    assert [key for _, key in keyed_lines(path, None)] == [None] * 4
