import pytest

from headrace.core.murmur import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_hash_as_in_kafkas_own_tests(key, hashed):
    assert murmur2(key) == hashed % 2**32


def test_a_key_has_one_partition():
    assert partition_of(b"foobar", 7) == (-790332482 & 0x7FFFFFFF) % 7
