"""One seed of the campaign of mixed faults, and what it tells of many."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.local.model_server import ModelServer
from tests.fault import campaign
from tests.fault.campaign import Result, known, report


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with ModelServer(
        "model-upper", directory=campaign.BENCHMARKS, env={"UPPER_MS": "60"}
    ) as server:
        yield server


@pytest.mark.kafka
@pytest.mark.mlserver
@pytest.mark.timeout(300)
def test_nothing_is_lost_doubled_reordered_or_torn_through_mixed_faults(
    models: ModelServer, tmp_path: Path
):
    result = campaign.run(1000, tmp_path, models)

    assert not result.wrong
    assert result.records >= campaign.RECORDS
    assert {"broker", "model", "storm"} <= result.hits.keys()
    assert sum(result.hits.values()) >= 5


def test_a_report_counts_what_came_to_pass_under_which_protocol():
    results = [
        Result(0, "classic", "dynamic", 2000, {"broker": 1, "kill@begin": 2}, 30.0),
        Result(1, "classic", "static", 2100, {"broker": 1}, 30.0),
        Result(2, "classic", "dynamic", 2000, {"broker": 1}, 30.0, "lost: in-0@7"),
    ]

    assert report(results).splitlines() == [
        "| fault | classic, dynamic | classic, static |",
        "| --- | --- | --- |",
        "| seeds | 2 | 1 |",
        "| broker | 2 | 1 |",
        "| kill@begin | 2 | 0 |",
        "",
        "3 seeds, 6,100 records; 1 seeds went wrong",
        "seed 2 classic dynamic: 2,000 records, broker 1, 30 s: lost: in-0@7",
    ]


def test_a_campaign_goes_on_where_its_history_ends(tmp_path: Path):
    history = tmp_path / "history.jsonl"

    assert known(history) == []
    history.write_text(
        '{"seed": 4, "protocol": "classic", "membership": "static", "records": 2000,'
        ' "hits": {"model": 1}, "seconds": 31.5, "wrong": ""}\n'
    )
    assert known(history) == [Result(4, "classic", "static", 2000, {"model": 1}, 31.5)]
