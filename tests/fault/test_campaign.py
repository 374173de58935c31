"""What a campaign of mixed faults tells of its seeds; the seeds themselves are `make fault`."""

from pathlib import Path

from tests.fault.campaign import Result, known, report


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
