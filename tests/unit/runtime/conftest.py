import pytest

from tests.unit.runtime.parts import Kafka


@pytest.fixture
def kafka():
    return Kafka()
