"""What a long run says of a worker's size; the run itself is `make soak`."""

from tests.fault.soak import Sample, growth


def samples(memory_mb: float, files: int, threads: int) -> list[Sample]:
    """Return a run that ends with this, having begun with 100 MB, 40 files and 20 threads."""
    steps = [n / 29 for n in range(30)]
    return [
        Sample(
            60 * step,
            100 + (memory_mb - 100) * step,
            round(40 + (files - 40) * step),
            round(20 + (threads - 20) * step),
        )
        for step in steps
    ]


def test_a_worker_that_keeps_its_size_is_flat():
    assert growth(samples(104, 41, 20)) == []


def test_what_grows_is_told():
    assert growth(samples(200, 40, 20)) == ["memory grew from 150 to 184 MB"]
    assert growth(samples(100, 80, 30)) == [
        "files grew from 60 to 74",
        "threads grew from 25 to 28",
    ]
