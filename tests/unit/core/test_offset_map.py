"""Texts that released versions have written: they must be readable for ever."""

import pytest

from headrace.core.offset_map import Decoded, decode, encode
from headrace.core.runs import Runs

SLOT = "worker-0"
NONCE = 0x0123456789ABCDEF
BASE = 1000


def every(step, count):
    return Runs((BASE + 1 + step * i, BASE + 2 + step * i) for i in range(count))


WRITTEN = {
    "h100?()a%*LBEieHiMQ4et&F=@Ziq`": Runs(),
    "h100?()a%*LBEieHiMQ4et&F=sM!U6BN9$&-1NB": Runs([(1001, 1005), (1200, 500_000)]),
}
# How far a set deflates depends on the zlib that does it, so these are only read.
DEFLATED = {
    "h10|<9-a%*LBEieHiMQ4et&F`D!sWNF;BLHJ+bYK": every(3, 600),
    "h10tk0+a%*LBEieHiMQ4et&F^DiSj9AoM$sr5MWbjGjZg#th0C4H": every(300, 600),
}


@pytest.mark.parametrize(("text", "finished"), [*WRITTEN.items(), *DEFLATED.items()])
def test_a_text_of_version_1_is_read_as_it_was_meant(text, finished):
    assert decode(text, BASE) == Decoded(SLOT, NONCE, finished)


@pytest.mark.parametrize(("text", "finished"), WRITTEN.items())
def test_version_1_is_still_written_the_same_way(text, finished):
    assert encode(SLOT, NONCE, BASE, finished) == text
