"""How many seeds of the fault test run: one in `make test`, more in `make fault`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-seeds", type=int, default=1, help="seeds of the fault test")
    parser.addoption("--fault-records", type=int, default=20_000, help="records per seed")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault_seed" in metafunc.fixturenames:
        metafunc.parametrize("fault_seed", range(metafunc.config.getoption("--fault-seeds")))


@pytest.fixture
def fault_records(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--fault-records")
