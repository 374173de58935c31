"""A copy of a document shares nothing that could be written into."""

from headrace.core.documents import copied


def test_a_copy_shares_no_object_and_no_list():
    document = {"a": {"b": [1, {"c": 2}]}, "d": "text", "e": None}

    copy = copied(document)
    copy["a"]["b"][1]["c"] = 3
    copy["a"]["b"].append(4)
    copy["f"] = 5

    assert document == {"a": {"b": [1, {"c": 2}]}, "d": "text", "e": None}


def test_a_copy_is_equal():
    for value in ({"a": [[], {}]}, [1, [2.5]], "text", 7, None, True):
        assert copied(value) == value
