"""What a campaign of mixed faults is, and tells; the seeds themselves are `make fault`."""

import json
from collections import Counter
from pathlib import Path

from tests.fault.campaign import known
from tests.fault.faults import Fault
from tests.fault.page import page
from tests.fault.reports import campaign
from tests.fault.seeds import seed
from tests.fault.trial import Result

CLASSIC = ("one step", "classic", "dynamic", 1)


def test_a_report_counts_what_came_to_pass_at_which_step():
    results = [
        Result(0, *CLASSIC, 2000, {"worker killed@begin": 2, "zombie@anywhere": 1}, 30.0),
        Result(4, "one step", "consumer", "static", 3, 2100, {"worker killed@begin": 1}, 30.0),
        Result(8, *CLASSIC, 2000, {"worker killed@produced": 1}, 30.0, "lost: in-0@7"),
    ]

    lines = campaign(results).splitlines()

    assert lines[0] == "3 seeds, 6,100 records, 5 faults; 1 seeds went wrong"
    assert "| one step, 1 broker, gRPC | 2 | 0 | 0 | 0 |" in lines
    assert "| one step, 3 brokers, gRPC | 0 | 0 | 0 | 1 |" in lines
    assert "| worker killed | classic | 2 | 1 |  |  |  |  |  |" in lines
    assert "| worker killed | consumer | 1 |  |  |  |  |  |  |" in lines
    assert lines[-1].endswith("30 s: lost: in-0@7")


def test_a_campaign_goes_on_where_its_history_ends(tmp_path: Path):
    history = tmp_path / "history.jsonl"

    assert known(history) == []
    history.write_text(
        json.dumps(
            {
                "seed": 4,
                "shape": "DAG",
                "protocol": "classic",
                "membership": "static",
                "brokers": 3,
                "records": 2000,
                "hits": {"zombie@begin": 1},
                "seconds": 31.5,
                "wrong": "",
            }
        )
    )
    assert known(history) == [
        Result(4, "DAG", "classic", "static", 3, 2000, {"zombie@begin": 1}, 31.5)
    ]


def test_128_seeds_in_a_row_try_every_pipeline_under_every_group_on_every_cluster_over_both():
    tried = Counter(
        (each.shape.name, each.protocol, each.membership, each.brokers, each.over)
        for each in map(seed, range(128))
    )

    assert len(tried) == 64


def test_two_hundred_seeds_have_every_fault():
    struck = Counter(fault for number in range(200) for fault in seed(number).faults)

    assert min(struck[fault] for fault in Fault) >= 10
    assert all(len(seed(number).faults) >= 3 for number in range(200))


def test_a_seed_says_all_of_itself():
    assert seed(7) == seed(7)


def test_the_page_says_what_the_histories_say():
    assert Path("docs/reference/faults.md").read_text("utf-8") == page()
